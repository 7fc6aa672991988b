import random
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.shingles import Shingling, Unit, shingle_sets, shingles, slow_shingle_set, units

# Blanks, capitals of 1 to 4 bytes, code points of every width in and out of the scripts without spaces, NUL.
LETTERS = (
    "ab CZ\x00\x1c\n\t\u00e9\u00c9\u0130\u023a\u03a3\u00a0\u2003\u3000\u4e2d\u3001\u30a2\u0e01\u0e31\uff01"
    "\U0001f600\U00010400\U00020000"
)
TEXTS = st.lists(st.text(st.sampled_from(LETTERS), max_size=60) | st.text(max_size=40), max_size=6)
WORDS = [7332273053470123724, 16413263936413000237]
MIXED = [192649545351803156]
UNITS = st.sampled_from(["word", "character", "auto"])


@given(TEXTS, st.integers(1, 6), UNITS)
def test_the_kernel_equals_the_slow_reference(texts: list[str], ngram: int, unit: Unit) -> None:
    how = Shingling(unit, ngram)
    hashes, offsets = shingle_sets(pa.array(texts, pa.large_string()), how)
    found = [hashes[low:high].tolist() for low, high in pairwise(offsets)]
    assert found == [slow_shingle_set(text, how) for text in texts]


@pytest.mark.parametrize(("words", "vocabulary"), [(40, 40), (3000, 10**6), (3000, 3), (30_000, 50), (60_000, 10**6)])
def test_sets_of_long_and_of_repeating_texts_are_sorted_and_distinct(words: int, vocabulary: int) -> None:
    draw = random.Random(words)
    text = " ".join(f"w{draw.randrange(vocabulary)}" for _ in range(words))
    hashes, _ = shingle_sets(pa.array([text, text], pa.large_string()), Shingling("word", 1))
    expected = slow_shingle_set(text, Shingling("word", 1))
    assert hashes.tolist() == expected * 2


def test_text_with_spaces_has_the_same_shingles_by_word_and_auto() -> None:
    texts = pa.array(["The quick brown fox jumps over\nthe lazy dog", "\u0416\u0438\u043b \u0431\u044b\u043b a b c d"])
    by_word, by_auto = (shingle_sets(texts.cast(pa.large_string()), Shingling(unit, 5)) for unit in ("word", "auto"))
    assert by_word.hashes.tolist() == by_auto.hashes.tolist() != []


def test_auto_takes_more_characters_where_no_spaces_are_written() -> None:
    how = Shingling("auto", 2)
    assert shingles("\u4e2d\u6587\u5b57 \u5b57\u4e2d", how) == [
        ("\u4e2d", "\u6587", "\u5b57", "\u5b57"),
        ("\u6587", "\u5b57", "\u5b57", "\u4e2d"),
    ]
    assert units("\u7528Python\u7f16", how) == ["\u7528", "python", "\u7f16"]
    assert shingles("\u7528Python\u7f16", how) == [("\u7528", "python", "\u7f16")]
    assert [len(shingle) for shingle in shingles("\u0e01" * 14, how)] == [12, 12, 12]


def test_a_few_more_characters_do_not_change_all_shingles_of_a_text() -> None:
    half = " ".join(f"word{number}" for number in range(40)) + "".join(map(chr, range(0x4E00, 0x4E50)))
    one, two = (set(slow_shingle_set(text, Shingling("auto", 5))) for text in (half, half + "\u5b57" * 20))
    assert len(one & two) == len(one)


@pytest.mark.parametrize(
    ("unit", "text"), [("word", "a b"), ("character", "ab"), ("auto", "a b"), ("auto", "\u4e2d" * 5), ("word", " ")]
)
def test_a_text_shorter_than_a_shingle_has_none(unit: Unit, text: str) -> None:
    assert shingle_sets(pa.array([text], pa.large_string()), Shingling(unit, 3)).offsets.tolist() == [0, 0]


def test_the_hash_of_a_shingle_never_changes() -> None:
    assert slow_shingle_set("To be or not\tto BE", Shingling("word", 5)) == WORDS
    assert slow_shingle_set("\u4e2d\u6587x counterrevolutionary", Shingling("auto", 3)) == MIXED


def test_a_shingling_without_units_is_refused() -> None:
    with pytest.raises(ValueError, match="ngram is 0"):
        Shingling("word", 0)
    with pytest.raises(ValueError, match="expected unit 'word'"):
        Shingling("auto", 5, "datatrove-0.10")
