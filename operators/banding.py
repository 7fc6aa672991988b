r"""Bands and rows: how a signature is cut into keys, and which pairs of texts then meet.

Two texts of similarity s whose values agree independently share a band with probability P(s) = 1 - (1 - s**rows)**bands
(Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4). `choose` finds the bands and rows that minimise, for a
threshold T, `false_positive_weight` times the integral of P below T plus `false_negative_weight` times that of 1 - P
above, as datasketch does, with its result. That is a compromise between both errors, not a promise of recall: at T =
0.8 and 128 values it gives 9 bands of 13 rows, which miss six of ten pairs at exactly 0.8.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STEPS: Final = 100
"""`curve` has one row per such part of [0, 1]."""


def meeting_probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that two texts share a band.

    >>> round(meeting_probability(0.8, bands=14, rows=8), 3)
    0.924
    """
    return 1 - (1 - similarity**rows) ** bands


def choose(
    threshold: float, num_values: int, false_positive_weight: float = 0.5, false_negative_weight: float = 0.5
) -> tuple[int, int]:
    """Bands and rows for a threshold, of at most `num_values` values together.

    ValueError for a threshold outside [0, 1] or less than one value.

    >>> choose(0.8, 128), choose(0.7, 128)
    ((9, 13), (14, 9))
    """
    if not 0 <= threshold <= 1 or num_values < 1:
        msg = f"the threshold is {threshold!r}, num_values {num_values!r}; expected one in [0, 1] and at least 1"
        raise ValueError(msg)
    best, least = (0, 0), float("inf")
    for bands in range(1, num_values + 1):
        rows = np.arange(1, num_values // bands + 1)
        below = _mass(0.0, threshold, bands, rows, num_values)
        above = (1 - threshold) - _mass(threshold, 1.0, bands, rows, num_values)
        errors = false_positive_weight * below + false_negative_weight * above
        place = int(np.argmin(errors))
        if errors[place] < least:
            best, least = (bands, place + 1), float(errors[place])
    return best


def curve(bands: int, rows: int, threshold: float) -> dict[str, Any]:
    """What a banding promises, ready for JSON.

    `curve`: for similarities from 0 to 1 the probability to be a candidate. `recall_at_threshold`: that of a pair just
    at the threshold. `recall_above`: of pairs spread evenly over [threshold, 1], the expected share that become
    candidates. `candidates_below`: of pairs spread evenly over [0, threshold], the expected share that do, each of
    which verification must refuse. Real pairs are not spread evenly: most are either alike or not at all.

    >>> [row["probability"] for row in curve(14, 8, 0.8)["curve"] if row["similarity"] in (0.5, 0.8)]
    [0.05332, 0.923548]
    """
    above = float(_mass(threshold, 1.0, bands, np.array([rows]), bands * rows)[0])
    below = float(_mass(0.0, threshold, bands, np.array([rows]), bands * rows)[0])
    at = meeting_probability(threshold, bands, rows)
    return {
        "bands": bands,
        "rows": rows,
        "threshold": threshold,
        "recall_at_threshold": round(at, 6),
        "recall_above": round(above / (1 - threshold), 6) if threshold < 1 else 1.0,
        "candidates_below": round(below / threshold, 6) if threshold > 0 else 0.0,
        "curve": [
            {"similarity": step / STEPS, "probability": round(meeting_probability(step / STEPS, bands, rows), 6)}
            for step in range(STEPS + 1)
        ],
    }


def _mass(low: float, high: float, bands: int, rows: NDArray[np.int64], num_values: int) -> NDArray[np.float64]:
    """The integral of P over [low, high] for each number of rows.

    P is a polynomial of degree bands * rows, which Gauss and Legendre's rule of half as many nodes integrates exactly.
    """
    nodes, weights = _rule(num_values // 2 + 1)
    points = low + (high - low) * (nodes + 1) / 2
    met = 1 - (1 - points[None, :] ** rows[:, None]) ** bands
    mass: NDArray[np.float64] = met @ weights * ((high - low) / 2)
    return mass


@cache
def _rule(nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return points, weights
