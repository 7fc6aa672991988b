"""Web archives -> batches: main text of HTML responses (WARC), and extracted text as it stands (WET).

A WARC row is a response of status 200 whose type is HTML; redirects, errors, images and the like are no rows. Pages are
decoded by their declared or detected encoding, a byte that is wrong in it is dropped as browsers do, and resiliparse
keeps the main content. WET text must be UTF-8. Both bring `url`, `warc_date` (as written) and `record_id`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from pipeline.readers.base import (
    BATCH_BAD,
    BATCH_BYTES,
    BadRow,
    Batch,
    Piece,
    ReadOptions,
    excerpt,
    only_bad,
    too_large,
)
from pipeline.readers.columns import Rows, to_batch
from pipeline.readers.streams import TruncatedError, read_chunks

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_HTML: Final = ("text/html", "application/xhtml+xml")
_OK: Final = 200
_EXCERPT_BYTES: Final = 1_000


class _Source(io.RawIOBase):
    """Decompressed chunks as the file object that fastwarc reads; notes where the stream was cut."""

    def __init__(self, url: str) -> None:
        self.chunks = read_chunks(url)
        self.held = memoryview(b"")
        self.offset = 0
        self.damage = ""

    def tell(self) -> int:
        return self.offset

    def read(self, size: int = -1) -> bytes:
        if not self.held:
            try:
                self.held = memoryview(next(self.chunks, b""))
            except TruncatedError as error:
                self.damage = error.detail
        part = self.held[:size] if size >= 0 else self.held
        self.held = self.held[len(part) :]
        self.offset += len(part)
        return bytes(part)


class _CutRecordError(Exception):
    """The stream ends inside this record."""


class _Open:
    """The batch being filled."""

    def __init__(self, piece: Piece, options: ReadOptions) -> None:
        self.piece = piece
        self.options = options
        self.rows: list[tuple[bytes, str | None, str | None, str | None]] = []
        self.positions: list[int] = []
        self.bad: list[BadRow] = []
        self.size = 0

    def refuse(self, position: int, rule: str, content: str | bytes, detail: str) -> None:
        path = self.piece.file.path
        self.bad.append(BadRow(position, f"{path}#{position}", rule, excerpt(content), detail))

    def add(self, position: int, record: WarcRecord, text: bytes) -> None:
        headers = record.headers
        self.rows.append(
            (text, headers.get("WARC-Target-URI"), headers.get("WARC-Date"), headers.get("WARC-Record-ID"))
        )
        self.positions.append(position)
        self.size += len(text)

    @property
    def is_full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.bad) >= BATCH_BAD

    def close(self) -> Batch:
        if not self.rows:
            return only_bad(self.bad)
        texts, urls, dates, ids = zip(*self.rows, strict=True)
        table = pa.table(
            {
                self.options.text: pa.array(texts, pa.large_binary()),
                "url": pa.array(urls, pa.string()),
                "warc_date": pa.array(dates, pa.string()),
                "record_id": pa.array(ids, pa.string()),
            }
        )
        path = self.piece.file.path
        rows = Rows(table, np.array(self.positions, np.int64))
        batch = to_batch(rows, self.piece.file, self.options, lambda position: f"{path}#{position}")
        bad = sorted([*batch.bad, *self.bad], key=lambda row: row.position)
        return replace(batch, bad=tuple(bad))


def read_warc(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """The piece's documents; a cut file gives those before the cut and one bad row."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.response if piece.format == "warc" else WarcRecordType.conversion
    source = _Source(piece.file.url)
    batch = _Open(piece, options)
    next_position = 0
    try:
        records = ArchiveIterator(source, record_types=wanted, parse_http=False, stream_detect=False)
        for position, record in enumerate(records):
            _add(position, record, batch)
            next_position = position + 1
            if batch.is_full:
                yield batch.close()
                batch = _Open(piece, options)
    except _CutRecordError:
        source.damage = source.damage or "the file ends inside this record"
    except OSError as error:
        if error.errno is not None or type(error) is not OSError:
            raise
        batch.refuse(next_position, "unreadable_rows" if next_position else "unreadable_file", b"", str(error))
    if source.damage:
        batch.refuse(next_position, "truncated_file", b"", source.damage)
    if batch.rows or batch.bad:
        yield batch.close()


def _add(position: int, record: WarcRecord, batch: _Open) -> None:
    size = record.content_length
    if record.headers.get("Content-Length") is None:
        raise _CutRecordError
    if size > batch.options.max_bytes:
        head = record.reader.read(_EXCERPT_BYTES)
        batch.refuse(position, "too_large", head, too_large(size, batch.options))
        return
    content = record.reader.read()
    if len(content) < size:
        raise _CutRecordError
    if batch.piece.format == "wet":
        batch.add(position, record, content)
        return
    try:
        text = _main_text(content) if record.is_http else None
    except (OSError, ValueError) as error:
        batch.refuse(position, "broken_record", b"", f"the HTTP response cannot be decoded: {error}")
        return
    if text is not None:
        batch.add(position, record, text.encode("utf-8", "replace"))


def _main_text(block: bytes) -> str | None:
    """The main content of a page, from its HTTP response; None where it is no HTML page.

    The response is parsed as a record of its own: one that fails would take the archive's reader with it.
    """
    from fastwarc.warc import WarcRecord, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    record = WarcRecord()
    record.init_headers(WarcRecordType.response)
    record.is_http = True
    record.set_bytes_content(block)
    record.parse_http(auto_decode="all")
    if record.http_headers.status_code != _OK or (record.http_content_type or "").lower() not in _HTML:
        return None
    content = record.reader.read()
    encoding = record.http_charset or detect_encoding(content, from_html_meta=True) or "utf-8"
    return extract_plain_text(bytes_to_str(content, encoding), main_content=True)
