from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET

import pytest

from pipeline.report.bins import Axis
from pipeline.report.figures import BAR, Cut, strip
from pipeline.report.page import render
from pipeline.report.reading import facts_of
from pipeline.report.scores import OPEN, WIDE, scores
from tests.pipeline.report.manifests import MARKUP, Manifest, explored, manifest, nothing, small, step
from tests.pipeline.report.test_page import ALLOWED, Page

RULES: list[Manifest] = [{"name": "uncertain", "score": "lang_score", "low": 0.65, "high": None}]


def shown(entry: Manifest) -> str:
    """The section of a run with this step."""
    return scores(facts_of(manifest([entry], entry["rows_in"]), nothing))


def words(section: str) -> str:
    """The section as a person reads it, cells apart."""
    return Page(section.replace("</t", " </t").replace("<wbr>", "")).text


def judged(values: list[float | None], rules: list[Manifest] = RULES, **more: object) -> Manifest:
    """A step whose rules dropped what they break, by the values of one score."""
    found = explored({rules[0]["score"]: values}, rules)
    dropped = {t["rule"]: t["dropped"][t["thresholds"].index(t["bound"])] for t in found["thresholds"]}
    return step("lid", len(values), {rule: rows for rule, rows in dropped.items() if rows}, **found, **more)


def test_a_person_reads_what_is_kept_at_the_bound_at_others_and_in_each_language() -> None:
    galician = [0.5 if number % 2 else 0.9 for number in range(100)]
    values: list[float | None] = [(galician[n // 7 % 100] if n % 7 == 0 else 0.95) for n in range(700)]
    told = words(shown(judged(values)))
    assert "Kept by uncertain aloneat least bar documents bytes" in told
    assert "0.65 92.9 % 92.8 %" in told
    assert "0.5 100 % 100 %" in told
    assert "gl 100 50.0 %" in told
    assert "en 480 100 %" in told
    assert "others 120 100 %" in told


def test_the_nearest_documents_stand_on_their_sides_of_the_bound() -> None:
    values: list[float | None] = [0.1, 0.64, 0.66, 0.63, 0.9, 0.65]
    section = shown(judged(values))
    told = words(section)
    assert "Nearest to 0.65: 3 documents dropped, 3 kept" in told
    below, _, above = told.partition("Just below 0.65: dropped")[2].partition("0.65 or just above: kept by this rule")
    assert [below.index(value) for value in ("0.64", "0.63", "0.1")] == sorted(
        below.index(value) for value in ("0.64", "0.63", "0.1")
    )
    assert [above.index(value) for value in ("0.65 web/5", "0.66", "0.9")] == sorted(
        above.index(value) for value in ("0.65 web/5", "0.66", "0.9")
    )
    assert MARKUP[:8] in told
    assert Page(section).tags <= ALLOWED


def test_an_upper_bound_has_its_kept_side_first() -> None:
    rules: list[Manifest] = [{"name": "too_odd", "score": "oddness", "low": None, "high": 0.5}]
    told = words(shown(judged([n / 100 for n in range(100)], rules)))
    assert told.index("0.5 or just below: kept by this rule") < told.index("Just above 0.5: dropped")
    assert "at most" in told


def test_a_text_that_may_not_be_shown_is_not_on_the_page() -> None:
    entry = judged([0.1, 0.9] * 20)
    for tried in entry["thresholds"]:
        for example in (*tried["nearest"]["dropped"], *tried["nearest"]["kept"]):
            example["excerpt"] = None
    assert "Its text is not shown." in words(shown(entry))


def test_a_score_without_bounds_shows_its_groups_and_no_kept_share() -> None:
    entry = step("lid", 50, **explored({"oddness": [n / 50 for n in range(50)]}, []))
    told = words(shown(entry))
    assert "By language and source" in told
    assert "Kept by" not in told
    assert "kept " not in told.partition("By language and source")[2]


def test_an_audited_step_says_what_would_be_dropped() -> None:
    entry = judged([0.1, 0.9] * 20)
    entry |= {"audited": entry["dropped"], "dropped": {}, "rows_out": 40}
    told = words(shown(entry))
    assert "Just below 0.65: would be dropped" in told
    assert "dropped none" not in told


def test_only_the_scores_that_drop_most_have_more_room_and_on_a_full_page_only_they_have_groups() -> None:
    rng = random.Random(3)
    rows = 60
    rules: list[Manifest] = [{"name": f"rule{n}", "score": f"s{n}", "low": None, "high": 0.9} for n in range(OPEN + 20)]
    values: dict[str, list[float | None]] = {rule["score"]: [rng.random() for _ in range(rows)] for rule in rules}
    dropped = {f"rule{n}": 1 for n in range(OPEN + 20)} | {"rule7": 5, "rule8": 4, "rule9": 3}
    entry = step("many", 1000, dropped, **explored(values, rules))
    section = shown(entry)
    assert section.count('class="explorer"') == WIDE
    assert section.count('class="strips lang"') == WIDE
    assert section.count('class="ladder"') == len(rules)
    page = render(manifest([entry], 1000), nothing)
    assert len(page.encode()) < 1_000_000


def test_a_manifest_of_before_shows_its_histograms() -> None:
    content, read = small()
    for entry in content["steps"]:
        for key in ("thresholds", "spreads", "score_bytes"):
            entry.pop(key, None)
    page = render(content, read)
    assert 'class="explorer"' not in page
    assert 'class="histogram"' in page


def test_the_page_does_not_change_by_the_way_through_json() -> None:
    content, read = small()
    assert render(json.loads(json.dumps(content)), read) == render(content, read)


@pytest.mark.parametrize(("cut", "shade"), [(Cut(0.5, True), "M0 8H500"), (Cut(0.5, False), "M500 8H1000")])
def test_a_strip_shades_the_dropped_side_and_has_its_median_in_the_box(cut: Cut, shade: str) -> None:
    svg = ET.fromstring(strip([0.1, 0.2, 0.3, 0.4, 0.9], Axis(0, 1), [cut]))
    drawn = {found.get("class", "line"): found.get("d") for found in svg.iter("path")}
    assert drawn == {
        "shade lost": shade, "cut": "M500 0V16", "line": "M100 8H900", "box": "M200 8H400", "median": "M300 3V13",
    }  # fmt: skip
    assert svg.get("viewBox") == f"0 0 {BAR} 16"


def test_a_strip_stays_in_its_frame_and_draws_no_bound_off_the_scale() -> None:
    svg = strip([-5, 0, 0.5, 2, 9], Axis(0, 1), [Cut(7.0, True)])
    assert "cut" not in svg
    assert 'd="M0 8H1000"' in svg


def test_a_signed_score_has_negative_thresholds_on_the_page_and_another_has_none() -> None:
    rules = [{"name": "difference_too_low", "score": "difference", "low": 0.0, "high": None}]
    told = words(shown(judged([number / 64 - 3.75 for number in range(120)], rules)))
    assert "-2.8125 50.0 %" in told
    assert "\u22120.5 0 %" in told
    told = words(shown(judged([0.01 * number for number in range(100)], rules)))
    assert "\u22120." not in told.partition("Kept by")[2]
