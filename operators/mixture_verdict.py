"""How far an inferred mixture can be trusted: a verdict with thresholds from cases where the truth is known.

The figures behind the thresholds are a table in docs/inference.md, made by `benchmarks/mixture_verdicts.py`. Two things
are looked at. Surprise is the sum of all slacks as a share of what the merges merge: 0 where every merge was the most
frequent pair of the mixture. It grows as the tolerance falls, so it is taken at that of those cases, or at a lower one
where all merges are rare. And merges that stand in no category: they betray text of a kind that is not among the
categories, such as a script of its own; the shares of the others among themselves may still be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.mixture_program import MixtureProgram, Solution

Fit = Literal["well", "roughly", "not"]

WELL: Final = 0.02
"""The most surprise with which shares were right to within 1 percentage point or so."""
ROUGHLY: Final = 0.14
"""The most with which they were right to within 6."""
MOST_MISSING: Final = 0.05
"""Share of the merges that may stand in no category: other texts of the same kind lack fewer."""
JUDGED_PPM: Final = 200.0
"""The tolerance of those cases."""
COMPARABLE: Final = 0.05
"""The tolerance at which surprise is taken is at most this share of the most frequent merge, too."""


class Verdict(NamedTuple):
    """What is said of a result."""

    surprise: float
    judged_ppm: float
    """The level that surprise was taken at."""
    fit: Fit
    explains: bool
    says: str

    def to_json(self) -> dict[str, object]:
        """The fields of `mixture.json`."""
        return {"surprise": self.surprise, "judged_ppm": self.judged_ppm, "fit": self.fit,
                "explains": self.explains, "verdict": self.says}  # fmt: skip


def verdict(program: MixtureProgram, solutions: Sequence[Solution], missing: int) -> Verdict:
    """The verdict on a program that was solved to these levels, where so many merges stand in no category."""
    judged, merged = _comparable(program, solutions)
    surprise = judged.objective / max(float(merged.sum()), 1e-9)
    coarse = judged.tolerance > _finest(merged)
    fit: Fit = "not" if coarse or surprise > ROUGHLY else "roughly" if surprise > WELL else "well"
    number = len(program.changes.merged)
    explains = fit != "not" and missing <= MOST_MISSING * number
    says = _TOO_COARSE if coarse and surprise <= ROUGHLY else _SAYS[fit]
    says = says.format(out=f"{100 * surprise:.1f} %", most=float(merged.max(initial=0.0)), ppm=judged.tolerance)
    if missing > MOST_MISSING * number:
        says += (
            f"; {missing:,} of {number:,} merges stand in no category, so it saw text of a kind that none of them has, "
            "and the shares are at best those of the others among themselves"
        )
    return Verdict(surprise, judged.tolerance, fit, explains, says)


_SAYS: Final = {
    "well": "the categories explain this tokenizer well: {out} of what it merges is out of order, and shares with so "
    "little were right to about 1 percentage point",
    "roughly": "the categories explain this tokenizer roughly: {out} of what it merges is out of order, and shares "
    "with so much were off by up to 6 percentage points",
    "not": "the categories do not explain this tokenizer: {out} of what it merges is out of order, and shares with so "
    "much were off by up to 30 percentage points: read their order, and not their size",
}  # fmt: skip
_TOO_COARSE: Final = (
    "whether the categories explain this tokenizer cannot be said: its most frequent merge has {most:.3g} ppm of the "
    "pairs, and {ppm:g} ppm is too coarse a tolerance for that"
)


def _comparable(program: MixtureProgram, solutions: Sequence[Solution]) -> tuple[Solution, NDArray[np.float64]]:
    """The solution that is judged, and how frequent each merge is in it."""
    for one in solutions:
        merged = program.frequencies(one.shares)
        if one.tolerance <= _finest(merged):
            return one, merged
    return solutions[-1], program.frequencies(solutions[-1].shares)


def _finest(merged: NDArray[np.float64]) -> float:
    """The largest tolerance, in ppm, that says something of merges so frequent."""
    return min(JUDGED_PPM, COMPARABLE * float(merged.max(initial=0.0)))
