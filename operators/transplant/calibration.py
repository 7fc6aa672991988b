"""Bring the mean logit of every new row to what its frequency deserves: the cheapest repair of a transplanted table.

Means of rows point at what all tokens have in common and sit too high in the logits; signed sums may sit anywhere. With
the mean final state h of a few thousand tokens, the logit e*h of a row averages what the row gets. Over the copied rows
it rises with frequency: e*h = a + b log n (least squares). Each new row is moved along h until its own is a + b log n:

    e <- e + ((a + b log n) - e*h) h / |h|^2

Nothing else of the row changes. Where one table reads and predicts, what is read changes too, by as little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError
from operators.transplant.bits_per_byte import Table, Tables

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


def calibrate(tables: Tables, is_new: Flags, counts: Counts, mean_state: Table) -> tuple[Tables, dict[str, Any]]:
    """Tables whose new rows are moved, and the numbers of it.

    Args:
        tables: before.
        is_new: which rows were made.
        counts: of each id in the corpus; a new row that never occurs counts as if it did once.
        mean_state: (dimension,), over text that is not used to judge.

    Raises DataError where no more than two copied tokens occur in the corpus.
    """
    seen = ~is_new & (counts > 0)
    if seen.sum() < 3 or not np.any(mean_state):
        msg = f"calibrate: {int(seen.sum())} copied tokens occur in the corpus, and a line is fitted through them"
        raise DataError(f"{msg}: give more text, or leave calibrate out")
    state = mean_state.astype(np.float64)
    logits = tables.predicts.astype(np.float64) @ state
    slope, level = np.polyfit(np.log(counts[seen]), logits[seen], 1)
    fit = {"level": round(float(level), 4), "slope": round(float(slope), 4)}
    wanted = level + slope * np.log(np.maximum(counts, 1))
    moved = tables.predicts.copy()
    steps = (wanted - logits)[is_new] / (state @ state)
    moved[is_new] += (steps[:, None] * state).astype(np.float32)
    correlation = float(np.corrcoef(np.log(counts[seen]), logits[seen])[0, 1])
    after = Tables(moved) if tables.output is None else Tables(tables.reads, moved)
    return after, {
        "fit": {**fit, "correlation": round(correlation, 4), "copied_tokens": int(seen.sum())},
        "mean_logit": {
            name: mean_logits(one, is_new, mean_state) for name, one in (("before", tables), ("after", after))
        },
    }


def mean_logits(tables: Tables, is_new: Flags, mean_state: Table) -> dict[str, float]:
    """The mean logit of copied and of made rows, and the largest of each, at the mean state."""
    logits = tables.predicts @ mean_state
    found: dict[str, float] = {}
    for name, chosen in (("copied", logits[~is_new]), ("made", logits[is_new])):
        if chosen.size:
            found |= {name: round(float(chosen.mean()), 4), f"largest_{name}": round(float(chosen.max()), 4)}
    return found
