"""What a step found that chose documents by their likeness to a target: how much closer they are, how much by chance.

KL is the divergence of the target's n-grams from those of the corpus, and from those of what was chosen, in nats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from operators.importance_warnings import is_degenerate
from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, fold, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, share, size, text

FILE: Final = "/summary.json"
_ARROW: Final = " <small>\u2192</small> "
_NEEDED: Final = ("candidates", "chosen", "effective_sample_size", "kl_target_from_raw", "kl_target_from_chosen")

Found = Mapping[str, Any]


def resampling(run: Facts, step: Step) -> Found:
    """The step's `summary.json`; empty where it left none, or is of another kind."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name and step.kind == "importance_resample" else None
    if not isinstance(found, dict):
        return {}
    entries = _entries(found)
    return found if entries and all(entry.get(key) is not None for entry in entries for key in _NEEDED) else {}


def resampled(step: Step, found: Found) -> str:
    """One step: how much was chosen, how much closer it is to each target, and what chance had to decide."""
    entries = _entries(found)
    body = facts(_numbers(found, entries))
    body += "".join(f"<p>{_said(entry)}</p>" for entry in entries)
    degenerate = [entry for entry in entries if is_degenerate(entry, found.get("temperature", 1))]
    if degenerate:
        of = "" if len(entries) == 1 else f" for {', '.join(code(entry['target']) for entry in degenerate)}"
        body += (
            f'<p class="warning">The weights are degenerate{of}: few documents outweigh all others, so the highest '
            "weights were taken and chance decided next to nothing. A higher temperature draws from more.</p>"
        )
    body += _distances(entries) + "".join(_ladder(found, entry) for entry in entries)
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _entries(found: Found) -> Sequence[Found]:
    """An entry for each target; one that is alone has no name."""
    several = found.get("targets")
    return several if isinstance(several, list) else [found]


def _numbers(found: Found, entries: Sequence[Found]) -> list[tuple[str, str]]:
    there, chosen = found["candidates"], found["chosen"]
    pairs = [
        ("Chosen", f"{count(chosen['docs'])} <small>of {plural(there['docs'], 'candidate')}</small>"),
        ("Text", f"{size(chosen['bytes'])} <small>of {size(there['bytes'])}</small>"),
    ]
    if chosen["docs"] and there["docs"]:
        means = [size(of["bytes"] / of["docs"]) for of in (there, chosen)]
        pairs.append(("Mean document", _ARROW.join(means)))
    if len(entries) == 1:
        (entry,) = entries
        distances = [number(entry[name]) for name in _measured(entry)]
        pairs.append(("KL to the target", f"{_ARROW.join(distances)} <small>nats</small>"))
        pairs.append(("Effective sample", number(round(entry["effective_sample_size"], 1))))
    if "normalise" in found and "temperature" in found:
        pairs += [("Normalise", text(found["normalise"])), ("Temperature", number(found["temperature"]))]
    return pairs


def _said(entry: Found) -> str:
    """In a sentence how much closer the chosen are, and of how many documents chance had the choice."""
    before, after = entry["kl_target_from_raw"], entry["kl_target_from_chosen"]
    target = f"target {code(entry['target'])}" if "target" in entry else "target"
    if not entry["chosen"]["docs"]:
        return f"Nothing was chosen for the {target}."
    change = f"{share(before - after, before)} closer to" if 0 < before >= after else "no closer to"
    worth = round(entry["effective_sample_size"], 1)
    drawn = (
        f"The weights are worth {number(worth)} equal document{'' if worth == 1 else 's'}, for "
        f"{count(entry['chosen']['docs'])} chosen."
    )
    return f"What was chosen is {change} the {target} than the corpus is (KL divergence of n-grams). {drawn}"


def _measured(entry: Found) -> dict[str, str]:
    """The divergences that mean something: nothing that was chosen is far from nothing."""
    chosen = {"kl_target_from_chosen": "what was chosen"} if entry["chosen"]["docs"] else {}
    return {"kl_target_from_raw": "the corpus", **chosen}


def _distances(entries: Sequence[Found]) -> str:
    """Bars of both divergences, for each target."""
    most = max((entry[name] for entry in entries for name in _measured(entry)), default=0.0)
    columns = [Column("from"), Column('<span class="unseen">bar</span>'), Column("nats", True)]
    rows = []
    for entry in entries:
        for name, label in _measured(entry).items():
            of = f"{code(entry['target'])} from {label}" if "target" in entry else label
            kind = "size" if name == "kl_target_from_raw" else "docs"
            rows.append([of, bar([Segment(entry[name], kind)], most, ""), number(entry[name])])
    return table("How far the target is (KL divergence)", columns, rows, kind="bars")


def _ladder(found: Found, entry: Found) -> str:
    """What the effective sample size would be at other temperatures."""
    sizes = entry.get("effective_sample_sizes")
    if not isinstance(sizes, dict):
        return ""
    columns = [Column("temperature", True), Column("effective sample", True), Column("for each chosen", True)]
    docs = max(entry["chosen"]["docs"], 1)
    own = [(float(found["temperature"]), entry["effective_sample_size"])] if "temperature" in found else []
    steps = sorted({float(at): value for at, value in [*sizes.items(), *own]}.items())
    rows = []
    for at, value in steps:
        row = [number(at), count(round(value)), number(value / docs)]
        rows.append([f"<b>{cell}</b>" for cell in row] if own and at == own[0][0] else row)
    of = f" of {entry['target']}" if "target" in entry else ""
    caption = f"Effective sample size by temperature{of}"
    return fold(text(caption), table(caption, columns, rows), kind="data")
