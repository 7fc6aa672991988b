"""What other thresholds would keep, by language and source, and the documents nearest to each threshold.

Counted where a judge decides, for every numeric bound of its rules: how many documents and bytes each of a few round
thresholds drops, exactly; how the score is spread in each language and source, in coarse buckets; and the documents
just on this side and just on that. Everything adds up over shards in any order. `ladder.py` says which are tried.

Bounded: a shard tells at most `GROUPS` languages and as many sources apart, its largest, and fewer where a step has
more than 14 scores (`CELLS`); the sum over shards at most twice `MERGED`. Totals hold all rows whatever is told apart,
so what a group lost by this is among the others. Where no shard has more groups than that (`lid.176` knows 176
languages), every number is exact and no layout of shards changes any. A shard's counts are packed: for 14 scores 91 kB
with 40 languages.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np

from pipeline.kept_shares import Edges, kept_shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

NEAREST: Final = 3
"""Documents that are shown on either side of a bound."""
GROUPS: Final = 200
"""Languages, and sources, that one shard tells apart."""
CELLS: Final = 2800
"""Groups times scores that one shard tells apart at most."""
MERGED: Final = 1024
"""Groups that the sum over shards goes on with once it has twice as many: the largest so far, in the shards' order."""
LARGEST: Final = 8
"""Groups that the manifest holds for a bound or a score: the largest ..."""
HARDEST: Final = 4
"""... and of those with at least `ENOUGH` documents the ones that the bound hits hardest."""
ENOUGH: Final = 100
POINTS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that the manifest has of a score in a group."""
Side = Literal["low", "high"]
Value = TypeVar("Value")


@dataclass
class Tally:
    """Documents and bytes, and how many of them each threshold drops: int64[2, 1 + thresholds], the total first."""

    counts: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        (documents, *dropped), (size, *dropped_bytes) = self.counts.tolist()
        return {"documents": documents, "bytes": size, "dropped": dropped, "dropped_bytes": dropped_bytes}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """The inverse of `to_json`."""
        rows = [content["documents"], *content["dropped"]], [content["bytes"], *content["dropped_bytes"]]
        return cls(np.array(rows, np.int64))

    @property
    def documents(self) -> int:
        """All documents."""
        return int(self.counts[0, 0])

    def dropped_share(self, place: int) -> float:
        """The share of documents that the threshold at that place drops."""
        return float(self.counts[0, 1 + place] / max(self.documents, 1))


Groups = dict[str, dict[str, Tally]]
"""By what ("lang", "source"), then by its value."""
Spread = dict[str, dict[str, dict[str, int]]]
"""By what, its value, and the lower edge of a coarse bucket (a quarter of a power of two): documents."""


@dataclass
class Bound:
    """One side of a rule: its bound, and what it and other thresholds in its place drop, this rule alone."""

    rule: str
    score: str
    side: Side
    value: float
    thresholds: tuple[float, ...]
    total: Tally
    groups: Groups = field(default_factory=dict)
    nearest: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    edges: Edges = field(default_factory=Edges)
    """What thresholds of a share to keep are read off; of `-score` where the bound is high. Empty in a manifest."""
    shares: list[dict[str, Any]] = field(default_factory=list)
    """In a manifest: `share`, `threshold`, `dropped`, `dropped_bytes`."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What is the same in every shard."""
        return self.rule, self.score, self.side

    def add(self, other: Bound) -> None:
        """Add another shard's counts."""
        self.total = Tally(self.total.counts + other.total.counts)
        self.edges = self.edges.plus(other.edges)
        for by, tallies in other.groups.items():
            mine = self.groups.setdefault(by, {})
            for name, tally in tallies.items():
                mine[name] = Tally(mine[name].counts + tally.counts) if name in mine else tally
            if len(mine) > 2 * MERGED:
                self.groups[by] = _largest(mine, {n: t.documents for n, t in mine.items()}, MERGED)
        for where, examples in other.nearest.items():
            self.nearest[where] = nearest_of([*self.nearest.get(where, ()), *examples], self.value)

    def shortened(self) -> Bound:
        """With the groups that the manifest holds."""
        place = self.thresholds.index(self.value)
        groups = {by: _chosen(tallies, place) for by, tallies in self.groups.items()}
        shares = kept_shares(self.edges, self.total.documents, is_negated=self.side == "high")
        return replace(self, groups=groups, edges=Edges(), shares=shares)

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        groups = {
            by: {name: tally.to_json() for name, tally in sorted(tallies.items())}
            for by, tallies in sorted(self.groups.items())
        }
        named = {"rule": self.rule, "score": self.score, "side": self.side, "bound": self.value}
        counted = {"thresholds": list(self.thresholds), **self.total.to_json(), "groups": groups}
        read_off = {"edges": self.edges.to_json()} if self.edges.counts else {"shares": self.shares}
        return {**named, **counted, "nearest": self.nearest, **read_off}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Bound:
        """The inverse of `to_json`."""
        groups = {
            by: {name: Tally.from_json(tally) for name, tally in tallies.items()}
            for by, tallies in content["groups"].items()
        }
        rule, score, side, value = (content[name] for name in ("rule", "score", "side", "bound"))
        tried, total = tuple(content["thresholds"]), Tally.from_json(content)
        edges, shares = Edges.from_json(content.get("edges", [])), content.get("shares", [])
        return cls(rule, score, side, value, tried, total, groups, content["nearest"], edges, shares)


@dataclass
class Explored:
    """All of this for one node: over one shard, or over all of them once added up."""

    bounds: list[Bound] = field(default_factory=list)
    spreads: dict[str, Spread] = field(default_factory=dict)
    score_bytes: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, other: Explored) -> None:
        """Add another shard's counts."""
        mine = {bound.key: bound for bound in self.bounds}
        for bound in other.bounds:
            if bound.key in mine:
                mine[bound.key].add(bound)
            else:
                self.bounds.append(Bound.from_json(bound.to_json()))
        for score, spread in other.spreads.items():
            _add_spread(self.spreads.setdefault(score, {}), spread)
        for score, buckets in other.score_bytes.items():
            _add_counts(self.score_bytes.setdefault(score, {}), buckets)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with every group, in no order: it is read by `from_json` alone."""
        bounds = [bound.to_json() for bound in self.bounds]
        return {"thresholds": bounds, "spreads": self.spreads, "score_bytes": self.score_bytes}

    def shown(self) -> dict[str, Any]:
        """What the manifest holds: of the groups those that matter most, and for each the quantiles of its scores."""
        bounds = [bound.shortened() for bound in self.bounds]
        spreads = {
            score: {
                by: {name: _quantiles(buckets) for name, buckets in sorted(groups.items())}
                for by, groups in sorted(_short_spread(spread, score, bounds).items())
            }
            for score, spread in sorted(self.spreads.items())
        }
        return {
            "thresholds": [bound.to_json() for bound in bounds],
            "spreads": spreads,
            "score_bytes": {score: _by_edge(buckets) for score, buckets in sorted(self.score_bytes.items())},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Explored:
        """The inverse of `to_json`."""
        bounds = [Bound.from_json(bound) for bound in content["thresholds"]]
        return cls(bounds, content["spreads"], content["score_bytes"])

    def packed(self) -> str:
        """For a shard's descriptor: "" where there is nothing."""
        if not (self.bounds or self.score_bytes):
            return ""
        text = json.dumps(self.to_json(), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
        return base64.b64encode(zlib.compress(text.encode(), 1)).decode()

    @classmethod
    def unpacked(cls, text: str) -> Explored:
        """The inverse of `packed`."""
        return cls.from_json(json.loads(zlib.decompress(base64.b64decode(text)))) if text else cls()


def nearest_of(examples: Iterable[dict[str, Any]], bound: float) -> list[dict[str, Any]]:
    """The first few by distance from the bound, then by a hash of the id, then by id: the same for any sharding."""
    return sorted(examples, key=lambda e: (abs(e["value"] - bound), e["order"], e["id"] or ""))[:NEAREST]


def quantiles(buckets: Mapping[str, int]) -> list[float]:
    """About the values below which `POINTS` of the rows lie, from coarse buckets: rows spread evenly in each.

    >>> quantiles({"0.0": 5, "0.5": 5, "1.0": 10})
    [0.0, 0.0, 0.625, 1.125, 1.225]
    """
    ordered = sorted((float(edge), rows) for edge, rows in buckets.items())
    total = sum(rows for _, rows in ordered)
    found, passed, place = [], 0, 0
    for point in POINTS:
        while passed + ordered[place][1] < point * total and place < len(ordered) - 1:
            passed += ordered[place][1]
            place += 1
        low, rows = ordered[place]
        width = math.ldexp(0.125, math.frexp(low)[1]) if low else 0.0
        found.append(float(f"{low + width * min((point * total - passed) / rows, 1.0):.4g}"))
    return found


def _quantiles(buckets: Mapping[str, int]) -> dict[str, Any]:
    return {"documents": sum(buckets.values()), "quantiles": quantiles(buckets)}


def _add_counts(mine: dict[str, int], other: Mapping[str, int]) -> None:
    for edge, rows in other.items():
        mine[edge] = mine.get(edge, 0) + rows


def _add_spread(mine: Spread, other: Spread) -> None:
    for by, groups in other.items():
        have = mine.setdefault(by, {})
        for name, buckets in groups.items():
            _add_counts(have.setdefault(name, {}), buckets)
        if len(have) > 2 * MERGED:
            mine[by] = _largest(have, {name: sum(buckets.values()) for name, buckets in have.items()}, MERGED)


def _largest(values: Mapping[str, Value], sizes: Mapping[str, int], most: int) -> dict[str, Value]:
    ranked = sorted(values, key=lambda name: (-sizes[name], name))[:most]
    return {name: values[name] for name in ranked}


def _chosen(tallies: Mapping[str, Tally], place: int) -> dict[str, Tally]:
    """The largest groups, and of the others those that lose most at the bound."""
    chosen = _largest(tallies, {name: tally.documents for name, tally in tallies.items()}, LARGEST)
    others = [name for name, tally in tallies.items() if name not in chosen and tally.documents >= ENOUGH]
    hit = [name for name in others if tallies[name].counts[0, 1 + place]]
    hardest = sorted(hit, key=lambda name: (-tallies[name].dropped_share(place), name))[:HARDEST]
    return {**chosen, **{name: tallies[name] for name in hardest}}


def _short_spread(spread: Spread, score: str, bounds: Iterable[Bound]) -> Spread:
    """The groups of the score's bounds; where it has none, the largest."""
    wanted = [bound for bound in bounds if bound.score == score]
    found: Spread = {}
    for by, groups in spread.items():
        named = dict.fromkeys(chain.from_iterable(bound.groups.get(by, ()) for bound in wanted))
        largest = _largest(groups, {name: sum(buckets.values()) for name, buckets in groups.items()}, LARGEST)
        found[by] = {name: groups[name] for name in named if name in groups} if wanted else largest
    return found


def _by_edge(buckets: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(buckets.items(), key=lambda item: float(item[0])))
