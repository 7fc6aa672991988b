"""Arrow IPC files and streams, and datasets saved by Hugging Face's `save_to_disk` -> batches.

A saved dataset is read without the `datasets` package: its split is a directory whose `state.json` lists Arrow streams
in row order. Row counts are not stored in these formats, so planning walks the file: on a local disk it touches only
the headers (memory map), on remote storage it reads everything once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa

from operators.base import DataError
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
from pipeline.readers.parquet import UnreadableError, clip, cut_rows, is_damage
from pipeline.readers.storage import is_local, local_path, open_file

_FILE_MAGIC: Final = b"ARROW1"


def plan_arrow(file: InputFile, kind: str, piece_bytes: int, text: str) -> Layout:
    """Whole record batches, taken together until their text fills a piece."""
    counts: list[int] = []
    sizes: list[int] = []
    try:
        for url in _urls(file):
            for batch in _record_batches(url):
                index = batch.schema.get_field_index(text)
                counts.append(batch.num_rows)
                sizes.append(batch.nbytes if index < 0 else batch.column(index).nbytes)
    except UnreadableError:
        return Layout(None, file.size, (Piece(file, kind),))
    return cut_rows(file, kind, counts, sizes, piece_bytes)


def read_arrow(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """The rows of the piece; what follows damage in a stream is lost and gives one bad row."""
    path, row = piece.file.path, 0
    try:
        for url in _urls(piece.file):
            for batch in _record_batches(url):
                positions = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                if piece.stop is not None and positions[:1] >= piece.stop:
                    return
                rows = clip(Rows(pa.Table.from_batches([batch]), positions), piece)
                yield from _bounded(rows, piece, options)
    except UnreadableError as error:
        rule = "unreadable_rows" if row else "unreadable_file"
        yield only_bad([BadRow(row, f"{path}#{row}" if row else path, rule, "", str(error))])


def data_files(file: InputFile) -> list[str]:
    """The URLs of a saved dataset split's Arrow streams, in row order.

    Raises:
        DataError: `state.json` is damaged, or the rows were selected or shuffled without being written out.
    """
    with open_file(f"{file.url}state.json") as stream:
        content = stream.read()
    try:
        state = json.loads(content)
        names = [part["filename"] for part in state["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{file.url}state.json: not what `save_to_disk` writes: {error!r}"
        raise DataError(message) from error
    if state.get("_indices_data_files"):
        message = f"{file.path}: the dataset keeps its row selection apart; call flatten_indices() and save it again"
        raise DataError(message)
    return [f"{file.url}{name}" for name in names]


def _urls(file: InputFile) -> list[str]:
    return data_files(file) if file.url.endswith("/") else [file.url]


def _bounded(rows: Rows, piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """A record batch may hold anything: choose columns, then hand it on in parts of bounded size."""
    path = piece.file.path
    table = rows.table.select(list(plan_columns(rows.table.column_names, piece.file, options)))
    width = max(table.nbytes // max(table.num_rows, 1), 1)
    step = min(max(BATCH_BYTES // width, 1), BATCH_ROWS)
    for start in range(0, table.num_rows, step):
        part = Rows(table.slice(start, step), rows.positions[start : start + step])
        yield to_batch(part, piece.file, options, lambda position: f"{path}#{position}")


def _record_batches(url: str) -> Iterator[pa.RecordBatch]:
    with _open(url) as source:
        try:
            is_file = source.read(len(_FILE_MAGIC)) == _FILE_MAGIC
            source.seek(0)
            if is_file:
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
            else:
                batches = iter(pa.ipc.open_stream(source))
            yield from batches
        except Exception as error:
            if not is_damage(error):
                raise
            raise UnreadableError(str(error)) from error


@contextmanager
def _open(url: str) -> Iterator[pa.NativeFile]:
    with open_file(url) as stream:
        if is_local(url) and local_path(url).stat().st_size:
            with pa.memory_map(str(local_path(url))) as source:
                yield source
        else:
            yield pa.PythonFile(stream, "r")
