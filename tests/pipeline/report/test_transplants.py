"""What the page says of tables that were made for another tokenizer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pipeline.report.manifests import HOSTILE
from tests.pipeline.report.test_trained import page_of

GIVEN = {"kind": "init_embeddings", "name": "tok", "model": "SmolLM2.gguf", "method": "focus_subword"}
HELD: dict[str, Any] = {
    "tokens": 500,
    "centred_cosine": {"mean": 0.4321, "low": 0.42, "high": 0.44},
    "recall_at_10": {"mean": 0.31, "low": 0.3, "high": 0.33},
    "norm_ratio": {"mean": 0.71, "low": 0.7, "high": 0.72},
    "median_rank": 61.0,
}
ONE: dict[str, Any] = {
    "ids": {"old": 49_152, "new": 24_000},
    "routes": {"exact": 15_000, "special": 1, "mixed": 8_900, "mean": 99},
    "mean_norms": {"exact": 3.5, "mixed": 2.25},
    "width": 576,
    "is_tied": True,
    "settings": {"method": "focus_subword", "vectors": "text"},
    "text": {"documents": 12, "bytes": 3_000_000},
    "held_out": {"tokens": 500, "all": HELD, "no_variant": {**HELD, "median_rank": 106.0}},
}


def reading(value: float, **more: float) -> dict[str, Any]:
    return {"bits_per_byte": value, "interval": [value - 0.1, value + 0.1], "nats_per_shared_token": 2.5, **more}


TRIAL: dict[str, Any] = {
    "measured": True,
    "dtype": "bfloat16",
    "segments": 60,
    "bytes": 60_000,
    "segments_left_out": 0,
    "readings": {
        "source": reading(1.05),
        "made": reading(1.2, new_tokens=0.042, nats_per_new_token=6.1, won_by_new=0.003),
        "mean": reading(1.45, new_tokens=0.042, nats_per_new_token=16.1, won_by_new=0.0),
    },
    "above_source": {"made": {"bits_per_byte": 0.15, "interval": [0.12, 0.18]}},
    "below_mean": {"bits_per_byte": 0.25, "interval": [0.2, 0.3]},
}


def said(**found: object) -> str:
    return page_of("init_embeddings", GIVEN, {"init_report.json": json.dumps({**ONE, **found}).encode()})


def test_what_was_copied_how_the_rest_came_and_how_near_it_is() -> None:
    page = said()
    for shown in (
        "62.5 % of the new rows are old ones, copied to the bit; 8,999 rows were made.",
        "Model SmolLM2.gguf Ids 49,152 \u2192 24,000 Method focus_subword Compared by vectors trained here",
        "Tables one, which reads and predicts Text 3.00 MB 12 documents",
        "copied: the old vocabulary has the same bytes 15,000 62.5 % 3.5",
        "half shared tokens that are used alike, half its pieces 8,900 37.1 % 2.25",
        "all held-out tokens 500 0.432 0.420 \u2013 0.440 31.0 % 61 0.71 of it",
        "without one, as most new tokens 500 0.432 0.420 \u2013 0.440 31.0 % 106",
    ):
        assert shown in page
    assert "Bits per byte" not in page


def test_bits_per_byte_have_intervals_and_checks_are_in_words() -> None:
    page = said(trial=TRIAL)
    for shown in (
        "Bits per byte of the same held-out text (60.0 kB in 60 segments, bfloat16)",
        "the old tokenizer 1.0500 0.950 \u2013 1.150 2.50",
        "the new one, rows as made 1.2000 1.100 \u2013 1.300 +0.1500 0.120 \u2013 0.180 2.50 6.10",
        "At 0.3 % of the positions a made row wins over every copied one.",
        "Than the mean row for all it is 0.2500 bits per byte better (0.200 \u2013 0.300).",
    ):
        assert shown in page
    levels = {"before": {"made": 11.8, "copied": 9.4}, "after": {"made": 9.4, "copied": 9.4}}
    more = {**TRIAL, "calibration": {"mean_logit": levels}, "segments_left_out": 2}
    page = said(trial={**more, "below_mean": {"bits_per_byte": 0.01, "interval": [-0.01, 0.03]}})
    assert "Mean logits of made rows: 11.80 before calibration, 9.40 after; of copied ones 9.40." in page
    assert "that is no gain." in page
    assert "2 segments left out" in page


def test_text_that_was_trained_on_is_not_called_held_out() -> None:
    page = said(trial={**TRIAL, "is_held_out": False})
    assert "Bits per byte of text of the step, which was trained on (60.0 kB in 60 segments, bfloat16)" in page
    assert "no figure here is of text held out" in page
    assert "same held-out text" not in page
    assert "no figure here" not in said(trial={**TRIAL, "is_held_out": True})


def test_tokens_that_got_the_mean_row_are_named() -> None:
    page = said(mean_tokens=["<|pad|>", "zq"])
    told = page[page.index("The mean row went to") :][:60].replace(" ,", ",")
    assert told.startswith("The mean row went to <|pad|>, zq and others.")
    assert "The mean row went to" not in said(mean_tokens=[])


def test_what_was_not_measured_is_said() -> None:
    assert "Not tried in the model: torch is not there." in said(trial={"measured": False, "why": "torch is not there"})
    assert "No shared tokens were held out: too few." in said(held_out={"tokens": 0, "why": "too few"})


@pytest.mark.parametrize("lacking", ["mean_norms", "held_out", "text", "settings", "width", "is_tied"])
def test_a_report_that_lacks_a_part_still_makes_a_page(lacking: str) -> None:
    page = page_of(
        "init_embeddings",
        GIVEN,
        {"init_report.json": json.dumps({k: v for k, v in ONE.items() if k != lacking}).encode()},
    )
    assert "copied to the bit" in page


def test_nothing_of_the_data_is_read_as_html() -> None:
    page = said(routes={"exact": 1, HOSTILE: 1}, trial={"measured": False, "why": HOSTILE})
    assert "<script>" in page  # unescaped here, and so escaped in the page
    assert "[U+202E]" in page
