"""Counts: what each step read, kept, dropped and why; mergeable, so that shards add up in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES: Final = 3
"""Dropped documents per rule that the report may show: those with the smallest (hash of id, id)."""
EXCERPT_CHARS: Final = 200


@dataclass
class NodeCounts:
    """What one node did to the rows of one shard, or of all shards once added up."""

    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_rewritten: int = 0
    rows_computed: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    audited: Counter[str] = field(default_factory=Counter)
    sources: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, other: NodeCounts) -> None:
        """Add another shard's counts."""
        for name in ("rows_in", "rows_out", "bytes_in", "bytes_out", "bytes_rewritten", "rows_computed", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.dropped.update(other.dropped)
        self.audited.update(other.audited)
        for source, counts in other.sources.items():
            have = self.sources.setdefault(source, [0, 0])
            self.sources[source] = [have[0] + counts[0], have[1] + counts[1]]
        for score, buckets in other.scores.items():
            self.scores.setdefault(score, Counter()).update(buckets)
        for rule, examples in other.examples.items():
            together = self.examples.get(rule, []) + examples
            self.examples[rule] = sorted(together, key=lambda e: (e["order"], e["id"] or ""))[:EXAMPLES]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; counters as sorted objects."""
        content = dict(vars(self))
        content["dropped"] = dict(sorted(self.dropped.items()))
        content["audited"] = dict(sorted(self.audited.items()))
        content["scores"] = {
            name: dict(sorted(c.items(), key=lambda kv: float(kv[0]))) for name, c in self.scores.items()
        }
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> NodeCounts:
        """The inverse of `to_json`."""
        counts = cls(**content)
        counts.dropped = Counter(counts.dropped)
        counts.audited = Counter(counts.audited)
        counts.scores = {name: Counter(buckets) for name, buckets in counts.scores.items()}
        return counts


def score_buckets(column: pa.ChunkedArray) -> Counter[str]:
    """A score's distribution in buckets of 1/32 relative width: lower edge (as text) -> rows. Nulls and NaN left out.

    >>> score_buckets(pa.chunked_array([[0.5, 0.5, 100.0, None]]))
    Counter({'0.5': 2, '100.0': 1})
    """
    values = column.drop_null().cast(pa.float64()).to_numpy()
    values = np.clip(values[np.isfinite(values)], -1e300, 1e300)
    mantissa, exponent = np.frexp(values)
    edges: NDArray[np.float64] = np.ldexp(np.floor(mantissa * 64), exponent - 6)
    found, counts = np.unique(edges, return_counts=True)
    return Counter({repr(float(edge)): int(count) for edge, count in zip(found, counts, strict=True)})


def count_by_source(before: pa.ChunkedArray, kept: pa.Array) -> dict[str, list[int]]:
    """Rows in and rows kept by source."""
    table = (
        pa.table({"source": before, "kept": kept.cast(pa.int64())})
        .group_by("source")
        .aggregate([("kept", "count"), ("kept", "sum")])
    )
    return {
        str(row["source"]): [row["kept_count"], row["kept_sum"]]
        for row in sorted(table.to_pylist(), key=lambda row: str(row["source"]))
    }
