"""The leading right singular vectors of a sparse matrix, the same to the bit wherever and however often they are asked.

Subspace iteration from fixed random numbers (Halko, Martinsson, Tropp 2011, arXiv:0909.4061, algorithm 4.4), then the
eigenvectors of a small matrix by Jacobi's rotations. Every sum has one order: a BLAS adds up in an order that depends
on its threads and on the machine. Tests hold it to NumPy's SVD.

Price: `rounds` + 1 times two products of the matrix with `width` columns, 1 to 2 thousand million multiplications a
second of one core, and single precision: (rows + 2 * columns) * width * 4 bytes.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]

SPARE: Final = 32
"""So many more columns are iterated than are asked for."""
LOST: Final = 1e-10
"""A column of which less is left, as a share of its square, when what lies along others is taken off, is lost."""


class Sparse(NamedTuple):
    """A matrix by rows."""

    starts: NDArray[np.int64]
    """(rows + 1)"""
    columns: NDArray[np.int32]
    values: Singles


def right_vectors(matrix: Sparse, num_columns: int, dimension: int, rounds: int = 2) -> tuple[Singles, Doubles]:
    """(columns, dimension) Right singular vectors, by falling singular value, and those values.

    The largest component of each vector is positive. Where the matrix has fewer directions, the rest is zeros.
    """
    turned = transposed(matrix, num_columns)
    width = dimension + SPARE
    basis = noise(num_columns, width)
    for _ in range(rounds + 1):
        basis = orthonormal(product(turned, product(matrix, basis)))
    basis = orthonormal(basis)  # once is not enough in single precision
    values, vectors = eigen(gram(product(matrix, basis)))
    found = times(basis, np.ascontiguousarray(vectors[:, :dimension]))
    point_upwards(found)
    return found, np.sqrt(np.maximum(values[:dimension], 0))


def transposed(matrix: Sparse, num_columns: int) -> Sparse:
    """The matrix by columns; within a column rows ascend."""
    starts = np.zeros(num_columns + 1, np.int64)
    np.cumsum(np.bincount(matrix.columns, minlength=num_columns), out=starts[1:])
    rows, values = np.empty(matrix.columns.size, np.int32), np.empty(matrix.columns.size, np.float32)
    _transpose(*matrix, starts[:-1].copy(), rows, values)
    return Sparse(starts, rows, values)


def noise(rows: int, columns: int) -> Singles:
    """Numbers between -1 and 1 that depend on nothing but their places.

    >>> (noise(1, 3) * 1000).astype(int).tolist()
    [[766, -136, -947]]
    """
    from operators.hashing import mix64

    place = np.arange(1, rows * columns + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    uniform = (mix64(place) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return uniform.reshape(rows, columns)


def product(matrix: Sparse, dense: Singles) -> Singles:
    """(rows, width) The matrix times a dense one."""
    out = np.zeros((matrix.starts.size - 1, dense.shape[1]), np.float32)
    _product(*matrix, dense, out)
    return out


def orthonormal(basis: Singles) -> Singles:
    """Columns of the same space, orthogonal and of unit length; those that depend on columns before them are zeros."""
    return times(basis, _inverse(_factor(gram(basis), LOST)))


def gram(dense: NDArray[np.floating[Any]]) -> Doubles:
    """(width, width) The products of all pairs of columns."""
    out = np.zeros((dense.shape[1], dense.shape[1]))
    _gram(dense, out)
    return out


def eigen(symmetric: Doubles) -> tuple[Doubles, Doubles]:
    """Eigenvalues, falling, and the eigenvectors as columns.

    >>> values, vectors = eigen(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> values.round(6).tolist(), np.abs(vectors).round(4).tolist()
    ([3.0, 1.0], [[0.7071, 0.7071], [0.7071, 0.7071]])
    """
    matrix, turned = symmetric.copy(), np.eye(len(symmetric))
    _jacobi(matrix, turned)
    values = matrix.diagonal().copy()
    order = np.argsort(-values, kind="stable")
    return values[order], np.ascontiguousarray(turned[order].T)


def times(dense: Singles, small: Doubles) -> Singles:
    """A tall matrix times a small one."""
    out = np.zeros((dense.shape[0], small.shape[1]), np.float32)
    _times(dense, small, out)
    return out


def point_upwards(vectors: NDArray[np.floating[Any]]) -> None:
    """Turns columns so that the largest component of each is positive, in place."""
    if len(vectors):
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
        vectors[:, largest < 0] *= -1


@njit(cache=True, nogil=True)
def _transpose(starts, columns, values, places, rows, turned):
    for row in range(starts.size - 1):
        for entry in range(starts[row], starts[row + 1]):
            place = places[columns[entry]]
            rows[place], turned[place] = row, values[entry]
            places[columns[entry]] += 1


@njit(cache=True, nogil=True)
def _product(starts, columns, values, dense, out):
    width = dense.shape[1]
    for row in range(starts.size - 1):
        total, entry, stop = out[row], starts[row], starts[row + 1]
        while entry + 3 < stop:
            a, b, c, d = values[entry], values[entry + 1], values[entry + 2], values[entry + 3]
            first, second = dense[columns[entry]], dense[columns[entry + 1]]
            third, fourth = dense[columns[entry + 2]], dense[columns[entry + 3]]
            for column in range(width):
                total[column] += (a * first[column] + b * second[column]) + (c * third[column] + d * fourth[column])
            entry += 4
        while entry < stop:
            value, first = values[entry], dense[columns[entry]]
            for column in range(width):
                total[column] += value * first[column]
            entry += 1


@njit(cache=True, nogil=True)
def _gram(dense, out):
    """The upper half, four rows at a time; the lower half is a copy of it."""
    height, width = dense.shape
    rows = np.zeros((4, width))
    for start in range(0, height, 4):
        for place in range(4):
            for column in range(width):
                rows[place, column] = dense[start + place, column] if start + place < height else 0.0
        first, second, third, fourth = rows[0], rows[1], rows[2], rows[3]
        for left in range(width):
            a, b, c, d = first[left], second[left], third[left], fourth[left]
            total = out[left]
            for right in range(left, width):
                total[right] += (a * first[right] + b * second[right]) + (c * third[right] + d * fourth[right])
    for left in range(width):
        for right in range(left):
            out[left, right] = out[right, left]


@njit(cache=True, nogil=True)
def _factor(square, lost):
    """The upper triangle R with R'R = square; the row of a lost column has a diagonal of 0."""
    width = square.shape[0]
    upper = np.zeros((width, width))
    for row in range(width):
        left = square[row, row]
        for above in range(row):
            left -= upper[above, row] * upper[above, row]
        if left <= lost * square[row, row] or left <= 0:
            continue
        pivot = np.sqrt(left)
        upper[row, row] = pivot
        for column in range(row + 1, width):
            upper[row, column] = square[row, column]
        for above in range(row):
            share = upper[above, row]
            for column in range(row + 1, width):
                upper[row, column] -= share * upper[above, column]
        for column in range(row + 1, width):
            upper[row, column] /= pivot
    return upper


@njit(cache=True, nogil=True)
def _inverse(upper):
    """Of an upper triangle; where its diagonal is 0, a column of zeros."""
    width = upper.shape[0]
    found = np.zeros((width, width))
    for row in range(width - 1, -1, -1):
        pivot = upper[row, row]
        if pivot == 0:
            continue
        found[row, row] = 1 / pivot
        for middle in range(row + 1, width):
            share = upper[row, middle] / pivot
            for column in range(middle, width):
                found[row, column] -= share * found[middle, column]
    return found


@njit(cache=True, nogil=True)
def _times(dense, small, out):
    """Four rows at a time."""
    height, inner = dense.shape
    totals = np.empty((4, small.shape[1]))
    first, second, third, fourth = totals[0], totals[1], totals[2], totals[3]
    for start in range(0, height, 4):
        totals[:] = 0
        last = height - 1
        rows = (start, min(start + 1, last), min(start + 2, last), min(start + 3, last))
        for middle in range(inner):
            a, b = np.float64(dense[rows[0], middle]), np.float64(dense[rows[1], middle])
            c, d = np.float64(dense[rows[2], middle]), np.float64(dense[rows[3], middle])
            factors = small[middle]
            for column in range(factors.size):
                factor = factors[column]
                first[column] += a * factor
                second[column] += b * factor
                third[column] += c * factor
                fourth[column] += d * factor
        for place in range(min(4, height - start)):
            for column in range(totals.shape[1]):
                out[start + place, column] = np.float32(totals[place, column])


@njit(cache=True, nogil=True)
def _jacobi(matrix, turned):
    """Rotates until nothing is left off the diagonal; the rows of `turned` become the eigenvectors."""
    size = matrix.shape[0]
    for _ in range(30):
        off, on = 0.0, 0.0
        for row in range(size):
            on += matrix[row, row] * matrix[row, row]
            for column in range(row):
                off += matrix[row, column] * matrix[row, column]
        if off <= 1e-26 * on:
            return
        small = 1e-4 * np.sqrt(off) / size  # such elements wait for a later sweep
        for p in range(size - 1):
            for q in range(p + 1, size):
                if abs(matrix[p, q]) > small:
                    _rotate(matrix, turned, p, q)


@njit(cache=True, nogil=True)
def _rotate(matrix, turned, p, q):
    size, off = matrix.shape[0], matrix[p, q]
    a, b = matrix[p, p], matrix[q, q]
    theta = (b - a) / (2 * off)
    t = 1 / (abs(theta) + np.sqrt(theta * theta + 1))
    if theta < 0:
        t = -t
    c = 1 / np.sqrt(t * t + 1)
    s = t * c
    first, second = matrix[p], matrix[q]
    for k in range(size):
        x, y = first[k], second[k]
        first[k], second[k] = c * x - s * y, s * x + c * y
    for k in range(size):
        if k != p and k != q:
            matrix[k, p], matrix[k, q] = first[k], second[k]
    matrix[p, p], matrix[q, q] = a - t * off, b + t * off
    matrix[p, q], matrix[q, p] = 0.0, 0.0
    first, second = turned[p], turned[q]
    for k in range(size):
        x, y = first[k], second[k]
        first[k], second[k] = c * x - s * y, s * x + c * y
