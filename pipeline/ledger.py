"""Counts: what each step read, kept, dropped and why; mergeable, so that shards add up in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from pipeline.thresholds import Explored

EXAMPLES: Final = 3
"""Dropped documents per rule that the report may show: those with the smallest (hash of id, id)."""
EXCERPT_CHARS: Final = 200
REVISION: Final = 3
"""Goes up when the same rows are counted in another way: what was counted before is then counted again."""


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
    explored: Explored = field(default_factory=Explored)

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
        self.explored.add(other.explored)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for a descriptor; counters as sorted objects."""
        return {**self.shown(), "explored": self.explored.packed()}

    def shown(self) -> dict[str, Any]:
        """Plain JSON for the manifest, without `explored`, of which it holds but a part."""
        content = {name: value for name, value in vars(self).items() if name != "explored"}
        content["dropped"] = dict(sorted(self.dropped.items()))
        content["audited"] = dict(sorted(self.audited.items()))
        content["scores"] = {
            name: dict(sorted(c.items(), key=lambda kv: float(kv[0]))) for name, c in self.scores.items()
        }
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> NodeCounts:
        """The inverse of `to_json`."""
        counts = cls(**{**content, "explored": Explored.unpacked(content["explored"])})
        counts.dropped = Counter(counts.dropped)
        counts.audited = Counter(counts.audited)
        counts.scores = {name: Counter(buckets) for name, buckets in counts.scores.items()}
        return counts


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
