import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.c4_quality import C4Quality
from operators.kernels.c4_reference import Settings, cleaned, joined
from operators.sentences import num_sentences
from tests.operators.harness import corpus, run

FIVE = "One is here. Two is here. Three is here.\nFour is here. Five is here."


def judged(text: str, **given: object) -> tuple[str | None, str, dict[str, object]]:
    """The verdict on a text, the text after it, and the scores."""
    operator = C4Quality.model_validate(given)
    engine = run(operator, [corpus([text])])
    audited = run(operator.model_copy(update={"audit": True}), [corpus([text])]).kept.to_pylist()[0]
    scores = {name: audited[name] for name in operator.adds()}
    if engine.kept.num_rows:
        return None, engine.kept["text"][0].as_py(), scores
    return engine.dropped["rule"][0].as_py(), text, scores


@pytest.mark.parametrize(
    ("text", "rule", "left"),
    [
        (FIVE, None, FIVE),
        (f"  {FIVE}  \r\nHome | News\n", None, FIVE),
        (f"{FIVE}\nPlease enable JavaScript on this page.", None, FIVE),
        (f"{FIVE}\nSee the Privacy Policy of ours.", None, FIVE),
        (f"{FIVE}\nIt is so.[12][citation needed]", None, f"{FIVE}\nIt is so."),
        (f"{FIVE}\nOf this more...", None, FIVE),
        (f"{FIVE}\nTwo words.", None, FIVE),
        (f"{FIVE}\nIt has {'a' * 1001} in it.", None, FIVE),
        (f"{FIVE}\nLorem ipsum dolor sit.", "lorem_ipsum", None),
        (FIVE + "\nA { b is c.", "curly_bracket", None),
        (FIVE + "\nA { b is no line that ends", None, FIVE),
        (FIVE + "\nA { b and lorem ipsum.", "lorem_ipsum", None),
        (FIVE + "\nA { b in javascript.", None, FIVE),
        (f"A { '{' } b.\nThen lorem ipsum dolor.", "curly_bracket", None),
        ("One is here. Two is here.", "too_few_sentences", None),
        ("", "too_few_sentences", None),
    ],
)  # fmt: skip
def test_lines_go_and_documents_are_judged_in_the_order_of_the_reference(
    text: str, rule: str | None, left: str | None
) -> None:
    found, new, _ = judged(text)
    assert found == rule
    assert new == (text if left is None else left)


def test_scores_say_what_went_and_why() -> None:
    text = f"{FIVE}\n\nHome\nToo short.\nUse cookies for this.\nJavascript is needed here.\nA{'b' * 1000} is long here."
    _, new, scores = judged(text)
    assert new == FIVE
    assert scores == {
        "kept_lines": 2,
        "long_word_lines": 1,
        "unterminated_lines": 1,
        "short_lines": 1,
        "javascript_lines": 1,
        "policy_lines": 1,
        "lorem_ipsum": 0,
        "curly_bracket": 0,
        "sentences": 5,
        "long_paragraphs": 0,
        "removed_bytes": len(text) - len(FIVE),
    }
    _, _, scores = judged("A { is here.")
    assert scores["curly_bracket"] == 1
    assert scores["lorem_ipsum"] == 0
    assert scores["sentences"] is None


def test_without_terminal_punctuation_lines_may_end_anyhow() -> None:
    text = f"{FIVE}\nA menu of three"
    assert judged(text, terminal_punctuation=False)[1] == text
    assert judged(f"{FIVE}\nA {{ of three", terminal_punctuation=False)[0] == "curly_bracket"


@pytest.mark.parametrize(
    ("switch", "line"),
    [
        ("javascript", "Please enable JavaScript now."),
        ("policy", "We use cookies for this."),
        ("lorem_ipsum", "This is lorem ipsum dolor."),
        ("curly_bracket", "This is { a bracket."),
        ("remove_citations", "This is it [3] and so."),
    ],
)
def test_every_rule_can_be_switched_off(switch: str, line: str) -> None:
    text = f"{FIVE}\n{line}"
    assert judged(text, **{switch: False})[:2] == (None, text)
    assert judged(text)[1] != text or judged(text)[0] is not None


def test_a_bound_of_nothing_keeps_everything() -> None:
    assert judged("", min_sentences=0)[:2] == (None, "")
    assert judged(" Home ", min_sentences=0, min_words_per_line=0, terminal_punctuation=False)[:2] == (None, "Home")
    assert judged("a bc", min_sentences=0, max_word_chars=1)[:2] == (None, "")


def test_long_paragraphs_can_be_asked_for() -> None:
    long = " ".join(["This sentence is here."] * 10)
    text = "\n".join([long, "And this is short.", long])
    assert judged(text, min_long_paragraphs=3)[:2] == ("too_few_long_paragraphs", text)
    assert judged(f"{text}\n{long}", min_long_paragraphs=3)[0] is None
    assert judged(text, min_long_paragraphs=2, long_paragraph_chars=len(long))[0] is None
    assert judged(text, min_long_paragraphs=2, long_paragraph_chars=len(long) + 1)[0] == "too_few_long_paragraphs"


def test_rows_outside_the_condition_stay_as_they_are() -> None:
    rows = corpus([" Heim ", " Home "]).append_column("lang", pa.array(["de", "en"]))
    engine = run(C4Quality(only={"column": "lang", "in": ["en"]}, audit=True), [rows])
    assert engine.kept["text"].to_pylist() == [" Heim ", " Home "]
    assert engine.kept["sentences"].to_pylist() == [None, 0]
    assert engine.dropped["rule"].to_pylist() == ["too_few_sentences"]


@given(st.lists(st.text("aB. \n[1]{\u00a0\u2028k", max_size=40), max_size=5), st.integers(1, 3))
def test_batches_do_not_matter_and_all_is_as_the_reference_says(texts: list[str], batch_rows: int) -> None:
    operator = C4Quality(min_sentences=2, min_words_per_line=2)
    audited = run(operator.model_copy(update={"audit": True}), [corpus(texts)], batch_rows=batch_rows).kept.to_pylist()
    kept = {row["id"]: row["text"] for row in run(operator, [corpus(texts)], batch_rows=batch_rows).kept.to_pylist()}
    for text, row in zip(texts, audited, strict=True):
        expected = cleaned(text, Settings(min_words_per_line=2))
        count = sum(map(num_sentences, expected.lines)) if expected.lines is not None else 0
        assert row["text"] == text
        assert kept.get(row["id"]) == (joined(expected.lines) if expected.lines is not None and count >= 2 else None)
        assert row["sentences"] == (count if expected.lines is not None else None)
