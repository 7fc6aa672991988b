import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RULE, Context, RecipeError
from operators.conditions import Condition
from operators.gopher_quality import STOP_WORDS, GopherQuality, quality_counts
from operators.kernels.quality import COUNTS
from operators.kernels.quality_reference import alpha_ratio, quality_scores, without_symbols
from operators.kernels.words_reference import slow_scan
from operators.word_classes import is_letter
from operators.words import PUNCTUATION_SET, split_words
from tests.operators.harness import corpus, run

ODD = [
    "",
    " ",
    "\n",
    "one",
    "...",
    "\U0001f600",
    "\x00\x07",
    "\u0645\u0631 \u0628\u0643",
    "\u0301",
    "#",
    "\u2028",
    "\u4f60",
]
ENGLISH = Condition(column="lang", values=("en",))


def scored(operator: GopherQuality, table: pa.Table) -> pa.Table:
    return operator.bind(Context(0, {}))(table)


def rule(text: str, **bounds: object) -> str | None:
    """The verdict on one text, with only the named rules switched on."""
    off = dict.fromkeys(("max_mean_word_chars", "max_hash_ratio", "max_ellipsis_ratio"), 1e9)
    off |= dict.fromkeys(("min_words", "min_mean_word_chars", "min_alpha_ratio", "min_stop_words"), 0)
    off |= dict.fromkeys(("max_bullet_ratio", "max_end_ellipsis_ratio"), 1)
    operator = GopherQuality.model_validate(off | bounds)
    verdict: str | None = operator.judge(scored(operator, corpus([text])))[RULE][0].as_py()
    return verdict


def prose(num_words: int) -> str:
    """English enough to pass every default rule if it is long enough."""
    return " ".join((["the", "story", "of", "rivers"] * num_words)[:num_words])


@pytest.mark.parametrize(
    ("passes", "fails", "name", "bounds"),
    [
        (prose(50), prose(49) + " ... - !", "too_few_words", {"min_words": 50}),
        (prose(50) + " ... -", prose(51), "too_many_words", {"max_words": 50}),
        ("abc abc", "abc ab", "words_too_short", {"min_mean_word_chars": 3}),
        ("a" * 10, "a" * 11, "words_too_long", {"max_mean_word_chars": 10}),
        ("# a b c d e f g h i", "# a b c d e f g h", "too_many_hashes", {"max_hash_ratio": 0.1}),
        ("... a b c d e f g h i", "\u2026 a b c d e f g h", "too_many_ellipses", {"max_ellipsis_ratio": 0.1}),
        ("- a\n" * 9 + "b", " \u2022 a\n" * 10 + "b", "too_many_bullets", {"max_bullet_ratio": 0.9}),
        ("a...\n" * 3 + "b\n" * 7, "a...\n" * 2 + "a \u2026 \nb\n" + "b\n" * 5, "too_many_ellipsis_lines",
         {"max_end_ellipsis_ratio": 0.3}),
        ("a b c d 1", "a b c d 1 .", "too_few_alphabetic_words", {"min_alpha_ratio": 0.8}),
        ("the best of", "the The the best", "too_few_stop_words", {"min_stop_words": 2}),
    ],
)  # fmt: skip
def test_each_rule_speaks_just_beyond_its_bound(passes: str, fails: str, name: str, bounds: dict[str, object]) -> None:
    assert rule(passes, **bounds) is None
    assert rule(fails, **bounds) == name


def test_the_defaults_keep_prose_and_the_first_broken_rule_names_the_verdict() -> None:
    texts = {"prose": prose(60), "short": "# 1 2 3", "hashes": prose(60) + " #" * 20, "symbols": "- " * 60}
    engine = run(GopherQuality(), [corpus(texts)])
    assert engine.kept_ids == {"prose"}
    assert dict(zip(engine.dropped["id"].to_pylist(), engine.dropped[RULE].to_pylist(), strict=True)) == {
        "short": "too_few_words",
        "hashes": "too_many_hashes",
        "symbols": "too_few_words",
    }


def test_a_verdict_carries_its_value_and_bound() -> None:
    dropped = run(GopherQuality(), [corpus(["just five words of text"])]).dropped.to_pylist()
    assert [(row["value"], row["threshold"]) for row in dropped] == [(5, 50)]


def test_scores_take_any_tokenisation() -> None:
    scores = quality_scores("a# ##\n- b...", ["a# ##", "-", "b..."], STOP_WORDS)
    assert scores == (2, 4.5, 1.0, 1 / 3, 0.5, 0.5, 2 / 3, 0)


@given(st.lists(st.text(min_size=1)))
def test_words_are_told_from_symbols_as_the_reference_s_definition_says(words: list[str]) -> None:
    assert without_symbols(words) == [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
    if words:
        assert alpha_ratio(words) == sum(any(is_letter(c) for c in w) for w in words) / len(words)


# Every kind of line break, of white space that is none, of bullets and ellipses, their neighbours in UTF-8, letters.
MARKS = (
    "a\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029 \t\xa0\u3000-\u2022\u2026...#\x00\u2023\u2027\u202a\u0084"
    "\xe9\u0416\u4e00\U0001f600\U00010400"
)
TEXTS = st.lists(st.text(st.sampled_from(MARKS)) | st.text() | st.lists(st.sampled_from(ODD)).map(" ".join), max_size=6)


@given(TEXTS)
def test_the_kernel_has_the_scores_that_the_slow_functions_define(texts: list[str]) -> None:
    table = scored(GopherQuality(), corpus(list(texts)))
    assert [tuple(row.values()) for row in table.to_pylist()] == [quality_scores(t, split_words(t)) for t in texts]


@given(TEXTS, st.lists(st.text(st.sampled_from("ab"), max_size=2)))
def test_counts_are_of_the_words_that_are_given(texts: list[str], stop_words: list[str]) -> None:
    texts = [text + " a\nb aa " + "x" * (30 + 5 * place) for place, text in enumerate(texts)]
    counts = quality_counts(pa.chunked_array([texts], pa.large_string()), slow_scan(texts, str.split), stop_words)
    for text, row in zip(texts, counts.tolist(), strict=True):
        found, expected = dict(zip(COUNTS, row, strict=True)), quality_scores(text, text.split(), stop_words)
        assert (found["plain_words"], found["stop_words"]) == (expected.num_words, expected.stop_words)
        assert found["plain_chars"] / found["plain_words"] == expected.mean_word_length
        assert found["letter_words"] / found["words"] == expected.alpha_ratio
        assert found["bullets"] / found["lines"] == expected.bullet_ratio


@given(st.lists(st.text() | st.sampled_from(ODD), max_size=8), st.integers(1, 3))
def test_batch_split_does_not_matter_and_every_text_has_scores(texts: list[str], size: int) -> None:
    table = corpus([*ODD, *texts])
    whole, split = run(GopherQuality(audit=True), [table]), run(GopherQuality(audit=True), [table], batch_rows=size)
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()
    assert whole.kept["num_words"].null_count == 0
    for name in ("hash_ratio", "ellipsis_ratio", "alpha_ratio"):
        known = [value for value in whole.kept[name].to_pylist() if value is not None]
        assert all(math.isfinite(value) and value >= 0 for value in known)
        assert len(known) == sum(bool(split_words(text)) for text in table["text"].to_pylist())


def test_no_rows_and_null_texts_are_no_error() -> None:
    assert scored(GopherQuality(), corpus([])).num_rows == 0
    nulls = pa.table({"id": ["a"], "text": pa.array([None], pa.large_string())})
    assert scored(GopherQuality(), nulls)["num_words"].to_pylist() == [0]


def test_stop_words_are_asked_only_where_the_condition_holds() -> None:
    table = corpus(["der Fluss " * 30] * 3, lang=["en", "de", None])
    operator = GopherQuality(stop_words_only=ENGLISH)
    assert operator.needs() == {"text": pa.large_string(), "lang": pa.string()}
    engine = run(operator, [table])
    assert engine.dropped[RULE].to_pylist() == ["too_few_stop_words"]
    assert engine.kept["stop_words"].to_pylist() == [None, None]
    assert engine.kept["num_words"].to_pylist() == [60, 60]


def test_rows_outside_the_condition_pass_with_null_scores() -> None:
    engine = run(GopherQuality(only=ENGLISH), [corpus(["short", "kurz"], lang=["en", "de"])])
    assert engine.kept["lang"].to_pylist() == ["de"]
    assert all(engine.kept[name].to_pylist() == [None] for name in GopherQuality().adds())


@pytest.mark.parametrize(
    "given",
    [
        {"min_words": 9, "max_words": 8},
        {"min_mean_word_chars": 11},
        {"min_stop_words": 9},
        {"variant": "datatrove"},
        {"min_words": None},
        {"min_alpha_ratio": 1.1},
    ],
)
def test_bounds_that_no_document_can_meet_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GopherQuality.model_validate(given)


def test_stop_words_that_the_splitter_never_yields_are_refused() -> None:
    GopherQuality().check()
    with pytest.raises(RecipeError, match=r"'of the' can never be found"):
        GopherQuality(stop_words=("of the", "to")).check()


def test_every_bound_but_no_score_depends_on_the_verdict_s_parameters() -> None:
    bounds = {name for name in GopherQuality.model_fields if name.startswith(("min_", "max_"))} - {"max_drop_ratio"}
    assert GopherQuality.verdict_only == bounds
    operator = GopherQuality(stop_words_only=ENGLISH)
    assert GopherQuality.model_validate(operator.model_dump(mode="json")) == operator
