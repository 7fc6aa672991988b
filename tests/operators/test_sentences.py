"""The sentences of a line, by our rule and by the rule of spaCy's sentencizer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.sentences import SPACY_MARKS, num_sentences, num_token_sentences, token_turns
from operators.words import TERMINAL_PUNCTUATION

TOKENS = st.lists(st.sampled_from(["a", ".", "!", "...", ")", "\u3002", " ", "$", "\u2e53", "", "3", "\u2019"]))


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("", 1),
        ("   ", 1),
        ("no stop", 1),
        ("One. ", 1),
        ("One.  Two?! Three", 3),
        ('He said "Go." Then he went.', 2),
        ("(It is so.) It was.", 2),
        ("Wait... no", 1),
        ("J. Smith of the U.S. came, e.g. by train. He left.", 2),
        ("It costs 3.50 or 4. Take it", 2),
        ("world.No space, file.txt and v1.2", 2),
        ("\u4f60\u597d\u3002\u5f88\u597d\u3002", 2),
        ("Mr. Smith came", 2),
        ("! ? .", 1),
        ("Vorbei! \u2013 Nein.", 2),
        ("etc., and so on", 1),
    ],
)
def test_standard_sentences(line: str, count: int) -> None:
    assert num_sentences(line) == count


def sentencizer(tokens: list[str]) -> int:
    """The sentencizer's own loop, as its documentation and source have it: a number of sentence starts."""
    starts, start, seen = {0}, 0, False
    for place, token in enumerate(tokens):
        is_mark = token in SPACY_MARKS
        is_punctuation = all(character in ".!?...)\u3002\u2e53\u2019" for character in token)
        if seen and not is_punctuation and not is_mark:
            starts.add(start)
            start, seen = place, False
        elif is_mark:
            seen = True
    return len(starts | {start})


@given(TOKENS)
def test_token_sentences_are_those_of_the_sentencizer(tokens: list[str]) -> None:
    assert num_token_sentences(tokens) == sentencizer(tokens)


@given(TOKENS, TOKENS)
def test_turns_of_parts_make_the_turns_of_the_whole(one: list[str], other: list[str]) -> None:
    first, second, whole = token_turns(one), token_turns(other), token_turns(one + other)
    for ended in (0, 1):
        middle = first[2 + ended]
        assert whole[ended] == first[ended] + second[middle]
        assert whole[2 + ended] == second[2 + middle]


@pytest.mark.parity
def test_marks_are_those_of_spacy() -> None:
    assert len(SPACY_MARKS) == 128
    assert SPACY_MARKS < TERMINAL_PUNCTUATION
    from spacy.pipeline.sentencizer import Sentencizer

    assert set(Sentencizer.default_punct_chars) == SPACY_MARKS


@pytest.mark.parity
@given(st.lists(st.sampled_from(["Hello", "e.g.", ".", "!", "\u2019", ")", " ", "  ", "\t", "$5", "x:)", "\u3002"])))
def test_lines_are_counted_as_spacy_does(pieces: list[str]) -> None:
    import spacy

    from operators.token_sentences import line_sentences

    english = _ENGLISH.setdefault("en", spacy.blank("en"))
    if "sentencizer" not in english.pipe_names:
        english.add_pipe("sentencizer")
    line = "".join(pieces)
    assert line_sentences(line) == max(1, len(list(english(line).sents)))


_ENGLISH: dict[str, Any] = {}
