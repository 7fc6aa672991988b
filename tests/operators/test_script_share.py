import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RULE, Context
from operators.script_share import ScriptShare
from tests.operators.harness import corpus, run

RUSSIAN = "\u0434\u043e\u043c"
JAPANESE = "\u6f22\u5b57\u3068\u30ab\u30ca\u30fc"


def scores(operator: ScriptShare, table: pa.Table) -> list[dict[str, object]]:
    found: list[dict[str, object]] = operator.bind(Context(0, {}))(table).to_pylist()
    return found


def test_shares_are_of_letters_alone() -> None:
    found = scores(ScriptShare(keep=("Latin",)), corpus([f"abc, 123 {RUSSIAN}!", "e\u0301 \u0661", "12 + 3"]))
    assert found[0] == {"share": 0.5, "top_share": 0.5, "top_script": "Cyrillic", "num_scripts": 2}
    assert found[1] == {"share": 1.0, "top_share": 1.0, "top_script": "Latin", "num_scripts": 1}
    assert found[2] == {"share": None, "top_share": None, "top_script": None, "num_scripts": 0}


def test_letters_that_scripts_share_belong_to_none() -> None:
    (found,) = scores(ScriptShare(keep=("Han", "Hiragana")), corpus([JAPANESE]))
    assert (found["share"], found["num_scripts"]) == (3 / 5, 3)


def test_each_language_has_its_scripts_and_all_others_those_of_keep() -> None:
    table = corpus([RUSSIAN, RUSSIAN, RUSSIAN, "abc"], lang=["ru", "en", "xx", None])
    by_language = ScriptShare(scripts={"ru": ("Cyrillic",), "en": ("Latin",)})
    assert [row["share"] for row in scores(by_language, table)] == [1, 0, None, None]
    with_keep = by_language.model_copy(update={"keep": ("Latin",)})
    assert [row["share"] for row in scores(with_keep, table)] == [1, 0, 0, 1]
    assert set(with_keep.needs()) == {"text", "lang"}
    assert set(ScriptShare().needs()) == {"text"}


def test_what_lacks_the_wanted_script_or_mixes_scripts_is_dropped_and_what_has_no_letters_passes() -> None:
    texts = {"latin": "abc", "russian": RUSSIAN, "mixed": f"abcd{RUSSIAN}", "none": "123"}
    engine = run(ScriptShare(keep=("Latin",), min_top_share=0.6), [corpus(texts)])
    assert engine.kept_ids == {"latin", "none"}
    assert engine.dropped[RULE].to_pylist() == ["unwanted_script", "mixed_scripts"]


@given(st.lists(st.text() | st.sampled_from(["", RUSSIAN, JAPANESE, "\u0301"]), max_size=8), st.integers(1, 3))
def test_batch_split_does_not_matter_and_shares_are_shares(texts: list[str], size: int) -> None:
    operator, table = ScriptShare(keep=("Latin",), audit=True), corpus(texts)
    whole, split = run(operator, [table]), run(operator, [table], batch_rows=size)
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()
    for name in ("share", "top_share"):
        assert all(value is None or 0 <= value <= 1 for value in whole.kept[name].to_pylist())


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"keep": ["Cyrilic"]}, "did you mean Cyrillic"),
        ({"scripts": {"en": ["Latn"]}}, "did you mean Latin"),
        ({"scripts": {"en": []}}, "no script for 'en'"),
    ],
)
def test_names_that_are_no_scripts_are_refused(given: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        ScriptShare.model_validate(given)


def test_moving_a_bound_scores_nothing_again() -> None:
    one, two = ScriptShare(min_share=0.1), ScriptShare(min_top_share=0.9)
    assert one.identity(one.verdict_only) == two.identity(two.verdict_only)
    assert one.identity()["models"]
