"""What `gopher_quality` counts of texts, over Arrow's buffers and the words of `operators/scans.py`.

`quality_reference.py` says what the counts are, slowly. A document's words are looked up in a table of one byte each;
its text is read eight bytes at a time for line breaks, dots and hashes. Time is linear in the text.

Price (benchmarks/word_scan.py, on a busy machine): 250 to 400 MB a CPU-second.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated, assignment"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit

from operators.kernels.scans import LETTER_WORD, PLAIN_WORD
from operators.kernels.text_bytes import byte_at, code_point_at, eight_bytes_at, trailing_zeros
from operators.kernels.words import IS_WHITE

U64 = np.uint64

COUNTS: Final = (
    "words", "plain_words", "plain_chars", "letter_words", "stop_words", "hashes", "ellipses", "lines", "bullets",
    "end_ellipses",
)  # fmt: skip
"""The columns of `counted`: plain words have a character outside PUNCTUATION_SET, letter words a letter."""
_WORDS, _PLAIN, _PLAIN_CHARS, _LETTER, _STOP, _HASHES, _ELLIPSES, _LINES, _BULLETS, _ENDS = range(10)

_IS_STOP: Final = 4
_CHARS_SHIFT: Final = 3
_MANY: Final = 31  # code points of a word that its byte does not hold
_HIGH_BITS = U64(0x8080808080808080)
_ONES = U64(0x0101010101010101)
_BLANKS = U64(0x2020202020202020)
_HASH, _DOT, _HYPHEN = 0x23, 0x2E, 0x2D


@njit(cache=True, nogil=True)
def coded(word_chars, word_flags, stop_numbers):
    """One byte of each word: both flags, whether it is a stop word, and its code points if they are few."""
    codes = np.empty(word_chars.size, np.uint8)
    for word in range(codes.size):
        stop = _IS_STOP if stop_numbers[word] >= 0 else 0
        codes[word] = word_flags[word] | stop | min(word_chars[word], _MANY) << _CHARS_SHIFT
    return codes


@njit(cache=True, nogil=True)
def counted(data, offsets, token_starts, tokens, word_chars, codes, stop_numbers, num_stop_words, table):
    """The counts of each document (int64, documents x COUNTS).

    `data` and `offsets` are the texts (`operators/text_buffers.py`), then come parts of their scan; `codes` are from
    `coded`, `stop_numbers` (int32) has for each word its number among the stop words, -1 for all others, and `table` is
    `scans.kernel_table()`.
    """
    counts = np.zeros((offsets.size - 1, 10), np.int64)
    seen_in = np.full(num_stop_words, -1, np.int64)
    for document in range(counts.shape[0]):
        row = counts[document]
        _count_words(token_starts, tokens, word_chars, codes, stop_numbers, seen_in, document, row)
        _count_lines(data.ctypes.data, offsets[document], offsets[document + 1], table.ctypes.data, row)
    return counts


@njit(cache=True, nogil=True)
def _count_words(token_starts, tokens, word_chars, codes, stop_numbers, seen_in, document, row):
    plain = chars = letters = stops = 0
    for place in range(token_starts[document], token_starts[document + 1]):
        code = np.int64(codes[tokens[place]])
        if code & PLAIN_WORD:
            plain += 1
            few = code >> _CHARS_SHIFT
            chars += few if few < _MANY else word_chars[tokens[place]]
        letters += (code & LETTER_WORD) // LETTER_WORD
        if code & _IS_STOP:
            number = stop_numbers[tokens[place]]
            stops += seen_in[number] != document
            seen_in[number] = document
    row[_WORDS] = token_starts[document + 1] - token_starts[document]
    row[_PLAIN], row[_PLAIN_CHARS], row[_LETTER], row[_STOP] = plain, chars, letters, stops


@njit(inline="always")
def _next_mark(text, at, high):
    """The first byte from a place on that is below 32, a hash, a dot or not ASCII; or `high`."""
    while at + 8 <= high:
        word = eight_bytes_at(text, at)
        hashes, dots = word ^ (_ONES * U64(_HASH)), word ^ (_ONES * U64(_DOT))
        found = (word - _BLANKS) & ~word | (hashes - _ONES) & ~hashes | (dots - _ONES) & ~dots | word
        found &= _HIGH_BITS
        if found:
            return at + np.int64(trailing_zeros(found) >> U64(3))
        at += 8
    while at < high:
        byte = byte_at(text, at)
        if byte < 32 or byte >= 0x80 or byte in (_HASH, _DOT):
            break
        at += 1
    return at


@njit(inline="always")
def _break(text, at, high):
    """How many bytes the line break at a place has, of those of `str.splitlines`; 0 if there is none."""
    byte = byte_at(text, at)
    if byte == 13:
        return 2 if at + 1 < high and byte_at(text, at + 1) == 10 else 1
    if byte < 0x80:
        return 1 if 10 <= byte <= 12 or 28 <= byte <= 30 else 0
    if byte == 0xC2:
        return 2 if byte_at(text, at + 1) == 0x85 else 0
    is_separator = byte == 0xE2 and byte_at(text, at + 1) == 0x80 and byte_at(text, at + 2) in (0xA8, 0xA9)
    return 3 if is_separator else 0


@njit(inline="always")
def _width(byte):
    """The bytes of the code point that begins with this one."""
    return 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4


@njit(inline="always")
def _is_ellipsis(text, at):
    """Whether U+2026 begins at a byte 0xE2."""
    return byte_at(text, at + 1) == 0x80 and byte_at(text, at + 2) == 0xA6


@njit(cache=True, nogil=True)
def _count_lines(text, at, high, table, row):
    start = at
    while True:
        at = _next_mark(text, at, high)
        width = _break(text, at, high) if at < high else 0
        if width or at == high:
            if width or start < high:
                row[_LINES] += 1
                row[_BULLETS] += _begins_with_bullet(text, start, at, table)
                row[_ENDS] += _ends_with_ellipsis(text, start, at, table)
            if at == high:
                return
            start = at = at + width
            continue
        byte = byte_at(text, at)
        if byte == _DOT:
            begin = at
            while at < high and byte_at(text, at) == _DOT:
                at += 1
            row[_ELLIPSES] += (at - begin) // 3
            continue
        row[_HASHES] += byte == _HASH
        row[_ELLIPSES] += byte == 0xE2 and _is_ellipsis(text, at)
        at += _width(byte)


@njit(cache=True, nogil=True)
def _begins_with_bullet(text, at, high, table):
    while at < high and byte_at(table, code_point_at(text, at)[0]) & IS_WHITE:
        at += _width(byte_at(text, at))
    if at == high:
        return 0
    first = byte_at(text, at)
    if first == 0xE2:
        return 1 if byte_at(text, at + 1) == 0x80 and byte_at(text, at + 2) == 0xA2 else 0
    return 1 if first == _HYPHEN else 0


@njit(cache=True, nogil=True)
def _ends_with_ellipsis(text, low, at, table):
    while at > low:
        before = at - 1
        while byte_at(text, before) & 0xC0 == 0x80:
            before -= 1
        if not byte_at(table, code_point_at(text, before)[0]) & IS_WHITE:
            break
        at = before
    if at < low + 3:
        return 0
    first, second, third = byte_at(text, at - 3), byte_at(text, at - 2), byte_at(text, at - 1)
    return 1 if (first == second == third == _DOT) or (first == 0xE2 and second == 0x80 and third == 0xA6) else 0
