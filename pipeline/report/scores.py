"""Histograms of every score, with the thresholds that decided and the dropped side shaded."""

from __future__ import annotations

from typing import Final

from pipeline.report.bins import Axis, Bin, choose_axis, merge, read_buckets, rebin
from pipeline.report.explorer import Explored, ladders, neighbours, spreads
from pipeline.report.figures import Cut, histogram
from pipeline.report.markup import Column, code, fold, section, table
from pipeline.report.reading import Bound, Facts, Step
from pipeline.report.rules import limit
from pipeline.report.wording import count, number, plural, size

OPEN: Final = 40
"""Scores that are shown in full; on a page with more, only steps that dropped something are open, and languages and
sources are told apart for the scores of `WIDE` alone."""

WIDE: Final = 3
"""Scores of a step that show at once what other thresholds keep: those whose rules drop most."""


def scores(run: Facts) -> str:
    """The section; empty where no step has scores."""
    steps = [step for step in run.steps if any(step.scores.values())]
    if not steps:
        return ""
    amount = sum(1 for step in steps for counts in step.scores.values() if counts)
    is_light = amount <= OPEN
    groups = [_group(step, is_open=is_light or step.num_dropped > 0, is_light=is_light) for step in steps]
    lede = (
        f"{plural(amount, 'score')} of {plural(len(steps), 'step')}, each over the documents that have it. "
        "A line is a threshold; its shaded side is dropped. A document counts for the first rule that it breaks; what "
        "other thresholds keep is told for each rule alone. In a strip, 90 % of the documents lie on the thin line "
        "and half on the thick one, about the median, on the scale of the histogram."
    )
    return section("scores", "Scores", lede, f'<div class="groups">{"".join(groups)}</div>')


def _group(step: Step, *, is_open: bool, is_light: bool) -> str:
    bounds = {bound.score for bound in step.bounds}
    ordered = sorted(step.scores, key=lambda score: (score not in bounds, _place(step, score), score))
    shown = [score for score in ordered if step.scores[score]]
    hit = sorted((score for score in shown if _hit(step, score)), key=lambda score: -_hit(step, score))[:WIDE]
    wide = [_figure(step, score, is_wide=True, with_groups=True) for score in shown if score in hit]
    narrow = [_figure(step, score, is_wide=False, with_groups=is_light) for score in shown if score not in hit]
    kind = "group" if len(shown) == 1 and not wide else "group many"
    would = count(step.num_audited) if step.num_audited else "none"
    audit = f' <span class="would">audited: would drop {would}</span>' if step.is_audited else ""
    summary = f"<h3>{code(step.name)}</h3>{audit}"
    body = "".join(wide) + (f'<div class="histograms">{"".join(narrow)}</div>' if narrow else "")
    return fold(summary, body, kind=kind, is_open=is_open)


def _hit(step: Step, score: str) -> int:
    """How many documents the rules over the score drop, or would, where it is known what other thresholds would."""
    hit = {**step.dropped, **step.audited}
    return sum(hit.get(rule, 0) for rule in {tried.rule for tried in step.tried if tried.score == score})


def _place(step: Step, score: str) -> int:
    """The order of the rules is the order of their scores."""
    return next((place for place, bound in enumerate(step.bounds) if bound.score == score), len(step.bounds))


def _figure(step: Step, score: str, *, is_wide: bool, with_groups: bool) -> str:
    bounds = [bound for bound in step.bounds if bound.score == score]
    cuts = [Cut(bound.low, True) for bound in bounds if bound.low is not None]
    cuts += [Cut(bound.high, False) for bound in bounds if bound.high is not None]
    buckets = read_buckets(step.scores[score])
    axis = choose_axis(buckets, [cut.value for cut in cuts])
    rows = round(sum(bucket.rows for bucket in buckets))
    span = f"from {number(buckets[0].low)} to {number(buckets[-1].low)}"
    label = f"Histogram of {score} over {plural(rows, 'document')}, {span}"
    picture = histogram(rebin(buckets, axis), axis, cuts, label, kind="would" if step.is_audited else "lost")
    caption = "".join(f"<li>{_rule(step, bound, axis)}</li>" for bound in bounds)
    had = f"{count(rows)} of {plural(step.rows_in, 'document')}" if rows < step.rows_in else plural(rows, "document")
    about_it = f" <small>{had}{', log scale' if axis.log else ''}</small>"
    sizes = merge(read_buckets(step.score_bytes[score]), axis) if step.score_bytes.get(score) else []
    drawn = (
        f'<figure><figcaption><p>{code(score)}{about_it}</p><ul class="why">{caption}</ul></figcaption>'
        f"{picture}{fold('as a table', _table(score, merge(buckets, axis), sizes), kind='data')}</figure>"
    )
    tried = [tried for tried in step.tried if tried.score == score]
    about = Explored(
        score, tried, step.spreads.get(score, {}) if with_groups else {}, axis, step.rows_in, step.is_audited
    )
    return _explored(about, drawn, is_wide=is_wide)


def _explored(about: Explored, drawn: str, *, is_wide: bool) -> str:
    """The figure with what other thresholds keep: side by side where there is room for it, else behind a line."""
    if not about.is_worth_a_look:
        return drawn
    tables, strips = ladders(about), spreads(about)
    if is_wide:
        first = f"<div>{drawn}{tables}</div>" if len(strips) > 1 else f"{drawn}<div>{tables}</div>"
        return f'<div class="explorer">{first}{"".join(strips)}{neighbours(about)}</div>'
    what = "Other thresholds" if about.tried else "By language and source"
    return f'<div class="narrow">{drawn}{fold(what, tables + "".join(strips) + neighbours(about))}</div>'


def _rule(step: Step, bound: Bound, axis: Axis) -> str:
    """The rule under its histogram: what it drops, how much it did, and whether its line is off the scale."""
    edges = [edge for edge in (bound.low, bound.high) if edge is not None]
    away = "" if all(axis.holds(edge) for edge in edges) else " (off the scale)"
    condition = limit(bound).removeprefix(code(bound.score)).strip() + away
    if not edges and not bound.note:
        return f"{code(bound.rule)} goes by it, without a threshold"
    dropped, audited = step.dropped.get(bound.rule, 0), step.audited.get(bound.rule, 0)
    if audited:
        return f'{condition}: <span class="would">would drop <b>{count(audited)}</b></span>'
    if dropped:
        return f'{condition}: <span class="drop">dropped <b>{count(dropped)}</b></span>'
    return f'{condition}: <span class="quiet">{"would drop none" if step.is_audited else "dropped none"}</span>'


def _table(score: str, bins: list[Bin], sizes: list[Bin]) -> str:
    """Documents by value, in whole buckets; what is of one value, as shares of just 1 are, ends with it."""
    columns = [Column("from", True), Column("below", True), Column("documents", True)]
    rows = [[number(bin_.low), number(bin_.high), count(bin_.rows)] for bin_ in bins]
    if bins and bins[-1].high in (bins[-1].low, 1.0):
        rows[-1][1] = f"up to {number(bins[-1].high)}"
    if bins and bins[0].low == bins[0].high == 0:
        rows[0][1] = "only 0"
    if len(sizes) == len(bins):
        columns.append(Column("text", True))
        rows = [[*row, size(bin_.rows)] for row, bin_ in zip(rows, sizes, strict=True)]
    return table(f"{score} by value", columns, rows)
