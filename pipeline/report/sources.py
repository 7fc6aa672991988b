"""Where documents come from: the inputs, what was unreadable, and what each source kept at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.report.markup import Column, code, fold, rest_of, section, table
from pipeline.report.reading import Facts, Pair, Step, top
from pipeline.report.wording import DASH, count, plural, share, size

SHOWN: Final = 20
INPUTS_SHOWN: Final = 40
LOST: Final = 0.05
"""A source that keeps less than this of its rows, and less than half of what the step keeps of all, is warned of."""
WARNINGS: Final = 8
FEW: Final = 10
"""Sources with fewer rows than this are too small to warn of."""


def sources(run: Facts) -> str:
    """The section: warnings, the table of kept shares, the inputs, what was quarantined."""
    warnings = "".join(f"<li>{line}</li>" for line in _warnings(run))
    body = f'<ul class="warning">{warnings}</ul>' if warnings else ""
    body += _heat(run) + _inputs(run) + _quarantined(run)
    num_kept = sum(rows > 0 for rows, _ in run.kept("by_source").values())
    inputs = run.manifest.get("inputs", ())
    lede = f"{plural(len(inputs), 'input')}; documents of {plural(num_kept, 'source')} were kept."
    return section("sources", "Sources", lede, body)


def _pairs(step: Step) -> dict[str, Pair]:
    """Rows in and rows kept of each source."""
    return {source: (rows_in, kept) for source, (rows_in, kept) in sorted(step.sources.items())}


def _whole(run: Facts) -> dict[str, Pair]:
    """Rows of each source before the first step that counted them, and rows kept in the end."""
    first = next((_pairs(step) for step in run.steps if step.sources), {})
    kept = run.kept("by_source")
    return {
        source: (first.get(source, (0, 0))[0] or kept.get(source, (0, 0))[0], kept.get(source, (0, 0))[0])
        for source in {**first, **kept}
    }


def _warnings(run: Facts) -> list[str]:
    """Pairs of source and step, those that lost most documents first."""
    lines: list[tuple[int, str]] = []
    for step in run.steps:
        pairs = _pairs(step)
        before = sum(rows for rows, _ in pairs.values())
        bar = min(LOST, 0.5 * sum(kept for _, kept in pairs.values()) / before) if before else 0
        for source, (rows, kept) in pairs.items():
            if rows >= FEW and (kept == 0 or kept / rows < bar):
                what = "everything" if kept == 0 else f"all but {share(kept, rows)}"
                numbers = f"{count(kept)} of {count(rows)} documents kept"
                lines.append((rows - kept, f"{code(source)} lost {what} at {code(step.name)}: {numbers}."))
    shown = [line for _, line in sorted(lines, key=lambda entry: (-entry[0], entry[1]))]
    if len(shown) > WARNINGS + 1:
        rest = plural(len(shown) - WARNINGS, "further pair")
        shown = [*shown[:WARNINGS], f"The same holds for {rest} of source and step: see the table."]
    return shown


def _heat(run: Facts) -> str:
    """Sources by steps: the share of the source's rows that the step kept."""
    losing = [step for step in run.steps if step.num_dropped and step.sources]
    whole = _whole(run)
    if not whole:
        return ""
    shown, others = top(whole, SHOWN)
    columns = [Column("source"), Column("documents", True), *(Column(code(step.name), True) for step in losing)]
    columns += [Column("kept", True), Column("text kept", True)]
    rows = [_heat_row([name], code(name), losing, whole, run) for name, _ in shown]
    if others:
        names = [name for name, _ in others]
        rows.append(_heat_row(names, rest_of(len(names), "source"), losing, whole, run))
    return table("Share of each source that each step kept", columns, rows, kind="heat")


def _heat_row(names: list[str], label: str, losing: list[Step], whole: Mapping[str, Pair], run: Facts) -> list[str]:
    cells = [label, count(sum(whole[name][0] for name in names))]
    for step in losing:
        pairs = [step.sources[name] for name in names if name in step.sources]
        cells.append(_cell(sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)))
    by_source = run.kept("by_source")
    cells.append(_cell(sum(whole[name][0] for name in names), sum(whole[name][1] for name in names)))
    return [*cells, size(sum(by_source.get(name, (0, 0))[1] for name in names))]


def _cell(rows: int, kept: int) -> str:
    """A share whose ground is the stronger the more was lost."""
    if not rows:
        return f'<span class="quiet">{DASH}</span>'
    lost = 1 - kept / rows
    level = 0 if lost == 0 else min(1 + int(lost * 5), 5)
    return f'<span class="heat-{level}">{share(kept, rows)}</span>'


def _inputs(run: Facts) -> str:
    entries = run.manifest.get("inputs", ())
    columns = [Column("input"), Column("role"), Column("files", True), Column("rows read", True)]
    columns += [Column("quarantined", True), Column("text", True), Column("shards", True)]
    rows = [_input_row(entry, run.role(entry.get("name", ""))) for entry in entries]
    body = table("Inputs", columns, rows[:INPUTS_SHOWN])
    if len(rows) > INPUTS_SHOWN:
        more = table("Further inputs", columns, rows[INPUTS_SHOWN:])
        body += fold(rest_of(len(rows) - INPUTS_SHOWN, "input"), more)
    return body if rows else ""


def _input_row(entry: Mapping[str, Any], role: str) -> list[str]:
    bad = sum(entry.get("quarantined", {}).values())
    return [
        code(entry.get("name", "")), code(role), count(entry.get("files", 0)), count(entry.get("rows_read", 0)),
        count(bad), size(entry.get("bytes", 0)), count(entry.get("shards", 0)),
    ]  # fmt: skip


def _quarantined(run: Facts) -> str:
    """Unreadable rows by input and cause; rows whose id an earlier row has are known only together."""
    entries = [entry for entry in run.manifest.get("inputs", ()) if entry.get("quarantined")]
    rows = [
        [code(entry.get("name", "")), code(cause), count(number), share(number, entry.get("rows_read", 0))]
        for entry in entries
        for cause, number in sorted(entry["quarantined"].items())
    ]
    corpus = sum(sum(e["quarantined"].values()) for e in entries if run.role(e.get("name", "")) == "corpus")
    repeated = run.rows["quarantined"] - corpus
    if repeated > 0:
        part = share(repeated, run.rows["read"])
        rows.append(["all inputs", "an earlier row has the same id", count(repeated), part])
    columns = [Column("input"), Column("cause"), Column("rows", True), Column("of its rows", True)]
    return table("Quarantined rows by cause", columns, rows) if rows else ""
