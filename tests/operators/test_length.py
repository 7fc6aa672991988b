import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RULE, Context
from operators.length import Length
from tests.operators.harness import corpus, run


def rule(text: str, **bounds: float) -> str | None:
    dropped = run(Length.model_validate(bounds), [corpus([text])]).dropped.to_pylist()
    return dropped[0][RULE] if dropped else None


@pytest.mark.parametrize(
    ("passes", "fails", "name", "bounds"),
    [
        ("abc", "ab", "too_few_chars", {"min_chars": 3}),
        ("\u6f22\u5b57", "abc", "too_many_chars", {"max_chars": 2}),
        ("\u6f22", "ab", "too_few_bytes", {"min_bytes": 3}),
        ("abc", "\u6f22\u5b57", "too_many_bytes", {"max_bytes": 5}),
        ("a\u3000b", "a-b", "too_few_words", {"min_words": 2}),
        ("a-b", "a\x1cb", "too_many_words", {"max_words": 1}),
        ("a\n\nb", "a\nb\n", "too_few_lines", {"min_lines": 3}),
        ("a\rb\n", "a\nb", "too_many_lines", {"max_lines": 1}),
        ("abcd\r\n\r\n", "abc\r\n\r\n", "lines_too_short", {"min_mean_line_chars": 2}),
        ("abc\n\n", "abcd\n\n", "lines_too_long", {"max_mean_line_chars": 1.6}),
        ("ab\nab\n", "ab\nabc", "line_too_long", {"max_line_chars": 2}),
    ],
)
def test_each_rule_speaks_just_beyond_its_bound(passes: str, fails: str, name: str, bounds: dict[str, float]) -> None:
    assert rule(passes, **bounds) is None
    assert rule(fails, **bounds) == name


def test_without_bounds_nothing_is_dropped_and_everything_measured() -> None:
    kept = run(Length(), [corpus(["one two\r\n\n\u6f22", ""])]).kept
    assert kept.select(list(Length().adds())).to_pylist() == [
        {"chars": 11, "bytes": 13, "words": 3, "lines": 3, "longest_line_chars": 7, "mean_line_chars": 8 / 3},
        {"chars": 0, "bytes": 0, "words": 0, "lines": 0, "longest_line_chars": 0, "mean_line_chars": None},
    ]


def test_words_may_be_those_of_the_splitter() -> None:
    operator = Length(words="standard")
    assert run(operator, [corpus(["Don't stop!", "\u6f22\u5b57", ""])]).kept["words"].to_pylist() == [4, 2, 0]
    assert operator.identity() != Length().identity()


@given(st.lists(st.text(), max_size=8), st.integers(1, 3))
def test_batch_split_does_not_matter(texts: list[str], size: int) -> None:
    whole, split = run(Length(), [corpus(texts)]), run(Length(), [corpus(texts)], batch_rows=size)
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()


def test_null_texts_are_empty_ones() -> None:
    nulls = pa.table({"id": ["a", "b"], "text": pa.array([None, "x"], pa.large_string())})
    assert Length().bind(Context(0, {}))(nulls)["chars"].to_pylist() == [0, 1]


def test_bounds_that_no_document_can_meet_are_refused_and_every_bound_moves_only_verdicts() -> None:
    with pytest.raises(ValidationError, match="min_words 9 is above max_words 8"):
        Length(min_words=9, max_words=8)
    with pytest.raises(ValidationError, match=r"min_mean_line_chars 10\.0 is above max_line_chars 5"):
        Length(min_mean_line_chars=10, max_line_chars=5)
    bounds = {name for name in Length.model_fields if name.startswith(("min_", "max_"))} - {"max_drop_ratio"}
    assert Length.verdict_only == bounds
