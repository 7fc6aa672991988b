"""How a file is cut into pieces, and how a piece is read: the one door to all formats.

Cuts are a function of the file alone, so adding or removing other files moves none, and appending to a file moves none
but its last. What cannot be entered in the middle (compressed lines, archive members, WARC) is one piece and streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from operators.base import RecipeError
from pipeline.readers.base import MEGABYTE, Batch, InputFile, Layout, Piece, ReadOptions
from pipeline.readers.formats import FORMATS, compression
from pipeline.readers.storage import split_archive

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXPANSION: Final = {"": 1.0, "gzip": 3.0, "zstd": 3.5}
"""Text bytes per stored byte, measured on web text; only balances work, never decides a cut."""

_HTML_SHARE: Final = 0.15
"""Main text per byte of an HTML page, of the same kind."""


def plan_pieces(file: InputFile, format: str, piece_mb: float, options: ReadOptions | None = None) -> Layout:  # noqa: A002
    """The file's pieces of about `piece_mb` megabytes of text, in order; together they hold every row once."""
    options = options or ReadOptions()
    piece_bytes = int(piece_mb * MEGABYTE)
    match format:
        case "parquet":
            from pipeline.readers.parquet import plan_parquet

            return plan_parquet(file, piece_bytes, options.text)
        case "arrow" | "hf":
            from pipeline.readers.arrow import plan_arrow

            return plan_arrow(file, format, piece_bytes, options.text)
    return _plan_bytes(file, format, piece_bytes, options)


def read(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """The piece's rows in order, in batches of bounded size, each with the bad rows met on the way.

    Raises:
        DataError: the file's columns are not what the options say, or types clash within a batch.
    """
    match piece.format:
        case "parquet":
            from pipeline.readers.parquet import read_parquet as reader
        case "arrow" | "hf":
            from pipeline.readers.arrow import read_arrow as reader
        case "jsonl":
            from pipeline.readers.jsonl import read_jsonl as reader
        case "text" | "code":
            from pipeline.readers.text import read_text as reader
        case "warc" | "wet":
            from pipeline.readers.warc import read_warc as reader
        case _:
            message = f"{piece.file.path}: unknown format {piece.format!r}; expected one of {', '.join(FORMATS)}"
            raise RecipeError(message)
    return reader(piece, options)


def read_many(pieces: Sequence[Piece], options: ReadOptions) -> Iterator[tuple[Batch, NDArray[np.int32]]]:
    """As `read` for pieces of one format, in order, with each row's index in `pieces`.

    Files that are one document each share batches: a batch of one small row costs more than the row.
    """
    if pieces and pieces[0].format in ("text", "code") and options.documents == "file":
        from pipeline.readers.text import read_documents

        yield from read_documents(pieces, options)
        return
    for index, piece in enumerate(pieces):
        for batch in read(piece, options):
            yield batch, np.full(batch.table.num_rows, index, np.int32)


def _plan_bytes(file: InputFile, kind: str, piece_bytes: int, options: ReadOptions) -> Layout:
    protocol, name, _ = split_archive(file.url)
    packing = compression(name)
    is_whole = kind == "code" or (kind == "text" and options.documents == "file")
    text = int(file.size * _EXPANSION[packing] * (_HTML_SHARE if kind == "warc" else 1))
    by_lines = kind == "jsonl" or (kind == "text" and not is_whole)
    if not by_lines or packing or protocol or file.size <= piece_bytes:
        return Layout(1 if is_whole else None, text, (Piece(file, kind),))
    starts = range(0, file.size, piece_bytes)
    stops = [*starts[1:], None]
    pieces = tuple(Piece(file, kind, start, stop) for start, stop in zip(starts, stops, strict=True))
    return Layout(None, text, pieces)
