"""What the page says of a mixture that was inferred from a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from tests.operators.test_infer_mixture import table
from tests.pipeline.report.manifests import HOSTILE
from tests.pipeline.report.test_trained import page_of

GIVEN = {"kind": "infer_mixture", "name": "tok", "tokenizer": "cl100k.tiktoken"}
ONE: dict[str, Any] = {
    "by": "lang",
    "categories": {
        "de": {"bytes": 0.25, "pairs": 0.3, "text_bytes": 2_000_000, "text_pairs": 5},
        "en": {"bytes": 0.75, "pairs": 0.7, "text_bytes": 3_000_000, "text_pairs": 5},
    },
    "tolerance_ppm": 5.0,
    "tolerance_asked_ppm": 1.0,
    "surprise": 0.02,
    "explains": True,
    "verdict": "the categories explain this tokenizer <roughly>",
    "merges": {"of_tokenizer": 100_000, "skipped": 0, "used": 3000, "missing": 40},
    "violations": [{"ppm": 100.0 / (n + 1), "says": f"this tokenizer merges `Ġ{n}` far earlier"} for n in range(7)],
    "missing": [{"merge": 7, "pair": ["Ġ", "zz"]}],
}


def said(**found: object) -> str:
    """The page of a step that left this mixture."""
    return page_of("infer_mixture", GIVEN, {"mixture.json": json.dumps({**ONE, **found}).encode()})


def test_shares_a_verdict_and_what_is_not_explained() -> None:
    page = said()
    for shown in (
        "75.00 % en and 25.00 % de . The categories explain this tokenizer <roughly>.",
        "Tokenizer cl100k.tiktoken Categories by lang Merges asked 3,000 of 100,000 In no category 40 merges",
        "Tolerance 5 ppm 1 ppm asked for",
        "en 75.00 % 70.00 % 3.00 MB de 25.00 % 30.00 % 2.00 MB",
        "this tokenizer merges `Ġ0` far earlier (100 ppm)",
        "2 more violations",
        "Merged, but in no category, the first 1 of 40 \u2423 zz",
    ):
        assert shown in page
    assert "trained on these shares" not in page
    assert "Tolerance 1 ppm as asked for" in said(tolerance_ppm=1.0)


def test_an_audit_has_what_was_trained_on_beside_what_was_inferred() -> None:
    entries = {name: {**entry, "trained": entry["bytes"]} for name, entry in ONE["categories"].items()}
    entries["en"]["trained"] = 0.752
    audit = {"largest_difference": 0.2, "category": "en", "max_difference": 0.5, "fits": False}
    given = {"kind": "audit_mixture", "name": "tok", "step": "made"}
    for most, shown in ((0.5, "to within 0.2 percentage points ( en )."), (0.1, "More than 0.1 is too much.")):
        content = json.dumps({**ONE, "categories": entries, "audit": {**audit, "max_difference": most}}).encode()
        page = page_of("audit_mixture", given, {"mixture.json": content})
        assert "Step made was trained on these shares" in page
        assert shown in page
        assert "lang bar bytes pairs trained on off by text en 75.00 % 70.00 % 75.20 % \u22120.2 3.00 MB" in page


def test_categories_that_explain_nothing_are_said_to() -> None:
    page = said(explains=False, surprise=0.4, verdict="they do not: 40.0 % is out of order")
    assert "They do not: 40.0 % is out of order." in page
    assert "Out of order 40.0 %" in page
    assert "75.00 % en and" not in page


def test_shares_that_the_merges_leave_open_are_no_answer() -> None:
    page = said(determined=False, verdict="the merges do not determine the shares")
    assert "The merges do not determine the shares." in page
    assert "75.00 % en and" not in page


def test_the_sentence_adds_up_to_all() -> None:
    entry = {"pairs": 0.0, "text_bytes": 1}
    shares = {"a": 0.33, "b": 0.2, "c": 0.15, "d": 0.12, "e": 0.1, "f": 0.06, "g": 0.04}
    page = said(categories={name: {**entry, "bytes": share} for name, share in shares.items()})
    assert "33.00 % a , 20.00 % b , 15.00 % c , 12.00 % d , 10.00 % e and 10.00 % of 2 others" in page


def test_intervals_have_columns_and_many_categories_are_folded() -> None:
    entry = {"bytes": 0.02, "pairs": 0.02, "text_bytes": 1, "range": [0.01, 0.03], "bootstrap": [0.0, 1.0]}
    page = said(categories={f"l{number:02}": entry for number in range(50)})
    assert "lang bar bytes pairs range bootstrap text" in page
    assert (
        "l39 2.00 % 2.00 % 1.00 % \u2013 3.00 % 0 % \u2013 100 % 1 B 10 other categories 20.00 % 20.00 % 10 B" in page
    )


@pytest.mark.parametrize("content", [b"[]", b'{"explains": true}', json.dumps({**ONE, "categories": {}}).encode()])
def test_a_file_that_says_less_is_left_out(content: bytes) -> None:
    assert "is explained by" not in page_of("infer_mixture", GIVEN, {"mixture.json": content})


def test_names_are_text_whatever_they_hold() -> None:
    entry = {"bytes": 1.0, "pairs": 1.0}
    page = said(
        categories={HOSTILE: entry, "b": entry},
        violations=[{"says": HOSTILE}],
        missing=[{"merge": 1, "pair": [HOSTILE] * 2}],
    )
    assert page.count("<script>document.title=") == 3  # in a page without its tags; a long token loses its middle


def test_a_run_by_the_command_has_the_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = table(repeated=False).to_pylist()
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = Path(__file__).resolve().parents[2] / "data" / "tokenizer.json"
    command = ["infer", str(tokenizer), "--data", "texts.jsonl", "--by", "kind", "--out", "out", "--workers", "1"]
    assert main(command) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "What it was trained on, inferred" in page
    assert "stand in no category" in page
    assert '<nav aria-label="Sections"><a href="#trained">' in page
