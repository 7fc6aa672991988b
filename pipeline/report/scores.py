"""Histograms of every score, with the thresholds that decided and the dropped side shaded."""

from __future__ import annotations

from typing import Final

from pipeline.report.bins import Axis, Bin, choose_axis, read_buckets, rebin
from pipeline.report.figures import Cut, histogram
from pipeline.report.markup import Column, code, fold, section, table
from pipeline.report.reading import Bound, Facts, Step
from pipeline.report.rules import limit
from pipeline.report.wording import count, number, plural

OPEN: Final = 40
"""Histograms that are shown at once; on a page with more, only those of steps that dropped something are open."""


def scores(run: Facts) -> str:
    """The section; empty where no step has scores."""
    steps = [step for step in run.steps if any(step.scores.values())]
    if not steps:
        return ""
    amount = sum(1 for step in steps for counts in step.scores.values() if counts)
    groups = [_group(step, is_open=amount <= OPEN or step.num_dropped > 0) for step in steps]
    lede = (
        f"{plural(amount, 'score')} of {plural(len(steps), 'step')}, each over the documents that reached the step. "
        "A line is a threshold; its shaded side is dropped. A document counts for the first rule that it breaks."
    )
    return section("scores", "Scores", lede, f'<div class="groups">{"".join(groups)}</div>')


def _group(step: Step, *, is_open: bool) -> str:
    bounds = {bound.score for bound in step.bounds}
    ordered = sorted(step.scores, key=lambda score: (score not in bounds, _place(step, score), score))
    figures = [_figure(step, score) for score in ordered if step.scores[score]]
    kind = "group" if len(figures) == 1 else "group many"
    would = count(step.num_audited) if step.num_audited else "none"
    audit = f' <span class="would">audited: would drop {would}</span>' if step.is_audited else ""
    summary = f"<h3>{code(step.name)}</h3>{audit}"
    return fold(summary, f'<div class="histograms">{"".join(figures)}</div>', kind=kind, is_open=is_open)


def _place(step: Step, score: str) -> int:
    """The order of the rules is the order of their scores."""
    return next((place for place, bound in enumerate(step.bounds) if bound.score == score), len(step.bounds))


def _figure(step: Step, score: str) -> str:
    bounds = [bound for bound in step.bounds if bound.score == score]
    cuts = [Cut(bound.low, True) for bound in bounds if bound.low is not None]
    cuts += [Cut(bound.high, False) for bound in bounds if bound.high is not None]
    buckets = read_buckets(step.scores[score])
    axis = choose_axis(buckets, [cut.value for cut in cuts])
    bins = rebin(buckets, axis)
    rows = sum(bucket.rows for bucket in buckets)
    span = f"from {number(buckets[0].low)} to {number(buckets[-1].low)}"
    label = f"Histogram of {score} over {plural(round(rows), 'document')}, {span}"
    picture = histogram(bins, axis, cuts, label, kind="would" if step.is_audited else "lost")
    caption = "".join(f"<li>{_rule(step, bound, axis)}</li>" for bound in bounds)
    scale = ' <span class="quiet">log scale</span>' if axis.log else ""
    return (
        f'<figure><figcaption><p>{code(score)}{scale}</p><ul class="why">{caption}</ul></figcaption>'
        f"{picture}{fold('as a table', _table(score, bins), kind='data')}</figure>"
    )


def _rule(step: Step, bound: Bound, axis: Axis) -> str:
    """The rule under its histogram: what it drops, how much it did, and whether its line is off the scale."""
    edges = [edge for edge in (bound.low, bound.high) if edge is not None]
    away = "" if all(axis.holds(edge) for edge in edges) else " (off the scale)"
    condition = limit(bound).removeprefix(code(bound.score)).strip() + away
    dropped, audited = step.dropped.get(bound.rule, 0), step.audited.get(bound.rule, 0)
    if audited:
        return f'{condition}: <span class="would">would drop <b>{count(audited)}</b></span>'
    if dropped:
        return f'{condition}: <span class="drop">dropped <b>{count(dropped)}</b></span>'
    return f'{condition}: <span class="quiet">{"would drop none" if step.is_audited else "dropped none"}</span>'


def _table(score: str, bins: list[Bin]) -> str:
    columns = [Column("from", True), Column("below", True), Column("documents", True)]
    rows = [[number(bin_.low), number(bin_.high), count(bin_.rows)] for bin_ in bins if bin_.rows]
    return table(f"{score} by value", columns, rows)
