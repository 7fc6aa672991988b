"""How many copies a step drops whose copies were drawn one by one, from the sizes of their sets in the sample.

A document of a set of m is seen beside k of its m - 1 others with the binomial probability of k at the sample's
fraction. From how many documents have 0, 1, 2, ... others beside them it is found which part of all documents is in
sets of each size, by expectation maximisation over a grid of sizes; a set keeps one. To weigh each pair by the inverse
chance to see it would be right of pairs alone: of a set of 100 at a quarter it makes 396 copies.

Ended after `ROUNDS` steps, before it follows chance. In six populations of about 3,000 documents (those of its test)
the share kept is off by 0.013 on the average at a quarter, by 0.03 at a tenth; at most by 0.09 and 0.19.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

ROUNDS: Final = 200
_STEP: Final = 1.25
_TINY: Final = 1e-300
_LOG_TINY: Final = math.log(_TINY)
_LEAST: Final = 4
"""The largest set that is thought of, at least."""


def kept_share(sizes: Integers, shares: Floats, fraction: float) -> float:
    """The share of all documents that is kept where each set keeps one.

    Args:
        sizes: of sets as the sample has them, in documents, each once; at least 1.
        shares: the part of the sample's documents that is in sets of that size; they add up to 1.
        fraction: the chance of each document to be in the sample, above 0; from 1 the sample is the whole.

    >>> kept_share(np.array([1, 2]), np.array([0.5, 0.5]), 1.0)
    0.75
    >>> round(kept_share(np.array([1, 2]), np.array([0.5, 0.5]), 0.5), 2)  # As of pairs alone, one of two seen whole.
    0.5
    """
    if fraction >= 1:
        return float((shares / sizes).sum())
    grid = _grid(max(_LEAST, 2 * int(sizes.max()) / fraction))
    seen = _chances(sizes - 1, grid - 1, fraction)
    found = np.full(len(grid), 1 / len(grid))
    for _ in range(ROUNDS):
        joint = seen * found
        found = shares @ (joint / np.maximum(joint.sum(axis=1, keepdims=True), _TINY))
    return float((found / grid).sum())


def _grid(most: float) -> Integers:
    """1, 2, 3, ... up to `most`, from some on by a factor."""
    found = [1]
    while found[-1] < most:
        found.append(max(found[-1] + 1, int(found[-1] * _STEP)))
    return np.array(found, np.int64)


def _chances(hits: Integers, tries: Integers, fraction: float) -> Floats:
    """(hits, tries) Binomial probabilities; above 0 wherever there are enough tries."""
    rest = tries[None, :] - hits[:, None]
    others = np.maximum(rest, 0)
    power = _log_factorials(tries)[None, :] - _log_factorials(hits)[:, None] - _log_factorials(others)
    power += hits[:, None] * math.log(fraction) + others * math.log1p(-fraction)
    return np.where(rest >= 0, np.exp(np.maximum(power, _LOG_TINY)), 0.0)


def _log_factorials(numbers: Integers) -> Floats:
    found = [math.lgamma(number + 1) for number in numbers.ravel().tolist()]
    return np.array(found, np.float64).reshape(numbers.shape)
