"""What the page says of a step that chose a subset to stand for the corpus."""

from __future__ import annotations

import json
from typing import Any

from tests.operators.test_subsets import cloud, select
from tests.pipeline.report.test_trained import page_of

ONE: dict[str, Any] = {
    "candidates": {"docs": 3000, "bytes": 12_000_000},
    "without_vector": {"docs": 2, "bytes": 0},
    "chosen": {"docs": 200, "bytes": 500_000},
    "partitions": 3,
    "objective": {"chosen": 1500.0, "random": 1200.0},
    "mean_similarity": {"chosen": 0.5, "random": 0.4},
    "radius": {"chosen": 1.25, "random": 1.375},
}


def said(kind: str = "facility_location", **found: object) -> str:
    content = json.dumps({**ONE, **found}).encode()
    return page_of(kind, {"kind": kind, "name": "tok"}, {"summary.json": content, "partitions.parquet": b""})


def test_the_page_says_how_well_the_choice_stands_for_the_rest() -> None:
    page = said()
    for shown in (
        "Chosen 200 of 3,000 candidates",
        "Text 500 kB of 12.0 MB",
        "Partitions 3",
        "Without a vector 2 documents",
        "what was chosen 0.5 1.25 as many by chance 0.4 1.375",
    ):
        assert shown in page
    assert "Reached" not in page


def test_the_summary_of_a_real_step_is_shown() -> None:
    engine = select(cloud(), "ideal", select={"docs": 9})
    page = said("ideal", **json.loads(engine.artifacts["summary"].read("summary.json")))
    assert "Chosen 9 of 60 candidates" in page
    assert "Reached" in page
    assert "as many by chance" in page


def test_where_nothing_was_chosen_nothing_is_compared_and_another_file_is_no_summary() -> None:
    assert "by chance" not in said(chosen={"docs": 0, "bytes": 0})
    assert "Chosen" not in page_of("facility_location", {"name": "tok"}, {"summary.json": b"{}"})
