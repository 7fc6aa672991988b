"""Connected components of a graph given by its links, under one canonical label: the smallest node.

The label does not depend on the order of the links, so components of components are components: a worker may reduce
its links to stars (each node with its component's smallest), and the stars of several stars are the stars of all their
links. In one memory that is a union-find, `components`. Over storage it is the same in rounds, `exchanged`:

- `Stars`: the links, exchanged by their larger node; each partition replaces its own by stars.
- `Neighbours`: the links, exchanged by either node; each node hands its smallest neighbour to its larger ones (the
  large star of Kiveris et al. 2014, "Connected Components in MapReduce and Beyond", section 3).

Where a node with a smaller neighbour has no other, nothing is left to do: then all links are stars. Both stages replace
links by as many or fewer over smaller nodes, so this ends; the rounds grow with the logarithm of the longest path.

How many partitions there are follows from the size of the links alone (128 MB, 8 million links, each): a graph of one
partition is one union-find in one task, and the first round is the last; a larger graph is never in one memory. The
labels are the same either way. Price: about 0.1 GB of memory for a million links, 16 bytes of storage a link and round.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, BatchFn, Context, Outputs, Repeat, TableFold
from operators.groups import starts_of

Nodes = npt.NDArray[np.int64]
ROW_BITS: Final = 32


def slow_components(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The reference: every node that an edge names -> the smallest node that it is connected with.

    >>> slow_components([(5, 3), (9, 9), (3, 4)])
    {3: 3, 5: 3, 9: 9, 4: 3}
    """
    members: dict[int, set[int]] = {}
    for one, two in edges:
        joined = members.get(one, {one}) | members.get(two, {two})
        for node in joined:
            members[node] = joined
    return {node: min(joined) for node, joined in members.items()}


def components(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """The nodes in ascending order, and the label of each.

    >>> nodes, labels = components(np.array([5, 9, 3]), np.array([3, 9, 4]))
    >>> nodes.tolist(), labels.tolist()
    ([3, 4, 5, 9], [3, 3, 3, 9])
    """
    from operators.kernels.components import roots

    nodes, dense = np.unique(np.concatenate([left, right]), return_inverse=True)
    dense = dense.astype(np.int64, copy=False)
    root = roots(dense[: left.size], dense[left.size :], nodes.size)
    return nodes, nodes[root]


def nodes_of(state: pa.Table) -> Nodes:
    """The documents of a merged state as numbers, ordered by shard, then row."""
    shard, row = state[SHARD].to_numpy().astype(np.int64), state[ROW].to_numpy().astype(np.int64)
    nodes: Nodes = (shard << ROW_BITS) | row
    return nodes


def links_table(left: Nodes, right: Nodes) -> pa.Table:
    """Links as the stages exchange them: `a < b`, each once, in order.

    >>> links_table(np.array([2, 2, 7]), np.array([9, 9, 4])).to_pylist()
    [{'a': 2, 'b': 9}, {'a': 4, 'b': 7}]
    """
    low, high = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    fresh = np.ones(low.size, bool)
    fresh[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    fresh &= low != high
    return pa.table({"a": low[fresh], "b": high[fresh]})


def exchanged(links: str) -> Repeat:
    """The stages that label what the table `_links` of the stage `links` connects.

    They leave, under that stage's name, `_rows`: for every document that a link names its `component`.
    """
    stages = (Stars(name="stars", links=links), Neighbours(name=links))
    return Repeat(stages, until=f"{links}/_open", max_rounds=100)


class _OverLinks(TableFold):
    """A partitioned fold over a table of links."""

    partitioned: ClassVar[bool] = True


class Stars(_OverLinks):
    """Each partition's links as stars."""

    links: str

    key: ClassVar[str] = "b"
    inert: ClassVar[frozenset[str]] = frozenset({"name", "links"})

    @override
    def source(self) -> str:
        return f"stage:{self.links}/_links"

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        nodes, labels = components(state["a"].to_numpy(), state["b"].to_numpy())
        moved = nodes != labels
        return pa.table({"a": labels[moved], "b": nodes[moved]})

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_links": links_table(state["a"].to_numpy(), state["b"].to_numpy())}


class Neighbours(_OverLinks):
    """Every node with all its neighbours: whether links are left to follow, and if not, its label."""

    key: ClassVar[str] = "node"

    @override
    def source(self) -> str:
        return "stage:stars/_links"

    @override
    def bind(self, context: Context) -> BatchFn:
        def both_ways(links: pa.Table) -> pa.Table:
            a, b = links["a"].to_numpy(), links["b"].to_numpy()
            return pa.table({"node": np.concatenate([a, b]), "other": np.concatenate([b, a])})

        return both_ways

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        node, other = state["node"].to_numpy(), state["other"].to_numpy()
        order = np.lexsort((other, node))
        node, other = node[order], other[order]
        fresh = starts_of(node, other)
        node, other = node[fresh], other[fresh]
        first = np.flatnonzero(starts_of(node))
        count = np.diff(np.append(first, node.size))
        each, label = node[first], np.minimum(node[first], other[first])
        open_ = (label < each) & (count > 1)
        passed = other > node
        handed = links_table(np.repeat(label, count)[passed], other[passed])
        outputs = {"_links": handed, "_open": pa.table({"node": each[open_]})}
        return outputs if open_.any() else {**outputs, ROWS: _placed(each, label)}


def _placed(nodes: Nodes, labels: Nodes) -> pa.Table:
    from operators.hashing import mix64

    shard, row = (nodes >> ROW_BITS).astype(np.int32), (nodes & ((1 << ROW_BITS) - 1)).astype(np.int32)
    # Mixed (a bijection), so that an exchange by any of its bits is even.
    return pa.table({SHARD: shard, ROW: row, "component": mix64(labels.astype(np.uint64))})
