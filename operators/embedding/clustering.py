"""Clusters of vectors by spherical k-means, in integers: the same for any shards, workers, blocks and processors.

Vectors and centres are integers of length 4,000 (`operators.vectors`), so every product is exact in float32 whoever
multiplies, and sums of vectors are exact in float64. A document belongs to the centre of the largest product, of equal
ones to the first. Centres are found on a sample: the documents whose hashes of seed and id are smallest, `PER_CLUSTER`
for each cluster (Lloyd's rounds; the first distinct ones are where it begins). A centre that loses all its documents
becomes the document that is farthest from its own. Centres are numbered by their documents in the sample, most first.

Price: sample * clusters * dimension multiplications a round, in one task, and 2 bytes a component of the sample.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Fold, Outputs, Resources
from operators.embedding.doubts import of_missing, warnings_file
from operators.groups import summed
from operators.hashing import row_hashes
from operators.subset_stages import NOWHERE, bucket_of
from operators.vectors import SCALE, VECTOR, Shorts, Singles, packed_rows, unpacked

Auto = Literal["auto"]
Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

PURPOSE: Final = "cluster"
MOST: Final = 65_536
"""Clusters at most."""
MOST_AUTO: Final = 8192
PER_CLUSTER: Final = 64
LEAST_SAMPLE: Final = 4096
MOST_SAMPLE: Final = 262_144
ROUNDS: Final = 12
COSINE_UNIT: Final = 4096
"""Where a threshold is looked for, it is in 1 / 4096: a cosine times a power of two is exact."""
LEVELS: Final = 64
"""Thresholds that are tried at once, a bit each."""

_BLOCK: Final = 2048
_COUNTS: Final = pa.schema([("bucket", pa.int64()), ("docs", pa.int64())])
_PLAN: Final = pa.schema([(name, pa.int64()) for name in ("docs", "without", "clusters", "last_bucket")])


class Placement(NamedTuple):
    """For each document the clusters that are nearest, nearest first, and its products with their centres."""

    clusters: Longs
    products: Longs


class Counts(Fold):
    """How many documents have vectors, how many clusters there will be, and which are in the sample: `_plan`."""

    clusters: Annotated[int, Field(ge=1)] | Auto

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            bucket = bucket_of(row_hashes(rows["id"], context.seed, PURPOSE))
            bucket[~rows[VECTOR].is_valid().to_numpy()] = NOWHERE
            return self.merge(pa.table([bucket, np.ones(rows.num_rows, np.int64)], schema=_COUNTS))

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "bucket")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        is_nowhere = pc.equal(state["bucket"], NOWHERE)
        placed = state.filter(pc.invert(is_nowhere)).sort_by("bucket")
        docs = placed["docs"].to_numpy()
        total, without = int(docs.sum()), int(state.filter(is_nowhere)["docs"].to_numpy().sum())
        clusters = automatic(total) if self.clusters == "auto" else self.clusters
        wanted = min(max(PER_CLUSTER * clusters, LEAST_SAMPLE), MOST_SAMPLE)
        last = int(np.searchsorted(np.cumsum(docs), wanted))
        bucket = placed["bucket"].to_numpy()
        cut = int(bucket[min(last, bucket.size - 1)]) if bucket.size else NOWHERE
        plan = pa.table([[total], [without], [clusters], [cut]], schema=_PLAN)
        return {"_plan": plan, **warnings_file(of_missing(total + without, without))}


class Centres(Fold):
    """The centres: `_centres`, a row for each, with its documents in the sample."""

    seeded: ClassVar[bool] = True
    resources: ClassVar[Resources] = Resources(memory_mb=1536)

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary()}

    @override
    def uses(self) -> tuple[str, ...]:
        return ("counts",)

    @override
    def bind(self, context: Context) -> BatchFn:
        last = context.artifacts["counts"].table("_plan")["last_bucket"][0].as_py()

        def partial(rows: pa.Table) -> pa.Table:
            some = rows.filter(pc.is_valid(rows[VECTOR]))
            place = row_hashes(some["id"], context.seed, PURPOSE)
            table = pa.table({"place": place, "id": some["id"].cast(pa.string()), VECTOR: some[VECTOR]})
            return table.filter(pa.array(bucket_of(place) <= last))

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        order = pc.sort_indices(state.select(["place", "id"]), [("place", "ascending"), ("id", "ascending")])
        clusters = context.artifacts["counts"].table("_plan")["clusters"][0].as_py()
        found, sizes = spherical_k_means(unpacked(state[VECTOR].take(order)), clusters)
        return {"_centres": pa.table({VECTOR: packed_rows(found.astype(np.int16)), "sampled": sizes})}


def automatic(docs: int) -> int:
    """As many clusters as make comparing with centres and inside clusters cost the same: the square root.

    >>> automatic(0), automatic(2000), automatic(10**9)
    (1, 45, 8192)
    """
    return min(max(round(math.sqrt(docs)), 1), MOST_AUTO)


def spherical_k_means(vectors: Singles, clusters: int, rounds: int = ROUNDS) -> tuple[Singles, Longs]:
    """At most so many centres of vectors of integers, those with most vectors first, and how many each has.

    There are fewer where there are fewer distinct vectors; then each of these is a centre.
    """
    if not vectors.size:
        return vectors, np.zeros(0, np.int64)
    centres = _first_distinct(vectors, clusters)
    nearest = np.full(vectors.shape[0], -1, np.int64)
    for _ in range(rounds):
        found = placed(vectors, centres)
        if np.array_equal(found.clusters[:, 0], nearest):
            break
        nearest = found.clusters[:, 0]
        centres = _moved(vectors, centres, nearest, found.products[:, 0])
    sizes = np.bincount(placed(vectors, centres).clusters[:, 0], minlength=centres.shape[0])
    order = np.argsort(-sizes, kind="stable")
    return centres[order], sizes[order]


def placed(vectors: Singles, centres: Singles, count: int = 1) -> Placement:
    """The `count` clusters whose centres have the largest products with each vector; of equal ones the first.

    >>> placed(np.float32([[3, 1], [0, 2]]), np.float32([[4, 0], [0, 4], [4, 0]]), 2)
    Placement(clusters=array([[0, 2],
           [1, 0]]), products=array([[12, 12],
           [ 8,  0]]))
    """
    count = min(count, centres.shape[0])
    clusters, products = (np.zeros((vectors.shape[0], count), np.int64) for _ in range(2))
    for start in range(0, vectors.shape[0], _BLOCK):
        near = vectors[start : start + _BLOCK] @ centres.T
        row = np.arange(near.shape[0])
        for rank in range(count):
            best = near.argmax(axis=1)
            clusters[start + row, rank], products[start + row, rank] = best, near[row, best]
            near[row, best] = -np.inf
    return Placement(clusters, products)


def lengths(vectors: Singles | Shorts) -> Longs:
    """The squares of the lengths of vectors of integers."""
    found: Longs = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).astype(np.int64)
    return found


def cosines(products: Longs, one: Longs, other: Longs) -> Doubles:
    """Cosines from products and the squares of lengths: one rounding each of a root and a quotient, of exact integers.

    So they are the same on every machine; of two vectors of one direction the cosine is exactly 1, of others less.
    """
    found: Doubles = products / np.sqrt((one * other).astype(np.float64))
    return found


def _first_distinct(vectors: Singles, count: int) -> Singles:
    seen: dict[bytes, int] = {}
    for row, vector in enumerate(vectors.astype(np.int16)):
        seen.setdefault(vector.tobytes(), row)
        if len(seen) == count:
            break
    return vectors[list(seen.values())].copy()


def _moved(vectors: Singles, centres: Singles, nearest: Longs, products: Longs) -> Singles:
    """The centres in the direction of the sums of their vectors; those without become the farthest vectors."""
    from operators.kernels.subsets import quantised

    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], np.arange(centres.shape[0] + 1))
    sums = np.zeros(centres.shape, np.float64)
    for cluster, (start, stop) in enumerate(pairwise(starts.tolist())):
        sums[cluster] = vectors[order[start:stop]].sum(axis=0, dtype=np.float64)  # exact: integers below 2^53
    moved, status = quantised(sums.astype(np.float32), SCALE)
    found = np.where((status == 0)[:, None], moved, centres).astype(np.float32)
    empty = np.flatnonzero(starts[1:] == starts[:-1])
    far = np.argsort(products, kind="stable")[: empty.size]
    found[empty[: far.size]] = vectors[far]
    return found
