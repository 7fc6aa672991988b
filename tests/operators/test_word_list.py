import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RULE, Context, RecipeError
from operators.word_list import WordList
from tests.operators.harness import corpus, run


def scores(operator: WordList, table: pa.Table) -> list[dict[str, object]]:
    found: list[dict[str, object]] = operator.bind(Context(0, {}))(table).to_pylist()
    return found


def hits(text: str, *words: str, **more: object) -> object:
    return scores(WordList.model_validate({"words": words, **more}), corpus([text]))[0]["hits"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bad", 1),
        ("A BAD, bad day", 2),
        ("badly abad bad_ 1bad bad1", 0),
        ("(bad)bad\nbad", 3),
        ("so very bad", 2),
        ("so very  bad", 1),
        ("\xe9bad bad\u0301", 1),
        ("", 0),
    ],
)
def test_an_entry_counts_where_no_character_of_a_word_is_beside_it(text: str, found: int) -> None:
    assert hits(text, "Bad", "very bad") == found


@given(st.lists(st.sampled_from(["bad", "BAD", "worse", " ", "_", "-", "\n", "x", "\xe9", "\u6f22"])).map("".join))
def test_a_document_is_hit_where_the_reference_s_pattern_finds_something(text: str) -> None:
    pattern = re.compile(r"(?:\W|^)(?:bad|worse)(?:\W|$)")
    assert bool(hits(text, "bad", "worse")) == bool(pattern.search(text.lower()))


def test_languages_have_their_lists_and_those_without_spaces_need_nothing_beside() -> None:
    table = corpus(["bad schlecht", "bad schlecht", "x\u6f22y", "bad", "bad"], lang=["en", "de", "zh", "fr", None])
    lists = {"en": ["bad"], "de": ["schlecht", "bad schlecht"], "zh": ["\u6f22"]}
    by_language = WordList.model_validate({"lists": lists})
    assert [row["hits"] for row in scores(by_language, table)] == [1, 2, 1, None, None]
    with_words = WordList.model_validate({"lists": lists, "words": ["ad"], "is_spaced": False})
    assert [row["hits"] for row in scores(with_words, table)] == [1, 2, 1, 1, 1]


def test_a_verdict_names_the_word_and_bounds_are_bounds() -> None:
    table = corpus(["good", "a bad one", "bad, worse"])
    operator = WordList.model_validate({"words": ["bad", "worse"], "max_hits": 1})
    (dropped,) = run(operator, [table]).dropped.to_pylist()
    assert (dropped["id"], dropped[RULE], dropped["value"], dropped["threshold"]) == ("d0002", "listed_words", 2, 1)
    assert json.loads(dropped["detail"]) == {"first": "bad"}
    dense = WordList.model_validate({"words": ["bad", "worse"], "max_hits": 9, "max_per_1000_words": 400})
    assert run(dense, [table]).dropped[RULE].to_pylist() == ["dense_listed_words"]


def test_a_share_of_those_to_be_dropped_stays_the_same_ones_at_every_larger_share() -> None:
    table = corpus(["bad"] * 2000)
    kept = [run(WordList(words=["bad"], keep_share=share), [table]).kept_ids for share in (0, 0.1, 0.3)]
    assert [len(ids) for ids in kept] == pytest.approx([0, 200, 600], abs=60)
    assert kept[1] < kept[2]
    assert run(WordList(words=["bad"], keep_share=0.1), [table], seed=8).kept_ids != kept[1]
    assert run(WordList(words=["bad"], keep_share=1), [table]).kept_ids == set(table["id"].to_pylist())


@given(st.lists(st.text() | st.sampled_from(["bad", "x bad", ""]), max_size=8), st.integers(1, 3))
def test_batch_split_does_not_matter(texts: list[str], size: int) -> None:
    langs = [("en", "de", None)[number % 3] for number in range(len(texts))]
    operator = WordList.model_validate({"lists": {"en": ["bad"]}, "words": ["x", "bad"], "audit": True})
    table = corpus(texts, lang=pa.array(langs, pa.string()))
    whole, split = run(operator, [table]), run(operator, [table], batch_rows=size)
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()


def test_lists_decide_the_identity_wherever_they_lie_and_bounds_score_nothing_again(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for file, content in zip(files, ("bad\n", "bad\n", "good\n"), strict=True):
        file.write_text(content)
    one, two, other = (WordList.model_validate({"words": str(file)}) for file in files)
    assert one.identity() == two.identity() != other.identity()
    moved = one.model_copy(update={"max_hits": 7, "keep_share": 0.5})
    assert one.identity(one.verdict_only) == moved.identity(one.verdict_only)


def test_lists_that_are_missing_or_empty_are_refused() -> None:
    with pytest.raises(ValidationError, match="no list: give `words`"):
        WordList()
    with pytest.raises(RecipeError, match=r"'no/such\.txt' cannot be read"):
        WordList.model_validate({"lists": {"en": "no/such.txt"}}).check()
    with pytest.raises(RecipeError, match=r"lists\.en: no entry in the recipe"):
        WordList.model_validate({"lists": {"en": [" "], "de": ["x"]}}).check()
