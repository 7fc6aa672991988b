"""What a tokenizer was trained on, as a step inferred it: shares, a verdict, and what could not be explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from operators.mixture_comparison import is_near
from operators.mixture_verdict import is_trusted
from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, fold, rest_of, table
from pipeline.report.mixtures import FILE
from pipeline.report.mixtures import SHOWN as GROUPS
from pipeline.report.reading import Facts, Step
from pipeline.report.tokens import chip, readable
from pipeline.report.wording import count, number, plural, share, size, text

SAID: Final = 5
"""Violations that are not folded away."""
_NEEDED: Final = ("explains", "verdict", "tolerance_ppm", "merges", "surprise")
_INTERVALS: Final = ("range", "bootstrap")

Found = Mapping[str, Any]


def inference(run: Facts, step: Step) -> Found:
    """The step's `mixture.json` if it was inferred from a tokenizer; empty where it was not."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    if not isinstance(found, dict) or not all(key in found for key in _NEEDED):
        return {}
    return found if found.get("categories") else {}


def inferred(step: Step, found: Found) -> str:
    """One step: the verdict in a sentence, a bar for each category, and what no mixture explains."""
    listed = sorted(found["categories"].items(), key=lambda item: (-item[1]["bytes"], item[0]))
    body = _verdict(found, listed) + _audit(step, found) + facts(_numbers(step, found))
    body += _categories(found, listed) + _violations(found) + _missing(found)
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _verdict(found: Found, listed: Sequence[tuple[str, Found]]) -> str:
    said = text(f"{found['verdict'][:1].upper()}{found['verdict'][1:]}.")
    most = [f"{_share(entry['bytes'])} {code(name)}" for name, entry in listed[:SAID] if entry["bytes"] > 0]
    if not is_trusted(found):
        return f'<p class="warning">{said}</p>'
    rest = sum(entry["bytes"] for _, entry in listed[SAID:])
    if rest > 0:
        most.append(f"{_share(rest)} of {plural(len(listed) - SAID, 'other', 'others')}")
    return f"<p>{_and(most)}. {said}</p>"


def _audit(step: Step, found: Found) -> str:
    """In a sentence how far what was inferred is from what was trained on, where that is known."""
    audit = found.get("audit")
    if not isinstance(audit, dict):
        return ""
    points = f"{number(round(audit['largest_difference'], 4))} percentage points"
    said = f"Step {code(step.parameters.get('step', ''))} was trained on these shares to within {points}"
    said += f" ({code(audit['category'])})."
    if is_near(audit):
        return f"<p>{said}</p>"
    why = " What it was trained on fits its merges as well: so few merges leave the shares open." * audit["fits"]
    return f'<p class="warning">{said} More than {number(audit["max_difference"])} is too much.{why}</p>'


def _numbers(step: Step, found: Found) -> list[tuple[str, str]]:
    merges = found["merges"]
    reached, asked = found["tolerance_ppm"], found.get("tolerance_asked_ppm", found["tolerance_ppm"])
    of, there = f"{number(asked)} ppm asked for", merges.get("of_tokenizer", merges["used"])
    source = step.parameters.get("tokenizer") or step.parameters.get("step")
    pairs = [("Tokenizer", code(source))] if source else []
    pairs += [
        ("Categories by", code(found.get("by", "category"))),
        ("Merges asked", f"{count(merges['used'])} <small>of {count(there)}</small>"),
        ("In no category", plural(merges["missing"], "merge")),
        ("Tolerance", f"{number(reached)} ppm <small>{of if reached != asked else 'as asked for'}</small>"),
        ("Out of order", share(found["surprise"], 1)),
    ]  # fmt: skip
    return pairs


def _categories(found: Found, listed: Sequence[tuple[str, Found]]) -> str:
    """A row for each category, those with most bytes first; where it is known, a line marks what was trained on."""
    intervals = [key for key in _INTERVALS if any(key in entry for _, entry in listed)]
    is_audit = any("trained" in entry for _, entry in listed)
    heads = ["bytes", "pairs", *intervals, *(["trained on", "off by"] * is_audit), "text"]
    columns = [Column(code(found.get("by", "category"))), Column('<span class="unseen">bar</span>')]
    columns += [Column(head, True) for head in heads]
    most = max(max(entry["bytes"], entry.get("trained", 0)) for _, entry in listed)
    rows = []
    for name, entry in listed[:GROUPS]:
        trained = entry.get("trained")
        mark = None if trained is None or not most else trained / most
        cells = [code(name), bar([Segment(entry["bytes"], "size")], most, "", mark=mark)]
        cells += [_share(entry["bytes"]), _share(entry.get("pairs", 0))]
        cells += [_interval(entry.get(key)) for key in intervals]
        cells += [_share(trained or 0), _points(entry["bytes"] - (trained or 0))] * is_audit
        rows.append([*cells, size(entry.get("text_bytes", 0))])
    if len(listed) > GROUPS:
        rows.append([rest_of(len(listed) - GROUPS, "category", "categories"), "", *_sums(listed[GROUPS:], heads)])
    caption = "What it was trained on, inferred" + "; the line in a bar is what it really was" * is_audit
    return table(caption, columns, rows, kind="bars")


def _sums(rest: Sequence[tuple[str, Found]], heads: Sequence[str]) -> list[str]:
    """The cells of all categories that are not named, as one."""
    keys = {"bytes": "bytes", "pairs": "pairs", "trained on": "trained"}
    sums = {head: _share(sum(entry.get(key, 0) for _, entry in rest)) for head, key in keys.items()}
    sums["text"] = size(sum(entry.get("text_bytes", 0) for _, entry in rest))
    return [sums.get(head, "") for head in heads]


def _violations(found: Found) -> str:
    lines = [f"<li>{_said(violation)}</li>" for violation in found.get("violations", ())]
    if not lines:
        return ""
    shown = f"<p>What no mixture of the categories explains, the worst first:</p><ul>{''.join(lines[:SAID])}</ul>"
    if len(lines) <= SAID:
        return shown
    return shown + fold(f"{plural(len(lines) - SAID, 'more violation')}", f"<ul>{''.join(lines[SAID:])}</ul>")


def _said(violation: Found) -> str:
    return f"{text(violation.get('says', ''))} <small>({number(round(violation.get('ppm', 0), 1))} ppm)</small>"


def _missing(found: Found) -> str:
    """The first merges that stand in no category, as tokens."""
    some = [merge for merge in found.get("missing", ()) if len(merge.get("pair", ())) == 2]
    if not some:
        return ""
    tokens = "".join(
        f'<li title="merge {merge["merge"] + 1:,}" dir="auto">{chip(readable("".join(merge["pair"])))}</li>'
        for merge in some
    )
    first = f", the first {len(some)} of {count(found['merges']['missing'])}" * (found["merges"]["missing"] > len(some))
    title = f"<h4>Merged, but in no category{first}</h4>"
    return f'<div class="tokens"><div>{title}<ul class="chips">{tokens}</ul></div></div>'


def _interval(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"{_share(ends[0])} \u2013 {_share(ends[1])}"


def _share(part: float) -> str:
    """A percentage with two decimals: audits are of hundredths of a point.

    >>> _share(0.12345), _share(0), _share(1), _share(1e-6)
    ('12.35 %', '0 %', '100 %', '<0.01 %')
    """
    return "<0.01 %" if 0 < part < 5e-5 else share(part, 1) if part in (0, 1) else f"{100 * part:.2f} %"


def _points(difference: float) -> str:
    """A difference of shares in percentage points.

    >>> _points(0.00123), _points(-0.000000001)
    ('0.123', '0')
    """
    return number(round(100 * difference, 3) + 0.0)


def _and(parts: Sequence[str]) -> str:
    """A list in words.

    >>> _and(["a", "b", "c"]), _and(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
