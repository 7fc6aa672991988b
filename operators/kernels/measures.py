"""Lengths of texts and scripts of their letters, in one buffer; `measures_reference.py` says what is counted.

Price on one core: 0.5 GB/s for the lengths, 0.8 for the scripts, 1.4 where nearly all is ASCII.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit

from operators.kernels.text_bytes import code_point, eight_bytes
from operators.normal_text import SPACE

_ONES: Final = np.uint64(0x0101010101010101)
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_CASE_BITS: Final = np.uint64(0x2020202020202020)
_FROM_A: Final = np.uint64(0x1F1F1F1F1F1F1F1F)  # a byte from `a` on becomes 0x80 or more
_BEHIND_Z: Final = np.uint64(0x0505050505050505)
_LINE_FEED: Final = 10
_RETURN: Final = 13


@njit(cache=True, nogil=True)
def lengths(data, offsets, table):
    """int64 (texts, 5): code points, words, lines, code points in the lines, code points of the longest line.

    `table` is `normal_text.normal_table()`.
    """
    found = np.zeros((offsets.size - 1, 5), np.int64)
    for text in range(offsets.size - 1):
        at, high = offsets[text], offsets[text + 1]
        chars = words = lines = in_lines = longest = line = last = 0
        in_word = False
        while at < high:
            point, at = code_point(data, at)
            chars += 1
            is_word = not table[point] & SPACE
            words += is_word and not in_word
            in_word = is_word
            line += 1
            if point == _LINE_FEED:
                line -= 1 + (last == _RETURN)
                lines += 1
                in_lines += line
                longest = max(longest, line)
                line = 0
            last = point
        lines += line > 0
        found[text] = chars, words, lines, in_lines + line, max(longest, line)
    return found


@njit(cache=True, nogil=True)
def scripts(data, offsets, table, latin, wanted, group):
    """int64 (texts, 5): letters, wanted letters, number and letters of the commonest script, different scripts.

    `table` is `scripts.script_table()` and `latin` its number of that script; `wanted` (groups, 256) says which
    scripts a group of texts wants, and `group` which one each text is of. Of equally common scripts the lower number.
    """
    found = np.zeros((offsets.size - 1, 5), np.int64)
    counts = np.zeros(256, np.int64)
    for text in range(offsets.size - 1):
        at, high = offsets[text], offsets[text + 1]
        counts[:] = 0
        while at < high:
            if at + 8 <= high:
                word = eight_bytes(data, at)
                if not word & _HIGH_BITS:
                    word |= _CASE_BITS
                    letters = (word + _FROM_A) & ~(word + _BEHIND_Z) & _HIGH_BITS
                    counts[latin] += np.int64(((letters >> np.uint64(7)) * _ONES) >> np.uint64(56))
                    at += 8
                    continue
                stop = at + 8
            else:
                stop = high
            while at < stop:
                point, at = code_point(data, at)
                counts[table[point]] += 1
        best = letters_in = wanted_in = different = 0
        for script in range(1, 256):
            letters_in += counts[script]
            wanted_in += counts[script] * wanted[group[text], script]
            different += counts[script] > 0
            if counts[script] > counts[best] or (best == 0 and counts[script]):
                best = script
        top = counts[best] if best else 0
        found[text] = letters_in, wanted_in, best, top, different
    return found
