from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import models
from operators.base import RULE, Context, RecipeError
from operators.fasttext_model import read_model
from operators.kernels.fasttext_reference import predict
from operators.lang_per_line import LangPerLine
from operators.language_id import model_file
from tests.operators.harness import corpus, run
from tests.operators.test_language_id import ODD, fasttext_model

LINES = [
    "the the",
    "der der der",
    "le",
    "the der",
    "what?",
    "123",
    "",
    "  the  ",
    "\u00fcber",
    "the\u00e9",
    "\U0001f600",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny.bin"
    path.write_bytes(fasttext_model({"en": "the", "de": "der", "fr": "le"}))
    return str(path)


def operator(model: str, **parameters: object) -> LangPerLine:
    return LangPerLine.model_validate({"model": model, "min_line_chars": 2, "audit": True, **parameters})


def by_hand(model: str, text: str) -> list[tuple[str, float]]:
    """Shares as the docstring has them."""
    read, chars = read_model(model_file(model)), Counter[str]()
    for line in text.split("\n"):
        content = line.strip(" \t\n\r\v\f")
        lang, score = predict(read, content)
        if len(content) >= 2 and any(map(str.isalpha, content)) and lang and score >= 0.5:
            chars[lang] += sum(mark not in " \t\n\r\v\f" for mark in content)
    found = [(lang, count / chars.total()) for lang, count in chars.items()]
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))


def test_the_shares_are_those_of_characters_in_lines_that_count(model: str) -> None:
    texts = {"mixed": "the the\nder der\nder der\nle le\n...\nx", "one": "the the", "none": "what is\n123", "empty": ""}
    kept = run(operator(model, keep=["de", "fr"], min_counted=0.3), [corpus(texts)]).kept
    columns = ("top_lang", "top_share", "num_languages", "kept_share")
    assert [tuple(row[name] for name in columns) for row in kept.to_pylist()] == [
        ("de", 12 / 22, 1, 16 / 22),
        ("en", 1, 1, 0),
        (None, None, 0, None),
        (None, None, 0, None),
    ]
    assert kept["shares"].to_pylist()[:3] == [
        [{"lang": "de", "share": 12 / 22}, {"lang": "en", "share": 6 / 22}, {"lang": "fr", "share": 4 / 22}],
        [{"lang": "en", "share": 1}],
        [],
    ]


def test_equal_shares_are_in_the_order_of_codes(model: str) -> None:
    shares = run(operator(model), [corpus(["le le\nder\nthe\nder\nthe"])]).kept["shares"].to_pylist()[0]
    assert [entry["lang"] for entry in shares] == ["de", "en", "fr"]


def test_short_and_uncertain_lines_do_not_count(model: str) -> None:
    table = corpus(["the the the the\nder der\nder the"])
    assert run(operator(model), [table]).kept["top_share"].to_pylist() == [12 / 18]
    assert run(operator(model, min_line_chars=8), [table]).kept["top_share"].to_pylist() == [1]
    assert run(operator(model, min_line_score=0), [table]).kept["top_share"].to_pylist()[0] < 12 / 18


def test_mixed_comes_before_unwanted(model: str) -> None:
    table = corpus({"mixed": "the the\nder der\nle le", "other": "der der", "kept": "the the", "none": ""})
    found = run(operator(model, keep=["en"], audit=False), [table])
    assert {row["id"]: row[RULE] for row in found.dropped.to_pylist()} == {
        "mixed": "mixed_languages",
        "other": "unwanted_language",
    }
    assert found.kept_ids == {"kept", "none"}
    assert run(operator(model, min_share=0, audit=False), [table]).kept_ids == set(table["id"].to_pylist())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.lists(st.sampled_from(LINES), max_size=7).map("\n".join) | st.sampled_from(ODD), max_size=5))
def test_it_is_the_reference_whatever_the_batches(model: str, texts: list[str]) -> None:
    table, step = corpus([*texts, "the der"]), operator(model)
    whole = run(step, [table]).kept
    assert whole.combine_chunks() == run(step, [table], batch_rows=2).kept.combine_chunks()
    for text, shares in zip(table["text"].to_pylist(), whole["shares"].to_pylist(), strict=True):
        assert [(entry["lang"], entry["share"]) for entry in shares] == by_hand(model, text)


def test_no_rows_and_null_texts_are_no_error(model: str) -> None:
    score = operator(model, keep=["en"]).bind(Context(0, {}))
    assert score(corpus([])).num_rows == 0
    nulls = score(pa.table({"id": ["a"], "text": pa.array([None], pa.large_string())})).to_pylist()
    assert nulls == [{"top_lang": None, "top_share": None, "num_languages": 0, "kept_share": None, "shares": []}]


def test_languages_that_the_model_does_not_know_are_refused(model: str) -> None:
    with pytest.raises(RecipeError, match=r"no language 'eng'; expected some of its 3 codes: de en fr"):
        operator(model, keep=["eng"]).check()


def test_moving_a_bound_scores_nothing_again(model: str) -> None:
    one, two = (operator(model, keep=["de"], **more) for more in ({}, {"min_share": 0.9, "min_kept_share": 0.1}))
    assert one.identity(one.verdict_only) == two.identity(two.verdict_only)


@pytest.mark.parametrize(
    "given", [{"min_share": 2}, {"min_line_chars": 0}, {"min_counted": -1}, {"keep": [True]}, {"min_kept_share": 0.9}]
)
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LangPerLine.model_validate(given)


@pytest.mark.skipif(not models.model_path("lid.176.ftz").is_file(), reason=f"no model: {models.FETCH_COMMAND}")
def test_a_half_translated_page_is_mixed() -> None:
    german = "Der Rat traf sich am Abend, um \u00fcber die neue Br\u00fccke zu sprechen."
    english = "The council met in the evening to talk about the new bridge."
    table = corpus({"half": "\n".join([german, english] * 3 + [german]), "whole": "\n".join([german] * 3)})
    found = run(LangPerLine(min_share=0.8), [table])
    assert found.kept_ids == {"whole"}
    assert found.kept["top_lang"].to_pylist() == ["de"]
