"""Choose items one after another: by facility location, by votes, by influence; and vectors as small integers.

`subsets_reference.py` is the slow definition. Items are in order; of two that are equally good the first is taken.
What is counted in integers does not depend on the order of adding. Each item has a size; what does not fit into what
is left of the budget is passed over, so a choice ends where nothing fits.

Where sizes differ, facility location and influence are chosen twice: by what an item adds, and by what it adds per unit
of size. The one that adds more in all is taken, of equals the first: at least (1 - 1/e) / 2 of the best that fits
(Leskovec et al. 2007, doi:10.1145/1281192.1281239, section 3.1). Where all are equal it is 1 - 1/e.

Price on one core: see docs/subsets.md; 2.3 s to compile.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, operator"

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Near = NDArray[np.int32]

MAX_SAMPLES: Final = 64

_MOST: Final = (1 << 31) - 1
"""Larger sizes count as this one where gains are compared by size, so that the products fit into 63 bits."""


class Chosen(NamedTuple):
    """Places in the order of choosing, and what each added: int64, votes float64."""

    order: Longs
    gains: Longs | NDArray[np.float64]


def facility_location(similar: NDArray[np.int16], sizes: Longs, budget: int) -> Chosen:
    """Greedily the item that adds most to the sum, over all items, of the largest similarity to a chosen one.

    Args:
        similar: (items, items), symmetric, none negative; at most 65,536 items.
        sizes: of the items, none negative.
        budget: what the sizes of the chosen may sum up to.
    """
    return _better(lambda *into: _facility_location(similar, sizes, budget, *into), sizes)


def vote_k(near: Near, sizes: Longs, budget: int, discount: int) -> Chosen:
    """Greedily the item with most votes; an item votes for those near it, `discount` times less for each one chosen.

    Args:
        near: (items, neighbours), -1 where there is none.
        sizes: as above.
        budget: as above.
        discount: at least 2. What a vote counts is added up in float64, in the order of those who vote: of equal order
            however small, down to 1e-308.
    """
    weights = [1 / discount**chosen for chosen in range(near.shape[1] + 1)]
    order, gains = np.zeros(sizes.size, np.int64), np.zeros(sizes.size)
    starts, voters = _reversed(near)
    count = _vote_k(starts, voters, np.array(weights), sizes, budget, order, gains)
    return Chosen(order[:count], gains[:count])


def influence(near: Near, live: NDArray[np.uint64], samples: int, sizes: Longs, budget: int) -> Chosen:
    """Greedily the item from which most items are reached that no chosen one reaches, over all samples together.

    Args:
        near: (items, neighbours), -1 where there is none.
        live: the same shape; bit r says whether the edge is there in sample r.
        samples: at most `MAX_SAMPLES`.
        sizes: as above.
        budget: as above.
    """
    return _better(lambda *into: _influence(near, live, samples, sizes, budget, *into), sizes)


def quantised(vectors: NDArray[np.float32], scale: float) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """Vectors of the length `scale` with the directions of the given ones, each component rounded to an integer.

    The second array says of each whether it is one (0), not finite (1), or zero (2); of the latter all are zeros.
    """
    found, status = np.zeros(vectors.shape, np.int16), np.zeros(vectors.shape[0], np.int8)
    _quantised(vectors, scale, found, status)
    return found, status


def _better(greedy: Callable[[Longs, Longs, Longs], int], sizes: Longs) -> Chosen:
    """The better of the choices by gain and by gain per size; `greedy` takes what gains are divided by."""

    def by(weights: Longs) -> Chosen:
        order, gains = np.zeros(sizes.size, np.int64), np.zeros(sizes.size, np.int64)
        count = greedy(weights, order, gains)
        return Chosen(order[:count], gains[:count])

    plain = by(np.ones(sizes.size, np.int64))
    if not sizes.size or sizes.min() == sizes.max():
        return plain
    dense = by(np.clip(sizes, 1, _MOST))
    return dense if dense.gains.sum() > plain.gains.sum() else plain


def _reversed(near: Near) -> tuple[Longs, Longs]:
    """For each item the items that have it near, one after another, and where each one's begin."""
    items, width = near.shape
    target = near.ravel()
    order: Longs = np.argsort(target, kind="stable").astype(np.int64)
    order = order[target[order] >= 0]
    starts = np.zeros(items + 1, np.int64)
    np.cumsum(np.bincount(target[order], minlength=items), out=starts[1:])
    return starts, order // np.int64(max(width, 1))


@njit(cache=True, nogil=True)
def _best(values, weights, sizes, left, taken):
    """The first of the largest values per weight of what fits and is not taken; -1 where nothing does."""
    best = -1
    for item in range(values.size):
        if taken[item] or sizes[item] > left:
            continue
        if best < 0 or values[item] * weights[best] > values[best] * weights[item]:
            best = item
    return best


@njit(cache=True, nogil=True)
def _added(row, current):
    total = 0
    for item in range(row.size):
        total += max(np.int32(row[item]) - np.int32(current[item]), 0)
    return total


@njit(cache=True, nogil=True)
def _facility_location(similar, sizes, budget, weights, order, gains):
    """Lazily: what an item adds never grows, so an old number that is not the largest need not be counted again."""
    items = sizes.size
    current, taken = np.zeros(items, np.int16), np.zeros(items, np.bool_)
    bound, counted = np.zeros(items, np.int64), np.zeros(items, np.int64)
    for item in range(items):
        bound[item] = _added(similar[item], current)
    for count in range(items):
        best = _best(bound, weights, sizes, budget, taken)
        while best >= 0 and counted[best] < count and bound[best] > 0:
            bound[best], counted[best] = _added(similar[best], current), count
            best = _best(bound, weights, sizes, budget, taken)
        if best < 0:
            return count
        budget -= sizes[best]
        order[count], gains[count], taken[best] = best, bound[best], True
        for item in range(items):
            current[item] = max(current[item], similar[best, item])
    return items


@njit(cache=True, nogil=True)
def _votes(voters, weights, times, taken):
    """What is voted by those who are not taken, each by how many of its neighbours are."""
    total = 0.0
    for voter in voters:
        if not taken[voter]:
            total += weights[times[voter]]
    return total


@njit(cache=True, nogil=True)
def _vote_k(starts, voters, weights, sizes, budget, order, gains):
    """Lazily, as facility location: votes never grow, nor do their sums, as they are added in one order."""
    items = sizes.size
    ones, times, taken = np.ones(items, np.int64), np.zeros(items, np.int64), np.zeros(items, np.bool_)
    bound = (starts[1:] - starts[:-1]) * 1.0
    for count in range(items):
        best = _best(bound, ones, sizes, budget, taken)
        if best < 0:
            return count
        bound[best] = _votes(voters[starts[best] : starts[best + 1]], weights, times, taken)
        # Many have lost votes since they were counted: those that may have more are counted again, in one go.
        for item in range(items):
            if taken[item] or sizes[item] > budget or bound[item] < bound[best]:
                continue
            bound[item] = _votes(voters[starts[item] : starts[item + 1]], weights, times, taken)
            if bound[item] > bound[best] or (bound[item] == bound[best] and item < best):
                best = item
        budget -= sizes[best]
        order[count], gains[count], taken[best] = best, bound[best], True
        for voter in voters[starts[best] : starts[best + 1]]:
            times[voter] += 1
    return items


@njit(cache=True, nogil=True)
def _reached(start, sample, near, live, covered, seen, stamp, queue):
    """How many items are reached from one, itself counted, through items that are not covered; they are in `queue`."""
    bit = np.uint64(1) << np.uint64(sample)
    if covered[start] & bit:
        return 0
    queue[0], seen[start], size, at = start, stamp, 1, 0
    while at < size:
        item = queue[at]
        at += 1
        for edge in range(near.shape[1]):
            neighbour = near[item, edge]
            if live[item, edge] & bit and seen[neighbour] != stamp and not covered[neighbour] & bit:
                seen[neighbour] = stamp
                queue[size] = neighbour
                size += 1
    return size


@njit(cache=True, nogil=True)
def _influence(near, live, samples, sizes, budget, weights, order, gains):
    """Lazily, as facility location; what is covered holds all that is reached from it, so a search ends there."""
    items, stamp = sizes.size, 0
    covered, taken = np.zeros(items, np.uint64), np.zeros(items, np.bool_)
    seen, queue = np.zeros(items, np.int64), np.zeros(items, np.int64)
    bound, counted = np.full(items, samples * items, np.int64), np.full(items, -1, np.int64)
    for count in range(items):
        best = _best(bound, weights, sizes, budget, taken)
        while best >= 0 and counted[best] < count and bound[best] > 0:
            bound[best], counted[best] = 0, count
            for sample in range(samples):
                stamp += 1
                bound[best] += _reached(best, sample, near, live, covered, seen, stamp, queue)
            best = _best(bound, weights, sizes, budget, taken)
        if best < 0:
            return count
        budget -= sizes[best]
        order[count], gains[count], taken[best] = best, bound[best], True
        for sample in range(samples):
            stamp += 1
            for place in range(_reached(best, sample, near, live, covered, seen, stamp, queue)):
                covered[queue[place]] |= np.uint64(1) << np.uint64(sample)
    return items


@njit(cache=True, nogil=True)
def _quantised(vectors, scale, found, status):
    for row in range(vectors.shape[0]):
        total = 0.0
        for column in range(vectors.shape[1]):
            total += np.float64(vectors[row, column]) * np.float64(vectors[row, column])
        if not np.isfinite(total):
            status[row] = 1
        elif total == 0.0:
            status[row] = 2
        else:
            factor = scale / np.sqrt(total)
            for column in range(vectors.shape[1]):
                found[row, column] = np.int16(np.rint(vectors[row, column] * factor))
