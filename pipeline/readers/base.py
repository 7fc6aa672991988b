"""The types that every reader shares: a file, a piece of a file, a batch of good rows, and a bad row.

A row's `position` says for good where in its file it lies, however the file was cut: the row number (parquet, arrow,
hf), the byte offset of its line in the uncompressed stream (jsonl, text by line), the record's index (warc, wet), or 0
(a file that is one document).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_BYTES: Final = 8 << 20
"""A batch is closed once its rows hold this much."""

BATCH_ROWS: Final = 16_384
BATCH_BAD: Final = 1_000
"""A batch is also closed at this many rows or bad rows, so that a bad file fills no memory."""

EXCERPT_CHARS: Final = 200

MEGABYTE: Final = 1_000_000
"""What `_mb` means in a recipe."""

PLACE: Final = r"[:@#]\d+$"
"""What an origin has behind the file's path, as a regular expression; of a file that is one document, nothing."""

Documents = Literal["file", "line"]


@dataclass(frozen=True)
class InputFile:
    """One file of an input; one split of a saved Hugging Face dataset counts as one file.

    `url` is a full fsspec URL, chained for archive members, and ends in "/" for a dataset directory. `path` is
    relative with "/" separators: it names the file in ids, origins and orders. `size` is the bytes on storage (of an
    archive member: uncompressed).
    """

    url: str
    path: str
    size: int


@dataclass(frozen=True)
class Piece:
    """The part of a file that one task reads: rows (parquet, arrow, hf) or bytes (lines) from `start` to `stop`.

    A byte range owns the lines that start in it. `stop` None means to the end.
    """

    file: InputFile
    format: str
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Layout:
    """How a file is cut. `rows` is None where only reading would tell; `bytes` of text is an estimate."""

    rows: int | None
    bytes: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class ReadOptions:
    """What an input's recipe entry says about its columns and documents.

    `text` and `id` name the file's columns (`id` "" if rows bring none). `rename` maps old names to new ones; `keep`
    lists final names, None for all. `documents` is for text files: the whole file or each line is a document.
    """

    text: str = "text"
    id: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] | None = None
    max_document_mb: float = 50
    documents: Documents = "file"

    @property
    def max_bytes(self) -> int:
        """The longest document in bytes; for JSON lines the longest line, so that a text never exceeds it either."""
        return int(self.max_document_mb * MEGABYTE)


@dataclass(frozen=True)
class BadRow:
    """A row that could not become a document, and why. `detail` is plain text and may be empty."""

    position: int
    origin: str
    rule: str
    excerpt: str
    detail: str = ""


@dataclass(frozen=True)
class Batch:
    """Good rows with final column names, their positions (int64), and the bad rows met on the way.

    `refused` has those bad rows that have columns at all, without their text; what is in it may be no UTF-8.
    """

    table: pa.Table
    positions: NDArray[np.int64]
    bad: tuple[BadRow, ...] = ()
    refused: pa.Table | None = None


def origin(path: str, kind: str, position: int, documents: Documents = "file") -> str:
    """Where a row came from, for people: `kind` is the file's format.

    >>> origin("web/x.parquet", "parquet", 12)
    'web/x.parquet#12'
    >>> origin("big.jsonl", "jsonl", 123456)
    'big.jsonl@123456'
    >>> origin("a/b.txt", "text", 0)
    'a/b.txt'
    """
    if kind in ("text", "code") and documents == "file":
        return path
    mark = "@" if kind in ("jsonl", "text", "code") else "#"
    return f"{path}{mark}{position}"


def excerpt(content: str | bytes) -> str:
    r"""The first characters of a row; bytes that are not UTF-8 show as the replacement character.

    >>> excerpt(b"caf\xc3\xa9") == "caf\u00e9"
    True
    """
    if isinstance(content, bytes):
        content = content[: 4 * EXCERPT_CHARS].decode("utf-8", "replace")
    return content[:EXCERPT_CHARS]


def too_large(size: int, options: ReadOptions) -> str:
    """Why a document of so many bytes is refused: both numbers in full, as they may differ by a byte.

    >>> too_large(52_300_000, ReadOptions(max_document_mb=50))
    '52,300,000 bytes, more than the 50,000,000 that `max_document_mb: 50` allows'
    """
    limit = f"the {options.max_bytes:,} that `max_document_mb: {options.max_document_mb:g}` allows"
    return f"{size:,} bytes, more than {limit}"


def only_bad(bad: Iterable[BadRow]) -> Batch:
    """A batch without good rows; its table has no columns, so it says nothing about the file's schema."""
    return Batch(pa.table({}), np.empty(0, np.int64), tuple(bad))
