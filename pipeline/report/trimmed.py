"""What a step that trims a tokenizer did: which ids it kept and why, which it cut, and what the corpus makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.report.markup import Column, code, facts, table
from pipeline.report.reading import Facts, Step
from pipeline.report.settings import settings
from pipeline.report.wording import count, number, plural, short, text

FILE: Final = "/trim.json"
_ARROW: Final = " <small>\u2192</small> "


def trimming(run: Facts, step: Step) -> Mapping[str, Any]:
    """The step's `trim.json`; empty where it left none."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) and "ids" in found else {}


def trimmed_sizes(run: Facts) -> list[tuple[int, int]]:
    """Ids before and after of every tokenizer that was trimmed, in the order of the steps."""
    found = [trimming(run, step).get("ids") for step in run.steps]
    return [(int(ids["before"]), int(ids["after"])) for ids in found if ids]


def trimmed(step: Step, about: Mapping[str, Any]) -> str:
    """Sizes before and after, and a table of what stayed and what went."""
    ids, tokens = about["ids"], about.get("encoded_tokens", {})
    pairs = [("Cut from", _origin(step, about))]
    pairs.append(("Ids", f"{number(ids['before'])}{_ARROW}{number(ids['after'])}"))
    if tokens:
        pairs.append(("Tokens of the corpus", f"{short(tokens['before'])}{_ARROW}{short(tokens['after'])}"))
    for name, value in about.get("corpus", {}).items():
        pairs.append((text(name.replace("_", " ").capitalize()), short(value)))
    columns = [Column("tokens that"), Column("", True)]
    stayed = table("Kept", columns, _kept(about)) if about.get("kept") else ""
    return facts([*pairs, *settings(step, {})]) + stayed + _cut(about, columns)


def _origin(step: Step, about: Mapping[str, Any]) -> str:
    """The file or the step that the tokenizer is of."""
    given = step.parameters
    if given.get("step"):
        size = f", {number(given['size'])} tokens" if given.get("size") else ", the largest"
        return f"step {code(given['step'])}{size}"
    if given.get("tokenizer"):
        return code(given["tokenizer"])
    return code(f"sha256 {str(about.get('tokenizer_sha256', ''))[:12]}")


def _kept(about: Mapping[str, Any]) -> list[list[str]]:
    kept, least = about["kept"], about.get("min_count", 1)
    rows = [
        ("the corpus uses" if least == 1 else f"the corpus uses at least {plural(least, 'time')}", "used"),
        ("are single bytes, which always stay", "bytes"),
        ("kept tokens are merged from", "parts_of_used"),
        ("were added to the vocabulary, as special ones", "added"),
    ]
    return [[what, count(kept[name])] for what, name in rows if name in kept]


def _cut(about: Mapping[str, Any], columns: list[Column]) -> str:
    cut = about.get("cut")
    if not isinstance(cut, dict):
        return ""
    rows = [["the corpus does not use", count(cut["unused"])]]
    if cut["rare"]:
        rare = f"the corpus uses less often, {plural(cut['uses_of_rare'], 'time')} together"
        rows.append([rare, count(cut["rare"])])
    return table("Cut", columns, rows)
