"""spaCy's words of a text are those of its chunks; where spaCy is not installed, the remedy is named."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operators.base import RecipeError
from operators.reference_words import BROKEN, _neighbours, spacy_edges, spacy_text_words, spacy_words

GOLDEN = {
    "Don't stop-it's $5.00 (really)!": "Do|n't|stop|-|it|'s|$|5.00|(|really|)|!",
    "e-mail me@x.org or https://a.b/c?d=1, ok...": "e|-|mail|me@x.org|or|https://a.b|/|c?d=1|,|ok|...",
    "the IS_ALPHA (xIS_ALPHA), yes": "the|(|x|)|,|yes",
    "the xIS_ALPHA": "the|xIS_ALPHA",
    "a 10km, and/or 8a.m. at Mt . Cook": "a|10|km|,|and/or|8|a.m.|at|Mt|.|Cook",
    "x:) ) and x:) y": "x|:|)|)|and|x|:)|y",
    "foo/a.m. or a.m . then": "foo|/|a.m.|or|a.m|.|then",
}


def test_without_spacy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from operators import reference_words

    reference_words._english.cache_clear()
    monkeypatch.setattr(reference_words, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'vocabmill\[parity\]'"):
        spacy_words(["a"])


def by_chunks(text: str) -> list[str]:
    """The words of a text by its chunks, or as a whole where two of them may meet."""
    chunks = text.split()
    right, left = spacy_edges(chunks)
    if (right[:-1] & left[1:]).any() or BROKEN in text:
        return spacy_text_words(text)
    return [word for words in spacy_words(chunks) for word in words]


@pytest.mark.parity
@pytest.mark.parametrize("text", GOLDEN)
def test_golden_vectors(text: str) -> None:
    assert spacy_text_words(text) == by_chunks(text) == GOLDEN[text].split("|")


@pytest.mark.parity
def test_meeting_chunks_are_not_cut_alone() -> None:
    assert [word for words in spacy_words(["x:)", ")"]) for word in words] == ["x", ":)", ")"]
    assert _neighbours().right("x:)") & _neighbours().left(")")


def _pieces() -> Any:  # noqa: ANN401
    marks = "():;-'\u2019.=_*<>/3oOD8[]\"\\ \n\u00b0Fxa\u00e9\u4e2d"
    try:
        import spacy

        special = sorted(case for case in spacy.blank("en").tokenizer.rules if case.strip())
    except ImportError:
        special = ["don't"]
    return st.one_of(st.sampled_from(special), st.text(marks, max_size=5), st.sampled_from([" ", "  ", "\n", ".", "'"]))


@pytest.mark.parity
@settings(max_examples=600, deadline=None)
@given(st.lists(_pieces(), max_size=12).map("".join))
@example("foo): (bar")
@example("x'' 's")
@example("Mt . 'Cause :-) )")
def test_words_of_chunks_are_the_words_of_the_text(text: str) -> None:
    assert by_chunks(text) == spacy_text_words(text)


@pytest.mark.parity
def test_words_are_one_after_another() -> None:
    assert spacy_words([]) == []
    assert spacy_words(["", "a", "a,", "", ":-)"]) == [[], ["a"], ["a", ","], [], [":-)"]]
    many = [f"word{number}," for number in range(12_001)]
    assert spacy_words(many) == [[chunk[:-1], ","] for chunk in many]
