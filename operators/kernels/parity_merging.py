"""The compiled half of `parity_bpe.py`: one text in groups, each group with pair counts, places and a heap of its own.

The layout is that of `bpe_merging.py`: a symbol's id stands at its first place, and a symbol of `w` places has
`_INSIDE - w` at its second and at its last place. A pair of a group is one row of a table: its count, and which places
of the pool it owns, in rising order. A merge looks the pair up in every group and touches its places only, those of
the development set as well; the heaps hold counts, and find out on top whether they are out of date.

Every merge makes a string that is no token yet (the proof is in `bpe.py`; it does not ask how pairs are chosen), so a
pair gains all its places in the step that makes one of its symbols, and is pushed once.

Of equal counts the pair with the larger strings goes first. Seven bytes of each token decide that at once; the rest of
a long token is read where it was first seen in the text.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed. What `bpe_merging.py` has too is here again.
# ruff: noqa: ANN001, ANN201, ANN202, D103
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[Any]

NUM_BYTES: Final = 256
GLOBAL: Final = -1
_SEPARATOR: Final = -1
_INSIDE: Final = -2
_FREE: Final = -1
_CHUNK: Final = 4096
_ID: Final = 24
_PREFIX: Final = 7
_WIDTH: Final = 9


class Words(NamedTuple):
    """The words, laid out: arrays by place have a separator before every word and one at the end."""

    symbol: Ints  # int32: id, _SEPARATOR or less
    byte: Ints  # uint8: the id of the byte that stood here first
    word: Ints  # int32 or int64: which word a place belongs to
    counts: Ints  # int64 by word, more than 0
    owners: Ints  # int32 by word: its language; for the development set the number of languages + its language


class Policy(NamedTuple):
    """Which language chooses."""

    tokens: Ints  # int64 (2 * languages): what is in so many tokens: training text, development set
    bytes: Ints  # int64 (2 * languages): the same in bytes
    ratios: Ints  # float64 (languages): desired rates of compression; all 0: the development set is measured
    window_size: int  # steps; 0: no window
    alpha: float
    global_merges: int


class Limits(NamedTuple):
    """What may be learned."""

    num_merges: int
    least: int  # count of a pair in the language that chooses
    max_length: int  # of a token, in bytes


class _Merges(NamedTuple):
    pairs: Ints  # int32 (merges, 2)
    counts: Ints  # int64
    chosen: Ints  # int32: language, or GLOBAL
    size: Ints  # int64[1]


class _Strings(NamedTuple):
    """What is known of every token's string, by id."""

    prefix: Ints  # int64: the first bytes' ids plus 1, _WIDTH bits each
    length: Ints  # int64
    place: Ints  # int64: where it stands in the text


class _Groups(NamedTuple):
    """How the words are grouped: the first `heaps` groups choose pairs, the last is the development set."""

    of_word: Ints  # int32
    size: int


class _Tally(NamedTuple):
    """Changes that one merge makes in a group: index 2 * id for a left neighbour, 2 * id + 1 for a right one."""

    lost: Ints  # int64: count taken from the old pair
    gained: Ints  # int64: count given to the new pair
    number: Ints  # int64: places of the new pair; then where the next place goes
    touched: Ints  # int64: the indices in use
    size: Ints  # int64[1]


class _Pairs(NamedTuple):
    """Rows of pairs of groups: open addressing by key (group << 48 | left id << 24 | right id)."""

    keys: Ints  # int64, _FREE where empty
    totals: Ints  # int64
    starts: Ints  # int64: its places in the pool
    numbers: Ints  # int64: and how many there are
    size: Ints  # int64[1]


class _Pool(NamedTuple):
    """Places owned by pairs."""

    places: Ints
    size: Ints  # int64[1]


@njit(cache=True, nogil=True)
def lay_out(data, offsets, counts, owners, ids, like):
    size = data.size + counts.size + 1
    words = Words(np.empty(size, np.int32), np.empty(size, np.uint8), np.empty(size, like.dtype), counts, owners)
    words.symbol[0], words.word[0], words.byte[0] = _SEPARATOR, 0, 0
    for w in range(counts.size):
        for i in range(offsets[w], offsets[w + 1]):
            words.symbol[i + w + 1] = words.byte[i + w + 1] = ids[data[i]]
            words.word[i + w + 1] = w
        end = offsets[w + 1] + w + 1
        words.symbol[end], words.word[end], words.byte[end] = _SEPARATOR, w, 0
    return words


@njit(cache=True, nogil=True)
def learn(words, policy, limits):
    """Learn merges and count `policy.tokens` down; pairs, counts, and who chose them."""
    room, num_languages = limits.num_merges, policy.ratios.size
    strings, tally = _byte_strings(room), _new_tally(NUM_BYTES + room)
    merges = _Merges(
        np.empty((room, 2), np.int32), np.zeros(room, np.int64), np.empty(room, np.int32), np.zeros(1, np.int64)
    )
    first = min(policy.global_merges, room)
    if first > 0:
        groups = _Groups((words.owners >= num_languages).astype(np.int32), 2)
        _phase(words, groups, True, policy, limits, first, merges, strings, tally)
    if first < room and merges.size[0] == first:
        groups = _Groups(np.minimum(words.owners, np.int32(num_languages)), num_languages + 1)
        _phase(words, groups, False, policy, limits, room, merges, strings, tally)
    made = merges.size[0]
    return merges.pairs[:made].copy(), merges.counts[:made].copy(), merges.chosen[:made].copy()


@njit(cache=True, nogil=True)
def _phase(words, groups, is_global, policy, limits, stop, merges, strings, tally):
    """Learn until there are `stop` merges or no group has a pair: the groups are the languages, or all as one."""
    num_languages = groups.size - 1
    pairs, pool = _first_pairs(words, groups, strings, limits)
    heaps, sizes = _first_heaps(pairs, num_languages, words, strings, limits)
    exhausted, recent = np.zeros(num_languages, np.bool_), np.zeros(num_languages, np.int64)
    steps, step = np.full(policy.window_size, np.int64(-1)), 0
    while merges.size[0] < stop and not exhausted.all():
        language = 0
        if not is_global:
            language = _choose(policy, exhausted, recent)
            if policy.window_size > 0:
                step = _remember(steps, recent, step, language)
        key = _best(heaps, sizes, language, pairs, words, strings, limits)
        if key == _FREE:
            exhausted[language] = True
            continue
        made = merges.size[0]
        merges.chosen[made] = GLOBAL if is_global else language
        merges.pairs[made, 0], merges.pairs[made, 1] = _left(key), _right(key)
        merges.size[0] += 1
        _join(strings, _left(key), _right(key), NUM_BYTES + made)
        for group in range(groups.size):
            here = _key(group, _left(key), _right(key))
            total = pairs.totals[_find(pairs, here)]
            merges.counts[made] += total if group < num_languages else 0
            if total > 0:
                pairs, pool = _merge_in_group(
                    words, tally, policy.tokens, strings, pairs, pool, heaps, sizes, here, NUM_BYTES + made, limits
                )


@njit(cache=True, nogil=True)
def _merge_in_group(words, tally, tokens, strings, pairs, pool, heaps, sizes, key, new, limits):
    """Merge a pair in its group; the tables, which may have grown."""
    slot = _find(pairs, key)
    start, number = pairs.starts[slot], pairs.numbers[slot]
    pairs.numbers[slot] = 0
    marks, log = _merge(
        words, tally, tokens, strings, pool.places[start : start + number].copy(), _left(key), _right(key), new
    )
    pairs = _with_room_for_pairs(pairs, tally.size[0])
    pool = _with_room_in_pool(pool, pairs, marks.size)
    _settle(tally, pairs, pool, heaps, sizes, key, new, words, strings, limits)
    _hand_out(tally, pool, marks, log)
    pairs.totals[_find(pairs, key)] = 0
    return pairs, pool


@njit(cache=True, nogil=True)
def _choose(policy, exhausted, recent):
    """The language that is worst off, of equal ones the first; within the window if there is one."""
    size = exhausted.size
    values = np.empty(size, np.float64)
    for language in range(size):
        tokens, num_bytes = policy.tokens[language], policy.bytes[language]
        if policy.ratios[language] == 0:
            values[language] = policy.tokens[size + language]
        elif tokens == 0:
            values[language] = -np.inf
        else:
            values[language] = -((num_bytes / tokens) / policy.ratios[language])
    masked, first = exhausted.copy(), -1
    while True:
        best = -1
        for language in range(size):
            if not masked[language] and (best < 0 or values[language] > values[best]):
                best = language
        if best < 0:
            return first
        if policy.window_size == 0 or recent[best] / policy.window_size <= policy.alpha / size:
            return best
        first = best if first < 0 else first
        masked[best] = True


@njit(cache=True, nogil=True)
def _remember(steps, recent, step, language):
    """Count the choice and forget the one that leaves the window; where the next one goes."""
    if steps[step] >= 0:
        recent[steps[step]] -= 1
    steps[step] = language
    recent[language] += 1
    return (step + 1) % steps.size


@njit(cache=True, nogil=True)
def _best(heaps, sizes, group, pairs, words, strings, limits):
    """The key of the pair that the group would merge; _FREE where it has none."""
    while sizes[group] > 0:
        count, key = _pop(heaps[group], sizes, group, words, strings)
        total = pairs.totals[_find(pairs, key)]
        if count == total:
            return key
        if total >= limits.least:
            _push(heaps[group], sizes, group, total, key, words, strings)
    return np.int64(_FREE)


@njit(cache=True, nogil=True)
def _first_pairs(words, groups, strings, limits):
    """Count the pairs of every group as the text is now, then give each its places."""
    size, pairs = words.symbol.size, _new_pairs(4 * _CHUNK)
    for begin in range(1, size - 1, _CHUNK):
        pairs = _with_room_for_pairs(pairs, _CHUNK)
        for i in range(begin, min(begin + _CHUNK, size - 1)):
            key = _key_at(words, groups, strings, limits, i)
            if key != _FREE:
                _add(pairs, key, words.counts[words.word[i]])
                pairs.numbers[_find(pairs, key)] += 1
    owned = np.int64(0)
    for slot in range(pairs.keys.size):
        pairs.starts[slot] = owned
        owned += pairs.numbers[slot]
        pairs.numbers[slot] = 0
    pool = _Pool(np.empty(owned + owned // 4 + 16, words.word.dtype), np.array([owned]))
    for i in range(1, size - 1):
        key = _key_at(words, groups, strings, limits, i)
        if key != _FREE:
            slot = _find(pairs, key)
            pool.places[pairs.starts[slot] + pairs.numbers[slot]] = i
            pairs.numbers[slot] += 1
    return pairs, pool


@njit(cache=True, nogil=True)
def _key_at(words, groups, strings, limits, i):
    """The pair at a place; _FREE where there is none, or one that is too long."""
    left = words.symbol[i]
    if left < 0:
        return np.int64(_FREE)
    right = words.symbol[_after(words.symbol, i)]
    if right < 0 or strings.length[left] + strings.length[right] > limits.max_length:
        return np.int64(_FREE)
    return _key(groups.of_word[words.word[i]], left, right)


@njit(cache=True, nogil=True)
def _first_heaps(pairs, num_heaps, words, strings, limits):
    numbers = np.zeros(num_heaps, np.int64)
    for slot in range(pairs.keys.size):
        if pairs.keys[slot] != _FREE and _group(pairs.keys[slot]) < num_heaps:
            numbers[_group(pairs.keys[slot])] += pairs.totals[slot] >= limits.least
    heaps = [np.empty((number + number // 4 + 16, 2), np.int64) for number in numbers]
    sizes = np.zeros(num_heaps, np.int64)
    for slot in range(pairs.keys.size):
        key = pairs.keys[slot]
        if key != _FREE and _group(key) < num_heaps and pairs.totals[slot] >= limits.least:
            _push(heaps[_group(key)], sizes, _group(key), pairs.totals[slot], key, words, strings)
    return heaps, sizes


@njit(cache=True, nogil=True)
def _new_tally(capacity):
    zeros = np.zeros((4, 2 * capacity), np.int64)
    return _Tally(zeros[0], zeros[1], zeros[2], zeros[3], np.zeros(1, np.int64))


@njit(cache=True, nogil=True)
def _merge(words, tally, tokens, strings, places, a, b, new):
    """Merge the pair at its places in one group, from left to right, and add up what that changes.

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
        end, word = _after(symbol, j), words.word[i]
        weight = words.counts[word]
        left, right = symbol[i - 1], symbol[end]
        symbol[i], symbol[j] = new, _INSIDE
        symbol[i + 1] = symbol[end - 1] = _INSIDE - (end - i)
        tokens[words.owners[word]] -= weight
        strings.place[new] = i
        if left != _SEPARATOR:
            before = i - 1 if left >= 0 else i - (_INSIDE - left)
            marks[size], log[size] = 2 * symbol[before], before
            size += 1
            _change(tally, marks[size - 1], weight)
        if right != _SEPARATOR:
            marks[size], log[size] = 2 * right + 1, i
            size += 1
            _change(tally, marks[size - 1], weight)
    return marks[:size], log[:size]


@njit(cache=True, nogil=True)
def _after(symbol, i):
    """Where the symbol after the one at place `i` begins."""
    return i + 1 if symbol[i + 1] >= _SEPARATOR else i + (_INSIDE - symbol[i + 1])


@njit(cache=True, nogil=True)
def _change(tally, mark, weight):
    if tally.number[mark] == 0:
        tally.touched[tally.size[0]] = mark
        tally.size[0] += 1
    tally.lost[mark] += weight
    tally.gained[mark] += weight
    tally.number[mark] += 1


@njit(cache=True, nogil=True)
def _settle(tally, pairs, pool, heaps, sizes, merged, new, words, strings, limits):
    """Apply the tally to the group's pair counts, then push the new pairs.

    An absent pair that loses is one that is too long: any other gains before it loses.
    """
    group, a, b = _group(merged), _left(merged), _right(merged)
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        neighbour = mark >> 1
        slot = _find(pairs, _key(group, neighbour, a) if mark & 1 == 0 else _key(group, b, neighbour))
        if pairs.keys[slot] != _FREE:
            pairs.totals[slot] -= tally.lost[mark]
        if strings.length[neighbour] + strings.length[new] <= limits.max_length:
            _add(pairs, _new_key(group, mark, new), tally.gained[mark])
    for t in range(tally.size[0]):
        mark = tally.touched[t]
        key, number = _new_key(group, mark, new), tally.number[mark]
        slot = _find(pairs, key)
        tally.number[mark] = -1
        if pairs.keys[slot] == _FREE or pairs.totals[slot] <= 0:
            continue
        tally.number[mark] = pairs.starts[slot] = pool.size[0]
        pairs.numbers[slot] = number
        pool.size[0] += number
        if group < sizes.size and pairs.totals[slot] >= limits.least:
            if sizes[group] == heaps[group].shape[0]:
                rows = np.empty((2 * sizes[group] + 16, 2), np.int64)
                rows[: sizes[group]] = heaps[group]
                heaps[group] = rows
            _push(heaps[group], sizes, group, pairs.totals[slot], key, words, strings)


@njit(cache=True, nogil=True)
def _new_key(group, mark, new):
    """The key of the pair that `new` makes with the neighbour of a mark."""
    return _key(group, mark >> 1, new) if mark & 1 == 0 else _key(group, new, mark >> 1)


@njit(cache=True, nogil=True)
def _hand_out(tally, pool, marks, log):
    """Give the new pairs their places and empty the tally."""
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
def _byte_strings(room):
    arrays = np.zeros((3, NUM_BYTES + room), np.int64)
    strings = _Strings(arrays[0], arrays[1], arrays[2])
    for token in range(NUM_BYTES):
        strings.prefix[token], strings.length[token] = (token + 1) << (_WIDTH * (_PREFIX - 1)), 1
    return strings


@njit(cache=True, nogil=True)
def _join(strings, a, b, new):
    strings.length[new] = strings.length[a] + strings.length[b]
    strings.prefix[new] = strings.prefix[a]
    if strings.length[a] < _PREFIX:
        strings.prefix[new] |= strings.prefix[b] >> (_WIDTH * strings.length[a])


@njit(cache=True, nogil=True)
def _is_larger(words, strings, token, other):
    """Whether a token's string comes after another's; a longer one comes after its own beginning."""
    if strings.prefix[token] != strings.prefix[other]:
        return strings.prefix[token] > strings.prefix[other]
    here, there = strings.place[token], strings.place[other]
    for k in range(_PREFIX, min(strings.length[token], strings.length[other])):
        if words.byte[here + k] != words.byte[there + k]:
            return words.byte[here + k] > words.byte[there + k]
    return strings.length[token] > strings.length[other]


@njit(cache=True, nogil=True)
def _key(group, left, right):
    return (np.int64(group) << np.int64(2 * _ID)) | (np.int64(left) << np.int64(_ID)) | np.int64(right)


@njit(cache=True, nogil=True)
def _group(key):
    return key >> np.int64(2 * _ID)


@njit(cache=True, nogil=True)
def _left(key):
    return np.int32((key >> np.int64(_ID)) & np.int64((1 << _ID) - 1))


@njit(cache=True, nogil=True)
def _right(key):
    return np.int32(key & np.int64((1 << _ID) - 1))


@njit(cache=True, nogil=True)
def _new_pairs(capacity):
    zeros = np.zeros((3, capacity), np.int64)
    return _Pairs(np.full(capacity, np.int64(_FREE)), zeros[0], zeros[1], zeros[2], np.zeros(1, np.int64))


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
    """The same pairs with space for `room` more; those that count nothing are left out, as absent means 0."""
    if 2 * (pairs.size[0] + room) <= pairs.keys.size:
        return pairs
    alive = 0
    for slot in range(pairs.keys.size):
        alive += pairs.totals[slot] != 0
    capacity = pairs.keys.size
    while capacity < 3 * (alive + room):
        capacity *= 2
    grown = _new_pairs(capacity)
    for slot in range(pairs.keys.size):
        if pairs.totals[slot] != 0:
            _add(grown, pairs.keys[slot], pairs.totals[slot])
            to = _find(grown, pairs.keys[slot])
            grown.starts[to], grown.numbers[to] = pairs.starts[slot], pairs.numbers[slot]
    return grown


@njit(cache=True, nogil=True)
def _with_room_in_pool(pool, pairs, room):
    """A pool with space for `room` more places; places that no pair owns any more are dropped."""
    if pool.size[0] + room <= pool.places.size:
        return pool
    owned = 0
    for slot in range(pairs.keys.size):
        owned += pairs.numbers[slot] if pairs.totals[slot] > 0 else 0
    moved = _Pool(np.empty(owned + owned // 4 + room + 1024, pool.places.dtype), np.zeros(1, np.int64))
    for slot in range(pairs.keys.size):
        if pairs.totals[slot] <= 0:
            pairs.numbers[slot] = 0
            continue
        start, number, target = pairs.starts[slot], pairs.numbers[slot], moved.size[0]
        moved.places[target : target + number] = pool.places[start : start + number]
        pairs.starts[slot] = target
        moved.size[0] += number
    return moved


@njit(cache=True, nogil=True)
def _push(rows, sizes, group, count, key, words, strings):
    child = sizes[group]
    sizes[group] += 1
    while child > 0:
        parent = (child - 1) >> 1
        if not _before(count, key, rows[parent, 0], rows[parent, 1], words, strings):
            break
        rows[child, 0], rows[child, 1] = rows[parent, 0], rows[parent, 1]
        child = parent
    rows[child, 0], rows[child, 1] = count, key


@njit(cache=True, nogil=True)
def _pop(rows, sizes, group, words, strings):
    top_count, top_key, parent, child = rows[0, 0], rows[0, 1], 0, 1
    sizes[group] -= 1
    last = sizes[group]
    count, key = rows[last, 0], rows[last, 1]
    while child < last:
        if child + 1 < last and _before(
            rows[child + 1, 0], rows[child + 1, 1], rows[child, 0], rows[child, 1], words, strings
        ):
            child += 1
        if not _before(rows[child, 0], rows[child, 1], count, key, words, strings):
            break
        rows[parent, 0], rows[parent, 1] = rows[child, 0], rows[child, 1]
        parent, child = child, 2 * child + 1
    rows[parent, 0], rows[parent, 1] = count, key
    return top_count, top_key


@njit(cache=True, nogil=True)
def _before(count, key, other_count, other_key, words, strings):
    """Larger count first, then the larger left string, then the larger right string."""
    if count != other_count or key == other_key:
        return count > other_count
    left, other_left = _left(key), _left(other_key)
    if left != other_left:
        return _is_larger(words, strings, left, other_left)
    return _is_larger(words, strings, _right(key), _right(other_key))
