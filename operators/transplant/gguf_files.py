"""A model in one GGUF file: tables, tokenizer and configuration, as a folder of `transformers` would have them.

Quantised tensors are widened to float32: what comes out is what the file's numbers mean, not what the model had before
it was quantised. The tokenizer is made of the file's vocabulary and merges, and of the pattern that its name stands for
in llama.cpp; only byte-level BPE is made so. 0.7 s for SmolLM2's 98 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError, RecipeError
from operators.models import unreadable
from operators.pretokenizers import PATTERNS
from operators.tokenizer_files import byte_level_json
from operators.vocabulary import AddedToken

Table = NDArray[np.float32]

INPUT: Final = "token_embd.weight"
OUTPUT: Final = "output.weight"

_ENCODERS: Final = ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "t5encoder")
_MAGIC: Final = b"GGUF"
_DIGITS: Final = "\\p{N}"
_CUT_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "smollm": (_DIGITS, *PATTERNS["gpt2"]),
    "starcoder": (_DIGITS, *PATTERNS["gpt2"]),
    "refact": (_DIGITS, *PATTERNS["gpt2"]),
    "command-r": (_DIGITS, *PATTERNS["gpt2"]),
    "gpt-2": PATTERNS["gpt2"],
    "llama-bpe": PATTERNS["cl100k"],
    "gpt-4o": PATTERNS["o200k"],
    "qwen2": PATTERNS["qwen2"],
    "deepseek-v3": PATTERNS["deepseek_v3"],
    "tekken": PATTERNS["tekken"],
}
"""What text is cut by, by the name that llama.cpp has for it."""
_WHOLE_FIRST: Final = ("llama-bpe", "tekken")
"""Where a piece that is a token is not merged."""
_NORMAL, _OF_USER, _BYTE = 1, 4, 6
_MERGED: Final = (_NORMAL, _BYTE)
"""Kinds of token that are found by merging; all others are looked for in the text."""
_CONFIG: Final = (
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.key_length", "head_dim"),
    ("context_length", "max_position_embeddings"),
    ("rope.freq_base", "rope_theta"),
)
_ARCHITECTURES: Final[Mapping[str, str]] = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
_NAMES: Final[Mapping[str, str]] = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class GgufFile:
    """A GGUF file. Raises RecipeError where it cannot be read, is one part of several, or an encoder's."""

    def __init__(self, path: Path) -> None:
        from gguf import GGUFReader

        self.path = path
        try:
            self._reader = GGUFReader(path)
        except OSError as error:
            raise RecipeError(unreadable(f"model {path}", error)) from error
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise DataError(_broken(path, error)) from error
        self._tensors = {str(tensor.name): tensor for tensor in self._reader.tensors}
        self.architecture = str(self.value("general.architecture", ""))
        self._refuse()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def value(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """What the file says under a key."""
        field = self._reader.fields.get(key)
        return default if field is None else field.contents()

    def read(self, name: str) -> Table:
        """One tensor, rows first."""
        from gguf.quants import dequantize

        tensor = self._tensors[name]
        try:
            found = dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError as error:
            msg = f"model {self.path}: tensor {name!r} is of kind {tensor.tensor_type.name}, which cannot be widened"
            raise RecipeError(f"{msg}: give the model as Q8_0, F16 or F32") from error
        shape = tuple(int(size) for size in reversed(tensor.shape))
        return np.ascontiguousarray(found, np.float32).reshape(shape)

    def config(self) -> dict[str, Any]:
        """`config.json` as `transformers` would have it; of an architecture that we do not know only the sizes."""
        pairs = [(ours, self.value(f"{self.architecture}.{key}")) for key, ours in _CONFIG]
        config: dict[str, Any] = {name: _shortest(value) for name, value in pairs if value is not None}
        for name in ("bos", "eos", "padding"):
            number = self.value(f"tokenizer.ggml.{name}_token_id")
            if number is not None:
                config[f"{name.removesuffix('ding')}_token_id"] = int(number)
        config |= {"vocab_size": int(self._tensors[INPUT].shape[1]), "tie_word_embeddings": OUTPUT not in self}
        known = _ARCHITECTURES.get(self.architecture)
        return {"model_type": self.architecture, **({"architectures": [known]} if known else {}), **config}

    def body(self) -> dict[str, Callable[[], Table]]:
        """Every tensor but the tables, by the name that `transformers` has for it, read when it is called.

        Raises RecipeError where the architecture is none that we know, or its positions are scaled.
        """
        scaled = self.value(f"{self.architecture}.rope.scaling.type", "none") not in ("none", "")
        if self.architecture not in _ARCHITECTURES or scaled or "rope_freqs.weight" in self:
            msg = (
                f"model {self.path}: architecture {self.architecture!r}{' with scaled positions' * scaled} is run only"
            )
            raise RecipeError(f"{msg} from a folder with safetensors, as transformers reads it")
        return {
            self._as_transformers(name): lambda name=name: self._straight(name)  # type: ignore[misc]
            for name in self._tensors
            if name not in (INPUT, OUTPUT)
        }

    def tokenizer_json(self) -> bytes:
        """The tokenizer. Raises RecipeError where it is not byte-level BPE, or cut by a pattern that we do not know."""
        kind, cut_by = self.value("tokenizer.ggml.model"), self.value("tokenizer.ggml.pre", "gpt-2")
        tokens, merges = self.value("tokenizer.ggml.tokens"), self.value("tokenizer.ggml.merges")
        if kind != "gpt2" or not tokens or merges is None or cut_by not in _CUT_BY:
            msg = f"model {self.path}: its tokenizer is of kind {kind!r} cut by {cut_by!r}, expected gpt2 (byte-level "
            msg += f"BPE) cut by one of {', '.join(_CUT_BY)}"
            raise RecipeError(f"{msg}: give the model as a folder with safetensors and tokenizer.json")
        kinds = self.value("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
        return _tokenizer_json(tokens, kinds, [merge.split(" ") for merge in merges], cut_by)

    def _as_transformers(self, name: str) -> str:
        if name == "output_norm.weight":
            return "model.norm.weight"
        try:
            _, layer, part, last = name.split(".")
            return f"model.layers.{layer}.{_NAMES[part]}.{last}"
        except (ValueError, KeyError) as error:
            msg = f"model {self.path}: tensor {name!r} belongs to no {self.architecture} that we know"
            raise RecipeError(f"{msg}: give the model as a folder with safetensors") from error

    def _straight(self, name: str) -> Table:
        """A tensor in the order of `transformers`: of a llama the two halves of a head's rows lie apart there."""
        found = self.read(name)
        part = name.split(".")[-2]
        if self.architecture != "llama" or part not in ("attn_q", "attn_k"):
            return found
        heads = self.value("llama.attention.head_count_kv" if part == "attn_k" else "llama.attention.head_count")
        paired = found.reshape(int(heads), found.shape[0] // int(heads) // 2, 2, *found.shape[1:])
        return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(found.shape)

    def _refuse(self) -> None:
        if int(self.value("split.count", 1) or 1) > 1:
            msg = f"model {self.path} is one part of several: join them with llama.cpp's gguf-split --merge"
            raise RecipeError(msg)
        if self.architecture in _ENCODERS or INPUT not in self:
            what = f"an encoder ({self.architecture})" if self.architecture in _ENCODERS else "no language model"
            msg = f"model {self.path} is {what}: expected a causal language model, with tables at both ends"
            raise RecipeError(msg)


def _tokenizer_json(tokens: list[str], kinds: list[int], merges: list[list[str]], cut_by: str) -> bytes:
    numbered = zip(range(len(tokens)), tokens, kinds, strict=True)
    added = [AddedToken(token, number, kind != _OF_USER) for number, token, kind in numbered if kind not in _MERGED]
    strings = {token: number for number, token in enumerate(tokens)}
    return byte_level_json(strings, merges, _CUT_BY[cut_by], added, whole_first=cut_by in _WHOLE_FIRST)


def _broken(path: Path, error: Exception) -> str:
    """What is wrong with a file that cannot be read: a number that its bytes do not suffice for tells of a cut."""
    with path.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            return f"model {path} is no GGUF file, as it does not begin with GGUF: fetch it again"
    size = path.stat().st_size
    if "reshape" in str(error):
        return f"model {path} ends at byte {size}, in the middle of its tensors: the file is cut off; fetch it again"
    return f"model {path} of {size} bytes is no whole GGUF file, its header is cut off or damaged: fetch it again"


def _shortest(value: Any) -> Any:  # noqa: ANN401
    """A number of 32 bits as it was written down: 1e-5, and not what 64 bits make of it."""
    return float(f"{value:.7g}") if isinstance(value, float) else value
