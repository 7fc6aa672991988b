"""Election among near-duplicates by their sets of shingles; `operators.verification` holds the slow reference.

A set is `hashes[low:high]`, ascending and distinct. Nothing here is a Python object or grows with pairs: for a
component of which many members stay, the cost is one table over the shingles that several of them have.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

U64 = np.uint64
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
_GOLDEN = U64(0x9E3779B97F4A7C15)
_FNV, _FNV_START = U64(0x100000001B3), U64(0xCBF29CE484222325)


@nb.njit(cache=True, nogil=True)
def fnv1a(data: npt.NDArray[np.uint8], offsets: Places) -> Hashes:
    """FNV-1a (64 bits) of each string: a key to spread rows by, never one to compare them by."""
    keys = np.empty(offsets.size - 1, np.uint64)
    for index in range(keys.size):
        key = _FNV_START
        for at in range(offsets[index], offsets[index + 1]):
            key = (key ^ U64(data[at])) * _FNV
        keys[index] = key
    return keys


@nb.njit(cache=True, nogil=True)
def least(size: int, other: int, threshold: float, of_union: bool) -> int:
    """The fewest shared shingles at which a set of `size` is similar enough to one of `other`.

    In exact agreement with the division that says how similar they are.
    """
    if of_union:
        both = size + other
        shared = int(threshold * both / (1 + threshold))
        while shared > 0 and (shared - 1) / (both - shared + 1) >= threshold:
            shared -= 1
        while shared / (both - shared) < threshold:
            shared += 1
        return shared
    shared = int(threshold * size)
    while shared > 0 and (shared - 1) / size >= threshold:
        shared -= 1
    while shared / size < threshold:
        shared += 1
    return shared


@nb.njit(cache=True, nogil=True)
def overlap(hashes: Hashes, one: int, one_end: int, two: int, two_end: int, enough: int) -> int:
    """How many shingles two sets share; -1 as soon as they cannot share `enough`."""
    shared = 0
    while one < one_end and two < two_end:
        if hashes[one] == hashes[two]:
            shared += 1
            one += 1
            two += 1
            continue
        if hashes[one] < hashes[two]:
            one += 1
        else:
            two += 1
        if shared + min(one_end - one, two_end - two) < enough:
            return -1
    return shared if shared >= enough else -1


@nb.njit(cache=True, nogil=True)
def _equal(hashes: Hashes, one: int, one_end: int, two: int, two_end: int) -> bool:
    if one_end - one != two_end - two:
        return False
    for place in range(one_end - one):  # noqa: SIM110 (numba compiles no generators)
        if hashes[one + place] != hashes[two + place]:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def _twice(numbers: Places) -> Places:
    """The same in twice the room, zeros behind."""
    larger = np.zeros(2 * numbers.size, np.int64)
    larger[: numbers.size] = numbers
    return larger


@nb.njit(cache=True, nogil=True)
def _twins(hashes: Hashes, low: Places, high: Places, first: int, last: int) -> Places:
    """For each member of a component the first one with the very same set (itself, where it is the first)."""
    count = last - first
    twin = np.empty(count, np.int64)
    slots = 4
    while slots < 2 * count:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    marks = np.zeros(count, np.uint64)
    for member in range(count):
        begin, end = low[first + member], high[first + member]
        mark = U64(end - begin)
        for at in range(begin, end):
            mark = (mark ^ hashes[at]) * _GOLDEN
        marks[member], twin[member] = mark, first + member
        slot = int(mark >> U64(33)) & (slots - 1)
        while table[slot] >= 0:
            known = table[slot]
            if marks[known] == mark and _equal(hashes, low[first + known], high[first + known], begin, end):
                twin[member] = first + known
                break
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = member
    return twin


@nb.njit(cache=True, nogil=True)
def _settle(
    hashes: Hashes,
    low: Places,
    high: Places,
    member: int,
    survivors: Places,
    threshold: float,
    of_union: bool,
) -> tuple[int, int]:
    """Of some survivors the first that the member is similar enough to, and how many shingles they share; else -1."""
    size = high[member] - low[member]
    best, common = -1, 0
    for survivor in survivors:
        if 0 <= best < survivor:
            continue
        other = high[survivor] - low[survivor]
        enough = least(size, other, threshold, of_union)
        if enough > min(size, other):
            continue
        shared = overlap(hashes, low[member], high[member], low[survivor], high[survivor], enough)
        if shared >= 0:
            best, common = survivor, shared
    return best, common


@nb.njit(cache=True, nogil=True)
def _seen(hashes: Hashes, low: Places, high: Places, members: Places, size: int) -> npt.NDArray[np.uint8]:
    """A filter over `size` shingles: small counters; one below 2 saw a shingle that nobody else has."""
    cells = 1024
    while cells < 4 * size and cells < 1 << 28:
        cells *= 2
    seen = np.zeros(cells, np.uint8)
    for member in members:
        for at in range(low[member], high[member]):
            cell = int((hashes[at] * _GOLDEN) >> U64(36)) & (cells - 1)
            seen[cell] = min(2, seen[cell] + 1)
    return seen


@nb.njit(cache=True, nogil=True)
def _slot(keys: Hashes, numbers: Numbers, key: np.uint64) -> int:
    """Where a table holds a key, or would."""
    slot = int((key * _GOLDEN) >> U64(20)) & (keys.size - 1)
    while numbers[slot] >= 0 and keys[slot] != key:
        slot = (slot + 1) & (keys.size - 1)
    return slot


@nb.njit(cache=True, nogil=True)
def _grow(keys: Hashes, numbers: Numbers) -> tuple[Hashes, Numbers]:
    larger, renumbered = np.zeros(2 * keys.size, np.uint64), np.full(2 * keys.size, -1, np.int32)
    for old in range(keys.size):
        if numbers[old] >= 0:
            slot = _slot(larger, renumbered, keys[old])
            larger[slot], renumbered[slot] = keys[old], numbers[old]
    return larger, renumbered


@nb.njit(cache=True, nogil=True)
def _numbered(hashes: Hashes, low: Places, high: Places, members: Places) -> tuple[Numbers, Places, Places]:
    """Small numbers for the shingles that several members have.

    Returns the number of every shingle of every member in turn (-1: nobody else has it), where each member's begin, and
    how many members have each number. A filter keeps most shingles of a single member out of the table.
    """
    begins = np.zeros(members.size + 1, np.int64)
    for index in range(members.size):
        begins[index + 1] = begins[index] + high[members[index]] - low[members[index]]
    seen = _seen(hashes, low, high, members, begins[-1])
    of = np.full(begins[-1], -1, np.int32)
    keys, numbers = np.zeros(1024, np.uint64), np.full(1024, -1, np.int32)
    holders = np.zeros(512, np.int64)
    count = 0
    for index in range(members.size):
        shift = begins[index] - low[members[index]]
        for at in range(low[members[index]], high[members[index]]):
            key = hashes[at]
            if seen[int((key * _GOLDEN) >> U64(36)) & (seen.size - 1)] < 2:
                continue
            slot = _slot(keys, numbers, key)
            if numbers[slot] < 0:
                keys[slot], numbers[slot] = key, count
                count += 1
            of[at + shift] = numbers[slot]
            holders[numbers[slot]] += 1
            if 2 * count >= keys.size:
                keys, numbers = _grow(keys, numbers)
                holders = _twice(holders)
    for place in range(of.size):
        if of[place] >= 0 and holders[of[place]] == 1:
            of[place] = -1
    return of, begins, holders[:count]


@nb.njit(cache=True, nogil=True)
def _rarest(of: Numbers, begin: int, end: int, holders: Places, asked: int) -> Numbers:
    """About the `asked` rarest of a member's shingles (rarity in powers of two) that others have too."""
    counts = np.zeros(66, np.int64)
    for at in range(begin, end):
        if of[at] >= 0:
            power = 1
            while (holders[of[at]] >> power) > 0:
                power += 1
            counts[power + 1] += 1
    for power in range(1, 66):
        counts[power] += counts[power - 1]
    ranked = np.empty(counts[65], np.int32)
    for at in range(begin, end):
        if of[at] >= 0:
            power = 1
            while (holders[of[at]] >> power) > 0:
                power += 1
            ranked[counts[power]] = of[at]
            counts[power] += 1
    return ranked[:asked]


@nb.njit(cache=True, nogil=True)
def _candidates(
    ranked: Numbers,
    alone: int,
    starts: Places,
    fill: Numbers,
    postings: Numbers,
    begins: Places,
    stamps: Numbers,
    index: int,
    threshold: float,
    of_union: bool,
) -> Places:
    """Survivors that may be similar enough to a member of which `alone` shingles nobody else has.

    A survivor that shares e of its n shingles has one of any n - e + 1 of them: those `alone` and `ranked`. If the one
    at place p of these is the first that a survivor has, they share at most n - p.
    """
    size = begins[index + 1] - begins[index]
    found, count = np.empty(16, np.int64), 0
    for rank in range(ranked.size):
        number = ranked[rank]
        for at in range(starts[number], starts[number] + fill[number]):
            survivor = postings[at]
            if stamps[survivor] == index:
                continue
            stamps[survivor] = index
            other = begins[survivor + 1] - begins[survivor]
            if min(size - alone - rank, other) < least(size, other, threshold, of_union):
                continue
            if count == found.size:
                found = _twice(found)
            found[count] = survivor
            count += 1
    return found[:count]


@nb.njit(cache=True, nogil=True)
def _elect_indexed(
    hashes: Hashes,
    low: Places,
    high: Places,
    members: Places,
    threshold: float,
    of_union: bool,
    survivor: Places,
    shared: Places,
) -> None:
    """The election among many members: each asks an index of the survivors so far."""
    of, begins, holders = _numbered(hashes, low, high, members)
    starts = np.zeros(holders.size + 1, np.int64)
    for number in range(holders.size):
        starts[number + 1] = starts[number] + holders[number]
    fill, postings = np.zeros(holders.size, np.int32), np.empty(starts[-1], np.int32)
    stamps = np.full(members.size, -1, np.int32)
    for index in range(members.size):
        member, size = members[index], begins[index + 1] - begins[index]
        alone = 0
        for at in range(begins[index], begins[index + 1]):
            alone += of[at] < 0
        asked = max(0, size - least(size, size, threshold, False) + 1 - alone)
        ranked = _rarest(of, begins[index], begins[index + 1], holders, asked)
        found = _candidates(ranked, alone, starts, fill, postings, begins, stamps, index, threshold, of_union)
        for place in range(found.size):
            found[place] = members[found[place]]
        best, common = _settle(hashes, low, high, member, found, threshold, of_union)
        if best >= 0:
            survivor[member], shared[member] = best, common
            continue
        survivor[member], shared[member] = member, size
        for at in range(begins[index], begins[index + 1]):
            if of[at] >= 0:
                postings[starts[of[at]] + fill[of[at]]] = index
                fill[of[at]] += 1


@nb.njit(cache=True, nogil=True)
def _different(twin: Places, first: int) -> Places:
    """The members of a component that are their own twins."""
    members, count = np.empty(twin.size, np.int64), 0
    for place in range(twin.size):
        if twin[place] == first + place:
            members[count] = first + place
            count += 1
    return members[:count]


@nb.njit(cache=True, nogil=True)
def elect(
    hashes: Hashes,
    low: Places,
    high: Places,
    starts: Places,
    threshold: float,
    of_union: bool,
    direct: int,
) -> tuple[Places, Places]:
    """For components of members sorted best first: each member's survivor, and how many shingles it shares with it.

    `starts` (int64) has one entry more than there are components. A member is similar enough where its shared shingles
    are at least `threshold` of all shingles of both (`of_union`), else of its own. Up to `direct` survivors are
    compared with every member; where there are more, an index says with which, and the result is the same.
    """
    survivor, shared = np.full(low.size, -1, np.int64), np.zeros(low.size, np.int64)
    for component in range(starts.size - 1):
        first, last = starts[component], starts[component + 1]
        twin = _twins(hashes, low, high, first, last)
        members = _different(twin, first)
        staying, count = np.empty(min(direct, members.size), np.int64), 0
        for place in range(members.size):
            member = members[place]
            best, common = _settle(hashes, low, high, member, staying[:count], threshold, of_union)
            if best < 0 and count == direct:
                rest = members[place - count :].copy()
                rest[:count] = staying[:count]
                _elect_indexed(hashes, low, high, rest, threshold, of_union, survivor, shared)
                break
            if best < 0:
                best, common = member, high[member] - low[member]
                staying[count] = member
                count += 1
            survivor[member], shared[member] = best, common
        for member in range(first, last):
            survivor[member] = survivor[twin[member - first]]
            shared[member] = shared[twin[member - first]]
    return survivor, shared
