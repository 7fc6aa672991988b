"""Texts in one buffer rewritten into another: white space, characters taken out, passages replaced.

`rewriting_reference.py` says what each must equal. Price on one core: 0.3 to 0.6 GB/s.
All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit

from operators.kernels.text_bytes import code_point

SPACE: Final = 1
TAB: Final = 2
BREAK: Final = 3
"""Kinds of white space in the table of `white_space`; 0 is everything else."""

LINE_FEED: Final = 255
"""The class of a character that becomes a line feed in `without_points`; 0 stays, 1 to 3 go and are counted."""


@njit(inline="always")
def _copied(out, to, data, at, stop):
    """Write `data[at:stop]`; returns where the next byte goes."""
    for place in range(at, stop):
        out[to] = data[place]
        to += 1
    return to


@njit(cache=True, nogil=True)
def white_space(data, offsets, table, collapse, keep_indent, strip_ends, strip_text, max_blank):  # noqa: C901
    """White space made regular: the new bytes, their offsets, and per text how many characters became others.

    `table` has the kind of white space of every code point; spaces and tabs are written as themselves, breaks as line
    feeds. `max_blank` below 0: any number of blank lines may stay.
    """
    texts = offsets.size - 1
    out = np.empty(data.size, np.uint8)
    ends = np.zeros(offsets.size, np.int64)
    replaced = np.zeros(texts, np.int64)
    to = 0
    for text in range(texts):
        at, stop, begin = offsets[text], offsets[text + 1], to
        line = filled = to  # where the line begins in `out`, and where its last other character ends
        kept = to  # where the last line that is not blank ends, with its line feed
        blank = 0  # blank lines before this one
        seen = False  # a line that is not blank
        while at <= stop:
            kind, after = BREAK, at + 1
            if at < stop:
                point, after = code_point(data, at)
                kind = table[point]
                if kind == 0:
                    filled = to = _copied(out, to, data, at, after)
                    at = after
                    continue
                if kind == BREAK:
                    if point == 13 and after < stop and data[after] == 10:
                        after += 1
                    replaced[text] += point != 10
                else:
                    byte = 32 if kind == SPACE else 9
                    replaced[text] += point != byte
                    is_repeated = collapse and byte == 32 and out[to - 1] == 32
                    if keep_indent if filled == line else not is_repeated:
                        out[to] = byte
                        to += 1
                    at = after
                    continue
            if strip_ends:
                to = filled
            is_blank = filled == line
            blank = blank + 1 if is_blank else 0
            seen = seen or not is_blank
            if is_blank and (0 <= max_blank < blank or (strip_text and not seen)):
                to = line
            elif at < stop:
                out[to] = 10
                to += 1
            if not is_blank:
                kept = to
            line = filled = to
            at = after
        if strip_text:
            to = kept if seen else begin
        ends[text + 1] = to
    return out[:to].copy(), ends, replaced


@njit(cache=True, nogil=True)
def without_points(data, offsets, table):
    """The texts without the code points of the classes 1 to 3, and per text how many of each went (texts x 4).

    Those of class `LINE_FEED` become line feeds (counted in column 0), but a carriage return before one goes.
    """
    texts = offsets.size - 1
    out = np.empty(data.size, np.uint8)
    ends = np.zeros(offsets.size, np.int64)
    gone = np.zeros((texts, 4), np.int64)
    to = 0
    for text in range(texts):
        at, stop = offsets[text], offsets[text + 1]
        while at < stop:
            point, after = code_point(data, at)
            kind = table[point]
            if kind == 0:
                to = _copied(out, to, data, at, after)
            elif kind == LINE_FEED:
                gone[text, 0] += 1
                if not (point == 13 and after < stop and data[after] == 10):
                    out[to] = 10
                    to += 1
            else:
                gone[text, kind] += 1
            at = after
        ends[text + 1] = to
    return out[:to].copy(), ends, gone


@njit(cache=True, nogil=True)
def spliced(data, offsets, starts, stops, new, new_offsets):
    """The texts with the passages `data[starts:stops]`, which ascend and do not overlap, replaced by those in `new`.

    A passage lies within one text; an empty one at the border of two texts is not allowed.
    """
    size = data.size + new_offsets[-1]
    for passage in range(starts.size):
        size -= stops[passage] - starts[passage]
    out = np.empty(size, np.uint8)
    ends = np.zeros(offsets.size, np.int64)
    to = passage = 0
    for text in range(offsets.size - 1):
        at, stop = offsets[text], offsets[text + 1]
        while passage < starts.size and starts[passage] < stop:
            to = _copied(out, to, data, at, starts[passage])
            to = _copied(out, to, new, new_offsets[passage], new_offsets[passage + 1])
            at = stops[passage]
            passage += 1
        to = _copied(out, to, data, at, stop)
        ends[text + 1] = to
    return out, ends
