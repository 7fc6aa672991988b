from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.differences import marked
from pipeline.report.duplicates import duplicates
from pipeline.report.page import render
from pipeline.report.reading import facts_of
from tests.pipeline.engine import Json, Mill, Ran
from tests.pipeline.report.manifests import (
    HOSTILE,
    Files,
    Manifest,
    duplicate_files,
    manifest,
    reader,
    small,
    step,
)
from tests.pipeline.report.test_page import ALLOWED, Page


def section(content: Manifest, files: Files) -> str:
    return duplicates(facts_of(content, reader(files)))


def near(files: Files, **parameters: object) -> str:
    """The section of a run with one step `dedup`, which left these files."""
    entry = step("dedup", 900, {"near_duplicate": 99}, kind="minhash_dedup", artifacts=sorted(files))
    content = manifest([entry], 900)
    content["recipe"]["steps"] = [{"kind": "minhash_dedup", "name": "dedup", "threshold": 0.8, **parameters}]
    return section(content, files)


def in_order(words: str, *parts: str) -> bool:
    """Whether the parts stand in the text one behind the other."""
    place = 0
    for part in parts:
        place = words.find(part, place) + 1
        if not place:
            return False
    return True


def test_the_section_says_how_much_went_and_how_large_the_sets_are() -> None:
    words = Page(near(duplicate_files())).text
    assert "Documents compared900Documents removed99Share11.0 %Sets of more than one31" in words
    assert in_order(words, "3 to 4", "30", "90", "33 to 64", "1", "40")


def test_the_head_answers_how_many_sets_how_large_and_how_much_was_compared() -> None:
    files = duplicate_files()
    words = Page(near(files)).text
    assert "Sets of more than one31Documents in the largest40Pairs at 0.8 comparedabout 94.7 %" in words
    del files["artifacts/dedup/curve.json"]
    assert "Pairs at" not in Page(near(files)).text


def test_sources_stand_by_the_share_that_they_lost_with_the_limit_of_the_guard() -> None:
    shown = near(duplicate_files(), max_source_drop_ratio=0.95)
    words = Page(shown).text
    assert in_order(words, "Removed by source", "books90.0 %90100", "web1.1 %9800", "The line is at 95.0 %")
    assert in_order(words, "Removed by language", "de90.0 %90100", "en1.1 %9800")
    assert shown.count('d="M950 0V10"') == 2


def test_a_run_whose_guard_is_not_known_has_no_line() -> None:
    assert "The line is at" not in near(duplicate_files())


def test_the_curve_marks_the_threshold_and_says_what_is_expected_there() -> None:
    shown = near(duplicate_files())
    assert 'aria-label="Expected share of pairs compared, by similarity: 94.7 % at 0.8"' in shown
    assert "16 bands of 8 values: 94.7 % of the pairs at the threshold 0.8" in shown
    assert shown.count('class="curve"') == 1


def test_pairs_stand_side_by_side_with_what_differs_marked() -> None:
    shown = near(duplicate_files())
    assert "The <mark>blue</mark> house" in shown
    assert "The <mark>red</mark> house" in shown
    assert shown.index("<mark>blue") < shown.index("<mark>red")
    assert "similarity <b>0.812</b>" in shown


def test_an_audited_step_would_remove() -> None:
    words = Page(near(duplicate_files(), audit=True)).text
    assert "Documents that would go99" in words
    assert "Documents removed" not in words


def test_texts_ids_and_names_from_data_are_text_alone() -> None:
    shown = near(duplicate_files(told=HOSTILE.replace("\ud800", "")))
    page = Page(shown)
    assert page.tags <= ALLOWED
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style", "href")]
    assert "<script>" in page.text
    assert not set(shown) & {"\x00", "\u202e"}


@pytest.mark.slow
def test_the_page_stays_small_whatever_the_file_holds() -> None:
    files = duplicate_files(num_clusters=3)
    found = json.loads(files["artifacts/dedup/duplicates.json"])
    for name in ("largest", "closest"):
        (first, *_) = found[name]
        pair = {**first["removed"][0], "excerpt": "".join(f"{n} a " for n in range(9000))}
        pair["survivor_excerpt"] = "".join(f"{n} b " for n in range(9000))
        found[name] = [{**first, "removed": [pair] * 50}] * 50
    found["by_source"]["groups"] *= 1000
    files["artifacts/dedup/duplicates.json"] = json.dumps(found).encode()
    shown = near(files)
    assert len(shown) < 1_500_000
    assert "1,980 other sources" in Page(shown).text


@pytest.mark.parametrize("broken", [b"", b"[]", b"{}", b"\xff"])
def test_files_that_say_nothing_leave_the_page_whole(broken: bytes) -> None:
    content, read = small()
    files = dict.fromkeys(duplicate_files(), broken)
    assert section(content, files) == ""
    assert 'id="duplicates"' not in render(content, reader(files))
    assert 'id="duplicates"' in render(content, read)


def test_a_step_that_takes_lines_out_shows_those_that_took_most() -> None:
    rows = [
        {"hash": "0", "excerpt": f"Cookie notice {HOSTILE[:20]}", "first_id": "web/1", "documents": 70,
         "occurrences": 90, "removed_bytes": 8900},
        {"hash": "1", "excerpt": "All rights reserved", "first_id": "web/2", "documents": 5, "occurrences": 5,
         "removed_bytes": 80},
    ]  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    name = "artifacts/lines/top.parquet"
    content = manifest([step("lines", 90, kind="line_dedup", artifacts=[name])], 90)
    words = Page(section(content, {name: sink.getvalue().to_pybytes()})).text
    assert in_order(words, "Cookie notice <script>", "8.90 kB7090web/1", "All rights reserved", "80 B55web/2")
    assert section(content, {name: b"no table"}) == ""


def test_only_words_that_differ_are_marked() -> None:
    assert marked("one two three", "one three") == ("one <mark>two</mark> three", "one three")
    assert marked("a<b", "a>b") == ("a<mark>&lt;</mark>b", "a<mark>&gt;</mark>b")
    assert marked("\u6771\u4eac\u90fd", "\u4eac\u90fd") == ("<mark>\u6771</mark>\u4eac\u90fd", "\u4eac\u90fd")


def test_what_an_excerpt_lacks_only_because_it_is_cut_is_not_marked() -> None:
    words = [f"w{number:03}" for number in range(200)]
    one, other = " ".join(words)[:600], " ".join(["new", *words])[:600]
    left, right = marked(one, other)
    assert "<mark>" not in left
    assert right.count("<mark>") == 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_marks_change_no_text(one: str, other: str) -> None:
    left, right = marked(one, other)
    unmarked = [marked(given, given)[0] for given in (one, other)]
    assert [side.replace("<mark>", "").replace("</mark>", "") for side in (left, right)] == unmarked
    assert not any("<mark>" in side for side in unmarked)


def write_copies(mill: Mill) -> dict[str, list[int]]:
    """Documents of 90 words with copies that differ in one word; returns [documents, copies] of each source."""
    rng = random.Random(5)
    rows: list[Json] = []
    counts = {"a": [0, 0], "b": [0, 0]}
    for number, copies in enumerate([1, 1, 2, 3, 7]):
        words = [f"w{rng.randrange(900)}" for _ in range(90)]
        for copy in range(copies):
            # The first is the longest, so it stays.
            changed = [*words, "first"] if not copy else [*words[:60], f"c{copy}", *words[61:]]
            source = "ab"[number % 2]
            rows.append({"text": " ".join(changed), "source": source, "lang": "en" if copy else "de"})
            counts[source][0] += 1
            counts[source][1] += bool(copy)
    for number in range(3):
        mill.jsonl(f"part{number}", rows[number::3])
    return counts


def summary_of(ran: Ran, name: str = "near") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ran.version / f"artifacts/{name}/duplicates.json").read_text("utf-8"))
    return found


STEP: Json = {"kind": "minhash_dedup", "name": "near", "threshold": 0.7}


def test_the_report_of_a_real_run_has_its_numbers(mill: Mill) -> None:
    counts = write_copies(mill)
    ran = mill.run([STEP])
    found = summary_of(ran)
    removed = ran.dropped.num_rows
    assert (found["documents"], found["removed"], found["clusters"]) == (14, removed, 3)
    assert [(s["least"], s["most"], s["clusters"], s["documents"]) for s in found["sizes"]] == [
        (2, 2, 1, 2),
        (3, 4, 1, 3),
        (5, 8, 1, 7),
    ]
    groups = {group["name"]: [group["documents"], group["removed"]] for group in found["by_source"]["groups"]}
    assert groups == counts
    assert found["by_lang"]["groups"] == [
        {"name": "en", "documents": 9, "removed": 9},
        {"name": "de", "documents": 5, "removed": 0},
    ]
    assert sum(entry["removed"] for entry in found["similarity"]) == removed
    assert [cluster["documents"] for cluster in found["largest"]] == [7, 3, 2]
    traces = {row["id"]: (row["survivor"], row["similarity"]) for row in ran.dropped.to_pylist()}
    for cluster in found["largest"] + found["closest"]:
        for pair in cluster["removed"]:
            assert traces[pair["id"]] == (cluster["survivor"]["id"], pair["similarity"])
            assert "first" in pair["survivor_excerpt"]
    words = Page((ran.version / "report.html").read_text("utf-8")).text
    assert f"Documents compared14Documents removed{removed}" in words
    assert "a100 %" not in words
    assert in_order(words, "Removed by source", "a", "8", "11", "b", "1", "3")


def test_the_summary_does_not_depend_on_the_shards(mill: Mill) -> None:
    write_copies(mill)
    one = summary_of(mill.run([STEP], shard_mb=0.0005))
    assert summary_of(mill.run([STEP], shard_mb=10)) == one


def test_what_follows_is_not_computed_again_because_the_examples_changed(mill: Mill) -> None:
    write_copies(mill)
    steps: list[Json] = [STEP, {"kind": "corpus_stats", "name": "stats"}]
    first = mill.run(steps, shard_mb=0.0005)
    assert first.computed["near + stats"] == 14
    lines = [line for path in (mill.home / "in").iterdir() for line in path.read_text("utf-8").splitlines()]
    (last,) = [json.loads(line) for line in lines if " c6 " in line]
    mill.jsonl("with_one_more", [{**last, "text": last["text"].replace(" c6 ", " c7 ")}])
    second = mill.run(steps, shard_mb=0.0005)
    assert summary_of(second)["largest"][0]["documents"] == 8
    assert second.computed["near/duplicates: finish"] == 1
    assert second.computed["near + stats"] == 1


def test_a_set_of_equal_documents_is_named_with_its_survivor(mill: Mill) -> None:
    mill.jsonl("a", [{"id": name, "text": "the same"} for name in "cab"] + [{"id": "d", "text": "another"}])
    ran = mill.run([{"kind": "exact_dedup", "name": "exact"}])
    found = summary_of(ran, "exact")
    assert (found["documents"], found["removed"], found["clusters"]) == (4, 2, 1)
    (largest,) = found["largest"]
    assert (largest["survivor"]["id"], [pair["id"] for pair in largest["removed"]]) == ("a", ["b", "c"])
    assert found["similarity"] == [{"hundredths": 100, "removed": 2}]
    assert in_order(Page((ran.version / "report.html").read_text("utf-8")).text, "The largest sets", "a3b", "c")


def test_a_step_that_compares_vectors_says_at_which_cosine_and_in_how_many_clusters() -> None:
    files = duplicate_files()
    del files["artifacts/dedup/curve.json"]
    found = {"threshold": 0.9, "epsilon": 0.1, "clusters": 31, "largest_cluster": 77, "without_vector": 2}
    files["artifacts/dedup/semantic.json"] = json.dumps(found).encode()
    shown = near(files)
    words = Page(shown).text
    assert (
        "Cosine at which one goes0.9 epsilon 0.1Clusters31 the largest 77Without a vector, and kept2 documents" in words
    )
    assert "Cosine to the document that stays" in words
    assert "have a cosine of 1 to their survivor" in words
    assert "shingles" not in words
