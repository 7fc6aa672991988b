"""Hashed n-grams of texts over Arrow's buffers: counted into buckets, or summed up by a number for each bucket.

`sketches` makes a short vector of each document's counts.

`ngram_features_reference.py` is the slow definition. One pass over the bytes cuts a text into tokens, in lower case by
the table of `operators/wordpunct.py`, and hashes them as it reads; of a document only sums are kept. `fast` is FNV-1a
over a token's bytes, finished by SplitMix64; an n-gram's hash is that of the n-gram without its last token, times an
odd number, plus the last token's, finished again; the bucket is its high 32 bits, scaled. `sha256` is SHA-256 of the
tokens joined by spaces, as a number, modulo the buckets.

Price: 185 MB a CPU-second, 7 by SHA-256; 6 s to compile.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202, C901
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, assignment"
# With text_bytes.py ba160204.

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.code_point_tables import POINT_MASK
from operators.kernels.text_bytes import code_point
from operators.wordpunct import CASED, DOTTED_I, IGNORABLE, SIGMA, SPACE, WORD, wordpunct_table

Hash = Literal["fast", "sha256"]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_NGRAMS: Final = 8
BASIS: Final = 0xCBF29CE484222325
PRIME: Final = 0x100000001B3
JOIN: Final = 0x9E3779B97F4A7C15
"""What the hash of an n-gram is multiplied by before the next token's is added."""

_BASIS, _PRIME, _JOIN = np.uint64(BASIS), np.uint64(PRIME), np.uint64(JOIN)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_FINAL_SIGMA, _DOT_ABOVE = 0x3C2, 0x307


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _root_bits(number: int, power: int) -> int:
    """The first 32 bits of the fraction of a root, exactly."""
    low, high = 0, number << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**power <= number << 32 * power else (low, middle - 1)
    return low & 0xFFFFFFFF


_ROUNDS: Final = np.array([_root_bits(prime, 3) for prime in _primes(64)], np.uint64)
_INITIAL: Final = np.array([_root_bits(prime, 2) for prime in _primes(8)], np.uint64)


class Features(NamedTuple):
    """Of each document: the sum of its n-grams' numbers (float64), and how many tokens it has (int64)."""

    sums: Floats
    tokens: Longs


def count_ngrams(data: NDArray[np.uint8], offsets: Longs, ngrams: int, buckets: int, hashing: Hash) -> Longs:
    """How many n-grams of all documents fall into each bucket: int64, of length `buckets`."""
    counts = np.zeros(buckets, np.int64)
    _run(data, offsets, ngrams, hashing, counts, np.zeros(0))
    return counts


def sum_ngrams(data: NDArray[np.uint8], offsets: Longs, ngrams: int, ratio: Floats, hashing: Hash) -> Features:
    """The sum of `ratio` over the buckets of each document's n-grams, in the order of the text."""
    return _run(data, offsets, ngrams, hashing, np.zeros(0, np.int64), ratio)


def count_documents(data: NDArray[np.uint8], offsets: Longs, ngrams: int, buckets: int) -> Longs:
    """In how many documents each bucket has an n-gram: int64, of length `buckets`."""
    found = np.zeros(buckets, np.int64)
    _each(data, offsets, ngrams, found, np.zeros((0, 0), np.float32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    return found


def sketches(
    data: NDArray[np.uint8], offsets: Longs, ngrams: int, place: Longs, weight: Floats, damped: Floats, dim: int
) -> NDArray[np.float32]:
    """Each document as a vector: float32, (documents, dim); zeros where it has no n-gram.

    For each bucket that the document has n-grams in, in order, weight[bucket] * damped[n-grams in it] is added to the
    component place[bucket]; more n-grams than `damped` knows count as its last.
    """
    found = np.zeros((offsets.size - 1, dim), np.float32)
    _each(data, offsets, ngrams, np.zeros(place.size, np.int64), found, place, weight, damped)
    return found


def _each(
    data: NDArray[np.uint8],
    offsets: Longs,
    ngrams: int,
    documents: Longs,
    vectors: NDArray[np.float32],
    place: Longs,
    weight: Floats,
    damped: Floats,
) -> None:
    data = data.view()
    data.flags.writeable = False
    _each_document(
        data, offsets, wordpunct_table(), ngrams, np.empty(0, np.uint8), documents, vectors, place, weight, damped
    )


def _run(data: NDArray[np.uint8], offsets: Longs, ngrams: int, hashing: Hash, counts: Longs, ratio: Floats) -> Features:
    found = Features(np.zeros(offsets.size - 1), np.zeros(offsets.size - 1, np.int64))
    longest = int(np.diff(offsets).max(initial=0))
    # Two bytes become three at most, and a space stands behind each token.
    lower = np.empty(3 * longest + 8 if hashing == "sha256" else 0, np.uint8)
    data = data.view()
    data.flags.writeable = False  # as the other buffers are: one compiled form serves all
    _features(data, offsets, wordpunct_table(), ngrams, lower, counts, ratio, found.sums, found.tokens)
    return found


@njit(cache=True, nogil=True)
def _mix(value):
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def _point(data, at):
    """`code_point`, compiled once and not in each of three places."""
    return code_point(data, at)


@njit(cache=True, nogil=True)
def _is_final(data, start, at, stop, table):
    """Whether the capital sigma of two bytes at a place ends a word."""
    before, cased = at, False
    while before > start:
        before -= 1
        while data[before] & 0xC0 == 0x80:
            before -= 1
        entry = table[_point(data, before)[0]]
        if not entry & IGNORABLE:
            cased = entry & CASED != 0
            break
    behind = at + 2
    while cased and behind < stop:
        point, behind = _point(data, behind)
        if not table[point] & IGNORABLE:
            return table[point] & CASED == 0
    return cased


@njit(cache=True, nogil=True)
def _encoded(point):
    """A code point's UTF-8, the first byte lowest, and how many bytes it has."""
    if point < 0x80:
        return point, 1
    if point < 0x800:
        return 0xC0 | point >> 6 | (0x80 | point & 63) << 8, 2
    if point < 0x10000:
        return 0xE0 | point >> 12 | (0x80 | point >> 6 & 63) << 8 | (0x80 | point & 63) << 16, 3
    tail = (0x80 | point >> 12 & 63) << 8 | (0x80 | point >> 6 & 63) << 16 | (0x80 | point & 63) << 24
    return 0xF0 | point >> 18 | tail, 4


@njit(cache=True, nogil=True)
def _rotated(word, by):
    return (word >> np.uint64(by) | word << np.uint64(32 - by)) & _LOW


@njit(cache=True, nogil=True)
def _sha256_bucket(data, start, stop, buckets, work, state):
    """SHA-256 of some bytes, as a number, modulo the buckets."""
    size = stop - start
    blocks = (size + 9 + 63) // 64
    state[:] = _INITIAL
    for block in range(blocks):
        for word in range(16):
            value = np.uint64(0)
            for place in range(4):
                at, byte = 64 * block + 4 * word + place, np.uint64(0)
                if at < size:
                    byte = np.uint64(data[start + at])
                elif at == size:
                    byte = np.uint64(0x80)
                elif at >= 64 * blocks - 8:
                    byte = np.uint64(size * 8) >> np.uint64(8 * (64 * blocks - 1 - at)) & np.uint64(255)
                value = value << np.uint64(8) | byte
            work[word] = value
        for word in range(16, 64):
            one, other = work[word - 15], work[word - 2]
            one = _rotated(one, 7) ^ _rotated(one, 18) ^ one >> np.uint64(3)
            other = _rotated(other, 17) ^ _rotated(other, 19) ^ other >> np.uint64(10)
            work[word] = (work[word - 16] + one + work[word - 7] + other) & _LOW
        a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
        for word in range(64):
            first = h + (_rotated(e, 6) ^ _rotated(e, 11) ^ _rotated(e, 25)) + (e & f ^ ~e & g) + _ROUNDS[word]
            first += work[word]
            second = (_rotated(a, 2) ^ _rotated(a, 13) ^ _rotated(a, 22)) + (a & b ^ a & c ^ b & c)
            h, g, f, e, d, c, b, a = g, f, e, (d + first) & _LOW, c, b, a, (first + second) & _LOW
        for place, value in enumerate((a, b, c, d, e, f, g, h)):
            state[place] = (state[place] + value) & _LOW
    bucket = np.uint64(0)
    for place in range(8):
        bucket = (bucket << _HALF | state[place]) % buckets
    return bucket


@njit(cache=True, nogil=True)
def _token(value, known, hashes, numbers, buckets):
    """The buckets of the n-grams that end with a token, into `numbers`; returns how many there are."""
    size = min(hashes.size, known + 1)
    token = _mix(value)
    for longer in range(size - 1, 0, -1):
        hashes[longer] = _mix(hashes[longer - 1] * _JOIN + token)
    hashes[0] = token
    for length in range(size):
        numbers[length] = (hashes[length] >> _HALF) * buckets >> _HALF
    return size


@njit(cache=True, nogil=True)
def _sha256_token(lower, start, stop, known, starts, numbers, buckets, work, state):
    """The same by SHA-256, of a token that stands at a place of `lower` behind the tokens before it."""
    size = min(starts.size, known + 1)
    for longer in range(size - 1, 0, -1):
        starts[longer] = starts[longer - 1]
    starts[0] = start
    for length in range(size):
        numbers[length] = _sha256_bucket(lower, starts[length], stop, buckets, work, state)
    return size


@njit(cache=True, nogil=True)
def _features(data, offsets, table, ngrams, lower, counts, ratio, sums, tokens):
    """Counts into `counts` where it has buckets, else sums of `ratio`; SHA-256 where `lower` has room for a text."""
    hashes, starts, numbers = np.zeros(ngrams, np.uint64), np.zeros(ngrams, np.int64), np.zeros(ngrams, np.uint64)
    work, state = np.zeros(64, np.uint64), np.zeros(8, np.uint64)
    counting, is_sha = counts.size > 0, lower.size > 0
    buckets = np.uint64(max(counts.size, ratio.size))
    for document in range(sums.size):
        start, stop = offsets[document], offsets[document + 1]
        at, known, begin, to, kind, value, total = start, 0, 0, 0, np.int32(SPACE), _BASIS, 0.0
        dots = False  # of U+0130, whose second code point is still to come
        while at <= stop:
            point, before, entry = np.int64(_DOT_ABOVE), at, np.int32(SPACE)
            if dots:
                dots, entry = False, table[_DOT_ABOVE]
            elif at < stop:
                point, at = _point(data, at)
                entry = table[point]
            else:
                at += 1
            new = entry & np.int32(SPACE | WORD)
            if new != kind:
                if kind != SPACE:
                    if is_sha:
                        size = _sha256_token(lower, begin, to, known, starts, numbers, buckets, work, state)
                        lower[to] = 0x20
                        to += 1
                    else:
                        size = _token(value, known, hashes, numbers, buckets)
                    known += 1
                    for length in range(size):
                        if counting:
                            counts[numbers[length]] += 1
                        else:
                            total += ratio[numbers[length]]
                kind, value, begin = new, _BASIS, to
            if new == SPACE:
                continue
            small = np.int64(entry & POINT_MASK)
            if point == SIGMA:
                small = _FINAL_SIGMA if _is_final(data, start, before, stop, table) else SIGMA + 0x20
            elif point == DOTTED_I:
                small, dots = 0x69, True
            encoded, size = _encoded(small)
            for _ in range(size):
                if is_sha:
                    lower[to] = encoded & 255
                    to += 1
                else:
                    value = (value ^ np.uint64(encoded & 255)) * _PRIME
                encoded >>= 8
        sums[document], tokens[document] = total, known


@njit(cache=True, nogil=True)
def _each_document(data, offsets, table, ngrams, lower, documents, vectors, place, weight, damped):
    """Adds each document's buckets to its vector where there are vectors, else 1 for each to `documents`."""
    counts, ratio, sums, tokens = np.zeros(documents.size, np.int64), np.zeros(0), np.zeros(1), np.zeros(1, np.int64)
    for document in range(offsets.size - 1):
        _features(data, offsets[document : document + 2], table, ngrams, lower, counts, ratio, sums, tokens)
        for bucket in range(documents.size if tokens[0] else 0):
            count = counts[bucket]
            if count:
                counts[bucket] = 0
                if vectors.size:
                    vectors[document, place[bucket]] += weight[bucket] * damped[min(count, damped.size) - 1]
                else:
                    documents[bucket] += 1
