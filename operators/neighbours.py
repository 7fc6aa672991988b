"""The nearest neighbours of vectors of integers, exactly, by `IndexFlatIP` of faiss (Douze et al., arXiv:2401.08281).

faiss keeps no matrix of all pairs, so memory grows with items * neighbours. Products are exact in float32
(`operators/vectors.py`); which of equally near items faiss finds depends on its blocks, so some more are asked for, and
where those are equal too the item is compared with all others here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from operators.vectors import Singles

Longs = npt.NDArray[np.int64]

_SPARE: Final = 8
_BITS: Final = 32
_LOW: Final = (1 << _BITS) - 1
_MOST: Final = 1 << 25
_FAR: Final = np.int64(np.iinfo(np.int64).max)


class Neighbours(NamedTuple):
    """Of each item the others that are nearest, the nearest first, of equals the first; -1 where there are no more."""

    items: npt.NDArray[np.int32]
    products: Longs


def neighbours(vectors: Singles, count: int) -> Neighbours:
    """The `count` nearest of each item by the product of vectors, without itself: (items, at most count).

    >>> points = np.array([[4, 0], [3, 1], [0, 4], [3, 1]], np.float32)
    >>> neighbours(points, 2).items.tolist(), neighbours(points, 2).products.tolist()
    ([[1, 3], [0, 3], [1, 3], [0, 1]], [[12, 12], [12, 10], [4, 4], [12, 10]])
    """
    size = vectors.shape[0]
    count = min(count, max(size - 1, 0))
    if not count:
        return Neighbours(np.zeros((size, 0), np.int32), np.zeros((size, 0), np.int64))
    asked = min(size, count + 1 + _SPARE)
    products, items = _found(vectors, asked)
    itself = items == np.arange(size)[:, None]
    keys = np.sort(np.where(itself, _FAR, _keys(products, items)), axis=1)[:, :count]
    # Where something found is farther than the last that counts, all that is not found is farther too.
    unsure = _product(keys[:, -1]) <= products.min(axis=1) if asked < size else np.zeros(size, bool)
    for item in np.flatnonzero(unsure).tolist():
        others = _keys((vectors @ vectors[item]).astype(np.int64), np.arange(size))
        others[item] = _FAR
        keys[item] = np.sort(others)[:count]
    return Neighbours((keys & _LOW).astype(np.int32), _product(keys))


def _found(vectors: Singles, asked: int) -> tuple[Longs, Longs]:
    """Products and numbers of the nearest of each item, itself among them, in any order where they are equal."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    products, items = index.search(vectors, asked)
    return products.astype(np.int64), items


def _keys(products: Longs, items: Longs) -> Longs:
    """Numbers that rise as products fall, and among equal products with the item."""
    return (_MOST - products) << _BITS | items


def _product(keys: Longs) -> Longs:
    return _MOST - (keys >> _BITS)
