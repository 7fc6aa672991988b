"""What a mixture holds: shares of bytes by group, and where a step drew it what was asked, was there and was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, fold, rest_of, table
from pipeline.report.reading import Facts
from pipeline.report.wording import count, number, plural, share, short, size, text

FILE: Final = "/mixture.json"
SHOWN: Final = 40
"""Groups that are shown by name, those with most bytes first."""
SAID: Final = 8
"""Sentences on what could not be met that are not folded away."""
_AMOUNTS: Final = ("asked", "available", "drawn")

Found = Mapping[str, Any]


def mixture(run: Facts, name: str) -> str:
    """The mixture in one file; empty where it has none."""
    found = run.json(name)
    if not isinstance(found, dict):
        return ""
    categories = found.get("categories")
    if not isinstance(categories, dict) or not categories:
        return ""
    listed = sorted(categories.items(), key=lambda item: (-float(item[1].get("bytes", 0)), item[0]))
    return _numbers(found, categories) + _groups(name, found, listed) + _unmet(found)


def _numbers(found: Found, categories: Mapping[str, Found]) -> str:
    """The budget and what was drawn of it, where a step drew."""
    unit = found.get("unit")
    if not isinstance(unit, str) or "budget" not in found:
        return ""
    drawn = sum(_in_unit(entry, unit).get("drawn", 0) for entry in categories.values())
    epochs = max((float(entry.get("epochs", 0)) for entry in categories.values()), default=0)
    pairs = [
        ("Groups by", code(found.get("by", "category"))),
        ("Budget", _amount(found["budget"], unit)),
        ("Drawn", f"{_amount(drawn, unit)} <small>{share(drawn, found['budget'])}</small>"),
        ("Documents drawn", count(sum(entry.get("documents", 0) for entry in categories.values()))),
        ("Most epochs of a group", f"{number(epochs)} <small>of {count(found.get('max_epochs', 1))} allowed</small>"),
    ]
    return facts(pairs)


def _groups(name: str, found: Found, listed: Sequence[tuple[str, Found]]) -> str:
    """A row for each group. Amounts are in the unit of the draw where there is one, else in bytes."""
    unit = str(found.get("unit", "bytes"))
    entries = [_in_unit(entry, unit) for _, entry in listed]
    amounts = [key for key in _AMOUNTS if all(key in entry for entry in entries)]
    more = [key for key in ("share", "epochs") if all(key in entry for _, entry in listed)]
    heads = {"share": "share asked", "epochs": "epochs"}
    columns = [Column(code(found.get("by", "category"))), Column('<span class="unseen">bar</span>')]
    columns += [Column("of bytes", True), *(Column(key, True) for key in amounts)]
    columns += [Column(heads[key], True) for key in more]
    most = max(float(entry.get("bytes", 0)) for _, entry in listed)
    rows = []
    for (group, entry), sizes in list(zip(listed, entries, strict=True))[:SHOWN]:
        part = float(entry.get("bytes", 0))
        cells = [code(group), bar([Segment(part, "size")], most, ""), share(part, 1)]
        cells += [_amount(sizes[key], unit) for key in amounts]
        rows.append(cells + [share(entry[key], 1) if key == "share" else number(entry[key]) for key in more])
    if len(listed) > SHOWN:
        part = sum(float(entry.get("bytes", 0)) for _, entry in listed[SHOWN:])
        cells = [rest_of(len(listed) - SHOWN, "group"), "", share(part, 1)]
        cells += [_amount(sum(entry[key] for entry in entries[SHOWN:]), unit) for key in amounts]
        rows.append(cells + ["" for _ in more])
    return table(f"Mixture {name}", columns, rows, kind="bars")


def _unmet(found: Found) -> str:
    """What was asked for and is not there, in the step's words."""
    lines = [text(line) for line in found.get("unmet", ())]
    if not lines:
        return ""
    shown = "".join(f'<p class="warning">{line}</p>' for line in lines[:SAID])
    if len(lines) <= SAID:
        return shown
    rest = "".join(f"<p>{line}</p>" for line in lines[SAID:])
    return shown + fold(f"{plural(len(lines) - SAID, 'more group')} with less than was asked", rest)


def _in_unit(entry: Found, unit: str) -> Found:
    """A group's amounts in the unit of the draw."""
    own = entry.get(unit)
    return own if isinstance(own, dict) else entry


def _amount(value: float, unit: str) -> str:
    """An amount with its unit.

    >>> _amount(1500, "bytes"), _amount(1500, "docs"), _amount(1_500_000, "chars")
    ('1.50 kB', '1,500 docs', '1,500,000 chars')
    """
    return size(value) if unit == "bytes" else f"{count(value) if unit == 'docs' else short(value)} {unit}"
