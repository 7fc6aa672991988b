"""MinHash over the bytes of normalised texts; `operators.minhash` holds the slow reference that it equals."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

U64 = np.uint64
Bytes = npt.NDArray[np.uint8]
_P1, _P2, _P3 = U64(11400714785074694791), U64(14029467366897019727), U64(1609587929392839161)
_P4, _P5 = U64(9650029242287828579), U64(2870177450012600261)


@nb.njit(inline="always")
def _rotate(value: np.uint64, bits: int) -> np.uint64:
    return (value << U64(bits)) | (value >> U64(64 - bits))


@nb.njit(inline="always")
def _lane(data: Bytes, at: int, width: int) -> np.uint64:
    value = U64(0)
    for index in range(width):
        value |= U64(data[at + index]) << U64(8 * index)
    return value


@nb.njit(inline="always")
def _round(state: np.uint64, lane: np.uint64) -> np.uint64:
    return _rotate(state + lane * _P2, 31) * _P1


@nb.njit(cache=True, nogil=True)
def xxh64(data: Bytes, low: int, high: int) -> np.uint64:
    """XXH64 with seed 0 of `data[low:high]`."""
    at = low
    if high - low >= 32:
        one, two, three, four = _P1 + _P2, _P2, U64(0), U64(0) - _P1
        while at + 32 <= high:
            one = _round(one, _lane(data, at, 8))
            two = _round(two, _lane(data, at + 8, 8))
            three = _round(three, _lane(data, at + 16, 8))
            four = _round(four, _lane(data, at + 24, 8))
            at += 32
        value = _rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)
        for state in (one, two, three, four):
            value = (value ^ _round(U64(0), state)) * _P1 + _P4
    else:
        value = _P5
    value += U64(high - low)
    while at + 8 <= high:
        value = _rotate(value ^ _round(U64(0), _lane(data, at, 8)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= high:
        value = _rotate(value ^ (_lane(data, at, 4) * _P1), 23) * _P2 + _P3
        at += 4
    while at < high:
        value = _rotate(value ^ (U64(data[at]) * _P5), 11) * _P1
        at += 1
    value = (value ^ (value >> U64(33))) * _P2
    value = (value ^ (value >> U64(29))) * _P3
    return value ^ (value >> U64(32))


@nb.njit(cache=True, nogil=True)
def _unit_starts(data: Bytes, low: int, high: int, of_words: bool, starts: npt.NDArray[np.int64]) -> int:
    """Fill `starts` with where the units (words, or code points) of one text begin; return how many there are."""
    count = 0
    for at in range(low, high):
        begins = (at == low or data[at - 1] == 32) if of_words else (data[at] & 0xC0) != 0x80
        if begins:
            starts[count] = at
            count += 1
    return count


@nb.njit(cache=True, nogil=True)
def signatures(
    data: Bytes,
    offsets: npt.NDArray[np.int64],
    ngram: int,
    of_words: bool,
    multipliers: npt.NDArray[np.uint64],
    increments: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Signatures (documents, permutations) as uint32 and whether each document is long enough to have one.

    Words must be parted by exactly one space. A shingle is the bytes from its first unit's start to its last one's end.
    """
    documents, size = offsets.size - 1, multipliers.size
    values = np.full((documents, size), np.uint32(0xFFFFFFFF))
    signed = np.zeros(documents, np.bool_)
    longest = 0
    for document in range(documents):
        longest = max(longest, offsets[document + 1] - offsets[document])
    starts = np.empty(longest + 1, np.int64)
    gap = 1 if of_words else 0
    for document in range(documents):
        high = offsets[document + 1]
        count = _unit_starts(data, offsets[document], high, of_words, starts)
        starts[count] = high + gap
        row = values[document]
        signed[document] = count >= ngram
        for first in range(count - ngram + 1):
            value = xxh64(data, starts[first], starts[first + ngram] - gap)
            for index in range(size):
                permuted = np.uint32((value * multipliers[index] + increments[index]) >> U64(32))
                row[index] = min(row[index], permuted)
    return values, signed


@nb.njit(cache=True, nogil=True)
def elect(
    values: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], enough: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For groups of signatures sorted best first: each row's survivor and how many values it shares with it.

    The best row of a group survives and takes along every row that shares at least `enough` values with it; the same
    among the rest, until none is left. `starts` has one entry more than there are groups.
    """
    rows, size = values.shape
    survivor = np.full(rows, -1, np.int64)
    equal = np.full(rows, size, np.int64)
    for group in range(starts.size - 1):
        for best in range(starts[group], starts[group + 1]):
            if survivor[best] >= 0:
                continue
            survivor[best] = best
            for other in range(best + 1, starts[group + 1]):
                if survivor[other] >= 0:
                    continue
                shared = 0
                for index in range(size):
                    shared += values[best, index] == values[other, index]
                if shared >= enough:
                    survivor[other], equal[other] = best, shared
    return survivor, equal
