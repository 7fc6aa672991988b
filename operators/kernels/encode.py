"""Encode pieces of text by merges, many at a time, and find the last merge that makes each token.

The rule is that of `operators/encode.py`, which is the slow reference: the merge of lowest priority number that two
neighbours allow, at its first place, until none is left. A piece of n bytes takes n log n steps, however repetitive.
Price on one core: 10 MB of distinct pre-tokens a second (cl100k's merges; `tiktoken`, a piece at a time: 5); 40 to 80
bytes of memory per merge, and 28 per byte of the longest piece.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[Any]

_FREE: Final = -1
_END: Final = -1


class MergeTable(NamedTuple):
    """Which pairs of tokens merge: open addressing by key (left number << 32 | right number)."""

    keys: Ints  # int64, _FREE where empty
    priorities: Ints  # int64, below 2^31: lower goes first
    results: Ints  # int32: the number of the token that the pair makes
    byte_numbers: Ints  # int32: the number of each byte's token, by byte value


class LastMerges(NamedTuple):
    """How each piece ended. Where it was once in two parts, they are `left` and `right`, else -1."""

    left: Ints  # int32
    right: Ints  # int32
    parts: Ints  # int64: how many tokens the piece has at the end


class _Parts(NamedTuple):
    """The tokens of one piece, each at the place of its first byte, linked to its neighbours."""

    number: Ints  # int32: the token's number, _END where its place was merged into the one before
    following: Ints  # int32
    before: Ints  # int32
    queue: Ints  # int64: a heap of priority << 32 | place


def merge_table(
    left: ArrayLike, right: ArrayLike, priorities: ArrayLike, results: ArrayLike, byte_numbers: ArrayLike
) -> MergeTable:
    """A table of merges between tokens by number; no pair may occur twice.

    Args:
        left: the left token of each merge; all arguments are integers of any width.
        right: the right one.
        priorities: the order to apply them in, at least 0 and below 2^31; equal ones are taken from the left.
        results: the token that each makes.
        byte_numbers: 256 numbers: the tokens of the single bytes, by value.
    """
    pairs = (np.asarray(left, np.int64) << 32) | np.asarray(right, np.int64)
    capacity = 1 << max(4, int(2 * pairs.size).bit_length())
    keys, table_priorities = np.full(capacity, _FREE, np.int64), np.empty(capacity, np.int64)
    table = MergeTable(keys, table_priorities, np.empty(capacity, np.int32), np.asarray(byte_numbers, np.int32))
    _fill(table, pairs, np.asarray(priorities, np.int64), np.asarray(results, np.int32))
    return table


def encode(pieces: pa.LargeBinaryArray, table: MergeTable) -> pa.LargeListArray:
    """The token numbers of every piece: a list of int32 for each; a null piece has none.

    >>> table = merge_table([97], [98], [0], [256], np.arange(256))
    >>> encode(pa.array([b"abc", b""], pa.large_binary()), table).to_pylist()
    [[256, 99], []]
    """
    data, offsets = _buffers(pieces)
    numbers, ends = _encode(data, offsets, table)
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(numbers))


def last_merges(pieces: pa.LargeBinaryArray, table: MergeTable, limits: Ints | None = None) -> LastMerges:
    """The two parts that each piece was last in, and how many parts are left at its end.

    Args:
        pieces: usually the tokens themselves.
        table: the merges.
        limits: by piece: merges of this priority or a higher one are not applied to it; None: all are.

    >>> table = merge_table([97, 256], [98, 99], [0, 1], [256, 257], np.arange(256))
    >>> [column.tolist() for column in last_merges(pa.array([b"abc", b"cba"], pa.large_binary()), table)]
    [[256, -1], [99, -1], [1, 3]]
    """
    data, offsets = _buffers(pieces)
    if limits is None:
        limits = np.full(len(pieces), 2**31, np.int64)
    return LastMerges(*_last_merges(data, offsets, table, np.asarray(limits, np.int64)))


def _buffers(pieces: pa.LargeBinaryArray) -> tuple[Ints, Ints]:
    _, offset_buffer, data_buffer = pieces.cast(pa.large_binary()).fill_null(b"").buffers()
    if not len(pieces):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[pieces.offset : pieces.offset + len(pieces) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


@njit(cache=True, nogil=True)
def _fill(table, keys, priorities, results):
    for index in range(keys.size):
        slot = _find(table, keys[index])
        table.keys[slot] = keys[index]
        table.priorities[slot] = priorities[index]
        table.results[slot] = results[index]


@njit(cache=True, nogil=True)
def _find(table, key):
    """The slot of a key, or the empty one where it would be."""
    mask = table.keys.size - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(32)) & mask
    while table.keys[slot] != _FREE and table.keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _encode(data, offsets, table):
    parts = _new_parts(offsets)
    numbers, ends, size = np.empty(data.size, np.int32), np.zeros(offsets.size, np.int64), 0
    for index in range(offsets.size - 1):
        start, stop = offsets[index], offsets[index + 1]
        _merge_piece(data[start:stop], table, parts, np.int64(2**31))
        place = 0 if start < stop else _END
        while place != _END:
            numbers[size] = parts.number[place]
            size += 1
            place = parts.following[place]
        ends[index + 1] = size
    return numbers[:size].copy(), ends


@njit(cache=True, nogil=True)
def _last_merges(data, offsets, table, limits):
    parts, count = _new_parts(offsets), offsets.size - 1
    left, right = np.empty(count, np.int32), np.empty(count, np.int32)
    remaining = np.empty(count, np.int64)
    for index in range(count):
        piece = data[offsets[index] : offsets[index + 1]]
        left[index], right[index], remaining[index] = _merge_piece(piece, table, parts, limits[index])
    return left, right, remaining


@njit(cache=True, nogil=True)
def _new_parts(offsets):
    longest = 0
    for index in range(offsets.size - 1):
        longest = max(longest, offsets[index + 1] - offsets[index])
    # Every merge adds at most two entries to the queue and takes one away, and there are fewer merges than bytes.
    queue = np.empty(2 * longest + 2, np.int64)
    return _Parts(np.empty(longest, np.int32), np.empty(longest, np.int32), np.empty(longest, np.int32), queue)


@njit(cache=True, nogil=True)
def _merge_piece(piece, table, parts, limit):
    """Merge a piece until nothing below `limit` merges; returns the two parts that it was last in, and how many."""
    remaining, waiting = piece.size, 0
    last_left, last_right = np.int32(-1), np.int32(-1)
    for place in range(remaining):
        parts.number[place] = table.byte_numbers[piece[place]]
        parts.following[place] = place + 1 if place + 1 < remaining else _END
        parts.before[place] = place - 1
    for place in range(remaining - 1):
        waiting = _offer(table, parts, place, waiting, limit)
    if remaining == 2:
        last_left, last_right = parts.number[0], parts.number[1]
    while waiting:
        entry = parts.queue[0]
        waiting = _drop_first(parts.queue, waiting)
        place = entry & 0xFFFFFFFF
        slot = _pair_at(table, parts, place)
        if slot < 0 or table.priorities[slot] != entry >> 32:
            continue  # one of the two has been merged with another meanwhile
        _join(parts, place, table.results[slot])
        remaining -= 1
        if remaining == 2:
            last_left, last_right = parts.number[0], parts.number[parts.following[0]]
        waiting = _offer(table, parts, place, waiting, limit)
        if parts.before[place] != _END:
            waiting = _offer(table, parts, parts.before[place], waiting, limit)
    return last_left, last_right, remaining


@njit(cache=True, nogil=True)
def _join(parts, place, number):
    gone = parts.following[place]
    after = parts.following[gone]
    parts.number[place], parts.number[gone] = number, _END
    parts.following[place] = after
    if after != _END:
        parts.before[after] = place


@njit(cache=True, nogil=True)
def _pair_at(table, parts, place):
    """The slot of the merge of a place with the one after it, or -1."""
    if parts.number[place] == _END or parts.following[place] == _END:
        return -1
    key = np.int64(parts.number[place]) << 32 | np.int64(parts.number[parts.following[place]])
    slot = _find(table, key)
    return slot if table.keys[slot] == key else -1


@njit(cache=True, nogil=True)
def _offer(table, parts, place, waiting, limit):
    """Queue the merge of a place with the one after it, if there is one; returns how many wait."""
    slot = _pair_at(table, parts, place)
    if slot < 0 or table.priorities[slot] >= limit:
        return waiting
    entry, queue = table.priorities[slot] << 32 | place, parts.queue
    hole = waiting
    while hole and queue[(hole - 1) >> 1] > entry:
        queue[hole] = queue[(hole - 1) >> 1]
        hole = (hole - 1) >> 1
    queue[hole] = entry
    return waiting + 1


@njit(cache=True, nogil=True)
def _drop_first(queue, waiting):
    """Take the first entry out; returns how many are left."""
    waiting -= 1
    entry, hole, child = queue[waiting], 0, 1
    while child < waiting:
        if child + 1 < waiting and queue[child + 1] < queue[child]:
            child += 1
        if queue[child] >= entry:
            break
        queue[hole] = queue[child]
        hole, child = child, 2 * child + 1
    queue[hole] = entry
    return waiting
