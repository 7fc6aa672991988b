"""Which sets of duplicates a person should see: sizes of all of them, and a few by name.

`Chosen` folds the rows of `clusters` (see `operators.near_duplicates`), part by part, into something that does not
grow with the corpus: how many clusters there are of each size, how similar the removed documents were to their
survivors, the largest clusters, and those that lost a document least like its survivor. Of each it names a few.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Context, Outputs, TableFold

LARGEST: Final = 8
"""Clusters named because they are large."""
CLOSEST: Final = 8
"""Clusters named because a document went that was hardly similar enough."""
MEMBERS: Final = 3
"""Removed documents named of a large cluster: those least similar to the survivor."""

CHOSEN: Final = pa.schema(
    [
        ("what", pa.string()),
        ("bucket", pa.int64()),
        ("clusters", pa.int64()),
        ("documents", pa.int64()),
        ("cluster_id", pa.string()),
        ("survivor_id", pa.string()),
        ("id", pa.string()),
        ("similarity", pa.float64()),
    ]
)
"""`what` is `size` or `similarity` for a count by `bucket`, `largest` or `closest` for a document that is named.

A count of `similarity` has its documents alone; a named document has its cluster's `documents`, the survivor counted.
"""

Rows = list[dict[str, object]]
Starts = npt.NDArray[np.int64]


class Chosen(TableFold):
    """Sums and names over the table `of` (STAGE/TABLE), whose parts hold whole clusters sorted by `cluster_id`."""

    of: str

    @override
    def source(self) -> str:
        return f"stage:{self.of}"

    @override
    def bind(self, context: Context) -> BatchFn:
        return choose

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return _merged(state)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_chosen": self.merge(state)}


def size_bucket(documents: int) -> int:
    """Clusters are counted by powers of two: the bucket b > 0 holds those of 2^(b-1) + 1 to 2^b documents.

    >>> [size_bucket(documents) for documents in (1, 2, 3, 4, 5, 8, 9)]
    [0, 1, 2, 2, 3, 3, 4]
    """
    return (documents - 1).bit_length()


def similarity_bucket(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Hundredths: 87 holds [0.87, 0.88), and 100 what is equal. 0.29 and the like are not pushed down by rounding.

    >>> similarity_bucket(np.array([0.8, 0.879, 0.29, 1.0])).tolist()
    [80, 87, 29, 100]
    """
    found: npt.NDArray[np.int64] = np.floor(similarity * 100 + 1e-9).astype(np.int64)
    return found


def choose(clusters: pa.Table) -> pa.Table:
    """What one part of `clusters` says."""
    table = clusters.filter(pc.not_equal(clusters["status"], "alone")).combine_chunks()
    if not table.num_rows:
        return CHOSEN.empty_table()
    names = table["cluster_id"]
    follows = pc.equal(names.slice(1), names.slice(0, table.num_rows - 1)).to_numpy()
    edges = np.flatnonzero(np.append(np.append(True, ~follows), True))
    starts, sizes = edges[:-1], np.diff(edges)
    removed = pc.equal(table["status"], "removed").to_numpy()
    similarity = np.where(removed, table["similarity"].to_numpy(), np.inf)
    least = np.minimum.reduceat(similarity, starts)
    large = np.argsort(-sizes, kind="stable")[:LARGEST]
    close = np.argsort(least, kind="stable")[:CLOSEST]
    rows = [*_sizes(sizes), *_similarities(table["similarity"].to_numpy()[removed])]
    for what, places, most in (("largest", large, MEMBERS), ("closest", close, 1)):
        for place in places.tolist():
            rows += _named(what, table.slice(int(starts[place]), int(sizes[place])), most)
    return pa.Table.from_pylist(rows, schema=CHOSEN)


def _sizes(sizes: Starts) -> Rows:
    values, counts = np.unique(sizes, return_counts=True)
    return [
        {"what": "size", "bucket": size_bucket(size), "clusters": number, "documents": size * number}
        for size, number in zip(values.tolist(), counts.tolist(), strict=True)
    ]


def _similarities(similarity: npt.NDArray[np.float64]) -> Rows:
    values, counts = np.unique(similarity_bucket(similarity), return_counts=True)
    return [
        {"what": "similarity", "bucket": bucket, "clusters": 0, "documents": number}
        for bucket, number in zip(values.tolist(), counts.tolist(), strict=True)
    ]


def _named(what: str, cluster: pa.Table, most: int) -> Rows:
    """The removed documents of one cluster that are least like their survivor."""
    removed = cluster.filter(pc.equal(cluster["status"], "removed"))
    keys = [("similarity", "ascending"), ("id", "ascending")]
    first = removed.take(pc.select_k_unstable(removed, k=most, sort_keys=keys))
    kept = first.select(["cluster_id", "survivor_id", "id", "similarity"]).to_pylist()
    return [{"what": what, "bucket": 0, "clusters": 0, "documents": cluster.num_rows, **row} for row in kept]


def _merged(state: pa.Table) -> pa.Table:
    """Sums by bucket, and of the named clusters again the first ones."""
    sums: dict[tuple[str, int], list[int]] = {}
    named: dict[str, Rows] = {"largest": [], "closest": []}
    for row in state.to_pylist():
        if row["what"] in named:
            named[row["what"]].append(row)
        else:
            found = sums.setdefault((row["what"], row["bucket"]), [0, 0])
            found[0] += row["clusters"]
            found[1] += row["documents"]
    rows: Rows = [
        {"what": what, "bucket": bucket, "clusters": clusters, "documents": documents}
        for (what, bucket), (clusters, documents) in sorted(sums.items())
    ]
    rows += _first(sorted(named["largest"], key=_by_size), LARGEST)
    rows += _first(sorted(named["closest"], key=_by_similarity), CLOSEST)
    return pa.Table.from_pylist(rows, schema=CHOSEN)


def _by_size(row: dict[str, object]) -> tuple[object, ...]:
    return -int(str(row["documents"])), row["cluster_id"], row["similarity"], row["id"]


def _by_similarity(row: dict[str, object]) -> tuple[object, ...]:
    return row["similarity"], row["cluster_id"], row["id"]


def _first(rows: Rows, most: int) -> Rows:
    """The rows of the first `most` clusters."""
    wanted = list(dict.fromkeys(row["cluster_id"] for row in rows))[:most]
    return [row for row in rows if row["cluster_id"] in wanted]
