import pyarrow as pa
import pytest
from pydantic import ValidationError

from operators.base import RULE
from operators.line_rules import COUNTS, LineRules
from tests.operators.harness import corpus, run

PROSE = "\n".join(f"This is line {number} of a page that somebody wrote in the evening." for number in range(20))
PAGE = f"Home\nMENU AND NEWS\n2024\n{PROSE}\n\n1.2K followers\n2 items in cart\nSign-in to go on"


def test_lines_go_by_each_rule_and_the_columns_say_how_many() -> None:
    (row,) = run(LineRules(), [corpus([PAGE])]).kept.to_pylist()
    assert row["text"] == f"{PROSE}\n\n2\nto go on"
    assert [row[name] for name in COUNTS] == [1, 1, 1, 1, 0, 2]
    assert 0 < row["removed_word_share"] < 0.05


def test_what_lost_too_much_is_dropped_with_its_share_and_nothing_left_comes_first() -> None:
    texts = {"page": PAGE, "menu": "Home\nNews\nThree words here", "gone": "Home\nNews", "empty": "", "prose": PROSE}
    engine = run(LineRules(), [corpus(texts)])
    assert engine.kept_ids == {"page", "prose"}
    found = {row["id"]: (row[RULE], row["value"], row["threshold"]) for row in engine.dropped.to_pylist()}
    assert found["menu"] == ("too_many_words_removed", 2 / 5, 0.05)
    assert found["gone"] == found["empty"] == ("nothing_left", 0, 1)


def test_under_audit_the_texts_stay_and_a_bound_moves_the_verdict_alone() -> None:
    engine = run(LineRules(audit=True), [corpus([PAGE, "Home"])])
    assert engine.kept["text"].to_pylist() == [PAGE, "Home"]
    one, two = (LineRules(max_removed_share=share).stages()[0] for share in (0.1, 0.2))
    assert not isinstance(one, LineRules)
    assert one.identity(one.verdict_only) == two.identity(two.verdict_only)  # type: ignore[union-attr]


def test_null_texts_are_empty_ones_and_wrong_parameters_are_refused() -> None:
    engine = run(LineRules(audit=True), [pa.table({"id": ["a"], "text": pa.array([None], pa.large_string())})])
    assert engine.dropped[RULE].to_pylist() == ["nothing_left"]
    with pytest.raises(ValidationError):
        LineRules(max_uppercase_share=1.5)
