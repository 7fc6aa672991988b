from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from operators.kernels.pretokenize import LETTER, NUMBER, SPACE, character_classes, count
from operators.pretokenizers import PATTERNS, Pretokenizer
from tests.operators.kernels.test_bpe import library_sources

BOTH: list[Pretokenizer] = ["gpt2", "cl100k"]
# Everything that the patterns treat apart, in ASCII and beyond: the long s is an s after an apostrophe.
NASTY = (
    "'sStTmMdDlLrReEvV\u017f\u212a \n\r\t\x0b\x1c\x85\xa0\u1680\u180e\u200b\u2028\u3000"
    "1\u0663\u2167\xbd\xe9\u4e2d\u01c5\u0301!.\x00\U0001f600\U0001e900\U00020000\ufeff"
)
TEXTS = st.lists(st.text(st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cs"])), max_size=40))


@cache
def splitter(pretokenizer: Pretokenizer) -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(PATTERNS[pretokenizer]), "isolated")


def count_by_tokenizers(texts: list[str], pretokenizer: Pretokenizer) -> dict[bytes, int]:
    pieces = (piece for text in texts for piece, _ in splitter(pretokenizer).pre_tokenize_str(text))
    return Counter(piece.encode() for piece in pieces)


def counted(texts: list[str], pretokenizer: Pretokenizer, weights: list[int] | None = None) -> dict[bytes, int]:
    given_weights = np.array([1] * len(texts) if weights is None else weights, np.int64)
    words, totals = count(pa.array(texts, pa.large_string()), given_weights, pretokenizer)
    words.validate(full=True)
    assert len(set(words.to_pylist())) == len(words)
    return dict(zip(words.to_pylist(), totals.tolist(), strict=True))


@pytest.mark.parametrize("pretokenizer", BOTH)
@given(texts=TEXTS)
def test_the_scanner_equals_the_pattern_in_tokenizers(pretokenizer: Pretokenizer, texts: list[str]) -> None:
    assert counted(texts, pretokenizer) == count_by_tokenizers(texts, pretokenizer)


@pytest.mark.parametrize("pretokenizer", BOTH)
def test_every_short_text_of_the_characters_that_matter_is_cut_alike(pretokenizer: Pretokenizer) -> None:
    characters = "'sl\u017f \n\t1a!\xa0"
    texts = [a + b + c + d for a in characters for b in characters for c in characters for d in ("", *characters)]
    for text in texts[::7]:
        assert counted([text], pretokenizer) == count_by_tokenizers([text], pretokenizer), text


@pytest.mark.parametrize("pretokenizer", BOTH)
def test_real_sources_are_counted_alike(pretokenizer: Pretokenizer) -> None:
    texts = library_sources(400_000)
    assert counted(texts, pretokenizer) == count_by_tokenizers(texts, pretokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("pretokenizer", BOTH)
def test_ten_megabytes_of_sources_are_counted_alike(pretokenizer: Pretokenizer) -> None:
    texts = library_sources(10_000_000)
    assert counted(texts, pretokenizer) == count_by_tokenizers(texts, pretokenizer)


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "name"), [(r"\p{L}", LETTER), (r"\p{N}", NUMBER), (r"\s", SPACE)])
def test_classes_are_right_for_every_code_point(pattern: str, name: int) -> None:
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000 and point not in (10, 13)]
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    members = [piece for piece, _ in split.pre_tokenize_str("".join(map(chr, points)))]
    assert [ord(c) for piece in members for c in piece] == [p for p in points if character_classes()[p] == name]


def test_a_document_counts_as_often_as_its_weight() -> None:
    assert counted(["a b", "a", "c"], "gpt2", [2, 3, 0]) == {b"a": 5, b" b": 2}


def test_documents_are_never_joined() -> None:
    assert counted(["ab", "cd", "", "  "], "gpt2") == {b"ab": 1, b"cd": 1, b"  ": 1}


def test_a_slice_of_documents_is_the_documents_in_it() -> None:
    texts = pa.array(["no", "a b", "a", "no"], pa.large_string()).slice(1, 2)
    words, totals = count(texts, np.ones(2, np.int64), "gpt2")
    assert dict(zip(words.to_pylist(), totals.tolist(), strict=True)) == {b"a": 2, b" b": 1}


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_gives_no_pretoken(texts: list[str]) -> None:
    assert counted(texts, "cl100k") == {}


def test_more_pretokens_than_the_first_table_holds_are_kept() -> None:
    words = [f" w{number:x}" for number in range(20_000)]
    assert counted(["".join(words), "".join(words)], "gpt2") == count_by_tokenizers(["".join(words)] * 2, "gpt2")


def test_a_null_text_is_refused() -> None:
    with pytest.raises(ValueError, match="1 null"):
        count(pa.array([None], pa.large_string()), np.ones(1, np.int64), "gpt2")
