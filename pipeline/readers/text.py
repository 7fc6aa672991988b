"""Text and code files -> batches: a file is a document, or each line of a text file is."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

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
    only_bad,
    too_large,
)
from pipeline.readers.columns import Rows, to_batch
from pipeline.readers.formats import language
from pipeline.readers.streams import TruncatedError, read_chunks, read_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_text(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """One document with its `path`, for code also `language`; or with `documents: line` one for each line with text."""
    if options.documents == "line":
        yield from _read_lines(piece, options)
    else:
        yield from (batch for batch, _ in read_documents([piece], options))


def read_documents(pieces: Sequence[Piece], options: ReadOptions) -> Iterator[tuple[Batch, NDArray[np.int32]]]:
    """Many whole-file documents of one format, several to a batch; with each row's index in `pieces`."""
    texts: list[bytes] = []
    owners: list[int] = []
    bad: list[BadRow] = []
    size = 0
    for index, piece in enumerate(pieces):
        content = _content(piece, options)
        if isinstance(content, BadRow):
            bad.append(content)
        else:
            texts.append(content)
            owners.append(index)
            size += len(content)
        if size >= BATCH_BYTES or len(texts) + len(bad) >= BATCH_ROWS:
            yield _document_batch(texts, owners, pieces, options, bad)
            texts, owners, bad, size = [], [], [], 0
    if texts or bad:
        yield _document_batch(texts, owners, pieces, options, bad)


def _content(piece: Piece, options: ReadOptions) -> bytes | BadRow:
    path = piece.file.path
    held: list[bytes] = []
    size = 0
    try:
        for chunk in read_chunks(piece.file.url):
            size += len(chunk)
            held.append(chunk)
            if size > options.max_bytes:
                detail = f"at least {too_large(max(size, piece.file.size), options)}"
                return BadRow(0, path, "too_large", excerpt(held[0]), detail)
    except TruncatedError as error:
        return BadRow(0, path, "truncated_file", excerpt(held[0]) if held else "", error.detail)
    return b"".join(held).removeprefix(codecs.BOM_UTF8)


def _document_batch(
    texts: list[bytes], owners: list[int], pieces: Sequence[Piece], options: ReadOptions, bad: list[BadRow]
) -> tuple[Batch, NDArray[np.int32]]:
    if not texts:
        return only_bad(bad), np.empty(0, np.int32)
    files = [pieces[owner].file for owner in owners]
    table = _table(texts, [file.path for file in files], pieces[0].format, options)
    # Positions stand for the files until the bad rows are out: every document's own position is 0.
    rows = Rows(table, np.arange(len(texts), dtype=np.int64))
    batch = to_batch(rows, files[0], options, lambda index: files[index].path)
    every = [*bad, *(replace(row, position=0) for row in batch.bad)]
    every.sort(key=lambda row: row.origin)
    kept = np.array(owners, np.int32)[batch.positions]
    return replace(batch, positions=np.zeros(len(kept), np.int64), bad=tuple(every)), kept


def _read_lines(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    path = piece.file.path
    texts: list[bytes] = []
    positions: list[int] = []
    bad: list[BadRow] = []
    size = 0
    try:
        for line in read_lines(piece.file.url, options.max_bytes, piece.start, piece.stop):
            content = line.content.removeprefix(codecs.BOM_UTF8) if line.position == 0 else line.content
            if line.size > options.max_bytes:
                detail = f"a line of {too_large(line.size, options)}"
                bad.append(BadRow(line.position, f"{path}@{line.position}", "too_large", excerpt(content), detail))
            elif content.strip():
                texts.append(content.removesuffix(b"\r"))
                positions.append(line.position)
                size += line.size
            if size >= BATCH_BYTES or len(texts) >= BATCH_ROWS:
                yield _line_batch(texts, positions, piece, options, bad)
                texts, positions, bad, size = [], [], [], 0
    except TruncatedError as error:
        bad.append(BadRow(error.position, f"{path}@{error.position}", "truncated_file", "", error.detail))
    if texts or bad:
        yield _line_batch(texts, positions, piece, options, bad)


def _line_batch(
    texts: list[bytes], positions: list[int], piece: Piece, options: ReadOptions, bad: list[BadRow]
) -> Batch:
    if not texts:
        return only_bad(bad)
    path = piece.file.path
    rows = Rows(_table(texts, [path] * len(texts), piece.format, options), np.array(positions, np.int64))
    batch = to_batch(rows, piece.file, options, lambda position: f"{path}@{position}")
    every = sorted([*batch.bad, *bad], key=lambda row: row.position)
    return replace(batch, bad=tuple(every))


def _table(texts: list[bytes], paths: list[str], kind: str, options: ReadOptions) -> pa.Table:
    columns = {options.text: pa.array(texts, pa.large_binary()), "path": pa.array(paths, pa.string())}
    if kind == "code":
        columns["language"] = pa.array([language(path) or None for path in paths], pa.string())
    return pa.table(columns)
