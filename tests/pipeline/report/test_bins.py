from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.report.bins import MOST, Axis, Bin, choose_axis, merge, read_buckets, rebin
from tests.pipeline.report.manifests import buckets

SCORES = st.lists(
    st.one_of(
        st.floats(-1e300, 1e300),
        st.floats(-1e6, 1e6),
        st.floats(0, 1),
        st.floats(1e-3, 1e9),
        st.integers(0, 40).map(float),
        st.just(0.0),
    ),
    min_size=1,
    max_size=60,
)
BOUNDS = st.lists(st.floats(-1e6, 1e6), max_size=3)


@settings(deadline=None)
@given(SCORES, BOUNDS)
def test_no_row_is_lost_or_made_up_between_buckets_and_columns(values: list[float], bounds: list[float]) -> None:
    found = read_buckets(buckets(values))
    bins = rebin(found, choose_axis(found, bounds))
    assert sum(bin_.rows for bin_ in bins) == pytest.approx(len(values))
    assert len(bins) <= MOST + 2


@settings(deadline=None)
@given(SCORES, BOUNDS)
def test_merged_buckets_hold_just_the_scores_that_lie_in_them(values: list[float], bounds: list[float]) -> None:
    values = [value for value in values if abs(value) < 1e100]
    assume(values)
    found = read_buckets(buckets(values))
    merged = merge(found, choose_axis(found, bounds))
    assert len(merged) <= MOST + 2
    assert sum(bin_.rows for bin_ in merged) == len(values)
    assert all(left.high <= right.low for left, right in pairwise(merged))
    for low, high, rows in merged:
        last = high in (low, 1.0) and (low, high, rows) == merged[-1]
        assert rows == sum(low <= value < high or (value == high and (last or high == 0)) for value in values) > 0


@settings(deadline=None)
@given(SCORES, BOUNDS)
def test_columns_follow_each_other_from_left_to_right_on_the_axis(values: list[float], bounds: list[float]) -> None:
    found = read_buckets(buckets(values))
    axis = choose_axis(found, bounds)
    places = [place for bin_ in rebin(found, axis) for place in (axis.place(bin_.low), axis.place(bin_.high))]
    assert all(0 <= place <= 1 for place in places)
    assert all(left <= right + 1e-9 for left, right in pairwise(places))


def test_a_score_over_many_decades_stands_on_a_logarithmic_axis_with_a_place_for_zero() -> None:
    found = read_buckets(buckets([0.0, *(10.0**power for power in range(6))]))
    axis = choose_axis(found, [])
    assert axis.log
    assert axis.zero
    assert axis.place(0) == 0 < axis.place(1.0) < axis.place(1000.0) < 1
    assert rebin(found, axis)[0].rows == 1
    assert [name for _, name in axis.ticks()][:3] == ["0", "1", "10"]


def test_a_single_small_stray_makes_no_logarithmic_axis() -> None:
    assert not choose_axis(read_buckets(buckets([0.001, *[50.0 + n % 30 for n in range(500)]])), []).log


def test_shares_end_at_one_although_their_last_bucket_is_wider() -> None:
    assert choose_axis(read_buckets(buckets([0.0, 0.3, 1.0])), [0.5]) == Axis(0.0, 1.0)


def test_counts_get_a_column_for_every_whole_number() -> None:
    found = read_buckets(buckets([0.0, 1.0, 1.0, 2.0, 8.0]))
    bins = rebin(found, choose_axis(found, []))
    assert [bin_.rows for bin_ in bins] == [1, 2, 1, 0, 0, 0, 0, 0, 1]
    assert bins[1] == Bin(1.0, 2.0, 2.0)


def test_a_bound_near_the_data_is_on_the_axis_with_room_beyond_and_one_far_away_is_not() -> None:
    found = read_buckets(buckets([0.0, 0.1, 0.5]))
    assert choose_axis(found, [0.9]).high > 0.9
    assert not choose_axis(found, [500.0]).holds(500.0)


def test_where_all_scores_are_equal_the_bounds_are_shown() -> None:
    axis = choose_axis(read_buckets(buckets([0.0, 0.0])), [0.3])
    assert axis.low == 0
    assert axis.holds(0.3)
    assert axis.high > 0.3


def test_an_outermost_bucket_that_holds_the_bound_begins_at_it() -> None:
    found = read_buckets(buckets([0.801, 0.9, 1.0]))
    axis = choose_axis(found, [0.8])
    assert axis.low == 0.8
    assert sum(bin_.rows for bin_ in rebin(found, axis)) == pytest.approx(3)
