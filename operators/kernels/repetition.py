"""What `gopher_repetition` counts of texts, over Arrow's buffers and the words of `operators/scans.py`.

`repetition_reference.py` says what the counts are, slowly. No hash decides: n-grams that share one are compared by
their bytes. Lines and paragraphs are counted by `repeated_lines.py`.

The top n-grams, for n = 2, 3, 4, are tuples of words: an (n + 1)-gram can occur twice only where both n-grams in it do,
so each longer n looks only at what the shorter one left. Repeated n-grams, for n = 5 to 10, are the strings of n words
without a separator, and other words may make the same string. Two equal strings of at least 16 bytes have equal first
16 bytes: marks in a table of eight bytes for each word say where these may stand elsewhere too, and all six n look only
there, and at strings of fewer bytes.

Time is linear in the text. Memory besides it, for the longest document: its words once more, 8 to 25 bytes for each of
them, and tables for its different n-grams, which grow.

Price (benchmarks/word_scan.py, on a busy machine): 53 to 74 MB a CPU-second.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated, assignment"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from operators.kernels.repeated_lines import count_parts
from operators.kernels.text_bytes import eight_bytes_at, folded, num_code_points_at

U64 = np.uint64
Longs = NDArray[np.int64]

PARTS: Final = ("paragraphs", "paragraph_copies", "paragraph_chars", "lines", "line_copies", "line_chars")
TOP: Final = (2, 3, 4)
REPEATED: Final = (5, 6, 7, 8, 9, 10)
"""The columns of `counted`: PARTS, then the characters of the top n-gram and of the repeated n-grams for each n."""

_FIRST_TOP, _FIRST_REPEATED = len(PARTS), len(PARTS) + len(TOP)
_FEWEST, _MOST = REPEATED[0], REPEATED[-1]
_PREFIX: Final = 16
_FEWEST_SLOTS: Final = 1 << 6
_MOST_AT_FIRST: Final = 1 << 16  # slots of a table before it has to grow
_MOST_MARKS: Final = 1 << 26  # one byte each
_LOW_HALF = U64(0xFFFFFFFF)


@intrinsic
def _put_eight_bytes(context, address, place, value):
    """An unaligned store of eight bytes; the caller sees to it that there is room."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(builder.add(*arguments[:2]), ir.IntType(64).as_pointer())
        builder.store(arguments[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), generate


@njit(cache=True, nogil=True)
def _enough(wanted, most):
    """A power of two, of at least so much unless that is more than the most."""
    count = _FEWEST_SLOTS
    while count < wanted and count < most:
        count *= 2
    return count


def counted(
    data: NDArray[np.uint8],
    offsets: Longs,
    token_starts: Longs,
    tokens: NDArray[np.int32],
    word_bytes: NDArray[np.uint8],
    word_starts: Longs,
    word_chars: NDArray[np.int32],
    table: NDArray[np.uint8],
    seeds: NDArray[np.uint64],
) -> Longs:
    """The counts of each document (int64, documents x (PARTS, TOP, REPEATED)).

    `data` and `offsets` are the texts (`operators/text_buffers.py`), then come parts of their scan, but `word_bytes`
    with eight more bytes behind; `table` is `scans.kernel_table()`, `seeds` are `scans.hash_seeds()`. Words are pieces
    of the text, one behind the other, and hold no space.
    """
    counts = np.zeros((offsets.size - 1, _FIRST_REPEATED + len(REPEATED)), np.int64)
    count_parts(data, offsets, table, seeds, counts)
    _count_top(token_starts, tokens, word_chars, seeds, counts)
    _count_repeated(offsets, token_starts, tokens, word_bytes, word_starts, seeds, counts)
    return counts


@njit(cache=True, nogil=True)
def _most(offsets):
    most = 0
    for place in range(offsets.size - 1):
        most = max(most, offsets[place + 1] - offsets[place])
    return most


# The most frequent tuples of words. Tuples are numbered in the order of their first places; a slot of the table holds
# a number plus one, 0 where it is free.


@njit(cache=True, nogil=True)
def _count_top(token_starts, tokens, word_chars, seeds, counts):
    most = _most(token_starts)
    numbers, slots = np.empty(most + 1, np.int32), np.empty(_enough(2 * most, _MOST_AT_FIRST), np.int32)
    keys, firsts = np.empty(slots.size // 2 + 1, np.uint64), np.empty(slots.size // 2 + 1, np.int32)
    often = np.empty((2, keys.size), np.int32)  # how often tuples of n words are there, and of n - 1
    for document in range(counts.shape[0]):
        low, size = token_starts[document], token_starts[document + 1] - token_starts[document]
        candidates = size - 1
        for n in range(TOP[0], TOP[-1] + 1):
            if size < n:
                break
            at, distinct, begun = 0, 0, 0
            mask = min(_enough(2 * candidates, _MOST_AT_FIRST), slots.size) - 1
            slots[: mask + 1] = 0
            while True:
                at, distinct, begun = _number_tuples(
                    tokens, low, size, n, numbers, slots, mask, keys, firsts, often, seeds, at, distinct, begun
                )
                if at > size - n:
                    break
                mask = 2 * mask + 1
                if mask >= slots.size:
                    slots = np.empty(mask + 1, np.int32)
                if keys.size <= mask // 2 + 1:
                    keys, firsts, often = _longer(keys), _longer(firsts), _wider(often)
                _renumber(slots, mask, keys, distinct, seeds)
            chars = _top_chars(tokens, low, n, firsts, often[n & 1], distinct, word_chars)
            counts[document, _FIRST_TOP + n - TOP[0]] = chars
            candidates = 2 * begun


@njit(cache=True, nogil=True)
def _top_chars(tokens, low, n, firsts, often, distinct, word_chars):
    """The code points of the most frequent tuple of n words, a space between them, times how often it is there."""
    first, best = 0, 1
    for number in range(distinct):
        if often[number] > best:
            first, best = firsts[number], often[number]
    chars = n - 1
    for place in range(low + first, low + first + n):
        chars += word_chars[tokens[place]]
    return np.int64(best) * chars


@njit(cache=True, nogil=True)
def _number_tuples(tokens, low, size, n, numbers, slots, mask, keys, firsts, often, seeds, at, distinct, begun):
    """Number the tuples of n words from a place on, until all are or the table is half full.

    `numbers` has those of the shorter tuples at each place and gets the new ones, -1 for a tuple that is alone. Returns
    where to go on, how many numbers there are, and how many places have one that is not new.
    """
    row, seed, other_seed = n & 1, seeds[0], seeds[1]
    for place in range(at, size - n + 1):
        first = np.int64(tokens[low + place])
        if n > 2:
            first, second = np.int64(numbers[place]), numbers[place + 1]
            if first < 0 or second < 0 or often[1 - row, first] < 2 or often[1 - row, second] < 2:
                numbers[place] = -1
                continue
        key = U64(first) << U64(32) | U64(tokens[low + place + n - 1])
        slot = np.int64(folded(key ^ seed, other_seed)) & mask
        while True:
            number = slots[slot] - 1
            if number < 0:
                number = distinct
                slots[slot] = number + 1
                keys[number], firsts[number], often[row, number] = key, place, 1
                distinct += 1
                break
            if keys[number] == key:
                often[row, number] += 1
                begun += 1
                break
            slot = (slot + 1) & mask
        numbers[place] = number
        if 2 * distinct > mask:
            return place + 1, distinct, begun
    return size, distinct, begun


@njit(cache=True, nogil=True)
def _renumber(slots, mask, keys, distinct, seeds):
    """Put the numbers into slots that were not there before."""
    slots[: mask + 1] = 0
    for number in range(distinct):
        slot = np.int64(folded(keys[number] ^ seeds[0], seeds[1])) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = number + 1


@njit(cache=True, nogil=True)
def _longer(array):
    larger = np.empty(2 * array.size, array.dtype)
    larger[: array.size] = array
    return larger


@njit(cache=True, nogil=True)
def _wider(array):
    larger = np.empty((2, 2 * array.shape[1]), array.dtype)
    larger[:, : array.shape[1]] = array
    return larger


# Repeated strings of words. A slot of the table holds the upper half of a hash and a place plus one.


@njit(cache=True, nogil=True)
def _count_repeated(offsets, token_starts, tokens, word_bytes, word_starts, seeds, counts):
    most = _most(token_starts)
    joined, places = np.zeros(_most(offsets) + 2 * _PREFIX, np.uint8), np.empty(most + 1, np.int64)
    marks = np.empty(_enough(8 * most, _MOST_MARKS), np.uint8)
    looked_at, is_marked = np.empty(most + 1, np.int32), np.empty(most + 1, np.bool_)
    slots = np.empty(_enough(2 * most, _MOST_AT_FIRST), np.uint64)
    for document in range(counts.shape[0]):
        size = token_starts[document + 1] - token_starts[document]
        if size <= _FEWEST:
            continue  # one string of words is no copy
        _join(tokens, token_starts[document], size, word_bytes, word_starts, joined, places)
        count = _look_out(joined, places, size, marks, seeds, looked_at, is_marked)
        for n in range(_FEWEST, _MOST + 1):
            mask = min(_enough(2 * count, _MOST_AT_FIRST), slots.size) - 1
            slots[: mask + 1] = 0
            at, resume, chars, used = 0, 0, 0, 0
            while True:
                at, resume, chars, used = _find_repeated(
                    joined, places, size, n, looked_at, is_marked, count, slots, mask, seeds, at, resume, chars, used
                )
                if at == count:
                    break
                if 2 * mask + 1 >= slots.size:
                    slots = _respread(slots, mask, 2 * (mask + 1))
                else:
                    slots[: 2 * mask + 2] = _respread(slots, mask, 2 * (mask + 1))
                mask = 2 * mask + 1
            counts[document, _FIRST_REPEATED + n - _FEWEST] = chars


@njit(cache=True, nogil=True)
def _join(tokens, low, size, word_bytes, word_starts, joined, places):
    """Write the words of a document one behind the other, and where each begins, with the end of the last."""
    to, words, out = 0, word_bytes.ctypes.data, joined.ctypes.data
    for place in range(size):
        start, stop = word_starts[tokens[low + place]], word_starts[tokens[low + place] + 1]
        places[place] = to
        for at in range(0, stop - start, 8):
            _put_eight_bytes(out, to + at, eight_bytes_at(words, start + at))
        to += stop - start
    places[size] = to


@njit(inline="always")
def _prefix(text, at, one_seed, other_seed):
    return folded(eight_bytes_at(text, at) ^ one_seed, eight_bytes_at(text, at + 8) ^ other_seed)


@njit(cache=True, nogil=True)
def _look_out(joined, places, size, marks, seeds, looked_at, is_marked):
    """The places where a string of n words may begin that is there twice: how many there are.

    At all others the first bytes are in no other place. `is_marked` says where they may be; the rest begin with few.
    """
    text, seed, other_seed = joined.ctypes.data, seeds[2], seeds[3]
    mask = U64(min(_enough(8 * size, _MOST_MARKS), marks.size) - 1)
    marks[: np.int64(mask) + 1] = 0
    last = size - _FEWEST + 1
    for place in range(last):
        mark = _prefix(text, places[place], seed, other_seed) & mask
        marks[mark] += marks[mark] < 2
    count = 0
    for place in range(last):
        at = places[place]
        looked_at[count] = place
        is_marked[count] = marks[_prefix(text, at, seed, other_seed) & mask] > 1
        count += is_marked[count] | (places[place + _FEWEST] - at < _PREFIX)
    return count


@njit(inline="always")
def _hash_joined(text, at, stop, one_seed, other_seed):
    """A hash of the bytes in [at, stop), behind which there are seven more."""
    state = one_seed ^ U64(stop - at)
    while at + 8 < stop:
        state = folded(state ^ eight_bytes_at(text, at), other_seed)
        at += 8
    return folded(state ^ (eight_bytes_at(text, at) << U64(8 * (at + 8 - stop))), other_seed)


@njit(inline="always")
def _same_joined(text, one, other, length):
    """Whether so many bytes are equal at two places, behind which there are seven more."""
    place = 0
    while place + 8 < length:
        if eight_bytes_at(text, one + place) != eight_bytes_at(text, other + place):
            return False
        place += 8
    differ = eight_bytes_at(text, one + place) ^ eight_bytes_at(text, other + place)
    return differ << U64(8 * (place + 8 - length)) == 0


@njit(cache=True, nogil=True)
def _find_repeated(joined, places, size, n, looked_at, is_marked, count, slots, mask, seeds, at, resume, chars, used):
    """Read on from a place that is looked at, until the last or until the table is half full; returns how far.

    That is the next place, the word behind the last repeated string, code points of these, and slots that are taken.
    """
    text, one_seed, other_seed = joined.ctypes.data, seeds[0], seeds[1]
    for looked in range(at, count):
        place = np.int64(looked_at[looked])
        if place < resume or place + n > size:
            continue
        low, high = places[place], places[place + n]
        if high - low >= _PREFIX and not is_marked[looked]:
            continue
        hashed = _hash_joined(text, low, high, one_seed, other_seed) & ~_LOW_HALF
        slot = np.int64(hashed >> U64(32)) & mask
        while slots[slot] != 0:
            content = slots[slot]
            if content & ~_LOW_HALF == hashed:
                known = np.int64(content & _LOW_HALF) - 1
                length = places[known + n] - places[known]
                if length == high - low and _same_joined(text, places[known], low, length):
                    chars += num_code_points_at(text, low, high)
                    resume = place + n
                    break
            slot = (slot + 1) & mask
        if slots[slot] == 0:
            slots[slot] = hashed | U64(place + 1)
            used += 1
            if 2 * used > mask:
                return looked + 1, resume, chars, used
    return count, resume, chars, used


@njit(cache=True, nogil=True)
def _respread(slots, mask, wanted):
    """The content of some slots in more of them."""
    larger = np.zeros(wanted, np.uint64)
    for old in range(mask + 1):
        if slots[old] != 0:
            slot = np.int64(slots[old] >> U64(32)) & (wanted - 1)
            while larger[slot] != 0:
                slot = (slot + 1) & (wanted - 1)
            larger[slot] = slots[old]
    return larger
