"""Texts without the lines that no one wrote as prose; `line_rules_reference.py` says which these are.

Price on one core: 0.1 GB/s. All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, var-annotated"
# With text_bytes.py ba160204.

from itertools import accumulate
from typing import Final

import numpy as np
from numba import njit

from operators.character_flags import DECIMAL, DIGIT, SPACE, UPPER, WORD
from operators.kernels.text_bytes import code_point

PHRASES: Final = ("items in cart", "read more\0\0\0", "sign-in")
"""Taken out anywhere, at the end, at the start of a line; a zero byte stands for any character."""
COUNTED: Final = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes"),
    *("downloads", "views", "followers"),
)

_PATTERNS: Final = np.frombuffer("".join((*PHRASES, *COUNTED)).encode(), np.uint8)
_STARTS: Final = np.array([0, *accumulate(map(len, (*PHRASES, *COUNTED)))], np.int64)
_END_CHARS: Final = len(PHRASES[1])
_KELVIN: Final = 0x212A
_LONG_S: Final = 0x17F
_DOTTED_I: Final = 0x130
_DOTLESS_I: Final = 0x131

_UPPERCASE, _DIGITS, _COUNTER, _SHORT, _MAY_HOLD, _BLANK = 1, 2, 4, 8, 16, 32
"""What a line is: the first four by the rules that take whole lines, in their order; short enough to hold phrases."""
_PHRASE_LINES, _PHRASES, _WORDS_BEFORE, _WORDS_AFTER = 4, 5, 6, 7
"""Columns of what `cleaned` counts; the first four are lines removed by the rules above."""


@njit(cache=True, nogil=True)
def _point(data, at):
    """`code_point`, compiled once: in each of a dozen places it would take a third more time to compile."""
    return code_point(data, at)


@njit(cache=True, nogil=True)
def _before(data, at):
    """Where the code point before a place begins."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@njit(cache=True, nogil=True)
def _match(data, at, stop, pattern, ignores_case):
    """Where a pattern that matches at a place ends, or -1: as `re.IGNORECASE` does, or in lower-cased text."""
    for place in range(_STARTS[pattern], _STARTS[pattern + 1]):
        if at >= stop:
            return -1
        point, at = _point(data, at)
        if 65 <= point <= 90:
            point += 32
        elif point == _KELVIN:
            point = 107
        elif ignores_case and point == _LONG_S:
            point = 115
        elif ignores_case and point in (_DOTTED_I, _DOTLESS_I):
            point = 105
        if _PATTERNS[place] and point != _PATTERNS[place]:
            return -1
    return at


@njit(cache=True, nogil=True)
def _skip(data, at, stop, flags, flag, wanted):
    """The first place from one on at which there is a character that has the flag, or lacks it if that is wanted."""
    while at < stop:
        point, after = _point(data, at)
        if ((flags[point] & flag) > 0) != wanted:
            return at
        at = after
    return stop


@njit(cache=True, nogil=True)
def _is_counter(data, at, stop, flags):
    """Whether a line is a number and what it counts, such as `3 likes`."""
    at = _skip(data, at, stop, flags, WORD, False)
    if at == stop or not flags[_point(data, at)[0]] & DECIMAL:
        return False
    at = _skip(data, at, stop, flags, DECIMAL, True)
    while at < stop and (data[at] == 44 or data[at] == 46):  # commas and dots
        at = _skip(data, at + 1, stop, flags, DECIMAL, True)
    if at < stop:
        point, after = _point(data, at)
        if point == _KELVIN or (point < 128 and (point | 32) in (107, 109, 98)):
            at = after
    begin = at
    at = _skip(data, at, stop, flags, SPACE, True)
    if at == begin:
        return False
    for pattern in range(len(PHRASES), _STARTS.size - 1):
        end = _match(data, at, stop, pattern, False)
        if end >= 0:
            return _skip(data, end, stop, flags, WORD, False) == stop
    return False


@njit(cache=True, nogil=True)
def _measure(data, start, stop, flags, limits, kinds, words, line):
    """Note what a line is, and how many words it has that begin with a letter or number.

    Those lie between the white space that fastText knows; the rules' own words between all white space.
    """
    chars = upper = digits = pieces = named = 0
    in_piece = False
    begins = True
    at = start
    while at < stop:
        byte = data[at]
        if byte < 0x80:
            flag = flags[byte]
            at += 1
        else:
            point, at = _point(data, at)
            flag = flags[point]
        chars += 1
        upper += flag & UPPER
        digits += (flag & DIGIT) >> 1
        is_piece = not flag & SPACE
        pieces += is_piece and not in_piece
        in_piece = is_piece
        if byte <= 32 and (byte == 32 or byte == 0 or 9 <= byte <= 13):
            begins = True
        elif begins:
            named += byte != 95 and (flag & WORD) > 0
            begins = False
    words[line] = named
    kinds[line] = _kind(data, start, stop, flags, limits, chars, upper, digits, pieces)


@njit(cache=True, nogil=True)
def _kind(data, start, stop, flags, limits, chars, upper, digits, pieces):
    """What a line is, by its counts."""
    if start == stop:
        return _BLANK
    kind = _MAY_HOLD if pieces <= limits[3] else 0
    if upper > limits[0] * chars - 1 and upper / chars > limits[0]:  # the division decides; it is slow
        kind |= _UPPERCASE
    if digits and digits / chars > limits[1]:
        kind |= _DIGITS
    if digits and _is_counter(data, start, stop, flags):
        kind |= _COUNTER
    if pieces < limits[2]:
        kind |= _SHORT
    return kind if pieces else kind | _BLANK


@njit(cache=True, nogil=True)
def _cut(data, start, stop, low, high):
    """A line of which [low, high) is cut out: where it begins and ends then."""
    if low == start:
        return high, stop
    for place in range(high, stop):
        data[low + place - high] = data[place]
    return start, stop - (high - low)


@njit(cache=True, nogil=True)
def _with_space(data, start, at, flags):
    """Where the white space character before a place begins, or the place, if there is none in the line."""
    if at > start:
        before = _before(data, at)
        if flags[_point(data, before)[0]] & SPACE:
            return before
    return at


@njit(cache=True, nogil=True)
def _without_first(data, start, stop, flags):
    """A line without the phrase that may stand anywhere: where it begins and ends then, and how often it was there."""
    at, found = start, 0
    while at < stop:
        byte = data[at]
        end = -1
        if byte == 105 or byte == 73 or byte == 0xC4:  # i, I, and the first byte of both that equal them
            end = _match(data, at, stop, 0, True)
        if end < 0:
            at += 1
            continue
        found += 1
        low = _with_space(data, start, at, flags)
        start, stop = _cut(data, start, stop, low, end)
        at = max(low, start)
    return start, stop, found


@njit(cache=True, nogil=True)
def _without_phrase(data, start, stop, phrase, flags):
    """A line without a phrase: where it begins and ends then, and how often it was there."""
    if phrase == 0:
        return _without_first(data, start, stop, flags)
    at = start
    if phrase == 1:
        at = stop
        for _ in range(_END_CHARS):
            if at == start:
                return start, stop, 0
            at = _before(data, at)
    end = _match(data, at, stop, phrase, True)
    if end < 0:
        return start, stop, 0
    if phrase == 1:
        return start, _with_space(data, start, at, flags), 1
    if end < stop and flags[_point(data, end)[0]] & SPACE:
        end = _point(data, end)[1]
    return end, stop, 1


@njit(cache=True, nogil=True)
def _strip(data, lines, kinds, words, first, end, flags, limits):
    """The white space at both ends of a document gone, blank lines there with it: its first line, its end."""
    order, starts, stops = lines
    while first < end and kinds[order[first]] & _BLANK:
        first += 1
    while end > first and kinds[order[end - 1]] & _BLANK:
        end -= 1
    if first == end:
        return first, end
    line, last = order[first], order[end - 1]
    start, stop = starts[line], stops[last]
    while flags[_point(data, start)[0]] & SPACE:
        start = _point(data, start)[1]
    while flags[_point(data, _before(data, stop))[0]] & SPACE:
        stop = _before(data, stop)
    if start != starts[line] or stop != stops[last]:
        starts[line], stops[last] = start, stop
        _measure(data, start, stops[line], flags, limits, kinds, words, line)
        _measure(data, starts[last], stop, flags, limits, kinds, words, last)
    return first, end


@njit(cache=True, nogil=True)
def _split(data, at, high, lines, kinds, words, flags, limits):
    """The lines of one document between line feeds: how many, and their words."""
    order, starts, stops = lines
    count, begin, total = 0, at, 0
    while at <= high:
        if at == high or data[at] == 10:
            starts[count], stops[count], order[count] = begin, at, count
            _measure(data, begin, at, flags, limits, kinds, words, count)
            total += words[count]
            count += 1
            begin = at + 1
        at += 1
    return count, total


@njit(cache=True, nogil=True)
def _by_lines(data, lines, kinds, words, end, flags, limits, counts):
    """The document's lines after the rules that take whole lines: the first one, and the end."""
    order = lines[0]
    first = 0
    for rule in range(4):
        to = first
        for place in range(first, end):
            line = order[place]
            order[to] = line
            goes = kinds[line] >> rule & 1
            counts[rule] += goes
            to += 1 - goes
        end = to
        if rule < 3:
            first, end = _strip(data, lines, kinds, words, first, end, flags, limits)
    return first, end


@njit(cache=True, nogil=True)
def _by_phrases(data, lines, kinds, words, first, end, flags, limits, counts):
    """The same after the rules that take phrases."""
    order, starts, stops = lines
    for phrase in range(3):
        to = first
        for place in range(first, end):
            line = order[place]
            order[to] = line
            to += 1
            if kinds[line] & _MAY_HOLD and starts[line] < stops[line]:
                start, stop, found = _without_phrase(data, starts[line], stops[line], phrase, flags)
                if found:
                    counts[_PHRASES] += found
                    starts[line], stops[line] = start, stop
                    _measure(data, start, stop, flags, limits, kinds, words, line)
                if kinds[line] & _BLANK:
                    counts[_PHRASE_LINES] += 1
                    to -= 1
        first, end = _strip(data, lines, kinds, words, first, to, flags, limits)
    return first, end


@njit(cache=True, nogil=True)
def _most_lines(data, offsets):
    most = 0
    for text in range(offsets.size - 1):
        lines = 1
        for at in range(offsets[text], offsets[text + 1]):
            lines += data[at] == 10
        most = max(most, lines)
    return most


@njit(cache=True, nogil=True)
def cleaned(data, offsets, flags, limits):
    """The texts without what the rules take: bytes, offsets, and counts (texts, 8) as the columns above name them.

    `limits`: greatest shares of capitals and digits, fewest words of a line, most words of a line with phrases.
    """
    work = data.copy()
    out = np.empty(data.size, np.uint8)
    ends = np.zeros(offsets.size, np.int64)
    counts = np.zeros((offsets.size - 1, 8), np.int64)
    most = _most_lines(data, offsets)
    lines = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    kinds, words = np.empty(most, np.uint8), np.empty(most, np.int64)
    to = 0
    for text in range(offsets.size - 1):
        row = counts[text]
        end, row[_WORDS_BEFORE] = _split(work, offsets[text], offsets[text + 1], lines, kinds, words, flags, limits)
        first, end = _by_lines(work, lines, kinds, words, end, flags, limits, row)
        first, end = _by_phrases(work, lines, kinds, words, first, end, flags, limits, row)
        for place in range(first, end):
            if place > first:
                out[to] = 10
                to += 1
            line = lines[0][place]
            size = lines[2][line] - lines[1][line]
            out[to : to + size] = work[lines[1][line] : lines[2][line]]
            to += size
            row[_WORDS_AFTER] += words[line]
        ends[text + 1] = to
    return out[:to], ends, counts
