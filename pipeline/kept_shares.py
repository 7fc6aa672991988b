"""Thresholds at which a given share of the documents stays, read off counts that shards add up exactly.

A histogram whose buckets are as fine as `MOST` of them allow, so that scores between 0.4995 and 0.5022 are told apart
as well as those between 1 and 10,000. A bucket is what the first bits of the mantissa leave; fewer bits make coarser
buckets whose edges are edges of the finer. The bits are the most with which no more than `MOST` buckets are occupied.
A part of the documents never occupies more buckets than all, so no shard is coarser than the sum, and neither the order
of the shards nor how the input is cut changes it. Every bucket lies on one side of its lower edge, negative ones too:
what a threshold at an edge drops is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST: Final = 256
"""Buckets, unless even one bit makes more: a score over more than a hundred powers of two."""
BITS: Final = 53
"""Of a score as it is: with few different scores each is an edge."""
SHARES: Final = (0.99, 0.95, 0.9, 0.75, 0.5)
"""The shares of the documents to keep."""


@dataclass(frozen=True)
class Edges:
    """Lower edges, and documents and bytes between each and the next; `bits` of the mantissa."""

    counts: dict[float, tuple[int, int]] = field(default_factory=dict)
    bits: int = BITS

    def plus(self, other: Edges) -> Edges:
        """Both together."""
        values = np.array([*self.counts, *other.counts], np.float64)
        weights = np.array([*self.counts.values(), *other.counts.values()], np.int64).reshape(-1, 2)
        return _counted(values, weights, min(self.bits, other.bits))

    def to_json(self) -> list[Any]:
        """The bits, then edge, documents and bytes of each bucket."""
        return [self.bits, *([edge, *counts] for edge, counts in self.counts.items())]

    @classmethod
    def from_json(cls, content: Sequence[Any]) -> Edges:
        """The inverse of `to_json`."""
        return cls({edge: (docs, size) for edge, docs, size in content[1:]}, content[0]) if content else cls()


def count_edges(values: NDArray[np.float64], sizes: NDArray[np.int64]) -> Edges:
    """Of finite scores, and the bytes of their documents."""
    return _counted(values, np.stack([np.ones(len(values), np.int64), sizes], 1), BITS)


def lower_edges(values: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """The largest number of so many bits of mantissa that is not above the value.

    >>> lower_edges(np.array([0.51, -3.1, -3.0, 0.0]), 3).tolist()
    [0.5, -3.5, -3.0, 0.0]
    """
    mantissa, exponent = np.frexp(values)
    edges: NDArray[np.float64] = np.ldexp(np.floor(np.ldexp(mantissa, bits)), exponent - bits)
    return edges + 0.0  # no negative zero


def kept_shares(edges: Edges, documents: int, *, is_negated: bool) -> list[dict[str, Any]]:
    """For each of `SHARES` the strictest edge at which at least that share stays, and what it drops; ascending.

    None where it drops nothing, or where some of the documents were not counted, as those whose score is infinite.

    >>> edges = Edges({-3.0: (5, 50), -2.0: (4, 40), -1.0: (1, 10)})
    >>> kept_shares(edges, 10, is_negated=False)
    [{'share': 0.5, 'threshold': -2.0, 'dropped': 5, 'dropped_bytes': 50}]
    """
    if sum(docs for docs, _ in edges.counts.values()) != documents:
        return []
    found: dict[float, dict[str, Any]] = {}
    below = below_bytes = 0
    for edge, (docs, size) in sorted(edges.counts.items()):
        share = max((share for share in SHARES if documents - below >= share * documents), default=0)
        if below and share:
            threshold = 0.0 - edge if is_negated else edge
            counted = {"threshold": threshold, "dropped": below, "dropped_bytes": below_bytes}
            found[share] = {"share": share, **counted}
        below += docs
        below_bytes += size
    return sorted(found.values(), key=lambda entry: entry["threshold"])


def _counted(values: NDArray[np.float64], weights: NDArray[np.int64], bits: int) -> Edges:
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    if _num_edges(values, bits) > MOST:
        low, high = 1, bits  # with `high` bits there are too many
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _num_edges(values, middle) > MOST else (middle, high)
        bits = low
    edges = lower_edges(values, bits)
    firsts = np.flatnonzero(np.diff(edges, prepend=np.nan) != 0)
    sums = np.add.reduceat(weights, firsts) if len(firsts) else weights
    pairs = zip(edges[firsts].tolist(), sums.tolist(), strict=True)
    return Edges({edge: (docs, size) for edge, (docs, size) in pairs}, bits)


def _num_edges(values: NDArray[np.float64], bits: int) -> int:
    """Of sorted values."""
    return int(np.count_nonzero(np.diff(lower_edges(values, bits)))) + 1
