"""What deduplication removed: how large the sets are, how alike their documents, whom it cost, and pairs side by side.

All of it is read from two small files that the steps leave: `duplicates.json` of a step that keeps one document of
several, and the table `top` of a step that takes lines or paragraphs out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.report.bins import Axis, Bin
from pipeline.report.figures import Cut, Segment, bar, curve, histogram
from pipeline.report.lines import repeated_lines
from pipeline.report.markup import Column, code, facts, fold, rest_of, section, table
from pipeline.report.pairs import closest, largest
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, share, text

SOURCES: Final = 20
LANGUAGES: Final = 12
VECTORS: Final = "semantic.json"
"""What a step leaves that compares vectors."""

Found = Mapping[str, Any]


def duplicates(run: Facts) -> str:
    """The section; empty where no step left anything of the kind."""
    parts = [(step, _documents(run, step) or repeated_lines(run, step)) for step in run.steps]
    parts = [(step, body) for step, body in parts if body]
    if not parts:
        return ""
    bodies = "".join(
        f'<div class="duplicates"><h3>{code(step.name)} <span class="quiet">{text(step.kind)}</span></h3>{body}</div>'
        for step, body in parts
    )
    lede = "What was found more than once, and whom it cost. A set is a document that stays and those that went for it."
    return section("duplicates", "Duplicates", lede, bodies)


def _documents(run: Facts, step: Step) -> str:
    """A step that keeps one document of several."""
    found = _file(run, step, "duplicates.json")
    if not found:
        return ""
    removed, documents = found.get("removed", 0), found.get("documents", 0)
    head = facts(
        [
            ("Documents compared", count(documents)),
            ("Documents that would go" if step.is_audited else "Documents removed", count(removed)),
            ("Share", share(removed, documents)),
            ("Sets of more than one", count(found.get("clusters", 0))),
            *[("Documents in the largest", count(first.get("documents", 0))) for first in found.get("largest", ())[:1]],
            *_compared(run, step),
            *_by_vectors(_file(run, step, VECTORS)),
        ]
    )
    figures = _similarities(found, step, run) + _curve(run, step)
    pictures = [_sizes(found), f'<div class="histograms">{figures}</div>' if figures else ""]
    drawn = "".join(f'<div class="panel">{picture}</div>' for picture in pictures if picture)
    groups = [_groups(run, step, found, "source", SOURCES), _groups(run, step, found, "lang", LANGUAGES)]
    listed = "".join(f'<div class="panel">{group}</div>' for group in groups if group)
    panels = f'<div class="panels">{drawn}</div><div class="panels">{listed}</div>' if drawn or listed else ""
    return f"{head}{panels}{largest(found)}{closest(found)}"


def _compared(run: Facts, step: Step) -> list[tuple[str, str]]:
    """Which share of the pairs at the threshold is expected to be compared, where signatures choose the pairs."""
    found = _file(run, step, "curve.json")
    threshold, recall = found.get("threshold"), found.get("recall_at_threshold")
    if not isinstance(threshold, int | float) or not isinstance(recall, int | float):
        return []
    return [(f"Pairs at {number(threshold)} compared", f"about {share(recall, 1)}")]


def _by_vectors(found: Found) -> list[tuple[str, str]]:
    """At which cosine documents go, and in how many clusters they were compared, where vectors were."""
    if not found:
        return []
    pairs = [
        ("Cosine at which one goes", f"{number(found['threshold'])} <small>epsilon {number(found['epsilon'])}</small>"),
        ("Clusters", f"{count(found['clusters'])} <small>the largest {count(found['largest_cluster'])}</small>"),
    ]
    without = found.get("without_vector", 0)
    return pairs + ([("Without a vector, and kept", plural(without, "document"))] if without else [])


def _file(run: Facts, step: Step, file: str) -> Found:
    name = next((name for name in step.artifacts if name.endswith(f"/{file}")), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) else {}


def _sizes(found: Found) -> str:
    """Sets by the number of their documents."""
    sizes = [entry for entry in found.get("sizes", ()) if entry.get("clusters")]
    if not sizes:
        return ""
    most = max(entry["documents"] for entry in sizes)
    columns = [Column("documents in a set"), Column('<span class="unseen">bar</span>')]
    columns += [Column("sets", True), Column("documents", True)]
    rows = [
        [
            _span(entry["least"], entry["most"]),
            bar(
                [Segment(entry["clusters"], "docs"), Segment(entry["documents"] - entry["clusters"], "lost")], most, ""
            ),
            count(entry["clusters"]),
            count(entry["documents"]),
        ]
        for entry in sizes
    ]
    return table("Sets by size", columns, rows, kind="bars") + (
        '<ul class="legend"><li><span class="key docs"></span>stays</li>'
        '<li><span class="key lost-1"></span>goes</li></ul>'
    )


def _span(least: int, most: int) -> str:
    """The sizes of a row.

    >>> _span(2, 2), _span(1025, 2048)
    ('2', '1,025 to 2,048')
    """
    return count(most) if least >= most else f"{count(least)} to {count(most)}"


def _parameter(run: Facts, step: Step, name: str) -> float | None:
    """A number that the recipe gives the step."""
    for given in run.manifest.get("recipe", {}).get("steps", ()):
        if (given.get("name") or given.get("kind")) == step.name:
            value = given.get(name)
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return None


def _similarities(found: Found, step: Step, run: Facts) -> str:
    """The similarity of the removed documents to their survivors."""
    counts = {int(entry["hundredths"]): int(entry["removed"]) for entry in found.get("similarity", ())}
    if not counts or set(counts) == {100}:
        return ""
    vectors = _file(run, step, VECTORS)
    threshold = None if step.is_estimated else vectors.get("threshold") or _parameter(run, step, "threshold")
    low = min([*counts, *([round(100 * threshold)] if threshold else [])])
    # Equal sets have a column of their own, beyond the axis' 1.
    axis = Axis(max(low - 5, 0) / 100, 1.01)
    bins = [Bin(place / 100, (place + 1) / 100, rows) for place, rows in sorted(counts.items())]
    removed = sum(counts.values())
    equal = counts.get(100, 0)
    label = f"Histogram of similarity over {plural(removed, 'removed document')}, from {min(counts) / 100:g}"
    picture = histogram(bins, axis, [Cut(threshold, below=False)] if threshold else [], label)
    columns = [Column("similarity", True), Column("removed", True)]
    rows = [[number(place / 100), count(rows)] for place, rows in sorted(counts.items())]
    alike = "are estimated to be equal to" if step.is_estimated else "have all shingles of"
    alike = "have a cosine of 1 to" if vectors else alike
    note = f"{plural(removed, 'removed document')}; {share(equal, removed)} {alike} their survivor."
    kind = "Estimated similarity" if step.is_estimated else "Cosine" if vectors else "Similarity"
    return (
        '<figure><figcaption><p class="caption">How alike they are</p>'
        f'<p class="why quiet">{kind} to the document that stays, in hundredths. {note}</p></figcaption>'
        f"{picture}{fold('as a table', table('Removed documents by similarity', columns, rows), kind='data')}</figure>"
    )


def _curve(run: Facts, step: Step) -> str:
    """Which pairs are expected to be compared at all, by their similarity."""
    found = _file(run, step, "curve.json")
    points = [(point["similarity"], point["probability"]) for point in found.get("curve", ())][:1000]
    threshold = found.get("threshold")
    if len(points) < 2 or not isinstance(threshold, int | float):
        return ""
    at, above = found.get("recall_at_threshold", 0), found.get("recall_above", 0)
    banding = f"{count(found.get('bands', 0))} bands of {count(found.get('rows', 0))}"
    note = f"{banding} values: {share(at, 1)} of the pairs at the threshold {number(threshold)}, {share(above, 1)} of"
    note += " those spread evenly above it."
    label = f"Expected share of pairs compared, by similarity: {share(at, 1)} at {number(threshold)}"
    columns = [Column("similarity", True), Column("compared", True)]
    rows = [[number(x), share(y, 1)] for x, y in points if round(x * 100) % 5 == 0]
    return (
        '<figure><figcaption><p class="caption">What is expected to be found</p>'
        f'<p class="why quiet">Share of the pairs of a similarity that are compared. {note}</p></figcaption>'
        f"{curve(points, threshold, label)}"
        f"{fold('as a table', table('Pairs compared by similarity', columns, rows), kind='data')}</figure>"
    )


def _groups(run: Facts, step: Step, found: Found, by: str, most: int) -> str:
    """Sources or languages, those that lost the largest share first; a mark at what the guard allows."""
    listed = found.get(f"by_{by}", {})
    groups = [entry for entry in listed.get("groups", ()) if entry.get("documents")]
    if not groups:
        return ""
    # Of the many, the shown ones are those that lost most documents: a source of two that lost one is no news.
    shown, rest = groups[:most], groups[most:]
    shown = sorted(shown, key=lambda e: (-e["removed"] / e["documents"], -e["removed"], str(e["name"])))
    noun = "source" if by == "source" else "language"
    kind = "would" if step.is_audited else "lost"
    limit = _parameter(run, step, "max_source_drop_ratio") if by == "source" else None
    rows = [_group(code(entry["name"] or "none"), entry, kind, limit) for entry in shown]
    others = len(rest) + listed.get("others", 0)
    if others:
        sums = {name: listed.get(name, 0) + sum(entry[name] for entry in rest) for name in ("documents", "removed")}
        rows.append(_group(rest_of(others, noun), sums, kind))
    columns = [Column(noun), Column('<span class="unseen">bar</span>'), Column("share", True)]
    columns += [Column("would go" if step.is_audited else "removed", True), Column("of documents", True)]
    body = table(f"Removed by {noun}", columns, rows, kind="bars")
    if limit is None:
        return body
    note = f"The line is at {share(limit, 1)}: the run fails where a {noun} of at least 100 documents loses more"
    return body + f'<p class="why quiet">{note} (<code>max_source_drop_ratio</code>).</p>'


def _group(name: str, entry: Mapping[str, Any], kind: str, limit: float | None = None) -> list[str]:
    removed, documents = entry["removed"], entry["documents"]
    picture = bar([Segment(removed, kind), Segment(documents - removed, "stays")], documents, "", mark=limit)
    return [name, picture, f"<b>{share(removed, documents)}</b>", count(removed), count(documents)]
