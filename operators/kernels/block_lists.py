"""Words of a list found in texts, and addresses looked up in lists; `block_lists_reference.py` says what is found.

Words are found by one automaton (Aho and Corasick 1975) over classes of code points: the characters of the list, in
either case, are a class each, all others are class 0; a step is two look-ups, whose price is that of the caches.
Lists of addresses are sorted by 64-bit hash, and what has an entry's hash is compared with it byte by byte.

Price on one core: 0.2 GB/s of text with a list of 400 words, 0.02 with the 30,000 commonest; 0.2 million addresses a
second. All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, var-annotated"
# With text_bytes.py ba160204.

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from operators.character_flags import SPACE, WORD
from operators.code_point_tables import POINT_MASK
from operators.kernels.text_bytes import code_point
from operators.normal_text import normal_table
from operators.text_buffers import joined_bytes

MAX_CELLS: Final = 1 << 28
"""States times classes of an automaton: 1 GB."""

LONGEST_DOMAIN: Final = 255
"""Bytes: what is longer is no name of the domain name system, and is not looked up."""

_FIRST: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


# The lists of `look_up` by their places; the second one is followed by the addresses themselves.
_DOMAINS, _HOSTS, _HARD_WORDS = 0, 1, 3


class Automaton(NamedTuple):
    """What `find_words` runs.

    `classes` of code points; `steps` (states, classes); the word that `ends` in a state, and the `shorter` state in
    which a shorter word ends too, both -1 where there is none; the words' `sizes` in code points.
    """

    classes: NDArray[np.uint16]
    steps: NDArray[np.int32]
    ends: NDArray[np.int32]
    shorter: NDArray[np.int32]
    sizes: NDArray[np.int64]


class Listed(NamedTuple):
    """Entries of several lists in one buffer, sorted by hash.

    `table` (entries, 5) has each one's hash, start, stop, number in its list and list; `heads` where the hashes of each
    of 2**n equal ranges begin, about one to a range, and their end; `sizes` the number of entries of each list.
    """

    data: NDArray[np.uint8]
    table: NDArray[np.int64]
    heads: NDArray[np.int64]
    sizes: NDArray[np.int64]


def automaton(words: list[str]) -> Automaton:
    """Of different words in the order of `sorted`, in lower case by `normal_text`.

    Raises:
        ValueError: it would take more than 1 GB.
    """
    points = [np.array([ord(character) for character in word], np.int64) for word in words]
    flat = np.concatenate(points)
    alphabet, letters = np.unique(flat, return_inverse=True)
    offsets = np.cumsum([0, *map(len, words)])
    states = int(_num_states(letters + 1, offsets))
    if states * (alphabet.size + 1) > MAX_CELLS or alphabet.size >= 1 << 16:
        raise ValueError(f"{len(words)} words of {alphabet.size} different characters need {states} states")
    classes = np.zeros(0x110000, np.uint16)
    classes[alphabet] = np.arange(1, alphabet.size + 1)
    classes = classes[normal_table() & POINT_MASK]
    steps, ends, shorter = _built(letters + 1, offsets, states, alphabet.size + 1)
    return Automaton(classes, steps, ends, shorter, np.diff(offsets))


def listed(lists: list[pa.Array]) -> Listed:
    """Of lists of different entries (`large_string`)."""
    data, offsets = joined_bytes(pa.concat_arrays(lists))
    sizes = np.array([len(entries) for entries in lists], np.int64)
    owners = np.repeat(np.arange(len(lists)), sizes)
    hashes = _hashes(data, offsets, owners)
    order = np.argsort(hashes, kind="stable")
    bits = max(1, len(hashes).bit_length())
    ranges = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    heads = np.append(np.searchsorted(hashes[order], ranges), len(hashes)).astype(np.int64)
    numbers = np.arange(len(hashes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    columns = hashes.view(np.int64), offsets[:-1], offsets[1:], numbers, owners
    return Listed(data, np.ascontiguousarray(np.stack(columns, axis=1)[order]), heads, sizes)


@njit(cache=True, nogil=True)
def _point(data, at):
    """`code_point`, compiled once and not in each place."""
    return code_point(data, at)


@njit(cache=True, nogil=True)
def _num_states(letters, offsets):
    """States of the tree of sorted words: letters that no word before begins with, and the root."""
    states = 1
    for word in range(offsets.size - 1):
        low, size = offsets[word], offsets[word + 1] - offsets[word]
        shared = 0
        if word:
            before, length = offsets[word - 1], low - offsets[word - 1]
            while shared < min(size, length) and letters[low + shared] == letters[before + shared]:
                shared += 1
        states += size - shared
    return states


@njit(cache=True, nogil=True)
def _built(letters, offsets, states, width):
    steps = np.zeros((states, width), np.int32)
    ends, shorter = np.full(states, -1, np.int32), np.full(states, -1, np.int32)
    count = 1
    for word in range(offsets.size - 1):
        state = 0
        for place in range(offsets[word], offsets[word + 1]):
            if not steps[state, letters[place]]:
                steps[state, letters[place]] = count
                count += 1
            state = steps[state, letters[place]]
        ends[state] = word
    fails, queue = np.zeros(states, np.int32), np.zeros(states, np.int32)
    head, tail = 0, 1  # the root is first
    while head < tail:
        state, fail = queue[head], fails[queue[head]]
        head += 1
        for letter in range(1, width):
            child = steps[state, letter]
            if child:
                fails[child] = steps[fail, letter] if state else 0
                behind = fails[child]
                shorter[child] = behind if ends[behind] >= 0 else shorter[behind]
                queue[tail] = child
                tail += 1
            elif state:
                steps[state, letter] = steps[fail, letter]
    return steps, ends, shorter


@njit(cache=True, nogil=True)
def _is_flanked(data, low, high, at, size, flags):
    """Whether no character of a word is beside the word of `size` code points that ends at a place of [low, high)."""
    if at < high and flags[_point(data, at)[0]] & WORD:
        return False
    for _ in range(size):
        at -= 1
        while data[at] & 0xC0 == 0x80:
            at -= 1
    if at == low:
        return True
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return not flags[_point(data, at)[0]] & WORD


@njit(cache=True, nogil=True)
def find_words(data, offsets, machine, flags, needs_flanks):
    """int64 (texts, 4): hits, different words among them, the word that ends first (-1: none), all words of the text.

    Of words that end at one place the longest is first. All words are those between white space.
    """
    classes, steps, ends, shorter, sizes = machine
    found = np.zeros((offsets.size - 1, 4), np.int64)
    seen = np.full(sizes.size, -1, np.int64)
    for text in range(offsets.size - 1):
        low, high = offsets[text], offsets[text + 1]
        hits = different = words = 0
        first = -1
        in_word = False
        at, state = low, 0
        while at < high:
            point = np.int64(data[at])
            if point < 0x80:
                at += 1
            else:
                point, at = _point(data, at)
            is_word = not flags[point] & SPACE
            words += is_word and not in_word
            in_word = is_word
            state = steps[state, classes[point]]
            end = state if ends[state] >= 0 else shorter[state]
            while end >= 0:
                word = ends[end]
                if not needs_flanks or _is_flanked(data, low, high, at, sizes[word], flags):
                    first = word if first < 0 else first
                    hits += 1
                    different += seen[word] != text
                    seen[word] = text
                end = shorter[end]
        found[text, 0], found[text, 1], found[text, 2], found[text, 3] = hits, different, first, words
    return found


@njit(cache=True, nogil=True)
def _lower(byte):
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True)
def _hash(data, at, stop, owner, folds):
    value = _FIRST + np.uint64(owner)
    while at < stop:
        value = (value ^ np.uint64(_lower(data[at]) if folds else data[at])) * _PRIME
        at += 1
    value = (value ^ (value >> np.uint64(32))) * _MIX
    return value ^ (value >> np.uint64(29))


@njit(cache=True, nogil=True)
def _hashes(data, offsets, owners):
    found = np.empty(offsets.size - 1, np.uint64)
    for entry in range(found.size):
        found[entry] = _hash(data, offsets[entry], offsets[entry + 1], owners[entry], False)
    return found


@njit(cache=True, nogil=True)
def _place(kept, index, heads, shift, data, at, stop, owner, folds):
    """Where in the index an entry of a list is that equals data[at:stop], capitals folded first if asked; or -1."""
    wanted = _hash(data, at, stop, owner, folds)
    head = np.int64(wanted >> shift)
    for place in range(heads[head], heads[head + 1]):
        start = index[place, 1]
        if np.uint64(index[place, 0]) != wanted or index[place, 4] != owner or index[place, 2] - start != stop - at:
            continue
        size = 0
        while at + size < stop and (_lower(data[at + size]) if folds else data[at + size]) == kept[start + size]:
            size += 1
        if at + size == stop:
            return place
    return -1


@njit(cache=True, nogil=True)
def _is_alphanumeric(byte):
    return 48 <= byte <= 57 or 97 <= byte | 32 <= 122


@njit(cache=True, nogil=True)
def _rest(data, at, stop):
    """Where an address goes on after its scheme and `//`."""
    place = at
    while place < stop and (_is_alphanumeric(data[place]) or data[place] in (43, 45, 46)):  # + - .
        place += 1
    if place > at:
        if place == stop or data[place] != 58:
            return at
        place += 1
    if place + 1 < stop and data[place] == 47 and data[place + 1] == 47:
        return place + 2
    return at


@njit(cache=True, nogil=True)
def _host(data, at, stop):
    """Where the host of an address without its scheme begins and ends."""
    end = at
    while end < stop and data[end] not in (47, 63, 35):  # / ? #
        if data[end] == 64:  # what stands before an @ is a user
            at = end + 1
        end += 1
    place = at
    if place < end and data[place] == 91:  # [
        while place < end and data[place] != 93:
            place += 1
        return at, min(place + 1, end)
    while place < end and data[place] != 58:
        place += 1
    while place > at and data[place - 1] == 46:
        place -= 1
    return at, place


@njit(cache=True, nogil=True)
def _domain(kept, index, heads, shift, data, at, stop):
    """Where the first of a host and its parents is that is an entry of the list of domains; -1 if none is."""
    while at < stop:
        if stop - at <= LONGEST_DOMAIN:
            place = _place(kept, index, heads, shift, data, at, stop, _DOMAINS, True)
            if place >= 0:
                return place
        while at < stop and data[at] != 46:
            at += 1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _words(kept, index, heads, shift, data, at, high, owner, seen, text):
    """How many different entries of a list are words of an address, and where the first of them is, or -1."""
    count, first = 0, -1
    while at < high:
        begin = at
        while at < high and _is_alphanumeric(data[at]):
            at += 1
        place = _place(kept, index, heads, shift, data, begin, at, owner, False) if at > begin else -1
        if place >= 0 and seen[place] != text:
            seen[place] = text
            count += 1
            first = place if first < 0 else first
        at += at == begin
    return count, first


@njit(cache=True, nogil=True)
def look_up(data, offsets, kept, index, heads, sizes):
    """What addresses have in five lists (domains, hosts, urls, hard words, soft words), as `listed` prepares them.

    Counts and numbers of the first entries (-1: none), each int64 (addresses, 5).
    """
    bits = 0
    while 1 << bits < heads.size - 1:
        bits += 1
    shift = np.uint64(64 - bits)
    counts = np.zeros((offsets.size - 1, 5), np.int64)
    firsts = np.full((offsets.size - 1, 5), -1, np.int64)
    seen = np.full(index.shape[0], -1, np.int64)
    for text in range(offsets.size - 1):
        at, stop = offsets[text], offsets[text + 1]
        rest = _rest(data, at, stop)
        host, end = _host(data, rest, stop)
        for owner in range(5):
            place = -1
            if sizes[owner] == 0:
                continue
            if owner >= _HARD_WORDS:
                counts[text, owner], place = _words(kept, index, heads, shift, data, at, stop, owner, seen, text)
            elif owner == _DOMAINS:
                place = _domain(kept, index, heads, shift, data, host, end)
            elif owner == _HOSTS:
                place = _place(kept, index, heads, shift, data, host, end, owner, True)
            else:
                place = _place(kept, index, heads, shift, data, at, stop, owner, False)
                if place < 0 and rest > at:
                    place = _place(kept, index, heads, shift, data, rest, stop, owner, False)
            if place >= 0:
                firsts[text, owner] = index[place, 3]
                counts[text, owner] = max(counts[text, owner], 1)
    return counts, firsts


@njit(cache=True, nogil=True)
def squashed(data, offsets):
    """The addresses without all but ASCII letters and digits, in lower case."""
    out, ends = np.empty(data.size, np.uint8), np.zeros(offsets.size, np.int64)
    to = 0
    for text in range(offsets.size - 1):
        for at in range(offsets[text], offsets[text + 1]):
            if _is_alphanumeric(data[at]):
                out[to] = _lower(data[at])
                to += 1
        ends[text + 1] = to
    return out[:to], ends
