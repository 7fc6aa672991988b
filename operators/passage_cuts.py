"""Cut the passages that `repeated_passages` found, at word borders: the artifact, the verdict and the texts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Fold, Map, Outputs, Rule, first_failure
from operators.dedup import SourceGated
from operators.groups import summed, unlisted
from operators.repeats import Ints, border_classes
from operators.text_buffers import column_bytes

EXCERPT_BYTES = 200

REMOVED: Columns = {"removed_bytes": pa.int64(), "removed_spans": pa.int64()}


class RemovedSpans(Fold):
    """The artifact `spans`: every piece that is cut out, sorted by id and start within a part.

    `id, start, end` (bytes of the text as it reaches the step), `span` (its number in the document, from 0; pieces of
    one span follow each other), `kept_id, kept_start` (where the same bytes stay), `excerpt` (how the piece begins).
    """

    min_bytes: int

    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def joins(self) -> str:
        return "pieces"

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            cut = _Cut(rows, self.min_bytes)
            left = cut.left
            columns = {"id": cut.rows["id"].cast(pa.string()).take(pa.array(left[:, 0]))}
            columns.update({"start": pa.array(left[:, 1]), "end": pa.array(left[:, 2])})
            columns["span"] = pa.array(left[:, 5].astype(np.int32))
            columns["kept_id"] = cut.kept_ids()
            columns["kept_start"] = pa.array(left[:, 4])
            columns["excerpt"] = cut.excerpts()
            return pa.table(columns)

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"spans": state.sort_by([("id", "ascending"), ("start", "ascending")])}


class Remainder(SourceGated):
    """Reject the documents that lose text and have too little left; the survivor has most of what they lose."""

    min_bytes: int
    min_left_bytes: int

    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_left_bytes"})

    @override
    def joins(self) -> str:
        return "pieces"

    @override
    def adds(self) -> Columns:
        return {**REMOVED, "_left": pa.int64(), "_kept_id": pa.string()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (Rule("too_little_left", "_left", low=self.min_left_bytes),)

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            removed, spans, survivor = _Cut(rows, self.min_bytes).counts()
            left = pc.binary_length(rows["text"]).to_numpy().astype(np.int64) - removed
            # Where nothing goes `_left` is null: a text that was short before is no business of this step.
            columns = {"removed_bytes": removed, "removed_spans": spans, "_left": pa.array(left, mask=removed == 0)}
            return pa.table({**columns, "_kept_id": survivor})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        return first_failure(rows, self.rules()).append_column("survivor", rows["_kept_id"])


class CutSpans(Map):
    """Cut the spans out of the texts."""

    min_bytes: int

    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def joins(self) -> str:
        return "pieces"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: pa.table({"text": _Cut(rows, self.min_bytes).texts(rows["text"])})


class _Cut:
    """The pieces that are cut out of the rows which have any, and what is left of their texts."""

    def __init__(self, rows: pa.Table, size: int) -> None:
        from operators.kernels import repeats

        self.touched = pc.is_valid(rows["start"]).combine_chunks()
        self.rows = rows.filter(self.touched)
        self.num_rows = rows.num_rows
        self.data, self.offsets = column_bytes(self.rows["text"])
        start, bounds = unlisted(self.rows["start"])
        text = np.repeat(np.arange(bounds.size - 1), np.diff(bounds))
        columns = [text, start.to_numpy()]
        columns += [unlisted(self.rows["end"])[0].to_numpy(), np.arange(text.size)]
        columns.append(unlisted(self.rows["kept_start"])[0].to_numpy())
        found = np.stack(columns, axis=1).astype(np.int64)
        self.left: Ints = repeats.trim(self.data, self.offsets, found, size, border_classes())

    def kept_ids(self) -> pa.Array:
        """For each piece the id of the document where its bytes stay."""
        return unlisted(self.rows["kept_id"])[0].take(pa.array(self.left[:, 3]))

    def excerpts(self) -> pa.Array:
        """The first bytes of each piece, whole characters of them."""
        begin = self.offsets[self.left[:, 0]] + self.left[:, 1]
        until = np.minimum(self.offsets[self.left[:, 0]] + self.left[:, 2], begin + EXCERPT_BYTES)
        cuts = (self.data[low:high].tobytes() for low, high in zip(begin.tolist(), until.tolist(), strict=True))
        # A piece may begin or end inside a character where its span does not.
        return pa.array([cut.decode(errors="ignore") for cut in cuts], pa.string())

    def texts(self, column: pa.ChunkedArray) -> pa.Array:
        """All texts, those with pieces without them."""
        from operators.kernels import repeats

        if not self.rows.num_rows:
            return column
        kept, ends = repeats.cut(self.data, self.offsets, self.left)
        shorter = pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(kept))
        return pc.replace_with_mask(column.combine_chunks(), self.touched, shorter)

    def counts(self) -> tuple[Ints, Ints, pa.Array]:
        """For each row bytes and spans that are cut out, and the id that most of those bytes stay under (or null).

        The smallest such id where several hold as much.
        """
        text, length = self.left[:, 0], self.left[:, 2] - self.left[:, 1]
        touched = np.flatnonzero(self.touched.to_numpy(zero_copy_only=False))
        removed, spans = np.zeros(self.num_rows, np.int64), np.zeros(self.num_rows, np.int64)
        np.add.at(removed, touched[text], length)
        np.maximum.at(spans, touched[text], self.left[:, 5] + 1)
        most = summed(pa.table({"text": text, "id": self.kept_ids(), "bytes": length}), "text", "id")
        most = most.sort_by([("text", "ascending"), ("bytes", "descending"), ("id", "ascending")])
        number, first = np.unique(most["text"].to_numpy(), return_index=True)
        place = np.full(self.num_rows, -1, np.int64)
        place[touched[number]] = first
        survivor = most["id"].combine_chunks().take(pa.array(place, mask=place < 0))
        return removed, spans, survivor
