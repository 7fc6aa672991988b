"""What is said of how far a mixture can be trusted."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from operators.mixture_program import MixtureProgram, Solution
from operators.mixture_verdict import Range, Verdict, verdict

MERGES = 100
MOST = 10_000.0
"""ppm of the most frequent merge; all together have ten times as much."""


NARROW = (Range("a", 0.5, 0.495, 0.505), Range("b", 0.5, 0.495, 0.505))


def judged(
    objectives: dict[float, float], missing: int = 0, ranges: Sequence[Range] | None = NARROW, categories: int = 2
) -> Verdict:
    """The verdict where the objective of each level is so many ppm."""
    frequency = np.full(MERGES, 9 * MOST / (MERGES - 1))
    frequency[0] = MOST
    program: Any = SimpleNamespace(
        changes=SimpleNamespace(merged=np.zeros(MERGES)), frequencies=lambda shares: frequency
    )
    nothing = np.zeros(1)
    solutions = [
        Solution(level, np.full(categories, 1 / categories), nothing, nothing, objective, 1, 1, 1)
        for level, objective in objectives.items()
    ]
    return verdict(cast("MixtureProgram", program), solutions, missing, ranges)


@pytest.mark.parametrize(
    ("objective", "fit", "explains", "says"),
    [
        (0.0, "well", True, "explain this tokenizer well: 0.0 %"),
        (1_900.0, "well", True, "right to about 1 percentage point"),
        (2_100.0, "roughly", True, "roughly: 2.1 % of what it merges is out of order"),
        (13_900.0, "roughly", True, "up to 6 percentage points"),
        (14_100.0, "not", False, "do not explain this tokenizer: 14.1 %"),
    ],
)
def test_the_grade_is_by_what_is_out_of_order(objective: float, fit: str, explains: bool, says: str) -> None:
    found = judged({200.0: objective})
    assert (found.fit, found.explains) == (fit, explains)
    assert says in found.says
    assert found.to_json() == {
        "surprise": pytest.approx(objective / (10 * MOST)), "judged_ppm": 200.0, "fit": fit, "explains": explains,
        "determined": True, "verdict": found.says,
    }  # fmt: skip


def test_a_level_is_judged_that_is_comparable_and_not_the_last() -> None:
    found = judged({5000.0: 0.0, 1000.0: 100.0, 200.0: 1_000.0, 50.0: 50_000.0})
    assert (found.judged_ppm, found.fit) == (200.0, "well")


def test_a_tolerance_too_coarse_says_nothing() -> None:
    found = judged({5000.0: 0.0, 1000.0: 100.0})
    assert (found.fit, found.explains) == ("not", False)
    assert (
        "cannot be said: its most frequent merge has 1e+04 ppm of the pairs, and 1000 ppm is too coarse a tolerance "
        "for that, which takes 200 ppm" in found.says
    )
    assert "do not explain" in judged({1000.0: 20_000.0}).says


def test_missing_merges_say_that_some_text_is_of_no_category() -> None:
    assert judged({200.0: 0.0}, missing=5).explains
    found = judged({200.0: 0.0}, missing=6)
    assert (found.fit, found.explains) == ("well", False)
    assert found.says.startswith("6 of 100 merges stand in no category")
    assert "as to the rest, the categories explain this tokenizer well: 0.0 % of" in found.says


def test_more_out_of_order_than_is_merged_is_no_percentage() -> None:
    says = judged({200.0: 112_600.0}).says
    assert "more is out of order than it merges" in says
    assert "112" not in says
    assert "as much as 37 percentage points" in says


@pytest.mark.parametrize(("objective", "width", "determined"), [
    (0.0, 0.009, True), (0.0, 0.011, False), (5_000.0, 0.011, True), (5_000.0, 0.061, False),
])  # fmt: skip
def test_a_share_is_determined_as_far_as_its_grade_says(objective: float, width: float, determined: bool) -> None:
    found = judged({200.0: objective}, ranges=[Range("a", 0.2, 0.2, 0.2 + width), Range("b", 0.8, 0.8, 0.8)])
    assert found.determined is determined
    assert ("percentage point" in found.says) is determined
    assert (
        found.says.startswith("the merges do not determine the shares: mixtures about as good have") is not determined
    )


def test_the_share_that_may_be_furthest_off_is_judged_and_not_the_widest_range() -> None:
    ranges = [Range("wide", 0.5, 0.491, 0.509), Range("aside", 0.3, 0.3, 0.3 + 0.011), Range("sure", 0.2, 0.2, 0.2)]
    found = judged({200.0: 0.0}, ranges=ranges)
    assert found.determined is False
    assert "have from 30.0 to 31.1 % of 'aside'" in found.says


def test_what_is_open_is_said_after_what_is_lacking() -> None:
    found = judged({200.0: 0.0}, 6, [Range("a", 0.2, 0.1, 0.3), Range("b", 0.8, 0.7, 0.9)])
    assert found.says.startswith("6 of 100 merges stand in no category")
    assert "; as to the rest, the merges do not determine the shares: " in found.says


def test_where_no_range_was_looked_at_the_sentence_says_so() -> None:
    found = judged({200.0: 0.0}, ranges=None)
    assert found.determined is None
    assert found.says.endswith("which was not looked at: ask for range")
    assert "looked at" not in judged({200.0: 20_000.0}, ranges=None).says  # of shares that are not trusted anyway


def test_one_category_leaves_nothing_to_infer() -> None:
    found = judged({200.0: 0.0}, 6, ranges=None, categories=1)
    assert found.determined is None
    assert judged({200.0: 0.0}, ranges=[Range("a", 1.0, 1.0, 1.0)], categories=1).determined is None
    assert found.says.startswith("there is one category, so there is nothing to infer: `by` (`--by`) names a column")
    assert "; 6 of 100 merges stand in no category" in found.says
    assert "right to" not in found.says
