import json
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import models
from operators.base import RULE, Context, RecipeError
from operators.language_id import LanguageId
from tests.operators.harness import corpus, run

ODD = [
    "",
    " ",
    "\n",
    "the\nder",
    "\x00the",
    "\U0001f600",
    "\u0301",
    "unknown words",
    "\u0645\u0631\u062d\u0628\u0627",
    "the " * 50,
]


def fasttext_model(languages: dict[str, str]) -> bytes:
    """A fastText file, version 12, that knows one word of each language: dim = words = labels, softmax, no subwords."""
    size = len(languages)
    header = struct.pack("<14id", 793712314, 12, size, 5, 5, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4)
    entries = [(word, 0) for word in languages.values()] + [(f"__label__{code}", 1) for code in languages]
    dictionary = struct.pack("<3i2q", 2 * size, size, size, size, -1)
    dictionary += b"".join(name.encode() + b"\0" + struct.pack("<qb", 1, kind) for name, kind in entries)

    def diagonal(value: float) -> bytes:
        cells = [value if row == column else 0.0 for row in range(size) for column in range(size)]
        return struct.pack("<?2q", False, size, size) + struct.pack(f"<{size * size}f", *cells)

    return header + dictionary + diagonal(10) + diagonal(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny.bin"
    path.write_bytes(fasttext_model({"en": "the", "de": "der", "fr": "le"}))
    return str(path)


def test_the_first_guess_is_the_language_and_its_probability(model: str) -> None:
    kept = run(LanguageId(model=model, audit=True), [corpus(["the", "der der", "le\nle", "the der"])]).kept
    assert kept["lang"].to_pylist()[:3] == ["en", "de", "fr"]
    assert kept["lang_score"].to_pylist() == pytest.approx([0.9999, 0.9999, 0.9999, 0.4983], abs=1e-3)


def test_columns_have_no_prefix(model: str) -> None:
    assert LanguageId.bare_columns == set(LanguageId(model=model).adds()) == {"lang", "lang_score"}


def test_uncertain_comes_before_unwanted_and_both_say_the_language(model: str) -> None:
    table = corpus({"en": "the", "de": "der", "both": "the der", "none": "what?"})
    engine = run(LanguageId(model=model, keep=("en",)), [table])
    assert engine.kept_ids == {"en"}
    found = {row["id"]: row for row in engine.dropped.to_pylist()}
    assert {name: row[RULE] for name, row in found.items()} == {
        "de": "unwanted_language",
        "both": "uncertain_language",
        "none": "uncertain_language",
    }
    assert json.loads(found["de"]["detail"]) == {"lang": "de"}
    assert found["de"]["value"] is None
    assert (found["both"]["threshold"], found["none"]["value"]) == (0.65, 0)


def test_a_score_at_the_bound_is_kept(model: str) -> None:
    rows = pa.table({"lang": ["en", "en"], "lang_score": [0.65, 0.6499]})
    assert LanguageId(model=model).judge(rows)[RULE].to_pylist() == [None, "uncertain_language"]


def test_without_keep_all_languages_pass_and_without_a_bound_all_documents(model: str) -> None:
    table = corpus(["the", "der", "the der", ""])
    assert run(LanguageId(model=model), [table]).kept_ids == {"d0000", "d0001"}
    assert run(LanguageId(model=model, min_score=0), [table]).kept.num_rows == 4


def test_only_the_document_s_start_is_looked_at_if_asked(model: str) -> None:
    table = corpus(["the der der der"])
    assert run(LanguageId(model=model), [table]).kept["lang"].to_pylist() == ["de"]
    assert run(LanguageId(model=model, max_chars=4), [table]).kept["lang"].to_pylist() == ["en"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text() | st.sampled_from(ODD), max_size=8), size=st.integers(1, 3))
def test_batch_split_does_not_matter_and_every_text_has_a_score(model: str, texts: list[str], size: int) -> None:
    table, operator = corpus([*ODD, *texts]), LanguageId(model=model, audit=True)
    whole, split = run(operator, [table]), run(operator, [table], batch_rows=size)
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()
    assert all(0 <= score <= 1 for score in whole.kept["lang_score"].to_pylist())


def test_no_rows_and_null_texts_are_no_error(model: str) -> None:
    score = LanguageId(model=model).bind(Context(0, {}))
    assert score(corpus([])).num_rows == LanguageId(model=model).judge(score(corpus([]))).num_rows == 0
    nulls = score(pa.table({"id": ["a"], "text": pa.array([None], pa.large_string())}))
    assert nulls.to_pylist() == [{"lang": None, "lang_score": 0.0}]


def test_languages_that_the_model_does_not_know_are_refused(model: str) -> None:
    LanguageId(model=model, keep=("en", "fr")).check()
    with pytest.raises(RecipeError, match=r"no language 'eng'; expected some of its 3 codes: de en fr"):
        LanguageId(model=model, keep=("en", "eng")).check()
    with pytest.raises(RecipeError, match=r"no language 'de_AT'; did you mean 'de'\?"):
        LanguageId(model=model, keep=("de_AT",)).check()


def test_the_model_s_content_and_not_its_place_is_its_identity(model: str, tmp_path: Path) -> None:
    moved = tmp_path / "other.bin"
    moved.write_bytes(Path(model).read_bytes())
    assert LanguageId(model=str(moved)).identity() == LanguageId(model=model).identity()
    moved.write_bytes(fasttext_model({"en": "the", "de": "das"}))
    assert LanguageId(model=str(moved)).identity() != LanguageId(model=model).identity()


def test_moving_keep_or_min_score_scores_nothing_again(model: str) -> None:
    one, two = LanguageId(model=model, keep=("en",)), LanguageId(model=model, min_score=0.1)
    assert one.identity(one.verdict_only) == two.identity(two.verdict_only)
    assert one.identity() != two.identity()


def test_a_missing_or_broken_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'no/such\.ftz' is neither a known model nor a file"):
        LanguageId(model="no/such.ftz").models()
    broken = tmp_path / "broken.ftz"
    broken.write_bytes(b"not a model at all")
    with pytest.raises(RecipeError, match=r"broken\.ftz' is no fastText model"):
        LanguageId(model=str(broken)).check()


@pytest.mark.parametrize("given", [{"keep": [False]}, {"min_score": 1.1}, {"max_chars": -1}, {"model": ""}])
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LanguageId.model_validate(given)


@pytest.mark.skipif(not models.model_path("lid.176.ftz").is_file(), reason=f"no model: {models.FETCH_COMMAND}")
def test_the_default_model_knows_176_languages_and_these() -> None:
    texts = {
        "en": "The council met in the evening to talk about the new bridge.",
        "de": "Der Rat traf sich am Abend, um \u00fcber die neue Br\u00fccke zu sprechen.",
        "el": "\u03a4\u03bf \u03c3\u03c5\u03bc\u03b2\u03bf\u03cd\u03bb\u03b9\u03bf",
        "ja": "\u4eca\u65e5\u306f\u3068\u3066\u3082\u6691\u3044\u3067\u3059\u3002",
    }
    LanguageId(keep=tuple(texts)).check()
    kept = run(LanguageId(keep=tuple(texts)), [corpus(texts)]).kept
    assert kept["lang"].to_pylist() == list(texts)
    with pytest.raises(RecipeError, match="its 176 codes"):
        LanguageId(keep=("eng",)).check()
