"""What other thresholds would keep: by threshold, by language and source, and the documents next to the bound."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.report.bins import Axis
from pipeline.report.figures import Cut, Segment, bar, strip
from pipeline.report.markup import Column, code, fold, table
from pipeline.report.wording import count, number, plural, share, text
from pipeline.thresholds import Bound as Tried
from pipeline.thresholds import Tally

FEW: Final = 10
"""Fewer documents than this say nothing about their group."""
WORSE: Final = 0.1
"""A group that keeps less than all documents do by this much stands out."""
NAMES: Final = {"lang": "language", "source": "source"}
_DRAWN: Final = '<span class="unseen">bar</span>'


@dataclass(frozen=True)
class Explored:
    """What is known of one score: its bounds with what other thresholds keep, and its spread in groups."""

    score: str
    tried: Sequence[Tried]
    spreads: Mapping[str, Mapping[str, Mapping[str, Any]]]
    axis: Axis
    documents: int
    is_audited: bool = False

    @property
    def kind(self) -> str:
        """The class of what is dropped, or would be."""
        return "would" if self.is_audited else "lost"

    @property
    def cuts(self) -> list[Cut]:
        """The bounds as a figure draws them."""
        return [Cut(tried.value, tried.side == "low") for tried in self.tried]

    @property
    def is_worth_a_look(self) -> bool:
        """Whether there is anything to show beside the histogram."""
        return bool(self.tried) or any(len(groups) > 1 for groups in self.spreads.values())


def ladders(about: Explored) -> str:
    """For each bound a table of what other thresholds in its place would keep, this rule alone.

    The bounds that drop something stand before the others, which wait behind a line.
    """
    busy = [tried for tried in about.tried if _drops(tried)] or about.tried
    idle = [tried for tried in about.tried if tried not in busy]
    shown = [_ladder(tried, about) for tried in busy]
    shown += [fold(f"By {code(tried.rule)}, which drops none", _ladder(tried, about)) for tried in idle]
    return "".join(shown)


def _drops(tried: Tried) -> int:
    """How many documents the bound drops, its rule alone."""
    return int(tried.total.counts[0, 1 + tried.thresholds.index(tried.value)])


def _ladder(tried: Tried, about: Explored) -> str:
    head = "at least" if tried.side == "low" else "at most"
    columns = [Column(head, True), Column(_DRAWN), Column("documents", True), Column("bytes", True)]
    (docs, *dropped), (size, *dropped_bytes) = tried.total.counts.tolist()
    rungs = dict(zip(tried.thresholds, zip(dropped, dropped_bytes, strict=True), strict=True))
    none = (0, 0) if tried.side == "low" else (docs, size)
    if tried.value >= 0:  # a score without negative values has no use for negative thresholds
        rungs = {at: lost for at, lost in rungs.items() if at >= 0 or lost != none}
    read_off = {entry["threshold"]: (entry["dropped"], entry["dropped_bytes"]) for entry in tried.shares}
    rows = []
    for threshold, (lost, lost_bytes) in sorted((read_off | rungs).items()):
        is_bound = threshold == tried.value
        parts = [Segment(docs - lost, "docs"), Segment(lost, about.kind if is_bound else "stays")]
        # In full and with a hyphen: a rounded one would drop others, and this is there to be copied.
        shown = number(threshold) if threshold in rungs else repr(threshold).removesuffix(".0")
        said = [shown, share(docs - lost, docs), share(size - lost_bytes, size)]
        value, *kept = [f"<b>{cell}</b>" for cell in said] if is_bound else said
        rows.append([value, bar(parts, docs, ""), *kept])
    of = f", of {plural(docs, 'document')} that have the score" if docs < about.documents else ""
    return table(f"Kept by {tried.rule} alone{of}", columns, rows, kind="ladder")


def spreads(about: Explored) -> list[str]:
    """Tables by language and by source: a strip for each of the largest, and for those that a bound hits hardest."""
    return [shown for by in ("lang", "source") if by in about.spreads and (shown := _strips(about, by))]


def _strips(about: Explored, by: str) -> str:
    groups = about.spreads[by]
    others = _others(about.tried, by, groups)
    if len(groups) + bool(others) < 2:
        return ""
    rows = []
    for name, spread in sorted(groups.items(), key=lambda item: (-item[1]["documents"], item[0])):
        tallies = [tried.groups.get(by, {}).get(name) for tried in about.tried]
        rows.append(_strip(about, f'<span title="{text(name)}">{code(name)}</span>', spread, tallies))
    if others:
        rows.append(_strip(about, "others", {}, others))
    columns = [Column(NAMES[by]), Column('<span class="unseen">spread</span>')]
    columns += [Column("documents", True), *([Column("kept", True)] if about.tried else [])]
    return table(f"{about.score} by {NAMES[by]}", columns, rows, kind=f"strips {by}")


def _strip(about: Explored, name: str, spread: Mapping[str, Any], tallies: Sequence[Tally | None]) -> list[str]:
    known = [tally for tally in tallies if tally is not None]
    docs = known[0].documents if known else spread["documents"]
    picture = strip(spread["quantiles"], about.axis, about.cuts, kind=about.kind) if spread else ""
    if not about.tried:
        return [name, picture, count(docs)]
    kept = docs - _dropped(about.tried, tallies)
    whole = about.tried[0].total.documents
    of_all = 1 - _dropped(about.tried, [tried.total for tried in about.tried]) / max(whole, 1)
    shown = share(kept, docs)
    stands_out = docs >= FEW and kept / docs < of_all - WORSE
    mark = "would" if about.is_audited else "drop"
    return [name, picture, count(docs), f'<b class="{mark}">{shown}</b>' if stands_out else shown]


def _dropped(tried: Sequence[Tried], tallies: Sequence[Tally | None]) -> int:
    """What the bounds of one score drop together: nothing lies both below the one and above the other."""
    return sum(
        int(tally.counts[0, 1 + bound.thresholds.index(bound.value)])
        for bound, tally in zip(tried, tallies, strict=True)
        if tally is not None
    )


def _others(tried: Sequence[Tried], by: str, names: Collection[str]) -> list[Tally]:
    """What is left of each bound's totals without the groups of these names; [] where that is nothing."""
    left = []
    for bound in tried:
        shown = sum(tally.counts for name, tally in bound.groups.get(by, {}).items() if name in names)
        left.append(Tally(bound.total.counts - shown))
    return left if any(tally.documents for tally in left) else []


def neighbours(about: Explored) -> str:
    """Behind a line for each bound: the documents that it only just drops, and those that it only just keeps."""
    return "".join(_neighbours(tried, about.is_audited) for tried in about.tried)


def _neighbours(tried: Tried, is_audited: bool) -> str:
    dropped, kept = (tried.nearest.get(where, []) for where in ("dropped", "kept"))
    if not dropped and not kept:
        return ""
    is_low, bound = tried.side == "low", number(tried.value)
    gone = "would be dropped" if is_audited else "dropped"
    sides = [(dropped, f"Just {'below' if is_low else 'above'} {bound}: {gone}", "would" if is_audited else "lost")]
    sides.append((kept, f"{bound} or just {'above' if is_low else 'below'}: kept by this rule", "docs"))
    blocks = [
        f'<div class="side {kind}"><h4>{title}</h4><ul>{"".join(map(_neighbour, shown))}</ul></div>'
        for shown, title, kind in (sides if is_low else reversed(sides))
        if shown
    ]
    summary = f"Nearest to {bound}: {plural(len(dropped), 'document')} {gone}, {count(len(kept))} kept"
    return fold(summary, f'<div class="sides-by-side">{"".join(blocks)}</div>', kind="nearest")


def _neighbour(example: Mapping[str, Any]) -> str:
    named = [code(example["id"]) if example.get("id") else '<span class="quiet">no id</span>']
    named += [code(example[name]) for name in ("source", "lang") if example.get(name)]
    excerpt = example.get("excerpt")
    shown = (
        f'<blockquote dir="auto" tabindex="0">{text(excerpt)}</blockquote>'
        if excerpt is not None
        else '<p class="quiet">Its text is not shown.</p>'
    )
    joined = " \u00b7 ".join(named)
    return f'<li><p class="id"><b>{number(example["value"])}</b> {joined}</p>{shown}</li>'
