"""Which bytes of a corpus come again: what that means, slowly. `kernels.repeats` does the same at speed.

A *window* is `size` bytes in a row of one document. The documents have an order, so the places where a window stands
have one too: by document, then from front to back.

- A place is *later* if the first place of its window is another and shares no byte with it.
- A first place is *whole* if it shares no byte with a later place.
- A byte is *repeated* if a later place covers it whose first place is whole.

Only repeated bytes are removed, so a whole place stays as it is: each byte that goes has a window around it that can
be read in the documents as they are afterwards, at a place that is known. The price of that: where the first place of a
window overlaps a later copy of something else, the window's later places do not count for it.

Repeated bytes in a row make a *span*. It is explained in *pieces*, from front to back: at each byte that is not yet
explained, the last later place (with a whole first) at or before it says where the copy is, up to that window's end.
A span is cut only from one word border to another, and only if that leaves `size` bytes of it.

Words are runs of letters, digits and the marks on them (the classes of `operators.words`); a character of a script
without spaces is a word of its own. A span starts at a character that is neither white space nor a mark, behind one
that belongs to no word of letters; it ends where no such word goes on. So no character and no word is split, none grow
together, and the white space before a span stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from operators.word_classes import EXTEND, IDEOGRAPH, SPACE, SYMBOL, code_point_classes

Ints = npt.NDArray[np.int64]

_NO_WORD = frozenset({SPACE, IDEOGRAPH, SYMBOL})


class Piece(NamedTuple):
    """Bytes [start, end) of a text that stand in another one (or this one), the source, from `source_start` on."""

    start: int
    end: int
    source: int
    source_start: int


def slow_repeats(texts: Sequence[bytes], size: int) -> list[list[Piece]]:
    """The reference: the repeated bytes of each text, the texts being in order and known by their place in it.

    >>> slow_repeats([b"abcdef", b"xbcdefx"], 4)
    [[], [Piece(start=1, end=6, source=0, source_start=1)]]
    >>> slow_repeats([b"aaaaaaaaaa"], 4) # the first four are the copy that stays
    [[Piece(start=4, end=8, source=0, source_start=0), Piece(start=8, end=10, source=0, source_start=2)]]
    """
    firsts: dict[bytes, tuple[int, int]] = {}
    later: list[dict[int, tuple[int, int]]] = [{} for _ in texts]
    for number, text in enumerate(texts):
        for place in range(len(text) - size + 1):
            first = firsts.setdefault(text[place : place + size], (number, place))
            if first[0] != number or place - first[1] >= size:
                later[number][place] = first
    touched = {byte for number, places in enumerate(later) for place in places for byte in _bytes(number, place, size)}
    whole = [
        {place: first for place, first in places.items() if touched.isdisjoint(_bytes(*first, size))}
        for places in later
    ]
    return [_pieces(len(text), places, size) for text, places in zip(texts, whole, strict=True)]


def _bytes(number: int, place: int, size: int) -> list[tuple[int, int]]:
    return [(number, byte) for byte in range(place, place + size)]


def _pieces(length: int, later: dict[int, tuple[int, int]], size: int) -> list[Piece]:
    pieces: list[Piece] = []
    at = 0
    while at < length:
        window = next((place for place in range(at, max(-1, at - size), -1) if place in later), None)
        if window is None:
            at += 1
            continue
        source, start = later[window]
        place, end = start + at - window, window + size
        last = pieces[-1] if pieces else Piece(-1, -1, -1, -1)
        if (last.end, last.source, last.source_start - last.start) == (at, source, place - at):
            pieces[-1] = last._replace(end=end)
        else:
            pieces.append(Piece(at, end, source, place))
        at = end
    return pieces


def slow_trim(text: bytes, found: Sequence[Piece], size: int) -> list[list[Piece]]:
    """The reference: the spans that are cut out of a text, each as its pieces.

    >>> [[(piece.start, piece.end) for piece in span] for span in slow_trim(b"ab cd ef gh", [Piece(1, 10, 0, 0)], 4)]
    [[(3, 9)]]
    """
    spans: list[list[Piece]] = []
    for piece in found:
        if spans and spans[-1][-1].end == piece.start:
            spans[-1].append(piece)
        else:
            spans.append([piece])
    trimmed = []
    for span in spans:
        start, end = span[0].start, span[-1].end
        while start < end and not is_border(text, start, is_start=True):
            start += 1
        while end > start and not is_border(text, end, is_start=False):
            end -= 1
        if end - start >= size:
            trimmed.append([_clipped(piece, start, end) for piece in span if piece.start < end and piece.end > start])
    return trimmed


def _clipped(piece: Piece, start: int, end: int) -> Piece:
    low = max(start, piece.start)
    return Piece(low, min(end, piece.end), piece.source, piece.source_start + low - piece.start)


def is_border(text: bytes, at: int, *, is_start: bool) -> bool:
    """Whether a span may start, or end, at a place of a text.

    >>> text = b"(one) two"
    >>> [at for at in range(10) if is_border(text, at, is_start=True)]
    [0, 1, 6]
    >>> [at for at in range(10) if is_border(text, at, is_start=False)]
    [0, 1, 4, 5, 6, 9]
    """
    if at == len(text):
        return not is_start
    if text[at] & 0xC0 == 0x80:
        return False
    classes = code_point_classes()
    after = classes[ord(text[at:].decode()[0])]
    if after == EXTEND or (is_start and after == SPACE):
        return False
    bases = [kind for kind in (classes[ord(character)] for character in text[:at].decode()) if kind != EXTEND]
    if (bases[-1] if bases else SPACE) in _NO_WORD:
        return True
    return not is_start and after in _NO_WORD


def slow_cut(text: bytes, spans: Sequence[Sequence[Piece]]) -> bytes:
    """The text without the spans.

    >>> slow_cut(b"ab cd ef gh", [[Piece(3, 6, 0, 0), Piece(6, 9, 0, 9)]])
    b'ab gh'
    """
    gone = {byte for span in spans for piece in span for byte in range(piece.start, piece.end)}
    return bytes(byte for place, byte in enumerate(text) if place not in gone)


def behind_sources(runs: Ints, size: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """First windows of runs that stand in their sources' own texts, with what overlaps its source left out.

    `runs` (n, 4): first and last window, the source's place, period (0: none) as `kernels.repeats` has them. Returns
    the first windows, and which runs are left.

    >>> runs = np.array([[1, 40, 0, 0], [9, 40, 0, 0], [1, 40, 0, 3], [1, 9, 0, 9]])
    >>> first, left = behind_sources(runs, 8)
    >>> first.tolist(), left.tolist()
    ([1, 9, 10, 10], [False, True, True, False])
    """
    first, last, source, period = runs.T
    short = np.maximum(0, size - (first - source))
    moved = first + np.where(period > 0, -(-short // np.maximum(period, 1)) * period, 0)
    return moved, (moved <= last) & ((period > 0) | (short == 0))


def gram_bytes(size: int) -> int:
    """How many bytes are hashed together to choose a window's fingerprint: half of it, at most 100.

    More of them mean more state for the fingerprints of all text, fewer more windows that share one by chance.
    """
    return min(100, size // 2)


@cache
def border_classes() -> npt.NDArray[np.uint8]:
    """`word_classes.code_point_classes` as the kernels take it."""
    return np.frombuffer(code_point_classes(), np.uint8)
