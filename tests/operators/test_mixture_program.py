"""The linear program of mixture inference: beside scipy's on the whole program, and where the answer is known."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from operators.kernels.bpe import train
from operators.kernels.replay import Words, replay
from operators.kernels.replay_reference import Merge, pair_counts
from operators.mixture_intervals import MixtureIntervals, poisson
from operators.mixture_program import PPM, Limits, MixtureProgram, Solution
from tests.operators.kernels.test_replay import laid_out

import pyarrow as pa  # isort: skip

Counted = Sequence[tuple[Sequence[int], Mapping[int, int]]]


RESTLESS = Limits(per_round=2, per_merge=1, idle=1, fewest=1)
"""Rows come in twos, and leave after the first solve that they do not bind in."""


def lazily(words: Counted, merges: Sequence[Merge], num: int, limits: Limits) -> Solution:
    changes = replay(laid_out(words), np.array(merges), num)
    return list(MixtureProgram(changes, num, limits).solve([50.0, 1e-7]))[-1]


class Whole:
    """The program with all its rows by the paper's formulas, solved by scipy."""

    def __init__(self, words: Counted, merges: Sequence[Merge], num: int) -> None:
        times = pair_counts(words, merges)
        total: Counter[int] = Counter()
        for counts in times[0].values():
            total.update(counts)
        pairs = sorted({pair for counts in times for pair in counts})
        self.num, self.merges, self.columns = num, len(merges), num + len(merges) + len(pairs)
        rows = []
        for time, (left, right, _) in enumerate(merges):
            if (left, right) not in pairs:
                continue
            own = times[time].get((left, right), Counter())
            for place, pair in enumerate(pairs):
                if pair == (left, right):
                    continue
                row = np.zeros(self.columns)
                other = times[time].get(pair, Counter())
                row[:num] = [-PPM * (own[i] - other[i]) / total[i] for i in range(num)]
                row[num + time] = row[num + len(merges) + place] = -1
                rows.append(row)
        self.rows = np.array(rows).reshape(-1, self.columns)

    def cost(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Of all slacks, where those of merges cost so much."""
        slack = np.ones(self.merges) if weights is None else weights
        return np.concatenate([np.zeros(self.num), slack, np.ones(self.columns - self.num - self.merges)])

    def least(
        self, cost: NDArray[np.float64], most: float | None = None, shares: NDArray[np.float64] | None = None
    ) -> tuple[float, NDArray[np.float64]]:
        """The least cost and the shares, where the objective is at most so large, or the shares are given."""
        upper, right = self.rows, np.zeros(len(self.rows))
        if most is not None:
            upper, right = np.r_[upper, [self.cost()]], np.r_[right, most]
        equal = np.r_[np.ones(self.num), np.zeros(self.columns - self.num)][None]
        bounds: list[tuple[float, float | None]] = [(0, None)] * self.columns
        if shares is not None:
            bounds[: self.num] = [(share, share) for share in shares / shares.sum()]
        rows: dict[str, Any] = {"A_ub": upper, "b_ub": right} if len(upper) else {}
        found = linprog(cost, A_eq=equal, b_eq=[1.0], bounds=bounds, method="highs", **rows)
        return found.fun, found.x[: self.num]


WORDS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3), min_size=2, max_size=6),
        st.dictionaries(st.integers(0, 2), st.integers(1, 20), min_size=1),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(WORDS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=5, unique=True))
def test_the_optimum_is_that_of_the_whole_program(
    words: list[tuple[list[int], dict[int, int]]], pairs: list[tuple[int, int]]
) -> None:
    words = [*words, ([0, 1, 2, 3], {0: 1, 1: 2, 2: 3})]  # no category is empty
    merges = [(left, right, 4 + place) for place, (left, right) in enumerate(pairs)]
    program = Whole(words, merges, 3)
    expected, _ = program.least(program.cost())
    for limits in (Limits(), RESTLESS):
        found = lazily(words, merges, 3, limits)
        assert found.objective == pytest.approx(expected, abs=0.01)
        assert found.shares.sum() == pytest.approx(1)
        assert found.shares.min() >= 0


@settings(deadline=None, max_examples=25)
@given(WORDS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=5, unique=True))
def test_intervals_are_those_of_the_whole_program(
    words: list[tuple[list[int], dict[int, int]]], pairs: list[tuple[int, int]]
) -> None:
    words = [*words, ([0, 1, 2, 3], {0: 1, 1: 2, 2: 3})]
    merges = [(left, right, 4 + place) for place, (left, right) in enumerate(pairs)]
    whole = Whole(words, merges, 3)
    program = MixtureIntervals(replay(laid_out(words), np.array(merges), 3), 3, Limits(idle=1, fewest=1))
    best = list(program.solve([50.0, 1e-7]))[-1]
    resamples = [*program.resampled(1e-7, 2), *program.resampled(1e-7, 2)]  # each leaves the program as it was
    sizes = np.array([1.0, 3.0, 0.5])
    ends = program.ranges(best, 0.05, sizes)
    own = best.shares * sizes / (best.shares @ sizes)
    for place in range(3):
        assert ends[place, 0] - 1e-6 <= own[place] <= ends[place, 1] + 1e-6
        for end, sign in zip(ends[place], (1, -1), strict=True):  # a share is at its end where nothing is beyond it
            beyond = np.zeros(whole.columns)
            beyond[:3] = sign * (np.eye(3)[place] - end) * sizes
            assert whole.least(beyond, best.objective * 1.05 + 1e-6)[0] == pytest.approx(0, abs=1e-5)
    for number, shares in enumerate(resamples):  # of several that are best any may be found
        cost = whole.cost(poisson(number % 2, len(merges)))
        least = whole.least(cost)[0]
        assert whole.least(cost, shares=shares)[0] == pytest.approx(least, abs=0.01)


def test_rows_that_no_longer_bind_are_taken_out() -> None:
    """And the same optimum is found with fewer of them."""
    words, counts = drawn(3, 3)
    merges = [(left, right, 200 + place) for place, (left, right) in enumerate([(97, 98), (99, 100), (101, 102)])]
    changes = replay(laid_out([(word, dict(enumerate(row))) for word, row in zip(words, counts.tolist(), strict=True)]),
                     np.array(merges), 3)  # fmt: skip
    patient, restless = MixtureProgram(changes, 3), MixtureProgram(changes, 3, RESTLESS)
    found = [list(program.solve([50.0, 1e-6]))[-1] for program in (patient, restless)]
    assert found[1].objective == pytest.approx(found[0].objective, abs=0.01)
    assert found[1].rows < found[0].rows


def drawn(seed: int, num: int) -> tuple[list[bytes], NDArray[np.int64]]:
    """Words of few letters, and how often each stands in each category, whose letters differ."""
    random = np.random.default_rng(seed)
    likely = random.dirichlet(np.full(12, 0.5), num)
    found: list[Counter[bytes]] = [
        Counter(
            (97 + random.choice(12, random.integers(2, 9), p=likely[place])).astype(np.uint8).tobytes()
            for _ in range(3000)
        )
        for place in range(num)
    ]
    words = sorted(set().union(*found))
    return words, np.array([[counts[word] for counts in found] for word in words], np.int64)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_counts_that_it_was_trained_on_give_the_shares_back(seed: int) -> None:
    """Down to pairs that are equally frequent in training, which fix the shares exactly."""
    num = 4
    words, counts = drawn(seed, num)
    weights = np.random.default_rng(seed).permutation([1, 2, 3, 5])
    learned = train(pa.array(words, pa.large_binary()), counts @ weights, 30000)
    assert learned.counts[-1] == 1
    sequences = [np.array([identity(byte) for byte in word]) for word in words]
    rows, places = np.nonzero(counts)
    laid = Words(
        np.concatenate(sequences).astype(np.int32),
        np.cumsum([0, *map(len, sequences)]),
        np.searchsorted(rows, np.arange(len(words) + 1)),
        places.astype(np.int16),
        counts[rows, places],
    )
    merges = np.c_[learned.merges, 256 + np.arange(len(learned.merges))]
    pairs = np.array([len(word) - 1 for word in words]) @ counts * weights
    found = list(MixtureProgram(replay(laid, merges, num), num).solve([50.0, 1.0, 1e-6]))[-1]
    assert found.objective == pytest.approx(0, abs=1e-6)
    assert np.abs(found.shares - pairs / pairs.sum()).max() < 1e-6


def identity(byte: int) -> int:
    """The number of a byte in training."""
    from operators.byte_alphabet import byte_ids

    return int(byte_ids()[byte])


def test_limits_end_it_with_the_levels_that_are_done() -> None:
    words, counts = drawn(5, 3)
    sequences = [[byte - 97 for byte in word] for word in words]
    counted = [
        (sequence, {place: int(count) for place, count in enumerate(row) if count})
        for sequence, row in zip(sequences, counts, strict=True)
    ]
    merges = np.array([(left, right, 12 + 12 * left + right) for left in range(12) for right in range(12)])
    changes = replay(laid_out(counted), merges, 3)
    without = list(MixtureProgram(changes, 3).solve([5000.0, 1.0]))
    assert [solution.tolerance for solution in without] == [5000.0, 1.0]
    rounds = without[0].rounds
    limited = list(MixtureProgram(changes, 3, Limits(rounds=rounds)).solve([5000.0, 1.0]))
    assert [solution.tolerance for solution in limited] == [5000.0]
    assert limited[0].objective == without[0].objective


def test_a_category_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"categories \[1\] have no pairs"):
        MixtureProgram(replay(laid_out([([1, 2], {0: 3}), ([1], {1: 2})]), np.array([(1, 2, 3)]), 2), 2)
