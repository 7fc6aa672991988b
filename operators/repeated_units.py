"""Find the lines or paragraphs that many documents share: the folds behind `line_dedup` and `paragraph_dedup`.

`counts` nominates: a 64-bit key of every line, a row for each distinct key of a shard, exchanged by key. `carriers`
hands each shard the keys that enough documents have; `repeated_copies.py` decides what becomes of them.

What is exchanged is a row for each distinct line of a shard, never one for each copy, so a line that every document has
is no burden: 20 bytes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, TEXT, BatchFn, Columns, Context, Fold, Outputs, TableFold
from operators.groups import Ints, lists_of, order_of, starts_of, values_of
from operators.hashing import Normalisation, Words, piece_digests
from operators.text_buffers import column_bytes

if TYPE_CHECKING:
    from operators.kernels.lines import Units

Unit = Literal["line", "paragraph"]

EXCERPT_BYTES: Final = 300


@dataclass(frozen=True)
class Hits:
    """Units of a shard: where in `data` their content is, where in their document they start, size, digest."""

    data: npt.NDArray[np.uint8]
    starts: Ints
    stops: Ints
    start: Ints
    size: Ints
    document: Ints
    key: Words
    digests: Words

    def excerpt(self, place: int) -> str:
        """The beginning of a content, cut between characters."""
        begin, stop = int(self.starts[place]), int(self.stops[place])
        return self.data[begin : min(stop, begin + EXCERPT_BYTES)].tobytes().decode(errors="ignore")


class OverUnits(Fold):
    """A fold over the lines or paragraphs of the rows."""

    unit: Unit
    normalise: Normalisation
    min_chars: int
    min_documents: int

    revision: ClassVar[int] = 2  # `whitespace_case` compares by the pinned normal form, not by Python's
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
            from operators.normal_text import normal_table

            data, offsets = collapsed(data, starts, stops, normal_table())
            data.flags.writeable = False
            starts, stops = offsets[:-1], offsets[1:]
        found: Words = keys(data, starts, stops)
        return found

    def hits(self, rows: pa.Table) -> Hits:
        """The units of the rows whose key the column `key` lists, with their digests, in the order of the text."""
        from operators.kernels.lines import members

        wanted = values_of(rows, "key").astype(np.uint64)
        data, offsets, units = self.found(rows if wanted.size else rows.slice(0, 0))
        key = self.keys(data, units)
        places = members(key, wanted)
        starts, stops, ends, document = (values[places] for values in units)
        digests = piece_digests(data, starts, stops, self.normalise)
        return Hits(data, starts, stops, starts - offsets[document], ends - starts, document, key[places], digests)


class UnitCounts(OverUnits):
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
        first = np.flatnonzero(starts_of(key[order]))
        total = np.add.reduceat(documents[order], first, dtype=np.int64) if key.size else np.zeros(0, np.int64)
        enough = order[np.repeat(total >= self.min_documents, np.diff(np.append(first, key.size)))]
        chosen = state.select([SHARD, ROW, "key"]).take(pa.array(enough))
        chosen = chosen.sort_by([("key", "ascending"), (SHARD, "ascending")])
        return {"_candidates": chosen.rename_columns(["shard", "carrier", "key"])}


class Carriers(TableFold):
    """The rows of an earlier table that concern a shard, as lists handed to the row that stands for it."""

    of: str
    lists: tuple[str, ...]

    key: ClassVar[str] = "shard"
    partitioned: ClassVar[bool] = True

    @override
    def source(self) -> str:
        return f"stage:{self.of}"

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        order = order_of(state, "shard", *self.lists)
        first = np.flatnonzero(starts_of(state["shard"].to_numpy()[order]))
        rows = state.select(["shard", "carrier"]).take(pa.array(order[first])).rename_columns([SHARD, ROW])
        for name in self.lists:
            rows = rows.append_column(name, lists_of(state[name].to_numpy()[order], first))
        return {ROWS: rows}
