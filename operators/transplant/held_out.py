"""The test that runs no model: shared tokens are treated as new, and their rows compared with the true ones.

Raw cosines say nothing: the mean row alone has a high one with every row, so all is centred by the mean of the old rows
of text. Tokens whose text stands in the old vocabulary in another case or spacing are told apart from those that have
no such variant: of truly new tokens most have none, and methods that only find the variant shine on the others.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.hashing import row_hash
from operators.kernels.anchors import ranks
from operators.transplant.auxiliary import unit
from operators.transplant.matching import variants
from operators.transplant.methods import Pair
from operators.transplant.weights import Floats

MOST: Final = 2000
LEAST: Final = 20
_SHARE: Final = 5
"""At most one shared token in so many is held out, so that enough are left to make rows of."""
_RESAMPLES: Final = 1000
_NEAR: Final = 10

Marks = NDArray[np.bool_]


class Figures(NamedTuple):
    """Of each held-out token."""

    cosine: NDArray[np.float64]
    """Centred, of the made row with the true one."""
    distance: NDArray[np.float64]
    """L2, relative to the length of the true row."""
    norm_ratio: NDArray[np.float64]
    rank: NDArray[np.int64]
    """Of the true row among all old rows of text by centred cosine with the made one; 1 is best."""


def drawn(pair: Pair, frequent: Marks | None, seed: int, most: int = MOST) -> NDArray[np.int32]:
    """The new ids that are held out, by a hash of their bytes: shared, longer than a byte, and with a vector.

    Fewer than asked where few are shared; none where fewer than `LEAST` would be.
    """
    tokens = pair.matches.text()
    usable = [token for token in tokens.tolist() if _is_usable(pair, token) and (frequent is None or frequent[token])]
    count = min(most, len(usable) // _SHARE)
    if count < LEAST:
        return np.empty(0, np.int32)
    order = sorted(usable, key=lambda token: row_hash(pair.target.forms[token].hex(), seed, "init_embeddings held out"))
    return np.array(sorted(order[:count]), np.int32)


def _is_usable(pair: Pair, token: int) -> bool:
    return len(pair.target.forms[token]) > 1 and not pair.source.fallback[pair.matches.old[token]]


def measured(pair: Pair, tokens: NDArray[np.int32], made: Floats, table: Floats) -> Figures:
    """Figures of held-out tokens.

    Args:
        pair: the whole pair, in which these tokens are shared.
        tokens: the new ids.
        made: float32[tokens, d]: the rows that a method made of them without knowing that they are shared.
        table: float32[old, d]: the old rows.
    """
    text = np.flatnonzero(pair.source.is_text)
    mean = table[text].mean(axis=0, dtype=np.float64).astype(np.float32)
    old = pair.matches.old[tokens]
    centred_made, centred_true = made - mean, table[old] - mean
    cosine = (unit(centred_made).astype(np.float64) * unit(centred_true)).sum(axis=1)
    length = np.linalg.norm(table[old].astype(np.float64), axis=1)
    distance = np.linalg.norm(made.astype(np.float64) - table[old], axis=1) / np.maximum(length, 1e-30)
    ratio = np.linalg.norm(made.astype(np.float64), axis=1) / np.maximum(length, 1e-30)
    rank = ranks(unit(centred_made), unit(table[text] - mean), np.searchsorted(text, old))
    return Figures(cosine, distance, ratio, rank)


def summary(pair: Pair, tokens: NDArray[np.int32], figures: Figures, seed: int) -> dict[str, Any]:
    """Means with intervals, of all held-out tokens and of those with and without a variant."""
    with_variant = has_variant(pair)[tokens]
    groups = {"all": np.ones(tokens.size, bool), "variant": with_variant, "no_variant": ~with_variant}
    return {
        name: {"tokens": int(members.sum()), **_means(Figures(*(one[members] for one in figures)), seed)}
        for name, members in groups.items()
        if members.any()
    }


def has_variant(pair: Pair) -> Marks:
    """Which new tokens stand in the old vocabulary in another case or spacing."""
    return np.array([bool(found) for found in variants(pair.source, pair.target)])


def _means(figures: Figures, seed: int) -> dict[str, Any]:
    """The mean of each figure, and of a bootstrap over tokens the central 95 %."""
    values = {
        "centred_cosine": figures.cosine,
        "relative_l2": figures.distance,
        "norm_ratio": figures.norm_ratio,
        "recall_at_1": (figures.rank == 1).astype(np.float64),
        "recall_at_10": (figures.rank <= _NEAR).astype(np.float64),
        "mrr": 1 / figures.rank,
    }
    table = np.stack(list(values.values()), axis=1)
    generator = np.random.Generator(np.random.Philox(key=seed))
    samples = [table[generator.integers(0, len(table), len(table))].mean(axis=0) for _ in range(_RESAMPLES)]
    low, high = np.quantile(np.array(samples), (0.025, 0.975), axis=0)
    found: dict[str, Any] = {
        name: {"mean": _rounded(one.mean()), "low": _rounded(low[place]), "high": _rounded(high[place])}
        for place, (name, one) in enumerate(values.items())
    }
    return {**found, "median_rank": float(np.median(figures.rank))}


def _rounded(value: float) -> float:
    return round(float(value), 6)
