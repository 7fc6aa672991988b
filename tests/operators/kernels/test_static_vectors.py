from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels.static_vectors import RUN, pooled
from operators.kernels.static_vectors_reference import pooled as slowly_pooled

TOKENS = 12
WIDTH = 5


def model(seed: int, *, centred: bool = True) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(TOKENS // 2, WIDTH)).astype(np.float32)
    component = rng.normal(size=WIDTH)
    component /= np.linalg.norm(component)
    mean = rng.normal(size=WIDTH) / 4
    rows = rng.integers(0, len(table), TOKENS).astype(np.int32)
    weights = np.where(rng.random(TOKENS) < 0.3, 0, rng.random(TOKENS)).astype(np.float32)
    return rows, weights, table, *(part.astype(np.float32) * centred for part in (mean, component))


def vectors(
    documents: list[list[int]], parts: tuple[np.ndarray, ...], most: int = 1 << 62, dim: int = WIDTH
) -> np.ndarray:
    ids = np.array([token for tokens in documents for token in tokens], np.int32)
    starts = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    return pooled(ids, starts, most, dim, *parts)


@given(
    st.lists(st.lists(st.integers(0, TOKENS - 1), max_size=30), max_size=6),
    st.integers(0, 20), st.integers(1, WIDTH), st.integers(1, 40), st.booleans(),
)  # fmt: skip
def test_vectors_are_those_of_the_definition(
    documents: list[list[int]], seed: int, dimension: int, most: int, centred: bool
) -> None:
    parts = model(seed, centred=centred)
    found = vectors(documents, parts, most, dimension)
    expected = [slowly_pooled(tokens[:most], dimension, *(part.tolist() for part in parts)) for tokens in documents]
    assert found.dtype == np.float32
    for one, other, tokens in zip(found, expected, documents, strict=True):
        if np.abs(other).max() and not np.abs(one).max():
            continue  # nothing but rounding was left to point anywhere
        assert np.allclose(one, other, atol=2e-3), tokens


@given(st.lists(st.lists(st.integers(0, TOKENS - 1), max_size=30), min_size=2, max_size=6), st.integers(0, 5))
def test_a_vector_does_not_depend_on_what_stands_beside_it(documents: list[list[int]], seed: int) -> None:
    parts = model(seed)
    together = vectors(documents, parts)
    assert np.array_equal(together, np.concatenate([vectors([tokens], parts) for tokens in documents]))


def test_runs_of_a_long_document_add_up() -> None:
    parts = model(3)
    tokens = np.random.default_rng(1).integers(0, TOKENS, 3 * RUN + 7).tolist()
    expected = slowly_pooled(tokens, WIDTH, *(part.tolist() for part in parts))
    assert np.allclose(vectors([tokens], parts)[0], expected, atol=1e-5)


@pytest.mark.parametrize("documents", [[], [[]], [[], [1], []]])
def test_a_document_without_tokens_has_zeros(documents: list[list[int]]) -> None:
    parts = model(1)
    parts[1][1] = 0.5
    found = vectors(documents, parts)
    assert found.shape == (len(documents), WIDTH)
    lengths = np.linalg.norm(found, axis=1)
    assert all((length == 0) == (not tokens) for length, tokens in zip(lengths, documents, strict=True))
