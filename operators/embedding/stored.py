"""A directory of vectors as `embed_documents` writes it, or as anybody may: Parquet files with `id` and `embedding`.

It is read part by part, some thousand rows at a time, whatever its size. To find the vectors of a shard the ids of all
files are looked through: shards * documents ids, some ten million a second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.base import RecipeError, fingerprint
from operators.embedding.stages import EMBEDDING, FILE
from operators.vectors import MAX_DIM

ROWS_AT_ONCE: Final = 16_384
_CHUNK: Final = 1 << 22


class StoredVectors:
    """The vectors in a directory. RecipeError where there are none, or files differ in their form."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise RecipeError(f"there is no directory {path!r}: expected one with Parquet files of vectors")
        self.files = sorted(self.path.glob("*.parquet"))
        if not self.files:
            raise RecipeError(f"the directory {path!r} holds no *.parquet: expected files with `id` and `embedding`")
        self.type = self._type()

    @property
    def dimension(self) -> int:
        """Components of a vector; of uint8 eight to a byte."""
        size: int = self.type.list_size
        return size * 8 if pa.types.is_uint8(self.type.value_type) else size

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    def model(self) -> dict[str, Any]:
        """The content of `model.json`, which says what made them; empty where there is none."""
        file = self.path / FILE
        try:
            found = json.loads(file.read_bytes()) if file.is_file() else {}
        except ValueError as error:
            raise RecipeError(f"{file} is no JSON: {error}") from error
        return found if isinstance(found, dict) else {}

    def digest(self) -> str:
        """One sha256 for the contents of all files in order."""
        return fingerprint([_digest(str(file), *_stamp(file)) for file in self.files])

    def batches(self, *, only_ids: bool = False) -> Iterator[pa.Table]:
        """The rows of all files in order, some at a time: `id` as string, and `embedding`."""
        for file in self.files:
            for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_ONCE, columns=["id"] if only_ids else None):
                table = pa.Table.from_batches([batch])
                ids = {"id": table["id"].cast(pa.string())}
                yield pa.table(ids if only_ids else {**ids, EMBEDDING: table[EMBEDDING]})

    def of(self, ids: pa.ChunkedArray) -> pa.Array:
        """The vectors of documents, a null where there is none; of an id that is there twice the first."""
        wanted = ids.cast(pa.string()).combine_chunks()
        if isinstance(wanted, pa.ChunkedArray):
            wanted = pa.concat_arrays(wanted.chunks) if wanted.num_chunks else pa.array([], pa.string())
        place = np.full(len(wanted), -1, np.int64)
        found: list[pa.Array] = [pa.array([], self.type)]
        count = 0
        for batch in self._holding(wanted):
            at = pc.index_in(wanted, value_set=batch["id"].combine_chunks()).fill_null(-1).to_numpy()
            fresh = np.flatnonzero((at >= 0) & (place < 0))
            place[fresh] = np.arange(count, count + fresh.size)
            found.append(pa.concat_arrays(batch[EMBEDDING].chunks).take(pa.array(at[fresh])))
            count += fresh.size
        return pa.concat_arrays(found).take(pa.array(place, mask=place < 0))

    def _holding(self, wanted: pa.Array) -> Iterator[pa.Table]:
        """Of each row group that has any of the ids, the rows that have."""
        for file in self.files:
            reader = pq.ParquetFile(file)
            for group in range(reader.num_row_groups):
                ids = reader.read_row_group(group, columns=["id"])["id"].cast(pa.string())
                hit = pc.is_in(ids, value_set=wanted)
                if pc.any(hit).as_py():
                    rows = reader.read_row_group(group, columns=["id", EMBEDDING]).filter(hit)
                    yield rows.set_column(rows.column_names.index("id"), "id", rows["id"].cast(pa.string()))

    def _type(self) -> pa.DataType:
        kinds = {}
        for file in self.files:
            try:
                schema = pq.read_schema(file)
            except (OSError, pa.ArrowInvalid) as error:
                raise RecipeError(f"{file} is no Parquet file: {error}") from error
            missing = [name for name in ("id", EMBEDDING) if name not in schema.names]
            if missing:
                raise RecipeError(f"{file} has no column {missing[0]!r}; it has {', '.join(schema.names)}")
            kinds[file] = schema.field(EMBEDDING).type
            _refuse_type(file, kinds[file])
        first = kinds[self.files[0]]
        other = next((file for file, kind in kinds.items() if kind != first), None)
        if other is not None:
            raise RecipeError(f"{other} holds {kinds[other]}, but {self.files[0]} {first}: expected one type in all")
        return first


def _refuse_type(file: Path, kind: pa.DataType) -> None:
    numbers = (pa.types.is_floating, pa.types.is_int8, pa.types.is_uint8)
    fits = pa.types.is_fixed_size_list(kind) and any(test(kind.value_type) for test in numbers)
    if not fits or not 1 <= kind.list_size * (8 if pa.types.is_uint8(kind.value_type) else 1) <= MAX_DIM:
        expected = f"a fixed_size_list of 1 to {MAX_DIM} halffloat, float, double or int8, or of bits in uint8"
        raise RecipeError(f"{EMBEDDING!r} in {file} is {kind}: expected {expected}")


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@cache
def _digest(file: str, size: int, time: int) -> str:
    """The sha256 of a file, which is read once for each time of change."""
    del size, time
    found = hashlib.sha256()
    with Path(file).open("rb") as source:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
