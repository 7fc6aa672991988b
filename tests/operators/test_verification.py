import time
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels import verify
from operators.verification import Likeness, elect, similarity, slow_elect

THRESHOLDS = (0.1, 0.3, 0.5, 2 / 3, 0.7, 0.75, 0.8, 0.9, 1.0)
SETS = st.lists(st.frozensets(st.integers(1, 14), min_size=1), max_size=12)
LIKENESS = st.sampled_from(["jaccard", "containment"])


def fast(
    components: list[list[frozenset[int]]], threshold: float, likeness: Likeness, direct: int
) -> list[list[tuple[int, float]]]:
    """The kernel on sets, its survivors numbered within each component."""
    sets = [sorted(one) for sets in components for one in sets]
    hashes = np.array([value for one in sets for value in one], np.uint64)
    ends = np.cumsum([0, *map(len, sets)]).astype(np.int64)
    starts = np.cumsum([0, *map(len, components)]).astype(np.int64)
    survivor, alike = elect(hashes, ends[:-1], ends[1:], starts, threshold, likeness, direct)
    return [
        [(int(survivor[at]) - int(low), float(alike[at])) for at in range(low, high)] for low, high in pairwise(starts)
    ]


@given(st.lists(SETS, max_size=4), st.sampled_from(THRESHOLDS), LIKENESS, st.sampled_from([0, 3, 100]))
def test_the_kernel_equals_the_slow_reference_with_and_without_an_index(
    components: list[list[frozenset[int]]], threshold: float, likeness: Likeness, direct: int
) -> None:
    assert fast(components, threshold, likeness, direct) == [
        slow_elect(sets, threshold, likeness) for sets in components
    ]


@given(st.integers(0, 2**32), st.sampled_from(THRESHOLDS), LIKENESS)
def test_the_index_finds_what_all_pairs_find_among_many_edited_copies(
    seed: int, threshold: float, likeness: Likeness
) -> None:
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(60):
        size, kept = int(rng.integers(1, 40)), rng.random()
        own = rng.integers(0, 10**6, size)
        sets.append(frozenset(np.where(rng.random(size) < kept, np.arange(size), own).tolist()))
    assert fast([sets], threshold, likeness, 0) == [slow_elect(sets, threshold, likeness)]


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(THRESHOLDS))
def test_the_least_overlap_is_the_least_at_which_the_division_says_similar(
    size: int, other: int, threshold: float
) -> None:
    of_union = [n for n in range((size + other) // 2 + 1) if n / (size + other - n) >= threshold]
    assert verify.least(size, other, threshold, True) == min(of_union, default=(size + other) // 2 + 1)
    assert verify.least(size, other, threshold, False) == min(n for n in range(size + 1) if n / size >= threshold)


def blocks(parts: list[npt.NDArray[np.uint64]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    ends = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    return np.concatenate([np.sort(part) for part in parts]), ends


@pytest.mark.parametrize("likeness", ["jaccard", "containment"])
def test_ten_thousand_different_documents_of_one_template_take_seconds_and_all_stay(likeness: Likeness) -> None:
    rng = np.random.default_rng(1)
    template = rng.integers(0, 2**63, 600, np.uint64)
    hashes, ends = blocks([np.append(template, rng.integers(0, 2**63, 400, np.uint64)) for _ in range(10_000)])
    elect(hashes[:1000], ends[:1], ends[1:2], np.array([0, 1]), 0.8, likeness, 0)
    begin = time.process_time()
    survivor, _ = elect(hashes, ends[:-1], ends[1:], np.array([0, 10_000]), 0.8, likeness)
    assert time.process_time() - begin < 20
    assert survivor.tolist() == list(range(10_000))


def test_a_million_equal_documents_cost_one_look_each() -> None:
    one = np.arange(20, dtype=np.uint64)
    low = np.tile(np.array([0, 0, 1]), 300_000)
    high = np.tile(np.array([20, 19, 20]), 300_000)
    begin = time.process_time()
    survivor, alike = elect(one, low, high, np.array([0, low.size]), 0.9, "jaccard")
    assert time.process_time() - begin < 10
    assert set(survivor.tolist()) == {0}
    assert set(alike.tolist()) == {1.0, 0.95}


def test_an_excerpt_goes_for_the_whole_and_never_the_whole_for_the_excerpt() -> None:
    whole, excerpt = frozenset(range(100)), frozenset(range(30))
    assert slow_elect([whole, excerpt], 0.9, "containment") == [(0, 1.0), (0, 1.0)]
    assert slow_elect([excerpt, whole], 0.9, "containment") == [(0, 1.0), (1, 1.0)]
    assert similarity(whole, excerpt, "containment") == 0.3
