"""The sentences of C4's lines, as `c4.py` leaves them; operators/sentences.py says what they are.

`count_sentences` finds them by `standard`, `count_turns` by what spaCy makes of each chunk between white space.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.kernels.text_bytes import code_point, wide_white
from operators.sentences import CLOSER, DIGIT, KIND, LAST_LETTER, LOWER, MARK, PUNCTUATION, SPACE, UPPER

_LEAD: Final = 2


def _white_sizes() -> NDArray[np.uint8]:
    sizes = np.zeros(256, np.uint8)
    sizes[[*range(9, 14), *range(28, 33)]] = 1
    sizes[[0xC2, 0xE1, 0xE2, 0xE3]] = _LEAD
    return sizes


_SIZES: Final = _white_sizes()
"""Of each byte 1 if it is white space, `_LEAD` if white space may begin with it."""


@njit(cache=True, nogil=True)
def count_sentences(data, starts, ends, num_lines, table):
    """The sentences of each document's lines by `standard`; one at least in each line."""
    counts = np.zeros(starts.size, np.int32)
    for document in range(starts.size):
        at, high, count = starts[document], ends[document], num_lines[document]
        ended, before, single = False, 0, False
        while at < high:
            point, behind = code_point(data, at)
            entry = table[point]
            kind = entry & KIND
            if point == 10:
                ended = False
            elif entry & MARK:
                if point != 46:
                    ended = True
                elif not ended:
                    ended = _is_full_stop(data, at, high, before, single, table)
            elif ended and kind != SPACE and kind != PUNCTUATION:
                count, ended = count + 1, False
            single = not (1 <= before <= LAST_LETTER or before == DIGIT)
            before = kind if point != 46 and point != 10 else (-1 if point == 46 else 0)
            at = behind
        counts[document] = count
    return counts


@njit
def _is_full_stop(data, at, high, before, single, table):
    """Whether the stop at a place ends a sentence: `before` is the class before it, -1 for a stop."""
    if before == -1:
        return False
    after = 10
    if at + 1 < high:
        after, _ = code_point(data, at + 1)
    if after == 46:
        return False
    entry = table[after]
    if after == 10 or entry & KIND == SPACE or entry & CLOSER:
        return not (1 <= before <= LAST_LETTER and single)
    return before == LOWER and entry & KIND == UPPER


@njit(cache=True, nogil=True)
def count_turns(data, starts, ends, num_lines, numbers, firsts, turns, right, left):
    """The sentences by spaCy's tokens of each chunk, and which documents have chunks that meet.

    `numbers` are the chunks of all documents' lines, `firsts` where each document's begin; `turns` (chunks, 4) is
    `sentences.token_turns` of each, `right` and `left` their `spacy_edges`.
    """
    counts = np.zeros(starts.size, np.int32)
    meets = np.zeros(starts.size, np.bool_)
    for document in range(starts.size):
        at, high, count, chunk = starts[document], ends[document], num_lines[document], firsts[document]
        ended, line, previous = 0, at, -1
        while at < high:
            begin = at
            at = _after_white(data, at, high, False)
            if at > begin:
                is_space = at == begin + 1 and data[begin] == 32 and begin > line
                if not is_space:
                    count, ended, previous = count + ended, 0, -1
            elif data[at] == 10:
                at += 1
                ended, line, previous = 0, at, -1
            else:
                at = _after_white(data, at, high, True)
                number = numbers[chunk]
                meets[document] |= previous >= 0 and right[previous] & left[number] != 0
                count, ended = count + turns[number, ended], turns[number, 2 + ended]
                chunk, previous = chunk + 1, number
        counts[document] = count
    return counts, meets


@njit
def _after_white(data, at, high, other):
    """The end of the white space at a place (or, if `other`, of what is none). A line feed is not part of it."""
    while at < high:
        size = _white_size(data, at)
        if (size and (other or data[at] == 10)) or not (size or other):
            return at
        at += max(size, 1)
    return at


@njit
def _white_size(data, at):
    """Bytes of the white space at a place; 0 if there is none."""
    size = _SIZES[data[at]]
    return abs(wide_white(data, at)) if size == _LEAD else size
