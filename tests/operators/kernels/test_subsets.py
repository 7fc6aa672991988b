import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.kernels import subsets, subsets_reference

SEEDS = st.integers(0, 10_000)


def picks(chosen: subsets.Chosen) -> list[tuple[int, float]]:
    return list(zip(chosen.order.tolist(), chosen.gains.tolist(), strict=True))


def sizes_of(rng: np.random.Generator, items: int, *, equal: bool) -> NDArray[np.int64]:
    return np.ones(items, np.int64) if equal else rng.integers(0, 5, items)


def neighbours(rng: np.random.Generator, items: int, width: int) -> NDArray[np.int32]:
    """Any neighbours, none twice, none the item itself; -1 where there are too few."""
    near = np.full((items, width), -1, np.int32)
    for item in range(items):
        others = rng.permutation([other for other in range(items) if other != item])[:width]
        near[item, : others.size] = others
    return near


@given(SEEDS, st.integers(0, 12), st.integers(0, 20), st.sampled_from([1, 3, 32_000]), st.sampled_from([0, 1, 1 << 28]))
def test_facility_location_is_that_of_the_definition(
    seed: int, items: int, budget: int, largest: int, unit: int
) -> None:
    """By sizes of 1, or up to four units each."""
    rng = np.random.default_rng(seed)
    half = rng.integers(0, largest, (items, items), endpoint=True)
    similar, sizes = np.maximum(half, half.T).astype(np.int16), sizes_of(rng, items, equal=not unit) * max(unit, 1)
    budget *= max(unit, 1)
    expected = subsets_reference.facility_location(similar.tolist(), sizes.tolist(), budget)
    assert picks(subsets.facility_location(similar, sizes, budget)) == expected


@given(SEEDS, st.integers(0, 12), st.integers(0, 20), st.integers(1, 5), st.sampled_from([2, 10, 1000]), st.booleans())
def test_votes_are_those_of_the_definition(
    seed: int, items: int, budget: int, width: int, discount: int, equal: bool
) -> None:
    rng = np.random.default_rng(seed)
    near, sizes = neighbours(rng, items, width), sizes_of(rng, items, equal=equal)
    expected = subsets_reference.vote_k(near.tolist(), sizes.tolist(), budget, discount)
    assert picks(subsets.vote_k(near, sizes, budget, discount)) == expected


def test_votes_count_however_many_neighbours_are_chosen() -> None:
    """Of items that all vote for all others."""
    near = np.array([[other for other in range(30) if other != item] for item in range(30)], np.int32)
    chosen = subsets.vote_k(near, np.ones(30, np.int64), 25, 10)
    assert np.allclose(chosen.gains, [(29 - count) / 10.0**count for count in range(25)], rtol=1e-12, atol=0)


@given(SEEDS, st.integers(0, 12), st.integers(0, 20), st.integers(1, 4), st.sampled_from([1, 3, 64]), st.booleans())
def test_influence_is_that_of_the_definition(
    seed: int, items: int, budget: int, width: int, samples: int, equal: bool
) -> None:
    rng = np.random.default_rng(seed)
    near, sizes = neighbours(rng, items, width), sizes_of(rng, items, equal=equal)
    bits = rng.integers(0, 1 << 63, near.shape, np.uint64) << np.uint64(1) | rng.integers(0, 2, near.shape, np.uint64)
    live = np.where(near >= 0, bits >> np.uint64(64 - samples), 0).astype(np.uint64)
    expected = subsets_reference.influence(near.tolist(), live.tolist(), samples, sizes.tolist(), budget)
    assert picks(subsets.influence(near, live, samples, sizes, budget)) == expected


def test_directions_are_kept_and_what_has_none_is_told() -> None:
    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(50, 256)) * 10.0 ** rng.integers(-15, 15, (50, 1))).astype(np.float32)
    vectors[3, 5], vectors[4, 5], vectors[5] = np.nan, np.inf, 0
    found, status = subsets.quantised(vectors, 4000)
    assert status.tolist() == [0, 0, 0, 1, 1, 2] + [0] * 44
    good = status == 0
    units = vectors[good].astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert np.abs(found[good] - 4000 * units).max() <= 0.5 + 1e-9
    assert not found[~good].any()
