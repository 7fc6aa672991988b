"""Counts of pairs through a replay of merges, beside a slow reference."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels.pair_counts import counts_before, overtaking
from operators.kernels.replay import Changes, Words, replay
from operators.kernels.replay_reference import Merge, Pair, pair_counts

NUM_CATEGORIES = 3
WORDS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2), max_size=12),
        st.dictionaries(st.integers(0, NUM_CATEGORIES - 1), st.integers(1, 9)),
    ),
    max_size=8,
)


@st.composite
def merges(draw: st.DrawFn) -> list[Merge]:
    """Each makes a token of its own, from tokens that there are by then."""
    found: list[Merge] = []
    for made in range(3, 3 + draw(st.integers(0, 8))):
        pair = draw(st.tuples(st.integers(0, made - 1), st.integers(0, made - 1)))
        if pair not in [merge[:2] for merge in found]:
            found.append((*pair, made))
    return found


def laid_out(words: Sequence[tuple[Sequence[int], Mapping[int, int]]]) -> Words:
    """The words as the kernel takes them."""
    counts = [sorted(by_category.items()) for _, by_category in words]
    return Words(
        np.array([symbol for symbols, _ in words for symbol in symbols], np.int32),
        np.cumsum([0, *(len(symbols) for symbols, _ in words)]),
        np.cumsum([0, *map(len, counts)]),
        np.array([category for pairs in counts for category, _ in pairs], np.int16),
        np.array([count for pairs in counts for _, count in pairs], np.int64),
    )


def through_time(changes: Changes, num_merges: int) -> list[dict[Pair, Counter[int]]]:
    """All counts at all times, by adding up."""
    counts: dict[Pair, Counter[int]] = {}
    found = []
    for step in range(num_merges + 1):
        for segment in range(changes.steps[step], changes.steps[step + 1]):
            pair = tuple(changes.pairs[changes.segment_pair[segment]].tolist())
            for entry in range(changes.starts[segment], changes.starts[segment + 1]):
                counts.setdefault(pair, Counter())[int(changes.category[entry])] += int(changes.change[entry])
        found.append({pair: +by_category for pair, by_category in counts.items() if +by_category})
    return found


@given(WORDS, merges())
def test_the_counts_at_every_time_are_those_of_the_reference(
    words: list[tuple[list[int], dict[int, int]]], merges: list[Merge]
) -> None:
    changes = replay(laid_out(words), np.array(merges), NUM_CATEGORIES)
    expected = pair_counts(words, merges)
    assert through_time(changes, len(merges)) == expected
    assert np.all(changes.change != 0)
    seen = {tuple(pair) for pair in changes.pairs.tolist()}
    for merge, pair in zip(merges, changes.merged.tolist(), strict=True):
        assert tuple(changes.pairs[pair].tolist()) == merge[:2] if pair >= 0 else merge[:2] not in seen
    asked = [(time, number) for time in range(len(merges)) for number in range(len(changes.pairs))]
    times, numbers = np.array(asked, np.int64).reshape(-1, 2).T
    before = counts_before(changes, times, numbers, NUM_CATEGORIES)
    for (time, number), counts in zip(asked, before.tolist(), strict=True):
        by_category = expected[time].get(tuple(changes.pairs[number].tolist()), Counter())
        assert counts == [by_category[category] for category in range(NUM_CATEGORIES)]


@given(WORDS, merges(), st.lists(st.integers(0, 4), min_size=3, max_size=3), st.integers(0, 20), st.randoms())
def test_all_that_overtakes_a_merge_is_found(
    words: list[tuple[list[int], dict[int, int]]],
    merges: list[Merge],
    weights: list[int],
    tolerance: int,
    random: object,
) -> None:
    changes = replay(laid_out(words), np.array(merges), NUM_CATEGORIES)
    draw = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    slack = draw.integers(0, 5, len(merges)).astype(float)
    excess = draw.integers(0, 5, len(changes.pairs)).astype(float)
    given_weights = np.array(weights, float)
    found = overtaking(changes, given_weights, slack, excess, tolerance, 1000, 10**6)
    expected = set()
    for time, counts in enumerate(pair_counts(words, merges)[:-1]):
        sums = np.array(
            [
                sum(weights[category] * count for category, count in counts.get(tuple(pair), Counter()).items())
                for pair in changes.pairs.tolist()
            ]
        )
        own = changes.merged[time]
        if own >= 0:
            over = np.flatnonzero((sums - excess > sums[own] + slack[time] + tolerance) & (sums - excess > tolerance))
            expected |= {(time, int(pair)) for pair in over}
    assert len(found[0]) == len(expected)
    assert set(zip(found[0].tolist(), found[1].tolist(), strict=True)) == expected
    one = overtaking(changes, given_weights, slack, excess, tolerance, 1, 10**6)
    assert one[0].tolist() == sorted({time for time, _ in expected})
