"""Choices of items, slowly: what `operators/kernels/subsets.py` computes, every gain counted anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from operators.kernels.subsets import VOTE

Picks = list[tuple[int, int]]
"""Items in the order of choosing, each with what it added."""
Rows = Sequence[Sequence[int]]


def facility_location(similar: Rows, sizes: Sequence[int], budget: int) -> Picks:
    """The item that adds most to the sum of the largest similarities.

    >>> facility_location([[9, 5, 0], [5, 9, 5], [0, 5, 9]], [1, 1, 1], 2)
    [(1, 19), (0, 4)]
    """

    def gain(item: int, chosen: list[int]) -> int:
        nearest = [max((similar[other][row] for other in chosen), default=0) for row in range(len(sizes))]
        return sum(max(similar[item][row] - nearest[row], 0) for row in range(len(sizes)))

    return _greedy(gain, sizes, budget)


def vote_k(near: Rows, sizes: Sequence[int], budget: int, discount: int) -> Picks:
    """The item with most votes of those not chosen, each divided by `discount` for each that it gave to a chosen one.

    >>> [item for item, _ in vote_k([[1], [0], [1], [0]], [1, 1, 1, 1], 3, 10)]
    [0, 1, 2]
    """

    def votes(item: int, chosen: list[int]) -> int:
        voters = [voter for voter in range(len(sizes)) if voter not in chosen and item in near[voter]]
        return sum(round(VOTE / discount ** len(set(near[voter]) & set(chosen))) for voter in voters)

    return _greedy(votes, sizes, budget)


def influence(near: Rows, live: Rows, samples: int, sizes: Sequence[int], budget: int) -> Picks:
    """The item from which most is reached that is not reached already, over all samples.

    >>> influence([[1], [2], [0]], [[1], [1], [0]], 1, [1, 1, 1], 2)
    [(0, 3), (1, 0)]
    """

    def reached(items: list[int]) -> int:
        return sum(len(_reached(items, near, live, sample)) for sample in range(samples))

    def gain(item: int, chosen: list[int]) -> int:
        return reached([*chosen, item]) - reached(chosen)

    return _greedy(gain, sizes, budget)


def _reached(items: list[int], near: Rows, live: Rows, sample: int) -> set[int]:
    found, waiting = set(items), list(items)
    while waiting:
        item = waiting.pop()
        edges = zip(near[item], live[item], strict=True)
        new = {neighbour for neighbour, bits in edges if bits >> sample & 1} - found
        found |= new
        waiting += new
    return found


def _greedy(gain: Callable[[int, list[int]], int], sizes: Sequence[int], budget: int) -> Picks:
    """The first of the items that add most, until one does not fit."""
    picks: Picks = []
    while len(picks) < len(sizes):
        chosen = [item for item, _ in picks]
        left = [item for item in range(len(sizes)) if item not in chosen]
        best = max(left, key=lambda item: (gain(item, chosen), -item))
        budget -= sizes[best]
        if budget < 0:
            break
        picks.append((best, gain(best, chosen)))
    return picks
