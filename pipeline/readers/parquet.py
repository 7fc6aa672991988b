"""Parquet files -> batches, row group by row group; a damaged row group costs its own rows only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers.base import (
    BATCH_BYTES,
    BATCH_ROWS,
    BadRow,
    Batch,
    InputFile,
    Layout,
    Piece,
    ReadOptions,
    only_bad,
)
from pipeline.readers.columns import Rows, plan_columns, to_batch
from pipeline.readers.storage import is_local, local_path, open_file

_BUFFER: Final = 1 << 20


class UnreadableError(Exception):
    """The file's structure is damaged; the message is the library's."""


def is_damage(error: Exception) -> bool:
    """Whether an error means bad content, and not a failing disk or network (which must fail the task)."""
    return isinstance(error, pa.ArrowException) or (type(error) is OSError and error.errno is None)


def plan_parquet(file: InputFile, piece_bytes: int, text: str) -> Layout:
    """Whole row groups, taken together until their text fills a piece."""
    try:
        with _open(file) as parquet:
            meta = parquet.metadata
            sizes = [_text_bytes(meta.row_group(i), text) for i in range(meta.num_row_groups)]
            counts = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    except UnreadableError:
        return Layout(None, file.size, (Piece(file, "parquet"),))
    return cut_rows(file, "parquet", counts, sizes, piece_bytes)


def cut_rows(file: InputFile, kind: str, counts: list[int], sizes: list[int], piece_bytes: int) -> Layout:
    """Blocks of rows, taken together in order until they hold `piece_bytes`.

    >>> layout = cut_rows(InputFile("x", "x", 9), "parquet", [5, 5, 5], [60, 60, 60], 100)
    >>> [(piece.start, piece.stop) for piece in layout.pieces]
    [(0, 10), (10, None)]
    """
    cuts, held, row = [0], 0, 0
    for count, size in zip(counts, sizes, strict=True):
        row, held = row + count, held + size
        if held >= piece_bytes:
            cuts.append(row)
            held = 0
    cuts = cuts[:-1] if cuts[-1] == row and len(cuts) > 1 else cuts
    stops = [*cuts[1:], None]
    pieces = tuple(Piece(file, kind, start, stop) for start, stop in zip(cuts, stops, strict=True))
    return Layout(row, sum(sizes), pieces)


def read_parquet(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """The rows of the piece; damage gives one bad row for the file or the row group."""
    path = piece.file.path
    try:
        with _open(piece.file) as parquet:
            names = list(plan_columns(parquet.schema_arrow.names, piece.file, options))
            row = 0
            for group in range(parquet.metadata.num_row_groups):
                count = parquet.metadata.row_group(group).num_rows
                if row + count > piece.start and (piece.stop is None or row < piece.stop):
                    yield from _read_group(parquet, group, row, names, piece, options)
                row += count
    except UnreadableError as error:
        yield only_bad([BadRow(0, path, "unreadable_file", "", str(error))])


def clip(rows: Rows, piece: Piece) -> Rows:
    """The rows that lie in the piece."""
    first = int(rows.positions[0]) if len(rows.positions) else 0
    low = max(piece.start - first, 0)
    high = len(rows.positions) if piece.stop is None else max(piece.stop - first, low)
    return Rows(rows.table.slice(low, high - low), rows.positions[low:high])


def _read_group(
    parquet: pq.ParquetFile, group: int, first: int, names: list[str], piece: Piece, options: ReadOptions
) -> Iterator[Batch]:
    path = piece.file.path
    meta = parquet.metadata.row_group(group)
    width = max(meta.total_byte_size // max(meta.num_rows, 1), 1)
    size = min(max(BATCH_BYTES // width, 1), BATCH_ROWS)
    row = first
    batches = parquet.iter_batches(size, row_groups=[group], columns=names, use_threads=False)
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:
            if not is_damage(error):
                raise
            detail = f"row group {group}, rows {row} to {first + meta.num_rows - 1}: {error}"
            yield only_bad([BadRow(row, f"{path}#{row}", "unreadable_rows", "", detail)])
            return
        if batch is None:
            return
        positions = np.arange(row, row + batch.num_rows, dtype=np.int64)
        row += batch.num_rows
        rows = clip(Rows(pa.Table.from_batches([batch]), positions), piece)
        if len(rows.positions):
            yield to_batch(rows, piece.file, options, lambda position: f"{path}#{position}")


@contextmanager
def _open(file: InputFile) -> Iterator[pq.ParquetFile]:
    """Local files stream page by page; of remote ones a row group's columns are fetched together."""
    with open_file(file.url) as stream:
        local = is_local(file.url)
        source = pa.OSFile(str(local_path(file.url))) if local else pa.PythonFile(stream, "r")
        options = {"buffer_size": _BUFFER} if local else {"pre_buffer": True}
        try:
            parquet = pq.ParquetFile(source, **options)
        except Exception as error:
            if not is_damage(error):
                raise
            raise UnreadableError(str(error)) from error
        with parquet:
            yield parquet


def _text_bytes(group: pq.RowGroupMetaData, text: str) -> int:
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == text:
            return int(column.total_uncompressed_size)
    return int(group.total_byte_size)
