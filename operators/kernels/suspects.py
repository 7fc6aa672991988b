"""The lines that `ftfy` could change, found over Arrow's buffers: everything else need not be looked at by Python.

A line is what `ftfy` fixes at a time: up to and with its line feed, and at most `LIMIT` code points. What makes one
suspicious is in a table with an entry for every code point, built by `operators/fix_unicode.py`; the tests hold that no
line is passed over that `ftfy` would change. Price: 0.3 to 0.6 GB/s on one core.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, assignment"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit

from operators.kernels.text_bytes import code_point

LIMIT: Final = 1_000_000
"""Code points of the longest line that `ftfy` fixes in one piece (its `max_decode_length`)."""

CHANGES: Final = 1
"""The character itself is replaced."""
COMPOSES: Final = 2
"""The character may combine with the one before it, or marks stand in another order than the canonical one."""
MOJIBAKE: Final = 4
"""The character stands where mojibake has it."""

CLASS_SHIFT: Final = 3
COMBINING_SHIFT: Final = 6
"""Where in an entry the class begins (3 bits), and the canonical combining class (8 bits)."""
ALONE: Final = 1
BEFORE_ANY: Final = 2
UPPER: Final = 3
LOWER: Final = 4
MARK: Final = 5
LIGATURE: Final = 6
"""Classes of characters in mojibake: suspicious alone; before any other of them; letters; marks and signs; and the
letters of the ligature oe, suspicious unless an ASCII letter follows."""

ALWAYS, AUTO, NEVER = 2, 1, 0
"""When HTML entities count: also after a `<` in the text, or until there is one."""


@njit(inline="always")
def _is_letter(point):
    return 97 <= point | 32 <= 122


@njit(inline="always")
def _is_entity(data, at, stop):
    """Whether `&` before `at` begins something like an HTML entity: at most 24 letters and digits, then `;`."""
    if at < stop and data[at] == 35:
        at += 1
    begin = at
    while at < stop and at - begin <= 24 and (_is_letter(data[at]) or 48 <= data[at] <= 57):
        at += 1
    return begin < at <= begin + 24 and at < stop and data[at] == 59


@njit(inline="always")
def _is_pair(first, second):
    """Whether two neighbours of these classes may be mojibake."""
    if first == BEFORE_ANY:
        return True
    if first == MARK or second == MARK:
        return True
    return first == LOWER and (second in (BEFORE_ANY, UPPER, LIGATURE))


@njit(cache=True, nogil=True)
def _next_line(data, at, stop, table, entities):
    """Why the line at a place is suspicious (bits), where it ends, and whether `<` is in it."""
    why, chars = 0, 0
    has_entity = has_tag = False
    before, before_combining = 0, 0
    while at < stop and chars < LIMIT:
        point, at = code_point(data, at)
        chars += 1
        if before == LIGATURE and not _is_letter(point):
            why |= MOJIBAKE
        entry = np.int64(table[point])
        if entry:
            kind, combining = entry >> CLASS_SHIFT & 7, entry >> COMBINING_SHIFT
            why |= entry & (CHANGES | COMPOSES)
            if combining and combining < before_combining:
                why |= COMPOSES
            if kind == ALONE or (kind and before and _is_pair(before, kind)):
                why |= MOJIBAKE
            before, before_combining = kind, combining
        else:
            before = before_combining = 0
            if point == 10:
                break
            if point == 60:
                has_tag = True
            elif point == 38 and entities:
                has_entity = has_entity or _is_entity(data, at, stop)
    if has_entity and (entities == ALWAYS or not has_tag):
        why |= CHANGES
    return why, at, has_tag


@njit(cache=True, nogil=True)
def suspicious_lines(data, offsets, table, entities):
    """The suspicious lines: where they begin and end, why, and whether entities count there.

    Returns int64[n], int64[n], uint8[n], bool[n]. `entities` is `ALWAYS`, `AUTO` or `NEVER`.
    """
    room = 64
    starts, stops = np.empty(room, np.int64), np.empty(room, np.int64)
    whys, unescapes = np.empty(room, np.uint8), np.empty(room, np.bool_)
    count = 0
    for text in range(offsets.size - 1):
        at, stop, mode = offsets[text], offsets[text + 1], entities
        while at < stop:
            why, end, has_tag = _next_line(data, at, stop, table, mode)
            if has_tag and mode == AUTO:
                mode = NEVER
            if why:
                if count == room:
                    room *= 2
                    starts, stops = _grown(starts, room), _grown(stops, room)
                    whys, unescapes = _grown(whys, room), _grown(unescapes, room)
                starts[count], stops[count] = at, end
                whys[count], unescapes[count] = why, mode != NEVER
                count += 1
            at = end
    return starts[:count].copy(), stops[:count].copy(), whys[:count].copy(), unescapes[:count].copy()


@njit(cache=True, nogil=True)
def _grown(values, room):
    larger = np.empty(room, values.dtype)
    larger[: values.size] = values
    return larger
