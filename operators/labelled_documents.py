"""The documents of a class, drawn by hash: the first two stages for each of its sources in `train_classifier`.

A source is a reference input or the rows that a condition holds for. `Draw` reads ids and sizes alone and keeps the
first `max_documents` places; `Collect` reads the texts of those. So no state holds a text that is not used, and the
same documents are drawn however the rows lie in shards.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Context, Outputs
from operators.conditions import FoldOverChosen
from operators.groups import joined
from operators.hashing import Words, row_hashes

DRAWN: Final = "_drawn"
DOCUMENTS: Final = "_documents"

_DRAWN: Final = pa.schema(
    [("place", pa.uint64()), ("id", pa.string()), ("documents", pa.int64()), ("bytes", pa.int64())]
)
_COLLECTED: Final = pa.schema(
    [("order", pa.uint64()), ("held_out", pa.bool_()), ("id", pa.string()), ("text", pa.large_string())]
)


class Last(NamedTuple):
    """The last document that is drawn."""

    place: int
    id: str


class Source(FoldOverChosen):
    """What both stages share: which documents are meant, and their order."""

    max_documents: int

    seeded: ClassVar[bool] = True

    def places(self, rows: pa.Table, seed: int, purpose: str) -> Words:
        """A hash of each id; inputs that share ids do not share places."""
        return row_hashes(rows["id"], seed, f"train_classifier {purpose} {self.reference}")


class Draw(Source):
    """The first places: `_drawn`, a row for each document, and one without id for all others together."""

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            rows = self.chosen(rows)
            columns = {
                "place": self.places(rows, context.seed, "draw"),
                "id": rows["id"].cast(pa.string()),
                "documents": np.ones(rows.num_rows, np.int64),
                "bytes": pc.binary_length(rows["text"]).cast(pa.int64()),
            }
            return self.merge(pa.table(columns, _DRAWN))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return first_places(state, self.max_documents)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {DRAWN: self.merge(state)}


class Collect(Source):
    """The texts of what was drawn: `_documents`, with the place of each in training, and whether it is held out."""

    draws: tuple[str, ...]
    """The stages that drew, of all sources of the class."""
    held_out: float

    @override
    def uses(self) -> tuple[str, ...]:
        return self.draws

    @override
    def bind(self, context: Context) -> BatchFn:
        drawn = [context.artifacts[name].table(DRAWN) for name in self.draws]
        last = last_place(pa.concat_tables(drawn), self.max_documents)
        bound = self.held_out * 2.0**64

        def apply(rows: pa.Table) -> pa.Table:
            rows = self.chosen(rows)
            place = self.places(rows, context.seed, "draw")
            rows = rows.filter(_until(last, place, rows["id"].cast(pa.string())))
            columns = {
                "order": self.places(rows, context.seed, "order"),
                "held_out": row_hashes(rows["id"], context.seed, "train_classifier held out") < bound,
                "id": rows["id"].cast(pa.string()),
                "text": rows["text"],
            }
            return pa.table(columns, _COLLECTED)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {DOCUMENTS: state.sort_by([("order", "ascending"), ("id", "ascending")])}


def first_places(state: pa.Table, count: int) -> pa.Table:
    """The first rows by place and id, and the others' sums in a row without id.

    >>> state = pa.table([[3, 1, 2], ["c", "a", "b"], [1, 1, 1], [30, 10, 20]], schema=_DRAWN)
    >>> first_places(state, 1).to_pylist()[1]
    {'place': None, 'id': None, 'documents': 2, 'bytes': 50}
    """
    state = state.sort_by([("place", "ascending"), ("id", "ascending")])
    has_id = pc.is_valid(state["id"])
    named = state.filter(has_id)
    rest = pa.concat_tables([named.slice(count), state.filter(pc.invert(has_id))])
    sums = [pc.sum(rest[name]).as_py() or 0 for name in ("documents", "bytes")]
    if not sums[0]:
        return named
    return pa.concat_tables([named.slice(0, count), pa.table([[None], [None], *([value] for value in sums)], _DRAWN)])


def last_place(drawn: pa.Table, count: int) -> Last | None:
    """The last document of the first `count`; None if there is none."""
    first = first_places(drawn, count)
    named = first.filter(pc.is_valid(first["id"]))
    if not named.num_rows:
        return None
    return Last(**named.select(["place", "id"]).slice(named.num_rows - 1).to_pylist()[0])


def _until(last: Last | None, place: Words, identity: pa.ChunkedArray) -> pa.Array:
    """Which documents are drawn: those whose place and id are not after the last."""
    if last is None:
        return pa.array(np.zeros(place.size, bool))
    among = pc.less_equal(joined(identity), last.id).to_numpy(zero_copy_only=False)
    bound = np.uint64(last.place)
    return pa.array((place < bound) | ((place == bound) & among))
