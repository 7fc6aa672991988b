"""The compiled half of `bpe.py`: merge the most frequent pair, again and again, in words laid out as one array.

A symbol's id stands at its first place. A symbol of `w` places, two or more, has `_INSIDE - w` at its second and at its
last place, so that both neighbours are found without links and one string may have symbols of different widths. Every
queue entry owns the places of its pair, in rising order. One merge touches its places only and adds up changes by
neighbour, so that tables are asked, and rules tested, once per neighbour and not once per place.

A pair gains places in the step that makes one of its symbols. Where that step gives a new id, the pair is new and is
queued once. Where it gives an id that stands in the text already, the text is read again for the pair's places: dear
(some nanoseconds per place), but it takes one string from unlike parts, which bytes cannot give (see `bpe.py`).

A queue entry of a listed pair, one that is in the list of merges already, comes before all others, by its rank.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN201, ANN202, D103
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[Any]

SEPARATOR: Final = -1
_INSIDE: Final = -2
_FREE: Final = -1
_LISTED: Final = 1 << 62
_CHUNK: Final = 4096
_BASE: Final = 0x9E3779B97F4A7C15


class Words(NamedTuple):
    """The words, laid out: `symbol` and `word` have a separator before every word and one at the end."""

    symbol: Ints  # int32: id, SEPARATOR or less
    word: Ints  # which word a place belongs to
    counts: Ints  # int64 by word


class Rules(NamedTuple):
    """What may be learned."""

    least: int  # count of a pair
    max_length: int  # of a token, in bytes
    max_words: int
    max_chars: int
    forbidden: Ints  # uint8: the forbidden substrings, joined
    offsets: Ints  # int64: where each of them begins, and the end
    never: Ints  # uint8: the strings that are no token, joined
    never_offsets: Ints  # int64: where each of them begins, and the end


class Strings(NamedTuple):
    """What is known of every token's string, by id, with room for those to come."""

    parts: Ints  # int32 (n, 2): left and right id, _FREE for a base token
    length: Ints  # int64
    power: Ints  # uint64: the hash's base to the power of the length
    digest: Ints  # uint64: polynomial hash
    num_words: Ints  # int64
    num_chars: Ints  # int64: bytes that begin a character in UTF-8
    spaced: Ints  # bool (n, 2): whether it begins, and ends, with a space
    held: Ints  # bool: whether it holds a forbidden substring
    head: Ints  # uint8 (n, k): its first bytes, k is 1 less than the longest forbidden substring
    tail: Ints  # uint8 (n, k): its last bytes, at the end of the row
    data: Ints  # uint8: base tokens
    offsets: Ints  # int64
    slots: Ints  # int32: ids by digest, open addressing
    size: Ints  # int64[1]


class _Tally(NamedTuple):
    """Changes that one merge makes, by neighbour: index 2 * id for a left neighbour, 2 * id + 1 for a right one."""

    lost: Ints  # int64: count taken from the old pair
    gained: Ints  # int64: count given to the new pair
    number: Ints  # int64: places of the new pair; then where the next place goes
    touched: Ints  # int64: the indices in use
    size: Ints  # int64[1]


class Table(NamedTuple):
    """Numbers of pairs: open addressing by key (left id << 32 | right id); an absent pair has 0."""

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


@njit(cache=True, nogil=True)
def byte_totals(data, offsets, counts):
    totals = np.zeros(256, np.int64)
    for w in range(counts.size):
        for i in range(offsets[w], offsets[w + 1]):
            totals[data[i]] += counts[w]
    return totals


@njit(cache=True, nogil=True)
def lay_out(data, offsets, counts, ids, like):
    """Words that count nothing hold separators only: whatever is tallied is then more than 0."""
    size = data.size + counts.size + 1
    words = Words(np.empty(size, np.int32), np.empty(size, like.dtype), counts)
    words.symbol[0], words.word[0] = SEPARATOR, 0
    for w in range(counts.size):
        for i in range(offsets[w], offsets[w + 1]):
            words.symbol[i + w + 1] = ids[data[i]] if counts[w] > 0 else SEPARATOR
            words.word[i + w + 1] = w
        end = offsets[w + 1] + w + 1
        words.symbol[end], words.word[end] = SEPARATOR, w
    return words


@njit(cache=True, nogil=True)
def learn(words, data, offsets, initial, room, rules):
    """Apply the initial merges, then learn until `room` tokens are made; all merges, and the count of each."""
    strings = _base_strings(data, offsets, room, rules)
    listed, merges, counted = _listed(initial), initial.copy(), np.zeros(initial.shape[0], np.int64)
    num_merges = initial.shape[0]
    pool, queue, pairs = _first_pairs(words, strings, listed, rules)
    tally, placed = _new_tally(strings.length.size), _placed(words, strings.length.size)
    while queue.size[0] > 0:
        count, key, start, number = _pop(queue)
        total = pairs.totals[_find(pairs, key)]
        rank = _LISTED - count if count > _LISTED >> 1 else np.int64(0)
        if number == 0:
            continue
        if rank == 0 and count != total:
            if total >= rules.least:
                _push(queue, total, key, start, number)
            continue
        if rank == 0:
            if room == 0:
                break
            num_merges += 1
            merges, counted = _with_room_for_merges(merges, counted, num_merges)
            merges[num_merges - 1, 0], merges[num_merges - 1, 1] = key >> 32, key & 0x7FFFFFFF
            listed = _with_room_for_pairs(listed, 1)
            _add(listed, key, num_merges)
            rank = np.int64(num_merges)
        counted[rank - 1] = counted[rank - 1] or total
        a, b = np.int32(key >> 32), np.int32(key & 0x7FFFFFFF)
        new = _product(strings, a, b, rules)
        is_new = new == strings.size[0]
        if is_new:
            strings.size[0] += 1
            room -= 1
        marks, log = _merge(words, tally, pool.places[start : start + number].copy(), a, b, new)
        if placed[new]:
            marks, log = _every_place(words, tally, new)
            _retire(queue, tally, new)
        placed[new] = True
        pairs = _with_room_for_pairs(pairs, 2 * tally.size[0])
        queue = _with_room_in_queue(queue, tally.size[0])
        pool = _with_room_in_pool(pool, queue, marks.size)
        _settle(tally, pairs, queue, pool, a, b, new, strings, listed, is_new, rules)
        _hand_out(tally, pool, marks, log)
        pairs.totals[_find(pairs, key)] = 0
    return merges[:num_merges].copy(), counted[:num_merges].copy()


@njit(cache=True, nogil=True)
def _listed(initial):
    listed = _new_table(_CHUNK)
    listed = _with_room_for_pairs(listed, initial.shape[0])
    for rank in range(initial.shape[0]):
        _add(listed, _key(initial[rank, 0], initial[rank, 1]), rank + 1)
    return listed


@njit(cache=True, nogil=True)
def _placed(words, capacity):
    placed = np.zeros(capacity, np.bool_)
    for symbol in words.symbol:
        if symbol >= 0:
            placed[symbol] = True
    return placed


@njit(cache=True, nogil=True)
def _with_room_for_merges(merges, counted, size):
    if size <= counted.size:
        return merges, counted
    more, more_counted = np.zeros((2 * size + 1024, 2), np.int32), np.zeros(2 * size + 1024, np.int64)
    more[: counted.size], more_counted[: counted.size] = merges, counted
    return more, more_counted


@njit(cache=True, nogil=True)
def _first_pairs(words, strings, listed, rules):
    """Number the pairs as they come, then give every pair its places by a counting sort."""
    symbol = words.symbol
    pairs, totals, cursor = _number_pairs(words)
    starts, rank, size, places = np.empty(totals.size, np.int64), np.zeros(totals.size, np.int64), 0, 0
    for slot in range(pairs.keys.size):
        if pairs.keys[slot] != _FREE:
            pair, key = pairs.totals[slot] - 1, pairs.keys[slot]
            rank[pair], starts[pair] = _number_of(listed, key), -1
            legal = rank[pair] > 0 or _may_join(strings, key >> 32, key & 0x7FFFFFFF, rules)
            if legal and (rank[pair] > 0 or totals[pair] >= rules.least):
                starts[pair] = places
                places += cursor[pair]
                size += 1
            cursor[pair] = starts[pair]
    pool = _Pool(np.empty(places + places // 4 + 16, words.word.dtype), np.array([places]))
    for i in range(1, symbol.size - 1):
        if symbol[i] >= 0 and symbol[i + 1] >= 0:
            pair = pairs.totals[_find(pairs, _key(symbol[i], symbol[i + 1]))] - 1
            if starts[pair] >= 0:
                pool.places[cursor[pair]] = i
                cursor[pair] += 1
    queue = _Queue(np.empty((size + size // 4 + 16, 4), np.int64), np.zeros(1, np.int64))
    for slot in range(pairs.keys.size):
        if pairs.keys[slot] != _FREE:
            pair = pairs.totals[slot] - 1
            pairs.totals[slot] = totals[pair]
            if starts[pair] >= 0:
                count = _LISTED - rank[pair] if rank[pair] else totals[pair]
                _push(queue, count, pairs.keys[slot], starts[pair], np.int64(cursor[pair] - starts[pair]))
    return pool, queue, pairs


@njit(cache=True, nogil=True)
def _number_pairs(words):
    """A table with 1 + the number of each pair, and by that number the total and how many places there are."""
    symbol, pairs = words.symbol, _new_table(4 * _CHUNK)
    totals, number = np.zeros(_CHUNK, np.int64), np.zeros(_CHUNK, np.int64)
    for begin in range(1, symbol.size - 1, _CHUNK):
        pairs = _with_room_for_pairs(pairs, _CHUNK)
        if totals.size < pairs.size[0] + _CHUNK:
            more = np.zeros(totals.size // 2 + _CHUNK, np.int64)
            totals, number = np.concatenate((totals, more)), np.concatenate((number, more))
        for i in range(begin, min(begin + _CHUNK, symbol.size - 1)):
            if symbol[i] >= 0 and symbol[i + 1] >= 0:
                slot = _find(pairs, _key(symbol[i], symbol[i + 1]))
                if pairs.keys[slot] == _FREE:
                    pairs.size[0] += 1
                    pairs.keys[slot], pairs.totals[slot] = _key(symbol[i], symbol[i + 1]), pairs.size[0]
                totals[pairs.totals[slot] - 1] += words.counts[words.word[i]]
                number[pairs.totals[slot] - 1] += 1
    return pairs, totals[: pairs.size[0]], number[: pairs.size[0]]


@njit(cache=True, nogil=True)
def _new_tally(capacity):
    zeros = np.zeros((4, 2 * capacity), np.int64)
    return _Tally(zeros[0], zeros[1], zeros[2], zeros[3], np.zeros(1, np.int64))


@njit(cache=True, nogil=True)
def _merge(words, tally, places, a, b, new):
    """Merge the pair at its places from left to right, and add up what that changes.

    Returns the places of new pairs and, for each, its index in the tally. A place that no longer holds the pair is
    passed over: a place inside a symbol has no id.
    """
    symbol = words.symbol
    marks, log, size = np.empty(2 * places.size, np.int64), np.empty(2 * places.size, places.dtype), 0
    for i in places:
        if symbol[i] != a:
            continue
        j = _after(symbol, i)
        if symbol[j] != b:
            continue
        end, weight = _after(symbol, j), words.counts[words.word[i]]
        left, right = symbol[i - 1], symbol[end]
        symbol[i], symbol[j] = new, _INSIDE
        symbol[i + 1] = symbol[end - 1] = _INSIDE - (end - i)
        if left != SEPARATOR:
            before = i - 1 if left >= 0 else i - (_INSIDE - left)
            left = symbol[before]
            _lose(tally, 2 * left, weight)
            _gain(tally, 2 * left, weight)
            marks[size], log[size] = 2 * left, before
            size += 1
        if right != SEPARATOR:
            _lose(tally, 2 * right + 1, weight)
            mark = 2 * right + 1
            if right == new:
                mark = 2 * right
                _touch(tally, mark)
            _gain(tally, mark, weight)
            marks[size], log[size] = mark, i
            size += 1
    return marks[:size], log[:size]


@njit(cache=True, nogil=True)
def _after(symbol, i):
    """Where the symbol after the one at place `i` begins."""
    return i + 1 if symbol[i + 1] >= SEPARATOR else i + (_INSIDE - symbol[i + 1])


@njit(cache=True, nogil=True)
def _touch(tally, mark):
    if tally.lost[mark] == 0 and tally.gained[mark] == 0:
        tally.touched[tally.size[0]] = mark
        tally.size[0] += 1


@njit(cache=True, nogil=True)
def _lose(tally, mark, weight):
    _touch(tally, mark)
    tally.lost[mark] += weight


@njit(cache=True, nogil=True)
def _gain(tally, mark, weight):
    tally.gained[mark] += weight
    tally.number[mark] += 1


@njit(cache=True, nogil=True)
def _every_place(words, tally, new):
    """All places, old and new, of the pairs that gained some; their numbers go to the tally."""
    for t in range(tally.size[0]):
        tally.number[tally.touched[t]] = min(1, tally.number[tally.touched[t]])
    marks, log = np.empty(0, np.int64), np.empty(0, words.word.dtype)
    for is_second in range(2):
        size = 0
        for i in range(1, words.symbol.size - 1):
            mark = _mark(words.symbol, i, new)
            if mark >= 0 and tally.number[mark] > 0:
                if is_second:
                    marks[size], log[size] = mark, i
                else:
                    tally.number[mark] += 1
                size += 1
        marks, log = (marks, log) if is_second else (np.empty(size, np.int64), np.empty(size, words.word.dtype))
    for t in range(tally.size[0]):
        tally.number[tally.touched[t]] = max(0, tally.number[tally.touched[t]] - 1)
    return marks, log


@njit(cache=True, nogil=True)
def _mark(symbol, i, new):
    """The index in the tally of the pair at place `i`; -1 where there is none with the symbol `new`."""
    if symbol[i] < 0:
        return np.int64(-1)
    right = symbol[_after(symbol, i)]
    if right == new:
        return np.int64(2) * symbol[i]
    return np.int64(2) * right + 1 if symbol[i] == new and right >= 0 else np.int64(-1)


@njit(cache=True, nogil=True)
def _retire(queue, tally, new):
    """Take the places from entries of pairs that are queued anew."""
    for entry in range(queue.size[0]):
        left, right = queue.rows[entry, 1] >> 32, queue.rows[entry, 1] & 0x7FFFFFFF
        if (right == new and tally.number[2 * left] > 0) or (left == new and tally.number[2 * right + 1] > 0):
            queue.rows[entry, 3] = 0


@njit(cache=True, nogil=True)
def _settle(tally, pairs, queue, pool, a, b, new, strings, listed, is_new, rules):
    """Apply the tally to the pair counts, then queue the pairs that gained places; a pair with a new id is not listed.

    An absent pair that loses is one that may not be merged: a pair that may gains before it loses.
    """
    # A call with many arrays costs more than the test of the length.
    length, has_veto = strings.length, rules.max_words > 0 or rules.max_chars > 0 or rules.offsets.size > 1
    has_veto = has_veto or rules.never_offsets.size > 1
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        neighbour = np.int64(mark >> 1)
        slot = _find(pairs, _key(neighbour, a) if mark & 1 == 0 else _key(b, neighbour))
        if pairs.keys[slot] != _FREE:
            pairs.totals[slot] -= tally.lost[mark]
        if tally.number[mark] > 0 or tally.gained[mark] > 0:
            left, right = (neighbour, np.int64(new)) if mark & 1 == 0 else (np.int64(new), neighbour)
            key = _key(left, right)
            legal = length[left] + length[right] <= rules.max_length
            if has_veto:
                legal = _may_join(strings, left, right, rules)
            if legal or (not is_new and _number_of(listed, key) > 0):
                _add(pairs, key, tally.gained[mark])
            else:
                tally.number[mark] = 0
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        number = tally.number[mark]
        if number > 0:
            key = _key(mark >> 1, new) if mark & 1 == 0 else _key(new, mark >> 1)
            count = _number_of(pairs, key)
            rank = np.int64(0) if is_new else _number_of(listed, key)
            tally.number[mark] = -1
            if rank > 0 or count >= rules.least:
                _push(queue, _LISTED - rank if rank > 0 else count, key, pool.size[0], number)
                tally.number[mark] = pool.size[0]
                pool.size[0] += number
        else:
            tally.number[mark] = -1


@njit(cache=True, nogil=True)
def _hand_out(tally, pool, marks, log):
    """Give the queued pairs their places and empty the tally."""
    for t in range(marks.size):
        mark = marks[t]
        if tally.number[mark] >= 0:
            pool.places[tally.number[mark]] = log[t]
            tally.number[mark] += 1
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        tally.lost[mark] = tally.gained[mark] = tally.number[mark] = 0
    tally.size[0] = 0


@njit(cache=True, nogil=True)
def _base_strings(data, offsets, room, rules):
    num_base = offsets.size - 1
    n, longest, capacity = num_base + room, 1, 1024
    for f in range(rules.offsets.size - 1):
        longest = max(longest, rules.offsets[f + 1] - rules.offsets[f])
    while capacity < 2 * n:
        capacity *= 2
    integers, unsigned = np.zeros((3, n), np.int64), np.ones((2, n), np.uint64)
    edges = np.zeros((2, n, longest - 1), np.uint8)
    strings = Strings(
        np.full((n, 2), np.int32(_FREE)),
        integers[0],
        unsigned[0],
        unsigned[1],
        integers[1],
        integers[2],
        np.zeros((n, 2), np.bool_),
        np.zeros(n, np.bool_),
        edges[0],
        edges[1],
        data,
        offsets,
        np.full(capacity, np.int32(_FREE)),
        np.array([num_base]),
    )
    for token in range(num_base):
        _describe(strings, token, data[offsets[token] : offsets[token + 1]], rules)
    return strings


@njit(cache=True, nogil=True)
def _describe(strings, token, string, rules):
    """Fill in a base token."""
    size, edge = string.size, strings.head.shape[1]
    strings.length[token], strings.digest[token] = size, np.uint64(0)
    for i in range(size):
        strings.power[token] *= np.uint64(_BASE)
        strings.digest[token] = strings.digest[token] * np.uint64(_BASE) + np.uint64(string[i]) + np.uint64(1)
        strings.num_words[token] += string[i] != 32 and (i == 0 or string[i - 1] == 32)
        strings.num_chars[token] += string[i] & 0xC0 != 0x80
    strings.spaced[token, 0], strings.spaced[token, 1] = string[0] == 32, string[size - 1] == 32
    strings.held[token] = _holds(string, rules)
    width = min(edge, size)
    strings.head[token, :width] = string[:width]
    strings.tail[token, edge - width :] = string[size - width :]
    strings.slots[_slot_of(strings, strings.digest[token])] = token


@njit(cache=True, nogil=True)
def _slot_of(strings, digest):
    """The free slot where a string of this digest belongs."""
    mask = np.int64(strings.slots.size - 1)
    slot = np.int64((digest ^ (digest >> np.uint64(31))) & np.uint64(mask))
    while strings.slots[slot] != _FREE:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _product(strings, a, b, rules):
    """The id of the joined string; where it is no token yet, the next id, with all that is known of it."""
    digest = strings.digest[a] * strings.power[b] + strings.digest[b]
    mask = np.int64(strings.slots.size - 1)
    slot = np.int64((digest ^ (digest >> np.uint64(31))) & np.uint64(mask))
    while strings.slots[slot] != _FREE:
        other = strings.slots[slot]
        if strings.digest[other] == digest and _is_join(strings, other, a, b):
            return other
        slot = (slot + 1) & mask
    new = np.int32(strings.size[0])
    if new == strings.length.size:
        return new
    strings.slots[slot] = new
    strings.parts[new, 0], strings.parts[new, 1] = a, b
    strings.length[new] = strings.length[a] + strings.length[b]
    strings.power[new], strings.digest[new] = strings.power[a] * strings.power[b], digest
    strings.num_words[new] = _words_joined(strings, a, b)
    strings.num_chars[new] = strings.num_chars[a] + strings.num_chars[b]
    strings.spaced[new, 0], strings.spaced[new, 1] = strings.spaced[a, 0], strings.spaced[b, 1]
    strings.held[new] = _holds_joined(strings, a, b, rules)
    _join_edges(strings, a, b, new)
    return new


@njit(cache=True, nogil=True)
def _is_join(strings, token, a, b):
    size = strings.length[a]
    if strings.length[token] != size + strings.length[b]:
        return False
    whole, joined = np.empty(strings.length[token], np.uint8), np.empty(strings.length[token], np.uint8)
    _write(strings, token, whole)
    _write(strings, a, joined[:size])
    _write(strings, b, joined[size:])
    return np.array_equal(whole, joined)


@njit(cache=True, nogil=True)
def _write(strings, token, out):
    """Write a token's string, from its last base token to its first."""
    stack, end = [np.int32(token)], out.size
    while len(stack) > 0:
        top = stack.pop()
        if strings.parts[top, 0] >= 0:
            stack.append(strings.parts[top, 0])
            stack.append(strings.parts[top, 1])
        else:
            size = strings.length[top]
            out[end - size : end] = strings.data[strings.offsets[top] : strings.offsets[top + 1]]
            end -= size


@njit(cache=True, nogil=True)
def _may_join(strings, a, b, rules):
    if strings.length[a] + strings.length[b] > rules.max_length:
        return False
    if rules.max_words > 0 and _words_joined(strings, a, b) > rules.max_words:
        return False
    if rules.max_chars > 0 and strings.num_chars[a] + strings.num_chars[b] > rules.max_chars:
        return False
    return not (_is_never(strings, a, b, rules) or _holds_joined(strings, a, b, rules))


@njit(cache=True, nogil=True)
def _is_never(strings, a, b, rules):
    """Whether the joined string is one of those that are no token."""
    left, size = strings.length[a], strings.length[a] + strings.length[b]
    for n in range(rules.never_offsets.size - 1):
        begin, end = rules.never_offsets[n], rules.never_offsets[n + 1]
        if end - begin == size:
            joined = np.empty(size, np.uint8)
            _write(strings, a, joined[:left])
            _write(strings, b, joined[left:])
            if np.array_equal(joined, rules.never[begin:end]):
                return True
    return False


@njit(cache=True, nogil=True)
def _words_joined(strings, a, b):
    """Words of the joined string: the last of one and the first of the other are one where no space parts them."""
    is_one = not strings.spaced[a, 1] and not strings.spaced[b, 0]
    return strings.num_words[a] + strings.num_words[b] - is_one


@njit(cache=True, nogil=True)
def _holds_joined(strings, a, b, rules):
    if strings.held[a] or strings.held[b]:
        return True
    edge = strings.head.shape[1]
    if edge == 0:
        return False
    left, right = min(edge, strings.length[a]), min(edge, strings.length[b])
    crossing = np.empty(left + right, np.uint8)
    crossing[:left] = strings.tail[a, edge - left :]
    crossing[left:] = strings.head[b, :right]
    return _holds(crossing, rules)


@njit(cache=True, nogil=True)
def _holds(string, rules):
    for f in range(rules.offsets.size - 1):
        begin, size = rules.offsets[f], rules.offsets[f + 1] - rules.offsets[f]
        for i in range(string.size - size + 1):
            k = 0
            while k < size and string[i + k] == rules.forbidden[begin + k]:
                k += 1
            if k == size:
                return True
    return False


@njit(cache=True, nogil=True)
def _join_edges(strings, a, b, new):
    edge = strings.head.shape[1]
    for k in range(min(edge, strings.length[new])):
        from_left, from_right = k < strings.length[a], k < strings.length[b]
        strings.head[new, k] = strings.head[a, k] if from_left else strings.head[b, k - strings.length[a]]
        other = edge - 1 - k
        strings.tail[new, other] = strings.tail[b, other] if from_right else strings.tail[a, other + strings.length[b]]


@njit(cache=True, nogil=True)
def _key(left, right):
    return np.int64(left) << np.int64(32) | np.int64(right)


@njit(cache=True, nogil=True)
def _new_table(capacity):
    return Table(np.full(capacity, np.int64(_FREE)), np.zeros(capacity, np.int64), np.zeros(1, np.int64))


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
def _number_of(pairs, key):
    slot = _find(pairs, key)
    return pairs.totals[slot] if pairs.keys[slot] == key else np.int64(0)


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
    grown = _new_table(capacity)
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
def _push(queue, count, key, start, number):
    rows, child = queue.rows, queue.size[0]
    queue.size[0] += 1
    while child > 0:
        parent = (child - 1) >> 1
        if not _before(count, key, rows[parent, 0], rows[parent, 1]):
            break
        _move(rows, child, parent)
        child = parent
    rows[child, 0], rows[child, 1], rows[child, 2], rows[child, 3] = count, key, start, number


@njit(cache=True, nogil=True)
def _pop(queue):
    rows, parent, child = queue.rows, 0, 1
    top = (rows[0, 0], rows[0, 1], rows[0, 2], rows[0, 3])
    queue.size[0] -= 1
    last = queue.size[0]
    while child < last:
        if child + 1 < last and _before(rows[child + 1, 0], rows[child + 1, 1], rows[child, 0], rows[child, 1]):
            child += 1
        if not _before(rows[child, 0], rows[child, 1], rows[last, 0], rows[last, 1]):
            break
        _move(rows, parent, child)
        parent, child = child, 2 * child + 1
    _move(rows, parent, last)
    return top


@njit(cache=True, nogil=True)
def _before(count, key, other_count, other_key):
    """Larger count first, then smaller left id, then smaller right id."""
    return count > other_count or (count == other_count and key < other_key)


@njit(cache=True, nogil=True)
def _move(rows, to, entry):
    """Field by field: slices of an array are counted references, which cost more than the copy."""
    for field in range(4):
        rows[to, field] = rows[entry, field]
