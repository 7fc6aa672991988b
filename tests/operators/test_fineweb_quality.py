import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RULE, Context
from operators.fineweb_quality import FinewebQuality
from operators.kernels.fineweb_reference import measures
from operators.words import split_words
from tests.operators.harness import corpus, run

LONG = "A line of more than thirty characters"


def verdict(text: str, **bounds: object) -> str | None:
    operator = FinewebQuality.model_validate(bounds)
    rule: str | None = operator.judge(operator.bind(Context(0, {}))(corpus([text])))[RULE][0].as_py()
    return rule


def numbered(count: int, end: str = ".") -> str:
    return "\n".join(f"{LONG} {number}{end}" for number in range(count))


@pytest.mark.parametrize(
    ("passes", "fails", "rule"),
    [
        ("one line is here, and it is long.", "\n \u3000\n", "empty_text"),
        (numbered(3) + "\n" + numbered(22, ""), numbered(3) + "\n" + numbered(23, ""), "too_few_terminated_lines"),
        (numbered(3), numbered(3, ". "), "too_few_terminated_lines"),
        (numbered(1) + "\n" + "x" * 30 + ".\nb.", numbered(1) + "\na.\nb.\nc.", "too_many_short_lines"),
        (numbered(150) + f"\n{LONG} 1.", numbered(50) + f"\n{LONG} 1.", "duplicate_line_characters"),
        (f"{numbered(2)}\n\n", f"{'x' * 31}.\n\n{'y' * 31}.", "too_many_line_feeds"),
    ],
)
def test_each_rule_at_its_bound(passes: str, fails: str, rule: str) -> None:
    assert verdict(passes) is None
    assert verdict(fails) == rule


def test_bounds_move_the_verdict_alone() -> None:
    assert verdict("a.\nb.", max_short_line_ratio=1) is None
    assert verdict("a\nb", max_short_line_ratio=1, min_line_punct_ratio=0, max_list_ratio=0.5) is None
    assert (
        verdict("a\n\nb", max_short_line_ratio=1, min_line_punct_ratio=0, max_list_ratio=0.99) == "too_many_line_feeds"
    )
    assert verdict("abc.\nde.", short_line_chars=3, max_list_ratio=1) is None
    moved = {"min_line_punct_ratio", "max_short_line_ratio", "max_char_dup_ratio", "max_list_ratio"}
    assert FinewebQuality.verdict_only == moved


def test_rows_outside_the_condition_pass_without_scores() -> None:
    rows = corpus(["a", "a"]).append_column("lang", pa.array(["de", "en"]))
    engine = run(FinewebQuality(only={"column": "lang", "in": ["en"]}, audit=True), [rows])
    assert engine.kept["num_lines"].to_pylist() == [None, 1]
    assert engine.dropped["rule"].to_pylist() == ["too_few_terminated_lines"]


@given(st.lists(st.text("ab. \n\u00a0\u3002", max_size=40), max_size=5), st.integers(1, 3))
def test_scores_are_shares_of_the_reference_counts(texts: list[str], batch_rows: int) -> None:
    engine = run(FinewebQuality(audit=True, short_line_chars=4), [corpus(texts)], batch_rows=batch_rows)
    for text, row in zip(texts, engine.kept.to_pylist(), strict=True):
        found, words = measures(text, 4), len(split_words(text))
        assert row["num_lines"] == found.lines
        assert row["line_punct_ratio"] == (found.terminated_lines / found.lines if found.lines else None)
        assert row["short_line_ratio"] == (found.short_lines / found.lines if found.lines else None)
        assert row["char_dup_ratio"] == (found.copied_chars / found.chars if found.lines else None)
        assert row["list_ratio"] == (found.line_feeds / words if found.lines and words else None)
