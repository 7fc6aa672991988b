"""Find the passages that stand elsewhere too: the folds behind `substring_dedup`, which says what each is for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, BatchFn, Columns, Context, Fold, Outputs, TableFold
from operators.groups import joined, lists_of, starts_of, unlisted
from operators.hashing import mix64
from operators.repeats import Ints, behind_sources, gram_bytes
from operators.survivors import candidate_needs, candidates
from operators.text_buffers import column_bytes, joined_binary

DOCUMENT = "document"
"""uint64: shard and row as one number, mixed: the key by which the tables of stages are exchanged."""


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
        return {"_shared": table.filter(pa.array(starts_of(number, value)))}


class _ByDocument(TableFold):
    """A fold over an earlier stage's table, exchanged by document."""

    key: ClassVar[str] = DOCUMENT
    partitioned: ClassVar[bool] = True


class Shared(_ByDocument):
    """The fingerprints that each document shares, back to the rows as a sorted list."""

    @override
    def source(self) -> str:
        return "stage:fingerprints/_shared"

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([(SHARD, "ascending"), (ROW, "ascending"), ("fingerprint", "ascending")])
        rows, offsets = _grouped(state)
        return {ROWS: rows.append_column("fingerprints", lists_of(state["fingerprint"], offsets[:-1]))}


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
            wanted, bounds = unlisted(rows["fingerprints"])
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
        content, bounds = joined_binary(joined(state["content"]))
        data, offsets = repeats.slices(content, bounds[:-1][order.to_numpy()], bounds[1:][order.to_numpy()])
        state = state.drop_columns(["content"]).take(order)
        prints, start = state["fingerprint"].to_numpy(), state["start"].to_numpy()
        groups = np.append(np.flatnonzero(starts_of(prints)), prints.size)
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
        ids = joined(state["kept_id"]).dictionary_encode()
        columns = [np.repeat(np.arange(rows.num_rows), np.diff(offsets)), state["first"], state["last"]]
        columns += [ids.indices, state["kept_start"], state["period"]]
        runs = np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
        found = repeats.pieces(runs, self.min_bytes)
        held, counts = np.unique(found[:, 0], return_counts=True)
        offsets = np.append(0, np.cumsum(counts))
        places = {"start": found[:, 1], "end": found[:, 2], "kept_start": found[:, 4]}
        lists = {name: lists_of(values, offsets[:-1]) for name, values in places.items()}
        lists["kept_id"] = lists_of(ids.dictionary.take(pa.array(found[:, 3])), offsets[:-1])
        rows = rows.take(pa.array(held))
        for name, values in lists.items():
            rows = rows.append_column(name, values)
        return {ROWS: rows}


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
    first = np.flatnonzero(starts_of(shard, row))
    return state.select([SHARD, ROW]).take(pa.array(first)), np.append(first, shard.size).astype(np.int64)
