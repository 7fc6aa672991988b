"""Rows made of shared tokens that lie near in the auxiliary vectors: FOCUS, WECHSEL, and matching pursuit.

All three are convex: weights are 0 or more and sum to 1, so that no new row is longer than the longest that it is made
of. Rows without an auxiliary vector keep what they had.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.kernels.anchors import Rows, nearest_rows, pursuit_rows, sparsemax_rows
from operators.transplant.auxiliary import Auxiliary, unit
from operators.transplant.matching import Matches
from operators.transplant.rules import new_rows, replaced
from operators.transplant.weights import FOCUS, OMP, WECHSEL, Floats, Weights

Rule = Literal["focus", "wechsel", "omp"]

NEIGHBOURS = 10
WECHSEL_TEMPERATURE = 0.1
"""Both as WECHSEL has them."""
DONOR_SHARE = 16
"""Numbers of a vector for each anchor of a pursuit: with more anchors it fits what is noise."""

_ROUTES = {"focus": FOCUS, "wechsel": WECHSEL, "omp": OMP}


def of_anchors(
    base: Weights, matches: Matches, auxiliary: Auxiliary, rule: Rule, temperature: float = 1.0, route: int = 0
) -> Weights:
    """`base` with the rows that have a vector made of shared tokens that have one.

    Args:
        base: a whole W, whose copies stay.
        matches: of the two vocabularies.
        auxiliary: vectors of new tokens, shared ones among them.
        rule: how cosines become weights.
        temperature: of FOCUS's sparsemax.
        route: what the rows are called; 0: by the rule.
    """
    shared = matches.text()
    anchors = shared[auxiliary.frequent[shared]]
    rows = np.array([row for row in new_rows(base) if auxiliary.has[row]], np.int64)
    if not (anchors.size and rows.size):
        return base
    return from_candidates(
        base, rows, auxiliary.vectors[rows], matches.old[anchors], auxiliary.vectors[anchors], rule, temperature, route
    )


def from_candidates(
    base: Weights,
    rows: NDArray[np.int64],
    tokens: Floats,
    old: NDArray[np.int32],
    candidates: Floats,
    rule: Rule,
    temperature: float = 1.0,
    route: int = 0,
) -> Weights:
    """`base` with some rows made of old tokens whose vectors lie near, in whatever space both have vectors.

    Args:
        base: a whole W.
        rows: the new ids.
        tokens: float32[rows, k]: their vectors, not zero.
        old: the old ids that they may be made of.
        candidates: float32[old, k]: the vectors of these, not zero.
        rule: as of `of_anchors`.
        temperature: as there.
        route: as there.
    """
    found = _rows(rule, unit(tokens), unit(candidates), temperature)
    sizes = np.diff(found.indptr)
    entries = (np.repeat(rows, sizes), old[found.anchors], found.weights)
    return replaced(base, rows[sizes > 0], entries, route or _ROUTES[rule])


def _rows(rule: Rule, tokens: Floats, candidates: Floats, temperature: float) -> Rows:
    if rule == "focus":
        return sparsemax_rows(tokens, candidates, temperature)
    if rule == "wechsel":
        return nearest_rows(tokens, candidates, NEIGHBOURS, WECHSEL_TEMPERATURE)
    return pursuit_rows(tokens, candidates, max(1, tokens.shape[1] // DONOR_SHARE))
