"""Bytes behind a URL as decompressed chunks, and those as lines; memory stays flat whatever the size of file or line.

A cut or corrupt gzip or zstd stream gives everything before the damage and then raises `TruncatedError`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from pipeline.readers.formats import compression
from pipeline.readers.storage import open_file, split_archive

CHUNK: Final = 1 << 20
_PACKED_CHUNK: Final = 1 << 16
_HEAD: Final = 1_000
_GZIP: Final = 31


class TruncatedError(Exception):
    """The stream ends early. `position` is the offset of the line that it cuts, once lines are told apart."""

    def __init__(self, detail: str, position: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.position = position


class Line(NamedTuple):
    """A line without its newline. `content` holds only the first bytes where `size` is over the limit."""

    position: int
    content: bytes
    size: int


def read_chunks(url: str, start: int = 0) -> Iterator[bytes]:
    """The decompressed bytes of a file from offset `start` of the stored file, which must be uncompressed if not 0."""
    kind = compression(split_archive(url)[1])
    with open_file(url) as stream:
        if kind == "gzip":
            yield from _gunzip(stream)
        elif kind == "zstd":
            yield from _unzstd(stream)
        else:
            if start:
                stream.seek(start)
            while chunk := stream.read(CHUNK):
                yield chunk


def read_lines(url: str, limit: int, start: int = 0, stop: int | None = None) -> Iterator[Line]:
    """The lines that start in [start, stop), in order, empty ones included; none is held beyond `limit` bytes."""
    if start == 0:
        lines = split_lines(read_chunks(url), 0, limit)
    else:
        lines = split_lines(read_chunks(url, start - 1), start - 1, limit)
        next(lines, None)  # the end of a line that started before, or the newline right before `start`
    for line in lines:
        if stop is not None and line.position >= stop:
            return
        yield line


def split_lines(chunks: Iterator[bytes], position: int, limit: int) -> Iterator[Line]:
    r"""Cut chunks at newlines; `position` is the offset of the first byte.

    >>> [tuple(line) for line in split_lines(iter([b"ab\nc", b"d\n", b"e"]), 0, 100)]
    [(0, b'ab', 2), (3, b'cd', 2), (6, b'e', 1)]
    """
    held: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            first, *others = chunk.split(b"\n")
            size += len(first)
            held = [*held, first] if size <= limit else [_head(held, first)]
            if not others:
                continue
            yield Line(position, b"".join(held), size)
            position += size + 1
            for whole in others[:-1]:
                yield Line(position, whole, len(whole))
                position += len(whole) + 1
            held, size = [others[-1]], len(others[-1])
    except TruncatedError as error:
        raise TruncatedError(error.detail, position) from error
    if size:
        yield Line(position, b"".join(held), size)


def _head(held: list[bytes], more: bytes) -> bytes:
    known = b"".join(held)[:_HEAD]
    return known + more[: _HEAD - len(known)]


def _gunzip(stream: BinaryIO) -> Iterator[bytes]:
    """All members of a gzip file; zero bytes between and after members are padding."""
    unpacker = zlib.decompressobj(_GZIP)
    is_between = False
    while packed := stream.read(_PACKED_CHUNK):
        while packed:
            if is_between:
                packed = packed.lstrip(b"\0")
                is_between = not packed
                continue
            try:
                chunk = unpacker.decompress(packed, CHUNK)
            except zlib.error as error:
                detail = f"corrupt gzip stream: {error}"
                raise TruncatedError(detail) from error
            packed = unpacker.unconsumed_tail
            if chunk:
                yield chunk
            if unpacker.eof:
                packed, unpacker, is_between = unpacker.unused_data, zlib.decompressobj(_GZIP), True
    if not is_between:
        detail = "the gzip stream ends before its end mark"
        raise TruncatedError(detail)


def _unzstd(stream: BinaryIO) -> Iterator[bytes]:
    """All frames of a zstd file, those of `--long` windows included."""
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    unpacker = context.decompressobj()
    is_between = False
    while packed := stream.read(_PACKED_CHUNK):
        while packed:
            is_between = False
            try:
                chunk = unpacker.decompress(packed)
            except zstandard.ZstdError as error:
                detail = f"corrupt zstd stream: {error}"
                raise TruncatedError(detail) from error
            if chunk:
                yield chunk
            packed = b""
            if unpacker.eof:
                packed, unpacker, is_between = unpacker.unused_data, context.decompressobj(), True
    if not is_between:
        detail = "the zstd stream ends before its last frame does"
        raise TruncatedError(detail)
