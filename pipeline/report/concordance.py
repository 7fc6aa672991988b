"""What a ladder of models said of the documents: how far they agree with it, what was labelled, the rungs' bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, fold, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, share, size, text

FILE: Final = "/concordance.json"
_NEEDED: Final = ("bits_per_byte", "labels", "scores")

Found = Mapping[str, Any]


def concordance(run: Facts, step: Step) -> Found:
    """The step's `concordance.json`; empty where it left none."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) and all(key in found for key in _NEEDED) else {}


def concordant(step: Step, found: Found) -> str:
    """One step: its labels, documents by score, and the rungs."""
    scores: Sequence[Found] = found["scores"]
    docs = sum(entry["docs"] for entry in scores)
    pairs = [("Documents with a score", count(docs))]
    for label, entry in found["labels"].items():
        mean = f", {size(entry['bytes'] / entry['docs'])} on average" if entry["docs"] else ""
        pairs.append((text(label.capitalize()), f"{count(entry['docs'])} <small>{size(entry['bytes'])}{mean}</small>"))
    if found.get("last_negative_score") is not None:
        pairs.append(("Highest score of a negative", number(found["last_negative_score"])))
    body = facts(pairs) + _scores(scores, docs) + _rungs(found["bits_per_byte"])
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _scores(scores: Sequence[Found], docs: int) -> str:
    """A bar for each score."""
    columns = [Column("score", True), Column('<span class="unseen">bar</span>')]
    columns += [Column("documents", True), Column("of all", True), Column("bytes", True)]
    most = max((entry["docs"] for entry in scores), default=0)
    rows = [
        [
            *(number(entry["score"]), bar([Segment(entry["docs"], "docs")], most, "")),
            *(count(entry["docs"]), share(entry["docs"], docs), size(entry["bytes"])),
        ]
        for entry in scores
    ]
    return table("Documents by score: pairs of models in the ladder's order", columns, rows, kind="bars")


def _rungs(bits: Sequence[float]) -> str:
    """The mean bits per byte of each rung."""
    if not bits:
        return ""
    rows = [[count(rung), number(value)] for rung, value in enumerate(bits, 1)]
    columns = [Column("rung", True), Column("bits per byte, mean over documents", True)]
    caption = "The ladder, the weakest first"
    return fold(f"{plural(len(bits), 'rung')} of the ladder", table(caption, columns, rows), kind="data")
