"""Which documents of a cluster stay, each compared with those that stay: claims within clusters, settled across them.

- `Members`: documents with their vectors, exchanged by cluster, each in the `probes` clusters that are nearest to it;
  in each the documents are in one order, the same in all clusters.
- `Claims`: inside a cluster the first stays and claims those near it, then the first of the rest, and so on; a
  document is claimed by every one that stays here and is near it. Blocks are compared with all blocks before them.
- `Settled`: a document goes if one that claims it stays in the end, and stays if none does. Claims go from earlier to
  later documents, so that this ends; it is done in one memory up to 128 MB of claims, in rounds over storage beyond.

So nothing goes but for a document that stays and is near it. With one cluster this is the greedy choice of all pairs.
With more, a pair that shares no cluster is not compared; and a document that comes free since what claimed it went
elsewhere is not compared again with what has claims of its own.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, BatchFn, Columns, Context, Fold, Outputs, Repeat, Resources, TableFold
from operators.components import ROW_BITS, nodes_of
from operators.drawing import spans
from operators.embedding.clustering import COSINE_UNIT, Longs, cosines, lengths, placed
from operators.embedding.near_pairs import near_pairs
from operators.groups import starts_of
from operators.survivors import best_first, candidate_needs, candidates
from operators.vectors import VECTOR, unpacked

Keep = Literal["hard", "easy", "longest"]

_RANKED: Final = ("priority", "length", "id")
_CLAIMS: Final = pa.schema(
    [
        ("claimant", pa.int64()),
        ("claimed", pa.int64()),
        ("similarity", pa.float64()),
        ("priority", pa.int32()),
        ("length", pa.float64()),
        ("id", pa.string()),
        ("stays", pa.int8()),
    ]
)
"""`priority`, `length`, `id` are the claimant's place in the order; `stays` whether it does: 1, 0, or not known, -1."""
_OPEN, _GONE, _STAYS = -1, 0, 1

Bools = npt.NDArray[np.bool_]


class Members(Fold):
    """The documents of each cluster with their vectors, best first: `_members`; and `_sizes` of the clusters.

    `length` stands for what the order goes by after the priority, the largest first: what `keep` says.
    """

    keep: Keep
    probes: int
    priority: tuple[str, ...]

    key: ClassVar[str] = "cluster"
    partitioned: ClassVar[bool] = True
    resources: ClassVar[Resources] = Resources(memory_mb=1024)

    @override
    def uses(self) -> tuple[str, ...]:
        return ("centres",)

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary(), **candidate_needs(self.priority)}

    @override
    def bind(self, context: Context) -> BatchFn:
        centres = unpacked(context.artifacts["centres"].table("_centres")[VECTOR])
        squares = lengths(centres)

        def partial(rows: pa.Table) -> pa.Table:
            some = rows.filter(pc.is_valid(rows[VECTOR]))
            state = candidates(some, self.priority)
            if not some.num_rows:
                rank, clusters = np.zeros(0), np.zeros((0, 1), np.int64)
            else:
                vectors = unpacked(some[VECTOR])
                clusters, products = placed(vectors, centres, self.probes)
                rank = cosines(products[:, 0], lengths(vectors), squares[clusters[:, 0]])
            ranks = {"easy": pa.array(rank), "hard": pa.array(-rank), "longest": state["length"].cast(pa.float64())}
            state = state.set_column(2, "length", ranks[self.keep]).append_column(VECTOR, some[VECTOR])
            return _probed(state, clusters)

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        small = state.drop_columns([VECTOR]).append_column("place", pa.array(np.arange(state.num_rows)))
        members = state.take(best_first(small, "cluster")["place"])
        runs = spans(members["cluster"])
        home = members["home"].to_numpy(zero_copy_only=False)
        sizes = {
            "cluster": members["cluster"].take(pa.array([start for start, _ in runs], pa.int64())),
            "docs": pa.array([int(home[start:stop].sum()) for start, stop in runs], pa.int64()),
            "compared": pa.array([stop - start for start, stop in runs], pa.int64()),
        }
        return {"_members": members, "_sizes": pa.table(sizes)}


class Claims(TableFold):
    """What stays within a cluster claims what is near it: `_claims`."""

    threshold: float | None
    """The least cosine; None: what the stage `fine` has found."""

    key: ClassVar[str] = "claimed"
    partitioned: ClassVar[bool] = True
    resources: ClassVar[Resources] = Resources(memory_mb=1024)

    @override
    def source(self) -> str:
        return "stage:members/_members"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("fine",) if self.threshold is None else ()

    @override
    def bind(self, context: Context) -> BatchFn:
        threshold = threshold_of(self.threshold, context)

        def partial(members: pa.Table) -> pa.Table:
            node, found = nodes_of(members), [_CLAIMS.empty_table()]
            for start, stop in spans(members["cluster"]):
                near = near_pairs(members[VECTOR].slice(start, stop - start), threshold)
                ranks = members.slice(start, stop - start).select(list(_RANKED)).take(pa.array(near.earlier))
                pairs = {"claimant": node[start:stop][near.earlier], "claimed": node[start:stop][near.later]}
                open_ = pa.array(np.full(near.earlier.size, _OPEN, np.int8))
                order = {name: ranks[name] for name in _RANKED}
                columns = {**pairs, "similarity": near.similarity, **order, "stays": open_}
                found.append(pa.table(columns).cast(_CLAIMS))
            return pa.concat_tables(found)

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_claims": state}


class Settled(TableFold):
    """One round: every document with its claims both ways; what stays and what goes as far as it can be told."""

    revision: ClassVar[int] = 2  # the survivor that is named does not depend on partitions
    key: ClassVar[str] = "node"
    partitioned: ClassVar[bool] = True

    @override
    def source(self) -> str:
        return f"stage:{self.name}/_claims"

    @override
    def bind(self, context: Context) -> BatchFn:
        def both_ways(claims: pa.Table) -> pa.Table:
            ends = [claims.append_column("node", claims[name]) for name in ("claimant", "claimed")]
            return pa.concat_tables(ends)

        return both_ways

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        nodes, at = np.unique(state["node"].to_numpy(), return_inverse=True)
        is_claimed = np.equal(state["node"].to_numpy(), state["claimed"].to_numpy())
        claims = state.filter(pa.array(is_claimed))
        stays = settle(nodes, at[is_claimed], claims["claimant"].to_numpy(), claims["stays"].to_numpy())
        made = state.filter(pa.array(~is_claimed))
        made = made.set_column(made.column_names.index("stays"), "stays", pa.array(stays[at[~is_claimed]]))
        known = _status(nodes, stays, claims["claimant"].to_numpy(), claims["stays"].to_numpy())
        # One that goes waits for all that claim it, of whom the first in the order is named.
        waits = claims["claimed"].to_numpy()[known == _OPEN]
        open_ = np.union1d(nodes[stays == _OPEN], waits)
        outputs: Outputs = {"_claims": made.drop_columns(["node"]).cast(_CLAIMS), "_open": pa.table({"node": open_})}
        if open_.size:
            return outputs
        return {**outputs, ROWS: _lost(claims.filter(pa.array(known == _STAYS)))}


def threshold_of(given: float | None, context: Context) -> float:
    """The least cosine that counts: as given, else as the stage `fine` has found it."""
    if given is not None:
        return given
    level: int = context.artifacts["fine"].table("_level")["level"][0].as_py()
    return level / COSINE_UNIT


def settled(name: str) -> Repeat:
    """The rounds that settle the claims that the stage of that name left; under it they leave `_rows`.

    For every document that goes: `survivor`, the first in the order that claims it and stays, `survivor_similarity`.
    """
    return Repeat((Settled(name=name),), until=f"{name}/_open", max_rounds=1000)


def settle(nodes: Longs, claimed: Longs, claimant: Longs, stays: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Whether each node stays (1) or goes (0), as far as it can be told (else -1).

    Args:
        nodes: distinct, rising; all claims on them are given.
        claimed: of each claim the place in `nodes` of what is claimed.
        claimant: the node that claims, which need not be among `nodes`.
        stays: what is known of it.

    >>> nodes = np.array([1, 2, 3])
    >>> settle(nodes, np.array([1, 2]), np.array([1, 2]), np.int8([-1, -1])).tolist()  # a chain
    [1, 0, 1]
    """
    found = np.full(nodes.size, _OPEN, np.int8)
    while True:
        known = _status(nodes, found, claimant, stays)
        gone, open_ = np.zeros(nodes.size, bool), np.zeros(nodes.size, bool)
        gone[claimed[known == _STAYS]] = True
        open_[claimed[known == _OPEN]] = True
        new = np.where(gone, _GONE, np.where(open_, _OPEN, _STAYS)).astype(np.int8)
        if np.array_equal(new, found):
            return found
        found = new


def _status(
    nodes: Longs, found: npt.NDArray[np.int8], claimant: Longs, stays: npt.NDArray[np.int8]
) -> npt.NDArray[np.int8]:
    """Of each claimant what is known: here, where it is one of the nodes, else what it came with."""
    if not nodes.size:
        return stays
    at = np.minimum(np.searchsorted(nodes, claimant), nodes.size - 1)
    return np.where(nodes[at] == claimant, found[at], stays)


def _lost(claims: pa.Table) -> pa.Table:
    """The documents that go: of several claims the first in the order counts; one claim may have been made twice."""
    keys = [("claimed", "ascending"), ("priority", "ascending"), ("length", "descending"), ("id", "ascending")]
    ranked = claims.sort_by([*keys, ("claimant", "ascending")])
    node = ranked["claimed"].to_numpy()
    first = pa.array(np.flatnonzero(starts_of(node)))
    node = node[first.to_numpy()]
    return pa.table(
        {
            SHARD: (node >> ROW_BITS).astype(np.int32),
            ROW: (node & ((1 << ROW_BITS) - 1)).astype(np.int32),
            "survivor": ranked["id"].take(first),
            "survivor_similarity": ranked["similarity"].take(first),
        }
    )


def _probed(state: pa.Table, clusters: Longs) -> pa.Table:
    """Each row once for each of its clusters, of which the first is its home."""
    times = clusters.shape[1]
    rows = np.repeat(np.arange(state.num_rows), times)
    home = np.tile(np.arange(times) == 0, state.num_rows)
    found = state.take(pa.array(rows))
    return found.append_column("cluster", pa.array(clusters.ravel())).append_column("home", pa.array(home))
