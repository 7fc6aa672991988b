from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report.page import SECTIONS, render
from pipeline.report.reading import Read
from pipeline.report.wording import text
from tests.pipeline.engine import Mill
from tests.pipeline.report.manifests import (
    HOSTILE,
    Manifest,
    buckets,
    busy,
    example,
    manifest,
    nothing,
    reader,
    small,
    step,
    tokenizer_files,
)

ALLOWED = {
    "html", "head", "meta", "link", "title", "style", "body", "div", "header", "nav", "main", "footer",
    "section", "h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "thead",
    "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption", "blockquote", "pre", "code", "b",
    "i", "small", "span", "a", "wbr", "svg", "path", "rect", "text", "mark",
}  # fmt: skip
VOID = {"meta", "link", "wbr", "path", "rect"}


class Page(HTMLParser):
    """Reads a page: its tags, attributes, text, and whether every tag is closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a person reads, white space collapsed."""
        return " ".join("".join(self.words).split())


def page_of(content: Manifest, read: Read = nothing) -> Page:
    page = Page(render(content, read))
    assert not page.open
    return page


def hostile(value: object) -> object:
    """The same content with every text, and every key that is data, replaced by markup."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [hostile(entry) for entry in value]
    if isinstance(value, dict):
        return {key: hostile(entry) for key, entry in value.items()}
    return value


def hostile_names(content: Manifest) -> Manifest:
    """The small manifest with markup in every name that comes from data, keys too."""
    renamed = hostile(content)
    assert isinstance(renamed, dict)
    for entry in renamed["steps"]:
        for table in ("dropped", "audited", "sources", "scores", "examples"):
            entry[table] = {key + HOSTILE: found for key, found in entry[table].items()}
        entry["score_bytes"] = {key + HOSTILE: found for key, found in entry.get("score_bytes", {}).items()}
        entry["spreads"] = {
            score + HOSTILE: {by: {name + HOSTILE: found for name, found in g.items()} for by, g in spread.items()}
            for score, spread in entry.get("spreads", {}).items()
        }
        for tried in entry.get("thresholds", ()):
            for by, groups in tried["groups"].items():
                tried["groups"][by] = {name + HOSTILE: found for name, found in groups.items()}
    for group in ("by_source", "by_lang"):
        renamed["kept"][group] = {key + HOSTILE: found for key, found in renamed["kept"][group].items()}
    for key in ("files", "versions"):
        renamed[key] = {name + HOSTILE: found for name, found in renamed[key].items()}
    for entry in renamed["inputs"]:
        entry["quarantined"] = {name + HOSTILE: found for name, found in entry["quarantined"].items()}
    return renamed


def test_the_headline_says_how_many_were_read_and_kept() -> None:
    content, read = small()
    words = page_of(content, read).text
    kept = content["rows"]["kept"]
    assert f"1,000 documents read \u2192{kept} kept {kept / 10:.1f} %" in words
    assert "2 tokenizers of 258, 260 tokens" in words


def test_every_step_rule_and_section_is_on_the_page() -> None:
    content, read = small()
    page = page_of(content, read)
    for name in ("quality", "repetition", "dedup", "tok", "too_few_words", "too_odd", "near_duplicate", "repeated"):
        assert name in page.text
    assert set(page.ids) >= {anchor for anchor, _, _ in SECTIONS}
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (30_964_000, "1,000 left \u00b7 31.0 MB\u2212636 kB 2.0 %makes 1 file"),
        (31_600_000, "1,000 left \u00b7 31.6 MBas much text as beforemakes 1 file"),
        (32_000_000, "1,000 left \u00b7 32.0 MB+400 kBmakes 1 file"),
    ],
)
def test_the_funnel_says_how_much_text_a_step_took_out_not_how_much_it_touched(left: int, said: str) -> None:
    entry = step("lines", 1_000, kind="line_dedup", artifacts=["artifacts/lines/top.parquet"])
    entry |= {"bytes_in": 31_600_000, "bytes_out": left, "bytes_rewritten": 21_500_000}
    words = page_of(manifest([entry], 1_000)).text
    assert said in words
    assert "21.5 MB" not in words


@pytest.mark.parametrize(("verify", "is_barred"), [("none", False), ("jaccard", True), ("containment", True)])
def test_a_step_that_drops_all_that_is_linked_has_no_bar(verify: str, is_barred: bool) -> None:
    content, read = small()
    before = str(render(content, read))
    content["recipe"]["steps"][0]["verify"] = verify
    page = page_of(content, read)
    assert ("similarity 0.8 or more" in page.text) is is_barred
    said = "linked with a better one; similarity is an estimate"
    assert (page.text.count(said) == 2, page.text.count(said) == 0) == (not is_barred, is_barred)
    assert ("Estimated similarity to the document that stays" in page.text) is not is_barred
    # The bar stands in the histograms of the score and of the duplicates.
    lines = '<path class="cut"'
    assert before.count(lines) - str(render(content, read)).count(lines) == (0 if is_barred else 2)


def test_no_bound_is_made_up_for_a_score_that_no_rule_is_known_to_read() -> None:
    few = example(value=15.0, threshold=20.0)
    entry = step("draw", 9, {"few": 2}, scores={"weight": buckets([-2.5, 0.5])}, examples={"few": [few]})
    content = manifest([entry], 9)
    content["recipe"]["steps"] = [{"kind": "draw", "name": "draw", "min_score": 20, "threshold": 20}]
    words = page_of(content).text
    assert "15 < 20" in words
    assert "below 20" not in words
    assert "20 or more" not in words
    assert "weight 2 of 9 documents" in words
    entry["rules"] = [{"name": "few", "score": "weight", "low": None, "high": None}]
    words = page_of(content).text.replace("fewby", "few by")
    assert "few by weight" in words
    assert "few goes by it, without a threshold" in words


def test_what_a_rule_noted_is_shown_in_full_and_by_name() -> None:
    item = "c" * 32
    note = {"reference": "exam", "item": item, "overlap": 0.9438202247191011, "nothing": None}
    entry = step("judge", 9, {"few": 2}, examples={"few": [example(detail=json.dumps(note))]})
    assert f"reference exam \u00b7 item {item} \u00b7 overlap 0.9438" in page_of(manifest([entry], 9)).text


def test_the_table_of_a_score_has_whole_documents_in_bounds_that_hold() -> None:
    values = [0.0, 0.0, 0.91, 0.9438, 0.96, 1.0]
    entry = step("judge", 6, scores={"share": buckets(values)}, score_bytes={"share": buckets(values)})
    shown = render(manifest([entry], 6), nothing)
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", shown[shown.index("<caption>share by value") :])
    assert cells[:16] == [
        *("from", "below", "documents", "text"),
        *("0", "only 0", "2", "2 B"),
        *("0.9062", "0.9219", "1", "1 B"),
        *("0.9375", "0.9688", "2", "2 B"),
    ]
    assert [cell for cell in cells if cell.startswith("up to")] == ["up to 1"]


def test_an_audited_step_would_drop_and_drops_nothing() -> None:
    content, read = small()
    assert "would drop 11 1.4 %" in page_of(content, read).text


def test_examples_show_value_against_threshold_or_the_survivor_and_the_similarity() -> None:
    content, read = small()
    words = page_of(content, read).text
    assert "12 < 50" in words
    assert "lost to web/7 \u00b7 similarity 0.875" in words


def test_a_source_that_lost_nearly_everything_is_warned_of_and_others_are_not() -> None:
    content, read = small()
    words = page_of(content, read).text
    assert "books lost all but 2.2 % at quality: 2 of 90 documents kept." in words
    assert "web lost" not in words


def test_a_selection_that_takes_little_of_every_source_warns_of_none() -> None:
    sources = {"a": [1000, 10], "b": [2000, 22]}
    drawn = step("draw", 3000, {"not_sampled": 2968}, sources=sources)
    assert " lost " not in page_of(manifest([drawn], 3000)).text


def test_quarantined_rows_are_listed_by_input_and_cause() -> None:
    content, read = small()
    words = page_of(content, read).text
    assert "Quarantined rows by cause" in words
    assert "web bad_json 10 1.0 %" in " ".join(words.replace("bad_json", " bad_json ").replace("10", " 10 ").split())


def test_rows_with_a_repeated_id_are_known_from_the_sum() -> None:
    content = manifest([step("only", 90)], 100, quarantined=4)
    content["rows"]["quarantined"] = 10
    assert "an earlier row has the same id6" in page_of(content).text


def test_the_tokenizers_table_shows_sizes_specials_and_readable_tokens() -> None:
    content, read = small()
    words = page_of(content, read).text
    assert "tokenizer-300.json2603003" in words
    assert "bytes per token" in words
    assert "3.71" in words
    assert "<|end|>" in words
    assert "Not every vocabulary reached the size asked for" in words


def test_the_page_says_what_a_tokenizer_was_trained_on_and_what_was_left_out() -> None:
    content, read = small()
    words = page_of(content, read).text
    assert "web29de29" in words
    assert "6 more" in words
    assert "min_countLatin34860 B1.0 %" in words


def test_the_page_says_what_each_language_chose_and_got_the_worst_off_first() -> None:
    content, read = small()
    words = page_of(content, read).text
    assert "el1202.253de1203.53" in words
    assert "what languages pay: 0.0312; if all had chosen together 0.2." in words


@pytest.mark.parametrize("broken", [b"", b"[]", b"{}", b'{"tokenizers": []}', b"\xff"])
def test_a_training_file_that_says_nothing_leaves_the_page_whole(broken: bytes) -> None:
    content, _ = small()
    files = dict.fromkeys(tokenizer_files(), broken)
    assert "no tokenizer" in page_of(content, reader(files)).text
    assert "no tokenizer" in page_of(content, nothing).text


def test_the_page_of_an_empty_corpus_says_so() -> None:
    words = page_of(manifest([step("only")], 0)).text
    assert "0 documents read \u21920 kept \u2013" in words
    assert "no document reached it" in words
    assert "No rule dropped a document." in words


def test_a_run_without_steps_or_drops_has_a_page() -> None:
    assert "0 steps, and none dropped a document." in page_of(manifest([], 5)).text
    assert "1 step, and none dropped a document." in page_of(manifest([step("only", 5)], 5)).text


def test_a_manifest_with_nothing_in_it_has_a_page() -> None:
    assert "0 documents read" in page_of({}).text


def test_a_page_with_too_much_of_everything_shows_the_top_and_the_rest() -> None:
    content = busy()
    page = page_of(content)
    assert all(entry["name"] in page.text for entry in content["steps"])
    for rest in ("80 other sources", "160 other languages", "10 other steps", "50 further rules", "15 shorter stages"):
        assert rest in page.text
    assert "12.3 B documents read" in page.text
    assert len(render(content, nothing)) < 1_000_000


def test_the_page_does_not_depend_on_the_order_of_keys() -> None:
    content, read = small()
    again = json.loads(json.dumps(content, sort_keys=True))
    assert render(content, read) == render(again, read)


def test_nothing_from_data_becomes_markup_an_address_or_a_hidden_sign() -> None:
    content, read = small()
    shown = render(hostile_names(content), read)
    page = Page(shown)
    assert page.tags <= ALLOWED
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style", "srcset")]
    addresses = {value for name, value in page.attributes if name == "href"}
    assert addresses <= {"data:,", *(f"#{anchor}" for anchor, _, _ in SECTIONS)}
    assert not set(shown) & {"\x00", "\u202e", "\ud800"}
    shown.encode()
    assert "<script>" in page.text


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_back_as_text_alone(value: str) -> None:
    page = Page(f'<p title="{text(value)}">{text(value)}</p>')
    assert page.tags == {"p"}
    assert [name for name, _ in page.attributes] == ["title"]
    text(value).encode()


def test_no_address_outside_the_page_is_in_it() -> None:
    content, read = small()
    shown = render(content, read)
    assert "Content-Security-Policy" in shown
    assert "default-src &#x27;none&#x27;" in shown or "default-src 'none'" in shown
    for scheme in ("url(", "@import", "<script", 'src="', "//fonts"):
        assert scheme not in shown


def test_every_figure_has_a_label_or_is_hidden_and_every_table_has_a_caption() -> None:
    content, read = small()
    shown = render(content, read)
    assert shown.count("<svg") == shown.count('role="img"') + shown.count(
        'preserveAspectRatio="none" aria-hidden="true"'
    )
    assert shown.count("<table") == shown.count("<caption")


def test_the_report_of_a_real_run_tells_what_happened(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    prose = "The quick fox and the lazy dog live by the river that runs to the sea with many others. " * 12
    mill.jsonl("a", [{"text": prose + str(n)} for n in range(6)] + [{"text": "Too short."}] * 3)
    ran = mill.run([{"kind": "gopher_quality"}, {"kind": "exact_dedup"}, {"kind": "corpus_stats"}])
    shown = (ran.version / "report.html").read_text(encoding="utf-8")
    words = Page(shown).text
    assert "9 documents read \u21926 kept 66.7 %" in words
    assert "too_few_words" in words
    assert "Too short." in words
    assert shown == render(ran.manifest, lambda name: (ran.version / name).read_bytes())


def test_the_runs_warnings_stand_near_the_top_and_are_escaped() -> None:
    quiet, read = small()
    page = render({**quiet, "warnings": ["step 'tok': <b>too little</b> text"]}, read)
    assert text("step 'tok': <b>too little</b> text") in page[: page.index("</header>")]
    assert "<b>too little" not in page
    assert '<ul class="warning">' not in render(quiet, read).partition("</header>")[0]
