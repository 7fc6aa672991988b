"""Find the lines or paragraphs that many documents share: the folds behind `line_dedup` and `paragraph_dedup`.

`counts` nominates: a 64-bit key of every line, a row for each distinct key of a shard, exchanged by key. `carriers`
hands each shard the keys that enough documents have. `copies` takes the 128-bit digests of those lines and decides by
them alone: anybody can build two lines of one key, but that only costs their digests. `top` lists the worst, and `cuts`
hands each document the places where it is to be cut.

State in bytes: 16 for a distinct line of a shard in `counts` (20 when merged), about 50 for each occurrence of a
repeated line after it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, TEXT, BatchFn, Columns, Context, Fold, Outputs
from operators.hashing import Normalisation, Words, piece_digests
from operators.survivors import candidate_needs, candidates
from operators.text_buffers import column_bytes

if TYPE_CHECKING:
    from operators.kernels.lines import Units

Unit = Literal["line", "paragraph"]
Keep = Literal["first", "none"]
Ints = npt.NDArray[np.int64]

TOP: Final = 1000
EXCERPT_BYTES: Final = 300
ROW_BITS: Final = 32
_CAPITAL_SIGMA, _FINAL_SIGMA = 0x3A3, 0x3C2


class _OverUnits(Fold):
    """A fold over the lines or paragraphs of the rows."""

    unit: Unit
    normalise: Normalisation
    min_chars: int
    min_documents: int

    partitioned: ClassVar[bool] = True

    def found(self, rows: pa.Table) -> tuple[npt.NDArray[np.uint8], Ints, Units]:
        """The bytes of the rows' texts, where each begins, and the lines that may go."""
        from operators.kernels.lines import find_units
        from operators.unicode_classes import class_table

        data, offsets = column_bytes(rows["text"])
        is_paragraph = self.unit == "paragraph"
        return data, offsets, find_units(data, offsets, is_paragraph, self.min_chars, class_table())

    def keys(self, data: npt.NDArray[np.uint8], units: Units) -> Words:
        """A number for each unit, the same for equal ones and seldom for others."""
        from operators.kernels.lines import keys

        starts, stops = units.starts, units.stops
        if self.normalise == "whitespace_case":
            from operators.kernels.collapse import collapsed

            data, offsets, _ = collapsed(data, starts, stops, _one_sigma())
            data.flags.writeable = False
            starts, stops = offsets[:-1], offsets[1:]
        found: Words = keys(data, starts, stops)
        return found


class UnitCounts(_OverUnits):
    """Nominate keys that occur in at least `min_documents` documents: `_candidates`, a row for each and its shard."""

    key: ClassVar[str] = "key"

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.lines import tally

        def partial(rows: pa.Table) -> pa.Table:
            data, _, units = self.found(rows)
            key, documents = tally(self.keys(data, units), units.document)
            # The shard's first row stands for the shard: with it the engine notes which one it was.
            carrier = np.full(key.size, rows[ROW][0].as_py() if rows.num_rows else 0, np.int32)
            return pa.table({"key": key, "documents": documents, ROW: carrier})

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        key, documents = state["key"].to_numpy(), state["documents"].to_numpy()
        order = np.argsort(key)
        first = np.flatnonzero(_starts(key[order]))
        total = np.add.reduceat(documents[order], first, dtype=np.int64) if key.size else np.zeros(0, np.int64)
        enough = order[np.repeat(total >= self.min_documents, np.diff(np.append(first, key.size)))]
        chosen = state.select([SHARD, ROW, "key"]).take(pa.array(enough))
        chosen = chosen.sort_by([("key", "ascending"), (SHARD, "ascending")])
        return {"_candidates": chosen.rename_columns(["shard", "carrier", "key"])}


class Carriers(Fold):
    """All candidates of a shard, handed to the row that stands for it."""

    key: ClassVar[str] = "shard"
    partitioned: ClassVar[bool] = True

    @override
    def source(self) -> str:
        return "stage:counts/_candidates"

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        shard = state["shard"].to_numpy()
        order = np.lexsort((state["key"].to_numpy(), shard))
        first = np.flatnonzero(_starts(shard[order]))
        rows = state.select(["shard", "carrier"]).take(pa.array(order[first])).rename_columns([SHARD, ROW])
        keys = _lists(state["key"].to_numpy()[order], first)
        return {ROWS: rows.append_column("candidates", keys)}


class Copies(_OverUnits):
    """Decide which copies go.

    Leaves the table `lines` or `paragraphs`: a row for every repeated one, by digest; and `_cuts`, for every copy that
    goes its document and its place there.
    """

    keep: Keep
    priority: tuple[str, ...]

    key: ClassVar[str] = "digest"

    @override
    def joins(self) -> str:
        return "carriers"

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.lines import Units, members

        def partial(rows: pa.Table) -> pa.Table:
            wanted = rows["candidates"].combine_chunks().flatten().to_numpy()
            if not wanted.size:
                rows = rows.slice(0, 0)
            data, offsets, units = self.found(rows)
            places = members(self.keys(data, units), wanted)
            hits = Units(*(values[places] for values in units))
            return self._state(rows, data, offsets, hits)

        return partial

    def _state(self, rows: pa.Table, data: npt.NDArray[np.uint8], offsets: Ints, hits: Units) -> pa.Table:
        """A row for every copy; the shard's first copy of each, in order of priority and id, has id and excerpt."""
        digests = piece_digests(data, hits.starts, hits.stops, self.normalise)
        documents = candidates(rows, self.priority).select(["id", "priority", ROW])
        rank = np.empty(rows.num_rows, np.int64)
        rank[_order(documents, "priority", "id", ROW)] = np.arange(rows.num_rows)
        order = np.lexsort((hits.starts, rank[hits.document], digests[:, 1], digests[:, 0]))
        best = np.zeros(order.size, bool)
        best[order[_starts(digests[order, 0], digests[order, 1])]] = True
        mine = documents.take(pa.array(hits.document))
        view = data.data
        excerpts = [
            bytes(view[start : min(stop, start + EXCERPT_BYTES)]).decode(errors="ignore")
            for start, stop in zip(hits.starts[best].tolist(), hits.stops[best].tolist(), strict=True)
        ]
        place = pa.array(np.cumsum(best) - 1, mask=~best)
        return pa.table(
            {
                "digest": digests[:, 0],
                "digest_rest": digests[:, 1],
                ROW: mine[ROW],
                "start": hits.starts - offsets[hits.document],
                "bytes": hits.ends - hits.starts,
                "priority": mine["priority"],
                "id": pc.if_else(pa.array(best), mine["id"], pa.nulls(1, pa.string())[0]),
                "excerpt": pa.array(excerpts, pa.string()).take(place),
            }
        )

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        # An id is null, and so last, but in one copy of each shard.
        state = state.take(pa.array(_order(state, "digest", "digest_rest", "priority", "id", SHARD, ROW, "start")))
        is_first = _starts(state["digest"].to_numpy(), state["digest_rest"].to_numpy())
        group = np.cumsum(is_first) - 1
        groups = int(is_first.sum())
        shard, row = state[SHARD].to_numpy().astype(np.int64), state[ROW].to_numpy().astype(np.int64)
        document = (shard << ROW_BITS) | row
        by_document = np.lexsort((document, group))
        new = _starts(group[by_document], document[by_document])
        documents = np.bincount(group[by_document][new], minlength=groups)
        repeated = documents >= self.min_documents
        goes = repeated[group] & ~is_first if self.keep == "first" else repeated[group]
        size = state["bytes"].to_numpy()
        removed = np.zeros(groups, np.int64)
        np.add.at(removed, group[goes], size[goes])
        table = pa.table(
            {
                "hash": _hex(state.filter(pa.array(is_first))),
                "excerpt": state["excerpt"].filter(pa.array(is_first)),
                "first_id": state["id"].filter(pa.array(is_first)),
                "documents": documents.astype(np.int64),
                "occurrences": np.bincount(group, minlength=groups).astype(np.int64),
                "removed_bytes": removed,
            }
        ).filter(pa.array(repeated))
        start = state["start"].to_numpy()
        cuts = {"document": document[goes].astype(np.uint64), "start": start[goes], "end": (start + size)[goes]}
        return {f"{self.unit}s": table.sort_by("hash"), "_cuts": pa.table(cuts)}


class Top(Fold):
    """The lines or paragraphs that take up most removed bytes: the table `top`, at most 1,000 rows, the worst first."""

    unit: Unit

    @override
    def source(self) -> str:
        return f"stage:copies/{self.unit}s"

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        order = [("removed_bytes", "descending"), ("hash", "ascending")]
        return state.sort_by(order).slice(0, TOP)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"top": self.merge(state)}


class Cuts(Fold):
    """Each document's cuts, to `_rows`: `cut_starts` and `cut_ends`, ascending, in bytes from the text's beginning."""

    key: ClassVar[str] = "document"
    partitioned: ClassVar[bool] = True

    @override
    def source(self) -> str:
        return "stage:copies/_cuts"

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        document, start = state["document"].to_numpy(), state["start"].to_numpy()
        order = np.lexsort((start, document))
        first = np.flatnonzero(_starts(document[order]))
        node = document[order][first].astype(np.int64)
        rows = {
            SHARD: (node >> ROW_BITS).astype(np.int32),
            ROW: (node & ((1 << ROW_BITS) - 1)).astype(np.int32),
            "cut_starts": _lists(start[order], first),
            "cut_ends": _lists(state["end"].to_numpy()[order], first),
        }
        return {ROWS: pa.table(rows)}


@cache
def _one_sigma() -> npt.NDArray[np.int32]:
    """The lower-case table with the sigma of a word's end as the other one: a key must not depend on which it is."""
    from operators.kernels.collapse import lower_table

    table = lower_table().copy()
    table[_FINAL_SIGMA] = table[_CAPITAL_SIGMA]
    table.flags.writeable = False
    return table


def _starts(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Of sorted rows those that differ from the row before.

    >>> _starts(np.array([1, 1, 2])).tolist(), _starts(np.array([])).tolist()
    ([True, False, True], [])
    """
    begins = np.zeros(columns[0].size, bool)
    begins[:1] = True
    for column in columns:
        begins[1:] |= column[1:] != column[:-1]
    return begins


def _lists(values: npt.NDArray[np.generic], first: Ints) -> pa.Array:
    """A list from each place in `first` to the next."""
    return pa.LargeListArray.from_arrays(np.append(first, values.size), pa.array(values))


def _order(table: pa.Table, *names: str) -> Ints:
    """The places of a table's rows when sorted by columns, nulls last."""
    order: Ints = pc.sort_indices(table, [(name, "ascending") for name in names]).to_numpy().astype(np.int64)
    return order


def _hex(rows: pa.Table) -> pa.Array:
    """Digests as they are usually written, 32 hexadecimal digits."""
    words = np.stack([rows["digest"].to_numpy(), rows["digest_rest"].to_numpy()], axis=1).astype("<u8")
    return pa.array([row.tobytes().hex() for row in words], pa.string())
