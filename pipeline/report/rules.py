"""What was dropped and why: each rule with its count, its share, and a few of the documents that it dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pipeline.report.figures import Segment, bar
from pipeline.report.headline import reasons
from pipeline.report.markup import code, fold, section
from pipeline.report.reading import Bound, Facts, Step
from pipeline.report.wording import clipped, count, number, plural, share, text

SHOWN: Final = 25
DETAIL_CHARS: Final = 400


class _Entry(NamedTuple):
    step: Step
    rule: str
    rows: int
    is_audited: bool


def rules(run: Facts) -> str:
    """The section: dropping rules first, then what audited steps would drop, then the rules that dropped nothing."""
    dropped = _entries(run, is_audited=False)
    audited = _entries(run, is_audited=True)
    body = _list("Rules that dropped documents", dropped)
    body += _list("Would drop: audited steps record their verdict and keep every row", audited)
    return section("rules", "What was dropped, and why", _lede(run), body + _idle(run))


def limit(bound: Bound) -> str:
    """A bound as the condition that drops.

    >>> limit(Bound("few", "words", low=50)), limit(Bound("odd", "length", 3, 10))
    ('<code>words</code> below 50', '<code>length</code> below 3 or above 10')
    >>> limit(Bound("not_drawn", "weight"))
    'by <code>weight</code>'
    """
    if bound.note:
        return bound.note
    if bound.low is None and bound.high is None:
        return f"by {code(bound.score)}"
    sides = [f"below {number(bound.low)}"] if bound.low is not None else []
    if bound.high is not None:
        sides.append(f"{number(bound.high)} or more" if bound.is_inclusive else f"above {number(bound.high)}")
    return f"{code(bound.score)} {' or '.join(sides)}"


def _entries(run: Facts, *, is_audited: bool) -> list[_Entry]:
    found = [
        _Entry(step, rule, rows, is_audited)
        for step in run.steps
        for rule, rows in (step.audited if is_audited else step.dropped).items()
        if rows
    ]
    return sorted(found, key=lambda entry: (-entry.rows, entry.step.name, entry.rule))


def _lede(run: Facts) -> str:
    found = reasons(run)
    if not found:
        return "No rule dropped a document."
    if len(found) == 1:
        return f"{plural(found[0][0], 'document')}, all by {code(found[0][2])}."
    some = " and ".join(f"{code(rule)} ({share(rows, run.rows['dropped'])})" for rows, _, rule in found[:2])
    return f"{plural(run.rows['dropped'], 'document')} by {plural(len(found), 'rule')}, most by {some}."


def _list(caption: str, entries: list[_Entry]) -> str:
    """The rules that count, and the others behind a line."""
    if not entries:
        return ""
    most, rest = entries[0].rows, entries[SHOWN:]
    body = _table(caption, entries[:SHOWN], most)
    if rest:
        together = plural(sum(entry.rows for entry in rest), "document")
        body += fold(f"{plural(len(rest), 'further rule')}, together {together}", _table("Further rules", rest, most))
    return body


def _table(caption: str, entries: list[_Entry], most: int) -> str:
    head = "would drop" if entries[0].is_audited else "dropped"
    bodies = "".join(_body(entry, most) for entry in entries)
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("rule", "step", '<span class="unseen">bar</span>'))
    heads += "".join(f'<th scope="col" class="n">{name}</th>' for name in (head, "of its input"))
    return f'<table class="rules"><caption>{caption}</caption><thead><tr>{heads}</tr></thead>{bodies}</table>'


def _body(entry: _Entry, most: int) -> str:
    step, rule = entry.step, entry.rule
    bound = next((limit(b) for b in step.bounds if b.rule == rule), "")
    picture = bar([Segment(entry.rows, "would" if entry.is_audited else "lost")], most, "")
    row = (
        f'<tr><th scope="row">{code(rule)}<span class="quiet limit">{bound}</span></th><td>{code(step.name)}</td>'
        f'<td class="draw">{picture}</td><td class="n"><b>{count(entry.rows)}</b></td>'
        f'<td class="n">{share(entry.rows, step.rows_in)}</td></tr>'
    )
    examples = step.examples.get(rule, ())
    shown = ""
    if examples:
        listed = "".join(_example(example) for example in examples)
        shown = fold(plural(len(examples), "example"), f'<ul class="examples">{listed}</ul>')
        shown = f'<tr class="more"><td colspan="5">{shown}</td></tr>'
    return f"<tbody>{row}{shown}</tbody>"


def _example(example: Mapping[str, Any]) -> str:
    identity = code(example["id"]) if example.get("id") else '<span class="quiet">no id</span>'
    source = f' <span class="quiet">from</span> {code(example["source"])}' if example.get("source") else ""
    return (
        f'<li><p class="id">{identity}{source}</p>{_verdict(example)}'
        f'<blockquote dir="auto" tabindex="0">{text(example.get("excerpt") or "")}</blockquote></li>'
    )


def _verdict(example: Mapping[str, Any]) -> str:
    """Value against threshold, the survivor and the similarity, whatever else the rule noted."""
    parts = []
    value, threshold = example.get("value"), example.get("threshold")
    if value is not None and threshold is not None:
        sign = "&lt;" if value < threshold else "&gt;" if value > threshold else "="
        parts.append(f"<b>{number(value)}</b> {sign} {number(threshold)}")
    elif value is not None:
        parts.append(f"<b>{number(value)}</b>")
    if example.get("survivor"):
        parts.append(f"lost to {code(example['survivor'])}")
    if example.get("similarity") is not None:
        parts.append(f"similarity <b>{number(example['similarity'])}</b>")
    if example.get("detail"):
        parts += _details(str(example["detail"]))
    joined = " \u00b7 ".join(parts)
    return f'<p class="verdict">{joined}</p>' if parts else ""


def _details(detail: str) -> list[str]:
    """What else the rule noted: names with their values, where it is an object of JSON.

    >>> _details('{"lang": "de", "share": 0.25, "first": null}'), _details("[1")
    (['lang <code>de</code>', 'share <b>0.25</b>'], ['<code>[1</code>'])
    """
    try:
        found = json.loads(detail)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return [code(detail[:DETAIL_CHARS])]
    shown = []
    for name, value in found.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown.append(f"{clipped(name)} <b>{number(value)}</b>")
        elif value is not None:
            shown.append(f"{clipped(name)} {code(str(value)[:DETAIL_CHARS])}")
    return shown


def _idle(run: Facts) -> str:
    """Rules that dropped nothing, so that a reader sees that they were there."""
    listed = []
    for step in run.steps:
        hit = {**step.dropped, **step.audited}
        quiet = [bound for bound in step.bounds if bound.rule and not hit.get(bound.rule)]
        if quiet:
            bounds = ", ".join(f"{code(bound.rule)} ({limit(bound)})" for bound in quiet)
            listed.append((len(quiet), f"<li>{code(step.name)}: {bounds}</li>"))
    if not listed:
        return ""
    summary = f"{plural(sum(amount for amount, _ in listed), 'rule')} that dropped nothing"
    return fold(summary, f'<ul class="plain">{"".join(line for _, line in listed)}</ul>')
