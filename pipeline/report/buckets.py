"""What a step wrote as token sequences: a row for each length, and what of the tokens is in none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, share, short, text

FILE: Final = "/buckets.json"

Found = Mapping[str, Any]


def bucketing(run: Facts, step: Step) -> Found:
    """The step's `buckets.json`; empty where it left none."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    return (
        found
        if isinstance(found, dict) and {"buckets", "tokens", "repeated_tokens", "documents"} <= found.keys()
        else {}
    )


def bucketed(step: Step, found: Found) -> str:
    """One step: numbers, and the sequences and tokens of each length."""
    documents, tokens, tokenizer = found["documents"], found["tokens"], found["tokenizer"]
    named = code(step.parameters.get("step") or str(tokenizer["sha256"])[:12])
    pairs = [
        ("Documents encoded", count(documents["encoded"])),
        ("Tokens", short(tokens["encoded"])),
        (
            "In no sequence",
            f"{short(tokens['left_out'])} <small>{share(tokens['left_out'], tokens['encoded'])}</small>",
        ),
        ("Documents without any", count(documents["without_sequences"])),
        ("Type of an id", code(found["type"])),
        ("Tokenizer", f"{named} <small>{number(tokenizer['ids'])} ids</small>"),
    ]
    repeated = found["repeated_tokens"]["encoded"]
    if repeated != tokens["encoded"]:
        pairs.insert(2, ("Tokens with repeats", short(repeated)))
    buckets = found["buckets"]
    most = max((bucket["tokens"] for bucket in buckets), default=0)
    columns = [Column("length", True), Column('<span class="unseen">bar</span>'), Column("of all tokens", True)]
    columns += [Column("sequences", True), Column("tokens", True)]
    rows = [
        [
            count(bucket["length"]),
            bar([Segment(bucket["tokens"], "size")], most, ""),
            share(bucket["tokens"], tokens["encoded"]),
            count(bucket["sequences"]),
            short(bucket["tokens"]),
        ]
        for bucket in buckets
    ]
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    shown = facts(pairs) + table("Sequences by length", columns, rows, kind="bars")
    return f'<div class="tokenizer"><h3>{name}</h3>{shown}</div>'
