import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.word_classes import SPACE, code_point_classes
from operators.words import PUNCTUATION, PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_words, split_words_slowly

# Characters that rules name, and one or more of every class, below and above the first plane.
TRICKY = (
    "aZb9 \n'\u2019._@,:/-#$\u00b7sStTnNdDmMlLrReEvV\u0301\u200d\u200c\ufe0f\u00ad\u200b\u05d0\u4e00\u30ab\u30fc\u0e01"
)
ASTRAL = "\U0001f600\U0001f3fd\U0001d7d8\U00010400\U00010428\U00020000\U000e0067\U0001d165\U000e0001"
TEXTS = st.text(st.sampled_from(TRICKY + ASTRAL)) | st.text(st.sampled_from(TRICKY)) | st.text()


@given(TEXTS)
def test_the_patterns_find_what_the_state_machine_defines(text: str) -> None:
    assert split_words(text) == split_words_slowly(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_text_is_split_as_any_other(text: str) -> None:
    assert split_words(text) == split_words_slowly(text)
    assert split_words(text) == split_words(text + " \u00e9")[:-1]


@given(TEXTS)
def test_every_character_but_space_is_in_exactly_one_word(text: str) -> None:
    classes = code_point_classes()
    assert "".join(split_words(text)) == "".join(c for c in text if classes[ord(c)] != SPACE)
    assert all(split_words(text))


@given(TEXTS, TEXTS)
def test_a_space_between_two_texts_separates_their_words(left: str, right: str) -> None:
    assert split_words(f"{left} {right}") == split_words(left) + split_words(right)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\t \u00a0\u3000\x00\ufeff", ""),
        ("Don't stop-it's $5.00 (really)!", "Do|n't|stop|-|it|'s|$|5.00|(|really|)|!"),
        ("24-hour 10:30 12/05/2024 1,000.50 1990s 3D v1.2", "24|-|hour|10:30|12/05/2024|1,000.50|1990s|3D|v1.2"),
        ("world.No space. file.txt snake_case", "world|.|No|space|.|file.txt|snake_case"),
        ("O'Reilly l'homme rock'n'roll CAN\u2019T we'll 'tis", "O'Reilly|l'homme|rock'n'roll|CA|N\u2019T|we|'ll|'|tis"),
        ("wait... ---- !! ## a--b", "wait|...|----|!|!|#|#|a|--|b"),
        ("\u4f60\u597d\uff0cworld\u7248", "\u4f60|\u597d|\uff0c|world|\u7248"),
        ("\u30e9\u30fc\u30e1\u30f3 \u0e44\u0e17\u0e22", "\u30e9|\u30fc|\u30e1|\u30f3|\u0e44|\u0e17|\u0e22"),
        ("\ud55c\uad6d\uc5b4 \u0440\u0435\u043a\u0430", "\ud55c\uad6d\uc5b4|\u0440\u0435\u043a\u0430"),
        ("\u0e01\u0e35\u0e48", "\u0e01\u0e35\u0e48"),
        ("\u0905\u0928\u094d\u0928 e\u0301t\u00e9", "\u0905\u0928\u094d\u0928|e\u0301t\u00e9"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u060c \u200fok", "\u0645\u06cc\u200c\u062e\u0648\u0627|\u060c|ok"),
        ("\u26a0\ufe0f\U0001f44b\U0001f3fd", "\u26a0\ufe0f|\U0001f44b\U0001f3fd"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d|\U0001f4bb"),
        ("col\u00b7lab it's. x's", "col\u00b7lab|it|'s|.|x|'s"),
    ],
)  # fmt: skip
def test_stated_rules_give_these_words(text: str, expected: str) -> None:
    assert "|".join(split_words(text)) == expected


@pytest.mark.parametrize(
    ("text", "spacy", "ours"),
    [
        ("10km", ["10", "km"], ["10km"]),
        ("e.g. this", ["e.g.", "this"], ["e.g", ".", "this"]),
        ("AT&T", ["AT&T"], ["AT", "&", "T"]),
        ("or https://a.b/c?d=1, ok", ["or", "https://a.b", "/", "c?d=1", ",", "ok"],
         ["or", "https", ":", "/", "/", "a.b", "/", "c", "?", "d", "=", "1", ",", "ok"]),
    ],
)  # fmt: skip
def test_these_words_are_not_those_of_spacy_3_8_18(text: str, spacy: list[str], ours: list[str]) -> None:
    assert split_words(text) == ours != spacy


def test_the_punctuation_sets_have_the_reference_s_sizes() -> None:
    assert (len(PUNCTUATION), len(TERMINAL_PUNCTUATION), len(PUNCTUATION_SET)) == (129, 159, 281)
    controls = {c for c in PUNCTUATION if unicodedata.category(c) == "Cc"}
    assert len(controls) == 63
    assert not controls & {"\t", "\n"}
    assert {"\uff11", "\u2019", "#"} < PUNCTUATION
    assert not {"\u2024", "\u2cf9", "\ufe12"} & TERMINAL_PUNCTUATION


def test_no_punctuation_is_a_letter() -> None:
    assert not any(map(str.isalpha, PUNCTUATION_SET))
