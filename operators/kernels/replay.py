"""Apply a list of merges to counted words, and keep how often each pair of neighbours stands in each category.

Where the words of several categories are cut alike, a word goes through the same merges in all of them. So the merges
are applied once to the distinct words of all, and what a merge changes is added up by pair and category: the counts of
a pair before any merge are the sum of its changes so far. Counting is by places, as in training: `aaaa` holds the pair
(a, a) three times. A merge is applied once, at its place in the list, from left to right in each word; where the list
does not come from training, a pair can come up again later, and then it stays.

`pair_counts.py` answers questions of the changes. The slow reference is `replay_reference.py`. All that is compiled of
the kernel stands in this file, so it is long: numba's cache looks at the file of the caller only, and would not see
that a function elsewhere has changed.

Price on one core: see docs/inference.md. Memory: 8 bytes for each place of the distinct words and up to 8 more for
where pairs that are merged came up, 8 for each word and category, some 40 for each pair, and 10 for each change of a
pair's count in a category.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[Any]

_SEPARATOR: Final = -1
_INSIDE: Final = -2
_FREE: Final = -1
_BASE: Final = 0x9E3779B97F4A7C15
_CHUNK: Final = 4096
_CELLS: Final = 1 << 23
_MOST: Final = 1 << 47


class Words(NamedTuple):
    """Distinct words as sequences of token numbers, and how often each stands in each category.

    A word that stands in none is left out.
    """

    symbols: Ints  # int32: token numbers, one word after another
    offsets: Ints  # int64[words + 1]: where each word begins in `symbols`
    starts: Ints  # int64[words + 1]: where each word's counts begin
    categories: Ints  # int16: the category of each count
    counts: Ints  # int64: 1 to 2**47 - 1


class Changes(NamedTuple):
    """Counts of pairs by category as changes in time: step 0 brings the words, step t + 1 applies merge t.

    A segment is what one step does to one pair; it has an entry for every category whose count of it changes.
    """

    pairs: Ints  # int32 (pairs, 2): left and right token
    merged: Ints  # int32[merges]: the pair of each merge, -1 where it stands in no word at any time
    steps: Ints  # int64[merges + 2]: where each step's segments begin
    segment_pair: Ints  # int32[segments]
    segment_step: Ints  # int32[segments]
    starts: Ints  # int64[segments + 1]: where each segment's entries begin
    category: Ints  # int16[entries]
    change: Ints  # int64[entries], never 0
    order: Ints  # int64[segments]: the segments by pair, and by time within a pair
    pair_starts: Ints  # int64[pairs + 1]: where each pair begins in `order`


class _Text(NamedTuple):
    """Every word between separators, and the counts that it has."""

    places: Ints  # int32 or int64 (places, 2): the token, see `_after`, and where the counts of its word begin
    counts: Ints  # int64: count << 16 | category << 1 | 1 for the last one of a word, else 0


class _Pairs(NamedTuple):
    """Pairs by number, and their numbers by key (left << 32 | right) in a table with open addressing."""

    keys: Ints  # int64, _FREE where empty
    numbers: Ints  # int32, beside `keys`
    key: Ints  # int64 by number
    merge: Ints  # int32 by number: its place in the list of merges, -1 if it is not there
    row: Ints  # int32 by number: its row in the tally of this step, -1 if it has none
    size: Ints  # int64[1]


class _Places(NamedTuple):
    """For each merge the places where its pair came up: a linked list of blocks, one for what came in one go."""

    last: Ints  # int64[merges]: the last block, -1 if there is none
    start: Ints  # int64 by block: where it begins in `pool`
    number: Ints  # int64 by block: how many places it has
    before: Ints  # int64 by block: the block before it
    pool: Ints  # places, in rising order within a block
    size: Ints  # int64[2]: blocks, places


class _Beside(NamedTuple):
    """What a merge finds beside its pair: a row for each neighbour, 2 * token on the left and 2 * token + 1 right.

    Row 0 stands for the end of a word, and is thrown away.
    """

    row: Ints  # int32[2 * tokens]: its row, 0 if it has none
    mark: Ints  # int64 by row: which neighbour
    rows: Ints  # int64 (rows, categories): how often it stood there
    number: Ints  # int64 by row: at how many places
    size: Ints  # int64[1]: rows in use, with row 0


class _Tally(NamedTuple):
    """What a step changes: a row for each pair that it touches."""

    rows: Ints  # int64 (rows, categories)
    pair: Ints  # int32 by row
    size: Ints  # int64[1]


class _Log(NamedTuple):
    """Segments and entries as they come."""

    pair: Ints
    starts: Ints
    category: Ints
    change: Ints
    sizes: Ints  # int64[2]: segments, entries


def replay(words: Words, merges: Ints, num_categories: int) -> Changes:
    """Apply the merges in order.

    Args:
        words: what they are applied to.
        merges: (merges, 3) integers: left token, right token, and the token that they make. A pair that is listed
            twice is applied at its first place.
        num_categories: more than every category in `words`.

    Raises:
        ValueError: a word is counted 2**47 times or more in one category.
    """
    merges = np.ascontiguousarray(merges, np.int64).reshape(-1, 3)
    if words.counts.size and int(words.counts.max()) >= _MOST:
        msg = f"a word may be counted {_MOST - 1:,} times in a category, not {int(words.counts.max()):,}"
        raise ValueError(msg)
    most = max(words.symbols.size + words.offsets.size, words.counts.size)
    like = np.empty(0, np.int32 if most < 2**31 - 2 else np.int64)
    pair, steps, starts, category, change, keys, merged = _replay(*words, merges, num_categories, like)
    pairs = np.stack((keys >> 32, keys & 0x7FFFFFFF), axis=1).astype(np.int32)
    return laid_out(pairs, merged, steps, pair, starts, category, change)


def laid_out(
    pairs: Ints, merged: Ints, steps: Ints, segment_pair: Ints, starts: Ints, category: Ints, change: Ints
) -> Changes:
    """Changes with the order by pair, from the rest."""
    segment_step = np.repeat(np.arange(len(steps) - 1, dtype=np.int32), np.diff(steps))
    order = np.argsort(segment_pair, kind="stable")
    pair_starts = np.searchsorted(segment_pair[order], np.arange(len(pairs) + 1))
    return Changes(pairs, merged, steps, segment_pair, segment_step, starts, category, change, order, pair_starts)


@njit(cache=True, nogil=True)
def _replay(symbols, offsets, word_starts, categories, counts, merges, num_categories, like):
    text = _lay_out(symbols, offsets, word_starts, categories, counts, like)
    listed = _listed(merges)
    pairs, number = _first_pairs(text.places, listed)
    places = _first_places(text.places, pairs, number, merges.shape[0], like)
    log = _first_counts(text, pairs, _new_log(), num_categories)
    steps = np.zeros(merges.shape[0] + 2, np.int64)
    steps[1] = log.sizes[0]
    beside = _new_beside(_num_tokens(text.places, merges), num_categories)
    tally = _Tally(np.zeros((1024, num_categories), np.int64), np.empty(1024, np.int32), np.zeros(1, np.int64))
    own = np.zeros(num_categories, np.int64)
    for t in range(merges.shape[0]):
        found = _places_of(places, t)
        if found.size:
            logged, at, num_logged = np.empty(2 * found.size, np.int32), np.empty(2 * found.size, found.dtype), 0
            for begin in range(0, found.size, _CHUNK):
                some = found[begin : begin + _CHUNK]
                beside = _with_room_beside(beside, 2 * some.size)
                num_logged = _merge(text, some, merges[t], beside, own, logged, at, num_logged)
            pairs = _with_room_for_pairs(pairs, 2 * beside.size[0])
            tally = _with_room_for_rows(tally, 2 * beside.size[0])
            places = _with_room_for_places(places, beside.size[0], num_logged)
            gained = _pairs_beside(beside, pairs, listed, merges[t], merges[t, 2], merges[t, 2])
            _hand_out(beside, pairs, gained, places, logged[:num_logged], at, t)
            lost = _pairs_beside(beside, pairs, listed, merges[t], merges[t, 0], merges[t, 1])
            _settle(beside, pairs, gained, lost, tally, own)
            log = _write(log, tally, pairs)
        steps[t + 2] = log.sizes[0]
    merged = np.full(merges.shape[0], -1, np.int32)
    for number in range(pairs.size[0]):
        if pairs.merge[number] >= 0:
            merged[pairs.merge[number]] = number
    segments, entries = log.sizes[0], log.sizes[1]
    return (
        log.pair[:segments].copy(), steps, log.starts[: segments + 1].copy(), log.category[:entries].copy(),
        log.change[:entries].copy(), pairs.key[: pairs.size[0]].copy(), merged,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _lay_out(symbols, offsets, starts, categories, counts, like):
    places = np.empty((symbols.size + offsets.size, 2), like.dtype)
    places[0, 0] = _SEPARATOR
    for w in range(offsets.size - 1):
        for i in range(offsets[w], offsets[w + 1]):
            places[i + w + 1, 0] = symbols[i] if starts[w + 1] > starts[w] else _SEPARATOR
            places[i + w + 1, 1] = starts[w]
        places[offsets[w + 1] + w + 1, 0] = _SEPARATOR
    packed = np.empty(counts.size, np.int64)
    for k in range(counts.size):
        packed[k] = counts[k] << 16 | np.int64(categories[k]) << 1
    for w in range(starts.size - 1):
        if starts[w + 1] > starts[w]:
            packed[starts[w + 1] - 1] |= 1
    return _Text(places, packed)


@njit(cache=True, nogil=True)
def _listed(merges):
    """The list as pairs by number, where the number of a pair is its place; of one that is there twice, the first."""
    listed = _new_pairs(16)
    listed = _with_room_for_pairs(listed, merges.shape[0])
    for t in range(merges.shape[0]):
        key = _key(merges[t, 0], merges[t, 1])
        slot = _find(listed.keys, key)
        if listed.keys[slot] == _FREE:
            listed.keys[slot], listed.numbers[slot] = key, t
    return listed


@njit(cache=True, nogil=True)
def _num_tokens(places, merges):
    largest = np.int64(0)
    for i in range(places.shape[0]):
        largest = max(largest, np.int64(places[i, 0]))
    for t in range(merges.shape[0]):
        largest = max(largest, merges[t, 2])
    return largest + 1


@njit(cache=True, nogil=True)
def _first_pairs(places, listed):
    """The pairs of the words in the order in which they come, and at how many places each stands."""
    pairs, number = _new_pairs(4 * _CHUNK), np.zeros(4 * _CHUNK, np.int64)
    for begin in range(1, places.shape[0] - 1, _CHUNK):
        pairs = _with_room_for_pairs(pairs, _CHUNK)
        if number.size < pairs.key.size:
            number = np.concatenate((number, np.zeros(pairs.key.size - number.size, np.int64)))
        some = places[begin : begin + _CHUNK + 1]
        wanted, size = np.empty(_CHUNK, np.int64), 0
        for i in range(some.shape[0] - 1):
            if some[i, 0] >= 0 and some[i + 1, 0] >= 0:
                wanted[size] = _key(some[i, 0], some[i + 1, 0])
                size += 1
        for pair in _numbered(pairs, listed, wanted[:size]):
            number[pair] += 1
    return pairs, number


@njit(cache=True, nogil=True)
def _first_places(places, pairs, number, num_merges, like):
    """A block for each pair that is listed, by a counting sort."""
    size, total = 0, 0
    for pair in range(pairs.size[0]):
        if pairs.merge[pair] >= 0:
            size, total = size + 1, total + number[pair]
    found = _Places(
        np.full(num_merges, -1, np.int64), np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64),
        np.empty(total, like.dtype), np.zeros(2, np.int64),
    )  # fmt: skip
    cursor = _blocks(found, pairs.merge[: pairs.size[0]], number, -1)
    keys, numbers, pool = pairs.keys, pairs.numbers, found.pool
    for i in range(1, places.shape[0] - 1):
        if places[i, 0] >= 0 and places[i + 1, 0] >= 0:
            pair = numbers[_find(keys, _key(places[i, 0], places[i + 1, 0]))]
            if cursor[pair] >= 0:
                pool[cursor[pair]] = i
                cursor[pair] += 1
    return found


@njit(cache=True, nogil=True)
def _first_counts(text, pairs, log, num_categories):
    """What the words bring, for so many pairs at a time as there is room for."""
    places, counts = text
    keys, numbers = pairs.keys, pairs.numbers
    height = max(1, min(pairs.size[0], _CELLS // num_categories))
    tally = _Tally(np.zeros((height, num_categories), np.int64), np.empty(height, np.int32), np.zeros(1, np.int64))
    rows = tally.rows
    for begin in range(0, pairs.size[0], height):
        for i in range(1, places.shape[0] - 1):
            if places[i, 0] >= 0 and places[i + 1, 0] >= 0:
                row = np.int64(numbers[_find(keys, _key(places[i, 0], places[i + 1, 0]))]) - begin
                if 0 <= row < height:
                    k = places[i, 1]
                    while True:
                        rows[row, counts[k] >> 1 & 0x7FFF] += counts[k] >> 16
                        if counts[k] & 1:
                            break
                        k += 1
        tally.size[0] = min(height, pairs.size[0] - begin)
        tally.pair[: tally.size[0]] = np.arange(begin, begin + tally.size[0])
        log = _write(log, tally, pairs)
    return log


@njit(cache=True, nogil=True)
def _merge(text, found, merge, beside, own, logged, at, size):
    """Merge the pair at its places from left to right; a place that no longer holds it is passed over.

    Writes the row of each neighbour and the place of the pair that it now makes to `logged` and `at` from `size` on,
    and returns where they end. Nothing but arrays may be named in the loop: a tuple, or a call with more than one
    array, would count references, which costs more than the merge.
    """
    places, counts = text
    row_of, mark, rows, number, num_rows = beside
    a, b, new, top = merge[0], merge[1], merge[2], num_rows[0]
    for i in found:
        if places[i, 0] != a:
            continue
        j = _after(places, i)
        if places[j, 0] != b:
            continue
        end, k = _after(places, j), places[i, 1]
        left, right = places[i - 1, 0], places[end, 0]
        places[i, 0], places[j, 0] = new, _INSIDE
        places[i + 1, 0] = places[end - 1, 0] = _INSIDE - (end - i)
        row_left = row_right = np.int64(0)
        if left != _SEPARATOR:
            before = i - 1 if left >= 0 else i - (_INSIDE - left)
            which = 2 * np.int64(places[before, 0])
            row_left = np.int64(row_of[which])
            if row_left == 0:
                row_of[which], mark[top], number[top], row_left, top = top, which, 0, top, top + 1
            number[row_left] += 1
            logged[size], at[size], size = row_left, before, size + 1
        if right != _SEPARATOR:
            which = 2 * np.int64(right) + 1
            row_right = np.int64(row_of[which])
            if row_right == 0:
                row_of[which], mark[top], number[top], row_right, top = top, which, 0, top, top + 1
            number[row_right] += 1
            logged[size], at[size], size = row_right, i, size + 1
        while True:
            category, count = counts[k] >> 1 & 0x7FFF, counts[k] >> 16
            own[category] += count
            rows[row_left, category] += count
            rows[row_right, category] += count
            if counts[k] & 1:
                break
            k += 1
    num_rows[0] = top
    return size


@njit(cache=True, nogil=True)
def _pairs_beside(beside, pairs, listed, merge, after_left, before_right):
    """By row the pair of a neighbour and the token beside it, in row 0 the pair that is merged; there must be room."""
    mark = beside.mark
    wanted = np.empty(beside.size[0], np.int64)
    wanted[0] = _key(merge[0], merge[1])
    for row in range(1, wanted.size):
        token = mark[row] >> 1
        wanted[row] = _key(token, after_left) if mark[row] & 1 == 0 else _key(before_right, token)
    return _numbered(pairs, listed, wanted)


@njit(cache=True, nogil=True)
def _hand_out(beside, pairs, gained, places, logged, at, now):
    """Give the pairs that are merged later their new places; there must be room."""
    number, pool = beside.number, places.pool
    number[0] = 0
    cursor = _blocks(places, pairs.merge[gained], number, now)
    for k in range(logged.size):
        row = logged[k]
        if cursor[row] >= 0:
            pool[cursor[row]] = at[k]
            cursor[row] += 1


@njit(cache=True, nogil=True)
def _settle(beside, pairs, gained, lost, tally, own):
    """What a merge changes: each neighbour leaves a pair of the old token beside it and enters one of the new."""
    row_of, mark, found, _, size = beside
    rows, tallied, num_tallied = tally
    row_of_pair = pairs.row
    for row in range(size[0]):
        for pair in (lost[row], gained[row]):
            if row_of_pair[pair] < 0:
                tallied[num_tallied[0]] = pair
                row_of_pair[pair] = num_tallied[0]
                num_tallied[0] += 1
        less, more = row_of_pair[lost[row]], row_of_pair[gained[row]]
        if row == 0:
            for k in range(own.size):
                rows[less, k] -= own[k]
                own[k] = found[0, k] = 0
            continue
        for k in range(own.size):
            rows[less, k] -= found[row, k]
            rows[more, k] += found[row, k]
            found[row, k] = 0
        row_of[mark[row]] = 0
    size[0] = 1


@njit(cache=True, nogil=True)
def _new_beside(num_tokens, num_categories):
    return _Beside(
        np.zeros(2 * num_tokens, np.int32), np.empty(1024, np.int64), np.zeros((1024, num_categories), np.int64),
        np.empty(1024, np.int64), np.ones(1, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _with_room_beside(beside, more):
    size = beside.size[0]
    if size + more <= beside.mark.size:
        return beside
    rows = np.zeros((2 * (size + more), beside.rows.shape[1]), np.int64)
    rows[:size] = beside.rows[:size]
    mark, number = _resized(beside.mark, rows.shape[0]), _resized(beside.number, rows.shape[0])
    return _Beside(beside.row, mark, rows, number, beside.size)


@njit(cache=True, nogil=True)
def _key(left, right):
    return np.int64(left) << 32 | np.int64(right)


@njit(cache=True, nogil=True)
def _after(places, i):
    """Where the token after the one at place `i` begins.

    A token of two places or more has `_INSIDE` less their number at its second and at its last place.
    """
    return i + 1 if places[i + 1, 0] >= _SEPARATOR else i + (_INSIDE - places[i + 1, 0])


@njit(cache=True, nogil=True)
def _find(keys, key):
    """The slot of a key, or the free one where it would stand."""
    mask = keys.size - 1
    slot = np.int64((np.uint64(key) * np.uint64(_BASE)) >> np.uint64(20)) & mask
    while keys[slot] != _FREE and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _new_pairs(room):
    size = 16
    while size < 2 * room:
        size *= 2
    return _Pairs(
        np.full(size, _FREE, np.int64), np.empty(size, np.int32), np.empty(room, np.int64), np.empty(room, np.int32),
        np.full(room, -1, np.int32), np.zeros(1, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _with_room_for_pairs(pairs, more):
    """Room for so many pairs, with at least half of the table free."""
    size = pairs.size[0]
    if size + more <= pairs.key.size:
        return pairs
    larger = _new_pairs(2 * (size + more))
    keys, numbers = larger.keys, larger.numbers
    for number in range(size):
        slot = _find(keys, pairs.key[number])
        keys[slot], numbers[slot] = pairs.key[number], number
    larger.key[:size], larger.merge[:size], larger.row[:size] = pairs.key[:size], pairs.merge[:size], pairs.row[:size]
    larger.size[0] = size
    return larger


@njit(cache=True, nogil=True)
def _numbered(pairs, listed, wanted):
    """The number of each pair, a new one if it was never seen; there must be room."""
    keys, numbers, key_of, merge, _, size = pairs
    listed_keys, listed_numbers = listed.keys, listed.numbers
    found = np.empty(wanted.size, np.int64)
    for k in range(wanted.size):
        key = wanted[k]
        slot = _find(keys, key)
        if keys[slot] == _FREE:
            number, known = size[0], _find(listed_keys, key)
            keys[slot], numbers[slot], key_of[number] = key, number, key
            merge[number] = listed_numbers[known] if listed_keys[known] == key else -1
            size[0] = number + 1
        found[k] = numbers[slot]
    return found


@njit(cache=True, nogil=True)
def _with_room_for_rows(tally, more):
    """More rows than there are; the tally must be empty."""
    if more <= tally.pair.size:
        return tally
    return _Tally(np.zeros((2 * more, tally.rows.shape[1]), np.int64), np.empty(2 * more, np.int32), tally.size)


@njit(cache=True, nogil=True)
def _with_room_for_places(places, blocks, more):
    start, number, before, pool = places.start, places.number, places.before, places.pool
    size = places.size[0] + blocks
    if size > start.size:
        start, number, before = _resized(start, 2 * size), _resized(number, 2 * size), _resized(before, 2 * size)
    size = places.size[1] + more
    if size > pool.size:
        pool = _resized(pool, size + size // 4)
    return _Places(places.last, start, number, before, pool, places.size)


@njit(cache=True, nogil=True)
def _resized(array, size):
    more = np.empty(size, array.dtype)
    more[: array.size] = array
    return more


@njit(cache=True, nogil=True)
def _blocks(places, merges, numbers, now):
    """Where a new block of so many places begins for each merge that is later than `now`, else -1."""
    last, start, number, before, _, size = places
    found, block, end = np.full(merges.size, -1, np.int64), size[0], size[1]
    for k in range(merges.size):
        if merges[k] > now:
            start[block], number[block], before[block] = end, numbers[k], last[merges[k]]
            last[merges[k]] = block
            found[k], block, end = end, block + 1, end + numbers[k]
    size[0], size[1] = block, end
    return found


@njit(cache=True, nogil=True)
def _places_of(places, merge):
    """In rising order."""
    last, start, number, before, pool, _ = places
    block, size = last[merge], 0
    if block >= 0 and before[block] < 0:
        return pool[start[block] : start[block] + number[block]]
    while block >= 0:
        size, block = size + number[block], before[block]
    found, block = np.empty(size, pool.dtype), last[merge]
    while block >= 0:
        size -= number[block]
        found[size : size + number[block]] = pool[start[block] : start[block] + number[block]]
        block = before[block]
    found.sort()
    return found


@njit(cache=True, nogil=True)
def _new_log():
    return _Log(
        np.empty(1024, np.int32), np.zeros(1025, np.int64), np.empty(4096, np.int16), np.empty(4096, np.int64),
        np.zeros(2, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _write(log, tally, pairs):
    """Put down what a step changed, and empty the tally."""
    rows, pair, size = tally
    row_of_pair, width = pairs.row, tally.rows.shape[1]
    log = _with_room(log, size[0], 0)
    for begin in range(0, size[0], _CHUNK):
        log = _with_room(log, 0, min(_CHUNK, size[0] - begin) * width)
        log_pair, starts, category, change, sizes = log
        segment, entry = sizes[0], sizes[1]
        for row in range(begin, min(begin + _CHUNK, size[0])):
            row_of_pair[pair[row]] = -1
            for k in range(width):
                if rows[row, k] != 0:
                    category[entry], change[entry] = k, rows[row, k]
                    rows[row, k] = 0
                    entry += 1
            if entry > starts[segment]:
                log_pair[segment], starts[segment + 1] = pair[row], entry
                segment += 1
        sizes[0], sizes[1] = segment, entry
    size[0] = 0
    return log


@njit(cache=True, nogil=True)
def _with_room(log, more_segments, more_entries):
    pair, starts, category, change, sizes = log
    size = sizes[0] + more_segments
    if size > pair.size:
        pair, starts = _resized(pair, size + size // 2), _resized(starts, size + size // 2 + 1)
    size = sizes[1] + more_entries
    if size > change.size:
        category, change = _resized(category, size + size // 2), _resized(change, size + size // 2)
    return _Log(pair, starts, category, change, sizes)
