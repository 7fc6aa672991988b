"""The body of a causal language model, run with whatever tables of token vectors it is given. Needs the extra `torch`.

A body maps vectors to vectors: what reads tokens stands before it and what predicts them after it, so another
vocabulary needs no other model. Texts go through one at a time, on one thread, without padding: a result depends on the
text alone, and not on what was run beside it. SmolLM2-135M reads 1,400 tokens a CPU-second in bfloat16, 450 in float32,
where the CPU multiplies bfloat16 (Zen 4); without that it is slower than float32, and refused.

The logits are ours: state times the table that predicts, in float32. Models that scale or cap their logits do it with
numbers of their configuration, which are heeded; that nothing else happens is tried out once on a few tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.embedding.devices import cpu_has_bfloat16
from operators.transplant.gguf_files import GgufFile
from operators.transplant.model_files import Model, is_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

Table = NDArray[np.float32]
Dtype = Literal["float32", "bfloat16"]

STARTS: Final = ("<|endoftext|>", "<s>", "<|begin_of_text|>", "<bos>")
"""What stands between documents in training, the first that a tokenizer has; else the model's `bos_token_id`."""
_TRIED: Final = 8
"""Tokens on which our logits are compared with the model's own."""
_OFF_BY: Final = 0.02


class LanguageModel:
    """The body of a model, and the vector that every text begins with.

    Raises RecipeError where torch or transformers is not installed, the CPU does not multiply bfloat16, the body cannot
    be built, or the model does with its logits what we do not know.
    """

    def __init__(self, path: str, model: Model, dtype: Dtype = "float32") -> None:
        refuse_without_torch()
        refuse_bfloat16(dtype)
        self.config = model.config
        with one_thread():
            self._body = _body(path, model)
            self._try_out(model)
            self._body.to(_torch_dtype(dtype))
        self.start: Table = model.input_table[start_id(model)]

    def run(self, table: torch.Tensor, start: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The final states from which each token of a text is predicted: (tokens, dimension), float32.

        Args:
            table: that reads tokens; gradients reach it.
            start: the vector before the first token.
            ids: the text's tokens.
        """
        import torch

        vectors = torch.cat((start[None], table[ids[:-1]]))[: len(ids)]
        given = vectors.to(self._body.dtype)[None]
        states: torch.Tensor = self._body.base_model(inputs_embeds=given, use_cache=False).last_hidden_state[0]
        return states.float()

    def scaled(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits as the model's configuration wants them: multiplied (Cohere), divided (Granite), capped (Gemma 2)."""
        import torch

        logits = logits * float(self.config.get("logit_scale") or 1) / float(self.config.get("logits_scaling") or 1)
        cap = self.config.get("final_logit_softcapping")
        return torch.tanh(logits / cap) * cap if cap else logits

    def _try_out(self, model: Model) -> None:
        """Compare our logits with the model's own, with its own tables."""
        import torch

        ids = torch.arange(_TRIED) % model.input_table.shape[0]
        with torch.inference_mode():
            theirs = self._body(input_ids=ids[None], use_cache=False).logits[0]
            states = self._body.base_model(inputs_embeds=as_tensor(model.input_table)[ids][None])
            ours = self.scaled(states.last_hidden_state[0] @ as_tensor(model.predicts).T)
        width = min(ours.shape[1], theirs.shape[1])
        off = float((ours[:, :width] - theirs[:, :width]).abs().max())
        if not off <= _OFF_BY:
            msg = f"architecture {self.config.get('model_type')!r} scales its vectors or logits in a way that is not "
            raise RecipeError(f"{msg}known here (they differ by {off:.3g}): leave the evaluation out")


def is_installed() -> bool:
    """Whether models can be run."""
    return all(find_spec(name) is not None for name in ("torch", "transformers"))


def refuse_without_torch() -> None:
    """RecipeError where torch or transformers is not installed."""
    if not is_installed():
        raise RecipeError("running a model needs torch and transformers: install the extra torch")


def refuse_bfloat16(dtype: Dtype) -> None:
    """RecipeError where the CPU only pretends to multiply bfloat16."""
    if dtype == "bfloat16" and not cpu_has_bfloat16():
        raise RecipeError(
            "dtype bfloat16: this CPU has no instructions for it (avx512_bf16, amx_bf16, bf16): leave it out"
        )


def start_id(model: Model) -> int:
    """The token that every text begins with. Raises RecipeError where the model names none."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(model.tokenizer_json.decode())
    numbers = (tokenizer.token_to_id(token) for token in STARTS)
    found = next((number for number in numbers if number is not None), None)
    for name in ("bos_token_id", "eos_token_id"):
        found = model.config.get(name) if found is None else found
    if isinstance(found, list):
        found = found[0] if found else None
    if found is None or not 0 <= int(found) < model.input_table.shape[0]:
        msg = f"the model has no token that a text begins with: expected one of {', '.join(STARTS)} or a bos_token_id"
        raise RecipeError(msg)
    return int(found)


def _body(path: str, model: Model) -> Any:  # noqa: ANN401
    """The model in float32, as `transformers` builds it; nothing is downloaded and no code of a folder is run."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        if is_gguf(path):
            return _built(GgufFile(Path(path)).body(), model).eval()
        return transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        ).eval()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        msg = f"model {path!r} cannot be built with transformers {transformers.__version__}: {error}"
        raise RecipeError(msg) from error


def _built(body: Mapping[str, Callable[[], Table]], model: Model) -> Any:  # noqa: ANN401
    import torch
    import transformers

    named = {name: value for name, value in model.config.items() if name != "architectures"}
    built = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**named), dtype=torch.float32
    )
    tensors = {name: read() for name, read in body.items()}
    tensors["model.embed_tokens.weight"] = model.input_table
    tensors |= {} if model.output_table is None else {"lm_head.weight": model.output_table}
    found = built.load_state_dict(
        {name: as_tensor(tensor) for name, tensor in tensors.items()}, strict=False, assign=True
    )
    built.tie_weights()
    lacking = [name for name in found.missing_keys if name != "lm_head.weight" or model.output_table is not None]
    if lacking or found.unexpected_keys:
        raise ValueError(f"tensors {[*lacking, *found.unexpected_keys][:4]} are missing or not known")
    return built


@contextmanager
def one_thread() -> Iterator[None]:
    """On one thread: others would only wait for each other, and sums would depend on how many they are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _torch_dtype(dtype: Dtype) -> torch.dtype:
    import torch

    return torch.bfloat16 if dtype == "bfloat16" else torch.float32


def as_tensor(table: Table) -> torch.Tensor:
    """The same numbers; a copy where torch could not write to them, of which it warns."""
    import torch

    return torch.from_numpy(np.require(table, np.float32, ["C", "W"]))
