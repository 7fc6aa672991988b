import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import Context
from operators.decontaminate import Decontaminate
from operators.evaluation_items import EvaluationItems, Index, index_of, matches_of, normal_words
from operators.kernels import item_ngrams_reference as slow
from operators.scans import scan_texts
from tests.operators.harness import Engine, Stored, corpus, deal, run
from tests.pipeline.engine import Mill

ITEM = (
    "In which year did the first steam locomotive run between Stockton and Darlington, and who was the engineer "
    "that had built both it and the railway on which it ran until it was taken to a museum?"
)
OTHER = "What is the smallest number of colours with which any map can be drawn so that no two neighbours share one?"
WORDS = ["a", "b", "B", "c", ".", "x.Y", "-", "\u00e9", "\u6f22\u5b57", "\U0001f600", "it's", "\u00ad"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)


def column(texts: Sequence[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def index(references: Sequence[Sequence[str]], ngram: int, min_words: int, max_items: int | None = None) -> Index:
    bound = EvaluationItems(name="items", reference="r").bind(Context(0, {}))
    return index_of([bound(corpus(list(texts))) for texts in references], ngram, min_words, max_items)


def engine(texts: Sequence[str], items: Sequence[str] = (ITEM, OTHER), **how: Any) -> Engine:  # noqa: ANN401
    more = {name: how.pop(name) for name in ("shuffle", "batch_rows") if name in how}
    shards = how.pop("shards", None) or [corpus(texts)]
    return run(Decontaminate(references=("test",), **how), shards, references={"test": [corpus(items)]}, **more)


def summary(ran: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.artifacts["summary"].read("summary.json"))["references"][0]
    return found


@given(
    st.lists(st.lists(TEXTS, max_size=4), min_size=1, max_size=3),
    st.lists(TEXTS, min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([None, 1, 2]),
)
def test_scores_are_those_of_the_reference(
    references: list[list[str]], texts: list[str], ngram: int, least: int, max_items: int | None
) -> None:
    least = min(least, ngram)
    sets = slow.item_sets(references, ngram, least, max_items)
    made = index(references, ngram, least, max_items)
    assert made.sizes.tolist() == [len(grams) for grams in sets]
    found = matches_of(scan_texts(column(texts), "standard"), made)
    for document, text in enumerate(texts):
        expected = slow.found_in(text, sets)
        mine = found.document == document
        items = dict(zip(found.item[mine].tolist(), found.ngrams[mine].tolist(), strict=True))
        scores = [int(values[document]) for values in (found.num_words, found.covered, found.hits)]
        assert (*scores, items) == expected


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_words_in_their_normal_form_are_those_of_the_reference(texts: list[str]) -> None:
    scan = scan_texts(column(texts), "standard")
    words = normal_words(scan).to_pylist()
    for document, text in enumerate(texts):
        tokens = scan.tokens[scan.token_starts[document] : scan.token_starts[document + 1]]
        assert [words[token] for token in tokens if words[token]] == slow.normal_words(text)


def test_more_matches_than_there_was_room_for() -> None:
    """And a table of n-grams that is larger than the smallest."""
    rng = np.random.default_rng(3)
    items = [" ".join(f"w{number}" for number in rng.integers(0, 50, 40)) for _ in range(300)]
    texts = [" ".join(items[at : at + 7]) for at in range(0, 300, 7)]
    found = matches_of(scan_texts(column(texts), "standard"), index([items], 13, 8))
    counts = dict(zip(zip(found.document.tolist(), found.item.tolist(), strict=True), found.ngrams, strict=True))
    assert counts == {(at // 7, at): 28 for at in range(300)}
    assert found.covered.tolist() == found.num_words.tolist()


@pytest.mark.parametrize(
    ("text", "contained", "rule"),
    [
        (f"Some text before. {ITEM} And much more text after it. {'It goes on. ' * 30}", 1, "holds_evaluation_item"),
        (ITEM.upper().replace(" ", " \n").replace(",", " --"), 1, "holds_evaluation_item"),
        (ITEM.replace("museum", "scrapyard"), 24 / 25, "holds_evaluation_item"),
        (f"{ITEM.replace('engineer', 'man')} {'It goes on. ' * 30}", 12 / 25, None),
        (f"{ITEM[: len(ITEM) // 2]} {'It goes on. ' * 30}", 4 / 25, None),
        (ITEM[: len(ITEM) // 2], 4 / 25, "evaluation_text"),
        ("In which year did the first steam locomotive run at all?", 0, None),
        ("", None, None),
        ("...", None, None),
    ],
)
def test_an_item_is_found_whatever_its_case_and_punctuation(
    text: str, contained: float | None, rule: str | None
) -> None:
    ran = engine([text], audit=True)
    assert ran.kept["contained"].to_pylist() == [pytest.approx(contained) if contained is not None else None]
    assert (ran.dropped["rule"].to_pylist() or [None]) == [rule]


def test_a_trace_names_the_item_and_the_summary_counts_it() -> None:
    texts = ["clean text of a few words", f"{ITEM} {OTHER}", OTHER, f"{OTHER[:70]} {'It goes on. ' * 30}"]
    ran = engine(texts, max_hits=10)
    first, second = ran.dropped.to_pylist()
    assert json.loads(first["detail"]) | {"overlap": 1} == {
        "reference": "test",
        "item": "d0000",
        "contained": 1,
        "overlap": 1,
        "hits": 34,
    }
    assert (second["rule"], json.loads(second["detail"])["item"]) == ("holds_evaluation_item", "d0001")
    stored = ran.artifacts["found"]
    assert isinstance(stored, Stored)
    hits = stored.table("hits").to_pylist()
    assert [(hit["id"], hit["item"], hit["ngrams"], hit["share"]) for hit in hits] == [
        ("d0001", "d0000", 25, 1),
        ("d0001", "d0001", 9, 1),
        ("d0002", "d0001", 9, 1),
        ("d0003", "d0001", 2, 2 / 9),
    ]
    assert summary(ran) == {
        "reference": "test",
        "items": 2,
        "items_without_ngrams": 0,
        "items_hit": 2,
        "items_contaminated": 2,
        "items_whole": 2,
        "documents": 3,
        "documents_dropped": 2,
        "share_hit": 1,
        "share_contaminated": 1,
    }


def test_short_items_are_one_ngram_and_shorter_ones_none() -> None:
    capital = "Name the capital of the kingdom of Spain."
    ran = engine([f"so: {capital.upper()[:-1]}! ok?", "Name the capital"], [OTHER[:10], capital])
    assert ran.dropped["id"].to_pylist() == ["d0000"]
    assert summary(ran)["items_without_ngrams"] == 1
    strict = engine(["Name the capital"], ["Name the capital"], ngram=5, min_words=3)
    assert strict.dropped["rule"].to_pylist() == ["holds_evaluation_item"]


def test_a_template_of_many_items_is_ignored() -> None:
    template = "Read the following passage and then choose the one answer that is the best of the four:"
    items = [f"{template} {number} {' '.join(f'{number}x{word}' for word in range(20))}" for number in range(5)]
    texts = [template, items[3]]
    assert engine(texts, items, max_items=4).kept["hits"].to_pylist() == [0]
    assert engine(texts, items, max_items=5).dropped_parts[0].num_rows == 2


@given(
    st.lists(st.lists(TEXTS, max_size=4), min_size=1, max_size=2), st.lists(TEXTS, min_size=1, max_size=8),
    st.integers(1, 3), st.integers(1, 3), st.sampled_from([None, 1]), st.integers(1, 3), st.integers(0, 99),
)  # fmt: skip
def test_what_many_documents_hold_is_ignored_however_they_lie(
    references: list[list[str]], texts: list[str], ngram: int, most: int, max_items: int | None, shards: int,
    shuffle: int,
) -> None:  # fmt: skip
    sets = slow.item_sets(references, ngram, 1, max_items)
    held = Counter[tuple[str, ...]]()
    for text in texts:
        words = slow.normal_words(text)
        for length in range(1, ngram + 1):
            held.update({tuple(words[at : at + length]) for at in range(len(words) - length + 1)})
    left = [{gram for gram in grams if held[gram] <= most} for grams in sets]
    names = tuple(f"r{number}" for number in range(len(references)))
    step = Decontaminate(
        references=names, ngram=ngram, min_words=1, max_items=max_items, ignore_frequent=most, audit=True
    )
    given = {name: [corpus(some)] for name, some in zip(names, references, strict=True)}
    ran = run(step, deal(corpus(texts), shards, shuffle), references=given, shuffle=shuffle)
    for row in ran.kept.to_pylist():
        expected = slow.found_in(row["text"], left)
        assert row["hits"] == expected.hits
        if expected.words:
            assert row["overlap"] == expected.covered / expected.words
            shares = [count / len(left[item]) for item, count in expected.items.items()]
            assert row["contained"] == max(shares, default=0)
    content = json.loads(ran.artifacts["summary"].read("summary.json"))
    assert content["frequent_ngrams"] == len({gram for grams in sets for gram in grams if held[gram] > most})
    assert sum(part["items_without_ngrams"] for part in content["references"]) == left.count(set())


def test_a_stock_phrase_is_ignored_and_an_item_that_leaked_often_too() -> None:
    phrase = "all rights reserved no part of this publication may be reproduced or stored or"
    item = f"{phrase} {OTHER}"
    texts = [f"{phrase} {number} {'so it goes on ' * 20}" for number in range(4)] + [f"x {item}"]
    assert engine(texts, [item], max_hits=0).kept.num_rows == 0
    kept = engine(texts, [item], max_hits=0, ignore_frequent=4)
    assert kept.kept_ids == {f"d{number:04}" for number in range(4)}
    often = engine([item] * 5, [item], max_hits=0, ignore_frequent=4)
    assert often.kept.num_rows == 5
    assert summary(often)["items_without_ngrams"] == 1


def test_without_items_nothing_is_found() -> None:
    ran = engine([ITEM, ""], [])
    assert ran.kept["hits"].to_pylist() == [0, 0]
    assert summary(ran)["share_hit"] is None
    assert engine([], []).kept.num_rows == 0


def test_several_references_share_an_item() -> None:
    references = {"one": [corpus([OTHER])], "two": [corpus({"same": OTHER, "mine": ITEM})]}
    ran = run(Decontaminate(references=("two", "one")), [corpus([OTHER])], references=references)
    assert json.loads(ran.dropped["detail"][0].as_py())["reference"] == "two"
    content = json.loads(ran.artifacts["summary"].read("summary.json"))["references"]
    assert [(part["reference"], part["items_whole"], part["documents_dropped"]) for part in content] == [
        ("two", 1, 1),
        ("one", 1, 0),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_layout_changes_nothing(seed: int) -> None:
    texts = ["clean", ITEM, f"{OTHER} {ITEM[:120]}", f"x {OTHER}", *(f"text number {n} {ITEM[n:]}" for n in range(20))]
    one = engine(texts)
    other = engine(texts, shards=deal(corpus(texts), 3, seed), shuffle=seed, batch_rows=2)
    assert one.kept_ids == other.kept_ids
    assert one.artifacts["found"].table("hits").equals(other.artifacts["found"].table("hits"))
    assert summary(one) == summary(other)


def test_an_item_of_a_million_words() -> None:
    item = " ".join(f"w{number % 9973}" for number in range(1_000_000))
    ran = engine([item, item[:1000]], [item])
    assert ran.dropped["rule"].to_pylist() == ["holds_evaluation_item", "evaluation_text"]


@pytest.mark.parametrize(
    "wrong", [{"references": []}, {"references": ["a", "a"]}, {"references": ["a"], "ngram": 5, "min_words": 6}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Decontaminate.model_validate(wrong)


def test_the_engine_publishes_hits_and_a_summary(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "clean"}, {"text": ITEM}])
    mill.jsonl("items", [{"question": ITEM, "key": "q1"}], folder="ref")
    reference = {
        "name": "quiz",
        "path": "{home}/ref/*",
        "role": "reference",
        "columns": {"text": "question", "id": "key"},
    }
    ran = mill.run([{"kind": "decontaminate", "references": ["quiz"]}], inputs=[*mill.inputs, reference])
    folder = ran.version / "artifacts" / "decontaminate"
    assert json.loads((folder / "summary.json").read_text())["references"][0]["items_whole"] == 1
    assert sum(pq.read_table(path).num_rows for path in folder.glob("hits/*.parquet")) == 1
    assert json.loads(ran.dropped["detail"][0].as_py())["item"] == "q1"
