import json
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import corpus_stats
from operators.corpus_stats import SCRIPTS, CorpusStats, measure
from tests.operators.harness import corpus, deal, run

ODD = [
    "",
    " ",
    "one",
    "two words\n",
    "\x1c\x85a",
    "\U0001f600 \u0301x",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u4f60\u597d",
    "\u3000",
]
DOCUMENTS = st.lists(st.tuples(st.text() | st.sampled_from(ODD), st.sampled_from(["de", "", None]), st.integers(0, 3)))


def stats(operator: CorpusStats, shards: list[pa.Table], **how: int) -> bytes:
    return run(operator, shards, **how).artifacts["corpus_stats"].read("stats.json")


def table_of(rows: list[tuple[str, str | None, int]]) -> pa.Table:
    langs = pa.array([lang for _, lang, _ in rows], pa.string())
    return corpus([text for text, _, _ in rows], lang=langs, repeat=pa.array([n for _, _, n in rows], pa.int32()))


@given(DOCUMENTS, st.integers(1, 4), st.integers(0, 99), st.sampled_from([1, 1000, 4_000_000]))
def test_neither_shards_nor_chunks_nor_merge_order_change_a_byte(
    rows: list[tuple[str, str | None, int]], shards: int, shuffle: int, chunk: int
) -> None:
    table, operator = table_of(rows), CorpusStats(by=("lang", "source"), repeat="repeat")
    expected = stats(operator, [table])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_stats, "_CHUNK_BYTES", chunk)
        assert stats(operator, deal(table, shards, shuffle), shuffle=shuffle) == expected


@given(DOCUMENTS)
def test_counts_are_what_python_counts_with_repeats(rows: list[tuple[str, str | None, int]]) -> None:
    found = json.loads(stats(CorpusStats(by=("lang",), repeat="repeat"), [table_of(rows)]))
    for group, chosen in [(found, rows)] + [
        (group, [row for row in rows if row[1] == group["value"]]) for group in found["by"]["lang"]
    ]:
        assert group["documents"] == sum(n for _, _, n in chosen)
        assert group["bytes"] == sum(n * len(text.encode()) for text, _, n in chosen)
        assert group["characters"] == sum(n * len(text) for text, _, n in chosen)
        assert group["words"] == sum(n * len(text.split()) for text, _, n in chosen)
        assert sum(bin_["documents"] for bin_ in group["lengths"]) == group["documents"]
        assert sum(script["characters"] for script in group["scripts"].values()) == group["characters"]
        for bin_ in group["lengths"]:
            sizes = [n for text, _, n in chosen if bin_["from_bytes"] <= len(text.encode()) < bin_["below_bytes"]]
            assert bin_["documents"] == sum(sizes)


def test_groups_come_in_order_with_null_last() -> None:
    rows = [("x", lang, 1) for lang in ("fr", None, "", "de")]
    groups = json.loads(stats(CorpusStats(by=("lang",)), [table_of(rows)]))["by"]["lang"]
    assert [group["value"] for group in groups] == ["", "de", "fr", None]


def test_scripts_are_counted_by_character() -> None:
    text = "Hi, \u041f\u0440\u0438\u0432\u0435\u0442 \u4f60\u597d \u30ab\u30bf \u0e44 \U00020000 \U00010330"
    scripts = json.loads(stats(CorpusStats(by=()), [corpus([text])]))["scripts"]
    counts = {name: script["characters"] for name, script in scripts.items()}
    assert counts == {"Common": 7, "Cyrillic": 6, "Han": 3, "Latin": 2, "Katakana": 2, "Thai": 1, "Other": 1}
    assert sum(script["share"] for script in scripts.values()) == pytest.approx(1)


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Po", "Mn"])))
def test_a_script_s_letters_bear_its_name(text: str) -> None:
    counted = measure([text]).scripts[0]
    for name in ("Cyrillic", "Greek", "Hebrew", "Georgian"):
        letters = [c for c in text if unicodedata.name(c, "").startswith(f"{name.upper()} SMALL LETTER")]
        assert counted[1 + SCRIPTS.index(name)] >= len(letters)


def test_an_empty_corpus_has_zero_of_everything() -> None:
    found = json.loads(stats(CorpusStats(), [corpus([])]))
    assert found["documents"] == found["bytes"] == found["characters"] == found["words"] == 0
    assert found["lengths"] == []
    assert found["scripts"] == {}
    assert found["by"] == {"source": []}
