"""Choices of items, slowly: what `operators/kernels/subsets.py` computes, every gain counted anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

Picks = list[tuple[int, int]]
"""Items in the order of choosing, each with what it added."""
Rows = Sequence[Sequence[int]]

_Gain = TypeVar("_Gain", int, float)


def facility_location(similar: Rows, sizes: Sequence[int], budget: int) -> Picks:
    """The item that adds most to the sum of the largest similarities.

    >>> facility_location([[9, 5, 0], [5, 9, 5], [0, 5, 9]], [1, 1, 1], 2)
    [(1, 19), (0, 4)]
    >>> facility_location([[9, 5, 0], [5, 9, 5], [0, 5, 9]], [1, 9, 1], 9)  # two small ones add 23, the large one 19
    [(0, 14), (2, 9)]
    """

    def gain(item: int, chosen: list[int]) -> int:
        nearest = [max((similar[other][row] for other in chosen), default=0) for row in range(len(sizes))]
        return sum(max(similar[item][row] - nearest[row], 0) for row in range(len(sizes)))

    return _better(gain, sizes, budget)


def vote_k(near: Rows, sizes: Sequence[int], budget: int, discount: int) -> list[tuple[int, float]]:
    """The item with most votes of those not chosen, each divided by `discount` for each that it gave to a chosen one.

    >>> [item for item, _ in vote_k([[1], [0], [1], [0]], [1, 1, 1, 1], 3, 10)]
    [0, 1, 2]
    """

    def votes(item: int, chosen: list[int]) -> float:
        total = 0.0  # `sum` of floats is another number in newer Pythons
        for voter in range(len(sizes)):
            if voter not in chosen and item in near[voter]:
                total += 1 / discount ** len(set(near[voter]) & set(chosen))
        return total

    return _greedy(votes, [1] * len(sizes), sizes, budget)


def influence(near: Rows, live: Rows, samples: int, sizes: Sequence[int], budget: int) -> Picks:
    """The item from which most is reached that is not reached already, over all samples.

    >>> influence([[1], [2], [0]], [[1], [1], [0]], 1, [1, 1, 1], 2)
    [(0, 3), (1, 0)]
    """

    def reached(items: list[int]) -> int:
        return sum(len(_reached(items, near, live, sample)) for sample in range(samples))

    def gain(item: int, chosen: list[int]) -> int:
        return reached([*chosen, item]) - reached(chosen)

    return _better(gain, sizes, budget)


def _reached(items: list[int], near: Rows, live: Rows, sample: int) -> set[int]:
    found, waiting = set(items), list(items)
    while waiting:
        item = waiting.pop()
        edges = zip(near[item], live[item], strict=True)
        new = {neighbour for neighbour, bits in edges if bits >> sample & 1} - found
        found |= new
        waiting += new
    return found


def _better(gain: Callable[[int, list[int]], int], sizes: Sequence[int], budget: int) -> Picks:
    """By gain or, if that adds more in all, by gain per size."""
    plain = _greedy(gain, [1] * len(sizes), sizes, budget)
    dense = _greedy(gain, [max(size, 1) for size in sizes], sizes, budget)
    return max(plain, dense, key=lambda picks: sum(added for _, added in picks))


def _greedy(
    gain: Callable[[int, list[int]], _Gain], weights: Sequence[int], sizes: Sequence[int], budget: int
) -> list[tuple[int, _Gain]]:
    """The first of the items that fit and add most per weight, until nothing fits."""
    picks: list[tuple[int, _Gain]] = []
    while True:
        chosen = [item for item, _ in picks]
        left = [item for item in range(len(sizes)) if item not in chosen and sizes[item] <= budget]
        if not left:
            return picks
        best = max(left, key=lambda item: (Fraction(gain(item, chosen)) / weights[item], -item))
        budget -= sizes[best]
        picks.append((best, gain(best, chosen)))
