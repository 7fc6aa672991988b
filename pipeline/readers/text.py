"""Text and code files -> batches: a file is a document, or each line of a text file is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.readers.base import (
    BATCH_BYTES,
    BATCH_ROWS,
    BadRow,
    Batch,
    Piece,
    ReadOptions,
    excerpt,
    megabytes,
    only_bad,
    origin,
)
from pipeline.readers.columns import Rows, to_batch
from pipeline.readers.formats import language
from pipeline.readers.streams import TruncatedError, read_chunks, read_lines

_BOM: Final = b"\xef\xbb\xbf"


def read_text(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """One document with its `path`, for code also `language`; or with `documents: line` one for each line with text."""
    if options.documents == "line":
        yield from _read_lines(piece, options)
    else:
        yield _read_whole(piece, options)


def _read_whole(piece: Piece, options: ReadOptions) -> Batch:
    path, held, size = piece.file.path, [], 0
    try:
        for chunk in read_chunks(piece.file.url):
            size += len(chunk)
            held.append(chunk)
            if size > options.max_bytes:
                detail = f"at least {megabytes(max(size, piece.file.size))}, more than max_document_mb"
                return only_bad([BadRow(0, path, "too_large", excerpt(held[0]), detail)])
    except TruncatedError as error:
        head = excerpt(held[0]) if held else ""
        return only_bad([BadRow(0, path, "truncated_file", head, error.detail)])
    content = b"".join(held).removeprefix(_BOM)
    return _batch([content], [0], piece, options)


def _read_lines(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    path = piece.file.path
    texts: list[bytes] = []
    positions: list[int] = []
    bad: list[BadRow] = []
    size = 0
    try:
        for line in read_lines(piece.file.url, options.max_bytes, piece.start, piece.stop):
            content = line.content.removeprefix(_BOM) if line.position == 0 else line.content
            if line.size > options.max_bytes:
                detail = f"a line of {megabytes(line.size)}, more than max_document_mb"
                bad.append(BadRow(line.position, f"{path}@{line.position}", "too_large", excerpt(content), detail))
            elif content.strip():
                texts.append(content.removesuffix(b"\r"))
                positions.append(line.position)
                size += line.size
            if size >= BATCH_BYTES or len(texts) >= BATCH_ROWS:
                yield _batch(texts, positions, piece, options, bad)
                texts, positions, bad, size = [], [], [], 0
    except TruncatedError as error:
        bad.append(BadRow(error.position, f"{path}@{error.position}", "truncated_file", "", error.detail))
    if texts or bad:
        yield _batch(texts, positions, piece, options, bad)


def _batch(
    texts: list[bytes], positions: list[int], piece: Piece, options: ReadOptions, bad: list[BadRow] | None = None
) -> Batch:
    if not texts:
        return only_bad(bad or [])
    path = piece.file.path
    columns = {options.text: pa.array(texts, pa.large_binary()), "path": pa.array([path] * len(texts), pa.string())}
    if piece.format == "code":
        columns["language"] = pa.array([language(path) or None] * len(texts), pa.string())
    rows = Rows(pa.table(columns), np.array(positions, np.int64))
    where = lambda position: origin(path, piece.format, position, options.documents)  # noqa: E731
    batch = to_batch(rows, piece.file, options, where)
    every = sorted([*batch.bad, *(bad or [])], key=lambda row: row.position)
    return Batch(batch.table, batch.positions, tuple(every))
