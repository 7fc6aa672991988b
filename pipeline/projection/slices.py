"""Where slices of large inputs begin and end, and how much of its file a slice stands for.

Slices are drawn systematically: the files, in the order of a hash of the recipe's seed and their paths, are laid end
to end by their stored size (files that are one document each: by number), and points at equal distances fall on files
and places in them. So every row has the same chance, large files get several slices, no two slices overlap, and
nothing depends on chance or order. What cannot be entered in the middle (compressed lines, members of archives, web
archives) gives its head.
"""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from pipeline.readers.base import MEGABYTE, InputFile, Layout, Piece, ReadOptions
from pipeline.readers.formats import compression
from pipeline.readers.pieces import plan_pieces
from pipeline.readers.storage import open_file, split_archive

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNAR: Final = ("parquet", "arrow", "hf")
HEAD: Final = 1 << 16


def draw(files: Sequence[InputFile], extents: Sequence[int], number: int, seed: int) -> list[tuple[int, float]]:
    """Points at equal distances over the files laid end to end: (index of the file, place in it from 0 to 1).

    >>> files = [InputFile(name, name, 8) for name in ("a", "b")]
    >>> sorted(index for index, _ in draw(files, [8, 8], 4, seed=7))
    [0, 0, 1, 1]
    """
    order = sorted(range(len(files)), key=lambda index: _place(seed, files[index].path))
    ends = list(accumulate(max(extents[index], 1) for index in order))
    step = ends[-1] / number
    first = _place(seed, "first") * step
    found = []
    for point in (first + step * k for k in range(number)):
        slot = min(bisect_right(ends, point), len(order) - 1)
        begin = ends[slot - 1] if slot else 0
        found.append((order[slot], min((point - begin) / (ends[slot] - begin), 1.0)))
    return found


def _place(seed: int, name: str) -> float:
    """A file's place on [0, 1)."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=6).digest(), "big") / 2**48


def is_enterable(file: InputFile, kind: str) -> bool:
    """Whether reading can begin in the middle."""
    protocol, name, _ = split_archive(file.url)
    return kind in COLUMNAR or (kind in ("jsonl", "text") and not protocol and not compression(name))


class Slicer:
    """Cuts one input's files into slices of about `limit` bytes; remembers the layouts of the files that it opened."""

    def __init__(self, options: ReadOptions, limit: int) -> None:
        self.options = options
        self.limit = limit
        self._layouts: dict[str, Layout] = {}

    def enter(self, file: InputFile, kind: str, place: float) -> Piece:
        """The slice that holds `place`: row groups, record batches, a range of bytes, or all from the head."""
        if not is_enterable(file, kind):
            return Piece(file, kind)
        if kind in COLUMNAR:
            layout = self._layout(file, kind)
            starts = [piece.start for piece in layout.pieces]
            return layout.pieces[max(bisect_right(starts, place * (layout.rows or 0)) - 1, 0)]
        cells = max(1, file.size // self.limit)
        cell = min(int(place * cells), cells - 1)
        return Piece(file, kind, cell * self.limit, None if cell == cells - 1 else (cell + 1) * self.limit)

    def extent(self, piece: Piece) -> float:
        """The stored bytes of a slice that was read to its end."""
        size = piece.file.size
        if piece.format in COLUMNAR:
            rows = self._layout(piece.file, piece.format).rows
            return size * ((piece.stop or rows) - piece.start) / rows if rows else float(size)
        return float((piece.stop or size) - piece.start)

    def covered(self, piece: Piece, rows: int, num_bytes: int, last: int) -> float:
        """The stored bytes of a slice's first rows: so many, with so much text, the last of them at position `last`."""
        size = piece.file.size
        if piece.format in COLUMNAR:
            return size * min(1.0, rows / (self._layout(piece.file, piece.format).rows or rows))
        if piece.format in ("warc", "wet"):
            return size * min(1.0, num_bytes / max(1, self._layout(piece.file, piece.format).bytes))
        covered = (last - piece.start) * rows / max(rows - 1, 1)
        return min(self.extent(piece), covered / expansion(piece.file))

    def _layout(self, file: InputFile, kind: str) -> Layout:
        if file.url not in self._layouts:
            self._layouts[file.url] = plan_pieces(file, kind, self.limit / MEGABYTE, self.options)
        return self._layouts[file.url]


def expansion(file: InputFile) -> float:
    """Bytes per stored byte of a compressed file, from its head; 1 where it is not compressed."""
    kind = compression(split_archive(file.url)[1])
    if not kind:
        return 1.0
    with open_file(file.url) as stream:
        packed = stream.read(HEAD)
    if kind == "gzip":
        unpacked = len(zlib.decompressobj(31).decompress(packed))
    else:
        import zstandard

        unpacked = len(zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj().decompress(packed))
    return max(1.0, unpacked / max(1, len(packed)))
