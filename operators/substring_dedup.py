"""Remove passages that stand elsewhere in the corpus, byte for byte, and keep the first copy of each.

What is removed is defined in `operators/repeats.py`, exactly: it is what a suffix array over the whole corpus would
find (Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better", section 4.1), and depends on nothing
but the documents, `min_bytes` and `priority`. The first copy is the one in the document whose source comes first in
`priority`, then the longest, then that of the smallest id; within a document the first place.

Deviations from Lee et al.: their tool removes every copy (the paper says one of two), ours all but the first, and only
where that one stays whole: of 18 MB of mixed documentation 5.0 % at `min_bytes` 200 where everything but first places
would be 5.2 % (before word borders). They cut anywhere, ours at word borders; they count 50 tokens, ours bytes. Like
theirs it is not idempotent: where a passage is cut out, what stood around it meets, and that may be repeated too.

No suffix array is built. `fingerprints`: the windows of each document fall into stretches by a hash that equal windows
share; who has one in common with whom (fold, exchanged by it). `shared`: those hashes back to their documents (fold
over a table). `copies`: the text of those stretches, compared byte by byte (fold, exchanged by hash). `whole`: which
first copies stay whole (fold over a table, by their document). `pieces`: what is left, put together by document (fold
over a table). `removed`: the artifact (fold); `verdict`, on the texts as they were; `cut`: the texts (map).

Price at `min_bytes` 200: 22 to 39 MB of text per CPU-second; 0.3 bytes of state for each byte of text, then 0.5 to 2.8
where 5 to 26 % of the text is repeated. No task holds more than its partition. `cut` stores the texts again.
docs/dedup.md has the table, beside pydivsufsort's.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import (
    ROW,
    ROWS,
    SHARD,
    BatchFn,
    Columns,
    Context,
    Fold,
    Judge,
    Map,
    Outputs,
    Repeat,
    Rule,
    first_failure,
)
from operators.dedup import GATES, Dedup
from operators.hashing import mix64
from operators.repeats import Ints, behind_sources, border_classes, gram_bytes
from operators.survivors import candidate_needs, candidates
from operators.text_buffers import column_bytes, joined_binary

DOCUMENT = "document"
"""uint64: shard and row as one number, mixed: the key by which the tables of stages are exchanged."""
EXCERPT_BYTES = 200


class SubstringDedup(Dedup):
    """Cut out passages of at least `min_bytes` bytes that stand elsewhere too; the first copy of each stays.

    Spans are shrunk to word borders, and stay where that leaves less than `min_bytes` of them. A document that loses
    text and keeps less than `min_left_bytes` is dropped by the rule `too_little_left`; none that holds a first copy is,
    so the first copy of everything that is cut out is in the published corpus if no other step drops it. The artifact
    `spans/` has every span with an excerpt and with the id and the place of the copy that stays. With `audit` the texts
    stay as they are.
    """

    kind: Literal["substring_dedup"] = "substring_dedup"
    min_bytes: int = Field(
        default=200, ge=20, le=1_000_000, description="shortest repeat that is removed, in bytes of UTF-8"
    )
    min_left_bytes: int = Field(
        default=20, ge=0, description="drop a document that lost text and has fewer bytes left; at most min_bytes"
    )

    @model_validator(mode="after")
    def _keeps_first_copies(self) -> Self:
        if self.min_left_bytes > self.min_bytes:
            msg = (
                f"min_left_bytes is {self.min_left_bytes}; expected at most min_bytes, {self.min_bytes}: "
                "else a document could be dropped that holds the only copy left"
            )
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def adds(self) -> Columns:
        return REMOVED

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        size = self.min_bytes
        stages: tuple[Map | Fold | Repeat, ...] = (
            Fingerprints(name="fingerprints", min_bytes=size),
            Shared(name="shared"),
            Copies(name="copies", min_bytes=size, priority=self.priority),
            Whole(name="whole", min_bytes=size),
            Pieces(name="pieces", min_bytes=size),
            RemovedSpans(name="removed", min_bytes=size),
            Remainder(name="verdict", min_bytes=size, min_left_bytes=self.min_left_bytes, **self.gates()),
        )
        return stages if self.audit else (*stages, CutSpans(name="cut", min_bytes=size))


REMOVED: Columns = {"removed_bytes": pa.int64(), "removed_spans": pa.int64()}


class Fingerprints(Fold):
    """The distinct fingerprints of each document, to `_shared`: those that occur twice, with their documents."""

    min_bytes: int

    key: ClassVar[str] = "fingerprint"
    partitioned: ClassVar[bool] = True

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels import repeats

        def partial(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            prints, found = repeats.stretches(data, offsets, self.min_bytes, gram_bytes(self.min_bytes))
            # Twice in one document is enough to be shared, and more often makes no difference.
            several = found[:, 3] == 1
            prints, text = np.append(prints, prints[several]), np.append(found[:, 0], found[several, 0])
            order = np.lexsort((prints, text))
            prints, text = prints[order], text[order]
            third = (prints[2:] == prints[:-2]) & (text[2:] == text[:-2])
            wanted = np.append(np.ones(min(2, prints.size), bool), ~third)
            row = rows[ROW].to_numpy().astype(np.int32, copy=False)
            return pa.table({"fingerprint": prints[wanted], ROW: row[text[wanted]]})

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        prints = state["fingerprint"].to_numpy()
        order = np.lexsort((state[ROW].to_numpy(), state[SHARD].to_numpy(), prints))
        prints = prints[order]
        equal = prints[1:] == prints[:-1]
        shared = np.append(equal, np.zeros(min(1, prints.size), bool)) | np.append(False, equal)[: prints.size]
        table = state.take(pa.array(order[shared]))
        table = table.append_column(DOCUMENT, _document(table[SHARD], table[ROW]))
        number, value = table[DOCUMENT].to_numpy(), table["fingerprint"].to_numpy()
        first = np.append(True, (number[1:] != number[:-1]) | (value[1:] != value[:-1]))[: number.size]
        return {"_shared": table.filter(pa.array(first))}


class _ByDocument(Fold):
    """A fold over an earlier stage's table, exchanged by document."""

    key: ClassVar[str] = DOCUMENT
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge


class Shared(_ByDocument):
    """The fingerprints that each document shares, back to the rows as a sorted list."""

    @override
    def source(self) -> str:
        return "stage:fingerprints/_shared"

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([(SHARD, "ascending"), (ROW, "ascending"), ("fingerprint", "ascending")])
        rows, offsets = _grouped(state)
        return {ROWS: rows.append_column("fingerprints", _lists(offsets, state["fingerprint"]))}


class Copies(Fold):
    """The text of shared stretches, to `_copies`: the later places, as runs of windows, and where they stand first.

    Rows `_shard, _row, first, last, kept_shard, kept_row, kept_id, kept_start, period`; places are in the documents.
    """

    min_bytes: int
    priority: tuple[str, ...]

    key: ClassVar[str] = "fingerprint"
    partitioned: ClassVar[bool] = True

    @override
    def joins(self) -> str:
        return "shared"

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels import repeats

        def partial(rows: pa.Table) -> pa.Table:
            rows = rows.filter(pc.is_valid(rows["fingerprints"]))
            data, offsets = column_bytes(rows["text"])
            prints, found = repeats.stretches(data, offsets, self.min_bytes, gram_bytes(self.min_bytes))
            wanted, bounds = _unlisted(rows["fingerprints"])
            shared = repeats.listed(prints, found[:, 0], wanted.to_numpy(), bounds)
            prints, found = prints[shared], found[shared]
            begin = offsets[found[:, 0]]
            joined = repeats.slices(data, begin + found[:, 1], begin + found[:, 2] + self.min_bytes)
            state = candidates(rows, self.priority).take(pa.array(found[:, 0]))
            state = state.append_column("fingerprint", pa.array(prints))
            state = state.append_column("start", pa.array(found[:, 1]))
            return state.append_column("content", _binary(*joined))

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.kernels import repeats

        keys = ("fingerprint", "priority", "length", "id", SHARD, ROW, "start")
        order = pc.sort_indices(state, [(key, "descending" if key == "length" else "ascending") for key in keys])
        # Arrow takes long values slower than they can be copied.
        content, bounds = joined_binary(_joined(state["content"]))
        data, offsets = repeats.slices(content, bounds[:-1][order.to_numpy()], bounds[1:][order.to_numpy()])
        state = state.drop_columns(["content"]).take(order)
        prints, start = state["fingerprint"].to_numpy(), state["start"].to_numpy()
        groups = np.append(np.flatnonzero(np.append(True, prints[1:] != prints[:-1])[: prints.size]), prints.size)
        found = repeats.repeats(data, offsets, groups, self.min_bytes)
        row, source = found[:, 0], np.searchsorted(offsets, found[:, 3], side="right") - 1
        runs = np.stack([start[row] + found[:, 1], start[row] + found[:, 2], found[:, 3], found[:, 4]], axis=1)
        runs[:, 2] += start[source] - offsets[source]
        shard, number = state[SHARD].to_numpy(), state[ROW].to_numpy()
        own = (shard[row] == shard[source]) & (number[row] == number[source])
        first, left = behind_sources(runs, self.min_bytes)
        runs[:, 0] = np.where(own, first, runs[:, 0])
        left |= ~own
        row, source, runs = row[left], source[left], runs[left]
        columns = {SHARD: shard[row], ROW: number[row], "first": runs[:, 0], "last": runs[:, 1]}
        columns |= {"kept_shard": shard[source], "kept_row": number[source], "kept_start": runs[:, 2]}
        table = pa.table({**columns, "period": runs[:, 3]})
        return {"_copies": table.append_column("kept_id", state["id"].take(pa.array(source)))}


class Whole(_ByDocument):
    """The parts of runs whose sources stay whole, to `_whole`; exchanged by the document of the source."""

    min_bytes: int

    @override
    def source(self) -> str:
        return "stage:copies/_copies"

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(copies: pa.Table) -> pa.Table:
            # Every run twice: to its source, and to its own document, as a mark on what may be removed there.
            runs = copies.drop_columns(["kept_shard", "kept_row"])
            runs = runs.append_column("is_mark", pa.array(np.zeros(runs.num_rows, bool)))
            marks = runs.set_column(runs.column_names.index("kept_id"), "kept_id", pa.nulls(runs.num_rows, pa.string()))
            marks = marks.set_column(marks.num_columns - 1, "is_mark", pa.array(np.ones(runs.num_rows, bool)))
            runs = runs.append_column(DOCUMENT, _document(copies["kept_shard"], copies["kept_row"]))
            return pa.concat_tables([runs, marks.append_column(DOCUMENT, _document(copies[SHARD], copies[ROW]))])

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.kernels import repeats

        text = np.unique(state[DOCUMENT].to_numpy(), return_inverse=True)[1].astype(np.int64)
        is_mark = state["is_mark"].to_numpy()
        columns = {name: state[name].to_numpy() for name in ("first", "last", "kept_start", "period")}
        marks = np.stack([text, columns["first"], columns["last"]], axis=1)[is_mark]
        runs = np.stack([text, *(columns[name] for name in ("kept_start", "first", "last", "period"))], axis=1)[
            ~is_mark
        ]
        found = repeats.whole(runs, marks[np.lexsort((marks[:, 1], marks[:, 0]))], self.min_bytes)
        table = state.filter(pa.array(~is_mark)).select([SHARD, ROW, "kept_id"]).take(pa.array(found[:, 0]))
        for name, values in zip(("first", "last", "kept_start", "period"), found.T[1:], strict=True):
            table = table.append_column(name, pa.array(values))
        return {"_whole": table.append_column(DOCUMENT, _document(table[SHARD], table[ROW]))}


class Pieces(_ByDocument):
    """What each document has again, back to the rows: lists `start, end, kept_id, kept_start` of pieces in order."""

    min_bytes: int

    @override
    def source(self) -> str:
        return "stage:whole/_whole"

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.kernels import repeats

        state = state.sort_by([(SHARD, "ascending"), (ROW, "ascending"), ("first", "ascending")])
        rows, offsets = _grouped(state)
        ids = _joined(state["kept_id"]).dictionary_encode()
        columns = [np.repeat(np.arange(rows.num_rows), np.diff(offsets)), state["first"], state["last"]]
        columns += [ids.indices, state["kept_start"], state["period"]]
        runs = np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
        found = repeats.pieces(runs, self.min_bytes)
        held, counts = np.unique(found[:, 0], return_counts=True)
        offsets = np.append(0, np.cumsum(counts))
        places = {"start": found[:, 1], "end": found[:, 2], "kept_start": found[:, 4]}
        lists = {name: _lists(offsets, pa.array(values)) for name, values in places.items()}
        lists["kept_id"] = _lists(offsets, ids.dictionary.take(pa.array(found[:, 3])))
        rows = rows.take(pa.array(held))
        for name, values in lists.items():
            rows = rows.append_column(name, values)
        return {ROWS: rows}


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


class Remainder(Judge):
    """Reject the documents that lose text and have too little left; the survivor has most of what they lose."""

    min_bytes: int
    min_left_bytes: int
    max_source_drop_ratio: float = Field(default=0.99, gt=0, le=1)

    inert: ClassVar[frozenset[str]] = GATES
    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_left_bytes"})

    @override
    def joins(self) -> str:
        return "pieces"

    @override
    def adds(self) -> Columns:
        return {**REMOVED, "_left": pa.int64(), "_kept_id": pa.string()}

    @override
    def source_limit(self) -> float:
        return self.max_source_drop_ratio

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
        start, bounds = _unlisted(self.rows["start"])
        text = np.repeat(np.arange(bounds.size - 1), np.diff(bounds))
        columns = [text, start.to_numpy()]
        columns += [_unlisted(self.rows["end"])[0].to_numpy(), np.arange(text.size)]
        columns.append(_unlisted(self.rows["kept_start"])[0].to_numpy())
        found = np.stack(columns, axis=1).astype(np.int64)
        self.left: Ints = repeats.trim(self.data, self.offsets, found, size, border_classes())

    def kept_ids(self) -> pa.Array:
        """For each piece the id of the document where its bytes stay."""
        return _unlisted(self.rows["kept_id"])[0].take(pa.array(self.left[:, 3]))

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
        most = pa.table({"text": text, "id": self.kept_ids(), "bytes": length})
        most = most.group_by(["text", "id"], use_threads=False).aggregate([("bytes", "sum")])
        most = most.sort_by([("text", "ascending"), ("bytes_sum", "descending"), ("id", "ascending")])
        number, first = np.unique(most["text"].to_numpy(), return_index=True)
        place = np.full(self.num_rows, -1, np.int64)
        place[touched[number]] = first
        survivor = most["id"].combine_chunks().take(pa.array(place, mask=place < 0))
        return removed, spans, survivor


def _binary(data: npt.NDArray[np.uint8], offsets: Ints) -> pa.Array:
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _document(shard: pa.ChunkedArray, row: pa.ChunkedArray) -> pa.Array:
    # Mixed (a bijection), so that an exchange by any of its bits is even.
    number = shard.to_numpy().astype(np.uint64) << np.uint64(32) | row.to_numpy().astype(np.uint64)
    return pa.array(mix64(number))


def _grouped(state: pa.Table) -> tuple[pa.Table, Ints]:
    """The documents of a state that is sorted by them, and where the rows of each begin, with the end of the last."""
    shard, row = state[SHARD].to_numpy(), state[ROW].to_numpy()
    starts = np.append(True, (shard[1:] != shard[:-1]) | (row[1:] != row[:-1]))[: shard.size]
    first = np.flatnonzero(starts)
    return state.select([SHARD, ROW]).take(pa.array(first)), np.append(first, shard.size).astype(np.int64)


def _lists(offsets: Ints, values: Any) -> pa.Array:  # noqa: ANN401
    values = _joined(values) if isinstance(values, pa.ChunkedArray) else values
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _unlisted(column: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """The values of lists without nulls, joined, and where each list begins, with the end of the last."""
    lists = _joined(column)
    bounds = np.append(0, np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False)))
    return lists.flatten(), bounds.astype(np.int64)
