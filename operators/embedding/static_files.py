"""Static models: a vector and a weight for each token of a tokenizer; read from three forms, written in ours.

- ours: `tokenizer.json`, `config.json`, and `model.safetensors` with `embeddings` (a row a token, float16), `weights`
  (by token), `mean` and `component` (what is taken off a document's mean).
- model2vec's: the same names, `embeddings` of int8 or floats, with `weights`, and `mapping` from tokens to rows, or
  without. It has no `mean`. Ours can be read as such a model, and then nothing is taken off.
- WordLlama's: `embedding.weight` beside a tokenizer's file, whatever the names of the two files.

Only safetensors are read: a pickle can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from operators.base import Artifact, DataError, RecipeError
from operators.models import unreadable

Singles = NDArray[np.float32]
Form = Literal["vocabmill", "model2vec", "wordllama"]

WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
CONFIG: Final = "config.json"
MODEL_TYPE: Final = "vocabmill_static"

_TABLES: Final[Mapping[str, Form]] = {"embeddings": "model2vec", "embedding.weight": "wordllama"}
_KNOWN: Final = frozenset({*_TABLES, "weights", "mapping", "mean", "component"})
_PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")


@dataclass(frozen=True)
class StaticFiles:
    """A model's files as they are."""

    name: str
    """What errors call it."""
    weights: bytes
    tokenizer: bytes

    @property
    def digests(self) -> dict[str, str]:
        """The sha256 of each that decides a vector."""
        return {name: hashlib.sha256(getattr(self, name)).hexdigest() for name in ("weights", "tokenizer")}


@dataclass(frozen=True)
class StaticModel:
    """A model as the encoder uses it."""

    form: Form
    table: Singles
    """(rows, width)"""
    rows: NDArray[np.int32]
    """By token id, its row."""
    weights: Singles
    """By token id; 0 for tokens that count for nothing."""
    mean: Singles
    component: Singles
    """(width) both; zeros where nothing is taken off."""


def is_static(folder: Path) -> bool:
    """Whether a folder holds a static model: a file of weights with one table of known name, and little else."""
    try:
        found = _weights_in(folder)
        return found is not None and bool(_TABLES.keys() & (names := _names(found))) and names <= _KNOWN
    except (OSError, ValueError):
        return False


def read_folder(folder: Path) -> StaticFiles:
    """The files of a folder. RecipeError where one is missing, weights are pickled, or `config.json` is damaged."""
    try:
        entries = sorted(folder.iterdir())
        weights = _weights_in(folder)
        if weights is None:
            raise RecipeError(_without_weights(folder, entries))
        tokenizer = _one(entries, TOKENIZER, lambda name: "tokenizer" in name and name.endswith(".json"))
        if tokenizer is None:
            msg = f"static model {str(folder)!r} has no {TOKENIZER}: put the tokenizer that it was made with beside it"
            raise RecipeError(msg)
        _refuse_config(folder / CONFIG)
        return StaticFiles(str(folder), weights.read_bytes(), tokenizer.read_bytes())
    except OSError as error:
        raise RecipeError(unreadable(f"static model {str(folder)!r}", error)) from error


def read_artifact(artifact: Artifact, name: str) -> StaticFiles:
    """The files that a step of that name left."""
    return StaticFiles(name, artifact.read(WEIGHTS), artifact.read(TOKENIZER))


def parse(files: StaticFiles, num_ids: int) -> StaticModel:
    """The model, checked against its tokenizer.

    Args:
        files: as they are.
        num_ids: one more than the tokenizer's largest id.

    Raises:
        DataError: the tensors do not fit each other or the tokenizer, or hold what is no number.
    """
    tensors = _tensors(files)
    [key] = _TABLES.keys() & tensors.keys() or [""]
    if not key:
        msg = f"static model {files.name!r} has no table of vectors: expected one of {', '.join(_TABLES)}"
        raise DataError(f"{msg} among its tensors, which are {', '.join(sorted(tensors)) or 'none'}")
    table = tensors[key]
    if table.ndim != 2 or not table.size or table.dtype.kind not in "fi":
        msg = f"static model {files.name!r}: {key} is {table.dtype} of shape {table.shape}, expected a matrix"
        raise DataError(f"{msg} of floats or int8")
    table = table.astype(np.float32)
    rows = tensors["mapping"].astype(np.int64) if "mapping" in tensors else np.arange(len(table), dtype=np.int64)
    weights = tensors["weights"].astype(np.float32) if "weights" in tensors else np.ones(len(rows), np.float32)
    width = table.shape[1]
    mean, component = (tensors.get(name, np.zeros(width)).astype(np.float32) for name in ("mean", "component"))
    form: Form = "vocabmill" if "mean" in tensors else _TABLES[key]
    _check(files.name, num_ids, table, rows, weights, mean, component)
    weights = np.ascontiguousarray(weights)
    unknown = unknown_id(files.tokenizer) if form != "wordllama" else -1  # WordLlama counts it as any other
    if 0 <= unknown < weights.size:
        weights = weights.copy()
        weights[unknown] = 0
    return StaticModel(form, np.ascontiguousarray(table), rows.astype(np.int32), weights, mean, component)


def written(
    table: NDArray[np.float16], weights: Singles, mean: Singles, component: Singles, about: Mapping[str, object]
) -> dict[str, bytes]:
    """The files of a model but the tokenizer's: one content, one sequence of bytes."""
    from safetensors.numpy import save

    arrays = {"embeddings": table, "weights": weights, "mean": mean, "component": component}
    tensors = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    config = {"model_type": MODEL_TYPE, "normalize": True, "hidden_dim": int(table.shape[1]), **about}
    return {WEIGHTS: tensors, CONFIG: json.dumps(config, indent=1, ensure_ascii=False).encode() + b"\n"}


def _check(
    name: str,
    num_ids: int,
    table: Singles,
    rows: NDArray[np.int64],
    weights: Singles,
    mean: Singles,
    component: Singles,
) -> None:
    """DataError where the kernel would look where nothing is, or add up what is no number."""
    if mean.shape != table.shape[1:] or component.shape != table.shape[1:]:
        raise DataError(f"static model {name!r}: mean or component are not as wide as its rows, {table.shape[1]}")
    if weights.shape != rows.shape or rows.ndim != 1:
        msg = f"static model {name!r}: {weights.size} weights for {rows.size} tokens"
        raise DataError(f"{msg}; expected one for each")
    if rows.size and not 0 <= rows.min() <= rows.max() < len(table):
        msg = f"static model {name!r}: its mapping names row {int(rows.max())} of {len(table)}"
        raise DataError(f"{msg}: the files do not belong together")
    if num_ids > rows.size:
        msg = f"static model {name!r} has vectors of {rows.size} tokens, and its tokenizer ids up to {num_ids - 1}"
        raise DataError(f"{msg}: give the tokenizer that it was made with")
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        msg = f"static model {name!r}: row {int(np.argmin(finite))} holds a number that is not finite"
        raise DataError(f"{msg} ({int((~finite).sum())} rows do): make it or fetch it again")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise DataError(f"static model {name!r} has a weight that is negative or not finite: make it or fetch it again")
    if not (np.isfinite(mean).all() and np.isfinite(component).all()):
        raise DataError(f"static model {name!r} has a mean or component that is not finite: make it or fetch it again")


def _tensors(files: StaticFiles) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, NDArray[Any]] = load(files.weights)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        msg = f"static model {files.name!r}: its weights are no safetensors of floats or int8 ({error})"
        raise DataError(f"{msg}: fetch it again, or save it as float32") from error
    return found


def unknown_id(tokenizer: bytes) -> int:
    """The id of what a tokenizer puts for text that it does not know; -1 where there is none."""
    model = json.loads(tokenizer).get("model") or {}
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    vocabulary, unknown = model.get("vocab"), model.get("unk_token")
    return int(vocabulary.get(unknown, -1)) if isinstance(vocabulary, dict) and unknown else -1


def _weights_in(folder: Path) -> Path | None:
    return _one(sorted(folder.iterdir()), WEIGHTS, lambda name: name.endswith(".safetensors"))


def _one(entries: list[Path], name: str, fits: Callable[[str], bool]) -> Path | None:
    """The file of that name, else the only one that fits."""
    by_name = {entry.name: entry for entry in entries if entry.is_file()}
    fitting = [entry for key, entry in by_name.items() if fits(key)]
    return by_name.get(name) or (fitting[0] if len(fitting) == 1 else None)


def _names(file: Path) -> frozenset[str]:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        return frozenset(json.loads(opened.read(min(length, 1 << 20)))) - {"__metadata__"}


def _refuse_config(file: Path) -> None:
    """Nothing of it decides a vector, so it need not be there; a damaged one says that the folder is."""
    try:
        content = json.loads(file.read_bytes()) if file.is_file() else {}
    except ValueError as error:
        raise RecipeError(f"{file} is no JSON ({error}): the folder is damaged, make it or fetch it again") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{file} is no JSON object: the folder is damaged, make it or fetch it again")


def _without_weights(folder: Path, entries: list[Path]) -> str:
    pickled = [entry.name for entry in entries if entry.suffix in _PICKLES]
    if pickled:
        msg = f"static model {str(folder)!r} has its weights in {pickled[0]}, and a pickle can run code as it is read"
        return f"{msg}: save them as {WEIGHTS}"
    return f"static model {str(folder)!r} has no {WEIGHTS}: give a folder that has, beside its {TOKENIZER}"
