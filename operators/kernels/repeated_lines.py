"""How many lines and paragraphs of texts are copies of earlier ones: the first of what `repetition.py` counts.

No hash decides: those that share one are compared by their bytes.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated, assignment"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit

from operators.kernels.text_bytes import (
    byte_at,
    code_point_at,
    eight_bytes_at,
    folded,
    num_code_points_at,
    trailing_zeros,
    up_to_eight_bytes_at,
)
from operators.kernels.words import IS_WHITE

U64 = np.uint64

_FEWEST_SLOTS: Final = 1 << 6
_LINE_FEEDS = U64(0x0A0A0A0A0A0A0A0A)
_ONES = U64(0x0101010101010101)
_HIGH_BITS = U64(0x8080808080808080)


@njit(cache=True, nogil=True)
def _hash(text, at, stop, one_seed, other_seed):
    """A hash of the bytes in [at, stop)."""
    state = one_seed ^ U64(stop - at)
    while at + 8 <= stop:
        state = folded(state ^ eight_bytes_at(text, at), other_seed)
        at += 8
    return folded(state ^ up_to_eight_bytes_at(text, at, stop), other_seed)


@njit(cache=True, nogil=True)
def _same(text, one, other, length):
    """Whether so many bytes are equal at two places."""
    place = 0
    while place + 8 <= length:
        if eight_bytes_at(text, one + place) != eight_bytes_at(text, other + place):
            return False
        place += 8
    while place < length and byte_at(text, one + place) == byte_at(text, other + place):
        place += 1
    return place == length


@njit(cache=True, nogil=True)
def _enough(wanted):
    """A power of two, of at least so much."""
    count = _FEWEST_SLOTS
    while count < wanted:
        count *= 2
    return count


@njit(cache=True, nogil=True)
def count_parts(data, offsets, table, seeds, counts):
    """Write the counts of each document, which has a row of `counts` in the order of `repetition.PARTS`."""
    most, text = 0, data.ctypes.data
    for document in range(offsets.size - 1):
        runs = 0
        for at in range(offsets[document] + 1, offsets[document + 1]):
            runs += (data[at - 1] == 10) & (data[at] != 10)
        most = max(most, runs)
    pieces = np.empty((2, most + 2), np.int64)
    slots = np.empty(_enough(2 * pieces.shape[1]), np.int32)
    for document in range(offsets.size - 1):
        low, high = offsets[document], offsets[document + 1]
        if low == high:
            continue
        row = counts[document]
        row[3] = _split(text, low, high, 1, pieces)
        row[4], row[5] = _copies(text, pieces, row[3], slots, seeds)
        low, high = _stripped(text, low, high, table.ctypes.data)
        row[0] = _split(text, low, high, 2, pieces)
        row[1], row[2] = _copies(text, pieces, row[0], slots, seeds)


@njit(cache=True, nogil=True)
def _split(text, start, high, least, pieces):
    """Split text at runs of so many line feeds; how many pieces there are, of which one may be empty."""
    at, count = start, 0
    while at < high:
        while at + 8 <= high:
            word = eight_bytes_at(text, at) ^ _LINE_FEEDS
            found = (word - _ONES) & ~word & _HIGH_BITS
            if found:
                at += np.int64(trailing_zeros(found) >> U64(3))
                break
            at += 8
        while at < high and byte_at(text, at) != 10:
            at += 1
        end = at
        while at < high and byte_at(text, at) == 10:
            at += 1
        if at - end >= least:
            pieces[0, count], pieces[1, count] = start, end
            start = at
            count += 1
    pieces[0, count], pieces[1, count] = start, high
    return count + 1


@njit(cache=True, nogil=True)
def _copies(text, pieces, count, slots, seeds):
    """How many pieces are copies of an earlier one, and their code points."""
    copies = chars = 0
    if count < 2:
        return copies, chars
    mask = _enough(2 * count) - 1
    slots[: mask + 1] = 0
    for piece in range(count):
        start, stop = pieces[0, piece], pieces[1, piece]
        slot = np.int64(_hash(text, start, stop, seeds[0], seeds[1]) & U64(mask))
        while slots[slot] != 0:
            known = pieces[0, slots[slot] - 1]
            if pieces[1, slots[slot] - 1] - known == stop - start and _same(text, known, start, stop - start):
                break
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            slots[slot] = piece + 1
        else:
            copies += 1
            chars += num_code_points_at(text, start, stop)
    return copies, chars


@njit(cache=True, nogil=True)
def _stripped(text, low, high, table):
    """Where a text begins and ends without white space around it."""
    while low < high:
        point, behind = code_point_at(text, low)
        if not byte_at(table, point) & IS_WHITE:
            break
        low = behind
    while low < high:
        before = high - 1
        while byte_at(text, before) & 0xC0 == 0x80:
            before -= 1
        point, _ = code_point_at(text, before)
        if not byte_at(table, point) & IS_WHITE:
            break
        high = before
    return low, high
