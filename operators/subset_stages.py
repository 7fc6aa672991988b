"""The stages of steps that choose a subset: the corpus cut into partitions, a choice in each, what came of it.

A document's place is a hash of seed and id. `Cuts` counts the documents by the first 20 bits of their places and cuts
them into runs of about equal numbers, the partitions; each has its share of the budget, to the unit. `Choice` gets
each partition whole, its documents in the order of their places, and ranks what it chooses; `Keep` drops the others.
`operators/subset_summary.py` says what was found. So a worker holds some partitions and never the corpus, and the
choice depends on neither shards nor order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import (
    ROW,
    ROWS,
    RULE,
    SHARD,
    BatchFn,
    Columns,
    Context,
    Fold,
    Judge,
    Outputs,
    Resources,
)
from operators.drawing import spans
from operators.groups import summed
from operators.hashing import Words, row_hashes
from operators.vectors import SCALE, VECTOR, Singles, unpacked

if TYPE_CHECKING:
    from operators.kernels.subsets import Chosen

PURPOSE: Final = "subset"
LOW_BITS: Final = np.uint64(44)
NOWHERE: Final = -1
"""The bucket of documents without a vector."""
UNIT: Final = SCALE * SCALE
"""A cosine of 1, as an integer; the product of two vectors of one direction is about that."""

_BLOCK: Final = 512
"""Vectors that are compared with all others at once."""
_COUNTS: Final = pa.schema([(name, pa.int64()) for name in ("bucket", "docs", "bytes")])
_CUTS: Final = pa.schema([(name, pa.int64()) for name in ("first_bucket", "docs", "bytes", "budget")])
MEASURES: Final = (
    "similarity_sum",
    "random_similarity_sum",
    "least_similarity",
    "random_least_similarity",
    "gain_sum",
)
_PARTITION: Final = pa.schema(
    [(name, pa.int64()) for name in ("partition", "docs", "bytes", "chosen_docs", "chosen_bytes", *MEASURES)]
)
_CHOICE: Final = pa.schema([("rank", pa.int32()), ("gain", pa.float64()), ("similarity", pa.float64())])
ADDED: Final[Columns] = {field.name: field.type for field in _CHOICE}
"""The columns that a choice leaves with the rows."""

Longs = npt.NDArray[np.int64]
Gains = Longs | npt.NDArray[np.float64]


class Cuts(Fold):
    """Where the partitions begin in the order of places, and how much is chosen of each: `_cuts`; and `_without`."""

    docs: int | None
    bytes: int | None
    fraction: float | None
    partition_size: int

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            bucket = bucket_of(row_hashes(rows["id"], context.seed, PURPOSE))
            bucket[~rows[VECTOR].is_valid().to_numpy()] = NOWHERE
            ones = np.ones(rows.num_rows, np.int64)
            return self.merge(pa.table([bucket, ones, rows["_bytes"]], schema=_COUNTS))

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "bucket")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        is_nowhere = pc.equal(state["bucket"], NOWHERE)
        placed = state.filter(pc.invert(is_nowhere)).sort_by("bucket")
        docs = placed["docs"].to_numpy()
        total = int(docs.sum())
        partitions = -(-total // self.partition_size)
        # A bucket goes where the first of its documents would go if all parts were equal.
        part = (np.cumsum(docs) - docs) * partitions // max(total, 1)
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        cuts = {"first_bucket": placed["bucket"].to_numpy()[starts]}
        for name in ("docs", "bytes"):
            values = placed[name].to_numpy()
            cuts[name] = np.add.reduceat(values, starts) if starts.size else values
        cuts["budget"] = np.array(self._budgets(cuts["docs"].tolist(), cuts["bytes"].tolist()), np.int64)
        without = state.filter(is_nowhere).select(["docs", "bytes"])
        return {"_cuts": pa.table(cuts, _CUTS), "_without": without}

    def _budgets(self, docs: list[int], size: list[int]) -> list[int]:
        if self.bytes is not None:
            return shares(self.bytes, size)
        return shares(self.docs or math.floor((self.fraction or 0) * sum(docs) + 1e-6), docs)


class Choice(Fold):
    """Chooses in each partition: `_rows`, a row for every document with a vector, and `_partitions`, one for each.

    A document's `rank` counts from 1 in its partition and is null where it is not chosen, as is `gain`, what it added
    when it was; `similarity` is the cosine to the nearest that is chosen.
    """

    by_bytes: bool

    key: ClassVar[str] = "partition"
    partitioned: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    revision: ClassVar[int] = 3  # 2: gains per byte, what does not fit is passed over; 3: similarities are 1 at most
    resources: ClassVar[Resources] = Resources(memory_mb=1536)

    def choose(self, vectors: Singles, rows: pa.Table, sizes: Longs, budget: int, seed: int) -> Chosen:
        """The places of the chosen in a partition's `rows` (`place`, `id`), in order, and what each added, in integers.

        `vectors` are theirs, (rows, dim); sizes are 1 or bytes, and those of the chosen sum up to `budget` at most.
        """
        raise NotImplementedError

    def shown(self, gains: Gains) -> npt.NDArray[np.float64]:
        """The gains as people see them."""
        raise NotImplementedError

    @override
    def uses(self) -> tuple[str, ...]:
        return ("cuts",)

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        first = context.artifacts["cuts"].table("_cuts")["first_bucket"].to_numpy()

        def partial(rows: pa.Table) -> pa.Table:
            some = rows.filter(pc.is_valid(rows[VECTOR]))
            place = row_hashes(some["id"], context.seed, PURPOSE)
            partition = np.searchsorted(first, bucket_of(place), side="right").astype(np.int64) - 1
            kept = {name: some[name] for name in (VECTOR, "_bytes", ROW)}
            return pa.table({"partition": partition, "place": place, "id": some["id"].cast(pa.string()), **kept})

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        budgets = context.artifacts["cuts"].table("_cuts")["budget"].to_pylist()
        small = state.select(["partition", "place", "id"])
        order = pc.sort_indices(small, [(name, "ascending") for name in small.column_names])
        partition = state["partition"].take(order)
        rows, found = [_empty_rows()], [_PARTITION.empty_table()]
        for start, stop in spans(partition):
            number = partition[start].as_py()
            part = state.take(order.slice(start, stop - start))
            chosen, sums = self._chosen(part, budgets[number], context.seed)
            rows.append(chosen)
            found.append(pa.Table.from_pylist([{"partition": number, **sums}], _PARTITION))
        return {ROWS: pa.concat_tables(rows), "_partitions": pa.concat_tables(found)}

    def _chosen(self, part: pa.Table, budget: int, seed: int) -> tuple[pa.Table, dict[str, int]]:
        vectors, in_bytes = unpacked(part[VECTOR]), part["_bytes"].to_numpy()
        sizes = in_bytes if self.by_bytes else np.ones(part.num_rows, np.int64)
        chosen = self.choose(vectors, part.select(["place", "id"]), sizes, budget, seed)
        by_chance = fitting(sizes, budget)  # places are hashes
        near, near_by_chance = nearest(vectors, chosen.order), nearest(vectors, by_chance)
        rank, gain = np.zeros(part.num_rows, np.int32), np.zeros(part.num_rows)
        rank[chosen.order] = np.arange(1, chosen.order.size + 1)
        gain[chosen.order] = self.shown(chosen.gains)
        columns = [pa.array(rank, mask=rank == 0), pa.array(gain, mask=rank == 0), pa.array(near / UNIT)]
        rows = pa.table([part[SHARD], part[ROW], *columns], _rows_schema())
        return rows, {
            "docs": part.num_rows,
            "bytes": int(in_bytes.sum()),
            "chosen_docs": chosen.order.size,
            "chosen_bytes": int(in_bytes[chosen.order].sum()),
            "similarity_sum": int(near.clip(0).sum()),
            "random_similarity_sum": int(near_by_chance.clip(0).sum()),
            "least_similarity": int(near.min()),
            "random_least_similarity": int(near_by_chance.min()),
            "gain_sum": int(chosen.gains.sum()),
        }


class Keep(Judge):
    """Keep what has a rank; what has no vector goes by a rule of its own."""

    @override
    def joins(self) -> str:
        return "choose"

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def adds(self) -> Columns:
        return ADDED

    @override
    def bind(self, context: Context) -> BatchFn:
        joined = [f"choice_{name}" for name in _CHOICE.names]
        return lambda rows: rows.select(joined).rename_columns(_CHOICE.names)

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        rule = pc.if_else(pc.is_valid(rows["rank"]), pa.scalar(None, pa.string()), "not_selected")
        return pa.table({RULE: pc.if_else(pc.is_valid(rows["similarity"]), rule, "no_vector")})


def bucket_of(place: Words) -> Longs:
    """The first 20 bits of places."""
    return (place >> LOW_BITS).astype(np.int64)


def shares(budget: int, sizes: list[int]) -> list[int]:
    """A budget shared out in proportion to sizes, all of it, and to none more than its size (largest remainders).

    >>> shares(10, [5, 5, 5]), shares(99, [2, 3])
    ([4, 3, 3], [2, 3])
    """
    total = sum(sizes)
    if budget >= total:
        return sizes
    found = [budget * size // total for size in sizes]
    order = sorted(range(len(sizes)), key=lambda part: (-(budget * sizes[part] % total), part))
    for part in order[: budget - sum(found)]:
        found[part] += 1
    return found


def fitting(sizes: Longs, budget: int) -> Longs:
    """The places of the sizes that fit into what is left of a budget, one after another.

    >>> fitting(np.array([3, 9, 2, 2]), 6).tolist()
    [0, 2]
    """
    found = []
    for place, size in enumerate(sizes.tolist()):
        if size <= budget:
            found.append(place)
            budget -= size
    return np.array(found, np.int64)


def nearest(vectors: Singles, chosen: Longs) -> Longs:
    """For each vector the largest cosine to one of the chosen, in 1 / `UNIT`; 0 where none is chosen.

    The lengths of the rounded vectors are divided by, so it is at most `UNIT`, and that for equal vectors.
    """
    found = np.zeros(vectors.shape[0], np.int64)
    if not chosen.size:
        return found
    some = vectors[chosen]
    scale, scale_of_some = (UNIT**0.5 / np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1)) for rows in (vectors, some))
    for start in range(0, vectors.shape[0], _BLOCK):
        here = slice(start, start + _BLOCK)
        largest = ((vectors[here] @ some.T) * scale_of_some).max(axis=1)
        found[here] = np.rint(largest * scale[here]).astype(np.int64)
    return found


def _rows_schema() -> pa.Schema:
    return pa.schema([(SHARD, pa.int32()), (ROW, pa.int32()), *((f"choice_{f.name}", f.type) for f in _CHOICE)])


def _empty_rows() -> pa.Table:
    return _rows_schema().empty_table()
