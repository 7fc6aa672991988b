"""Union-find over dense node numbers; `operators.components` holds the slow reference that it equals."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt


@nb.njit(cache=True, nogil=True)
def roots(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], nodes: int) -> npt.NDArray[np.int64]:
    """Each node's root: the smallest node of its component. Path halving; the larger root links to the smaller."""
    parent = np.arange(nodes)
    for edge in range(left.size):
        one, two = left[edge], right[edge]
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        while parent[two] != two:
            parent[two] = parent[parent[two]]
            two = parent[two]
        parent[max(one, two)] = min(one, two)
    for node in range(nodes):
        parent[node] = parent[parent[node]]  # A parent is smaller than its child, so it is final by now.
    return parent
