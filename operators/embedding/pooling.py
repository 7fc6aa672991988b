"""How the vectors of a chunk's tokens become one: by NumPy, in float32, for backends that leave token vectors here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

POOLINGS: Final = ("mean", "cls", "last", "weighted")
SMALLEST: Final = 1e-12
"""A vector shorter than this stays as it is."""


def pooled(hidden: NDArray[np.floating[Any]], lengths: NDArray[np.int64], pooling: str) -> Singles:
    """Unit vectors (rows, dimension) of token vectors (rows, width, dimension), of which `lengths` count.

    `weighted` weighs the n-th token by n (SGPT; Muennighoff 2022, arXiv:2202.08904, section 3.1).

    >>> hidden = np.array([[[1.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
    >>> [pooled(hidden, np.array([2]), pooling).astype(float).round(3).tolist() for pooling in ("last", "weighted")]
    [[[0.0, 1.0]], [[0.164, 0.986]]]
    """
    hidden = hidden.astype(np.float32, copy=False)
    match pooling:
        case "cls":
            found = hidden[:, 0]
        case "last":
            found = hidden[np.arange(lengths.size), lengths - 1]
        case _:
            place = np.arange(1, hidden.shape[1] + 1, dtype=np.float32)
            weight = np.where(place <= lengths[:, None], place if pooling == "weighted" else 1, 0).astype(np.float32)
            found = np.einsum("rtd,rt->rd", hidden, weight / weight.sum(axis=1, keepdims=True))
    return unit(found)


def unit(vectors: Singles) -> Singles:
    """Vectors at unit length; zeros stay zeros.

    >>> unit(np.float32([[0, -4], [0, 0]])).tolist()
    [[0.0, -1.0], [0.0, 0.0]]
    """
    found: Singles = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SMALLEST)
    return found


def mean_of_chunks(vectors: Singles, document: NDArray[np.int64], weight: NDArray[np.int64], documents: int) -> Singles:
    """For each document the mean of its chunks' unit vectors by `weight`, at unit length; zeros where it has none.

    Chunks come document by document, so sums are taken in their order.

    >>> of = np.array([0, 0, 2]), np.array([3, 4, 1])  # documents, and tokens
    >>> mean_of_chunks(np.float32([[1, 0], [0, 1], [1, 0]]), *of, 3).astype(float).round(3).tolist()
    [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]
    """
    found = np.zeros((documents, vectors.shape[1]), np.float32)
    np.add.at(found, document, vectors * weight[:, None].astype(np.float32))
    return unit(found)
