"""What a step found that chose a subset to stand for the corpus: how well it does, beside a choice by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, size, text

FILE: Final = "/summary.json"
_NEEDED: Final = ("candidates", "chosen", "without_vector", "partitions", "mean_similarity", "radius")

Found = Mapping[str, Any]


def subset(run: Facts, step: Step) -> Found:
    """The step's `summary.json`; empty where it left none, or one of another kind of step."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) and all(key in found for key in _NEEDED) else {}


def represented(step: Step, found: Found) -> str:
    """One step: how much was chosen, and how near the documents are to what was chosen."""
    there, chosen, without = found["candidates"], found["chosen"], found["without_vector"]
    pairs = [
        ("Chosen", f"{count(chosen['docs'])} <small>of {plural(there['docs'], 'candidate')}</small>"),
        ("Text", f"{size(chosen['bytes'])} <small>of {size(there['bytes'])}</small>"),
        ("Partitions", count(found["partitions"])),
    ]
    if without["docs"]:
        pairs.append(("Without a vector", plural(without["docs"], "document")))
    if "reached_docs" in found:
        pairs.append(("Reached", plural(round(found["reached_docs"]), "document")))
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    body = facts(pairs) + (_beside_chance(found) if there["docs"] and chosen["docs"] else "")
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _beside_chance(found: Found) -> str:
    """Bars of both measures, of the choice and of one by chance."""
    columns = [Column("choice"), Column('<span class="unseen">bar</span>')]
    columns += [Column("mean similarity", True), Column("largest distance", True)]
    most = max(found["mean_similarity"].values())
    rows = []
    for name, label, kind in (("chosen", "what was chosen", "docs"), ("random", "as many by chance", "size")):
        near, radius = found["mean_similarity"][name], found["radius"][name]
        rows.append([label, bar([Segment(near, kind)], most, ""), number(near), number(radius)])
    return table("How near documents are to the nearest that is chosen (cosine, chord)", columns, rows, kind="bars")
