"""Train n-gram models on arrays of symbols; `ngrams_reference.py` says what they are, `ngrams.py` how they are kept.

Training sorts the places of a text by the symbols that end there, read backwards: all n-grams of all orders are then
runs of neighbours, and how many symbols stand before an n-gram is how many runs there are in its run.

All compiled functions stay in this file: numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.kernels.ngrams import BEGIN, END, FREE, NOTHING, Floats, Grams, Ints, Longs, inserted

FALLBACK: Final = (0.5, 1.0, 1.5)
_FULL: Final = 1.5  # slots of the table for each n-gram in it
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


class Level(NamedTuple):
    """All n-grams of one length, in sorted order: those of one without the first symbol are neighbours."""

    parents: Ints  # the n-gram without its first symbol, among those one shorter; the symbol where that is one long
    firsts: Ints  # the first symbol
    histories: Ints  # the n-gram without its last symbol, as `parents`
    counts: Ints  # how often it stands in the text
    adjusted: Ints  # the same of the longest and of those that begin a document; else how many symbols stand before it


def train(documents: Ints, starts: Longs, num_symbols: int, order: int, base: Floats, min_count: int = 1) -> Grams:
    """A model of documents.

    Args:
        documents: symbols from `FIRST` to num_symbols - 1, one document after the other.
        starts: where each begins, and the end of the last.
        num_symbols: with the three that stand for nothing.
        order: 1 to `MAX_ORDER`.
        base: the probability of each symbol before anything was seen.
        min_count: n-grams of three symbols or more that occur less often are forgotten.

    Raises ValueError where the model would be too large for its keys of 32 bits: 4 * 10^9 n-grams.
    """
    text = _laid_out(documents, starts, order)
    levels = _levels(text, _sorted(text, num_symbols, order), order)
    counts = np.bincount(levels[0].parents if levels else text, minlength=num_symbols)
    counts[[NOTHING, BEGIN]] = 0
    taken = _discounts(_having(counts))[np.minimum(counts, 3)]
    total = int(counts.sum())
    rest = float(taken.sum()) / total if total else 1.0
    probabilities, shares = [(counts - taken) / max(total, 1) + rest * base], []
    for length, level in enumerate(levels, 2):
        least = min_count if length > 2 else 1
        estimated = _estimate(level, _discounts(_having(level.adjusted)), least, probabilities[-1])
        probabilities.append(estimated[0])
        shares.append(estimated[1])
    return _model(levels, probabilities, [*shares, np.ones(probabilities[-1].size)], order, rest)


def _model(levels: list[Level], probabilities: list[Floats], shares: list[Floats], order: int, rest: float) -> Grams:
    kept = [np.flatnonzero(of) for of in probabilities[1:]]
    size = int(_FULL * sum(one.size for one in kept)) + 1
    num_symbols = probabilities[0].size
    if size + num_symbols >= 1 << 32:
        msg = f"a model of {size} n-grams is too large: raise min_count, or lower order or max_mb"
        raise ValueError(msg)
    with np.errstate(divide="ignore"):
        pairs = np.stack((np.log2(probabilities[0]), np.log2(shares[0])), axis=1)
    unigrams = np.maximum(pairs, np.finfo(np.float32).min).astype(np.float32)
    table = np.full((size, 2), FREE, np.uint64)
    slots = np.arange(num_symbols, dtype=np.uint32)
    for level, numbers, probability, share in zip(levels, kept, probabilities[1:], shares[1:], strict=True):
        slots = inserted(
            table, table.view(np.float32), num_symbols, numbers, level.parents, level.firsts, slots, probability, share
        )
    return Grams(order, unigrams, table, float(np.log2(rest)))


def _sorted(text: Ints, num_symbols: int, order: int) -> NDArray[np.uint64]:
    """The places of a text by the `order` symbols, at least, that end there, the last one first: in the low 32 bits.

    Keys are sorted with the place in their low bits, which is faster than an indirect sort. From an order by so many
    symbols follows one by twice as many: by the rank of a place, then by where the place so many symbols before it
    stands in that order. Some of the first places, which hold nothing, are left out.
    """
    index_bits, bits = text.size.bit_length(), num_symbols.bit_length()
    length = max(1, min(order, (64 - index_bits) // bits))
    first = length - 1
    keys: NDArray[np.uint64] = _packed(text, length, bits, index_bits)
    keys.sort()
    _rank(keys, index_bits)
    while length < order:
        further = _doubled(keys, text.size, first, length)
        further.sort()
        _rank_again(further, keys, length)
        first, length, keys = first + length, 2 * length, further
    return keys


def _levels(text: Ints, places: NDArray[np.uint64], order: int) -> list[Level]:
    """The n-grams of each length from two on."""
    shared, depths, sizes = _compared(text, places, order)
    ends = np.append(0, np.cumsum(sizes[2:]))
    found = _ngrams(text, places, shared, depths, order, ends)
    parts = [[array[one:other] for array in found] for one, other in pairwise(ends.tolist())]
    return [Level(*part) for part in parts]


def _discounts(having: Longs) -> Floats:
    """What is taken from counts of 0 to 3; see `ngrams_reference.discounts_of`."""
    one, two, three, four = having.tolist()
    if one and two and three:
        share = one / (one + 2 * two)
        found = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
        if all(0 < taken <= count for count, taken in enumerate(found, 1)):
            return np.array((0.0, *found))
    return np.array((0.0, *FALLBACK))


@njit(cache=True, nogil=True)
def _having(counts):
    """How many counts are 1, 2, 3 and 4."""
    having = np.zeros(4, np.int64)
    for count in counts:
        if 0 < count <= 4:
            having[count - 1] += 1
    return having


@njit(cache=True, nogil=True)
def _packed(text, length, bits, index_bits):
    """For each place that so many symbols end at: these symbols, the last one highest, and the place."""
    keys = np.empty(text.size - length + 1, np.uint64)
    for number in range(keys.size):
        place, key = number + length - 1, np.uint64(0)
        for back in range(length):
            key = key << np.uint64(bits) | np.uint64(text[place - back])
        keys[number] = key << np.uint64(index_bits) | np.uint64(place)
    return keys


@njit(cache=True, nogil=True)
def _rank(keys, index_bits):
    """Sorted symbols become ranks, in the high 32 bits, from 0 on."""
    mask, shift = np.uint64((1 << index_bits) - 1), np.uint64(index_bits)
    rank, before = np.uint64(0), keys[0] >> shift
    for number in range(keys.size):
        symbols = keys[number] >> shift
        rank += np.uint64(symbols != before)
        before = symbols
        keys[number] = rank << _HALF | keys[number] & mask


@njit(cache=True, nogil=True)
def _doubled(keys, size, first, length):
    """For each place: its rank, and where the place so many symbols before it stands in the order of `keys`."""
    at = np.empty(size, np.uint64)
    for number in range(keys.size):
        at[keys[number] & _LOW] = keys[number] & ~_LOW | np.uint64(number)
    further = np.empty(size - first - length, np.uint64)
    for number in range(further.size):
        place = first + length + number
        further[number] = at[place] & ~_LOW | at[place - length] & _LOW
    return further


@njit(cache=True, nogil=True)
def _rank_again(further, keys, length):
    """What `_doubled` left, sorted, becomes ranks and places."""
    rank, before, before_that = np.uint64(0), further[0] >> _HALF, keys[further[0] & _LOW] >> _HALF
    for number in range(further.size):
        other = keys[further[number] & _LOW]
        one, two = further[number] >> _HALF, other >> _HALF
        rank += np.uint64(one != before or two != before_that)
        before, before_that = one, two
        further[number] = rank << _HALF | (other & _LOW) + np.uint64(length)


@njit(cache=True, nogil=True)
def _laid_out(documents, starts, order):
    """The documents that have symbols, each between its beginning and its end, with nothing before."""
    size = order
    for document in range(starts.size - 1):
        length = starts[document + 1] - starts[document]
        size += (length + order + 2) * (length > 0)
    text, place = np.zeros(size, np.int32), order
    for document in range(starts.size - 1):
        if starts[document] == starts[document + 1]:
            continue
        place += order
        text[place] = BEGIN
        for symbol in documents[starts[document] : starts[document + 1]]:
            place += 1
            text[place] = symbol
        text[place + 1] = END
        place += 2
    return text


@njit(cache=True, nogil=True)
def _compared(text, places, order):
    """For each place, in order: symbols that it shares with the place before it, and symbols of its document so far.

    Both are at most `order`. A place where no symbol is predicted has no symbols. And how many n-grams there are of
    each length.
    """
    shared, depths = np.zeros(places.size, np.uint8), np.zeros(places.size, np.uint8)
    before, sizes = np.full(order, -1, np.int32), np.zeros(order + 1, np.int64)
    for number in range(places.size):
        place, same, depth = np.int64(places[number] & _LOW), 0, 0
        is_same = True
        for back in range(order):
            symbol = text[place - back] if place >= back else np.int32(NOTHING)
            is_same = is_same and symbol == before[back]
            same += is_same
            depth += symbol != NOTHING
            before[back] = symbol
        if text[place] <= BEGIN:
            depth = 0
        for length in range(same + 1, depth + 1):
            sizes[length] += 1
        shared[number], depths[number] = same, depth
    return shared, depths, sizes


@njit(cache=True, nogil=True)
def _ngrams(text, places, shared, depths, order, ends):
    """The arrays of `Level`, of all lengths one after the other."""
    parents, firsts = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
    histories, counts = np.empty(ends[-1], np.int32), np.zeros(ends[-1], np.int32)
    adjusted = np.zeros(ends[-1], np.int32)
    at = np.empty((text.size, max(order - 2, 1)), np.int32)  # for each place the n-grams that end there
    last = np.full(order + 1, -1, np.int64)
    for number in range(places.size):
        place = np.int64(places[number] & _LOW)
        last[1] = text[place]
        for length in range(2, depths[number] + 1):
            if shared[number] < length:
                last[length] += 1
                gram = ends[length - 2] + last[length]
                parents[gram], firsts[gram] = last[length - 1], text[place - length + 1]
                histories[gram] = place - 1
                if length > 2:
                    adjusted[ends[length - 3] + last[length - 1]] += 1
            counts[ends[length - 2] + last[length]] += 1
            if length < order:
                at[place, length - 2] = last[length]
    for length in range(2, order + 1):
        for gram in range(ends[length - 2], ends[length - 1]):
            place = histories[gram]
            histories[gram] = text[place] if length == 2 else at[place, length - 3]
            if length == order or firsts[gram] == BEGIN:
                adjusted[gram] = counts[gram]
    return parents, firsts, histories, counts, adjusted


@njit(cache=True, nogil=True)
def _estimate(level, discounts, least, shorter):
    """The probability of each n-gram's last symbol after the others, 0 if it is forgotten; what histories leave."""
    sums = np.zeros((shorter.size, 2), np.float64)
    for gram in range(level.adjusted.size):
        count, history = level.adjusted[gram], level.histories[gram]
        sums[history, 0] += count
        sums[history, 1] += discounts[min(count, 3)] if level.counts[gram] >= least else count
    shares = np.ones(shorter.size, np.float64)
    for history in range(shorter.size):
        if sums[history, 0] > 0:
            shares[history] = sums[history, 1] / sums[history, 0]
    probabilities = np.zeros(level.adjusted.size, np.float64)
    for gram in range(level.adjusted.size):
        if level.counts[gram] >= least:
            count, history = level.adjusted[gram], level.histories[gram]
            own = (count - discounts[min(count, 3)]) / sums[history, 0]
            probabilities[gram] = own + shares[history] * shorter[level.parents[gram]]
    return probabilities, shares
