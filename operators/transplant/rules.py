"""Rules that need no vectors: copies, pieces, variants, the mean, and normal rows.

Notation of docs/transplant.md: O are the new tokens that the old vocabulary has too, N the others. Every rule gives a
whole W, whose rows of O are copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError
from operators.transplant.choice import PieceShare
from operators.transplant.matching import Matches, variants
from operators.transplant.vocabularies import TokenForms
from operators.transplant.weights import (
    ABSENT,
    BYTE,
    EXACT,
    MEAN,
    NORMAL,
    SPECIAL,
    SUBWORD,
    VARIANT,
    Weights,
    from_entries,
    mixed,
)

_NORMAL_ANCHORS: Final = 256
"""Old rows in a normal row: so many that their mixture is as good as normal."""

KEPT: Final = (ABSENT, EXACT, BYTE, SPECIAL)
"""Routes of rows that no rule touches."""

Entries = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def copies(source: TokenForms, target: TokenForms, matches: Matches) -> Weights:
    """Rows of O are the old rows, all others the mean of the old rows of text.

    Raises DataError where no token of text is shared: then no row could be made of anything.
    """
    if not matches.text().size:
        msg = (
            f"the two tokenizers share no token of text ({len(source)} and {len(target)} ids): expected at least bytes "
            "or letters in common; is one of the files of another kind than it says?"
        )
        raise DataError(msg)
    found = matches.old >= 0
    new = np.flatnonzero(found)
    return from_entries(
        (new, matches.old[new], np.ones(new.size)),
        (len(target), len(source)),
        np.where(found, matches.route, np.where(target.is_token, MEAN, ABSENT)).astype(np.uint8),
        source.is_text,
        np.where(found, 0, 1).astype(np.float32),
    )


def subwords(base: Weights, source: TokenForms, pieces: Sequence[Sequence[int]], share: PieceShare = "mean") -> Weights:
    """`base` with the rows that have pieces replaced, where they are no copies.

    Args:
        base: copies; what has no pieces keeps its row of it.
        source: the old tokens.
        pieces: of each new token, old ids (`pieces.Cutter`).
        share: what each piece weighs: the same, its length in bytes, or all the first or the last.
    """
    shares = _SHARES[share]
    rows = [number for number in new_rows(base) if pieces[number]]
    new = np.repeat(rows, [len(pieces[number]) for number in rows]).astype(np.int64)
    old = [piece for number in rows for piece in pieces[number]]
    values = [one for number in rows for one in shares([len(source.forms[piece]) for piece in pieces[number]])]
    return replaced(base, rows, (new, np.array(old, np.int64), np.array(values)), SUBWORD)


def with_variants(base: Weights, source: TokenForms, target: TokenForms, share: float = 0.5) -> Weights:
    """Rows whose text stands in the old vocabulary in another case or spacing are `share` the mean of these."""
    found = variants(source, target)
    rows = [number for number in new_rows(base) if found[number]]
    new = np.repeat(rows, [len(found[number]) for number in rows]).astype(np.int64)
    old = np.array([one for number in rows for one in found[number]], np.int64)
    values = np.array([1 / len(found[number]) for number in rows for _ in found[number]])
    whole = replaced(base, rows, (new, old, values), VARIANT)
    return mixed(base, whole, np.where(marked(rows, len(target)), share, 0.0), whole.route)


def normal(base: Weights, seed: int) -> Weights:
    """Rows drawn from the normal distribution with the mean and the covariance of the old rows of text.

    e = mean + sum_j g_j (a_j - mean) / sqrt(m) over m old rows a_j that are drawn for each new row, g_j standard
    normal: that has exactly these moments, and the input and the output table get rows that belong together.
    """
    anchors = np.flatnonzero(base.mean_of)
    rows = new_rows(base)
    count = min(_NORMAL_ANCHORS, anchors.size)
    generator = np.random.Generator(np.random.Philox(key=seed))
    places = generator.integers(0, anchors.size, (len(rows), count))
    values = generator.standard_normal((len(rows), count)) / np.sqrt(count)
    entries = (np.repeat(rows, count).astype(np.int64), anchors[places].reshape(-1), values.reshape(-1))
    share = np.zeros(base.shape[0], np.float32)
    share[rows] = 1 - values.sum(axis=1)
    return replaced(base, rows, entries, NORMAL, share)


def new_rows(weights: Weights) -> list[int]:
    """The rows that are no copies."""
    rows: list[int] = np.flatnonzero(~np.isin(weights.route, KEPT)).tolist()
    return rows


def replaced(
    base: Weights,
    rows: Sequence[int] | NDArray[Any],
    entries: Entries,
    route: int,
    share: NDArray[np.float32] | None = None,
) -> Weights:
    """`base` with other entries in some rows, and another route there."""
    chosen = marked(rows, base.shape[0])
    other = from_entries(
        entries,
        base.shape,
        np.where(chosen, route, base.route).astype(np.uint8),
        base.mean_of,
        np.zeros(base.shape[0], np.float32) if share is None else share,
    )
    return mixed(base, other, chosen.astype(np.float64), other.route)


def marked(rows: Sequence[int] | NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Which of `count` rows are among these."""
    chosen = np.zeros(count, bool)
    chosen[np.asarray(rows, np.int64)] = True
    return chosen


_SHARES: Final[dict[PieceShare, Callable[[Sequence[int]], list[float]]]] = {
    "mean": lambda lengths: [1 / len(lengths)] * len(lengths),
    "length": lambda lengths: [length / max(sum(lengths), 1) for length in lengths],
    "first": lambda lengths: [1.0] + [0.0] * (len(lengths) - 1),
    "last": lambda lengths: [0.0] * (len(lengths) - 1) + [1.0],
}
