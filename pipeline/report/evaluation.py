"""What a step found that looked for evaluation items in the text: of each reference how many are there, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, share, text

FILE: Final = "/summary.json"
_COUNTS: Final = ("items", "items_without_ngrams", "items_hit", "items_contaminated", "items_whole")
_DOCUMENTS: Final = ("documents", "documents_dropped")

Found = Mapping[str, Any]


def searching(run: Facts, step: Step) -> Found:
    """The step's `summary.json`; empty where it left none, or is of another kind."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name and step.kind == "decontaminate" else None
    entries = found.get("references") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(entries, list) or "ngram" not in found:
        return {}
    return found if entries and all(key in entry for entry in entries for key in (*_COUNTS, *_DOCUMENTS)) else {}


def found_in_text(step: Step, found: Found) -> str:
    """One step: what was looked for, a sentence on what was found, and a row for each reference."""
    entries: Sequence[Found] = found["references"]
    pairs = [("N-grams", f"{count(found['ngram'])} words")]
    if found.get("min_words") is not None and found["min_words"] < found["ngram"]:
        pairs.append(("Shortest item", f"{count(found['min_words'])} words"))
    if "frequent_ngrams" in found:
        pairs.append(("Ignored as stock phrases", plural(found["frequent_ngrams"], "n-gram")))
    body = facts(pairs) + f"<p>{_said(step, entries)}</p>" + _references(entries, is_audited=step.is_audited)
    without = sum(entry["items_without_ngrams"] for entry in entries)
    if without:
        verb = "has" if without == 1 else "have"
        body += f'<p class="warning">{plural(without, "item")} {verb} no n-gram to look for, and cannot be found.</p>'
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _said(step: Step, entries: Sequence[Found]) -> str:
    """What the columns of the table mean, in the step's own bound."""
    items, hit = (sum(entry[name] for entry in entries) for name in ("items", "items_hit"))
    if not hit:
        return f"No document shares an n-gram with any of {plural(items, 'evaluation item')}."
    bound = step.parameters.get("max_contained")
    much = f"more than {number(bound)} of" if isinstance(bound, int | float) and bound else "an n-gram of"
    return (
        f"Of {plural(items, 'evaluation item')} {count(hit)} {'shares' if hit == 1 else 'share'} an n-gram with a "
        f"document before the step. Contaminated: one document holds {much} the item; whole: one holds all of it."
    )


def _references(entries: Sequence[Found], *, is_audited: bool) -> str:
    """A row for each reference; the bar is the share of its items that are contaminated."""
    columns = [Column("reference"), Column('<span class="unseen">bar</span>'), Column("items", True)]
    columns += [Column(head, True) for head in ("hit", "contaminated", "of its items", "whole")]
    columns += [
        Column("documents that share", True),
        Column("would be dropped for it" if is_audited else "dropped for it", True),
    ]
    rows = []
    for entry in entries:
        items, bad = entry["items"], entry["items_contaminated"]
        parts = [Segment(bad, "lost"), Segment(items - bad, "docs")]
        cells = [code(entry.get("reference", "")), bar(parts, items, ""), count(items)]
        cells += [count(entry["items_hit"]), count(bad), share(bad, items)]
        rows.append([*cells, *(count(entry[name]) for name in ("items_whole", *_DOCUMENTS))])
    return table("Evaluation items in the text, by reference", columns, rows, kind="bars")
