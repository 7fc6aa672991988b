"""The share that deduplication keeps, from the sizes of sets in a sample of single documents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.projection.set_sizes import kept_share

POPULATIONS = {
    "unique": [1] * 3000,
    "pairs and others": [1] * 1500 + [2] * 750,
    "tens": [10] * 300,
    "one set of half of them": [1] * 1500 + [1500],
    "hundreds": [1] * 2000 + [100] * 10,
    "all kinds": [1] * 1500 + [2] * 300 + [4] * 100 + [50] * 10,
}


def projected(sets: list[int], fraction: float, seed: int) -> float:
    """From one sample of these sets."""
    seen = np.random.default_rng(seed).binomial(sets, fraction)
    sizes, counts = np.unique(seen[seen > 0], return_counts=True)
    return kept_share(sizes, sizes * counts / seen.sum(), fraction)


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize(("fraction", "tolerance"), [(0.1, 0.2), (0.25, 0.1), (0.5, 0.05)])
def test_sets_of_any_size_are_projected_from_a_part_of_them(name: str, fraction: float, tolerance: float) -> None:
    sets = POPULATIONS[name]
    found = [projected(sets, fraction, seed) for seed in range(8)]
    assert np.mean(found) == pytest.approx(len(sets) / sum(sets), abs=tolerance / 2)
    assert np.max(np.abs(np.array(found) - len(sets) / sum(sets))) < tolerance


@given(
    counts=st.dictionaries(st.integers(1, 10**5), st.integers(0, 50), min_size=1, max_size=8),
    fraction=st.floats(1e-7, 1),
)
def test_whatever_was_seen_a_share_is_kept(counts: dict[int, int], fraction: float) -> None:
    sizes = np.array(sorted({1, *counts}), np.int64)
    documents = sizes * np.array([counts.get(size, 0) + (size == 1) for size in sizes.tolist()])
    found = kept_share(sizes, documents / documents.sum(), fraction)
    assert 0 < found <= 1 + 1e-9


def test_of_everything_it_is_what_was_seen() -> None:
    assert kept_share(np.array([1, 3, 40]), np.array([0.5, 0.1, 0.4]), 1.0) == pytest.approx(0.5 + 0.1 / 3 + 0.01)
