"""Shingling and MinHash over the bytes of texts as they lie in Arrow.

`operators/shingles.py` and `operators/minhash.py` hold the slow references that these functions equal. A document goes
through three loops over scratch arrays: its units' hashes, its shingles' hashes, its signature. Words of ASCII are read
eight bytes at a time: lower case, the next blank and the hash come from a few operations on a 64-bit number. Anything
else is read code point by code point through the table of `operators/normal_text.py`. The schemes that hash bytes write
the normal form out first and take the slower way throughout.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"
# With text_bytes.py ba160204.

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from operators.code_point_tables import POINT_MASK
from operators.kernels.text_bytes import eight_bytes, trailing_zeros
from operators.normal_text import SPACE, WEIGHT_SHIFT

U64 = np.uint64
U32 = np.uint32
Bytes = npt.NDArray[np.uint8]

WORD: Final = 0
CHARACTER: Final = 1
AUTO: Final = 2
OWN: Final = 0
XXH64: Final = 1
SHA1: Final = 2
FAST: Final = 0
AFFINE32: Final = 1
DATATROVE: Final = 2

_GOLDEN = U64(0x9E3779B97F4A7C15)
_STEP = U64(0xD6E8FEB86659FD93)
_HIGH_BITS = U64(0x8080808080808080)
_EMPTY = U32(0xFFFFFFFF)
_RANDOM_ROUNDS = 15
_WORD_WEIGHT = 6
_BUCKET_BITS = 14
_BUCKETS = 1 << _BUCKET_BITS
_FEW = 24
_MERSENNE = U64((1 << 61) - 1)
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


@nb.njit(inline="always")
def _turn(value, bits):
    return U32(value << U32(bits)) | (value >> U32(32 - bits))


@nb.njit(cache=True, nogil=True)
def sha1_32(data, low, high, schedule):
    """The first four bytes of SHA-1 of `data[low:high]`, little-endian; `schedule` is room for 80 uint32."""
    one, two, three, four, five = U32(0x67452301), U32(0xEFCDAB89), U32(0x98BADCFE), U32(0x10325476), U32(0xC3D2E1F0)
    length = high - low
    for block in range(0, (length + 9 + 63) // 64 * 64, 64):
        _fill_schedule(data, low, length, block, schedule)
        a, b, c, d, e = one, two, three, four, five
        for place in range(80):
            if place < 20:
                mixed, constant = (b & c) | (~b & d), U32(0x5A827999)
            elif place < 40:
                mixed, constant = b ^ c ^ d, U32(0x6ED9EBA1)
            elif place < 60:
                mixed, constant = (b & c) | (b & d) | (c & d), U32(0x8F1BBCDC)
            else:
                mixed, constant = b ^ c ^ d, U32(0xCA62C1D6)
            a, b, c, d, e = U32(_turn(a, 5) + mixed + e + constant + schedule[place]), a, _turn(b, 30), c, d
        one, two, three, four, five = U32(one + a), U32(two + b), U32(three + c), U32(four + d), U32(five + e)
    return _swapped(one)


@nb.njit(inline="always")
def _swapped(value):
    """The four bytes in the other order."""
    return U32(_turn(value, 8) & U32(0x00FF00FF)) | U32(_turn(value, 24) & U32(0xFF00FF00))


@nb.njit(cache=True, nogil=True)
def _fill_schedule(data, low, length, block, schedule):
    """The 80 words of one block of the padded message."""
    for place in range(16):
        value = U32(0)
        for at in range(block + 4 * place, block + 4 * place + 4):
            byte = U32(data[low + at]) if at < length else U32(0x80) if at == length else U32(0)
            value = U32(value << U32(8)) | byte
        schedule[place] = value
    if block + 64 >= length + 9:
        schedule[14] = U32(U64(length) >> U64(29))
        schedule[15] = U32(U64(length) << U64(3) & U64(0xFFFFFFFF))
    for place in range(16, 80):
        before = schedule[place - 3] ^ schedule[place - 8] ^ schedule[place - 14] ^ schedule[place - 16]
        schedule[place] = _turn(before, 1)


@nb.njit(inline="always")
def _mix(value):
    value = (value ^ (value >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> U64(27))) * U64(0x94D049BB133111EB)
    return value ^ (value >> U64(31))


@nb.njit(inline="always")
def _last(state, length, tail):
    """The hash of a unit of so many bytes, whose whole words left `state`, and whose other bytes are `tail`."""
    return _mix((state + U64(length + 1) * _GOLDEN) ^ tail)


@nb.njit(inline="always")
def _lowered(word):
    """Eight bytes with A to Z in lower case; right in all bytes below the first that is not ASCII."""
    capitals = (word + U64(0x3F3F3F3F3F3F3F3F)) & ~(word + U64(0x2525252525252525)) & _HIGH_BITS
    return word | (capitals >> U64(2))


@nb.njit(inline="always")
def _stops(word):
    """The high bit of each byte that may end a word of ASCII: up to 32, or above 127; right up to the first of them."""
    return (~(word + U64(0x5F5F5F5F5F5F5F5F)) | word) & _HIGH_BITS


@nb.njit(inline="always")
def _load(data, at):
    """Eight bytes from a place on, zeros behind the end of the data."""
    if at + 8 <= data.size:
        return eight_bytes(data, at)
    word = U64(0)
    for place in range(data.size - at):
        word |= U64(data[at + place]) << U64(8 * place)
    return word


@nb.njit(inline="always")
def _is_blank(byte):
    """Whether a byte of ASCII is white space."""
    return byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31


@nb.njit(inline="always")
def _decode(data, at):
    """The code point that begins at a place, and its number of bytes."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    second = np.int64(data[at + 1]) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, 2
    third = np.int64(data[at + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    return (first & 0x07) << 18 | second << 12 | third << 6 | (np.int64(data[at + 3]) & 0x3F), 4


@nb.njit(inline="always")
def _encode(point):
    """The UTF-8 of a code point as a little-endian number, and its number of bytes."""
    if point < 0x80:
        return U64(point), 1
    last = U64(0x80 | (point & 0x3F))
    if point < 0x800:
        return U64(0xC0 | point >> 6) | last << U64(8), 2
    middle = U64(0x80 | (point >> 6 & 0x3F))
    if point < 0x10000:
        return U64(0xE0 | point >> 12) | middle << U64(8) | last << U64(16), 3
    second = U64(0x80 | (point >> 12 & 0x3F))
    return U64(0xF0 | point >> 18) | second << U64(8) | middle << U64(16) | last << U64(24), 4


@nb.njit(cache=True, nogil=True)
def _units_by_code_point(data, at, high, split, table, hashes, weights, count):
    """Add the units up to the next white space, which is passed; where that was, and how many units there are.

    With `split`, code points that have a weight are units by themselves.
    """
    state, tail, length = U64(0), U64(0), 0
    while at < high:
        point, width = _decode(data, at)
        at += width
        entry = table[point]
        alone = entry >> WEIGHT_SHIFT if split else 0
        if (alone or entry & SPACE) and length:
            hashes[count], weights[count] = _last(state, length, tail), _WORD_WEIGHT
            count += 1
            state, tail, length = U64(0), U64(0), 0
        if entry & SPACE:
            return at, count
        code, width = _encode(np.int64(entry & POINT_MASK))
        if alone:
            hashes[count], weights[count] = _last(U64(0), width, code), alone
            count += 1
            continue
        filled = length & 7
        length += width
        tail |= code << U64(8 * filled)
        if filled + width >= 8:
            state = _mix(state ^ tail)
            tail = code >> U64(8 * (8 - filled))  # at most 4 bytes are added, so 4 to 7 were there
    if length:
        hashes[count], weights[count] = _last(state, length, tail), _WORD_WEIGHT
        count += 1
    return at, count


@nb.njit(cache=True, nogil=True)
def _word_hashes(data, low, high, split, table, hashes, weights):
    """The hashes and weights of the words of one text; how many there are."""
    at, count = low, 0
    while at < high:
        if _is_blank(data[at]):
            at += 1
            continue
        start, state = at, U64(0)
        while True:
            word = _load(data, at)
            stop = np.int64(trailing_zeros(_stops(word)) >> U64(3))
            if at + stop >= high:
                stop = high - at
            elif stop < 8 and not _is_blank(data[at + stop]):
                stop = -1
            if stop != 8:
                break
            state = _mix(state ^ _lowered(word))
            at += 8
        if stop < 0:
            at, count = _units_by_code_point(data, start, high, split, table, hashes, weights, count)
            continue
        kept = _lowered(word) & ((U64(1) << U64(8 * stop)) - U64(1))
        hashes[count], weights[count] = _last(state, at + stop - start, kept), _WORD_WEIGHT
        count += 1
        at += stop + 1
    return count


@nb.njit(cache=True, nogil=True)
def _character_hashes(data, low, high, table, hashes):
    """The hashes of the code points of one text's normal form; how many there are."""
    at, count, blank = low, 0, False
    space = _last(U64(0), 1, U64(32))
    while at < high:
        point, width = _decode(data, at)
        at += width
        entry = table[point]
        if entry & SPACE:
            blank = count > 0
            continue
        if blank:
            hashes[count] = space
            count += 1
            blank = False
        code, width = _encode(np.int64(entry & POINT_MASK))
        hashes[count] = _last(U64(0), width, code)
        count += 1
    return count


@nb.njit(cache=True, nogil=True)
def _rolled(hashes, count, ngram, out):
    """The hashes of all runs of `ngram` units; how many there are. `out` may be `hashes`."""
    leaving = U64(1)
    for _ in range(ngram):
        leaving *= _STEP
    value = U64(0)
    for place in range(min(ngram, count)):
        value = value * _STEP + hashes[place]
    if count < ngram:
        return 0
    for place in range(ngram, count):
        gone = hashes[place - ngram]
        out[place - ngram] = _mix(value)
        value = value * _STEP + hashes[place] - gone * leaving
    out[count - ngram] = _mix(value)
    return count - ngram + 1


@nb.njit(cache=True, nogil=True)
def _rolled_by_weight(hashes, weights, count, enough, out):
    """The hashes of the shortest runs from each unit on that weigh enough; how many. `out` may be `hashes`."""
    powers = np.ones(enough + 2, np.uint64)
    for place in range(enough + 1):
        powers[place + 1] = powers[place] * _STEP
    first, held, value = 0, 0, U64(0)
    for place in range(count):
        value = value * _STEP + hashes[place]
        held += weights[place]
        while held >= enough:
            gone = hashes[first]
            out[first] = _mix(value)
            value -= gone * powers[place - first]
            held -= weights[first]
            first += 1
    return first


@nb.njit(cache=True, nogil=True)
def _normal_units(data, low, high, unit, table, out, starts, weights):
    """Write the units of one text one behind the other, words with a space between; how many there are.

    `starts` is where each begins, and behind the last where the next would.
    """
    at, end, count, fresh = low, 0, 0, True
    gap = 0 if unit == CHARACTER else 1
    while at < high:
        point, width = _decode(data, at)
        at += width
        entry = table[point]
        if entry & SPACE:
            if unit == CHARACTER and count and not fresh:
                starts[count], out[end] = end, 32
                end += 1
                count += 1
            fresh = True
            continue
        alone = _WORD_WEIGHT if unit == CHARACTER else entry >> WEIGHT_SHIFT if unit == AUTO else 0
        if fresh or alone:
            if count:
                out[end] = 32
                end += gap
            starts[count] = end
            weights[count] = alone if alone else _WORD_WEIGHT
            count += 1
        code, width = _encode(np.int64(entry & POINT_MASK))
        for place in range(width):
            out[end + place] = np.uint8(code >> U64(8 * place) & U64(0xFF))
        end += width
        fresh = unit == AUTO and alone > 0
    if unit == CHARACTER and count and fresh:
        count -= 1
        end -= 1
    starts[count] = end + gap
    return count


@nb.njit(cache=True, nogil=True)
def _byte_hashes(normal, starts, weights, count, unit, enough, hashing, schedule, out):
    """XXH64 or the first four bytes of SHA-1 of each shingle's bytes; how many there are."""
    gap = 0 if unit == CHARACTER else 1
    first, held = 0, 0
    for place in range(count):
        held += _WORD_WEIGHT if unit == CHARACTER else weights[place]
        while held >= enough:
            low, high = starts[first], starts[place + 1] - gap
            out[first] = xxh64(normal, low, high) if hashing == XXH64 else U64(sha1_32(normal, low, high, schedule))
            held -= _WORD_WEIGHT if unit == CHARACTER else weights[first]
            first += 1
    return first


@nb.njit(cache=True, nogil=True)
def _shingle_hashes(data, low, high, unit, ngram, hashing, table, hashes, weights, normal, starts, schedule):
    """The hashes of the shingles of one text, repeats included, left in `hashes`; how many there are."""
    enough = _WORD_WEIGHT * ngram
    if hashing != OWN:
        count = _normal_units(data, low, high, unit, table, normal, starts, weights)
        return _byte_hashes(normal, starts, weights, count, unit, enough, hashing, schedule, hashes)
    if unit == CHARACTER:
        count = _character_hashes(data, low, high, table, hashes)
        return _rolled(hashes, count, ngram, hashes)
    count = _word_hashes(data, low, high, unit == AUTO, table, hashes, weights)
    least, most = _WORD_WEIGHT, 1
    for place in range(count):
        least, most = min(least, weights[place]), max(most, weights[place])
    if least >= most:
        return _rolled(hashes, count, enough // least, hashes)
    return _rolled_by_weight(hashes, weights, count, enough, hashes)


@nb.njit(cache=True, nogil=True)
def _longest(offsets):
    longest = np.int64(0)
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    return longest


@nb.njit(cache=True, nogil=True)
def _scratch(longest, hashing):
    """Room for one text: shingle hashes, weights, normal form (less than twice as long), starts, SHA-1's schedule."""
    bytewise = 0 if hashing == OWN else longest
    return (
        np.empty(longest + 1, np.uint64),
        np.empty(longest + 1, np.int8),
        np.empty(2 * bytewise + 8, np.uint8),
        np.empty(bytewise + 2, np.int64),
        np.empty(80, np.uint32),
    )


@nb.njit(cache=True, nogil=True)
def _sort(hashes, count, room, places):
    """Sort the first hashes in place: by their highest bits into buckets, which are alike in size, then each bucket."""
    bits = 0
    while bits < _BUCKET_BITS and count >> bits > 4:
        bits += 1
    if bits < 2:
        hashes[:count].sort()
        return
    shift = U64(64 - bits)
    places[: (1 << bits) + 1] = 0
    for place in range(count):
        places[np.int64(hashes[place] >> shift) + 1] += 1
    for index in range(1 << bits):
        places[index + 1] += places[index]
    for place in range(count):
        bucket = np.int64(hashes[place] >> shift)
        room[places[bucket]] = hashes[place]
        places[bucket] += 1
    low = 0
    for high in places[: 1 << bits]:
        if high - low > _FEW:
            room[low:high].sort()  # of a few shingles that repeat often, or of a very long text
            hashes[low:high] = room[low:high]
        else:
            _insert(room, low, high, hashes)
        low = high


@nb.njit(inline="always")
def _insert(source, low, high, target):
    """Copy a few hashes in rising order."""
    for place in range(low, high):
        value, at = source[place], place
        while at > low and target[at - 1] > value:
            target[at] = target[at - 1]
            at -= 1
        target[at] = value


@nb.njit(cache=True, nogil=True)
def sets(data, offsets, unit, ngram, hashing, table):
    """The distinct shingle hashes of each text, rising, and where each text's begin, with the end of the last."""
    hashes, weights, normal, starts, schedule = _scratch(_longest(offsets), hashing)
    sorted_hashes, places = np.empty(hashes.size, np.uint64), np.empty(_BUCKETS + 1, np.int64)
    ends = np.zeros(offsets.size, np.int64)
    out = np.empty(max(offsets[-1] >> 2, hashes.size), np.uint64)
    for document in range(offsets.size - 1):
        low, high = offsets[document], offsets[document + 1]
        count = _shingle_hashes(data, low, high, unit, ngram, hashing, table, hashes, weights, normal, starts, schedule)
        end = ends[document]
        if end + count > out.size:
            larger = np.empty(2 * out.size, np.uint64)
            larger[:end] = out[:end]
            out = larger
        _sort(hashes, count, sorted_hashes, places)
        for place in range(count):
            if place == 0 or hashes[place] != hashes[place - 1]:
                out[end] = hashes[place]
                end += 1
        ends[document + 1] = end
    return out[: ends[-1]].copy(), ends


@nb.njit(cache=True, nogil=True)
def _fast(hashes, count, row):
    """Fast Similarity Sketching of some shingle hashes, cut short; see `operators/minhash.py`."""
    size = U64(row.size)
    row[:] = _EMPTY
    for place in range(count):
        value = hashes[place]
        slot = np.int64((value >> U64(32)) * size >> U64(32))
        row[slot] = min(row[slot], U32((value & U64(0xFFFFFFFF)) >> U64(1)))
    for number in range(1, _RANDOM_ROUNDS):
        if not _has_empty(row):
            return
        tag = U32(1 << 31 | number << 27)
        for place in range(count):
            value = _mix(hashes[place] + U64(number) * _GOLDEN)
            slot = np.int64((value >> U64(32)) * size >> U64(32))
            row[slot] = min(row[slot], tag | U32((value & U64(0xFFFFFFFF)) >> U64(5)))
    for index in range(row.size):
        if row[index] == _EMPTY:
            for place in range(count):
                value = _mix(hashes[place] + U64(_RANDOM_ROUNDS + index) * _GOLDEN)
                row[index] = min(row[index], U32(0xF8000000) | U32((value & U64(0xFFFFFFFF)) >> U64(5)))


@nb.njit(inline="always")
def _has_empty(row):
    empty = 0
    for value in row:
        empty += value == _EMPTY
    return empty > 0


@nb.njit(cache=True, nogil=True)
def _affine32(hashes, count, factors, increments, row):
    """The scheme of datasketch over 32-bit hashes."""
    row[:] = _EMPTY
    for place in range(count):
        value = U32(hashes[place] & U64(0xFFFFFFFF))
        value = U32((value ^ (value >> U32(16))) * U32(0x85EBCA6B))
        value = U32((value ^ (value >> U32(13))) * U32(0xC2B2AE35))
        value = value ^ (value >> U32(16))
        for index in range(row.size):
            row[index] = min(row[index], U32(value * factors[index] + increments[index]))


@nb.njit(cache=True, nogil=True)
def _datatrove(hashes, count, factors, increments, row):
    """The scheme of datatrove over 64-bit hashes."""
    row[:] = U64(0xFFFFFFFFFFFFFFFF)
    for place in range(count):
        for index in range(row.size):
            value = hashes[place] * factors[index] + increments[index]
            value = (value & _MERSENNE) + (value >> U64(61))
            if value >= _MERSENNE:
                value -= _MERSENNE
            row[index] = min(row[index], value)


@nb.njit(cache=True, nogil=True)
def sign(values, data, offsets, unit, ngram, hashing, table, scheme, factors, increments):
    """Fill `values` (texts, size) with signatures by FAST, AFFINE32 or DATATROVE, of which the first has no factors.

    Returns whether each text is long enough to have one.
    """
    hashes, weights, normal, starts, schedule = _scratch(_longest(offsets), hashing)
    signed = np.zeros(offsets.size - 1, np.bool_)
    for document in range(offsets.size - 1):
        low, high = offsets[document], offsets[document + 1]
        count = _shingle_hashes(data, low, high, unit, ngram, hashing, table, hashes, weights, normal, starts, schedule)
        signed[document] = count > 0
        if scheme == FAST:
            _fast(hashes, count, values[document])
        elif scheme == AFFINE32:
            _affine32(hashes, count, factors, increments, values[document])
        else:
            _datatrove(hashes, count, factors, increments, values[document])
    return signed


@nb.njit(cache=True, nogil=True)
def band_keys(values, bands, rows):
    """The key of every band of every signature: its number and its values, mixed."""
    keys = np.empty((values.shape[0], bands), np.uint64)
    for document in range(values.shape[0]):
        for band in range(bands):
            key = U64(band + 1)
            for row in range(band * rows, (band + 1) * rows):
                key = _mix(key * _GOLDEN + U64(values[document, row]))
            keys[document, band] = key
    return keys
