"""Encoders that are a transformer's folder: what is asked of this machine for them, and how they are opened."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from operators.base import Artifacts, RecipeError, fingerprint
from operators.embedding import devices
from operators.embedding.checkpoints import Checkpoint, read_checkpoint

if TYPE_CHECKING:
    from operators.embedding.encoders import Encoder, EncoderChoice
    from operators.embedding.tokens import Tokeniser
    from operators.embedding.transformer import Forward

CPU_BUDGET: Final = 2048
GPU_BUDGET: Final = 32768
"""Padded tokens of a batch; docs/embedding.md has what others cost."""
MODULES: Final[Mapping[str, tuple[str, ...]]] = {"torch": ("torch", "transformers"), "openvino": ("openvino",)}
"""What a backend needs, by the extra of that name."""


class Transformers:
    """See `operators.embedding.encoders.Maker`."""

    def digests(self, choice: EncoderChoice) -> Mapping[str, str]:
        """Weights, tokenizer, configuration, pooling and prompts."""
        return read_checkpoint(choice.encoder).digests(graph=choice.backend == "openvino")

    def check(self, choice: EncoderChoice) -> None:
        """RecipeError where the folder is not whole or no encoder, or this machine has not what it takes."""
        checkpoint = read_checkpoint(choice.encoder)
        _refuse_missing(checkpoint, _backend(choice))
        _refuse_device(choice)
        _refuse_use(checkpoint, choice)
        _tokeniser(checkpoint, self._settled(checkpoint, choice))
        checkpoint.refuse_damaged()

    def settled(self, choice: EncoderChoice) -> dict[str, object]:
        """All that was left to the checkpoint or to this machine."""
        checkpoint = read_checkpoint(choice.encoder)
        settled = self._settled(checkpoint, choice)
        return settled.model_dump(include=_SETTLED)

    def open(self, choice: EncoderChoice, artifacts: Artifacts) -> Encoder:
        """Load it. A choice that is not settled is settled by this machine. RecipeError where a package is missing."""
        from operators.embedding.transformer import TransformerEncoder

        checkpoint = read_checkpoint(choice.encoder)
        _refuse_missing(checkpoint, _backend(choice))
        settled = self._settled(checkpoint, choice)
        digest = fingerprint(dict(self.digests(choice)))
        about = {"digest": digest, **settled.model_dump(include={*_SETTLED, "chunks"})}
        forward = _forward(checkpoint, settled)
        return TransformerEncoder(
            _tokeniser(checkpoint, settled), forward, settled.token_budget, settled.dimension, about
        )

    def _settled(self, checkpoint: Checkpoint, choice: EncoderChoice) -> EncoderChoice:
        device = _device(choice)
        return choice.model_copy(
            update={
                "pooling": checkpoint.pooling if choice.pooling == "auto" else choice.pooling,
                "max_tokens": choice.max_tokens or checkpoint.cap,
                "prompt": choice.prompt or checkpoint.prompt,
                "dtype": _dtype(choice, device),
                "dimension": choice.dimension or checkpoint.dimension,
                "token_budget": choice.token_budget or (GPU_BUDGET if device == "cuda" else CPU_BUDGET),
                "device": device,
                "backend": _backend(choice),
            }
        )


_SETTLED: Final = {"pooling", "max_tokens", "prompt", "dtype", "dimension", "token_budget", "device", "backend"}


def _tokeniser(checkpoint: Checkpoint, settled: EncoderChoice) -> Tokeniser:
    from operators.embedding.tokens import Tokeniser

    return Tokeniser(
        checkpoint.tokenizer,
        settled.max_tokens,
        settled.chunks,
        settled.prompt,
        lower=checkpoint.is_lower_case,
        from_end=checkpoint.has_left_truncation,
    )


def _forward(checkpoint: Checkpoint, settled: EncoderChoice) -> Forward:
    if settled.backend == "openvino":
        from operators.embedding.openvino_model import OpenvinoModel

        return OpenvinoModel(checkpoint, settled.pooling, settled.dtype)
    from operators.embedding.torch_model import TorchModel

    return TorchModel(checkpoint, settled.pooling, settled.dtype, settled.device)


def _backend(choice: EncoderChoice) -> str:
    return "torch" if choice.backend == "auto" else choice.backend


def _device(choice: EncoderChoice) -> str:
    if choice.device == "auto":
        return "cuda" if devices.cuda_capabilities() and _backend(choice) == "torch" else "cpu"
    return choice.device


def _dtype(choice: EncoderChoice, device: str) -> str:
    if choice.dtype != "auto":
        return choice.dtype
    if device == "cuda":
        return "bfloat16" if devices.cuda_has_bfloat16() else "float16"
    return "bfloat16" if devices.cpu_has_bfloat16() else "float32"


def _refuse_missing(checkpoint: Checkpoint, backend: str) -> None:
    """RecipeError where a package is missing, with the command that brings it."""
    extras = [backend, *(["torch"] if backend == "openvino" and checkpoint.graph is None else [])]
    lacking = [(extra, name) for extra in extras for name in MODULES[extra] if importlib.util.find_spec(name) is None]
    if lacking:
        extra, name = lacking[0]
        why = " (to convert the model once: its folder has no ONNX or OpenVINO file)" if extra != backend else ""
        msg = f"encoder {str(checkpoint.folder)!r} needs {name}{why}, which is not installed: pip install"
        raise RecipeError(f"{msg} 'vocabmill[{extra}]', or take a static encoder, which needs neither")


def _refuse_device(choice: EncoderChoice) -> None:
    device, dtype = _device(choice), choice.dtype
    if choice.backend == "openvino" and device != "cpu":
        raise RecipeError("backend openvino runs on a CPU: leave device out, or take backend torch")
    if dtype == "float16" and device == "cpu":
        raise RecipeError("dtype float16 is for a GPU: on a CPU it is slow; take bfloat16, float32 or auto")
    if dtype == "bfloat16" and device == "cpu" and not devices.cpu_has_bfloat16():
        flags = ", ".join(sorted(devices.BFLOAT16_FLAGS))
        raise RecipeError(
            f"dtype bfloat16: this CPU has no instructions for it (none of {flags}): take float32 or auto"
        )
    if dtype == "bfloat16" and device == "cuda" and devices.cuda_capabilities() and not devices.cuda_has_bfloat16():
        raise RecipeError("dtype bfloat16: a GPU of this machine has no instructions for it: take float16 or auto")


def _refuse_use(checkpoint: Checkpoint, choice: EncoderChoice) -> None:
    """RecipeError where the choice does not fit the checkpoint."""
    name = str(checkpoint.folder)
    if choice.pooling == "auto" and not checkpoint.pooling:
        kind = "a causal language model" if checkpoint.is_causal else f"a model of type {checkpoint.model_type!r}"
        usual = "last" if checkpoint.is_causal else "mean"
        msg = f"encoder {name!r} is {kind} and does not say how it makes a vector of a text (no 1_Pooling/config.json)"
        raise RecipeError(f"{msg}: if it was trained to, name its pooling, such as pooling: {usual}")
    if choice.max_tokens > checkpoint.context:
        msg = f"max_tokens {choice.max_tokens} is more than the {checkpoint.context} tokens that encoder {name!r} has"
        raise RecipeError(f"{msg} positions for: lower it, and take chunks for longer texts")
    if choice.dimension > checkpoint.dimension:
        msg = f"dimension {choice.dimension} is more than the {checkpoint.dimension} that encoder {name!r} has"
        raise RecipeError(f"{msg}: lower it or leave it out")
