"""Clusters of documents: how large they are, what they are about, and a map of a sample of their documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, facts, fold, rest_of, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, share, text

SHOWN: Final = 30
"""Clusters listed; the others are summed."""
HUES: Final = 8
"""Clusters that have a colour on the map, the largest; the others share one."""
POINTS: Final = 2000

_WIDTH, _HEIGHT, _MARGIN = 640, 420, 12

Found = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


def clustering(run: Facts, step: Step) -> Found:
    """The step's `clusters.json`, with what `map.json` has as `map`; empty where it left none."""
    content = _file(run, step, "/clusters.json")
    if not isinstance(content.get("clusters"), list):
        return {}
    return {**content, "map": _file(run, step, "/map.json")}


def clustered(step: Step, found: Found) -> str:
    """One step: its sizes, a table of the largest clusters, and the map."""
    clusters = sorted(found["clusters"], key=lambda entry: (-entry["documents"], entry["cluster"]))
    pairs = [("Clusters", count(len(clusters))), ("Documents", count(found.get("documents", 0)))]
    if found.get("without_vector"):
        pairs.append(("Without a vector", plural(found["without_vector"], "document")))
    hues = {entry["cluster"]: place for place, entry in enumerate(clusters[:HUES])}
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    body = facts(pairs) + _map(found["map"], clusters, hues) + _listed(clusters, hues) + _examples(clusters[:SHOWN])
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _file(run: Facts, step: Step, end: str) -> Found:
    name = next((name for name in step.artifacts if name.endswith(end)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) else {}


def _map(found: Found, clusters: Rows, hues: Mapping[int, int]) -> str:
    """Documents as dots; who points at one is told its cluster, its id and how it begins."""
    points = [point for point in found.get("points", ()) if isinstance(point, dict)][:POINTS]
    if len(points) < 2:
        return ""
    names = {entry["cluster"]: entry["name"] for entry in clusters}
    spans = [(min(values), max(values)) for axis in ("x", "y") if (values := [point[axis] for point in points])]
    x, y = (_scale(*span, size) for span, size in zip(spans, (_WIDTH, _HEIGHT), strict=True))
    # The coloured ones lie above the others.
    dots = [
        _dot(point, x(point["x"]), _HEIGHT - y(point["y"]), hues, names)
        for point in sorted(points, key=lambda point: point["cluster"] in hues)
    ]
    shares = [share(part, 1) for part in found.get("explained", ())[:2]]
    label = f"Map of {plural(len(points), 'document')}, coloured by cluster"
    keys = [f'<li><span class="key hue-{hue}"></span>{_title(cluster, names)}</li>' for cluster, hue in hues.items()]
    others = '<li><span class="key bad"></span>others</li>' if len(clusters) > len(hues) else ""
    note = f"A sample; the axes are those along which vectors differ most, {' and '.join(shares)} of all variance."
    return (
        f'<figure><figcaption><p class="caption">Map</p><p class="why quiet">{note} Point at a dot to see its '
        f'document.</p></figcaption><svg class="map" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{text(label)}">{"".join(dots)}</svg><ul class="legend">{"".join(keys)}{others}</ul></figure>'
    )


def _dot(point: Found, x: float, y: float, hues: Mapping[int, int], names: Mapping[int, str]) -> str:
    hue = hues.get(point["cluster"])
    kind = "bad" if hue is None else f"hue-{hue}"
    told = f"{_title(point['cluster'], names)}: {text(point['id'])}\n{text(point.get('excerpt') or '')}"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>{told}</title></circle>'


def _scale(low: float, high: float, size: int) -> Any:  # noqa: ANN401
    """From a coordinate to a place on the picture."""
    span = high - low or 1.0
    return lambda value: _MARGIN + (size - 2 * _MARGIN) * (value - low) / span


def _title(cluster: int, names: Mapping[int, str]) -> str:
    """A cluster's number and name, as HTML."""
    name = names.get(cluster, "")
    return f"{cluster} {text(name)}" if name else str(cluster)


def _listed(clusters: Rows, hues: Mapping[int, int]) -> str:
    columns = [Column("cluster"), Column('<span class="unseen">bar</span>'), Column("documents", True)]
    columns += [Column("mean cosine to the centre", True), Column("telling words")]
    most = max((entry["documents"] for entry in clusters), default=0)
    rows = []
    for entry in clusters[:SHOWN]:
        hue = hues.get(entry["cluster"])
        key = f'<span class="key {"bad" if hue is None else f"hue-{hue}"}"></span>'
        picture = bar([Segment(entry["documents"], "docs")], most, "")
        numbers = [count(entry["documents"]), number(entry["mean_similarity"])]
        rows.append([f"{key}{entry['cluster']}", picture, *numbers, text(", ".join(entry["words"]))])
    rest = clusters[SHOWN:]
    if rest:
        docs = sum(entry["documents"] for entry in rest)
        picture = bar([Segment(min(docs, most), "stays")], most, "")
        rows.append([rest_of(len(rest), "cluster"), picture, count(docs), "", ""])
    return table("Clusters by size", columns, rows, kind="bars")


def _examples(clusters: Rows) -> str:
    """The documents nearest to the centre of each listed cluster."""
    columns = [Column("document"), Column("cluster", True), Column("cosine", True), Column("begins")]
    rows = [
        [code(near["id"]), str(entry["cluster"]), number(near["similarity"]), text(near.get("excerpt") or "")]
        for entry in clusters
        for near in entry["nearest"][:3]
    ]
    return fold("Documents nearest to the centres", table("Nearest documents", columns, rows, kind="data"))
