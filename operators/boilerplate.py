"""Take out of every document what `repeated_units` found, and reject a document of which too little is left.

What `line_dedup` and `paragraph_dedup` share: their parameters, the verdict, and the map that cuts. The verdict comes
first, on the text as it was, so that `dropped/` shows what a document was made of; both read nothing but the places.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Map, Repeat, Rule
from operators.dedup import Dedup, SourceGated
from operators.groups import Ints, values_of
from operators.hashing import Normalisation
from operators.repeated_copies import DECIDED, Copies, Cuts, Keep, Top
from operators.repeated_units import Carriers, Unit, UnitCounts
from operators.survivors import candidate_needs
from operators.text_buffers import column_bytes

Share = Annotated[float, Field(gt=0, le=1)]


class Boilerplate(Dedup):
    """The parameters and stages of both; a leaf says which unit it is about and has defaults for it."""

    min_documents: int = Field(default=10, ge=2, description="documents that must have it before it goes")
    min_chars: int = Field(default=20, ge=1, description="shorter ones stay; white space around them does not count")
    keep: Keep = Field(default="first", description="first: its first copy stays, by priority, then id; none: all go")
    normalise: Normalisation = "none"
    max_removed_share: Share = Field(default=0.9, description="a document that loses more of its bytes is dropped")

    unit: ClassVar[Unit] = "line"

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def adds(self) -> Columns:
        return _added(self.unit)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        shape = {"unit": self.unit, "normalise": self.normalise, "min_chars": self.min_chars}
        shape["min_documents"] = self.min_documents
        stages: tuple[Map | Fold | Repeat, ...] = (
            UnitCounts(name="counts", **shape),
            Carriers(name="carriers", of="counts/_candidates", lists=("key",)),
            Copies(name="copies", keep=self.keep, priority=self.priority, **shape),
            Top(name="top", unit=self.unit),
            Carriers(name="decided", of="copies/_decided", lists=DECIDED),
            Cuts(name="cuts", **shape),
            RemovedShare(name="verdict", unit=self.unit, max_removed_share=self.max_removed_share, **self.gates()),
        )
        return stages if self.audit else (*stages, Cut(name="cut"))


class RemovedShare(SourceGated):
    """Reject the documents of which nothing, or too little, is left."""

    unit: Unit
    max_removed_share: Share

    verdict_only: ClassVar[frozenset[str]] = frozenset({"max_removed_share"})

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def joins(self) -> str:
        return "cuts"

    @override
    def adds(self) -> Columns:
        return {**_added(self.unit), "_share": pa.float64(), "_left": pa.int64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return Rule("nothing_left", "_left", low=1), Rule("too_much_removed", "_share", high=self.max_removed_share)

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.lines import left
        from operators.unicode_classes import class_table

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            cut_offsets, starts, ends = places(rows)
            num_cuts = np.diff(cut_offsets)
            gone = np.append(0, np.cumsum(ends - starts))
            removed = gone[cut_offsets[1:]] - gone[cut_offsets[:-1]]
            # Without cuts `_left` is null: a text that was blank before is no business of this step.
            remains = pa.array(left(data, offsets, cut_offsets, starts, ends, class_table()), mask=num_cuts == 0)
            share = removed / np.maximum(np.diff(offsets), 1)
            counts = {f"removed_{self.unit}s": num_cuts, "removed_bytes": removed}
            return pa.table({**counts, "_share": share, "_left": remains})

        return apply


class Cut(Map):
    """Cut the texts; all other bytes of a document stay as they are, in their order."""

    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def joins(self) -> str:
        return "cuts"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: pa.table({"text": cut(rows)})


def cut(rows: pa.Table) -> pa.LargeStringArray:
    """The column `text` without its cuts; `cut_starts` and `cut_ends` are null where it has none."""
    from operators.kernels.lines import without

    data, offsets = column_bytes(rows["text"])
    out, out_offsets = without(data, offsets, *places(rows))
    return pa.LargeStringArray.from_buffers(rows.num_rows, pa.py_buffer(out_offsets), pa.py_buffer(out))


def places(rows: pa.Table) -> tuple[Ints, Ints, Ints]:
    """Where each row's cuts begin among all cuts (rows + 1), and the starts and ends of these."""
    num_cuts = pc.fill_null(pc.list_value_length(rows["cut_starts"]), 0).to_numpy()
    offsets: Ints = np.append(0, np.cumsum(num_cuts)).astype(np.int64)
    return offsets, values_of(rows, "cut_starts"), values_of(rows, "cut_ends")


def _added(unit: Unit) -> Columns:
    return {f"removed_{unit}s": pa.int64(), "removed_bytes": pa.int64()}
