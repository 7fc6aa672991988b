"""What the page says of a step that looked for evaluation items."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operators.decontaminate import Decontaminate
from tests.operators.harness import corpus, run
from tests.pipeline.report.manifests import HOSTILE
from tests.pipeline.report.test_trained import page_of

TEXT = "one two three four five six seven eight nine ten"


def said(found: object, **given: object) -> str:
    """The page of a step that left this summary."""
    operator = Decontaminate.model_validate({"name": "tok", "references": ["exam"], **given})
    content = found if isinstance(found, bytes) else json.dumps(found).encode()
    return page_of("decontaminate", operator.model_dump(mode="json"), {"summary.json": content})


def summary(texts: list[str], items: list[str]) -> Any:  # noqa: ANN401
    """What the operator leaves of these texts."""
    operator = Decontaminate(references=("exam",), ngram=4, min_words=4)
    found = run(operator, [corpus(texts)], references={"exam": [corpus(items)]})
    return json.loads(found.artifacts["summary"].read("summary.json"))


def test_the_page_says_how_many_items_are_in_the_text() -> None:
    texts = [TEXT, f"{TEXT} {TEXT}", "one two three four and else nothing of it at all here", "other words"]
    page = said(summary(texts, [TEXT, "six seven eight nine and nothing more of that", "too short"]))
    for shown in (
        "N-grams 4 words",
        "Of 3 evaluation items 2 share an n-gram with a document before the step.",
        "Contaminated: one document holds more than 0.5 of the item",
        "exam 3 2 1 33.3 % 1 3 2",
        "1 item has no n-gram to look for",
    ):
        assert shown in page


def test_an_audited_step_would_drop_and_without_a_bound_every_hit_counts() -> None:
    page = said(summary([TEXT], [TEXT]), audit=True, max_contained=None)
    assert "would be dropped for it" in page
    assert "holds an n-gram of the item" in page


def test_where_nothing_is_found_that_is_said() -> None:
    assert "No document shares an n-gram with any of 1 evaluation item." in said(summary(["other"], [TEXT]))


@pytest.mark.parametrize("found", [{}, [], b"", {"ngram": 3, "references": [{}]}])
def test_a_summary_that_is_none_is_left_out(found: object) -> None:
    assert "N-grams" not in said(found)


def test_names_cannot_break_the_page() -> None:
    found = summary([TEXT], [TEXT])
    found["references"][0]["reference"] = HOSTILE
    assert HOSTILE not in said(found)
