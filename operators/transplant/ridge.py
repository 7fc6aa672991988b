"""Rows by a map that is fitted on the shared tokens: what is made of pieces and near tokens, brought to what is true.

For a shared token that is treated as new, two rows can be made (of what lies near, and of its pieces) and the true one
is known. A ridge regression from the two, side by side and centred, to the true row corrects what both get wrong. It
must be fitted on rows that were made without the token itself, else it learns to copy: tokens are parted in folds, and
the rows of a fold are made from the others (cross-fitting).

The map depends on the numbers of the table, so such rows are no W of their own: `weights.npz` has what they were made
of, and each table has a map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.hashing import row_hash
from operators.transplant.auxiliary import Auxiliary
from operators.transplant.choice import Choice
from operators.transplant.methods import Pair, held_out, weights_of
from operators.transplant.rules import marked, new_rows
from operators.transplant.weights import Floats, Weights, apply

FOLDS: Final = 5
PENALTY: Final = 0.1
"""Of the mean square of a centred number, for each token: the map is pulled towards nothing by so much."""

_PARTS: Final = ("focus", "subword")


@dataclass(frozen=True)
class Ridge:
    """What the map is fitted on and applied to, whatever the table."""

    rows: NDArray[np.int64]
    """The new ids that get a mapped row."""
    parts: tuple[Weights, ...]
    """W of each part for these."""
    known: tuple[tuple[NDArray[np.int32], tuple[Weights, ...]], ...]
    """Of each fold its new ids, shared in truth, and W of each part without them."""
    truth: NDArray[np.int32]
    """The old id of each new one."""


def prepared(pair: Pair, source_json: bytes, auxiliary: Auxiliary, choice: Choice) -> Ridge:
    """All that is slow, once for both tables."""
    shared = pair.matches.text()
    anchors = np.array([one for one in shared.tolist() if len(pair.target.forms[one]) > 1 and auxiliary.frequent[one]])
    folds = np.array([row_hash(pair.target.forms[one].hex(), choice.seed, "ridge") % FOLDS for one in anchors.tolist()])
    known = []
    for fold in range(FOLDS):
        tokens = anchors[folds == fold].astype(np.int32)
        if tokens.size:
            asked = replace(auxiliary, has=auxiliary.has & marked(tokens, auxiliary.has.size))  # no other row is read
            known.append((tokens, _both(held_out(pair, source_json, tokens), asked, choice)))
    parts = _both(pair, auxiliary, choice)
    made = np.array(new_rows(parts[0]), np.int64)
    usable = made[(parts[0].route[made] != parts[1].route[made])]
    return Ridge(usable, parts, tuple(known), pair.matches.old)


def mapped(ridge: Ridge, table: Floats, result: Floats) -> Floats:
    """`result` with the mapped rows: float32[new, d], from float32[old, d]; unchanged where nothing is known."""
    if not (ridge.known and ridge.rows.size):
        return result
    mean = table[ridge.parts[0].mean_of.nonzero()[0]].mean(axis=0, dtype=np.float64)
    features = np.concatenate([_features(parts, table, tokens, mean) for tokens, parts in ridge.known])
    true = np.concatenate([table[ridge.truth[tokens]].astype(np.float64) - mean for tokens, _ in ridge.known])
    square = features.T @ features
    penalty = PENALTY * np.trace(square) / len(square)
    coefficients = np.linalg.solve(square + penalty * np.eye(len(square)), features.T @ true)
    found = result.copy()
    found[ridge.rows] = mean + _features(ridge.parts, table, ridge.rows, mean) @ coefficients
    return found


def _both(pair: Pair, auxiliary: Auxiliary, choice: Choice) -> tuple[Weights, ...]:
    return tuple(weights_of(choice._replace(method=part), pair, auxiliary) for part in _PARTS)


def _features(
    parts: tuple[Weights, ...], table: Floats, tokens: NDArray[np.integer], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.concatenate([apply(part, table)[tokens].astype(np.float64) - mean for part in parts], axis=1)
