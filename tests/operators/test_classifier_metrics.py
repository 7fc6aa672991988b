import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.classifier_metrics import (
    Scores,
    Truth,
    at_threshold,
    auc,
    calibration,
    calibration_error,
    curve,
    kept_share,
    measured,
)

SCORED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1), st.booleans()), max_size=30
)


def arrays(scored: list[tuple[float, bool]]) -> tuple[Scores, Truth]:
    return np.array([score for score, _ in scored], np.float64), np.array([truth for _, truth in scored], bool)


@given(SCORED)
def test_auc_is_the_share_of_pairs_in_order(scored: list[tuple[float, bool]]) -> None:
    positive = [score for score, truth in scored if truth]
    negative = [score for score, truth in scored if not truth]
    wins = [(one > other) + 0.5 * (one == other) for one in positive for other in negative]
    expected = sum(wins) / len(wins) if wins else None
    assert auc(*arrays(scored)) == (pytest.approx(expected, abs=1e-6) if wins else None)


@given(SCORED, st.floats(0, 1))
def test_precision_and_recall_are_what_they_say(scored: list[tuple[float, bool]], threshold: float) -> None:
    found = at_threshold(*arrays(scored), threshold)
    kept = [truth for score, truth in scored if score >= threshold]
    positive = sum(truth for _, truth in scored)
    assert found["precision"] == (pytest.approx(sum(kept) / len(kept), abs=1e-6) if kept else None)
    assert found["recall"] == (pytest.approx(sum(kept) / positive, abs=1e-6) if positive else None)


@given(SCORED)
def test_the_curve_holds_what_its_thresholds_give(scored: list[tuple[float, bool]]) -> None:
    points = curve(*arrays(scored))
    for point in points:
        found = at_threshold(*arrays(scored), point["threshold"])
        assert (found["precision"], found["recall"]) == (point["precision"], point["recall"])
    assert [point["recall"] for point in points] == sorted(point["recall"] for point in points)
    assert not points or points[-1]["recall"] == 1


@given(SCORED, st.sampled_from([0.01, 0.1, 0.5]))
def test_the_threshold_of_a_share_is_the_highest_that_keeps_it(scored: list[tuple[float, bool]], share: float) -> None:
    found = kept_share(*arrays(scored), share)
    negative = [score for score, truth in scored if not truth]
    if not negative:
        assert found["threshold"] is None
        return
    assert sum(score >= found["threshold"] for score in negative) >= share * len(negative)
    assert sum(score > found["threshold"] for score in negative) < max(share * len(negative), 1)


def test_scores_that_are_probabilities_are_calibrated() -> None:
    random = np.random.default_rng(0)
    scores = random.random(20_000)
    truth = random.random(20_000) < scores
    assert calibration_error(calibration(scores, truth), 20_000) == pytest.approx(0, abs=0.02)
    assert calibration_error(calibration(scores**4, truth), 20_000) == pytest.approx(0.3, abs=0.02)


@given(SCORED)
def test_everything_is_finite_or_null(scored: list[tuple[float, bool]]) -> None:
    found = measured(*arrays(scored))
    assert sum(entry["documents"] for entry in found["calibration"]) == len(scored)
    assert all(value is None or np.isfinite(value) for value in found["at_half"].values())
