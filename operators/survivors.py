"""Which of several documents stays: declared priority of its source, then longer text, then smaller id.

One rule for every operator that must choose among documents. It looks at nothing that depends on how the corpus was
sharded, so the same documents survive under any layout. Length is in bytes of UTF-8; ids compare by code point.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from operators.base import ROW, SHARD, Columns

SOURCE = "source"


def candidate_needs(priority: tuple[str, ...]) -> Columns:
    """The columns that the choice reads: the text for its length, the source only where sources are ranked."""
    needs = {"text": pa.large_string()}
    return {**needs, SOURCE: pa.string()} if priority else needs


def candidates(rows: pa.Table, priority: tuple[str, ...]) -> pa.Table:
    """What the choice needs to know of each row: `id, priority, length, _row`.

    Sources that `priority` does not name share the last place.

    >>> rows = pa.table({"id": ["x"], "text": ["abc"], "source": ["web"], "_row": [0]})
    >>> candidates(rows, ("books", "web")).to_pylist()
    [{'id': 'x', 'priority': 1, 'length': 3, '_row': 0}]
    """
    if priority:
        order = pa.array(priority, pa.string())
        place = pc.fill_null(pc.index_in(rows[SOURCE].cast(pa.string()), value_set=order), len(priority))
    else:
        place = pa.nulls(rows.num_rows, pa.int32()).fill_null(0)
    return pa.table(
        {
            "id": rows["id"].cast(pa.string()),
            "priority": place,
            "length": pc.binary_length(rows["text"].cast(pa.large_binary())),
            ROW: rows[ROW].cast(pa.int32()),
        }
    )


def best_first(state: pa.Table, *groups: str) -> pa.Table:
    """The merged state sorted by the group columns, and inside a group from the survivor to the least wanted."""
    keys = [(name, "ascending") for name in groups]
    keys += [("priority", "ascending"), ("length", "descending"), ("id", "ascending")]
    # An input may break the promise of unique ids; position then keeps the result one and the same.
    return state.sort_by([*keys, (SHARD, "ascending"), (ROW, "ascending")])


def repeated(names: tuple[str, ...]) -> str:
    """The first name that occurs twice, or "".

    >>> repeated(("a", "b", "a"))
    'a'
    """
    return next((name for index, name in enumerate(names) if name in names[:index]), "")
