"""Vectors of documents from vectors of tokens: weighted means, less what all documents share, at unit length.

`static_vectors_reference.py` is the slow definition. Each document's additions have an order of their own, whatever
stands beside it, so its vector is the same to the bit however documents were batched.

Price on one core, 32,000 rows of 256: see docs/embedding.md. The table is read at random, 1 kB for a token.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Singles = NDArray[np.float32]

RUN: Final = 1024
"""So many tokens are added up in single precision; what they come to is added up in double precision."""


def pooled(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    most: int,
    dimension: int,
    rows: NDArray[np.int32],
    weights: Singles,
    table: Singles,
    mean: Singles,
    component: Singles,
) -> Singles:
    """(documents, dimension) A unit vector of each document, or zeros where no token of it has a weight.

    Args:
        ids: tokens of all documents, one after another; each has a row.
        starts: (documents + 1) where each begins.
        most: so many first tokens of each are taken.
        dimension: so many first components are kept, before the length is made 1.
        rows: by token id, its row of the table.
        weights: by token id; 0 takes it out.
        table: (rows, width).
        mean: (width) taken off the weighted mean.
        component: (width) of unit length; what lies in its direction is taken off then. Zeros take nothing off.
    """
    out = np.zeros((starts.size - 1, dimension), np.float32)
    _pool(ids, starts, most, rows, weights, table, mean, component, out)
    return out


@njit(cache=True, nogil=True)
def _pool(ids, starts, most, rows, weights, table, mean, component, out):
    width = table.shape[1]
    part, whole = np.zeros(width, np.float32), np.zeros(width)
    for document in range(out.shape[0]):
        first = starts[document]
        last = min(starts[document + 1], first + most)
        total = 0.0
        whole[:] = 0
        while first < last:
            stop = min(first + RUN, last)
            total += _add(ids, first, stop, rows, weights, table, part)
            for column in range(width):
                whole[column] += part[column]
            first = stop
        if total > 0:
            _settle(whole, total, mean, component, out[document])


@njit(cache=True, nogil=True)
def _add(ids, first, stop, rows, weights, table, part):
    """Puts the weighted sum of some tokens' rows into `part`; returns the sum of weights."""
    part[:] = 0
    total, place = 0.0, first
    while place + 3 < stop:
        a, b, c, d = ids[place], ids[place + 1], ids[place + 2], ids[place + 3]
        w, x, y, z = weights[a], weights[b], weights[c], weights[d]
        row, other, third, fourth = table[rows[a]], table[rows[b]], table[rows[c]], table[rows[d]]
        for column in range(part.size):
            part[column] += (w * row[column] + x * other[column]) + (y * third[column] + z * fourth[column])
        total += (np.float64(w) + np.float64(x)) + (np.float64(y) + np.float64(z))
        place += 4
    while place < stop:
        w, row = weights[ids[place]], table[rows[ids[place]]]
        for column in range(part.size):
            part[column] += w * row[column]
        total += np.float64(w)
        place += 1
    return total


@njit(cache=True, nogil=True)
def _settle(whole, total, mean, component, out):
    """The mean's way to a unit vector; one that nothing is left of stays zeros."""
    along = 0.0
    for column in range(whole.size):
        whole[column] = whole[column] / total - mean[column]
        along += whole[column] * component[column]
    square = 0.0
    for column in range(whole.size):
        whole[column] -= along * component[column]
        if column < out.size:
            square += whole[column] * whole[column]
    if square > 1e-24:
        scale = 1 / np.sqrt(square)
        for column in range(out.size):
            out[column] = np.float32(whole[column] * scale)
