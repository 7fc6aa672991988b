"""Draw documents of each group until its budget ends: the folds that `sample` and `mix` share.

Every document has a place on [0, 2**64) that is a hash of the recipe's seed, its id and the name of the draw; a draw
keeps what lies first, and ids decide between equal places. A histogram of the places' first 16 bits finds, for each
group, the one bucket in which its budget ends, and only that bucket's documents are ranked. So a state holds at most
65,536 rows of counters a group, and a 65,536th of the corpus, and what is drawn depends on no order and no shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs
from operators.groups import summed
from operators.hashing import Words, as_labels, row_hashes

BUCKETS: Final = 1 << 16
LOW_BITS: Final = np.uint64(48)

Unit = Literal["docs", "bytes", "chars"]
Totals = Mapping[str | None, Mapping[str, int]]
"""Group -> measure (`docs`, `bytes`, and the draw's unit) -> how much of it there is."""

NOTHING: Final = -1
"""The budget of a group of which not even an empty document is to be drawn."""


class Drawing(Fold):
    """What both folds know: by which column the groups are formed, what is counted, and the draw's name."""

    by: str
    unit: Unit
    lot: str
    """Names the draw: another one has other places."""

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return grouped_text(self.by)

    def labels(self, rows: pa.Table) -> pa.Array:
        """The label of each row's group."""
        return groups(rows, self.by)

    @property
    def measures(self) -> list[str]:
        """What is counted."""
        return ["docs", "bytes", "chars"] if self.unit == "chars" else ["docs", "bytes"]

    def measured(self, rows: pa.Table) -> dict[str, npt.NDArray[np.int64]]:
        """Each document's measures."""
        found = {"docs": np.ones(rows.num_rows, np.int64), "bytes": sizes(rows)}
        return {**found, "chars": characters(rows)} if self.unit == "chars" else found


class Histogram(Drawing):
    """Measures per group and per first 16 bits of the place; where in them each group's budget ends.

    Leaves `_ends`: per group the bucket that the budget ends in (65,536 where it does not end), what of the budget is
    left for that bucket, and what lies before it.
    """

    def budgets(self, totals: Totals, context: Context) -> Mapping[str | None, int]:
        """How much to draw at most of each group, in the draw's unit; `NOTHING` for nothing at all."""
        raise NotImplementedError

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            bucket = (places(rows, context.seed, self.lot) >> LOW_BITS).astype(np.int32)
            return self.merge(pa.table({"group": self.labels(rows), "bucket": bucket, **self.measured(rows)}))

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "group", "bucket")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([("group", "ascending"), ("bucket", "ascending")])
        runs = spans(state["group"])
        names = state["group"].take(pa.array([low for low, _ in runs], pa.int64()))
        bucket = state["bucket"].to_numpy()
        counts = {name: state[name].to_numpy() for name in self.measures}
        available = {
            name: {measure: int(column[low:high].sum()) for measure, column in counts.items()}
            for name, (low, high) in zip(names.to_pylist(), runs, strict=True)
        }
        budgets = self.budgets(available, context)
        ends = []
        for (name, totals), (low, high) in zip(available.items(), runs, strict=True):
            spent = np.cumsum(counts[self.unit][low:high])
            whole = int(np.searchsorted(spent, budgets[name], side="right"))
            cut = low + whole
            before = {f"{measure}_before": int(column[low:cut].sum()) for measure, column in counts.items()}
            left = budgets[name] - (int(spent[whole - 1]) if whole else 0)
            end = {"bucket": int(bucket[cut]) if cut < high else BUCKETS, "left": left}
            ends.append({**end, **before, **{f"{measure}_available": size for measure, size in totals.items()}})
        columns = ["bucket", "left", *self._counted()]
        table = pa.Table.from_pylist(ends, pa.schema([(column, pa.int64()) for column in columns]))
        return {"_ends": table.add_column(0, "group", names)}

    def _counted(self) -> list[str]:
        return [f"{name}_{where}" for where in ("before", "available") for name in self.measures]


class Ranking(Drawing):
    """Rank the documents of each group's last bucket: per group the last place and id that are drawn."""

    @override
    def uses(self) -> tuple[str, ...]:
        return ("histogram",)

    @override
    def bind(self, context: Context) -> BatchFn:
        ends = context.artifacts["histogram"].table("_ends")

        def partial(rows: pa.Table) -> pa.Table:
            label, place = self.labels(rows), places(rows, context.seed, self.lot)
            end = ends["bucket"].take(index(label, ends["group"])).to_numpy()
            last = pa.array((place >> LOW_BITS).astype(np.int64) == end)
            few, ranked = rows.filter(last), {"group": label.filter(last), "place": pa.array(place).filter(last)}
            return pa.table({**ranked, "id": few["id"].cast(pa.string()), **self.measured(few)})

        return partial

    def drawn(self, state: pa.Table, context: Context) -> pa.Table:
        """Per group, in order: `last_place`, `last_id`, and of each measure what is drawn and `..._available`."""
        state = state.sort_by([("group", "ascending"), ("place", "ascending"), ("id", "ascending")])
        runs = dict(spans(state["group"]))
        ends = context.artifacts["histogram"].table("_ends").sort_by("group")
        first = index(ends["group"], state["group"]).to_pylist()
        size = {name: state[name].to_numpy() for name in self.measures}
        drawn = []
        for end, start in zip(ends.to_pylist(), first, strict=True):
            low, high = (start, runs[start]) if start is not None else (0, 0)
            fitting = int(np.searchsorted(np.cumsum(size[self.unit][low:high]), end["left"], side="right"))
            last = state.slice(low + fitting - 1, 1).to_pylist()[0] if fitting else {}
            # Where nothing of the bucket fits, all before it is kept: there is no such place before bucket 0.
            before = (end["bucket"] << int(LOW_BITS)) - 1
            entry: dict[str, Any] = {
                "last_place": last.get("place", before if before >= 0 else None),
                "last_id": last.get("id"),
            }
            for name, column in size.items():
                entry[name] = end[f"{name}_before"] + int(column[low : low + fitting].sum())
                entry[f"{name}_available"] = end[f"{name}_available"]
            drawn.append(entry)
        counted = [*self.measures, *(f"{name}_available" for name in self.measures)]
        schema = pa.schema([("last_place", pa.uint64()), ("last_id", pa.string()), *((c, pa.int64()) for c in counted)])
        return pa.Table.from_pylist(drawn, schema).add_column(0, "group", ends["group"])


def is_drawn(rows: pa.Table, at: pa.Array, draw: pa.Table, place: Words) -> pa.ChunkedArray:
    """Whether each row's (place, id) is not after its group's last; `at` says which row of `draw` is its group's."""
    places_of = pa.array(place)
    last_place, last_id = draw["last_place"].take(at), draw["last_id"].take(at)
    before = pc.less(places_of, last_place)
    among = pc.fill_null(pc.less_equal(rows["id"].cast(pa.string()), last_id), True)
    return pc.fill_null(pc.or_(before, pc.and_(pc.equal(places_of, last_place), among)), False)


def places(rows: pa.Table, seed: int, lot: str) -> Words:
    """Each document's place in the order of drawing."""
    return row_hashes(rows["id"], seed, lot)


def sizes(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Bytes of UTF-8 text."""
    length = pc.binary_length(rows["text"].cast(pa.large_binary()))
    counted: npt.NDArray[np.int64] = length.cast(pa.int64()).to_numpy()
    return counted


def characters(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Code points of text."""
    counted: npt.NDArray[np.int64] = pc.utf8_length(rows["text"]).cast(pa.int64()).to_numpy()
    return counted


def groups(rows: pa.Table, by: str) -> pa.Array:
    """The label of each row's group: the column as strings, "" for all where none is named."""
    return as_labels(rows[by]) if by else pa.nulls(rows.num_rows, pa.string()).fill_null("")


def grouped_text(by: str) -> Columns:
    """The columns that a draw by groups reads."""
    return {**({by: pa.null()} if by else {}), **TEXT}


def index(labels: pa.Array | pa.ChunkedArray, among: pa.ChunkedArray) -> pa.Array:
    """Where each label first stands in `among`; null matches null."""
    values = pa.concat_arrays(among.chunks) if among.num_chunks else pa.array([], pa.string())
    return pc.index_in(labels, value_set=values, skip_nulls=False)


def spans(group: pa.ChunkedArray) -> list[tuple[int, int]]:
    """The half-open run of each label in a sorted column."""
    codes = pc.dictionary_encode(group, null_encoding="encode").combine_chunks().indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    return list(zip(starts, [*starts[1:], codes.size], strict=False))
