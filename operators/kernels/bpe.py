"""Byte-level BPE merges from counted words: those of `tokenizers`' `BpeTrainer`, merge for merge, in 64-bit counts.

The rule: take the adjacent pair with the largest total count, at equal counts the one with the smaller left id, then
the smaller right id; merge it in every word from left to right; repeat. Counting is by places, so `aaaa` holds the
pair (a, a) three times. `tokenizers` adds up pairs in 32 bits and goes wrong beyond 2^31; this does not.

The result depends on the words and their counts as a multiset and not on their order: within a word the merges are
determined, and between words only sums of integers are taken.

Every merge makes a string that is no token yet, so ids count up and nothing is looked up by bytes (`tokenizers` re-uses
the id of an equal string, which needs an alphabet of more than single bytes). Proof: where a string stands between
symbol borders, no earlier merge crossed them, so its inside went through the merges exactly as the string alone would;
also for runs of one symbol, as a pairing from the left that is out of step would cross a border. Once the string alone
has become one token, it is that token wherever it stands, and never again two symbols. Hence also: a pair gains places
only in the step that makes the newer of its two symbols, so it is queued once.

How: words lie in one array with separators; a symbol's id stands at its first and at its last place, so that both
neighbours are found without links. Every queue entry owns the places of its pair, in rising order. One merge touches
its places only and adds up changes by neighbour, so that a hash table is asked once per neighbour and not once per
place. Price on one core: 64 k merges of 0.27 M words (2.7 MB) take 0.8 s, and 5 to 11 s to compile, once per machine.
Memory: 8 bytes per byte of distinct words, 4 per place of a live pair, and about 100 per live pair; words of more than
2 GB in all take twice as much per place. The slow reference is `bpe_reference.py`.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from operators.byte_alphabet import byte_ids

Ints = NDArray[Any]

SEPARATOR: Final = -1
INSIDE: Final = -2
_FREE: Final = -1


class _Words(NamedTuple):
    """The words, laid out: `symbol` and `word` have a separator before every word and one at the end."""

    symbol: Ints  # int32: id at the first and the last place of a symbol, SEPARATOR, or INSIDE
    word: Ints  # which word a place belongs to
    counts: Ints  # int64 by word


class _Tally(NamedTuple):
    """Changes that one merge makes, by neighbour: index 2 * id for a left neighbour, 2 * id + 1 for a right one."""

    lost: Ints  # int64: count taken from the old pair
    gained: Ints  # int64: count given to the new pair
    number: Ints  # int64: places of the new pair; then where the next place goes
    touched: Ints  # int64: the indices in use
    size: Ints  # int64[1]


class _Pairs(NamedTuple):
    """Counts of pairs: open addressing by key (left id << 32 | right id)."""

    keys: Ints  # int64, _FREE where empty
    totals: Ints  # int64
    size: Ints  # int64[1]


class _Queue(NamedTuple):
    """A binary heap of rows (count, key, start, number); start and number say which places of the pool it owns."""

    rows: Ints  # int64 (capacity, 4)
    size: Ints  # int64[1]


class _Pool(NamedTuple):
    """Places owned by queue entries."""

    places: Ints
    size: Ints  # int64[1]


class Learned(NamedTuple):
    """Merges in order."""

    merges: NDArray[np.int32]
    """(merges, 2): left and right id; merge number n makes id 256 + n."""
    counts: NDArray[np.int64]
    """(merges,): how often the pair stood in the text when it was merged, counted by places."""


def train(
    words: pa.LargeBinaryArray,
    counts: Ints,
    num_tokens: int,
    min_frequency: int = 0,
    max_token_length: int = 2**31 - 1,
    alphabet: bytes = bytes(range(256)),
) -> Learned:
    """Learn merges until there are `num_tokens` tokens (the 256 bytes included) or no pair is left.

    Args:
        words: distinct pre-tokens; a repeated word counts as the sum of its counts.
        counts: how often each word occurs, int64, at least 0.
        num_tokens: at least 256.
        min_frequency: a pair that occurs less often is not merged; learning stops there.
        max_token_length: longest token in bytes, inclusive, at least 2. In `tokenizers` the same limit is one more.
        alphabet: the bytes that are merged; any other ends a word here. (`tokenizers` takes such bytes out of the
            word, so that strangers become neighbours.)

    Returns:
        The merges; ids of bytes are those of `byte_alphabet`. To stop at fewer tokens is to cut the list, so smaller
        vocabularies are prefixes.

    >>> train(pa.array([b"aab", b"ab"], pa.large_binary()), np.array([1, 5]), 258).merges.tolist()
    [[64, 65], [64, 256]]
    """
    _check(words, counts, num_tokens, max_token_length)
    data, offsets, kept = _present(words, np.asarray(counts, np.int64))
    # Each merge takes a symbol away, so there are never more merges than bytes.
    limit = int(min(num_tokens - 256, data.size))
    if limit == 0:
        return Learned(np.empty((0, 2), np.int32), np.empty(0, np.int64))
    place = np.int32 if data.size + kept.size < 2**31 - 2 else np.int64
    ids = np.full(256, SEPARATOR, np.int32)
    merged = np.frombuffer(alphabet, np.uint8)
    ids[merged] = byte_ids()[merged]
    return Learned(
        *_learn(data, offsets, kept, ids, np.empty(0, place), limit, max(1, min_frequency), max_token_length)
    )


def most_frequent_bytes(words: pa.LargeBinaryArray, counts: Ints, limit: int) -> bytes:
    """The bytes that occur most often in the words, of equal ones those with the smaller ids; as many as `limit`.

    >>> most_frequent_bytes(pa.array([b"ab", b"c"], pa.large_binary()), np.array([1, 2]), 2)
    b'ca'
    """
    data, offsets, kept = _present(words, np.asarray(counts, np.int64), shortest=1)
    totals = _byte_totals(data, offsets, kept)
    order = sorted(range(256), key=lambda byte: (-int(totals[byte]), int(byte_ids()[byte])))
    return bytes(byte for byte in order[:limit] if totals[byte])


@njit(cache=True, nogil=True)
def _byte_totals(data, offsets, counts):
    totals = np.zeros(256, np.int64)
    for w in range(counts.size):
        for i in range(offsets[w], offsets[w + 1]):
            totals[data[i]] += counts[w]
    return totals


def _check(words: pa.LargeBinaryArray, counts: Ints, num_tokens: int, max_token_length: int) -> None:
    if len(words) != len(counts) or words.null_count:
        found = f"{len(words)} words, {words.null_count} null, {len(counts)} counts"
        msg = f"expected as many counts as words and no null word: {found}"
        raise ValueError(msg)
    if len(counts) and int(np.min(counts)) < 0:
        msg = f"counts must be at least 0, the smallest is {int(np.min(counts))}"
        raise ValueError(msg)
    if num_tokens < 256 or max_token_length < 2:
        msg = f"expected num_tokens >= 256 and max_token_length >= 2, not {num_tokens} and {max_token_length}"
        raise ValueError(msg)


def _present(words: pa.LargeBinaryArray, counts: Ints, shortest: int = 2) -> tuple[Ints, Ints, Ints]:
    """Bytes, offsets and counts of the words that count at all and are long enough to hold a pair."""
    words = words.cast(pa.large_binary())
    counted = (counts > 0) & (pc.binary_length(words).to_numpy(zero_copy_only=False) >= shortest)
    if not counted.all():
        words = words.filter(pa.array(counted))
    _, offset_buffer, data_buffer = words.buffers()
    if not len(words):
        return np.empty(0, np.uint8), np.zeros(1, np.int64), np.empty(0, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[words.offset : words.offset + len(words) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0], counts[counted]


@njit(cache=True, nogil=True)
def _learn(data, offsets, counts, ids, like, limit, min_frequency, max_length):
    words = _lay_out(data, offsets, counts, ids, like)
    pool, queue, pairs = _first_pairs(words)
    tally, length = _new_tally(256 + limit), np.ones(256 + limit, np.int64)
    merges, counted, num_merges = np.empty((limit, 2), np.int32), np.empty(limit, np.int64), 0
    while num_merges < limit and queue.size[0] > 0:
        count, key, start, number = _pop(queue)
        total = pairs.totals[_find(pairs, key)]
        if count != total:
            if total > 0:
                _push(queue, total, key, start, number)
            continue
        if count < min_frequency:
            break
        new = np.int32(256 + num_merges)
        a, b = np.int32(key >> 32), np.int32(key & 0x7FFFFFFF)
        length[new] = length[a] + length[b]
        places = pool.places[start : start + number].copy()
        pairs = _with_room_for_pairs(pairs, 4 * min(number, np.int64(new)))
        queue = _with_room_in_queue(queue, 2 * min(number, np.int64(new)))
        pool = _with_room_in_pool(pool, queue, 2 * number)
        marks, log = _merge(words, length, tally, places, a, b, new, max_length)
        _settle(tally, pairs, queue, pool, marks, log, a, b, new)
        merges[num_merges, 0], merges[num_merges, 1] = a, b
        counted[num_merges] = count
        num_merges += 1
    return merges[:num_merges].copy(), counted[:num_merges].copy()


@njit(cache=True, nogil=True)
def _lay_out(data, offsets, counts, ids, like):
    size = data.size + counts.size + 1
    words = _Words(np.empty(size, np.int32), np.empty(size, like.dtype), counts)
    words.symbol[0], words.word[0] = SEPARATOR, 0
    for w in range(counts.size):
        for i in range(offsets[w], offsets[w + 1]):
            words.symbol[i + w + 1], words.word[i + w + 1] = ids[data[i]], w
        end = offsets[w + 1] + w + 1
        words.symbol[end], words.word[end] = SEPARATOR, w
    return words


@njit(cache=True, nogil=True)
def _first_pairs(words):
    """Count the pairs of bytes in a dense table, then give every pair its places by a counting sort."""
    symbol = words.symbol
    totals, cursor = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64)
    for i in range(1, symbol.size - 1):
        if symbol[i] >= 0 and symbol[i + 1] >= 0:
            pair = symbol[i] << 8 | symbol[i + 1]
            totals[pair] += words.counts[words.word[i]]
            cursor[pair] += 1
    pool = _Pool(np.empty(cursor.sum() + cursor.sum() // 4 + 16, words.word.dtype), np.zeros(1, np.int64))
    queue = _Queue(np.empty((1 << 16, 4), np.int64), np.zeros(1, np.int64))
    pairs = _Pairs(np.full(1 << 17, np.int64(_FREE)), np.zeros(1 << 17, np.int64), np.zeros(1, np.int64))
    for pair in range(1 << 16):
        number, start = cursor[pair], pool.size[0]
        cursor[pair] = start
        pool.size[0] += number
        if number > 0:
            key = np.int64(pair >> 8) << 32 | np.int64(pair & 255)
            _add(pairs, key, totals[pair])
            _push(queue, totals[pair], key, start, number)
    for i in range(1, symbol.size - 1):
        if symbol[i] >= 0 and symbol[i + 1] >= 0:
            pair = symbol[i] << 8 | symbol[i + 1]
            pool.places[cursor[pair]] = i
            cursor[pair] += 1
    return pool, queue, pairs


@njit(cache=True, nogil=True)
def _new_tally(limit):
    zeros = np.zeros((4, 2 * limit), np.int64)
    return _Tally(zeros[0], zeros[1], zeros[2], zeros[3], np.zeros(1, np.int64))


@njit(cache=True, nogil=True)
def _merge(words, length, tally, places, a, b, new, max_length):
    """Merge the pair at its places from left to right, and add up what that changes.

    Returns the places of new pairs and, for each, its index in the tally. A place that no longer holds the pair is
    passed over: the id at a place differs once its symbol has become part of another.
    """
    symbol = words.symbol
    marks, log, size = np.empty(2 * places.size, np.int64), np.empty(2 * places.size, places.dtype), 0
    for i in places:
        j = i + length[a]
        if symbol[i] != a or symbol[j] != b:
            continue
        end, weight = j + length[b], words.counts[words.word[i]]
        left, right = symbol[i - 1], symbol[end]
        symbol[j] = INSIDE
        symbol[i] = symbol[end - 1] = new
        if left >= 0:
            _lose(tally, 2 * left, weight)
            if length[left] + length[new] <= max_length:
                _gain(tally, 2 * left, weight)
                marks[size], log[size] = 2 * left, i - length[left]
                size += 1
        if right >= 0:
            _lose(tally, 2 * right + 1, weight)
            if length[right] + length[new] <= max_length:
                _gain(tally, 2 * right + 1, weight)
                marks[size], log[size] = 2 * right + 1, i
                size += 1
    return marks[:size], log[:size]


@njit(cache=True, nogil=True)
def _lose(tally, mark, weight):
    if tally.lost[mark] == 0:
        tally.touched[tally.size[0]] = mark
        tally.size[0] += 1
    tally.lost[mark] += weight


@njit(cache=True, nogil=True)
def _gain(tally, mark, weight):
    tally.gained[mark] += weight
    tally.number[mark] += 1


@njit(cache=True, nogil=True)
def _settle(tally, pairs, queue, pool, marks, log, a, b, new):
    """Apply the tally to the pair counts, then queue the pairs that gained places."""
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        neighbour = np.int64(mark >> 1)
        _add(pairs, _key(neighbour, a) if mark & 1 == 0 else _key(b, neighbour), -tally.lost[mark])
        if tally.gained[mark] > 0:
            _add(pairs, _key(neighbour, new) if mark & 1 == 0 else _key(new, neighbour), tally.gained[mark])
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        number = tally.number[mark]
        tally.lost[mark] = tally.gained[mark] = 0
        if number > 0:
            key = _key(mark >> 1, new) if mark & 1 == 0 else _key(new, mark >> 1)
            total = pairs.totals[_find(pairs, key)]
            tally.number[mark] = -1
            if total > 0:
                _push(queue, total, key, pool.size[0], number)
                tally.number[mark] = pool.size[0]
                pool.size[0] += number
    for t in range(marks.size):
        mark = marks[t]
        if tally.number[mark] >= 0:
            pool.places[tally.number[mark]] = log[t]
            tally.number[mark] += 1
    for t in range(tally.size[0]):
        tally.number[tally.touched[t]] = 0
    tally.size[0] = 0


@njit(cache=True, nogil=True)
def _key(left, right):
    return np.int64(left) << np.int64(32) | np.int64(right)


@njit(cache=True, nogil=True)
def _find(pairs, key):
    """The pair's slot, or the free slot where it belongs."""
    mask = np.int64(pairs.keys.size - 1)
    mixed = (np.uint64(key) ^ (np.uint64(key) >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    slot = np.int64(mixed >> np.uint64(24)) & mask
    while pairs.keys[slot] != _FREE and pairs.keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _add(pairs, key, amount):
    slot = _find(pairs, key)
    if pairs.keys[slot] == _FREE:
        pairs.keys[slot] = key
        pairs.size[0] += 1
    pairs.totals[slot] += amount


@njit(cache=True, nogil=True)
def _with_room_for_pairs(pairs, room):
    """The same counts with space for `room` more; pairs that count nothing are left out, as absent means 0."""
    if 2 * (pairs.size[0] + room) <= pairs.keys.size:
        return pairs
    alive = 0
    for slot in range(pairs.keys.size):
        alive += pairs.totals[slot] != 0
    capacity = pairs.keys.size
    while capacity < 3 * (alive + room):
        capacity *= 2
    grown = _Pairs(np.full(capacity, np.int64(_FREE)), np.zeros(capacity, np.int64), np.zeros(1, np.int64))
    for slot in range(pairs.keys.size):
        if pairs.totals[slot] != 0:
            _add(grown, pairs.keys[slot], pairs.totals[slot])
    return grown


@njit(cache=True, nogil=True)
def _with_room_in_queue(queue, room):
    if queue.size[0] + room <= queue.rows.shape[0]:
        return queue
    rows = np.empty((2 * (queue.size[0] + room), 4), np.int64)
    rows[: queue.size[0]] = queue.rows[: queue.size[0]]
    return _Queue(rows, queue.size)


@njit(cache=True, nogil=True)
def _with_room_in_pool(pool, queue, room):
    """A pool with space for `room` more places; places that no entry owns any more are dropped."""
    if pool.size[0] + room <= pool.places.size:
        return pool
    owned = queue.rows[: queue.size[0], 3].sum()
    moved = _Pool(np.empty(owned + owned // 4 + room + 1024, pool.places.dtype), np.zeros(1, np.int64))
    for entry in range(queue.size[0]):
        start, number, target = queue.rows[entry, 2], queue.rows[entry, 3], moved.size[0]
        moved.places[target : target + number] = pool.places[start : start + number]
        queue.rows[entry, 2] = target
        moved.size[0] += number
    return moved


@njit(cache=True, nogil=True)
def _before(one, other):
    """Larger count first, then smaller left id, then smaller right id; no two entries are of one pair."""
    return one[0] > other[0] or (one[0] == other[0] and one[1] < other[1])


@njit(cache=True, nogil=True)
def _push(queue, count, key, start, number):
    entry, child = (count, key, start, number), queue.size[0]
    queue.size[0] += 1
    while child > 0 and _before(entry, queue.rows[(child - 1) >> 1]):
        queue.rows[child] = queue.rows[(child - 1) >> 1]
        child = (child - 1) >> 1
    for field in range(4):
        queue.rows[child, field] = entry[field]


@njit(cache=True, nogil=True)
def _pop(queue):
    rows, parent, child = queue.rows, 0, 1
    top = (rows[0, 0], rows[0, 1], rows[0, 2], rows[0, 3])
    queue.size[0] -= 1
    size = queue.size[0]
    last = (rows[size, 0], rows[size, 1], rows[size, 2], rows[size, 3])
    while child < size:
        if child + 1 < size and _before(rows[child + 1], rows[child]):
            child += 1
        if not _before(rows[child], last):
            break
        rows[parent] = rows[child]
        parent, child = child, 2 * child + 1
    for field in range(4):
        rows[parent, field] = last[field]
    return top
