"""Verdicts in full, the trace of what they drop, examples for people, the document that breaks an operator."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import ROW, RULE, BatchFn
from pipeline.corpus import PATH, POSITION
from pipeline.ledger import EXAMPLES, EXCERPT_CHARS

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERDICT_TYPES: Final = {
    RULE: pa.string(),
    "value": pa.float64(),
    "threshold": pa.float64(),
    "survivor": pa.string(),
    "similarity": pa.float64(),
    "detail": pa.string(),
}


def trace_of(
    place: int, rows: NDArray[np.int32], dropped: pa.Table, verdict: pa.Table, *, shows_text: bool = True
) -> pa.Table:
    """The stored trace of dropped rows. `place` is the node's in its stage: no step name is stored."""
    excerpt = pc.utf8_slice_codeunits(dropped["text"], 0, EXCERPT_CHARS).cast(pa.string())
    if not shows_text:
        excerpt = pa.nulls(len(rows), pa.string())
    return pa.table(
        {
            ROW: pa.array(rows, pa.int32()),
            "node": pa.array(np.full(len(rows), place, np.int16)),
            "id": dropped["id"].cast(pa.string()),
            "source": dropped["source"].cast(pa.string()),
            **{name: verdict[name] for name in VERDICT_TYPES},
            "excerpt": excerpt,
            PATH: dropped[PATH].cast(pa.string()),
            POSITION: dropped[POSITION],
        }
    )


def as_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column cast to a type, or as it is where it has that type already or any will do (`null`)."""
    return column if column.type == kind or pa.types.is_null(kind) else column.cast(kind)


def complete(verdict: pa.Table) -> pa.Table:
    """A verdict with all its columns, absent ones null."""
    rows = verdict.num_rows
    return pa.table(
        {
            name: as_type(verdict[name], kind)
            if name in verdict.column_names
            else pa.chunked_array([pa.nulls(rows, kind)])
            for name, kind in VERDICT_TYPES.items()
        }
    )


def examples_of(trace: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """A few dropped documents per rule, chosen by a hash of their ids, so that any sharding shows the same."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in trace[RULE].unique().to_pylist():
        rows = trace.filter(pc.equal(trace[RULE], rule)).select(
            ["id", "source", "value", "threshold", "survivor", "similarity", "excerpt", "detail"]
        )
        order = [hashlib.blake2b(str(i).encode(), digest_size=6).hexdigest() for i in rows["id"].to_pylist()]
        best = sorted(range(len(order)), key=order.__getitem__)[:EXAMPLES]
        found[rule] = [{"order": order[i], **rows.slice(i, 1).to_pylist()[0]} for i in best]
    return found


def culprit_of(function: BatchFn, table: pa.Table) -> str | None:
    """The id of the first document on which a pure function fails alone; None where it fails only together."""
    while table.num_rows > 1:
        half = table.num_rows // 2
        first = table.slice(0, half)
        table = first if _fails(function, first) else table.slice(half)
    if table.num_rows == 1 and _fails(function, table):
        return str(table["id"][0].as_py())
    return None


def _fails(function: BatchFn, table: pa.Table) -> bool:
    try:
        function(table)
    except (Exception, SystemExit):  # Whatever an operator raises: the question is only whether it does.
        return True
    return False
