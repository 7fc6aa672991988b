"""Connected components of a graph given by its edges, under one canonical label: the smallest node.

The label does not depend on the order of the edges, so components of components are components: a worker may reduce
its edges to a star (each node with its component's smallest), and the star of several stars is the star of all their
edges. That makes it a merge: associative, commutative, and never more rows than nodes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Nodes = npt.NDArray[np.int64]


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
