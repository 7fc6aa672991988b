"""What the steps that cut texts leave when the real engine runs them."""

import pyarrow.parquet as pq
import pytest

from tests.pipeline.engine import Json, Mill, check_sums

MENU = "Home | Products | About us | Contact\n"
STEP: Json = {"kind": "line_dedup", "name": "lines", "min_documents": 5, "keep": "none"}


@pytest.fixture
def pages(mill: Mill) -> Mill:
    """40 pages with a menu in 8 files, one of them nothing but the menu, and one with little else."""
    texts = [f"{MENU}Page {number} has a text of its own, which is long enough to be kept.\n" for number in range(40)]
    texts[3], texts[5] = MENU, MENU * 9 + "Page 5\n"
    for part in range(8):
        rows = [{"text": text, "source": f"site{part % 2}"} for text in texts[part::8]]
        mill.jsonl(f"part{part}", rows)
    return mill


def test_the_corpus_has_the_cut_texts_and_the_manifest_says_how_much_changed(pages: Mill) -> None:
    ran = pages.run([STEP, {"kind": "corpus_stats", "name": "stats"}], shard_mb=0.0005)
    check_sums(ran)
    assert ran.manifest["inputs"][0]["shards"] > 3
    texts = ran.corpus["text"].to_pylist()
    assert len(texts) == 38
    assert all(text.startswith("Page ") and text.endswith("kept.\n") for text in texts)
    step = ran.steps["lines"]
    assert step["dropped"] == {"nothing_left": 1, "too_much_removed": 1}
    size = sum(len(text.encode()) for text in texts)
    assert step["bytes_rewritten"] == step["bytes_out"] == ran.steps["stats"]["bytes_in"] == size
    assert set(ran.corpus["lines_removed_lines"].to_pylist()) == {1}
    assert set(ran.corpus["lines_removed_bytes"].to_pylist()) == {len(MENU)}


def test_dropped_shows_the_text_as_it_was(pages: Mill) -> None:
    ran = pages.run([STEP])
    excerpts = dict(zip(ran.dropped["rule"].to_pylist(), ran.dropped["excerpt"].to_pylist(), strict=True))
    assert all(excerpt.startswith("Home | Products") for excerpt in excerpts.values())
    assert set(excerpts) == {"nothing_left", "too_much_removed"}


def test_the_artifact_lists_every_repeated_line_with_its_counts(pages: Mill) -> None:
    ran = pages.run([STEP])
    (row,) = pq.read_table(ran.out / "artifacts/lines/lines/part-00000.parquet").to_pylist()
    assert pq.read_table(ran.out / "artifacts/lines/top.parquet").to_pylist() == [row]
    assert (row["excerpt"], row["documents"], row["occurrences"]) == (MENU.strip(), 40, 48)
    assert row["removed_bytes"] == 48 * len(MENU)


def test_another_share_computes_no_score_again(pages: Mill) -> None:
    pages.run([STEP])
    again = pages.run([{**STEP, "max_removed_share": 1.0}], out="out2")
    assert again.steps["lines"]["dropped"] == {"nothing_left": 1}
    # Only the text of the document that stays now is cut.
    assert again.steps["lines"]["rows_computed"] == 1


def test_audit_leaves_every_text_as_it_is(pages: Mill) -> None:
    ran = pages.run([{**STEP, "audit": True}])
    assert ran.steps["lines"]["audited"] == {"nothing_left": 1, "too_much_removed": 1}
    assert ran.steps["lines"]["bytes_rewritten"] == 0
    assert all(text.startswith(MENU) for text in ran.corpus["text"].to_pylist())


def test_a_new_file_that_makes_a_line_boilerplate_changes_the_documents_before_it(pages: Mill) -> None:
    line = "This line stands in four documents at first.\n"
    pages.jsonl("more", [{"text": f"{line}Document {number} says something of its own."} for number in range(4)])
    assert sum(line in text for text in pages.run([STEP]).corpus["text"].to_pylist()) == 4
    pages.jsonl("new", [{"text": f"{line}And the fifth makes it too many of them."}])
    assert sum(line in text for text in pages.run([STEP]).corpus["text"].to_pylist()) == 0
