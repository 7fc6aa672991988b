"""Pairs of vectors that are near each other, one of them an item that stays: all of a cluster, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from operators.embedding.clustering import Doubles, Longs, cosines, lengths
from operators.vectors import Singles, unpacked

BLOCK: Final = 1024
"""Documents compared at once with the block itself, and with as many others at a time as `ACROSS`."""
ACROSS: Final = 8192


class Near(NamedTuple):
    """Pairs of an item that stays and a later one that it is near to, and their cosines."""

    earlier: Longs
    later: Longs
    similarity: Doubles


def near_pairs(column: pa.ChunkedArray, threshold: float) -> Near:
    """Each vector that stays with all later ones that it is near to, in the order of the column.

    A vector stays if no earlier one that stays has a cosine of at least the threshold with it.
    """
    from operators.kernels.near_vectors import claimed

    squares = np.concatenate([np.zeros(0, np.int64), *(lengths(part) for _, part in blocks(column, ACROSS))])
    lost, found = np.zeros(len(column), bool), [_none()]
    for start, block in blocks(column, BLOCK):
        mine = squares[start : start + block.shape[0]]
        for first, others in blocks(column.slice(0, start), ACROSS):
            there = np.flatnonzero(~lost[first : first + others.shape[0]])
            near = _near(block @ others[there].T, mine, squares[first + there], threshold)
            found.append(Near(first + there[near.earlier], start + near.later, near.similarity))
            lost[found[-1].later] = True
        near = _near(block @ block.T, mine, mine, threshold, below=True)
        here = lost[start : start + block.shape[0]]
        counts = claimed(near.earlier, near.later, here)
        found.append(Near(start + near.earlier[counts], start + near.later[counts], near.similarity[counts]))
    return Near(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _near(products: Singles, rows: Longs, columns: Longs, threshold: float, *, below: bool = False) -> Near:
    """The pairs whose cosine reaches the threshold, by row, then column; with `below` only columns before the row's."""
    if not products.size:
        return _none()
    bound = threshold * float(np.sqrt(float(rows.min()) * float(columns.min()))) - 1 if threshold > 0 else -np.inf
    later, earlier = np.nonzero(products >= np.float32(bound))
    if below:
        before = earlier < later
        later, earlier = later[before], earlier[before]
    alike = cosines(products[later, earlier].astype(np.int64), rows[later], columns[earlier])
    reached = alike >= threshold
    return Near(earlier[reached], later[reached], alike[reached])


def _none() -> Near:
    return Near(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def blocks(column: pa.ChunkedArray, size: int) -> Iterator[tuple[int, Singles]]:
    """The vectors of a column, so many at a time, and where each block begins."""
    for start in range(0, len(column), size):
        yield start, unpacked(column.slice(start, size))
