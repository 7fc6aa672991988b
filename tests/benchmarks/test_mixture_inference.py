import numpy as np
import pytest

from benchmarks.mixture_inference import drawn_mixture, log_mse

RANDOM = {5: (-1.39, 0.36), 10: (-1.84, 0.23), 30: (-2.70, 0.13), 112: (-3.82, 0.07)}
UNIFORM = {5: (-1.67, 0.31), 10: (-2.14, 0.22), 30: (-3.01, 0.14), 112: (-4.12, 0.08)}


@pytest.mark.parametrize("num", RANDOM)
def test_guesses_score_as_in_the_paper(num: int) -> None:
    """Hayase et al. 2024, table 1: a random guess; and an even one, from the notebook of its repository."""
    random = np.random.default_rng(num)
    truths = [drawn_mixture(random, num) for _ in range(2000)]
    guesses = [log_mse(drawn_mixture(random, num), truth) for truth in truths]
    even = [log_mse(np.full(num, 1 / num), truth) for truth in truths]
    for scores, (mean, deviation) in ((guesses, RANDOM[num]), (even, UNIFORM[num])):
        assert np.mean(scores) == pytest.approx(mean, abs=0.04)
        assert np.std(scores) == pytest.approx(deviation, abs=0.04)


def test_shares_are_hundredths_of_a_percent_and_none_is_0() -> None:
    shares = drawn_mixture(np.random.default_rng(1), 30)
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 1e-4
    assert np.allclose(shares * 1e4, np.rint(shares * 1e4))
