"""Cut text into pre-tokens and count them, straight on Arrow buffers.

One scanner runs every pattern: it walks the tables of `pattern_automaton.py` over UTF-8, so a pattern is data and
compiles nothing. Its pieces are those of `tokenizers`' `Split(Regex(pattern), "isolated")`. They feed a hash table
whose slots hold up to 15 bytes of text themselves; longer pre-tokens are places in the text. Price on one core: 105 to
120 MB of text a second for the published patterns, 10 ms per process to build the tables, 7 s to compile, once per
machine. Memory besides the text: 64 to 128 bytes per distinct pre-token, and their bytes.

A pattern that `pattern_syntax.py` does not read is run by `tokenizers`' own engine (`engine_spans.py`), with the same
results at 4 MB a second.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"
# With text_bytes.py ba160204.

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from operators.engine_spans import engine_ends
from operators.kernels.text_bytes import eight_bytes
from operators.pattern_automaton import compile_patterns, membership
from operators.pattern_syntax import NUMERALS, UnsupportedPattern
from operators.pretokenizers import Cutting, Pretokenizer, cutting
from operators.text_buffers import joined_bytes
from operators.unicode_classes import CODE_POINTS

_BLOCK: Final = 4096  # pieces that are scanned, then counted
_FIRST_BITS: Final = 12
_SLOT: Final = 4  # words a slot: two of key, where the pre-token begins, how often it occurs (0: the slot is free)
_INLINE: Final = 15  # bytes that fit into a key beside their number
_LONG: Final = np.uint64(0xFF << 56)  # where a key has the number of its bytes
# Odd, random-looking factors: the golden ratio's, and two from well-known mixing functions.
_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_SECOND: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_LAST: Final = np.uint64(0xFF51AFD7ED558CCD)


class _Scanner(NamedTuple):
    """An `Automaton`, and which of its symbols are numerals where those are grouped from the right."""

    symbols: NDArray[np.uint8]
    steps: NDArray[np.int32]
    regions: NDArray[np.int8]
    numerals: NDArray[np.bool_]
    width: int
    grouped: bool


def count(
    texts: pa.LargeStringArray,
    weights: NDArray[np.int64],
    pretokenizer: Pretokenizer | Cutting,
    cuts: NDArray[np.int64] | None = None,
) -> tuple[pa.LargeBinaryArray, NDArray[np.int64]]:
    """The distinct pre-tokens of some documents, and how often each occurs, in no particular order.

    Args:
        texts: documents, none null. No pre-token crosses from one into the next.
        weights: int64, how often each document counts; at 0 it is passed over.
        pretokenizer: a published pattern, or what `cutting` gives.
        cuts: where pre-tokens are cut further, as `cut_places` gives it.

    >>> words, totals = count(pa.array(["to be or", " to be"], pa.large_string()), np.array([1, 2]), "gpt2")
    >>> sorted(zip(words.to_pylist(), totals.tolist()))
    [(b' be', 3), (b' or', 1), (b' to', 2), (b'to', 1)]
    """
    if texts.null_count or len(texts) != len(weights):
        found = f"{len(texts)} texts, {texts.null_count} null, {len(weights)} weights"
        msg = f"expected as many weights as texts and no null text: {found}"
        raise ValueError(msg)
    data, offsets = joined_bytes(texts)
    if not data.size:
        return pa.array([], pa.large_binary()), np.empty(0, np.int64)
    given = np.array(weights, np.int64)  # a copy: read-only arrays would be compiled for a second time
    scanner = _scanner(_cutting(pretokenizer))
    if scanner is None or cuts is not None:
        words, word_ends, totals = _count_ends(data, offsets, given, piece_ends(texts, pretokenizer, cuts))
    else:
        words, word_ends, totals = _count(data, offsets, given, scanner)
    buffers = [None, pa.py_buffer(word_ends), pa.py_buffer(words)]
    return pa.Array.from_buffers(pa.large_binary(), len(totals), buffers), totals


def spans(
    texts: pa.LargeStringArray, pretokenizer: Pretokenizer | Cutting, cuts: NDArray[np.int64] | None = None
) -> pa.LargeListArray:
    """Where the pre-tokens of each document end, in bytes from its beginning, in order; arguments as for `count`.

    >>> spans(pa.array(["to be", "", "a  b"], pa.large_string()), "gpt2").to_pylist()
    [[2, 5], [], [1, 2, 4]]
    """
    _, offsets = joined_bytes(texts)
    ends = piece_ends(texts, pretokenizer, cuts)
    firsts = np.searchsorted(ends, offsets, side="right")
    within = ends - np.repeat(offsets[:-1], np.diff(firsts))
    return pa.LargeListArray.from_arrays(pa.array(firsts, pa.int64()), pa.array(within, pa.int64()))


def is_scanned(how: Cutting) -> bool:
    """Whether the scanner runs these patterns; else the engine does, at a 25th of the speed."""
    return _scanner(how) is not None


def _cutting(pretokenizer: Pretokenizer | Cutting) -> Cutting:
    return pretokenizer if isinstance(pretokenizer, Cutting) else cutting(pretokenizer)


@lru_cache(maxsize=16)
def _scanner(how: Cutting) -> _Scanner | None:
    try:
        symbols, steps, regions, width = compile_patterns(how.scanned)
    except UnsupportedPattern:
        return None
    numerals = np.zeros(width, bool)
    if how.right_to_left:
        numerals[symbols[membership(NUMERALS, np.arange(CODE_POINTS))]] = True
    return _Scanner(symbols, steps, regions, numerals, width, how.right_to_left)


def piece_ends(
    texts: pa.LargeStringArray, pretokenizer: Pretokenizer | Cutting, cuts: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Where pre-tokens end in the joined bytes of all documents, in order; arguments as for `count`."""
    how = _cutting(pretokenizer)
    scanner = _scanner(how)
    ends = engine_ends(texts, how.patterns) if scanner is None else _scan_all(*joined_bytes(texts), scanner)
    return ends if cuts is None else np.union1d(ends, cuts)


@njit(cache=True, nogil=True)
def _count(data, offsets, weights, scanner):
    ends, table, size = np.empty(_BLOCK, np.int64), _new_table(1 << _FIRST_BITS), 0
    for document in range(weights.size):
        start, stop, run = offsets[document], offsets[document + 1], np.int64(0)
        while start < stop and weights[document] > 0:
            pieces, run = _scan(data, start, stop, run, scanner, ends)
            table = _with_room(table, size + pieces)
            size += _add(table, data, start, ends[:pieces], weights[document])
            start = ends[pieces - 1]
    return _gather(data, table, size)


@njit(cache=True, nogil=True)
def _count_ends(data, offsets, weights, ends):
    """As `_count`, where it is known already where the pieces end."""
    table, size, piece = _new_table(1 << _FIRST_BITS), 0, 0
    for document in range(weights.size):
        start = offsets[document]
        while start < offsets[document + 1]:
            block = ends[piece : piece + np.searchsorted(ends[piece : piece + _BLOCK], offsets[document + 1] + 1)]
            if weights[document] > 0:
                table = _with_room(table, size + block.size)
                size += _add(table, data, start, block, weights[document])
            piece += block.size
            start = block[-1]
    return _gather(data, table, size)


@njit(cache=True, nogil=True)
def _scan_all(data, offsets, scanner):
    ends, found = np.empty(data.size // 4 + _BLOCK, np.int64), 0
    for document in range(offsets.size - 1):
        start, stop, run = offsets[document], offsets[document + 1], np.int64(0)
        while start < stop:
            if found + _BLOCK > ends.size:
                ends = np.append(ends, np.empty(ends.size, np.int64))
            pieces, run = _scan(data, start, stop, run, scanner, ends[found : found + _BLOCK])
            found += pieces
            start = ends[found - 1]
    return ends[:found].copy()


@njit(cache=True, nogil=True)
def _scan(data, start, stop, run, scanner, ends):
    """Write where pieces end until there is no more room or text; a run of numerals may have been begun before."""
    symbols, steps, regions, numerals, width, grouped = scanner
    pieces = 0
    while start < stop and pieces < ends.size:
        if start < run:
            end = _numerals_on(data, start, 3)
        else:
            end = _match(data, start, stop, symbols, steps, width)
            if end == start:
                end = _gap(data, start, stop, symbols, steps, regions, width)
            if grouped:
                run, end = end, _first_group(data, start, end, symbols, numerals)
        ends[pieces] = end
        start = end
        pieces += 1
    return pieces, run


# What runs for every piece gets arrays one by one and inlined: a call, or a look into a tuple of them, hands each over
# with an atomic reference count.


@njit(cache=True, nogil=True, inline="always")
def _match(data, start, stop, symbols, steps, width):
    """Where the match that begins here ends; here if there is none."""
    place, last, row = start, start, width
    while True:
        if place < stop:
            symbol, after = _symbol(data, place, symbols)
        else:
            symbol, after = width - 1, place
        step = np.int64(steps[row + symbol])
        if step & 1:
            last = place
        following = step >> 1
        if following != row:  # runs of one class stay in a row: a branch guesses it, where an assignment would wait
            if following == 0:
                break
            row = following
        place = after
    return last


@njit(cache=True, nogil=True, inline="always")
def _symbol(data, place, symbols):
    """Symbol of the code point at a place of valid UTF-8, and where the next one begins."""
    byte = np.int64(data[place])
    if byte < 0x80:
        return np.int64(symbols[byte]), place + 1
    second = np.int64(data[place + 1]) & 0x3F
    if byte < 0xE0:
        return np.int64(symbols[(byte & 0x1F) << 6 | second]), place + 2
    third = np.int64(data[place + 2]) & 0x3F
    if byte < 0xF0:
        return np.int64(symbols[(byte & 0x0F) << 12 | second << 6 | third]), place + 3
    fourth = np.int64(data[place + 3]) & 0x3F
    return np.int64(symbols[(byte & 0x07) << 18 | second << 12 | third << 6 | fourth]), place + 4


@njit(cache=True, nogil=True)
def _gap(data, start, stop, symbols, steps, regions, width):
    """Where characters end that begin no match: at the next match or region."""
    symbol, place = _symbol(data, start, symbols)
    region = regions[symbol]
    while place < stop:
        symbol, after = _symbol(data, place, symbols)
        if regions[symbol] != region or _match(data, place, stop, symbols, steps, width) > place:
            break
        place = after
    return place


@njit(cache=True, nogil=True)
def _first_group(data, start, end, symbols, numerals):
    """Where the first group of a piece of numerals ends, if the rest is to be threes; of another piece, its end."""
    symbol, after = _symbol(data, start, symbols)
    first = start
    if not numerals[symbol] and data[start] == 32 and after < end:
        first = after
        symbol, after = _symbol(data, first, symbols)
    if not numerals[symbol]:
        return end
    count = 0
    for place in range(first, end):
        count += data[place] & 0xC0 != 0x80
    return _numerals_on(data, first, (count - 1) % 3 + 1)


@njit(cache=True, nogil=True)
def _numerals_on(data, place, numerals):
    while numerals:
        place += 1
        while place < data.size and data[place] & 0xC0 == 0x80:
            place += 1
        numerals -= 1
    return place


@njit(cache=True, nogil=True)
def _new_table(capacity):
    return np.zeros(capacity * _SLOT, np.uint64)


@njit(cache=True, nogil=True)
def _with_room(table, size):
    """The table, doubled until so many pre-tokens fill no more than half of it."""
    while 2 * size * _SLOT > table.size:
        grown = np.zeros(2 * table.size, np.uint64)
        for old in range(0, table.size, _SLOT):
            if table[old + 3]:
                slot = _slot(table[old], table[old + 1], grown.size)
                while grown[slot + 3]:
                    slot = (slot + _SLOT) & (grown.size - 1)
                grown[slot : slot + _SLOT] = table[old : old + _SLOT]
        table = grown
    return table


@njit(cache=True, nogil=True)
def _add(table, data, start, ends, weight):
    """Count the pieces that end there; gives the number of new ones."""
    new, mask = 0, table.size - 1
    for end in ends:
        length = end - start
        if length <= 8:  # a key is a short pre-token's bytes and, in the last byte, their number
            first = _word(data, start, length)
            second = np.uint64(length) << np.uint64(56)
        elif length <= _INLINE:
            first = eight_bytes(data, start)
            second = _word(data, start + 8, length - 8) | np.uint64(length) << np.uint64(56)
        else:  # or a long one's length and hash
            first = np.uint64(length)
            second = _hash(data, start, length) | _LONG
        slot = _slot(first, second, table.size)
        while table[slot + 3]:
            alike = table[slot] == first and table[slot + 1] == second
            if alike and (length <= _INLINE or _same(data, np.int64(table[slot + 2]), start, length)):
                break
            slot = (slot + _SLOT) & mask
        if not table[slot + 3]:
            table[slot], table[slot + 1], table[slot + 2] = first, second, np.uint64(start)
            new += 1
        table[slot + 3] += np.uint64(weight)
        start = end
    return new


@njit(cache=True, nogil=True, inline="always")
def _slot(first, second, size):
    mixed = first * _FIRST + second * _SECOND
    mixed = (mixed ^ mixed >> np.uint64(32)) * _LAST
    return np.int64(mixed >> np.uint64(20)) * _SLOT & (size - 1)


@njit(cache=True, nogil=True, inline="always")
def _word(data, place, length):
    """1 to 8 bytes as the low ones of a word, on the little-endian machines that numba knows."""
    if place + 8 <= data.size:
        above = np.uint64(64 - 8 * length)
        return eight_bytes(data, place) << above >> above
    word = np.uint64(0)
    for byte in range(length):
        word |= np.uint64(data[place + byte]) << np.uint64(8 * byte)
    return word


@njit(cache=True, nogil=True)
def _hash(data, start, length):
    """Of 8 bytes or more: word by word, the last word overlapping the one before."""
    hashed, last = np.uint64(length), start + length - 8
    for place in range(start, last, 8):
        hashed = (hashed ^ eight_bytes(data, place)) * _FIRST
        hashed ^= hashed >> np.uint64(32)
    hashed = (hashed ^ eight_bytes(data, last)) * _SECOND
    return hashed ^ hashed >> np.uint64(29)


@njit(cache=True, nogil=True)
def _same(data, one, other, length):
    for place in range(0, length - 8, 8):
        if eight_bytes(data, one + place) != eight_bytes(data, other + place):
            return False
    return eight_bytes(data, one + length - 8) == eight_bytes(data, other + length - 8)


@njit(cache=True, nogil=True)
def _gather(data, table, size):
    """Bytes, offsets and counts of the distinct pre-tokens."""
    offsets, totals, word = np.zeros(size + 1, np.int64), np.empty(size, np.int64), 0
    for slot in range(0, table.size, _SLOT):
        if table[slot + 3]:
            inline = np.int64(table[slot + 1] >> np.uint64(56))
            offsets[word + 1] = offsets[word] + (inline if inline <= _INLINE else np.int64(table[slot]))
            totals[word] = table[slot + 3]
            table[word] = table[slot + 2]  # where it begins; this slot has been read
            word += 1
    words = np.empty(offsets[-1], np.uint8)
    for word in range(size):
        first, length = np.int64(table[word]), offsets[word + 1] - offsets[word]
        words[offsets[word] : offsets[word + 1]] = data[first : first + length]
    return words, offsets, totals
