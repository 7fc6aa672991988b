"""The model at hand: its tables of token vectors, its tokenizer and its configuration; and how new tables are written.

A model is a folder as `transformers` saves one (`model.safetensors` or its shards with an index, `config.json`,
`tokenizer.json`) or one GGUF file. Pickles are never opened: reading one runs what it says. Only causal language models
are taken: they have a table that reads tokens (input) and one that predicts them (output), which is often the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError, RecipeError
from operators.ngram_sources import digest as digest_of_file
from operators.transplant.gguf_files import INPUT, OUTPUT, GgufFile
from operators.transplant.tensor_files import INDEX, Tensors, read_object, tensor_bytes, weight_files

Table = NDArray[np.float32]

INPUTS: Final = (
    "model.embed_tokens.weight",  # Llama, Mistral, Qwen, Gemma, Phi, OLMo and most others
    "transformer.wte.weight",  # GPT-2, GPT-J, Qwen 1
    "wte.weight",  # GPT-2 as OpenAI's own file has it
    "gpt_neox.embed_in.weight",  # Pythia, GPT-NeoX
    "transformer.word_embeddings.weight",  # Falcon, BLOOM
    "model.decoder.embed_tokens.weight",  # OPT
    "backbone.embeddings.weight",  # Mamba
    "model.language_model.embed_tokens.weight",  # models of text and pictures
)
OUTPUTS: Final = ("lm_head.weight", "embed_out.weight")
EMBED, LM_HEAD = "embed", "lm_head"
"""The tensors of `embeddings.safetensors`."""

_CAUSAL: Final = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SUFFIX: Final = ".gguf"
_REMEDY: Final = "expected a folder with safetensors, config.json and tokenizer.json, or a GGUF file"


@dataclass(frozen=True)
class Model:
    """What is known of a model: tables as float32 with a row for each token id, and all else as its files have it.

    Rows may be more than the tokenizer's ids: models pad their tables.
    """

    input_table: Table
    output_table: Table | None
    """None where the input table predicts too (tied)."""
    tokenizer_json: bytes
    config: Mapping[str, Any]
    digest: str
    """sha256 over the digests of its files."""

    @property
    def predicts(self) -> Table:
        """The table that predicts tokens."""
        return self.input_table if self.output_table is None else self.output_table


def digest(path: str) -> str:
    """The sha256 over the files that a model is read from, in hex; they are read once per process and change.

    Raises RecipeError where `path` holds no model that `open_model` would read.
    """
    found = hashlib.sha256()
    for file in _files(Path(path)):
        found.update(f"{file.name}\0{digest_of_file(str(file), 'model', _REMEDY)}\n".encode())
    return found.hexdigest()


def open_model(path: str, sha256: str = "") -> Model:
    """Read a model's tables, tokenizer and configuration.

    Args:
        path: a folder, or a GGUF file.
        sha256: what `digest` must say; "" for whatever is there.

    Raises RecipeError where it is not there, is a pickle, an encoder or of another kind, lacks a file, has more token
    ids than rows, or rows that are not finite.
    """
    found = digest(path)
    if sha256 and found != sha256:
        msg = f"model {path!r} has sha256 {found}, and had {sha256} when the run began: start the run again"
        raise RecipeError(msg)
    return _open(path, found)


def to_safetensors(input_table: Table, output_table: Table | None, about: Mapping[str, str]) -> bytes:
    """`embeddings.safetensors`: the tensor `embed`, and `lm_head` where the model's tables are two.

    Args:
        input_table: a row for each token id, float32 or float16.
        output_table: the same; None where tied.
        about: strings that the file carries.
    """
    tables = {EMBED: input_table, **({} if output_table is None else {LM_HEAD: output_table})}
    return tensor_bytes(tables, about)


def is_gguf(path: str) -> bool:
    """Whether a path is that of a GGUF file, and no folder's.

    >>> is_gguf("model.GGUF"), is_gguf("SmolLM2")
    (True, False)
    """
    return path.lower().endswith(_SUFFIX)


@lru_cache(maxsize=1)
def _open(path: str, found: str) -> Model:
    model = _from_gguf(Path(path), found) if is_gguf(path) else _from_folder(Path(path), found)
    _check(path, model)
    return model


def _files(path: Path) -> list[Path]:
    """The files that decide what a model is."""
    if is_gguf(str(path)) and path.is_file():
        return [path]
    if path.is_file():
        what = "a pickle, and reading one runs what it says" if _is_pickle(path) else "a file of another kind"
        msg = f"model {str(path)!r} is {what}: {_REMEDY}"
        raise RecipeError(msg)
    if not path.is_dir():
        msg = f"model {str(path)!r} is not there: {_REMEDY}"
        raise RecipeError(msg)
    weights = weight_files(path)
    lacking = [name for name in ("config.json", "tokenizer.json") if not (path / name).is_file()]
    if weights and not lacking:
        index = [path / INDEX] if (path / INDEX).is_file() else []
        return [*index, *weights, *(path / name for name in ("config.json", "tokenizer.json"))]
    raise RecipeError(_lack(path, ["model.safetensors", *lacking] if not weights else lacking))


def _lack(folder: Path, lacking: list[str]) -> str:
    msg = f"model {str(folder)!r} lacks {' and '.join(lacking)}"
    pickles = sorted(file.name for kind in _PICKLES for file in folder.glob(kind))
    if "model.safetensors" in lacking and pickles:
        return (
            f"{msg}, and {pickles[0]} is a pickle, which runs what it says when it is read: convert it with "
            "transformers' save_pretrained(safe_serialization=True)"
        )
    files = sorted(file.name for file in folder.glob(f"*{_SUFFIX}"))
    if files:
        return f"{msg}, but holds {files[0]}: give that file"
    if lacking == ["tokenizer.json"]:
        return f"{msg}: write it with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...)"
    return f"{msg}: {_REMEDY}"


def _is_pickle(path: Path) -> bool:
    return any(path.match(kind) for kind in _PICKLES)


def _from_gguf(path: Path, found: str) -> Model:
    file = GgufFile(path)
    output = file.read(OUTPUT) if OUTPUT in file else None
    return Model(file.read(INPUT), output, file.tokenizer_json(), file.config(), found)


def _from_folder(path: Path, found: str) -> Model:
    config = read_object(path / "config.json")
    tensors = Tensors(weight_files(path))
    _refuse_kind(path, config, tensors)
    reads = next((name for name in INPUTS if name in tensors), "")
    predicts = next((name for name in OUTPUTS if name in tensors), "")
    if not reads:
        msg = f"model {str(path)!r} has none of the tables {', '.join(INPUTS)}: it is laid out in a way we do not know"
        raise RecipeError(msg)
    if not predicts and config.get("tie_word_embeddings") is False:
        msg = f"model {str(path)!r}: config.json says tie_word_embeddings: false, and no file has the table that "
        raise DataError(f"{msg}predicts ({' or '.join(OUTPUTS)}): fetch the whole model, or correct config.json")
    is_tied = not predicts or config.get("tie_word_embeddings") is True
    output = None if is_tied else tensors.read(predicts)
    model = Model(tensors.read(reads), output, (path / "tokenizer.json").read_bytes(), config, found)
    _check_config(path, model)
    return model


def _check_config(path: Path, model: Model) -> None:
    """Refuse a table of another size than `config.json` says; padding below it is common."""
    (rows, width), text = model.input_table.shape, model.config.get("text_config") or {}
    said = {name: model.config.get(name, text.get(name)) for name in ("vocab_size", "hidden_size")}
    wrong = {
        f"vocab_size {said['vocab_size']}": isinstance(said["vocab_size"], int) and rows < said["vocab_size"],
        f"hidden_size {said['hidden_size']}": isinstance(said["hidden_size"], int) and width != said["hidden_size"],
    }
    for name, is_so in wrong.items():
        if is_so:
            msg = f"model {str(path)!r}: config.json says {name}, and the table of token vectors has {rows} rows of "
            raise DataError(f"{msg}{width} numbers: they belong to two models; fetch both again")


def _refuse_kind(path: Path, config: Mapping[str, Any], tensors: Tensors) -> None:
    architectures = config.get("architectures") or []
    if config.get("is_encoder_decoder") or not any(str(name).endswith(_CAUSAL) for name in architectures):
        named = ", ".join(map(str, architectures)) or "none"
        msg = f"model {str(path)!r} is of architecture {named}: expected a causal language model, as LlamaForCausalLM; "
        raise RecipeError(f"{msg}an encoder has no table that predicts tokens")
    biased = [name.replace("weight", "bias") for name in OUTPUTS if name.replace("weight", "bias") in tensors]
    if biased:
        msg = f"model {str(path)!r} adds a number of each token's own to its logits ({biased[0]}), which has no"
        raise RecipeError(f"{msg} counterpart for a new token: this model cannot be given another vocabulary here")


def _check(path: str, model: Model) -> None:
    """Refuse tables that do not fit the tokenizer or each other, or hold what is no number."""
    ids, rows = largest_id(model.tokenizer_json, path) + 1, model.input_table.shape[0]
    if ids > rows:
        msg = f"model {path!r}: its tokenizer has ids up to {ids - 1}, and its table {rows} rows: they belong to two"
        raise DataError(f"{msg} models; fetch both again")
    if model.output_table is not None and model.output_table.shape != model.input_table.shape:
        msg = f"model {path!r}: the table that reads has shape {model.input_table.shape}, and the one that predicts"
        raise DataError(f"{msg} {model.output_table.shape}: expected the same")
    for table in (model.input_table, model.predicts):
        finite = np.isfinite(table).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            msg = (
                f"model {path!r}: {int((~finite).sum())} of {rows} token vectors are not finite, the first of id {row}"
            )
            raise DataError(f"{msg}: the file is damaged, or a training went wrong")
        if not table.any():
            msg = f"model {path!r}: all {rows} token vectors are zero: the file is damaged, or the model not trained"
            raise DataError(msg)


def largest_id(tokenizer_json: bytes, name: str) -> int:
    """The largest id of a `tokenizer.json` of any model. Raises DataError where it has none."""
    try:
        whole = json.loads(tokenizer_json)
        vocab = whole["model"]["vocab"]
        ids = list(vocab.values()) if isinstance(vocab, dict) else [len(vocab) - 1]
        return int(max([*ids, *(token["id"] for token in whole.get("added_tokens") or ())]))
    except (ValueError, KeyError, TypeError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        msg = f"model {name!r}: its tokenizer.json has no vocabulary that we can read ({said}): fetch it again"
        raise DataError(msg) from error
