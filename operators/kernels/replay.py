"""Apply a list of merges to counted words, and keep how often each pair of neighbours stands in each category.

Where the words of several categories are cut alike, a word goes through the same merges in all of them. So the merges
are applied once to the distinct words of all, and what a merge changes is added up by pair and category: the counts of
a pair before any merge are the sum of its changes so far. Counting is by places, as in training: `aaaa` holds the pair
(a, a) three times. A merge is applied once, at its place in the list, from left to right in each word; where the list
does not come from training, a pair can come up again later, and then it stays.

`pair_counts.py` answers questions of the changes. The slow reference is `replay_reference.py`.

Price on one core: see docs/inference.md. Memory: 8 bytes for each place of the distinct words, 8 for each word and
category, and 10 for each change of a pair's count in a category.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
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


class Words(NamedTuple):
    """Distinct words as sequences of token numbers, and how often each stands in each category."""

    symbols: Ints  # int32: token numbers, one word after another
    offsets: Ints  # int64[words + 1]: where each word begins in `symbols`
    starts: Ints  # int64[words + 1]: where each word's counts begin
    categories: Ints  # int16: the category of each count
    counts: Ints  # int64: above 0


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


class _Table(NamedTuple):
    """Numbers of pairs: open addressing by key (left << 32 | right)."""

    keys: Ints  # int64, _FREE where empty
    numbers: Ints  # int32
    size: Ints  # int64[1]


class _Pairs(NamedTuple):
    """What is known of each pair by number."""

    key: Ints  # int64
    merge: Ints  # int32: its place in the list of merges, -1 if it is not there
    slot: Ints  # int32: its row in the tally of this step, -1 if it has none


class _Places(NamedTuple):
    """For each merge a linked list of the places where its pair came up."""

    head: Ints  # int64[merges], -1 where empty
    tail: Ints  # int64[merges]
    number: Ints  # int64[merges]
    following: Ints  # int64[nodes]
    place: Ints  # int64[nodes]
    size: Ints  # int64[1]


class _Tally(NamedTuple):
    """What a step changes: a row for each pair that it touches."""

    rows: Ints  # int64 (slots, categories)
    touched: Ints  # int32[slots]: the pair of each row
    size: Ints  # int64[1]


class _Marks(NamedTuple):
    """What a merge finds beside its pair: a row for each neighbour, 2 * token on the left and 2 * token + 1 right."""

    slot: Ints  # int32[2 * tokens]: its row, -1 if it has none
    rows: Ints  # int64 (slots, categories): how often it stood there
    mark: Ints  # int64[slots]
    gained: Ints  # int64[slots]: the pair that it makes with the new token
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
    """
    merges = np.ascontiguousarray(merges, np.int64).reshape(-1, 3)
    pair, steps, starts, category, change, keys, merged = _replay(*words, merges, num_categories)
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
def _replay(symbols, offsets, word_starts, categories, counts, merges, num_categories):
    symbol, word = _lay_out(symbols, offsets)
    by_word = (word_starts, categories, counts)
    listed = _listed(merges)
    table, pairs = _new_table(1 << 14), _new_pairs(1 << 14)
    places = _new_places(merges.shape[0])
    tally = _Tally(np.zeros((1024, num_categories), np.int64), np.empty(1024, np.int32), np.zeros(1, np.int64))
    log = _new_log()
    steps = np.zeros(merges.shape[0] + 2, np.int64)
    for begin in range(1, symbol.size - 1, _CHUNK):
        table, pairs = _with_room_for_pairs(table, pairs, _CHUNK)
        tally, places = _with_room_for_rows(tally, _CHUNK), _with_room_for_places(places, _CHUNK)
        for i in range(begin, min(begin + _CHUNK, symbol.size - 1)):
            if symbol[i] >= 0 and symbol[i + 1] >= 0:
                number = _number(table, pairs, listed, _key(symbol[i], symbol[i + 1]))
                row = _row(tally, pairs, number)
                for k in range(word_starts[word[i]], word_starts[word[i] + 1]):
                    tally.rows[row, categories[k]] += counts[k]
                _note(places, pairs.merge[number], i, -1)
    log = _write(log, tally, pairs)
    steps[1] = log.sizes[0]
    marks = _new_marks(_num_tokens(symbol, merges), num_categories)
    own = np.zeros(num_categories, np.int64)
    for t in range(merges.shape[0]):
        found = _places_of(places, t)
        for begin in range(0, found.size, _CHUNK):
            some = found[begin : begin + _CHUNK]
            marks, places = _with_room_for_marks(marks, 2 * some.size), _with_room_for_places(places, 2 * some.size)
            table, pairs = _with_room_for_pairs(table, pairs, 2 * some.size)
            _merge(symbol, word, by_word, merges, t, some, table, pairs, listed, marks, places, own)
        if found.size:
            table, pairs = _with_room_for_pairs(table, pairs, marks.size[0] + 1)
            tally = _with_room_for_rows(tally, 2 * marks.size[0] + 1)
            _settle(merges, t, table, pairs, listed, marks, tally, own)
            log = _write(log, tally, pairs)
        steps[t + 2] = log.sizes[0]
    merged = np.full(merges.shape[0], -1, np.int32)
    for number in range(table.size[0]):
        if pairs.merge[number] >= 0:
            merged[pairs.merge[number]] = number
    segments, entries = log.sizes[0], log.sizes[1]
    return (
        log.pair[:segments].copy(), steps, log.starts[: segments + 1].copy(), log.category[:entries].copy(),
        log.change[:entries].copy(), pairs.key[: table.size[0]].copy(), merged,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _merge(symbol, word, by_word, merges, t, found, table, pairs, listed, marks, places, own):
    """Merge the pair at its places from left to right; a place that no longer holds it is passed over."""
    a, b, new = merges[t, 0], merges[t, 1], merges[t, 2]
    starts, categories, counts = by_word
    for i in found:
        if symbol[i] != a:
            continue
        j = _after(symbol, i)
        if symbol[j] != b:
            continue
        end, w = _after(symbol, j), word[i]
        left, right = symbol[i - 1], symbol[end]
        symbol[i], symbol[j] = new, _INSIDE
        symbol[i + 1] = symbol[end - 1] = _INSIDE - (end - i)
        for k in range(starts[w], starts[w + 1]):
            own[categories[k]] += counts[k]
        if left != _SEPARATOR:
            before = i - 1 if left >= 0 else i - (_INSIDE - left)
            left = symbol[before]
            slot = _slot(marks, 2 * left, table, pairs, listed, _key(left, new))
            for k in range(starts[w], starts[w + 1]):
                marks.rows[slot, categories[k]] += counts[k]
            _note(places, pairs.merge[marks.gained[slot]], before, t)
        if right != _SEPARATOR:
            slot = _slot(marks, 2 * right + 1, table, pairs, listed, _key(new, right))
            for k in range(starts[w], starts[w + 1]):
                marks.rows[slot, categories[k]] += counts[k]
            _note(places, pairs.merge[marks.gained[slot]], i, t)


@njit(cache=True, nogil=True)
def _slot(marks, mark, table, pairs, listed, gained):
    """The row of a neighbour; there must be room."""
    slot = np.int64(marks.slot[mark])
    if slot < 0:
        slot = marks.size[0]
        marks.slot[mark], marks.mark[slot] = slot, mark
        marks.gained[slot] = _number(table, pairs, listed, gained)
        marks.size[0] = slot + 1
    return slot


@njit(cache=True, nogil=True)
def _settle(merges, t, table, pairs, listed, marks, tally, own):
    """What a merge changes: each neighbour leaves a pair of the old token beside it and enters one of the new."""
    a, b = merges[t, 0], merges[t, 1]
    row = _row(tally, pairs, _number(table, pairs, listed, _key(a, b)))
    for k in range(own.size):
        tally.rows[row, k] -= own[k]
        own[k] = 0
    for slot in range(marks.size[0]):
        mark = marks.mark[slot]
        lost = _key(mark >> 1, a) if mark % 2 == 0 else _key(b, mark >> 1)
        row = _row(tally, pairs, _number(table, pairs, listed, lost))
        other = _row(tally, pairs, marks.gained[slot])
        for k in range(own.size):
            tally.rows[row, k] -= marks.rows[slot, k]
            tally.rows[other, k] += marks.rows[slot, k]
            marks.rows[slot, k] = 0
        marks.slot[mark] = -1
    marks.size[0] = 0


@njit(cache=True, nogil=True)
def _num_tokens(symbol, merges):
    largest = np.int64(0)
    for token in symbol:
        largest = max(largest, np.int64(token))
    for t in range(merges.shape[0]):
        largest = max(largest, merges[t, 2])
    return largest + 1


@njit(cache=True, nogil=True)
def _new_marks(num_tokens, num_categories):
    return _Marks(
        np.full(2 * num_tokens, -1, np.int32), np.zeros((1024, num_categories), np.int64), np.empty(1024, np.int64),
        np.empty(1024, np.int64), np.zeros(1, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _with_room_for_marks(marks, more):
    size = marks.size[0]
    if size + more <= marks.mark.size:
        return marks
    room = 2 * (size + more)
    rows, mark, gained = (
        np.zeros((room, marks.rows.shape[1]), np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
    )
    rows[:size], mark[:size], gained[:size] = marks.rows[:size], marks.mark[:size], marks.gained[:size]
    return _Marks(marks.slot, rows, mark, gained, marks.size)


@njit(cache=True, nogil=True)
def _lay_out(symbols, offsets):
    """Every word between separators; the word of each place."""
    size = symbols.size + offsets.size
    symbol, word = np.empty(size, np.int32), np.zeros(size, np.int32)
    symbol[0] = _SEPARATOR
    for w in range(offsets.size - 1):
        for i in range(offsets[w], offsets[w + 1]):
            symbol[i + w + 1], word[i + w + 1] = symbols[i], w
        symbol[offsets[w + 1] + w + 1] = _SEPARATOR
    return symbol, word


@njit(cache=True, nogil=True)
def _listed(merges):
    """The place of each pair in the list; of one that is there twice, the first."""
    table = _new_table(4 * merges.shape[0] + 16)
    for t in range(merges.shape[0]):
        key = _key(merges[t, 0], merges[t, 1])
        slot = _find(table, key)
        if table.keys[slot] == _FREE:
            table.keys[slot], table.numbers[slot] = key, t
    return table


@njit(cache=True, nogil=True)
def _key(left, right):
    return np.int64(left) << 32 | np.int64(right)


@njit(cache=True, nogil=True)
def _after(symbol, i):
    """Where the symbol after the one at place `i` begins."""
    return i + 1 if symbol[i + 1] >= _SEPARATOR else i + (_INSIDE - symbol[i + 1])


@njit(cache=True, nogil=True)
def _new_table(room):
    size = 16
    while size < room:
        size *= 2
    return _Table(np.full(size, _FREE, np.int64), np.empty(size, np.int32), np.zeros(1, np.int64))


@njit(cache=True, nogil=True)
def _find(table, key):
    """The slot of a key, or the free one where it would stand."""
    mixed = np.uint64(key) * np.uint64(_BASE)
    slot, mask = np.int64(mixed >> np.uint64(20)) & (table.keys.size - 1), table.keys.size - 1
    while table.keys[slot] != _FREE and table.keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _new_pairs(room):
    return _Pairs(np.empty(room, np.int64), np.empty(room, np.int32), np.full(room, -1, np.int32))


@njit(cache=True, nogil=True)
def _with_room_for_pairs(table, pairs, more):
    """Room for so many pairs, with at least half of the table free."""
    size = table.size[0]
    if 2 * (size + more) > table.keys.size:
        larger = _new_table(4 * (size + more))
        for slot in range(table.keys.size):
            if table.keys[slot] != _FREE:
                place = _find(larger, table.keys[slot])
                larger.keys[place], larger.numbers[place] = table.keys[slot], table.numbers[slot]
        larger.size[0] = size
        table = larger
    if size + more > pairs.key.size:
        room = _new_pairs(2 * (size + more))
        room.key[:size], room.merge[:size], room.slot[:size] = pairs.key[:size], pairs.merge[:size], pairs.slot[:size]
        pairs = room
    return table, pairs


@njit(cache=True, nogil=True)
def _number(table, pairs, listed, key):
    """The number of a pair, a new one if it was never seen; there must be room."""
    slot = _find(table, key)
    if table.keys[slot] == key:
        return np.int64(table.numbers[slot])
    number = table.size[0]
    table.keys[slot], table.numbers[slot] = key, number
    table.size[0] = number + 1
    known = _find(listed, key)
    pairs.key[number] = key
    pairs.merge[number] = listed.numbers[known] if listed.keys[known] == key else -1
    return number


@njit(cache=True, nogil=True)
def _with_room_for_rows(tally, more):
    size = tally.size[0]
    if size + more <= tally.touched.size:
        return tally
    room = 2 * (size + more)
    rows, touched = np.zeros((room, tally.rows.shape[1]), np.int64), np.empty(room, np.int32)
    rows[:size], touched[:size] = tally.rows[:size], tally.touched[:size]
    return _Tally(rows, touched, tally.size)


@njit(cache=True, nogil=True)
def _row(tally, pairs, number):
    """The row of a pair; there must be room."""
    row = np.int64(pairs.slot[number])
    if row < 0:
        row = tally.size[0]
        tally.touched[row] = number
        tally.size[0] = row + 1
        pairs.slot[number] = row
    return row


@njit(cache=True, nogil=True)
def _new_places(num_merges):
    return _Places(
        np.full(num_merges, -1, np.int64), np.full(num_merges, -1, np.int64), np.zeros(num_merges, np.int64),
        np.empty(1024, np.int64), np.empty(1024, np.int64), np.zeros(1, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _with_room_for_places(places, more):
    size = places.size[0]
    if size + more <= places.place.size:
        return places
    following, place = np.empty(2 * (size + more), np.int64), np.empty(2 * (size + more), np.int64)
    following[:size], place[:size] = places.following[:size], places.place[:size]
    return _Places(places.head, places.tail, places.number, following, place, places.size)


@njit(cache=True, nogil=True)
def _note(places, merge, place, now):
    """Remember a place for a merge that is still to come; there must be room."""
    if merge <= now:
        return
    node = places.size[0]
    places.place[node], places.following[node] = place, -1
    if places.head[merge] < 0:
        places.head[merge] = node
    else:
        places.following[places.tail[merge]] = node
    places.tail[merge] = node
    places.number[merge] += 1
    places.size[0] = node + 1


@njit(cache=True, nogil=True)
def _places_of(places, merge):
    """In rising order."""
    found = np.empty(places.number[merge], np.int64)
    node, rising = places.head[merge], True
    for k in range(found.size):
        found[k] = places.place[node]
        rising = rising and (k == 0 or found[k - 1] <= found[k])
        node = places.following[node]
    if not rising:
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
    for slot in range(tally.size[0]):
        number = tally.touched[slot]
        pairs.slot[number] = -1
        segment, entry = log.sizes[0], log.sizes[1]
        if segment == log.pair.size or entry + tally.rows.shape[1] > log.change.size:
            log = _with_room(log, tally.rows.shape[1])
        for k in range(tally.rows.shape[1]):
            change = tally.rows[slot, k]
            if change != 0:
                log.category[entry], log.change[entry] = k, change
                tally.rows[slot, k] = 0
                entry += 1
        if entry > log.sizes[1]:
            log.pair[segment], log.starts[segment + 1] = number, entry
            log.sizes[0], log.sizes[1] = segment + 1, entry
    tally.size[0] = 0
    return log


@njit(cache=True, nogil=True)
def _with_room(log, num_categories):
    segments, entries = log.sizes[0], log.sizes[1]
    pair, starts = log.pair, log.starts
    if segments == pair.size:
        pair, starts = np.empty(segments + segments // 2, np.int32), np.zeros(segments + segments // 2 + 1, np.int64)
        pair[:segments], starts[: segments + 1] = log.pair, log.starts
    category, change = log.category, log.change
    if entries + num_categories > change.size:
        size = entries + entries // 2 + num_categories
        category, change = np.empty(size, np.int16), np.empty(size, np.int64)
        category[:entries], change[:entries] = log.category[:entries], log.change[:entries]
    return _Log(pair, starts, category, change, log.sizes)
