"""Lines and paragraphs of texts in one buffer: find, key, tally, look up, cut; `lines_reference.py` says what they are.

Price on one core: 0.7 GB/s to find the lines, 2.5 GB/s for their keys, 12 ns to tally one.
All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"
# With text_bytes.py ba160204.

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.kernels.text_bytes import code_point, eight_bytes, is_ascii_space, next_line_feed

_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_SECOND: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_LAST_LETTER: Final = 5  # Lu Ll Lt Lm Lo are the first classes of `unicode_classes`, white space the last
_SPACE: Final = 12


class Units(NamedTuple):
    """Lines or paragraphs in the order of the text: content `[start, stop)`, with what goes along `[start, end)`."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    ends: NDArray[np.int64]
    document: NDArray[np.int64]


def find_units(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    paragraphs: bool,
    min_chars: int,
    classes: NDArray[np.uint8],
) -> Units:
    """The lines (or paragraphs) that may be removed: those with a letter and `min_chars` code points.

    White space (ASCII) around the content does not count. `classes` is `unicode_classes.class_table()`.
    """
    most = int(np.count_nonzero(data == ord("\n"))) + offsets.size
    return Units(*_units(data, offsets, most, paragraphs, min_chars, classes))


@njit(cache=True, nogil=True)
def _counts(data, start, stop, min_chars, classes):
    """Whether the content is long enough and has a letter."""
    if stop - start < min_chars:
        return False
    while start < stop and is_ascii_space(data[start]):
        start += 1
    while stop > start and is_ascii_space(data[stop - 1]):
        stop -= 1
    if stop - start < min_chars:
        return False
    if stop - start < 4 * min_chars:
        chars = 0
        for at in range(start, stop):
            chars += (data[at] & 0xC0) != 0x80
        if chars < min_chars:
            return False
    at = start
    while at < stop:
        point, at = code_point(data, at)
        if 1 <= classes[point] <= _LAST_LETTER:
            return True
    return False


@njit(inline="always")
def _is_blank(data, start, stop):
    while start < stop and is_ascii_space(data[start]):
        start += 1
    return start == stop


@njit(cache=True, nogil=True)
def _units(data, offsets, most, paragraphs, min_chars, classes):
    starts, stops = np.empty(most, np.int64), np.empty(most, np.int64)
    ends, document = np.empty(most, np.int64), np.empty(most, np.int64)
    found = 0
    for text in range(offsets.size - 1):
        at, high = offsets[text], offsets[text + 1]
        is_open = False  # a paragraph has begun: starts[found], stops[found]
        is_closed = False  # and a blank line came after it
        while at < high:
            stop = next_line_feed(data, at, high)
            end = min(stop + 1, high)
            if stop < high and stop > at and data[stop - 1] == 13:
                stop -= 1
            if not paragraphs:
                starts[found], stops[found], ends[found], document[found] = at, stop, end, text
                found += _counts(data, at, stop, min_chars, classes)
            elif _is_blank(data, at, stop):
                is_closed = is_open
                if is_open:
                    ends[found] = end
            else:
                if is_open and is_closed:
                    found += _counts(data, starts[found], stops[found], min_chars, classes)
                    is_open = False
                if not is_open:
                    starts[found], document[found] = at, text
                    is_open, is_closed = True, False
                stops[found], ends[found] = stop, end
            at = end
        if is_open:
            found += _counts(data, starts[found], stops[found], min_chars, classes)
    return starts[:found].copy(), stops[:found].copy(), ends[:found].copy(), document[:found].copy()


@njit(inline="always")
def _stirred(value, word):
    value = (value ^ word) * _FIRST
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def keys(data, starts, stops):
    """A 64-bit key of each piece; anybody can build two pieces of one key, so it only nominates."""
    found = np.empty(starts.size, np.uint64)
    for piece in range(starts.size):
        at, stop = starts[piece], stops[piece]
        value = np.uint64(stop - at) * _SECOND
        while at + 8 <= stop:
            value = _stirred(value, eight_bytes(data, at))
            at += 8
        word = np.uint64(0)
        while at < stop:
            word = word << np.uint64(8) | np.uint64(data[at])
            at += 1
        value = _stirred(value, word)
        value = (value ^ (value >> np.uint64(29))) * _SECOND
        found[piece] = value ^ (value >> np.uint64(32))
    return found


@njit(inline="always")
def _slot(table, known, key):
    """Where a key is in an open table of places in `known` (-1: free), or where it would go."""
    mask = table.size - 1
    slot = np.int64(key >> np.uint64(20)) & mask
    while table[slot] >= 0 and known[table[slot]] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _table_size(count):
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def tally(found, document):
    """The distinct keys in order of appearance, and in how many documents each occurs; documents ascend."""
    table = np.full(_table_size(found.size), np.int32(-1))
    distinct = np.empty(found.size, np.uint64)
    documents = np.empty(found.size, np.int32)
    last = np.empty(found.size, np.int64)
    count = 0
    for place in range(found.size):
        key = found[place]
        slot = _slot(table, distinct, key)
        known = table[slot]
        if known < 0:
            table[slot] = count
            distinct[count], documents[count], last[count] = key, 1, document[place]
            count += 1
        elif last[known] != document[place]:
            documents[known] += 1
            last[known] = document[place]
    return distinct[:count].copy(), documents[:count].copy()


@njit(cache=True, nogil=True)
def members(found, wanted):
    """The places in `found` of keys that are in `wanted`."""
    table = np.full(_table_size(wanted.size), np.int32(-1))
    for place in range(wanted.size):
        table[_slot(table, wanted, wanted[place])] = place
    places = np.empty(found.size, np.int64)
    count = 0
    for place in range(found.size):
        places[count] = place
        count += table[_slot(table, wanted, found[place])] >= 0
    return places[:count].copy()


@njit(cache=True, nogil=True)
def without(data, offsets, cut_offsets, cut_starts, cut_ends):
    """The texts without their cuts, which are disjoint, ascend, and count from each text's beginning."""
    gone = 0
    for cut in range(cut_starts.size):
        gone += cut_ends[cut] - cut_starts[cut]
    out = np.empty(data.size - gone, np.uint8)
    ends = np.zeros(offsets.size, np.int64)
    to = 0
    for text in range(offsets.size - 1):
        at = offsets[text]
        for cut in range(cut_offsets[text], cut_offsets[text + 1]):
            stop = offsets[text] + cut_starts[cut]
            out[to : to + stop - at] = data[at:stop]
            to += stop - at
            at = offsets[text] + cut_ends[cut]
        stop = offsets[text + 1]
        out[to : to + stop - at] = data[at:stop]
        to += stop - at
        ends[text + 1] = to
    return out, ends


@njit(inline="always")
def _has_text(data, at, stop, classes):
    while at < stop:
        point, at = code_point(data, at)
        if classes[point] != _SPACE:
            return True
    return False


@njit(cache=True, nogil=True)
def left(data, offsets, cut_offsets, cut_starts, cut_ends, classes):
    """How many bytes `without` leaves of each text; 0 where they are white space alone."""
    size = np.zeros(offsets.size - 1, np.int64)
    for text in range(offsets.size - 1):
        at = offsets[text]
        has_text = False
        for cut in range(cut_offsets[text], cut_offsets[text + 1]):
            stop = offsets[text] + cut_starts[cut]
            has_text = has_text or _has_text(data, at, stop, classes)
            size[text] += stop - at
            at = offsets[text] + cut_ends[cut]
        size[text] += offsets[text + 1] - at
        if not has_text and not _has_text(data, at, offsets[text + 1], classes):
            size[text] = 0
    return size
