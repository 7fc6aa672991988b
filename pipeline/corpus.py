"""Shards, views on shards, and the one place that writes Parquet.

An ingested shard is written once. What later steps do to it is kept beside it, in two kinds of small files: a *layer*
holds columns that an operator computed (or rewrote) for some of the shard's rows, and a *selection* holds which rows
are left. A `View` names a shard, a selection and layers; text is copied again only when the result is published. So a
moved threshold writes a new selection and nothing else.

Identity: `View.digest(columns)` names the content of those columns for the rows that are left: the shard's logical
digest, the selection's, and the keys of the layers that the columns lie in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.base import ROW, fingerprint
from pipeline.storage import Store, arrow_bytes, read_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

PATH: Final = "_path"
POSITION: Final = "_position"
HIDDEN: Final = (PATH, POSITION)
ROW_GROUP: Final = 16_384


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """A table as a Parquet file; fixed settings, so that equal tables give equal bytes in one locked environment."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        sink,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=1,
        version="2.6",
        data_page_version="2.0",
        write_statistics=True,
        store_schema=True,
    )
    return sink.getvalue()


def read_parquet(store: Store, name: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file of ours, on one Arrow thread."""
    with store.buffer(name) as source:
        table: pa.Table = pq.read_table(source, columns=columns, use_threads=False)
    return table


def logical_digest(table: pa.Table) -> str:
    """sha256 over names, types, nulls and values: not over how the columns are chunked, sliced or padded."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.combine_chunks().columns, strict=True):
        digest.update(f"{name}\0{column.type}\0{len(column)}\0{column.null_count}\0".encode())
        for chunk in column.chunks:
            for part in _content(chunk):
                digest.update(part)
    return digest.hexdigest()


def _content(array: pa.Array) -> Iterable[bytes | memoryview]:
    """Nulls first; then the values as bytes, what may lie under a null blanked out."""
    kind = array.type
    if array.null_count:
        yield np.asarray(array.is_null()).tobytes()
        if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
            array = array.fill_null(pa.scalar("" if pa.types.is_large_string(kind) else b"", kind))
    if pa.types.is_dictionary(kind):
        yield from _content(array.cast(kind.value_type))
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        yield pc.binary_length(array).to_numpy(zero_copy_only=False).tobytes()
        offsets = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, array.offset * 8)
        data = array.buffers()[2]
        if data is not None:
            yield memoryview(data)[int(offsets[0]) : int(offsets[-1])]
    elif pa.types.is_string(kind):
        yield from _content(array.cast(pa.large_string()))
    elif pa.types.is_binary(kind):
        yield from _content(array.cast(pa.large_binary()))
    elif _is_plain(kind):
        yield array.fill_null(pa.scalar(0).cast(kind)).to_numpy(zero_copy_only=False).tobytes()
    elif pa.types.is_temporal(kind) and kind.bit_width <= 64:
        yield from _content(array.view(pa.int64() if kind.bit_width == 64 else pa.int32()))
    else:  # Nested and rare types: their IPC form, from a copy that starts at offset 0.
        yield memoryview(arrow_bytes(pa.table({"c": pa.concat_arrays([array])})))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


@dataclass(frozen=True)
class Layer:
    """Columns computed for a shard: the file that holds them and the key that says from what they were computed."""

    file: str
    key: str


@dataclass(frozen=True)
class View:
    """An ingested shard, the rows of it that are left, and where each further column lies.

    `columns` maps a public column name to (index in `layers`, name in the layer's file).
    """

    shard: str
    digest_of_shard: str
    num_shard_rows: int
    num_rows: int
    num_bytes: int
    style: str
    selection: str = ""
    digest_of_selection: str = ""
    layers: tuple[Layer, ...] = ()
    columns: dict[str, tuple[int, str]] = field(default_factory=dict)

    def digest(self, columns: Sequence[tuple[str, str]]) -> str:
        """The identity of some columns (name, type as text) on the rows that are left.

        The name of a step's own column, `_<step>_<column>`, is left out: only its step reads it, by its stored name.
        """
        keys = [
            ["" if name.startswith("_") else name, kind, self.layers[self.columns[name][0]].key, self.columns[name][1]]
            if name in self.columns
            else [name, kind]
            for name, kind in sorted(columns)
        ]
        return fingerprint([self.digest_of_shard, self.digest_of_selection, keys])

    def with_layer(self, layer: Layer, names: dict[str, str]) -> View:
        """The view with further (or rewritten) columns: public name -> name in the layer's file."""
        index = len(self.layers)
        added = {public: (index, stored) for public, stored in names.items()}
        return replace(self, layers=(*self.layers, layer), columns={**self.columns, **added})

    def with_selection(self, file: str, digest: str, num_rows: int, num_bytes: int) -> View:
        """The view with fewer rows."""
        return replace(self, selection=file, digest_of_selection=digest, num_rows=num_rows, num_bytes=num_bytes)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__ if name != "layers"},
            "layers": [[layer.file, layer.key] for layer in self.layers],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> View:
        """The inverse of `to_json`."""
        return cls(
            **{
                **content,
                "layers": tuple(Layer(*layer) for layer in content["layers"]),
                "columns": {name: (int(place[0]), str(place[1])) for name, place in content["columns"].items()},
            }
        )


class Frame:
    """A view's rows in memory, each column read when it is first asked for. A worker holds one at a time.

    `schema` is the corpus's: a column that this shard lacks reads as nulls, a narrower type is widened.
    """

    def __init__(self, store: Store, view: View, schema: pa.Schema) -> None:
        self.store = store
        self.view = view
        self.schema = schema
        self.rows: NDArray[np.int32]
        if view.selection:
            self.rows = read_arrow(store, view.selection)[ROW].to_numpy()
        else:
            self.rows = np.arange(view.num_shard_rows, dtype=np.int32)
        self._loaded: dict[str, pa.ChunkedArray] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def table(self, names: Iterable[str]) -> pa.Table:
        """Some columns of the rows that are left, in row order."""
        names = list(names)
        missing = [name for name in names if name not in self._loaded]
        self._read_shard([name for name in missing if name not in self.view.columns])
        for name in missing:
            if name in self.view.columns:
                self._loaded[name] = self._read_layer(name)
        return pa.table({name: self._loaded[name] for name in names})

    def has(self, name: str) -> bool:
        """Whether a step has added the column, or the shard came with it."""
        return name in self.view.columns or name in self._in_shard

    @cached_property
    def _in_shard(self) -> frozenset[str]:
        return frozenset(shard_columns(self.store, self.view.shard))

    def put(self, view: View, columns: dict[str, pa.ChunkedArray]) -> None:
        """Take over a view with one more layer, and that layer's columns for the rows that are left."""
        self.view = view
        self._loaded.update(columns)

    def keep(self, mask: pa.Array, view: View) -> None:
        """Go on with the rows where `mask` is true; `view` names that selection."""
        self.view = view
        self.rows = self.rows[mask.to_numpy(zero_copy_only=False)]
        self._loaded = {name: column.filter(mask) for name, column in self._loaded.items()}

    def row_table(self) -> pa.Table:
        """The rows that are left, as a selection file holds them."""
        return pa.table({ROW: pa.array(self.rows, pa.int32())})

    def _read_shard(self, names: list[str]) -> None:
        if not names:
            return
        there = self._in_shard
        found = [name for name in names if name in there]
        table = read_parquet(self.store, self.view.shard, found) if found else None
        take = None if len(self.rows) == self.view.num_shard_rows else pa.array(self.rows)
        for name in names:
            if table is None or name not in there:
                self._loaded[name] = pa.chunked_array([pa.nulls(len(self.rows), self.schema.field(name).type)])
                continue
            column = table[name] if take is None else table[name].take(take)
            wanted = self.schema.field(name).type if name in self.schema.names else column.type
            self._loaded[name] = column if column.type == wanted else column.cast(wanted)

    def _read_layer(self, name: str) -> pa.ChunkedArray:
        index, stored = self.view.columns[name]
        table = read_arrow(self.store, self.view.layers[index].file)
        return align(table, self.rows)[stored]


def align(table: pa.Table, rows: NDArray[np.int32]) -> pa.Table:
    """A table's rows (it has a sorted `_row` column) put in the order of `rows`; nulls where it has no such row."""
    have = table[ROW].to_numpy()
    if len(have) == len(rows) and np.array_equal(have, rows):
        return table
    place = np.searchsorted(have, rows)
    absent = (
        (place >= len(have)) | (have[np.minimum(place, len(have) - 1)] != rows)
        if len(have)
        else np.ones(len(rows), bool)
    )
    return table.take(pa.array(place, mask=absent))


def shard_columns(store: Store, name: str) -> tuple[str, ...]:
    """The columns that a shard's file holds."""
    with store.buffer(name, verify=False) as source:
        return tuple(pq.read_schema(source).names)
