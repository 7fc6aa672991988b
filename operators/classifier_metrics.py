"""How well scores between 0 and 1 tell two classes apart, and whether they are probabilities: what `metrics.json` says.

All of it is exact over the documents held out, ties included; numbers are rounded to six digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]

THRESHOLDS: Final = (0.01, 0.02, 0.05, *(step / 10 for step in range(1, 10)), 0.95, 0.98, 0.99)
KEPT_SHARES: Final = (0.01, 0.05, 0.1, 0.2, 0.5)
BINS: Final = 10
POINTS: Final = 100
"""Of the curve, at equal steps of recall."""


def measured(scores: Scores, truth: Truth) -> dict[str, Any]:
    """Everything about some documents; what needs both classes is null where one is missing.

    Args:
        scores: in [0, 1], the higher the more likely positive.
        truth: which documents are positive.
    """
    bins = calibration(scores, truth)
    return {
        "auc": auc(scores, truth),
        "at_half": at_threshold(scores, truth, 0.5),
        "thresholds": [at_threshold(scores, truth, threshold) for threshold in THRESHOLDS],
        "kept_shares": [kept_share(scores, truth, share) for share in KEPT_SHARES],
        "curve": curve(scores, truth),
        "calibration": bins,
        "calibration_error": calibration_error(bins, scores.size),
    }


def auc(scores: Scores, truth: Truth) -> float | None:
    """The chance that a positive document scores above a negative one, ties as a half; None without both classes.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    num_positive = int(truth.sum())
    pairs = num_positive * (truth.size - num_positive)
    if not pairs:
        return None
    _, codes, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    return _rounded(float(ranks[truth].sum() - num_positive * (num_positive + 1) / 2) / pairs)


def at_threshold(scores: Scores, truth: Truth, threshold: float) -> dict[str, Any]:
    """Precision, recall and F1 of keeping scores of at least a threshold, and the share of all that is kept."""
    kept = scores >= threshold
    hits = int((kept & truth).sum())
    precision, recall = _share(hits, int(kept.sum())), _share(hits, int(truth.sum()))
    return {
        "threshold": threshold,
        "precision": precision,
        "recall": recall,
        "f1": _share(2 * hits, int(kept.sum()) + int(truth.sum())),
        "kept": _share(int(kept.sum()), scores.size),
    }


def kept_share(scores: Scores, truth: Truth, share: float) -> dict[str, Any]:
    """The threshold that keeps a share of the negatives, at least one, and the share of the positives it keeps.

    Where scores are equal it keeps more: `kept` says how much.

    >>> kept_share(np.array([0.9, 0.2, 0.4, 0.1]), np.array([True, False, False, False]), 0.5)
    {'share': 0.5, 'threshold': 0.2, 'kept': 0.666667, 'recall': 1.0}
    """
    negatives = np.sort(scores[~truth])[::-1]
    if not negatives.size:
        return {"share": share, "threshold": None, "kept": None, "recall": None}
    threshold = float(negatives[max(math.ceil(share * negatives.size) - 1, 0)])
    return {
        "share": share,
        "threshold": threshold,
        "kept": _share(int((negatives >= threshold).sum()), negatives.size),
        "recall": _share(int((scores[truth] >= threshold).sum()), int(truth.sum())),
    }


def curve(scores: Scores, truth: Truth) -> list[dict[str, Any]]:
    """Precision by recall: for each step of recall the highest threshold that reaches it.

    >>> curve(np.array([0.9, 0.5, 0.4]), np.array([True, False, True]))[-1]
    {'recall': 1.0, 'precision': 0.666667, 'threshold': 0.4}
    """
    positives = np.sort(scores[truth])[::-1]
    if not positives.size:
        return []
    steps = np.unique(np.ceil(np.arange(1, POINTS + 1) * positives.size / POINTS).astype(np.int64))
    ranked = np.sort(scores)
    points = []
    for threshold in np.unique(positives[steps - 1])[::-1].tolist():
        hits = int((positives >= threshold).sum())
        kept = ranked.size - int(np.searchsorted(ranked, threshold))
        points.append({"recall": _share(hits, positives.size), "precision": _share(hits, kept), "threshold": threshold})
    return points


def calibration(scores: Scores, truth: Truth) -> list[dict[str, Any]]:
    """For each tenth of the scores the documents in it, their mean score, and the share of them that is positive."""
    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    found = []
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        found.append(
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "documents": count,
                "predicted": _rounded(float(scores[inside].mean())) if count else None,
                "observed": _share(int(truth[inside].sum()), count),
            }
        )
    return found


def calibration_error(bins: Sequence[dict[str, Any]], count: int) -> float | None:
    """The expected calibration error: how far predicted and observed are apart in the mean document's bin.

    >>> calibration_error([{"documents": 2, "predicted": 0.9, "observed": 0.5}], 2)
    0.4
    """
    if not count:
        return None
    apart = [entry["documents"] * abs(entry["predicted"] - entry["observed"]) for entry in bins if entry["documents"]]
    return _rounded(math.fsum(apart) / count)


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(value, 6)
