"""What the page says of a step that scored documents by a ladder of models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operators.concordance_score import ConcordanceScore
from tests.operators.harness import corpus, run
from tests.pipeline.report.manifests import HOSTILE
from tests.pipeline.report.test_trained import page_of

LADDER = ("tests.operators.losses:of_letters", "tests.operators.losses:of_length")


def said(found: object, name: str = "tok") -> str:
    """The page of a step that left this summary."""
    given = {"kind": "concordance_score", "name": name, "ladder": LADDER}
    content = found if isinstance(found, bytes) else json.dumps(found).encode()
    return page_of("concordance_score", given, {"concordance.json": content})


def summary(texts: list[str]) -> Any:  # noqa: ANN401
    """What the operator leaves of these texts."""
    found = run(ConcordanceScore(ladder=LADDER), [corpus(texts)])
    return json.loads(found.artifacts["ranking"].read("concordance.json"))


def test_the_page_says_what_was_labelled_and_how_far_documents_agree() -> None:
    page = said(summary(["e", "ee", "x" * 99, "y" * 101, "x" * 2000, ""]))
    for shown in (
        "Documents with a score 5",
        "Positive 3 2.20 kB, 733 B on average",
        "Negative 2 3 B, 2 B on average",
        "Highest score of a negative 0",
        "0 2 40.0 % 3 B",
        "1 3 60.0 % 2.20 kB",
        "2 rungs of the ladder",
    ):
        assert shown in page


@pytest.mark.parametrize("found", [{}, [], b"", {"scores": []}])
def test_a_summary_that_is_none_is_left_out(found: object) -> None:
    assert "Documents with a score" not in said(found)


def test_a_corpus_without_a_score_has_no_numbers() -> None:
    assert "Documents with a score 0" in said(summary([""]))


def test_names_cannot_break_the_page() -> None:
    found = {"bits_per_byte": [], "scores": [], "labels": {HOSTILE: {"docs": 0, "bytes": 0}}}
    assert HOSTILE not in said(found)
