import json

import pytest
from datasketch.lsh import _optimal_param

from operators.banding import choose, curve, meeting_probability


@pytest.mark.parametrize("size", [1, 7, 16, 64, 112, 128])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99])
def test_bands_and_rows_are_datasketchs(threshold: float, size: int) -> None:
    assert choose(threshold, size) == _optimal_param(threshold, size, 0.5, 0.5)


@pytest.mark.parametrize(("below", "above"), [(0.1, 0.9), (0.9, 0.1)])
def test_so_are_they_with_other_weights(below: float, above: float) -> None:
    assert choose(0.8, 64, below, above) == _optimal_param(0.8, 64, below, above)


def test_a_curve_rises_from_never_to_always_and_fits_into_json() -> None:
    found = json.loads(json.dumps(curve(14, 8, 0.8)))
    probabilities = [row["probability"] for row in found["curve"]]
    assert probabilities == sorted(probabilities)
    assert (probabilities[0], probabilities[-1], len(probabilities)) == (0, 1, 101)
    assert found["recall_at_threshold"] == round(meeting_probability(0.8, 14, 8), 6)


def test_the_masses_are_those_of_the_curve() -> None:
    found = curve(20, 5, 0.5)
    steps = 20_000
    middle = [meeting_probability((place + 0.5) / steps, 20, 5) for place in range(steps)]
    assert found["candidates_below"] == pytest.approx(sum(middle[: steps // 2]) / (steps // 2), abs=2e-6)
    assert found["recall_above"] == pytest.approx(sum(middle[steps // 2 :]) / (steps // 2), abs=2e-6)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the threshold is 1\.5"):
        choose(1.5, 128)
