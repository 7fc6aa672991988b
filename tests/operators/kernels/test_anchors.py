import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.kernels import anchors_reference as reference
from operators.kernels.anchors import Rows, nearest_rows, pursuit_rows, ranks, sparsemax_rows


@st.composite
def pairs(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tokens and anchors at length 1; some anchors twice, so that there are ties."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 40)), draw(st.integers(2, 9))
    tokens, anchors = generator.standard_normal((shape[0], shape[2])), generator.standard_normal((shape[1], shape[2]))
    if draw(st.booleans()):
        anchors = np.concatenate([anchors, anchors[:3]])
    return tuple((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (tokens, anchors))


def dense(rows: Rows, count: int) -> NDArray[np.float64]:
    full = np.zeros((rows.indptr.size - 1, count))
    for row in range(full.shape[0]):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        full[row, rows.anchors[part]] = rows.weights[part]
    return full


@given(pairs(), st.sampled_from((1.0, 0.3, 0.1)))
def test_sparsemax_is_the_reference(pair: tuple[NDArray[np.float32], NDArray[np.float32]], temperature: float) -> None:
    tokens, anchors = pair
    found = dense(sparsemax_rows(tokens, anchors, temperature), len(anchors))
    expected = [reference.sparsemax(row) for row in tokens.astype(np.float64) @ anchors.T / temperature]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-9)
    assert (found >= 0).all()


@given(pairs(), st.integers(1, 12))
def test_nearest_is_the_reference(pair: tuple[NDArray[np.float32], NDArray[np.float32]], count: int) -> None:
    tokens, anchors = pair
    found = dense(nearest_rows(tokens, anchors, count, 0.1), len(anchors))
    expected = [reference.nearest(row, count, 0.1) for row in tokens.astype(np.float64) @ anchors.T]
    # float32 and float64 may order equal anchors differently: what comes of it is compared.
    np.testing.assert_allclose(found @ anchors, expected @ anchors, atol=1e-4)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-9)
    assert ((found > 0).sum(1) == min(count, len(anchors))).all()


@given(pairs(), st.integers(1, 5))
def test_pursuit_is_the_reference(pair: tuple[NDArray[np.float32], NDArray[np.float32]], count: int) -> None:
    tokens, anchors = pair
    distinct = np.unique(anchors, axis=0)
    found = dense(pursuit_rows(tokens, distinct, count), len(distinct))
    expected = np.array(
        [reference.pursuit(row, distinct.astype(np.float64), count) for row in tokens.astype(np.float64)]
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)
    sums = found.sum(1)
    assert ((abs(sums - 1) < 1e-9) | (sums == 0)).all()
    assert (found >= 0).all()
    assert ((found > 0).sum(1) <= count).all()


def test_sparsemax_of_known_values() -> None:
    """Of equal values it is even; a lead of 1 takes all."""
    even = sparsemax_rows(np.ones((1, 1), np.float32), np.full((4, 1), 0.5, np.float32))
    assert even.weights.tolist() == [0.25] * 4
    alone = sparsemax_rows(np.ones((1, 1), np.float32), np.array([[1.0], [0.0], [-1.0]], np.float32))
    assert (alone.anchors.tolist(), alone.weights.tolist()) == ([0], [1.0])


def test_pursuit_takes_directions_and_not_lengths() -> None:
    """mergekit takes atoms as they are, so a long one that hardly leans to the token comes first."""
    token = np.array([[1.0, 0.2]], np.float32)
    anchors = np.array([[1.0, 0.0], [0.0, 9.0]], np.float32)
    unit = anchors / np.linalg.norm(anchors, axis=1, keepdims=True)
    assert pursuit_rows(token, unit, 1).anchors.tolist() == [0]
    assert pursuit_rows(token, anchors, 1).anchors.tolist() == [1]


def test_pursuit_gives_no_negative_weight() -> None:
    """Signed combinations win nearest neighbours and lose the model: every token of theirs beats all others."""
    token = np.array([[1.0, -0.5, 0.0]], np.float32)
    anchors = np.array([[0.8, 0.6, 0.0], [0.9, 0.3, 0.3], [0.0, 0.0, 1.0]], np.float32)
    found = dense(pursuit_rows(token, anchors / np.linalg.norm(anchors, axis=1, keepdims=True), 3), 3)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1)


def test_ranks_count_what_is_at_least_as_near() -> None:
    tokens = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    anchors = np.array([[0.5, 0.0], [0.9, 0.1], [0.5, 0.3]], np.float32)
    assert ranks(tokens, anchors, np.array([0, 2])).tolist() == [3, 1]


def test_results_do_not_depend_on_how_tokens_are_split() -> None:
    generator = np.random.default_rng(0)
    tokens, anchors = (generator.standard_normal((size, 16)).astype(np.float32) for size in (19, 1100))
    whole = sparsemax_rows(tokens, anchors)
    parts = [sparsemax_rows(tokens[first : first + 3], anchors) for first in range(0, 19, 3)]
    assert np.concatenate([part.weights for part in parts]).tobytes() == whole.weights.tobytes()


@pytest.mark.torch
def test_pursuit_is_scikit_learns_where_no_weight_is_negative() -> None:
    from sklearn.linear_model import orthogonal_mp

    generator = np.random.default_rng(3)
    anchors = generator.standard_normal((60, 24))
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    tokens = np.abs(generator.standard_normal((200, 3))) @ anchors[:3]
    theirs = orthogonal_mp(anchors.T, tokens.T, n_nonzero_coefs=3).T
    positive = (theirs >= 0).all(axis=1)
    assert positive.sum() > 20
    found = dense(pursuit_rows(tokens.astype(np.float32), anchors.astype(np.float32), 3), 60)
    expected = theirs / theirs.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[positive], expected[positive], atol=1e-3)
