"""What new tokens are made of, by comparing vectors: sparsemax over all cosines, the nearest few, matching pursuit.

Cosines are added up in float32 in the order of the columns, a block of anchors at a time, so that they are the same
bytes everywhere and for any blocks. The slow reference is `anchors_reference.py`. Price: 10,000 tokens against 15,000
anchors in 100 numbers take some 5 CPU seconds, for each of the three rules.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK: Final = 512  # anchors, and
_GROUP: Final = 8  # tokens at a time: what fits the first cache


class Rows(NamedTuple):
    """Sparse rows: of each token the anchors by place, and their weights."""

    indptr: NDArray[np.int64]
    anchors: NDArray[np.int32]
    weights: NDArray[np.float64]


def sparsemax_rows(tokens: Floats, anchors: Floats, temperature: float = 1.0) -> Rows:
    """For each token the sparsemax of its products with all anchors, divided by the temperature (FOCUS).

    Args:
        tokens: float32[tokens, k], at length 1 for cosines.
        anchors: float32[anchors, k], at least one.
        temperature: above 0; 1 is FOCUS's.
    """
    return Rows(*_sparsemax(tokens, _columns(anchors), np.float64(temperature)))


def nearest_rows(tokens: Floats, anchors: Floats, count: int, temperature: float) -> Rows:
    """For each token a softmax over its `count` largest products with anchors (WECHSEL); equal ones by place."""
    return Rows(*_nearest(tokens, _columns(anchors), min(count, anchors.shape[0]), np.float64(temperature)))


def pursuit_rows(tokens: Floats, anchors: Floats, count: int) -> Rows:
    """For each token at most `count` anchors and weights of 0 or more that sum to 1, by matching pursuit.

    The anchor that the rest of the token leans to most is taken, then all weights are fitted anew by least squares, as
    orthogonal matching pursuit does it; an anchor that no positive weight is left for goes again, and the weights are
    scaled to sum 1 at the end. It stops early where no anchor leans to the rest any more.

    Args:
        tokens: float32[tokens, k].
        anchors: float32[anchors, k] at length 1: others would be taken for their length.
        count: anchors of a token, at least 1; k / 16 is enough.
    """
    return Rows(*_pursuit(tokens, _columns(anchors), min(count, anchors.shape[0])))


def ranks(tokens: Floats, anchors: Floats, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each token the rank of one anchor, its place in `truth`, by the product: 1 is the largest, ties count."""
    found: NDArray[np.int64] = _ranks(np.ascontiguousarray(tokens), _columns(anchors), truth)
    return found


def _columns(anchors: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(anchors.T, np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _products(tokens, columns, found):
    """The products of a few tokens with all anchors, a row for each; `columns` is float32[k, anchors]."""
    for first in range(0, columns.shape[1], _BLOCK):
        last = min(first + _BLOCK, columns.shape[1])
        found[: tokens.shape[0], first:last] = 0
        for column in range(tokens.shape[1]):
            row = columns[column, first:last]
            for token in range(tokens.shape[0]):
                value = tokens[token, column]
                block = found[token, first:last]
                for place in range(row.size):
                    block[place] += value * row[place]


@njit(cache=True, nogil=True, error_model="numpy")
def _ranks(tokens, columns, truth):
    group = np.empty((_GROUP, columns.shape[1]), np.float32)
    result = np.ones(tokens.shape[0], np.int64)
    for token in range(tokens.shape[0]):
        if token % _GROUP == 0:
            _products(tokens[token : token + _GROUP], columns, group)
        found = group[token % _GROUP]
        wanted = found[truth[token]]
        for place in range(found.size):
            result[token] += place != truth[token] and found[place] >= wanted
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def _doubled(values):
    larger = np.empty(2 * values.size, values.dtype)
    larger[: values.size] = values
    return larger


@njit(cache=True, nogil=True, error_model="numpy")
def _sparsemax(tokens, columns, temperature):
    count, size = tokens.shape[0], 0
    group = np.empty((_GROUP, columns.shape[1]), np.float32)
    indptr = np.zeros(count + 1, np.int64)
    anchors, weights = np.empty(1 << 12, np.int32), np.empty(1 << 12, np.float64)
    for token in range(count):
        if token % _GROUP == 0:
            _products(tokens[token : token + _GROUP], columns, group)
        found = group[token % _GROUP]
        threshold = _threshold(found, temperature)
        for place in range(found.size):
            weight = np.float64(found[place]) / temperature - threshold
            if weight > 0:
                if size == anchors.size:
                    anchors, weights = _doubled(anchors), _doubled(weights)
                anchors[size], weights[size] = place, weight
                size += 1
        indptr[token + 1] = size
    return indptr, anchors[:size].copy(), weights[:size].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def _threshold(found, temperature):
    """Sparsemax's threshold: no value further below the largest than 1 can be in the support, so only those sort."""
    most = np.float64(found[0])
    for place in range(found.size):
        most = max(most, np.float64(found[place]))
    near = np.empty(found.size, np.float64)
    size = 0
    for place in range(found.size):
        value = np.float64(found[place]) / temperature
        if value > most / temperature - 1:
            near[size] = value
            size += 1
    ordered = np.sort(near[:size])
    total, threshold = 0.0, 0.0
    for rank in range(1, size + 1):
        value = ordered[size - rank]
        total += value
        if 1 + rank * value <= total:
            break
        threshold = (total - 1) / rank
    return threshold


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(tokens, columns, count, temperature):
    num_tokens = tokens.shape[0]
    group = np.empty((_GROUP, columns.shape[1]), np.float32)
    anchors = np.empty((num_tokens, count), np.int32)
    weights = np.empty((num_tokens, count), np.float64)
    for token in range(num_tokens):
        if token % _GROUP == 0:
            _products(tokens[token : token + _GROUP], columns, group)
        found = group[token % _GROUP]
        _largest(found, anchors[token])
        most, total = np.float64(found[anchors[token, 0]]), 0.0
        for rank in range(count):
            weights[token, rank] = np.exp((np.float64(found[anchors[token, rank]]) - most) / temperature)
            total += weights[token, rank]
        for rank in range(count):
            weights[token, rank] /= total
    indptr = np.arange(num_tokens + 1) * count
    return indptr, anchors.reshape(-1), weights.reshape(-1)


@njit(cache=True, nogil=True, error_model="numpy")
def _largest(found, chosen):
    """The places of the largest values, the largest first, equal ones by place: by insertion, as they are few."""
    size = 0
    for place in range(found.size):
        if size == chosen.size and found[place] <= found[chosen[size - 1]]:
            continue
        hole = size if size < chosen.size else size - 1
        while hole and found[place] > found[chosen[hole - 1]]:
            chosen[hole] = chosen[hole - 1]
            hole -= 1
        chosen[hole] = place
        size = min(size + 1, chosen.size)


@njit(cache=True, nogil=True, error_model="numpy")
def _pursuit(tokens, columns, count):
    num_tokens, width = tokens.shape
    found = np.empty((1, columns.shape[1]), np.float32)
    anchors = np.empty((num_tokens, count), np.int32)
    weights = np.zeros((num_tokens, count), np.float64)
    sizes = np.zeros(num_tokens + 1, np.int64)
    atoms, rest = np.empty((count, width), np.float64), np.empty((1, width), np.float32)
    for token in range(num_tokens):
        size, chosen = 0, anchors[token]
        rest[0] = tokens[token]
        for _ in range(count):
            _products(rest, columns, found)
            best = _unused(found[0], chosen, size)
            if best < 0 or found[0, best] <= 1e-6:
                break
            chosen[size] = best
            for column in range(width):
                atoms[size, column] = np.float64(columns[column, best])
            size = _fit_positive(atoms, chosen, weights[token], size + 1, tokens[token])
            for column in range(width):
                value = np.float64(tokens[token, column])
                for atom in range(size):
                    value -= weights[token, atom] * atoms[atom, column]
                rest[0, column] = np.float32(value)
        _scale(weights[token], size)
        sizes[token + 1] = size
    return _joined(anchors, weights, sizes)


@njit(cache=True, nogil=True, error_model="numpy")
def _unused(found, chosen, size):
    """The place of the largest value that is not chosen yet, the first of equal ones."""
    for rank in range(size):
        found[chosen[rank]] = -np.inf
    best = -1
    for place in range(found.size):
        if found[place] > -np.inf and (best < 0 or found[place] > found[best]):
            best = place
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_positive(atoms, chosen, weights, size, token):
    """Least squares; while a weight is not positive, the atom with the least one goes. How many are left."""
    while size:
        solved = _least_squares(atoms, size, token)
        worst = 0
        for atom in range(size):
            if solved[atom] < solved[worst]:
                worst = atom
        if solved[worst] > 0:
            for atom in range(size):
                weights[atom] = solved[atom]
            break
        for atom in range(worst, size - 1):
            chosen[atom] = chosen[atom + 1]
            atoms[atom] = atoms[atom + 1]
        size -= 1
    return size


@njit(cache=True, nogil=True, error_model="numpy")
def _least_squares(atoms, size, token):
    """Weights of atoms for a token, by Cholesky's decomposition, with 1e-9 on the diagonal for atoms that agree."""
    lower, solved = np.zeros((size, size)), np.zeros(size)
    for row in range(size):
        for column in range(row + 1):
            value = 1e-9 if row == column else 0.0
            for place in range(token.size):
                value += atoms[row, place] * atoms[column, place]
            for before in range(column):
                value -= lower[row, before] * lower[column, before]
            lower[row, column] = np.sqrt(max(value, 1e-18)) if row == column else value / lower[column, column]
        value = 0.0
        for place in range(token.size):
            value += atoms[row, place] * np.float64(token[place])
        for before in range(row):
            value -= lower[row, before] * solved[before]
        solved[row] = value / lower[row, row]
    for row in range(size - 1, -1, -1):
        for after in range(row + 1, size):
            solved[row] -= lower[after, row] * solved[after]
        solved[row] /= lower[row, row]
    return solved


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(weights, size):
    total = 0.0
    for atom in range(size):
        total += weights[atom]
    for atom in range(size):
        weights[atom] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def _joined(anchors, weights, sizes):
    indptr = np.cumsum(sizes)
    flat, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float64)
    for token in range(anchors.shape[0]):
        size = sizes[token + 1]
        flat[indptr[token] : indptr[token] + size] = anchors[token, :size]
        values[indptr[token] : indptr[token] + size] = weights[token, :size]
    return indptr, flat, values
