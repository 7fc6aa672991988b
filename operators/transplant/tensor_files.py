"""Tensors of a safetensors file, or of several with an index, by name and as float32; nothing of them is executed.

A tensor is read when it is asked for, from where it lies in the file: a table of 128,000 rows of 4,096 takes 2 GB then,
and the rest of the model nothing. `bfloat16` is widened here, which NumPy does not know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError, RecipeError
from operators.models import unreadable

Table = NDArray[np.float32]

INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"
_KINDS: Final[Mapping[str, str]] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_LONGEST_HEADER: Final = 100_000_000
"""Bytes, as the format's own readers have it."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    begin: int
    """Byte of the file."""


class Tensors:
    """The tensors of a model's files.

    Raises RecipeError where a file is missing, cut short or no safetensors file.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.places: dict[str, Place] = {}
        for file in files:
            self.places |= _places(file)

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def read(self, name: str) -> Table:
        """One tensor. Raises RecipeError where its numbers are of a kind that cannot be widened to float32."""
        place = self.places[name]
        if place.kind not in _KINDS:
            msg = (
                f"{place.file}: tensor {name!r} is of kind {place.kind}, which is quantised or holds no fractions: "
                f"give the model in one of {', '.join(_KINDS)}"
            )
            raise RecipeError(msg)
        count = math.prod(place.shape)
        raw = np.fromfile(place.file, _KINDS[place.kind], count, offset=place.begin).reshape(place.shape)
        if place.kind == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32, copy=False)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, in order of name; empty where it has none."""
    index = folder / INDEX
    if not index.is_file():
        return [folder / SINGLE] if (folder / SINGLE).is_file() else []
    weights = read_object(index).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights.values()):
        msg = f"{index} has no weight_map, which says the file of every tensor: fetch the model again"
        raise DataError(msg)
    files = sorted({folder / name for name in weights.values()})
    outside = [file for file in files if file.parent != folder]
    missing = outside or [file for file in files if not file.is_file()]
    if missing:
        named = min({name for name in weights.values() if folder / name == missing[0]})
        there = f"; the folder has {SINGLE} as well: take the index away if that is whole" * (folder / SINGLE).is_file()
        msg = f"{index} names {named!r}, one of {len(files)} files, and it is not in {folder}"
        raise RecipeError(f"{msg}: fetch the whole model{there}")
    return files


def tensor_bytes(tables: Mapping[str, NDArray[Any]], about: Mapping[str, str]) -> bytes:
    """A safetensors file of float tables: the same bytes for the same content, where the library's own vary."""
    kinds = {np.dtype(code): kind for kind, code in _KINDS.items() if kind != "BF16"}
    header: dict[str, Any] = {"__metadata__": dict(sorted(about.items()))}
    begin = 0
    for name, table in tables.items():
        offsets = [begin, begin + table.nbytes]
        header[name] = {"dtype": kinds[table.dtype], "shape": list(table.shape), "data_offsets": offsets}
        begin = offsets[1]
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)  # so that numbers lie at multiples of eight
    return b"".join((len(written).to_bytes(8, "little"), written, *(table.tobytes() for table in tables.values())))


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises RecipeError where it cannot be read."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise RecipeError(unreadable(str(file), error)) from error
    except ValueError as error:
        msg = f"{file} is no JSON: {error}"
        raise DataError(msg) from error
    if not isinstance(found, dict):
        msg = f"{file} holds a {type(found).__name__}, expected an object"
        raise DataError(msg)
    return found


def _places(file: Path) -> dict[str, Place]:
    try:
        header, body = _header(file)
        size = file.stat().st_size
    except OSError as error:
        raise RecipeError(unreadable(str(file), error)) from error
    except ValueError as error:
        msg = f"{file} is no safetensors file ({error}): fetch it again"
        raise DataError(msg) from error
    found = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = (body + int(offset) for offset in about["data_offsets"])
        if not body <= begin <= end <= size:
            msg = f"{file} ends at byte {size}, and its tensor {name!r} at byte {end}: it is cut short; fetch it again"
            raise DataError(msg)
        found[name] = _place(file, name, about, begin, end)
    return found


def _place(file: Path, name: str, about: Mapping[str, Any], begin: int, end: int) -> Place:
    place = Place(file, str(about["dtype"]), tuple(map(int, about["shape"])), begin)
    width = np.dtype(_KINDS.get(place.kind, "V0")).itemsize
    if width and math.prod(place.shape) * width != end - begin:
        msg = f"{file}: tensor {name!r} of shape {place.shape} and kind {place.kind} has {end - begin} bytes"
        raise DataError(f"{msg}: the file is damaged; fetch it again")
    return place


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """What a file says of its tensors, and where their bytes begin. Raises ValueError."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= _LONGEST_HEADER:
            msg = f"its header would be {length} bytes long"
            raise ValueError(msg)
        header = json.loads(opened.read(length))
    entries = header.items() if isinstance(header, dict) else [("", None)]
    for name, about in entries:
        whole = isinstance(about, dict) and {"dtype", "shape", "data_offsets"} <= about.keys()
        if not whole and name != "__metadata__":
            msg = f"its header says nothing of tensor {name!r}"
            raise ValueError(msg)
    return header, 8 + length
