"""From what became of the sample's documents to rows and bytes after each step of the whole run.

Every document stands for as many as its input's fraction says. A step that looks at one row alone is projected by that
weight. For the steps that look across the corpus:

- Copies (deduplication). Where the sample keeps copies together nothing needs correction but for near-duplicates whose
  smallest shingles differ: a pair of similarity J is seen with probability J + (1 - J) f at fraction f, so a dropped
  document counts for the inverse. Where copies were drawn one by one, the sizes of their sets in the whole are found
  from those in the sample (`set_sizes.py`). Where only a part F of the input was read, copies within a slice of it
  count as they are, and copies across slices are taken to be spread evenly: a document that has on the average c
  further copies in the part has c / F in the whole, and of documents with c further copies each (Poisson)
  (1 - exp(-c)) / c stay.
- Draws by chance (`sample`). What they keep follows from their parameters and the rows that reach them; later steps
  are projected from all of the sample's documents at reduced weight, and copies thin out with the rows.
- A `mix` draws from each group by chance, in the proportion of what is asked of it to what there is of it; both are
  as in the sample, for a budget as much smaller as the sample is.
- Other draws (`operators/budgets.py`) run on the sample with a budget as much smaller as the sample is. What they keep
  is then cut to the budget, and where it is sure to be met raised to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

from operators.hashing import as_labels
from operators.mixtures import NULL
from pipeline.projection.set_sizes import kept_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.budgets import Draw
    from pipeline.projection.sampled_run import Fates

    Floats = NDArray[np.float64]

REPLICATES: Final = 100
CONFIDENCE: Final = 0.95
Kind = Literal["rows", "copies", "draw"]


@dataclass(frozen=True)
class StepRule:
    """How a step is projected.

    `together`: whether the sample kept the copies that it looks for together; `draw`: what it draws;
    `shares`: of a mixture the part of each group that is drawn; `keeps`: a draw that only records;
    `rewritten`: bytes of text after the step per byte before it.
    """

    name: str
    kind: Kind = "rows"
    together: bool = True
    draw: Draw | None = None
    shares: tuple[tuple[str, float], ...] = ()
    keeps: bool = False
    rewritten: float = 1.0


@dataclass(frozen=True)
class Stratum:
    """An input in whole: rows and bytes; the fraction of what was read that was drawn; the part that was read."""

    name: str
    rows: float
    bytes: float
    fraction: float
    share: float


@dataclass
class StepFlow:
    """One step's projection. `rows_in` and `bytes_in` per stratum; `dropped` and the totals over all."""

    rows_in: Floats
    bytes_in: Floats
    rows_out: float = 0.0
    bytes_out: float = 0.0
    dropped: dict[str, float] = field(default_factory=dict)
    low: float = 0.0
    high: float = 0.0


def flow(
    fates: Fates, strata: tuple[Stratum, ...], rules: tuple[StepRule, ...], multiplicity: Floats | None = None
) -> list[StepFlow]:
    """Rows and bytes through all steps; `multiplicity` counts documents several times or not at all (bootstrap)."""
    weights = np.ones(len(fates.lengths)) if multiplicity is None else multiplicity.copy()
    rows, sizes = _weights(fates, strata, weights)
    thinned = 1.0
    found = []
    for index, rule in enumerate(rules):
        step = StepFlow(_per_stratum(fates, strata, rows), _per_stratum(fates, strata, sizes))
        if rule.kind == "draw" and rule.draw is not None:
            before = float(rows.sum())
            kept = np.ones(len(rows)) if rule.keeps else _drawn(fates, rule, rule.draw, rows, sizes)
            step.dropped = {rule.draw.rule: before - float((rows * kept).sum())} if not rule.keeps else {}
            rows, sizes = rows * kept, sizes * kept
            thinned *= float(rows.sum()) / before if before else 1.0
        else:
            lost = fates.step == index
            more = (
                _more_copies(fates, strata, rule, rows, lost, thinned) if rule.kind == "copies" else np.ones(len(rows))
            )
            for name in np.unique(fates.rule[lost].astype(str)):
                mine = lost & (fates.rule == name)
                step.dropped[str(name)] = float((rows * more)[mine].sum())
            rows, sizes = _without(fates, strata, lost, more, rows), _without(fates, strata, lost, more, sizes)
            _cap(step, float(rows.sum()))
            if rule.draw is not None and not rule.keeps:
                share = _within(rule.draw, step, float(rows.sum()), float(sizes.sum()), strata)
                _drop(step, rule.draw.rule, float(rows.sum()) * (1 - share))
                rows, sizes = rows * share, sizes * share
                thinned *= min(share, 1.0)
        sizes = sizes * rule.rewritten
        step.rows_out, step.bytes_out = float(rows.sum()), float(sizes.sum())
        found.append(step)
    return found


def _weights(fates: Fates, strata: tuple[Stratum, ...], weights: Floats) -> tuple[Floats, Floats]:
    """What each document stands for, in rows and in bytes, so that both add up to the input's."""
    rows, sizes = weights.copy(), weights * fates.lengths
    for place, stratum in enumerate(strata):
        mine = fates.stratum == place
        for values, total in ((rows, stratum.rows), (sizes, stratum.bytes)):
            have = float(values[mine].sum())
            values[mine] *= total / have if have else 0.0
    return rows, sizes


def _per_stratum(fates: Fates, strata: tuple[Stratum, ...], values: Floats) -> Floats:
    return np.bincount(fates.stratum, values, len(strata)).astype(np.float64)


def _drawn(fates: Fates, rule: StepRule, draw: Draw, rows: Floats, sizes: Floats) -> Floats:
    """The probability with which each document is drawn."""
    if draw.how == "mixture":
        return _mixed(fates, rule, draw, rows, sizes)
    if draw.fraction is not None:
        return np.full(len(rows), draw.fraction)
    budget, held = (draw.docs, rows) if draw.docs is not None else (draw.bytes, sizes)
    labels = fates.groups[draw.by].astype(str) if draw.by else np.full(len(rows), "", object)
    _, group = np.unique(labels.astype(str), return_inverse=True)
    totals = np.bincount(group, held)
    shares = np.minimum(1.0, (budget or 0) / np.maximum(totals, 1e-12))
    return np.asarray(shares[group], np.float64)


def _within(draw: Draw, step: StepFlow, rows: float, size: float, strata: tuple[Stratum, ...]) -> float:
    """By what to multiply the rows that a draw kept of the sample, so that they are those of its whole budget."""
    left, there = (rows, step.rows_in) if draw.docs is not None else (size, step.bytes_in)
    if not draw.amount or draw.how == "beside" or not left:
        return 1.0
    is_met = draw.how == "choice" and draw.rule in step.dropped and any(s.fraction * s.share < 1 for s in strata)
    return min(draw.amount, float(there.sum()) if is_met else left) / left


def _drop(step: StepFlow, rule: str, rows: float) -> None:
    if rows:
        step.dropped[rule] = max(step.dropped.get(rule, 0.0) + rows, 0.0)


def _mixed(fates: Fates, rule: StepRule, draw: Draw, rows: Floats, sizes: Floats) -> Floats:
    """Of a mixture: each group's share, all of them as much smaller as the budget demands."""
    shares = dict(rule.shares)
    labels = as_labels(pa.chunked_array([fates.groups[draw.by].tolist()])).fill_null(NULL).to_pylist()
    kept = np.array([shares.get(label, 0.0) for label in labels], np.float64)
    total = float(((rows if draw.docs is not None else sizes) * kept).sum())
    return kept * min(1.0, draw.amount / total) if draw.amount and total else kept


def _more_copies(
    fates: Fates, strata: tuple[Stratum, ...], rule: StepRule, rows: Floats, lost: NDArray[np.bool_], thinned: float
) -> Floats:
    """For each document how many the step drops for each one that was seen to be dropped."""
    fractions = np.array([stratum.fraction for stratum in strata])[fates.stratum]
    more = (_by_similarity if rule.together else _by_set_sizes)(fates, fractions, rows, lost)
    total = float(rows.sum())
    share = sum(s.rows * s.share for s in strata) / max(sum(s.rows for s in strata), 1e-12)
    across = lost & ~fates.is_local
    seen_share = float((rows * more)[across].sum()) / total if total else 0.0
    if seen_share:
        more[across] *= spread(seen_share, thinned / max(share, 1e-12)) / seen_share
    more[lost & fates.is_local] *= thinned
    return more


def _by_similarity(fates: Fates, fractions: Floats, rows: Floats, lost: NDArray[np.bool_]) -> Floats:
    """The inverse of the chance that a pair was seen, where what is alike was drawn together."""
    theirs = np.where(fates.partner >= 0, fractions[fates.partner], fractions)
    alike = fates.similarity
    seen = alike * np.minimum(1.0, theirs / fractions) + (1 - alike) * theirs
    return np.where(lost, 1 / np.maximum(seen, 1e-12), 1.0)


def _by_set_sizes(fates: Fates, fractions: Floats, rows: Floats, lost: NDArray[np.bool_]) -> Floats:
    """What makes of the copies that were seen those of the whole, where documents were drawn one by one."""
    lost = lost & (fates.partner >= 0)
    seen, total = float(rows[lost].sum()), float(rows.sum())
    if not seen or (fractions == 1).all():
        return np.ones(len(rows))
    members = 1 + np.bincount(fates.partner[lost], minlength=len(rows))
    sizes, which = np.unique(members[~lost], return_inverse=True)
    weights = np.bincount(which, rows[~lost]) * sizes  # A set counts as its first does: a draw varies sets.
    gone = 1 - kept_share(sizes, weights / weights.sum(), float((rows * fractions).sum()) / total)
    return np.where(lost, gone * total / seen, 1.0)


def spread(share: float, factor: float) -> float:
    """The share of copies to drop where there are `factor` times as many documents of the same kind.

    >>> round(spread(0.01, 1), 4), round(spread(0.01, 10), 3), spread(0.0, 10)
    (0.01, 0.094, 0.0)
    """
    if not share or abs(factor - 1) < 1e-9:
        return share
    share = min(share, 0.999)
    low, high = 0.0, 2000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 + math.expm1(-middle) / middle < share else (low, middle)
    copies = low * factor
    return 1 + math.expm1(-copies) / copies if copies > 1e-6 else copies / 2


def _without(
    fates: Fates, strata: tuple[Stratum, ...], lost: NDArray[np.bool_], more: Floats, values: Floats
) -> Floats:
    """Values without what was lost; where more is lost than was seen, the rest of the stratum carries it."""
    left = np.where(lost, 0.0, values)
    before = _per_stratum(fates, strata, values)
    gone = _per_stratum(fates, strata, np.where(lost, values * more, 0.0))
    have = _per_stratum(fates, strata, left)
    scale = np.where(have > 0, np.maximum(before - gone, 0.0) / np.maximum(have, 1e-12), 1.0)
    return np.asarray(left * scale[fates.stratum], np.float64)


def _cap(step: StepFlow, rows_out: float) -> None:
    """Make the rules' counts add up to what is gone."""
    gone, told = float(step.rows_in.sum()) - rows_out, sum(step.dropped.values())
    if told > 0:
        step.dropped = {name: count * gone / told for name, count in step.dropped.items()}


def with_intervals(fates: Fates, strata: tuple[Stratum, ...], rules: tuple[StepRule, ...], seed: int) -> list[StepFlow]:
    """The projection with intervals of `CONFIDENCE` for rows out: bootstrap over what was drawn together.

    Units are the content keys; where an input was read in slices, the slices. The part of the input that was seen
    does not vary: with everything read and drawn the interval is a point.
    """
    found = flow(fates, strata, rules)
    random = np.random.default_rng(seed)
    units = np.where(
        np.array([s.share < 1 for s in strata], bool)[fates.stratum] if len(fates.stratum) else False,
        fates.slices.astype(np.uint64), fates.keys,
    )  # fmt: skip
    _, unit = np.unique(np.stack([fates.stratum.astype(np.uint64), units], axis=1), axis=0, return_inverse=True)
    unit = unit.ravel()
    unseen = np.sqrt(np.array([1 - s.fraction * s.share for s in strata]))[fates.stratum]
    outs = np.empty((REPLICATES, len(rules)))
    for replicate in range(REPLICATES):
        drawn = random.poisson(1.0, int(unit.max(initial=0)) + 1)[unit]
        outs[replicate] = [step.rows_out for step in flow(fates, strata, rules, 1 + (drawn - 1) * unseen)]
    tail = 100 * (1 - CONFIDENCE) / 2
    for step, values in zip(found, outs.T, strict=True):
        step.low, step.high = (float(edge) for edge in np.percentile(values, [tail, 100 - tail]))
        step.low, step.high = min(step.low, step.rows_out), max(step.high, step.rows_out)
    return found
