"""What new tokens are made of, in plain NumPy, a token at a time: the slow reference of `anchors.py`."""

import numpy as np
from numpy.typing import NDArray

Floats64 = NDArray[np.float64]


def sparsemax(values: Floats64) -> Floats64:
    """Martins and Astudillo 2016, algorithm 1: the nearest point of the simplex.

    >>> sparsemax(np.array([1.0, 0.5, -1.0])).tolist()
    [0.75, 0.25, 0.0]
    """
    ordered = np.sort(values)[::-1]
    sums = np.cumsum(ordered)
    size = int(np.flatnonzero(1 + np.arange(1, values.size + 1) * ordered > sums).max()) + 1
    weights: Floats64 = np.maximum(values - (sums[size - 1] - 1) / size, 0)
    return weights


def nearest(values: Floats64, count: int, temperature: float) -> Floats64:
    """A softmax over the largest `count` values, zero elsewhere.

    >>> nearest(np.array([0.0, 0.0, -1.0]), 2, 0.1).tolist()
    [0.5, 0.5, 0.0]
    """
    chosen = np.argsort(-values, kind="stable")[:count]
    powers = np.exp((values[chosen] - values[chosen[0]]) / temperature)
    weights = np.zeros(values.size)
    weights[chosen] = powers / powers.sum()
    return weights


def pursuit(token: Floats64, anchors: Floats64, count: int) -> Floats64:
    """Matching pursuit with weights of 0 or more that sum to 1.

    >>> pursuit(np.array([2.0, 1.0]), np.eye(2), 2).round(3).tolist()
    [0.667, 0.333]
    """
    chosen: list[int] = []
    solved: Floats64 = np.zeros(0)
    for _ in range(count):
        rest = token - solved @ anchors[chosen] if chosen else token
        leaning = anchors @ rest
        leaning[chosen] = -np.inf
        if leaning.max() <= 1e-6:
            break
        chosen.append(int(leaning.argmax()))
        while chosen:
            solved = np.asarray(np.linalg.lstsq(anchors[chosen].T, token, rcond=None)[0], np.float64)
            if solved.min() > 0:
                break
            del chosen[int(solved.argmin())]
    weights = np.zeros(len(anchors))
    if chosen:
        weights[chosen] = solved / solved.sum()
    return weights
