"""What the page says of a step that chose documents by their likeness to a target."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operators.importance_resample import ImportanceResample
from tests.operators.harness import deal, run
from tests.operators.test_importance_targets import SMALL, TARGETS, three_targets
from tests.pipeline.report.manifests import HOSTILE
from tests.pipeline.report.test_trained import page_of

ONE: dict[str, Any] = {
    "normalise": "chunk",
    "temperature": 20.0,
    "candidates": {"docs": 3000, "bytes": 12_000_000},
    "asked": 200,
    "chosen": {"docs": 200, "bytes": 500_000},
    "effective_sample_size": 63.21,
    "effective_sample_sizes": {"1": 1.2, "50": 706.4},
    "ngrams": {"target": 9, "raw": 9, "chosen": 9},
    "kl_target_from_raw": 1.25,
    "kl_target_from_chosen": 0.5,
    "kl_reduction": 0.75,
}


def said(**found: object) -> str:
    """The page of a step that left this summary."""
    given = {"kind": "importance_resample", "name": "tok", "target": "articles"}
    content = json.dumps({**ONE, **found}).encode()
    return page_of("importance_resample", given, {"summary.json": content, "features.npz": b""})


def test_the_page_says_how_much_closer_the_chosen_are() -> None:
    page = said()
    for shown in (
        "Chosen 200 of 3,000 candidates",
        "Text 500 kB of 12.0 MB",
        "Mean document 4.00 kB \u2192 2.50 kB",
        "KL to the target 1.25 \u2192 0.5 nats",
        "Effective sample 63.2",
        "Normalise chunk Temperature 20",
        "What was chosen is 60.0 % closer to the target than the corpus is",
        "The weights are worth 63.2 equal documents, for 200 chosen.",
        "the corpus 1.25 what was chosen 0.5",
        "temperature effective sample for each chosen 1 1 0.006 20 63 0.316 50 706 3.532",
    ):
        assert shown in page
    assert "degenerate" not in page


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"effective_sample_size": 19.9}, "The weights are degenerate: few documents"),
        ({"effective_sample_size": 1.04}, "worth 1 equal document, for 200"),
        ({"kl_target_from_chosen": 1.5}, "What was chosen is no closer to the target"),
        ({"chosen": {"docs": 0, "bytes": 0}}, "Nothing was chosen for the target."),
        ({"kl_target_from_raw": 0, "kl_target_from_chosen": 0}, "is no closer to"),
    ],
)
def test_what_went_wrong_is_said(found: dict[str, Any], shown: str) -> None:
    assert shown in said(**found)


def test_what_was_not_chosen_is_at_no_distance_and_a_choice_of_all_is_not_degenerate() -> None:
    page = said(chosen={"docs": 0, "bytes": 0})
    assert "KL to the target 1.25 nats" in page
    assert "the corpus 1.25 what was chosen" not in page
    assert "degenerate" not in said(chosen={"docs": 3000, "bytes": 12_000_000})


def test_where_the_highest_weights_were_asked_for_nothing_is_degenerate() -> None:
    assert "degenerate" not in said(effective_sample_size=1.0, temperature=0)


def test_the_summary_of_a_real_step_with_several_targets_is_shown() -> None:
    table, wanted = three_targets(1, 60)
    operator = ImportanceResample.model_validate({"target": TARGETS, "select": {"docs": 12}, **SMALL})
    engine = run(operator, deal(table, 2), references={name: [some] for name, some in wanted.items()})
    summary = json.loads(engine.artifacts["summary"].read("summary.json"))
    page = said(**summary)
    assert "closer to the target part: good than" in page
    assert "law from what was chosen" in page
    assert "Effective sample size by temperature of sea" in page


def test_a_target_is_text_whatever_it_holds_and_another_file_is_no_summary() -> None:
    assert "<script>document.title=" in said(targets=[{**ONE, "target": HOSTILE}])  # in a page without its tags
    assert "closer to" not in page_of("importance_resample", {"name": "tok"}, {"summary.json": b"{}"})
