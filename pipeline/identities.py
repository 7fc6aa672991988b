"""Steps that the engine itself puts first: ids are unique, and ids on a block list are left out."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import ClassVar, Self

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from operators.base import (
    ROW,
    ROWS,
    RULE,
    SHARD,
    BatchFn,
    Columns,
    Composite,
    Context,
    Fold,
    Judge,
    Map,
    Outputs,
    RecipeError,
    Repeat,
)
from pipeline.corpus import PATH, POSITION
from pipeline.readers.base import Documents, origin
from pipeline.readers.formats import format_by_name

DUPLICATE_ID = "duplicate_id"
EXCLUDED_ID = "excluded_id"


class UniqueIds(Composite):
    """Quarantine every row whose id an earlier row has, by path and position. Runs where inputs map ids.

    `formats` has each corpus input's name, format and `documents`: they decide how a place in a file is written.
    """

    formats: tuple[tuple[str, str, Documents], ...]

    @override
    def needs(self) -> Columns:
        return {"id": pa.string()}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return RowsById(name="ids", formats=self.formats), RepeatedId(name="verdict", max_drop_ratio=1.0)


class RowsById(Fold):
    """Rows by id, to `_rows`: for each later row with an id, where the first one is."""

    formats: tuple[tuple[str, str, Documents], ...]

    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {"id": pa.string(), PATH: pa.string(), POSITION: pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select(["id", PATH, POSITION, ROW])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        order = state.sort_by([("id", "ascending"), (PATH, "ascending"), (POSITION, "ascending")]).combine_chunks()
        ids = order["id"].combine_chunks()
        if len(ids) < 2:
            return {ROWS: self._firsts(order.slice(0, 0), order.slice(0, 0))}
        again = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1))
        numbers = pa.array(range(len(ids)), pa.int64())
        starts = pc.if_else(pa.concat_arrays([pa.array([False]), again]), pa.scalar(None, pa.int64()), numbers)
        first = order.take(pc.fill_null_forward(starts))
        later = pa.concat_arrays([pa.array([False]), again])
        return {ROWS: self._firsts(order.filter(later), first.filter(later))}

    def _firsts(self, later: pa.Table, first: pa.Table) -> pa.Table:
        rows = zip(first["id"].to_pylist(), first[PATH].to_pylist(), first[POSITION].to_pylist(), strict=True)
        places = [self._origin(row_id, path, position) for row_id, path, position in rows]
        return pa.table({SHARD: later[SHARD], ROW: later[ROW], "first": pa.array(places, pa.string())})

    def _origin(self, row_id: str, path: str, position: int) -> str:
        """Where there are several inputs, an id begins with the name of its own."""
        inputs = {name: (kind, documents) for name, kind, documents in self.formats}
        name = row_id.partition("/")[0] if len(inputs) > 1 else next(iter(inputs))
        kind, documents = inputs[name]
        return origin(path, format_by_name(path) if kind == "auto" else kind, position, documents)


class RepeatedId(Judge):
    """The verdict of `UniqueIds`: rule `duplicate_id`; the survivor is the first row with that id."""

    @override
    def needs(self) -> Columns:
        return {"id": pa.string()}

    @override
    def joins(self) -> str:
        return "ids"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select([])

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        again = rows["first"].is_valid()
        nothing = pa.scalar(None, pa.string())
        detail = [None if first is None else json.dumps({"first": first}) for first in rows["first"].to_pylist()]
        return pa.table(
            {
                RULE: pc.if_else(again, pa.scalar(DUPLICATE_ID), nothing),
                "survivor": pc.if_else(again, rows["id"], nothing),
                "detail": pa.array(detail, pa.string()),
            }
        )


class ExcludeIds(Judge):
    """Leave out the documents whose ids a file lists, one a line. `dropped/` names them, but shows nothing of them."""

    name: str = "exclude_ids"
    path: str
    digest: str
    num_listed: int = 0
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1)

    revision: ClassVar[int] = 2  # a byte order mark is no part of the first id
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio", "path", "num_listed"})
    shows_text: ClassVar[bool] = False

    @classmethod
    def from_file(cls, path: str) -> Self:
        """Read the list once, for its digest and its length; RecipeError if it cannot be read."""
        content = _read(path)
        return cls(path=path, digest=hashlib.sha256(content).hexdigest(), num_listed=len(_ids(content)))

    @override
    def needs(self) -> Columns:
        return {"id": pa.string()}

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select([])

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        listed = pc.is_in(rows["id"].cast(pa.string()), value_set=_listed(self.path, self.digest))
        return pa.table({RULE: pc.if_else(listed, pa.scalar(EXCLUDED_ID), pa.scalar(None, pa.string()))})


def _read(path: str) -> bytes:
    try:
        with fsspec.open(path, "rb") as file:
            content: bytes = file.read()
    except (OSError, ValueError, ImportError) as error:
        raise RecipeError(f"exclude_ids: cannot read {path!r}: {error}") from error
    return content


@lru_cache(maxsize=2)
def _listed(path: str, digest: str) -> pa.Array:
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != digest:
        raise RecipeError(f"exclude_ids: {path!r} changed while the run read it; run again")
    return pa.array(sorted(_ids(content)), pa.string())


def _ids(content: bytes) -> set[str]:
    return {line.strip() for line in content.decode("utf-8-sig", "replace").splitlines()} - {""}
