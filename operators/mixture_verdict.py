"""How far an inferred mixture can be trusted: a verdict with thresholds from cases where the truth is known.

The figures behind the thresholds are a table in docs/inference.md, made by `benchmarks/mixture_verdicts.py`. Two things
are looked at. Surprise is the sum of all slacks as a share of what the merges merge: 0 where every merge was the most
frequent pair of the mixture. It grows as the tolerance falls, so it is taken at that of those cases, or at a lower one
where all merges are rare. And merges that stand in no category: they betray text of a kind that is not among the
categories, such as a script of its own; the shares of the others among themselves may still be right.

A third thing is whether the merges determine the shares at all. That is not in the surprise, which is 0 too where a few
merges suit any mixture: `operators/mixture_solving.py` asks it of the ranges of the shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any, Final, Literal, NamedTuple

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
OPEN: Final = {"well": 0.01, "roughly": 0.06, "not": 0.06}
"""How far the ends of a share's range may be from it, for the merges to determine it: what its grade says."""
COMPARABLE: Final = 0.05
"""The tolerance at which surprise is taken is at most this share of the most frequent merge, too."""


class Verdict(NamedTuple):
    """What is said of a result."""

    surprise: float
    judged_ppm: float
    """The level that surprise was taken at."""
    fit: Fit
    explains: bool
    determined: bool | None
    """Whether the merges leave no share more open than the grade says; None where no ranges were looked at, and of a
    single category."""
    says: str

    def to_json(self) -> dict[str, object]:
        """The fields of `mixture.json`."""
        return {"surprise": self.surprise, "judged_ppm": self.judged_ppm, "fit": self.fit,
                "explains": self.explains, "determined": self.determined, "verdict": self.says}  # fmt: skip


class Range(NamedTuple):
    """A category, its share of bytes, and the ends of that among mixtures that are as good."""

    name: str
    share: float
    low: float
    high: float

    def further(self) -> float:
        """How far from the share an end is, the one that is further."""
        return max(self.high - self.share, self.share - self.low)


def verdict(
    program: MixtureProgram, solutions: Sequence[Solution], missing: int, ranges: Sequence[Range] | None = None
) -> Verdict:
    """The verdict on a program that was solved to these levels.

    Args:
        program: and its categories.
        solutions: of its levels.
        missing: how many merges stand in no category.
        ranges: of the categories; None where they were not looked at.
    """
    judged, merged = _comparable(program, solutions)
    surprise = judged.objective / max(float(merged.sum()), 1e-9)
    coarse = judged.tolerance > _finest(merged)
    fit: Fit = "not" if coarse or surprise > ROUGHLY else "roughly" if surprise > WELL else "well"
    number, one = len(program.changes.merged), len(judged.shares) == 1
    lacking = missing > MOST_MISSING * number
    wide = max(ranges or (), key=Range.further, default=None)
    is_open = wide is not None and wide.further() > OPEN[fit]
    determined = None if wide is None or one else not is_open
    out = f"{100 * surprise:.1f} % of what it merges is out of order"
    if surprise >= 1:
        out = "more is out of order than it merges"
    said = _TOO_COARSE if coarse and surprise <= ROUGHLY else _SAYS[fit]
    needed = f", which takes {_rounded_down(_finest(merged)):g} ppm" if merged.any() else ""
    said = said.format(out=out, most=float(merged.max(initial=0.0)), ppm=judged.tolerance, needed=needed)
    if fit != "not":
        said += "" if one else _LEFT_OPEN if is_open else _AS_MANY[fit] + _NOT_LOOKED_AT * (determined is None)
    if wide is not None and is_open:
        said = f"{_open(wide)}; {said}"
    said = f"{_LACKING.format(missing=missing, number=number)}; as to the rest, {said}" if lacking else said
    said = f"{_ALONE}; {said}" if one else said
    return Verdict(surprise, judged.tolerance, fit, fit != "not" and not lacking, determined, said)


_SAYS: Final = {
    "well": "the categories explain this tokenizer well: {out}",
    "roughly": "the categories explain this tokenizer roughly: {out}",
    "not": "the categories do not explain this tokenizer: {out}, and shares with so much were off by as much as 37 "
    "percentage points where the truth is known: read their order, and not their size",
}  # fmt: skip
_AS_MANY: Final = {
    "well": ", and shares with so little were right to about 1 percentage point",
    "roughly": ", and shares with so much were off by up to 6 percentage points",
}
_LEFT_OPEN: Final = ", which many mixtures do"
_NOT_LOOKED_AT: Final = " where the merges determine them, which was not looked at: ask for range"
_ALONE: Final = (
    "there is one category, so there is nothing to infer: `by` (`--by`) names a column with several values, and of "
    "several inputs each is a category by `source`"
)
_LACKING: Final = (
    "{missing:,} of {number:,} merges stand in no category, so this tokenizer saw text of a kind that none of them "
    "has, and the shares are at best those of the others among themselves"
)
_TOO_COARSE: Final = (
    "whether the categories explain this tokenizer cannot be said: its most frequent merge has {most:.3g} ppm of the "
    "pairs, and {ppm:g} ppm is too coarse a tolerance for that{needed}"
)


def is_trusted(found: Mapping[str, Any]) -> bool:
    """Whether nothing is to be warned of in a `mixture.json`: it is explained, not open, and of several categories.

    >>> is_trusted({"explains": True, "determined": None, "categories": {"a": {}, "b": {}}})
    True
    """
    return found["explains"] and found.get("determined") is not False and len(found["categories"]) > 1


def _open(wide: Range) -> str:
    return (
        f"the merges do not determine the shares: mixtures about as good have from {100 * wide.low:.1f} to "
        f"{100 * wide.high:.1f} % of {wide.name!r}, so ask more merges, or make one category of those that are alike"
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


def _rounded_down(ppm: float) -> float:
    """A tolerance in two digits that is no larger.

    >>> _rounded_down(15.19), _rounded_down(200.0), _rounded_down(0.0999), _rounded_down(0.0)
    (15.0, 200.0, 0.099, 0.0)
    """
    return float(Decimal(ppm).normalize(Context(prec=2, rounding=ROUND_DOWN)))
