"""Sets of duplicates by example: the text that stays beside the text that went, with what differs marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.differences import LONGEST, marked
from pipeline.report.markup import Column, code, fold, table
from pipeline.report.wording import count, number, plural

CLUSTERS: Final = 8
PAIRS: Final = 3
"""Shown of a cluster."""
CLOSEST: Final = 4

Found = Mapping[str, Any]


def largest(found: Found) -> str:
    """The largest sets, each with what went beside what stays, or by name where their documents are equal."""
    clusters = found.get("largest", ())[:CLUSTERS]
    if not clusters:
        return ""
    if not any("excerpt" in pair for cluster in clusters for pair in cluster.get("removed", ())):
        return _named(clusters)
    blocks = [_block(cluster, is_open=place == 0) for place, cluster in enumerate(clusters)]
    note = "Of each, the removed documents least like the one that stays; what differs is marked."
    return f'<h4>The largest sets</h4><p class="why quiet">{note}</p>{"".join(blocks)}'


def _block(cluster: Found, *, is_open: bool) -> str:
    head = f"<b>{plural(cluster.get('documents', 0), 'document')}</b>, {_who(cluster.get('survivor', {}))} stays"
    pairs = "".join(_pair(pair, cluster) for pair in cluster.get("removed", ())[:PAIRS])
    return fold(head, pairs, is_open=is_open)


def _named(clusters: Sequence[Found]) -> str:
    """Sets of equal documents: nothing to compare."""
    columns = [Column("stays"), Column("documents", True), Column("some that went")]
    rows = [
        [
            code(cluster.get("survivor", {}).get("id", "")),
            count(cluster.get("documents", 0)),
            ", ".join(_who(pair) for pair in cluster.get("removed", ())[:PAIRS]),
        ]
        for cluster in clusters
    ]
    return table("The largest sets", columns, rows)


def closest(found: Found) -> str:
    """The removed documents least similar to their survivors, one of a set: a wrong threshold shows here."""
    pairs = [
        (pair, cluster)
        for cluster in found.get("closest", ())
        for pair in cluster.get("removed", ())[:1]
        if pair.get("similarity", 1) < 1 and "excerpt" in pair
    ][:CLOSEST]
    if not pairs:
        return ""
    body = "".join(_pair(pair, cluster) for pair, cluster in pairs)
    lowest = number(_floored(pairs[0][0]["similarity"]))
    title = f"The closest calls: removed at a similarity of {lowest} and a little more"
    return fold(title, '<p class="why quiet">If these should stay, raise the threshold.</p>' + body, is_open=True)


def _pair(pair: Found, cluster: Found) -> str:
    """Two excerpts beside each other: the one that stays, the one that went."""
    gone, best = str(pair.get("excerpt", "")), str(pair.get("survivor_excerpt", ""))
    right, left = marked(gone, best)
    start = int(pair.get("start", 0))
    where = f' <span class="quiet">from character {count(start)} on, where they begin to differ</span>' if start else ""
    similarity = number(_floored(pair.get("similarity", 0)))
    kept = f'<p class="id">stays: {_who(cluster.get("survivor", {}))}</p>{_quote(left, best, start)}'
    went = f'<p class="id"><span class="drop">went:</span> {_who(pair)}, similarity <b>{similarity}</b>{where}</p>'
    return f'<div class="pair"><div>{kept}</div><div>{went}{_quote(right, gone, start)}</div></div>'


def _floored(similarity: float) -> float:
    """Three digits, never rounded up to what it is not.

    >>> _floored(0.99999), _floored(0.8)
    (0.999, 0.8)
    """
    return int(similarity * 1000 + 1e-9) / 1000


def _quote(content: str, given: str, start: int) -> str:
    before = "\u2026 " if start else ""
    after = " \u2026" if len(given) >= LONGEST else ""
    return f'<blockquote dir="auto" tabindex="0">{before}{content}{after}</blockquote>'


def _who(document: Found) -> str:
    source = f' <span class="quiet">from</span> {code(document["source"])}' if document.get("source") else ""
    return f"{code(document.get('id', ''))}{source}"
