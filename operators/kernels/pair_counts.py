"""What the changes that a replay left say of the pairs: which overtake a merge, and how often each stood where.

A pair overtakes a merge if, in a mixture of the categories, it is then more frequent than the pair that was merged.
`overtaking` goes through time once with a heap of the pairs that are frequent enough; an entry holds while its priority
is that of its pair. `replay.py` makes the changes, and `replay_reference.py` is the slow reference of both.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.kernels.replay import Changes

Ints = NDArray[Any]
Floats = NDArray[np.float64]


def overtaking(
    changes: Changes, weights: Floats, slack: Floats, excess: Floats, tolerance: float, per_step: int, most: int
) -> tuple[Ints, Ints]:
    """Pairs that are more frequent, before a merge, than the pair that was merged: (merges, pairs), int64 both.

    Args:
        changes: the counts.
        weights: by category, what a count in it weighs.
        slack: float64[merges], added to the count of the merged pair.
        excess: float64[pairs], taken from the count of the other.
        tolerance: how much more frequent is still allowed.
        per_step: most pairs that are named for one merge, the most frequent ones.
        most: the search ends with the merge that brings so many.
    """
    return _overtaking(*changes[1:8], len(changes.pairs), weights, slack, excess, tolerance, per_step, most)  # type: ignore[no-any-return]


def counts_before(changes: Changes, merges: Ints, pairs: Ints, num_categories: int) -> NDArray[np.int64]:
    """int64 (n, categories): how often each of the pairs stands in each category before the merge beside it."""
    return _counts_before(*changes[4:], np.asarray(merges), np.asarray(pairs), num_categories)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _overtaking(
    merged, steps, segment_pair, segment_step, starts, category, change, num_pairs, weights, slack, excess, tolerance,
    per_step, most,
):  # fmt: skip
    """A heap of (priority, pair); an entry holds while its priority is that of its pair now."""
    total = np.zeros(num_pairs)
    keys, values, size = np.empty(1024), np.empty(1024, np.int64), 0
    found_merge, found_pair, num_found = np.empty(1024, np.int64), np.empty(1024, np.int64), 0
    aside = np.empty(per_step, np.int64)
    for t in range(merged.size):
        for segment in range(steps[t], steps[t + 1]):
            pair = segment_pair[segment]
            total[pair] += _weighed(segment, starts, category, change, weights)
            priority = total[pair] - excess[pair]
            if priority > tolerance:
                keys, values = _roomy(keys, size + 1), _roomy(values, size + 1)
                size = _push(keys, values, size, priority, np.int64(pair))
        if merged[t] < 0:
            continue
        cutoff, num_aside = total[merged[t]] + slack[t] + tolerance, 0
        while size > 0 and keys[0] > cutoff and num_aside < per_step:
            priority, pair = keys[0], values[0]
            size = _pop(keys, values, size)
            if priority != total[pair] - excess[pair] or (num_aside > 0 and aside[num_aside - 1] == pair):
                continue
            found_merge, found_pair = _roomy(found_merge, num_found + 1), _roomy(found_pair, num_found + 1)
            found_merge[num_found], found_pair[num_found] = t, pair
            num_found += 1
            aside[num_aside] = pair
            num_aside += 1
        if num_found >= most:
            break
        for k in range(num_aside):
            size = _push(keys, values, size, total[aside[k]] - excess[aside[k]], aside[k])
    return found_merge[:num_found].copy(), found_pair[:num_found].copy()


@njit(cache=True, nogil=True)
def _weighed(segment, starts, category, change, weights):
    total = 0.0
    for entry in range(starts[segment], starts[segment + 1]):
        total += weights[category[entry]] * change[entry]
    return total


@njit(cache=True, nogil=True)
def _roomy(array, size):
    if size <= array.size:
        return array
    more = np.empty(2 * size, array.dtype)
    more[: array.size] = array
    return more


@njit(cache=True, nogil=True)
def _push(keys, values, size, key, value):
    """Into a heap with the largest key on top, at equal keys the smallest value."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] > key or (keys[parent] == key and values[parent] <= value):
            break
        keys[place], values[place] = keys[parent], values[parent]
        place = parent
    keys[place], values[place] = key, value
    return size + 1


@njit(cache=True, nogil=True)
def _pop(keys, values, size):
    size -= 1
    key, value, place = keys[size], values[size], 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            keys[other] > keys[child] or (keys[other] == keys[child] and values[other] < values[child])
        ):
            child = other
        if keys[child] < key or (keys[child] == key and values[child] >= value):
            break
        keys[place], values[place] = keys[child], values[child]
        place = child
    keys[place], values[place] = key, value
    return size


@njit(cache=True, nogil=True)
def _counts_before(segment_step, starts, category, change, order, pair_starts, merges, pairs, num_categories):
    found = np.zeros((merges.size, num_categories), np.int64)
    for k in range(merges.size):
        for place in range(pair_starts[pairs[k]], pair_starts[pairs[k] + 1]):
            segment = order[place]
            if segment_step[segment] > merges[k]:
                break
            for entry in range(starts[segment], starts[segment + 1]):
                found[k, category[entry]] += change[entry]
    return found
