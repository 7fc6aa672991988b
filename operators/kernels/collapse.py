"""The normal form of `operators/normal_text.py` over UTF-8, by its table: 0.2 to 0.5 GB/s on one core."""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"
# With text_bytes.py ba160204.

import numpy as np
from numba import njit

from operators.code_point_tables import POINT_MASK
from operators.kernels.text_bytes import code_point
from operators.normal_text import SPACE


@njit(inline="always")
def _put(out, at, point):
    """Write a code point as UTF-8; returns where the next one goes."""
    if point < 0x80:
        out[at] = point
        return at + 1
    if point < 0x800:
        out[at], out[at + 1] = 0xC0 | point >> 6, 0x80 | point & 63
        return at + 2
    if point < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | point >> 12, 0x80 | point >> 6 & 63, 0x80 | point & 63
        return at + 3
    out[at], out[at + 1] = 0xF0 | point >> 18, 0x80 | point >> 12 & 63
    out[at + 2], out[at + 3] = 0x80 | point >> 6 & 63, 0x80 | point & 63
    return at + 4


@njit(cache=True, nogil=True)
def collapsed(data, starts, stops, table):
    """The pieces `data[start:stop]` in the normal form of a table such as `normal_table()`: bytes, and offsets."""
    size = 0
    for piece in range(starts.size):
        size += stops[piece] - starts[piece]
    out = np.empty(size + size // 2 + 4, np.uint8)  # two bytes become three at most
    offsets = np.zeros(starts.size + 1, np.int64)
    to = 0
    for piece in range(starts.size):
        at, stop, begin = starts[piece], stops[piece], to
        pending = False
        while at < stop:
            point, at = code_point(data, at)
            entry = np.int64(table[point])
            if entry & SPACE:
                pending = True
                continue
            if pending and to > begin:
                out[to] = 32
                to += 1
            pending = False
            to = _put(out, to, entry & POINT_MASK)
        offsets[piece + 1] = to
    return out[:to], offsets
