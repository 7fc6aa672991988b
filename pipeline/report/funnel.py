"""The funnel: documents and bytes narrowing step by step, as one continuous figure with its numbers beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.report.figures import band, flare
from pipeline.report.markup import Column, code, fold, section, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import MINUS, count, plural, share, short, size, text

RULES_SHOWN: Final = 3
THIN: Final = 0.12
"""Where less than this is left of the funnel's width, and steps that drop are still to come, it is drawn wider."""


class _Scale(NamedTuple):
    """What fills the funnel's whole width."""

    rows: int
    size: int


def funnel(run: Facts) -> str:
    """The section: one row for the inputs, one for each step, one for what is left."""
    scale = _Scale(run.rows["read"], max([run.bytes_read, *(max(s.bytes_in, s.bytes_out) for s in run.steps)]))
    rows = [_inputs(run, scale), *_steps(run.steps, scale), _result(run)]
    figure = (
        '<div class="funnel-head" aria-hidden="true"><span></span><span class="sides"><span>documents</span>'
        "<span>bytes of text</span></span><span></span></div>"
        f'<ol class="funnel">{"".join(rows)}</ol>'
    )
    return section("funnel", "The funnel", _lede(run), figure + fold("The funnel as a table", _table(run)))


def _lede(run: Facts) -> str:
    losing = [step for step in run.steps if step.num_dropped]
    if not losing:
        return f"{plural(len(run.steps), 'step')}, and none dropped a document."
    worst = max(losing, key=lambda step: step.num_dropped)
    many = f"{len(losing)} of {plural(len(run.steps), 'step')}" if len(run.steps) > 1 else "The one step"
    if len(losing) == 1:
        return f"{many} dropped documents."
    part = share(worst.num_dropped, worst.rows_in)
    return f"{many} dropped documents; {code(worst.name)} dropped most, {part} of what reached it."


def _row(kind: str, name: str, picture: str, numbers: str) -> str:
    return (
        f'<li class="{kind}"><div class="name">{name}</div><div class="river">{picture}</div>'
        f'<div class="numbers">{numbers}</div></li>'
    )


def _inputs(run: Facts, scale: _Scale) -> str:
    rows = run.rows
    entered = rows["read"] - rows["quarantined"]
    shares = (_part(rows["read"], scale.rows), _part(entered, scale.rows))
    full = _part(run.bytes_read, scale.size)
    bad = f'<p class="drop">{MINUS}{count(rows["quarantined"])} <span class="quiet">unreadable or repeated</span></p>'
    numbers = f"<p><b>{short(rows['read'])}</b> \u00b7 {size(run.bytes_read)}</p>{bad if rows['quarantined'] else ''}"
    names = ", ".join(code(entry.get("name", "")) for entry in run.manifest.get("inputs", ())[:6])
    picture = band(shares, (full, full), None, f"{plural(rows['read'], 'document')} read")
    return _row("ends", f"<h3>Read</h3><p class='quiet'>{names}</p>", picture, numbers)


def _result(run: Facts) -> str:
    numbers = f"<p><b>{short(run.rows['kept'])}</b> \u00b7 {size(run.bytes_kept)}</p>"
    return _row("ends last", "<h3>Kept</h3>", "", numbers)


def _steps(steps: Sequence[Step], scale: _Scale) -> Iterator[str]:
    for place, step in enumerate(steps):
        still_drop = any(later.dropped or later.audited for later in steps[place:])
        if still_drop and step.rows_in and step.rows_in < THIN * scale.rows and step.bytes_in:
            yield _wider(step, scale)
            scale = _Scale(step.rows_in, step.bytes_in)
        yield _step(step, scale)


def _wider(step: Step, scale: _Scale) -> str:
    """From here on what is left fills the width."""
    docs, size_ = step.rows_in / scale.rows, step.bytes_in / scale.size
    picture = flare(_part(step.rows_in, scale.rows), _part(step.bytes_in, scale.size))
    note = f"From here, documents are drawn {_times(1 / docs)} wider, bytes {_times(1 / size_)}."
    return _row("wider", "", picture, f'<p class="quiet">{note}</p>')


def _times(factor: float) -> str:
    """A factor.

    >>> _times(2.345), _times(312.4)
    ('2.3 times', '312 times')
    """
    return f"{factor:.1f} times" if factor < 10 else f"{count(factor)} times"


def _step(step: Step, scale: _Scale) -> str:
    name = f"<h3>{code(step.name)}</h3>" + (f'<p class="quiet">{text(step.kind)}</p>' if step.kind != step.name else "")
    would = _part(step.rows_out - step.num_audited, scale.rows) if step.num_audited else None
    picture = band(
        (_part(step.rows_in, scale.rows), _part(step.rows_out, scale.rows)),
        (_part(step.bytes_in, scale.size), _part(step.bytes_out, scale.size)),
        would,
        f"{step.name}: {plural(step.rows_in, 'document')} in, {count(step.rows_out)} out",
    )
    kind = "loses" if step.num_dropped else "audits" if step.is_audited else "keeps"
    return _row(kind, name, picture, _numbers(step))


def _numbers(step: Step) -> str:
    """What a step dropped and by which rules; an audited one, what it would have."""
    if step.num_dropped:
        change = step.bytes_out - step.bytes_in
        bytes_part = f" \u00b7 {size(change)}" if change < 0 else ""
        head = (
            f"<p><b>{short(step.rows_out)}</b> left \u00b7 {size(step.bytes_out)}</p>"
            f'<p class="drop"><b>{MINUS}{short(step.num_dropped)}</b> {share(step.num_dropped, step.rows_in)}'
            f'<span class="quiet">{bytes_part}</span></p>'
        )
        return head + _rules(step.dropped)
    if step.is_audited:
        part = share(step.num_audited, step.rows_in)
        found = f"would drop <b>{short(step.num_audited)}</b> {part}" if step.num_audited else "would drop none"
        return f'<p class="would">{found}</p>{_rules(step.audited)}'
    if not step.rows_in:
        return '<p class="quiet">no document reached it</p>'
    made = f"makes {plural(len(step.artifacts), 'file')}" if step.artifacts else ""
    if step.bytes_rewritten or step.bytes_out != step.bytes_in:
        return _rewritten(step) + (f'<p class="quiet">{made}</p>' if made else "")
    return f'<p class="quiet">keeps every document{made and f", {made}"}</p>'


def _rewritten(step: Step) -> str:
    """What a step that changes texts and drops none left, and how much text it took out or put in."""
    change = step.bytes_out - step.bytes_in
    grown = f'<p class="quiet">+{size(change)}</p>' if change else '<p class="quiet">as much text as before</p>'
    lost = f'<p class="drop"><b>{size(change)}</b> {share(-change, step.bytes_in)}</p>'
    return f"<p><b>{short(step.rows_out)}</b> left \u00b7 {size(step.bytes_out)}</p>{lost if change < 0 else grown}"


def _rules(counts: Mapping[str, int]) -> str:
    ranked = sorted(((rows, rule) for rule, rows in counts.items() if rows), key=lambda x: (-x[0], x[1]))
    shown = "".join(f"<li>{code(rule)} {short(rows)}</li>" for rows, rule in ranked[:RULES_SHOWN])
    more = len(ranked) - RULES_SHOWN
    rest = f'<li><a href="#rules">{plural(more, "more rule")}</a></li>' if more > 0 else ""
    return f'<ul class="why">{shown}{rest}</ul>'


def _table(run: Facts) -> str:
    columns = [
        Column("step"), Column("kind"), Column("documents in", True), Column("documents out", True),
        Column("dropped", True), Column("would drop", True), Column("text in", True), Column("text out", True),
    ]  # fmt: skip
    rows = [
        [
            code(step.name), code(step.kind), count(step.rows_in), count(step.rows_out), count(step.num_dropped),
            count(step.num_audited), size(step.bytes_in), size(step.bytes_out),
        ]
        for step in run.steps
    ]  # fmt: skip
    return table("Documents and bytes by step", columns, rows)


def _part(value: float, whole: float) -> float:
    return min(max(value / whole, 0.0), 1.0) if whole else 0.0
