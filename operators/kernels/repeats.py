"""Repeated windows of bytes: find them, join them, cut them. `operators.repeats` holds the slow references.

`stretches` reads about 200 MB of text per CPU-second; docs/dedup.md has the price of the whole step.

All compiled functions stay in this file: numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled loops pay for every call and every array that is passed on; growing ones have no type of their own.
# ruff: noqa: ANN401, C901, SIM110

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

U64 = np.uint64
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

FACTOR = U64(0x9E3779B97F4A7C15)
"""Odd: of the polynomial that is rolled, modulo 2**64."""
_STEPS = np.arange(1, 257, dtype=np.uint64) * FACTOR
_STEPS = (_STEPS ^ (_STEPS >> U64(30))) * U64(0xBF58476D1CE4E5B9)
_STEPS = (_STEPS ^ (_STEPS >> U64(27))) * U64(0x94D049BB133111EB)
SPREAD = _STEPS ^ (_STEPS >> U64(31))
"""A random word for each byte."""

# The classes of `operators.words`.
_SPACE, _EXTEND, _IDEOGRAPH, _SYMBOL = 0, 1, 2, 7


@nb.njit(cache=True, nogil=True)
def _grown(rows: Any, used: int) -> Any:
    """The array itself while it has room for one more row, else a copy of twice the size."""
    if used < rows.shape[0]:
        return rows
    larger = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    larger[:used] = rows
    return larger


@nb.njit(cache=True, nogil=True)
def _power(exponent: int) -> np.uint64:
    value = U64(1)
    for _ in range(exponent):
        value *= FACTOR
    return value


@nb.njit(cache=True, nogil=True)
def _noted(
    prints: Any,
    rows: Any,
    used: int,
    value: np.uint64,
    text: int,
    first: int,
    last: int,
    several: int,
) -> Any:
    prints, rows = _grown(prints, used), _grown(rows, used)
    prints[used, 0] = value
    rows[used, 0], rows[used, 1], rows[used, 2], rows[used, 3] = text, first, last, several
    return prints, rows


@nb.njit(cache=True, nogil=True)
def stretches(data: Bytes, offsets: Ints, size: int, gram: int) -> tuple[Words, Ints]:
    """The windows of each text, cut into stretches with one fingerprint each.

    A window is `size` bytes of one text; its fingerprint is the smallest of the rolled hashes of its runs of `gram`
    bytes, so equal windows have equal fingerprints (winnowing: Schleimer, Wilkerson, Aiken 2003, section 3). Of equal
    hashes the last counts, which is what keeps runs of one character cheap.

    Returns: fingerprints; and (stretches, 4): text, first and last window as places in that text, and 1 where the
    fingerprint belongs to two places or more, else 0.
    """
    span = size - gram + 1  # hashes in a window
    ring = np.empty(span, np.uint64)
    lead = _power(gram)
    prints, rows, used = np.empty((1024, 1), np.uint64), np.empty((1024, 4), np.int64), 0
    for text in range(offsets.size - 1):
        low = offsets[text]
        grams = offsets[text + 1] - low - gram + 1
        if grams < span:
            continue
        value = U64(0)
        for at in range(gram - 1):
            value = value * FACTOR + SPREAD[data[low + at]]
        best, best_at, slot = U64(0), -1, 0
        current, current_at, since, several = U64(0), -1, 0, 0
        for at in range(grams):
            value = value * FACTOR + SPREAD[data[low + at + gram - 1]]
            if at:
                value -= lead * SPREAD[data[low + at - 1]]
            ring[slot] = value
            if best_at < 0 or value <= best:
                best, best_at = value, at
            elif best_at <= at - span:
                best, best_at = value, at
                for back in range(1, span):
                    older = ring[slot - back if slot >= back else slot - back + span]
                    if older < best:
                        best, best_at = older, at - back
            slot = slot + 1 if slot + 1 < span else 0
            window = at - span + 1
            if window < 0 or best_at == current_at:
                continue
            if window == 0:
                current = best
            elif best == current:
                several = 1
            else:
                prints, rows = _noted(prints, rows, used, current, text, since, window - 1, several)
                used += 1
                current, since, several = best, window, 0
            current_at = best_at
        prints, rows = _noted(prints, rows, used, current, text, since, grams - span, several)
        used += 1
    return prints[:used, 0].copy(), rows[:used].copy()


@nb.njit(cache=True, nogil=True)
def listed(prints: Words, text: Ints, wanted: Words, offsets: Ints) -> npt.NDArray[np.bool_]:
    """Whether each fingerprint is in the sorted list `wanted[offsets[text]:offsets[text + 1]]` of its text."""
    found = np.zeros(prints.size, np.bool_)
    for index in range(prints.size):
        low, high = offsets[text[index]], offsets[text[index] + 1]
        while low < high:
            middle = (low + high) // 2
            if wanted[middle] < prints[index]:
                low = middle + 1
            else:
                high = middle
        found[index] = low < offsets[text[index] + 1] and wanted[low] == prints[index]
    return found


@nb.njit(cache=True, nogil=True)
def slices(data: Bytes, starts: Ints, ends: Ints) -> tuple[Bytes, Ints]:
    """The bytes `data[start:end]` one after the other, and where each begins, with the end of the last."""
    offsets = np.zeros(starts.size + 1, np.int64)
    for index in range(starts.size):
        offsets[index + 1] = offsets[index] + ends[index] - starts[index]
    copied = np.empty(offsets[-1], np.uint8)
    for index in range(starts.size):
        copied[offsets[index] : offsets[index + 1]] = data[starts[index] : ends[index]]
    return copied, offsets


@nb.njit(cache=True, nogil=True)
def _equal(data: Bytes, one: int, other: int, size: int) -> bool:
    for step in range(size):
        if data[one + step] != data[other + step]:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def _find_firsts(
    data: Bytes,
    offsets: Ints,
    rows: Any,
    size: int,
    table: Ints,
    hashes: Words,
    first: Ints,
) -> None:
    """For the windows of some rows in order the first window with the same bytes, as places in `data`.

    `first` begins with the place where the first row does. `table` is all -1, a power of two long, and
    holds places; `hashes` the hashes of those windows.
    """
    base, mask, lead = offsets[rows[0]], U64(table.size - 1), _power(size)
    for row in range(rows[0], rows[1]):
        low, value, before = offsets[row], U64(0), -2
        for at in range(low, offsets[row + 1]):
            value = value * FACTOR + SPREAD[data[at]]
            place = at - size + 1
            if place < low:
                continue
            if place > low:
                value -= lead * SPREAD[data[place - 1]]
            slot = ((value ^ (value >> U64(29))) * FACTOR) >> U64(20) & mask
            while True:
                other = table[slot]
                if other < 0:
                    table[slot], hashes[slot], other = place, value, place
                    break
                # Where the windows one place back were equal, these two differ at most in their last byte.
                if hashes[slot] == value and (
                    data[other + size - 1] == data[at] if other == before + 1 else _equal(data, other, place, size)
                ):
                    break
                slot = (slot + U64(1)) & mask
            first[place - base] = other
            before = other if other != place else -2


@nb.njit(cache=True, nogil=True)
def _note_row(found: Ints, used: int, row: int, low: int, first: Ints) -> Any:
    """Append to `found` the runs of one row; `first` is of its windows alone, the first of which is at `low`."""
    begin, source, period, turn, follows, is_run = 0, 0, 0, 0, 0, False
    for index in range(first.size):
        place, here = low + index, first[index]
        if here == place:
            is_run = False
            continue
        goes_on = is_run
        if goes_on and (here != follows or (period and place - turn == period)):
            goes_on = here == source and period in (0, place - turn)
            period, turn = place - turn, place
        if not goes_on:
            found = _grown(found, used)
            source, period, turn, begin = here, 0, place, index
            used += 1
        found[used - 1, 0], found[used - 1, 1], found[used - 1, 2] = row, begin, index
        found[used - 1, 3], found[used - 1, 4] = source, period
        is_run, follows = True, here + 1
    return found, used


@nb.njit(cache=True, nogil=True)
def repeats(data: Bytes, offsets: Ints, groups: Ints, size: int) -> Ints:
    """What comes again in rows of bytes, each group of rows for itself, in the order of its rows.

    `data[offsets[row]:offsets[row + 1]]` are `size` bytes or more; a group is the rows `groups[g]` to `groups[g + 1]`.

    Returns runs of windows (found, 5): row, first and last window as places in the row, the place in `data` of the
    first window that equals the run's first one, and after how many windows the run's come from that place again (0:
    never, each window's equal is one place further on).
    """
    found, used = np.empty((1024, 5), np.int64), 0
    for group in range(groups.size - 1):
        low, high = groups[group], groups[group + 1]
        base, length = offsets[low], offsets[high] - offsets[low]
        slots = 16
        while slots < 2 * length:
            slots *= 2
        table, hashes = np.full(slots, -1, np.int64), np.empty(slots, np.uint64)
        first = np.empty(length, np.int64)
        _find_firsts(data, offsets, (low, high), size, table, hashes, first)
        for row in range(low, high):
            windows = first[offsets[row] - base : offsets[row + 1] - base - size + 1]
            found, used = _note_row(found, used, row, offsets[row], windows)
    return found[:used].copy()


@nb.njit(cache=True, nogil=True)
def _blocked(marks: Ints, size: int) -> Ints:
    """Of windows sorted by text and place, all windows that share a byte with one: text, first, last; joined."""
    blocked, used = np.empty((max(1, marks.shape[0]), 3), np.int64), 0
    for mark in range(marks.shape[0]):
        low, high = marks[mark, 1] - size + 1, marks[mark, 2] + size - 1
        if used and blocked[used - 1, 0] == marks[mark, 0] and low <= blocked[used - 1, 2] + 1:
            blocked[used - 1, 2] = max(high, blocked[used - 1, 2])
        else:
            blocked[used, 0], blocked[used, 1], blocked[used, 2] = marks[mark, 0], low, high
            used += 1
    return blocked[:used]


@nb.njit(cache=True, nogil=True)
def _first_blocked(blocked: Ints, text: int, place: int) -> int:
    """The first row that is not before a place of a text."""
    low, high = 0, blocked.shape[0]
    while low < high:
        middle = (low + high) // 2
        if blocked[middle, 0] < text or (blocked[middle, 0] == text and blocked[middle, 2] < place):
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True)
def whole(runs: Ints, marks: Ints, size: int) -> Ints:
    """The parts of runs whose sources no mark touches.

    `runs` (n, 5): text of the source, place of the source, first and last window, period. `marks` (m, 3): text, first
    and last window; sorted. Returns (parts, 5): run, first and last window, place of the source, period.
    """
    blocked = _blocked(marks, size)
    found, used = np.empty((1024, 5), np.int64), 0
    for run in range(runs.shape[0]):
        text, source, last, period = runs[run, 0], runs[run, 1], runs[run, 3], runs[run, 4]
        begin = runs[run, 2]
        turn = period if period else last - begin + 1  # windows until the source begins anew
        near = _first_blocked(blocked, text, source)
        if near == blocked.shape[0] or blocked[near, 0] != text or blocked[near, 1] >= source + turn:
            found = _grown(found, used)
            found[used, 0], found[used, 1], found[used, 2] = run, begin, last
            found[used, 3], found[used, 4] = source, period
            used += 1
            continue
        while begin <= last:
            step, at = 0, near
            windows = min(turn, last - begin + 1)
            while step < windows:
                is_near = at < blocked.shape[0] and blocked[at, 0] == text
                until = min(windows, blocked[at, 1] - source) if is_near else windows
                if until > step:
                    found = _grown(found, used)
                    found[used, 0], found[used, 1], found[used, 2] = run, begin + step, begin + until - 1
                    found[used, 3], found[used, 4] = source + step, 0
                    used += 1
                step = blocked[at, 2] + 1 - source if is_near else windows
                at += 1
            begin += turn
    return found[:used].copy()


@nb.njit(cache=True, nogil=True)
def pieces(runs: Ints, size: int) -> Ints:
    """What is repeated in each text, as pieces with a source.

    `runs` (n, 6): text, first and last window, source, the source's place, period; sorted by text and first window, of
    which each belongs to one run at most. Returns (pieces, 5): text, start, end, source, start in the source; sorted,
    apart from each other, and joined where they go on in the same source.
    """
    found, used = np.empty((1024, 5), np.int64), 0
    at = 0
    for run in range(runs.shape[0]):
        text = runs[run, 0]
        is_new = run == 0 or runs[run - 1, 0] != text
        at = runs[run, 1] if is_new else max(at, runs[run, 1])
        # From its first window on the next run explains what comes.
        until = runs[run, 2] + size
        if run + 1 < runs.shape[0] and runs[run + 1, 0] == text:
            until = min(until, runs[run + 1, 1])
        while at < until:
            window = min(at, runs[run, 2])
            step = window - runs[run, 1]
            place = runs[run, 4] + (step % runs[run, 5] if runs[run, 5] else step) + at - window
            last = used - 1
            if not (
                used
                and found[last, 0] == text
                and found[last, 2] == at
                and found[last, 3] == runs[run, 3]
                and found[last, 4] - found[last, 1] == place - at
            ):
                found = _grown(found, used)
                found[used, 0], found[used, 1], found[used, 3], found[used, 4] = text, at, runs[run, 3], place
                used += 1
            found[used - 1, 2] = at = window + size
    return found[:used].copy()


@nb.njit(cache=True, nogil=True)
def _class_at(data: Bytes, at: int, classes: Bytes) -> int:
    """The class of the character that begins at a place."""
    lead = np.int64(data[at])
    if lead < 0x80:
        point = lead
    elif lead < 0xE0:
        point = (lead & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F
    elif lead < 0xF0:
        point = (lead & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6 | np.int64(data[at + 2]) & 0x3F
    else:
        point = (lead & 0x07) << 18 | (np.int64(data[at + 1]) & 0x3F) << 12
        point |= (np.int64(data[at + 2]) & 0x3F) << 6 | np.int64(data[at + 3]) & 0x3F
    return int(classes[point])


@nb.njit(cache=True, nogil=True)
def _is_border(data: Bytes, low: int, high: int, at: int, classes: Bytes, is_start: bool) -> bool:
    """Whether a removed span of the text `data[low:high]` may start, or end, at a place."""
    if at == high:
        return not is_start
    if data[at] & 0xC0 == 0x80:
        return False
    after = _class_at(data, at, classes)
    if after == _EXTEND or (is_start and after == _SPACE):
        return False
    before, back = _EXTEND, at
    while before == _EXTEND and back > low:
        back -= 1
        while data[back] & 0xC0 == 0x80:
            back -= 1
        before = _class_at(data, back, classes)
    ends = before <= _IDEOGRAPH or before == _SYMBOL
    if is_start:
        return ends
    return ends or after <= _IDEOGRAPH or after == _SYMBOL


@nb.njit(cache=True, nogil=True)
def trim(data: Bytes, offsets: Ints, found: Ints, size: int, classes: Bytes) -> Ints:
    """Pieces (as `pieces` gives them) shrunk to word borders, where they touch each other as one; short ones left out.

    Returns (pieces, 6): the five columns, and the number of the span that the piece belongs to, from 0 in each text.
    """
    left, used = np.empty((max(1, found.shape[0]), 6), np.int64), 0
    low, span, text = 0, 0, -1
    while low < found.shape[0]:
        high = low + 1
        while high < found.shape[0] and found[high, 0] == found[low, 0] and found[high, 1] == found[high - 1, 2]:
            high += 1
        if found[low, 0] != text:
            text, span = found[low, 0], 0
        begin, close = offsets[text], offsets[text + 1]
        start, end = begin + found[low, 1], begin + found[high - 1, 2]
        while start < end and not _is_border(data, begin, close, start, classes, True):
            start += 1
        while end > start and not _is_border(data, begin, close, end, classes, False):
            end -= 1
        start, end = start - begin, end - begin
        if end - start >= size:
            for piece in range(low, high):
                if found[piece, 1] < end and found[piece, 2] > start:
                    left[used, 0] = text
                    left[used, 1] = max(start, found[piece, 1])
                    left[used, 2] = min(end, found[piece, 2])
                    left[used, 3] = found[piece, 3]
                    left[used, 4] = found[piece, 4] + left[used, 1] - found[piece, 1]
                    left[used, 5] = span
                    used += 1
            span += 1
        low = high
    return left[:used].copy()


@nb.njit(cache=True, nogil=True)
def cut(data: Bytes, offsets: Ints, left: Ints) -> tuple[Bytes, Ints]:
    """The texts without the pieces, as joined bytes and offsets."""
    removed = 0
    for piece in range(left.shape[0]):
        removed += left[piece, 2] - left[piece, 1]
    kept, ends = np.empty(data.size - removed, np.uint8), np.zeros(offsets.size, np.int64)
    used, piece = 0, 0
    for text in range(offsets.size - 1):
        at = offsets[text]
        while piece < left.shape[0] and left[piece, 0] == text:
            until = offsets[text] + left[piece, 1]
            kept[used : used + until - at] = data[at:until]
            used, at = used + until - at, offsets[text] + left[piece, 2]
            piece += 1
        kept[used : used + offsets[text + 1] - at] = data[at : offsets[text + 1]]
        used += offsets[text + 1] - at
        ends[text + 1] = used
    return kept, ends
