"""Decide which repeated lines or paragraphs go, and which copy stays: the second half of `repeated_units.py`.

`copies` takes the 128-bit digests of the lines that were nominated and decides by them alone: anybody can build two
lines of one 64-bit key, but that only costs their digests. `top` lists the worst, a second `Carriers` hands each shard
what was decided about its lines, and `cuts` each document the places where it is to be cut. About 150 bytes are
exchanged for each repeated line of a shard, however many copies the shard has.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, TEXT, BatchFn, Columns, Context, Outputs, TableFold
from operators.groups import lists_of, order_of, starts_of, sums_of, values_of
from operators.hashing import Words
from operators.repeated_units import Hits, OverUnits, Unit
from operators.survivors import candidate_needs, candidates

Keep = Literal["first", "none"]

DECIDED: Final = ("key", "digest", "digest_rest", "stays_row", "stays_start")
"""What a shard is told of each of its repeated lines."""

TOP: Final = 1000


class Copies(OverUnits):
    """Decide which lines go, and which copy of them stays.

    Leaves the table `lines` or `paragraphs`, a row for every repeated one, by digest; and `_decided`, for each of them
    and every shard that has it: the row and the place of the copy that stays, -1 where none of the shard's does.
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
        def partial(rows: pa.Table) -> pa.Table:
            hits = self.hits(rows)
            carrier = np.full(hits.key.size, rows[ROW][0].as_py() if rows.num_rows else 0, np.int32)
            return self._state(rows, hits, carrier)

        return partial

    def _state(self, rows: pa.Table, hits: Hits, carrier: npt.NDArray[np.int32]) -> pa.Table:
        """A row for every distinct line, with the shard's first copy of it in the order of priority and id."""
        documents = candidates(rows, self.priority).select(["id", "priority", ROW])
        rank = np.empty(rows.num_rows, np.int64)
        rank[order_of(documents, "priority", "id", ROW)] = np.arange(rows.num_rows)
        rank = rank[hits.document]
        order = np.lexsort((hits.start, rank, hits.digests[:, 1], hits.digests[:, 0]))
        is_first = starts_of(hits.digests[order, 0], hits.digests[order, 1])
        group = np.cumsum(is_first) - 1
        best = order[is_first]
        is_new = starts_of(group, rank[order])
        chosen = documents.take(pa.array(hits.document[best]))
        columns = {
            "digest": hits.digests[best, 0],
            "digest_rest": hits.digests[best, 1],
            "key": hits.key[best],
            "carrier": carrier[best],
            "start": hits.start[best],
            "size": hits.size[best],
            "documents": np.bincount(group[is_new], minlength=best.size).astype(np.int64),
            "occurrences": np.bincount(group, minlength=best.size).astype(np.int64),
            "bytes": sums_of(group, hits.size[order], best.size),
            "excerpt": pa.array([hits.excerpt(place) for place in best.tolist()], pa.string()),
        }
        return pa.table({**columns, **{name: chosen[name] for name in ("priority", "id", ROW)}})

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.take(pa.array(order_of(state, "digest", "digest_rest", "priority", "id", SHARD, ROW)))
        is_first = starts_of(state["digest"].to_numpy(), state["digest_rest"].to_numpy())
        group = np.cumsum(is_first) - 1
        first = state.filter(pa.array(is_first))
        sums = {
            name: sums_of(group, state[name].to_numpy(), first.num_rows)
            for name in ("documents", "occurrences", "bytes")
        }
        repeated = sums["documents"] >= self.min_documents
        keeps = self.keep == "first"
        removed = sums["bytes"] - first["size"].to_numpy() if keeps else sums["bytes"]
        table = pa.table(
            {
                "hash": _hex(first),
                "excerpt": first["excerpt"],
                "first_id": first["id"],
                "documents": sums["documents"],
                "occurrences": sums["occurrences"],
                "removed_bytes": removed,
            }
        ).filter(pa.array(repeated))
        stays = is_first & keeps
        decided = {
            "shard": state[SHARD],
            **{name: state[name] for name in ("carrier", "key", "digest", "digest_rest")},
            "stays_row": np.where(stays, state[ROW].to_numpy(), -1).astype(np.int64),
            "stays_start": np.where(stays, state["start"].to_numpy(), -1),
        }
        return {
            f"{self.unit}s": table.sort_by("hash"),
            "_decided": pa.table(decided).filter(pa.array(repeated[group])),
        }


class Top(TableFold):
    """The lines or paragraphs that take up most removed bytes: the table `top`, at most 1,000 rows, the worst first."""

    unit: Unit

    @override
    def source(self) -> str:
        return f"stage:copies/{self.unit}s"

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        order = [("removed_bytes", "descending"), ("hash", "ascending")]
        return state.sort_by(order).slice(0, TOP)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"top": self.merge(state)}


class Cuts(OverUnits):
    """Each document's cuts, to `_rows`: `cut_starts` and `cut_ends`, ascending, in bytes from the text's beginning."""

    key: ClassVar[str] = "document"

    @override
    def joins(self) -> str:
        return "decided"

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            hits = self.hits(rows)
            which = pc.index_in(_as_binary(hits.digests), value_set=_as_binary(_decided_digests(rows)))
            is_decided = which.is_valid().to_numpy(zero_copy_only=False)
            which = which.fill_null(0).to_numpy()
            row = rows[ROW].to_numpy()[hits.document]
            stays_row, stays_start = values_of(rows, "stays_row"), values_of(rows, "stays_start")
            goes = np.flatnonzero(is_decided)
            goes = goes[(stays_row[which[goes]] != row[goes]) | (stays_start[which[goes]] != hits.start[goes])]
            first = np.flatnonzero(starts_of(row[goes]))
            start = hits.start[goes]
            columns = {
                "document": row[goes][first].astype(np.uint64),
                ROW: row[goes][first].astype(np.int32),
                "cut_starts": lists_of(start, first),
                "cut_ends": lists_of(start + hits.size[goes], first),
            }
            return pa.table(columns)

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        order = [(SHARD, "ascending"), (ROW, "ascending")]
        places = pc.sort_indices(state.select([SHARD, ROW]), order)
        return {ROWS: state.select([SHARD, ROW, "cut_starts", "cut_ends"]).take(places)}


def _hex(rows: pa.Table) -> pa.Array:
    """Digests as they are usually written, 32 hexadecimal digits."""
    words = np.stack([rows["digest"].to_numpy(), rows["digest_rest"].to_numpy()], axis=1).astype("<u8")
    return pa.array([row.tobytes().hex() for row in words], pa.string())


def _decided_digests(rows: pa.Table) -> Words:
    return np.stack([values_of(rows, "digest"), values_of(rows, "digest_rest")], axis=1).astype(np.uint64)


def _as_binary(digests: Words) -> pa.FixedSizeBinaryArray:
    """Digests as values of 16 bytes."""
    data = np.ascontiguousarray(digests, "<u8")
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), data.shape[0], [None, pa.py_buffer(data)])
