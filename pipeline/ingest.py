"""Groups of files -> shards with stable ids, and an account of every row that could not be read."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import DataError, RecipeError, fingerprint
from pipeline.corpus import HIDDEN, PATH, POSITION, View, logical_digest, parquet_bytes
from pipeline.grouping import IngestItem
from pipeline.readers.base import MEGABYTE, BadRow, Documents, ReadOptions, origin
from pipeline.storage import arrow_bytes
from pipeline.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pipeline.recipe import Input

REVISION: Final = 1
BAD_SCHEMA: Final = pa.schema(
    [
        ("source", pa.string()),
        ("rule", pa.string()),
        ("excerpt", pa.string()),
        ("origin", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class Spec:
    """What an input's entry decides about its documents; everything here is part of a shard's identity."""

    source: str
    format: str
    options: ReadOptions
    labels: tuple[tuple[str, Any], ...]
    prefix_ids: bool
    shard_bytes: int

    @classmethod
    def of(cls, entry: Input, *, shard_mb: float, num_corpora: int) -> Spec:
        """The spec of a recipe's input."""
        columns = entry.columns
        options = ReadOptions(
            text=columns.text,
            id=columns.id,
            rename=dict(columns.rename),
            keep=None if columns.keep == "all" else columns.keep,
            max_document_mb=entry.max_document_mb,
            documents=entry.documents,
        )
        labels = tuple(sorted(entry.labels.items()))
        prefix = bool(columns.id) and num_corpora > 1
        return cls(entry.name, entry.format, options, labels, prefix, int(shard_mb * MEGABYTE))

    @property
    def identity(self) -> str:
        """The spec as a fingerprint."""
        content = {**asdict(self), "revision": REVISION}
        content["labels"] = [[name, repr(value)] for name, value in self.labels]
        return fingerprint(content)


@dataclass(frozen=True)
class IngestTask:
    """Read pieces and commit shards, each of about `shard_bytes` of text, and the rows that could not be read."""

    root: str
    spec: Spec

    def name_of(self, item: IngestItem) -> str:
        """Where the descriptor lies."""
        key = self.key(item)
        return f"ingested/{key[:2]}/{key}.json"

    def key(self, item: IngestItem) -> str:
        """Made of the spec and of the files' paths, contents and ranges; not of where the files lie."""
        pieces = [[p.file.path, digest, p.format, p.start, p.stop] for p, digest in item.pieces]
        return fingerprint([self.spec.identity, pieces])

    def __call__(self, item: IngestItem) -> dict[str, Any]:
        """Returns {"shards": [...], "bad": file, "num_bad": {rule: rows}, "rows_read": n}."""
        from pipeline.readers.pieces import read_many

        store, key = Vault(self.root), self.key(item)
        writer = _ShardWriter(store, f"shards/{key[:2]}/{key[:32]}", self.spec, item.pieces[0][0].format)
        bad: list[pa.Table] = []
        rows_read = 0
        pieces = [piece for piece, _ in item.pieces]
        for batch, owners in read_many(pieces, self.spec.options):
            rows_read += batch.table.num_rows + len(batch.bad)
            if batch.bad:
                bad.append(bad_table(self.spec.source, batch.bad))
            if batch.table.num_rows:
                paths = [pieces[owner].file.path for owner in owners.tolist()]
                writer.add(paths[0], document_table(self.spec, batch.table, paths, batch.positions))
        item.refuse_changes()
        result: dict[str, Any] = {"shards": writer.finish(), "bad": "", "num_bad": {}, "rows_read": rows_read}
        if bad:
            table = pa.concat_tables(bad)
            result["bad"] = f"dropped/{key[:2]}/{key}.arrow"
            result["num_bad"] = dict(sorted(Counter(table["rule"].to_pylist()).items()))
            store.write(result["bad"], arrow_bytes(table))
        store.write_json(self.name_of(item), {**result, "holds": store.written})
        return result


class _ShardWriter:
    """Collects documents and commits a shard whenever the next one would not fit."""

    def __init__(self, store: Vault, prefix: str, spec: Spec, kind: str) -> None:
        self.store = store
        self.prefix = prefix
        self.spec = spec
        self.style = f"{kind}/{spec.options.documents}"
        self.tables: list[tuple[str, pa.Table]] = []
        self.size = 0
        self.shards: list[dict[str, Any]] = []

    def add(self, path: str, table: pa.Table) -> None:
        """Add documents, the first of which is from `path`; cut where the text would pass the shard's size."""
        ends = np.cumsum(pc.binary_length(table["text"]).to_numpy())
        start = 0
        while start < table.num_rows:
            before = int(ends[start - 1]) if start else 0
            room = self.spec.shard_bytes - self.size
            stop = max(int(np.searchsorted(ends, before + room, side="right")), start + (0 if self.size else 1))
            if stop > start:
                self.tables.append((path, table.slice(start, stop - start)))
                self.size += int(ends[stop - 1]) - before
            if stop < table.num_rows:
                self._commit()
            start = stop

    def finish(self) -> list[dict[str, Any]]:
        """Commit what is left; returns the shards' descriptors in order."""
        if self.tables:
            self._commit()
        return self.shards

    def _commit(self) -> None:
        from pipeline.readers.schema import fit, unify

        named = list({str(table.schema): (path, table.schema) for path, table in self.tables}.values())
        schema = unify(named)
        table = pa.concat_tables([fit(table, schema, path) for path, table in self.tables]).combine_chunks()
        name = f"{self.prefix}-{len(self.shards)}.parquet"
        self.store.write(name, parquet_bytes(table))
        self.shards.append(
            {
                "file": name,
                "digest": logical_digest(table),
                "rows": table.num_rows,
                "bytes": self.size,
                "style": self.style,
                "schema": base64.b64encode(table.schema.serialize()).decode(),
                "first": self.tables[0][0],
                "float_safe": float_safe(table),
            }
        )
        self.tables, self.size = [], 0


def float_safe(table: pa.Table) -> list[str]:
    """The integer columns whose values all fit a double exactly."""
    limit = 2**53
    safe = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_integer(column.type):
            low, high = pc.min_max(column).as_py().values()
            if low is None or (low >= -limit and high <= limit):
                safe.append(name)
    return safe


def document_table(spec: Spec, table: pa.Table, paths: Sequence[str], positions: NDArray[np.int64]) -> pa.Table:
    """Rows as documents: `id, text, source`, the input's columns, the labels, and where each came from (its path)."""
    rows, path = table.num_rows, paths[0]
    taken = [name for name in table.column_names if name in HIDDEN]
    if taken:
        raise RecipeError(f"input {spec.source!r}: {path} has a column {taken[0]!r}, a name that is ours; rename it")
    clash = sorted({name for name, _ in spec.labels} & set(table.column_names))
    if clash:
        raise RecipeError(
            f"input {spec.source!r}: the label {clash[0]!r} is already a column of {path}; rename one of them"
        )
    if "id" in table.column_names and not spec.options.id:
        raise RecipeError(
            f"input {spec.source!r}: {path} has a column 'id', and the recipe does not say what it is: let it name the "
            "documents (columns: {id: id}), give it another name (columns: {rename: {id: other_id}}), or leave it out "
            "(columns: keep)"
        )
    if spec.options.id:
        ids = table["id"].cast(pa.string())
        if spec.prefix_ids:
            ids = pc.binary_join_element_wise(pa.scalar(spec.source), ids, "/")
    else:
        ids = pa.array(document_ids(spec.source, paths, positions), pa.string())
    source = (
        table["source"].cast(pa.string())
        if "source" in table.column_names
        else pa.array([spec.source] * rows, pa.string())
    )
    columns: dict[str, Any] = {
        "id": ids,
        "text": table["text"].cast(pa.large_string()),
        "source": pc.fill_null(source, spec.source),
    }
    columns.update({name: table[name] for name in table.column_names if name not in columns})
    columns.update({name: pa.array([value] * rows) for name, value in spec.labels})
    columns[PATH] = pa.array(paths, pa.string())
    columns[POSITION] = pa.array(positions, pa.int64())
    return pa.table(columns)


def document_ids(source: str, paths: Iterable[str], positions: Iterable[int]) -> list[str]:
    """128-bit ids (hex) of rows without one: xxh3 of input name, relative path and position.

    >>> document_ids("docs", ["a.txt"], [0])
    ['b93bfb216c3ed638ca4d81c5d68c69a2']
    """
    import xxhash

    digest = xxhash.xxh3_128_hexdigest
    return [digest(f"{source}\0{path}\0{place}".encode()) for path, place in zip(paths, positions, strict=True)]


def bad_table(source: str, bad: Iterable[BadRow]) -> pa.Table:
    """Rows that could not be read, as `BAD_SCHEMA`."""
    rows = [
        {"source": source, "rule": b.rule, "excerpt": b.excerpt, "origin": b.origin, "detail": b.detail} for b in bad
    ]
    return pa.Table.from_pylist(rows, BAD_SCHEMA)


def view_of(shard: dict[str, Any]) -> View:
    """The view on a fresh shard: all of its rows."""
    return View(shard["file"], shard["digest"], shard["rows"], shard["rows"], shard["bytes"], shard["style"])


def schema_of(shard: dict[str, Any]) -> pa.Schema:
    """A shard's schema, from its descriptor."""
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(shard["schema"])))


def corpus_schema(shards: Sequence[dict[str, Any]]) -> pa.Schema:
    """One schema for all shards: lossless, or DataError naming two files and the column."""
    from pipeline.readers.schema import unify

    distinct: dict[str, tuple[str, pa.Schema]] = {}
    for shard in shards:
        distinct.setdefault(shard["schema"], (shard["first"], schema_of(shard)))
    schema = unify(list(distinct.values()))
    for shard in shards:
        for field in schema_of(shard):
            widened = pa.types.is_integer(field.type) and pa.types.is_floating(schema.field(field.name).type)
            if widened and field.name not in shard["float_safe"]:
                raise DataError(
                    f"{shard['first']}: the column {field.name!r} holds integers beyond 2^53; another file has it as "
                    f"{schema.field(field.name).type}: one type would lose digits; rename or leave out the column "
                    "(columns: keep)"
                )
    return schema


def origins(table: pa.Table, style: str) -> pa.Array:
    """Where rows came from, for people, from their hidden columns."""
    kind, _, documents = style.partition("/")
    pairs = zip(table[PATH].to_pylist(), table[POSITION].to_pylist(), strict=True)
    by_line: Documents = "line" if documents == "line" else "file"
    return pa.array([origin(p, kind, n, by_line) for p, n in pairs], pa.string())
