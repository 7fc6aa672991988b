"""The compiled half of `superwords.py`: number the pieces of a text, count runs of tokens, number their borders."""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN201, ANN202, D103, SIM110
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Final

import numpy as np
from numba import njit

_BLOCK: Final = 4096
_INLINE: Final = 7  # bytes that fit into a key beside their number
_LONG: Final = np.uint64(0xFF << 56)  # where a key has the number of its bytes
_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_LAST: Final = np.uint64(0xFF51AFD7ED558CCD)


@njit(cache=True, nogil=True)
def gather(data, firsts, offsets):
    joined = np.empty(offsets[-1], np.uint8)
    for piece in range(firsts.size):
        length = offsets[piece + 1] - offsets[piece]
        for place in range(length):
            joined[offsets[piece] + place] = data[firsts[piece] + place]
    return joined


@njit(cache=True, nogil=True)
def split(data, offsets, ends, crossed):
    """Number the distinct pieces in order of appearance.

    Returns for every piece of the text its number, or ~number where a chunk ends with it; for every document where its
    pieces begin, and the end; for every distinct piece where it first begins and its length.
    """
    numbers, found, chunk = np.empty(data.size // 4 + _BLOCK, np.int32), 0, 0
    documents = np.zeros(offsets.size, np.int64)
    firsts, lengths, size = np.empty(2 * _BLOCK, np.int64), np.empty(2 * _BLOCK, np.int64), 0
    table = np.zeros(16 * _BLOCK, np.uint64)
    block_ends, keys = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.uint64)
    for document in range(offsets.size - 1):
        start = offsets[document]
        while start < offsets[document + 1]:
            pieces, chunk = _cut(data, start, offsets[document + 1], ends, chunk, crossed, block_ends, keys)
            while firsts.size < size + pieces:
                firsts, lengths = _longer(firsts), _longer(lengths)
            while table.size < 4 * (size + pieces):
                table = _rehashed(table)
            while numbers.size < found + pieces:
                numbers = _longer(numbers)
            into = numbers[found : found + pieces]
            size = _number(data, start, block_ends[:pieces], keys, table, firsts, lengths, size, into)
            found += pieces
            start = abs(block_ends[pieces - 1])
        documents[document + 1] = found
    return numbers[:found], documents, firsts[:size].copy(), lengths[:size].copy()


@njit(cache=True, nogil=True)
def _cut(data, start, stop, chunk_ends, chunk, crossed, ends, keys):
    """Where pieces end, negative where a chunk does, and their keys, until there is no more room or text."""
    pieces = 0
    while start < stop and pieces < ends.size:
        chunk_end = chunk_ends[chunk]
        end, keys[pieces] = _next_piece(data, start, chunk_end, crossed)
        ends[pieces] = end
        if end == chunk_end:
            ends[pieces] = -end
            chunk += 1
        start = end
        pieces += 1
    return pieces, chunk


@njit(cache=True, nogil=True)
def _number(data, start, ends, keys, table, firsts, lengths, size, numbers):
    """Give pieces their numbers; `size` distinct ones were known. The table holds (key, number + 1), 0 where free."""
    mask = table.size - 1
    for piece in range(ends.size):
        end, key = abs(ends[piece]), keys[piece]
        slot = _slot(key, mask)
        while table[slot + 1]:
            known = np.int64(table[slot + 1]) - 1
            if table[slot] == key and (key < _LONG or _same(data, firsts[known], lengths[known], start, end - start)):
                break
            slot = (slot + 2) & mask
        if not table[slot + 1]:
            firsts[size], lengths[size] = start, end - start
            size += 1
            table[slot], table[slot + 1] = key, np.uint64(size)
        number = np.int32(np.int64(table[slot + 1]) - 1)
        numbers[piece] = number if ends[piece] > 0 else ~number
        start = end
    return size


@njit(cache=True, nogil=True)
def _same(data, one, one_length, other, other_length):
    if one_length != other_length:
        return False
    for place in range(one_length):
        if data[one + place] != data[other + place]:
            return False
    return True


@njit(cache=True, nogil=True, inline="always")
def _next_piece(data, start, stop, crossed):
    """Where the piece ends that begins here, and its key: up to 7 bytes and their number, or a hash and 255."""
    last = np.int64(data[start])
    word, hashed, end = np.uint64(last), np.uint64(last), start + 1
    while end < stop:
        byte = np.int64(data[end])
        if not crossed[last << 8 | byte]:
            break
        word |= np.uint64(byte) << np.uint64(8 * (end - start) & 63)
        hashed = hashed * _FIRST + np.uint64(byte)
        last = byte
        end += 1
    if end - start <= _INLINE:
        return end, word | np.uint64(end - start) << np.uint64(56)
    return end, (hashed ^ np.uint64(end - start) * _LAST) | _LONG


@njit(cache=True, nogil=True, inline="always")
def _slot(key, mask):
    mixed = (key ^ key >> np.uint64(31)) * _LAST
    return np.int64(mixed >> np.uint64(20)) * 2 & mask


@njit(cache=True, nogil=True)
def _rehashed(table):
    """The same entries in a table of twice the size."""
    grown = np.zeros(2 * table.size, np.uint64)
    for old in range(0, table.size, 2):
        if table[old + 1]:
            slot = _slot(table[old], grown.size - 1)
            while grown[slot + 1]:
                slot = (slot + 2) & (grown.size - 1)
            grown[slot], grown[slot + 1] = table[old], table[old + 1]
    return grown


@njit(cache=True, nogil=True)
def _longer(values):
    grown = np.empty(2 * values.size, values.dtype)
    grown[: values.size] = values
    return grown


@njit(cache=True, nogil=True)
def count(numbers, documents, weights, ids, id_ends, eligible):
    """The runs of the pieces' tokens. A run is put at the end of the pool and left there if it is new."""
    pool, offsets, size = np.empty(numbers.size // 4 + _BLOCK, np.int32), np.zeros(_BLOCK, np.int64), 0
    counts, digests = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.uint64)
    slots, begin, end = np.full(4 * _BLOCK, -1, np.int32), 0, 0
    for document in range(weights.size):
        for piece in range(documents[document], documents[document + 1]):
            number = numbers[piece]
            closes = number < 0
            number = ~number if closes else number
            for place in range(id_ends[number], id_ends[number + 1] + closes):
                token = ids[place] if place < id_ends[number + 1] else np.int32(-1)
                if token >= 0 and eligible[token]:
                    if end == pool.size:
                        pool = _longer(pool)
                    pool[end] = token
                    end += 1
                elif end - begin > 1:
                    hashed = _run_hash(pool, begin, end)
                    slot = _run_slot(pool, begin, end, hashed, digests, slots, offsets)
                    run = slots[slot]
                    if run < 0:
                        slots[slot], counts[size], digests[size] = size, weights[document], hashed
                        size += 1
                        if size == counts.size:
                            counts, digests, offsets = _longer(counts), _longer(digests), _longer(offsets)
                        offsets[size] = end
                        begin = end
                        if 2 * size > slots.size:
                            slots = _runs_rehashed(digests, slots, size)
                    else:
                        counts[run] += weights[document]
                        end = begin
                else:
                    end = begin
    return pool[:begin].copy(), offsets[: size + 1].copy(), counts[:size].copy(), digests[:size].copy()


@njit(cache=True, nogil=True)
def _run_hash(pool, begin, end):
    hashed = np.uint64(end - begin)
    for place in range(begin, end):
        hashed = (hashed ^ np.uint64(pool[place])) * _FIRST
        hashed ^= hashed >> np.uint64(29)
    hashed *= _LAST
    return hashed ^ hashed >> np.uint64(32)


@njit(cache=True, nogil=True)
def _run_slot(pool, begin, end, hashed, digests, slots, offsets):
    mask = slots.size - 1
    slot = np.int64(hashed) & mask
    while slots[slot] >= 0:
        run = slots[slot]
        if digests[run] == hashed and offsets[run + 1] - offsets[run] == end - begin:
            first, place = offsets[run], 0
            while place < end - begin and pool[first + place] == pool[begin + place]:
                place += 1
            if place == end - begin:
                break
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _runs_rehashed(digests, slots, size):
    grown = np.full(2 * slots.size, -1, np.int32)
    for run in range(size):
        slot = np.int64(digests[run]) & (grown.size - 1)
        while grown[slot] >= 0:
            slot = (slot + 1) & (grown.size - 1)
        grown[slot] = run
    return grown


@njit(cache=True, nogil=True)
def borders(ids, offsets, counts):
    """Number the distinct pairs of neighbours.

    Returns for every id the number of its pair with the one after it, -1 at the end of a run; and how often each
    distinct pair occurs.
    """
    numbers, totals, size = np.full(ids.size, -1, np.int32), np.zeros(_BLOCK, np.int64), 0
    table = np.zeros(16 * _BLOCK, np.uint64)
    for run in range(counts.size):
        for begin in range(offsets[run], offsets[run + 1] - 1, _BLOCK):
            end = min(begin + _BLOCK, offsets[run + 1] - 1)
            while totals.size < size + end - begin:
                totals = np.append(totals, np.zeros(totals.size, np.int64))
            while table.size < 4 * (size + end - begin):
                table = _rehashed(table)
            size = _number_borders(ids, begin, end, counts[run], table, totals, size, numbers)
    return numbers, totals[:size].copy()


@njit(cache=True, nogil=True)
def _number_borders(ids, begin, end, count, table, totals, size, numbers):
    mask = table.size - 1
    for place in range(begin, end):
        key = np.uint64(ids[place]) << np.uint64(32) | np.uint64(ids[place + 1])
        slot = _slot(key, mask)
        while table[slot + 1] and table[slot] != key:
            slot = (slot + 2) & mask
        if not table[slot + 1]:
            size += 1
            table[slot], table[slot + 1] = key, np.uint64(size)
        number = np.int64(table[slot + 1]) - 1
        totals[number] += count
        numbers[place] = number
    return size
