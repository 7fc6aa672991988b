import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.kernels.latent_vectors import (
    Sparse,
    eigen,
    gram,
    orthonormal,
    point_upwards,
    product,
    right_vectors,
    times,
    transposed,
)


def sparse(dense: NDArray[np.float32]) -> Sparse:
    rows, columns = np.nonzero(dense)
    starts = np.searchsorted(rows, np.arange(len(dense) + 1))
    return Sparse(starts, columns.astype(np.int32), dense[rows, columns].astype(np.float32))


def some(seed: int, rows: int, columns: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.4)).astype(np.float32)


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_products_are_those_of_numpy(seed: int, rows: int, columns: int, width: int) -> None:
    left, right = some(seed, rows, columns), some(seed + 1, columns, width)
    assert np.allclose(product(sparse(left), right), left @ right, atol=1e-5)
    assert np.allclose(gram(right), right.T @ right, atol=1e-5)
    assert np.allclose(times(left, right.astype(np.float64)), left @ right, atol=1e-5)
    turned = transposed(sparse(left), columns)
    for one, other in zip(turned, sparse(left.T), strict=True):
        assert np.asarray(one).tolist() == np.asarray(other).tolist()


@given(st.integers(0, 1000), st.integers(1, 12))
def test_eigenvectors_are_those_of_numpy(seed: int, width: int) -> None:
    square = gram(some(seed, 20, width))
    values, vectors = eigen(square)
    assert np.allclose(values, np.linalg.eigvalsh(square)[::-1], atol=1e-9)
    assert np.allclose(square @ vectors, vectors * values, atol=1e-9)
    assert np.allclose(vectors.T @ vectors, np.eye(width), atol=1e-9)


@given(st.integers(0, 1000), st.integers(1, 8), st.integers(0, 8))
def test_columns_that_depend_on_others_become_zeros(seed: int, free: int, bound: int) -> None:
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(40, free))
    dependent = np.hstack([basis, basis @ rng.normal(size=(free, bound))]).astype(np.float32)
    found = orthonormal(dependent).astype(np.float64)
    square = found.T @ found
    assert np.allclose(square[:free, :free], np.eye(free), atol=1e-4)
    assert np.linalg.matrix_rank(found, tol=0.5) == free


@pytest.mark.parametrize(("rows", "columns", "rank"), [(300, 200, 200), (200, 300, 200), (300, 100, 6), (3, 40, 3)])
def test_leading_singular_vectors_are_those_of_numpy(rows: int, columns: int, rank: int) -> None:
    rng = np.random.default_rng(5)
    values = 0.7 ** np.arange(rank)
    left, right = (np.linalg.qr(rng.normal(size=(size, rank)))[0] for size in (rows, columns))
    dense = ((left * values) @ right.T).astype(np.float32)
    found, singular = right_vectors(sparse(dense), columns, 8)
    expected = right[:, :8].copy()
    point_upwards(expected)
    there = min(8, rank)
    assert np.allclose(singular[:there], values[:8], atol=1e-5)
    assert np.allclose(found[:, :there], expected[:, :there], atol=1e-3)
    assert not np.abs(singular[there:]).max(initial=0) > 1e-5
