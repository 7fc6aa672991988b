"""FineWeb's measures of lines over Arrow buffers; `fineweb_reference.py` says what they are.

Lines of a document are looked up by a 64-bit hash and compared byte by byte, so that no two different ones are copies.
All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202, SIM110
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.kernels.text_bytes import code_point, eight_bytes
from operators.sentences import MARK, WHITE

LINES, TERMINATED, SHORT, COPIED, CHARS, LINE_FEEDS = range(6)
"""The columns of `measure`, as the fields of `fineweb_reference.Measures`."""

_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_SEED: Final = np.uint64(0xC2B2AE3D27D4EB4F)


def measure(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], short_line_chars: int, table: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Of each document (documents, 6). `table` is `sentences.sentence_table()`."""
    counts: NDArray[np.int64] = _measure(data, offsets, np.int64(short_line_chars), table)
    return counts


@njit
def _is_blank(data, at, high, table):
    while at < high:
        point, at = code_point(data, at)
        if not table[point] & WHITE:
            return False
    return True


@njit
def _is_terminated(data, high, table):
    """Whether the character before a place ends a sentence."""
    at = high - 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    point, _ = code_point(data, at)
    return table[point] & MARK != 0


@njit
def _num_points(data, low, high):
    count = 0
    for at in range(low, high):
        count += (data[at] & 0xC0) != 0x80
    return count


@njit
def _num_line_feeds(data, low, high):
    count = 0
    for at in range(low, high):
        count += data[at] == 10
    return count


@njit
def _line_end(data, at, high):
    while at < high and data[at] != 10:
        at += 1
    return at


@njit
def _hash(data, at, high):
    value = _SEED ^ np.uint64(high - at)
    while at + 8 <= high:
        value = (value ^ eight_bytes(data, at)) * _FACTOR
        value ^= value >> np.uint64(32)
        at += 8
    rest = np.uint64(0)
    while at < high:
        rest = rest << np.uint64(8) | np.uint64(data[at])
        at += 1
    value = (value ^ rest) * _FACTOR
    return value ^ value >> np.uint64(29)


@njit
def _are_equal(data, one, other, size):
    for i in range(size):
        if data[one + i] != data[other + i]:
            return False
    return True


@njit
def _is_new(data, low, high, document, slots, mask):
    """Whether a line came not before in its document; then it is remembered. A slot: document, hash, begin, end."""
    value = _hash(data, low, high)
    slot = np.int64(value & np.uint64(mask))
    while slots[slot, 0] == document:
        size = slots[slot, 3] - slots[slot, 2]
        if slots[slot, 1] == np.int64(value) and size == high - low and _are_equal(data, slots[slot, 2], low, size):
            return False
        slot = (slot + 1) & mask
    slots[slot, 0], slots[slot, 1], slots[slot, 2], slots[slot, 3] = document, np.int64(value), low, high
    return True


@njit(cache=True, nogil=True)
def _measure(data, offsets, short_line_chars, table):
    counts = np.zeros((offsets.size - 1, 6), np.int64)
    slots = np.full((64, 4), -1, np.int64)
    for document in range(offsets.size - 1):
        low, high = offsets[document], offsets[document + 1]
        line_feeds = _num_line_feeds(data, low, high)
        wanted = 64
        while wanted < 2 * (line_feeds + 1):
            wanted *= 2
        if wanted > slots.shape[0]:
            slots = np.full((wanted, 4), -1, np.int64)
        mine = counts[document]
        mine[LINE_FEEDS] = line_feeds
        while low < high:
            end = _line_end(data, low, high)
            chars = _num_points(data, low, end)
            mine[CHARS] += chars
            if not _is_blank(data, low, end, table):
                mine[LINES] += 1
                mine[TERMINATED] += _is_terminated(data, end, table)
                mine[SHORT] += chars <= short_line_chars
                mine[COPIED] += 0 if _is_new(data, low, end, document, slots, wanted - 1) else chars
            low = end + 1
    return counts
