"""Thresholds of a share to keep: exact, the same for any sharding, and fine where the scores lie close together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kept_shares import MOST, Edges, count_edges, kept_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

scores = st.one_of(
    st.floats(-5, 5), st.integers(-40, 40).map(float), st.floats(0.4995, 0.5022), st.floats(-1e9, 1e9), st.just(5e-324)
)


def counted(values: Sequence[float]) -> Edges:
    return count_edges(np.array(values, np.float64), np.arange(len(values), dtype=np.int64))


@given(st.lists(scores, min_size=1, max_size=200), st.booleans())
def test_what_a_threshold_drops_is_what_lies_beyond_it(values: list[float], is_negated: bool) -> None:
    found = counted([-value for value in values] if is_negated else values)
    for entry in kept_shares(found, len(values), is_negated=is_negated):
        at = entry["threshold"]
        gone = [place for place, value in enumerate(values) if (value > at if is_negated else value < at)]
        assert (entry["dropped"], entry["dropped_bytes"]) == (len(gone), sum(gone))
        assert len(values) - len(gone) >= entry["share"] * len(values)


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_is_the_same_however_the_documents_are_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 10.0**seed, 3000), rng.lognormal(5, 3, 500)])
    sizes = rng.integers(0, 1000, len(values))
    whole = count_edges(values, sizes)
    shard = rng.integers(0, 7, len(values))
    found = Edges()
    for place in rng.permutation(7):
        part = count_edges(values[shard == place], sizes[shard == place])
        found = found.plus(Edges.from_json(json.loads(json.dumps(part.to_json()))))
    assert (found.bits, sorted(found.counts.items())) == (whole.bits, sorted(whole.counts.items()))
    assert MOST / 4 < len(whole.counts) <= MOST


def test_scores_close_together_are_told_apart() -> None:
    found = kept_shares(counted(np.linspace(0.4995, 0.5022, 2000).tolist()), 2000, is_negated=False)
    assert [entry["share"] for entry in found] == [0.99, 0.95, 0.9, 0.75, 0.5]
    kept = [1 - entry["dropped"] / 2000 for entry in found]
    assert kept == pytest.approx([0.99, 0.95, 0.9, 0.75, 0.5], abs=0.012)


def test_negative_scores_have_negative_thresholds() -> None:
    found = kept_shares(counted(np.linspace(-3.8, -1.1, 1204).tolist()), 1204, is_negated=False)
    assert all(-3.8 < entry["threshold"] < -2.3 for entry in found)
    assert len(found) == 5


def test_documents_that_were_not_counted_leave_nothing_to_say() -> None:
    assert kept_shares(counted([1.0, 2.0]), 3, is_negated=False) == []
