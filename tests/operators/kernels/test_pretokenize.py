from collections import Counter
from functools import cache
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from operators.engine_spans import engine_ends
from operators.kernels.pretokenize import count, is_scanned, spans
from operators.pretokenizers import PATTERNS, Cutting, Digits, Pretokenizer, cutting
from operators.text_buffers import joined_bytes
from tests.operators.kernels.test_bpe import library_sources

PUBLISHED = list(PATTERNS)
# Everything that the patterns treat apart, in ASCII and beyond: every class, the long s and the Kelvin sign that are an
# s and a k in another case, ligatures, what only looks like white space, Chinese, kana and what lies among them,
# combining marks, unassigned and private code points, other planes.
NASTY = (
    "'sStTmMdDlLrReEvVkK\u017f\u212a\ufb06\xdf \n\r\t\x0b\x0c\x1c\x85\xa0\u1680\u180e\u200b\u2028\u3000\ufeff"
    "19\u0663\u2167\xbd\u4e00\u9fa5\u9fa6\u3040\u3042\u3099\u309b\u30a0\u30fb\u30fc\xe9\u01c5\u02b0\xaa\u0301\u0903"
    "\u0e33!./_^\\-$+\x00\u0378\ue000\U0001f600\U0001e900\U00010400\U00020000\U000e0100\U0003ffff\U0010ffff"
)
CHARACTERS = st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cs"]))
TEXTS = st.lists(st.text(CHARACTERS, max_size=40), min_size=1)
RUNS = st.lists(
    st.text(st.sampled_from("0123456789\u0663\u2167 a.\n"), max_size=20).map(lambda text: text.replace("a", "12345")),
    min_size=1,
)


@cache
def splitter(patterns: tuple[str, ...]) -> pre_tokenizers.Sequence:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns])


def pieces_by_tokenizers(text: str, patterns: tuple[str, ...]) -> list[str]:
    return [piece for piece, _ in splitter(patterns).pre_tokenize_str(text)]


def count_by_tokenizers(texts: list[str], pretokenizer: Pretokenizer) -> dict[bytes, int]:
    pieces = (piece for text in texts for piece in pieces_by_tokenizers(text, PATTERNS[pretokenizer]))
    return Counter(piece.encode() for piece in pieces)


def cut(text: str, ends: list[int]) -> list[str]:
    return [text.encode()[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


def pieces(texts: list[str], how: Pretokenizer | Cutting) -> list[list[str]]:
    found = spans(pa.array(texts, pa.large_string()), how)
    found.validate(full=True)
    return [cut(text, ends) for text, ends in zip(texts, found.to_pylist(), strict=True)]


def counted(
    texts: list[str],
    pretokenizer: Pretokenizer | Cutting,
    weights: list[int] | None = None,
    cuts: list[int] | None = None,
) -> dict[bytes, int]:
    given_weights = np.array([1] * len(texts) if weights is None else weights, np.int64)
    given_cuts = None if cuts is None else np.array(cuts, np.int64)
    words, totals = count(pa.array(texts, pa.large_string()), given_weights, pretokenizer, given_cuts)
    words.validate(full=True)
    assert len(set(words.to_pylist())) == len(words)
    return dict(zip(words.to_pylist(), totals.tolist(), strict=True))


@pytest.mark.parametrize("digits", get_args(Digits))
@pytest.mark.parametrize("pretokenizer", PUBLISHED)
@given(texts=st.one_of(TEXTS, RUNS))
def test_the_scanner_equals_the_exported_pattern_in_tokenizers(
    pretokenizer: Pretokenizer, digits: Digits, texts: list[str]
) -> None:
    how = cutting(pretokenizer, digits)
    assert is_scanned(how)
    assert pieces(texts, how) == [pieces_by_tokenizers(text, how.patterns) for text in texts]


@pytest.mark.parametrize("pretokenizer", PUBLISHED)
@given(texts=TEXTS, weight=st.integers(1, 3))
def test_counting_counts_what_spans_shows(pretokenizer: Pretokenizer, texts: list[str], weight: int) -> None:
    shown = Counter(piece.encode() for text in pieces(texts, pretokenizer) for piece in text)
    expected = {piece: total * weight for piece, total in shown.items()}
    assert counted(texts, pretokenizer, [weight] * len(texts)) == expected


@pytest.mark.parametrize("pretokenizer", PUBLISHED)
def test_every_short_text_of_the_characters_that_matter_is_cut_alike(pretokenizer: Pretokenizer) -> None:
    characters = "'sl\u017f \n\r1aA!/\xa0\u30fb"
    texts = [a + b + c + d for a in characters for b in characters for c in characters for d in ("", *characters)][::17]
    assert pieces(texts, pretokenizer) == [pieces_by_tokenizers(text, PATTERNS[pretokenizer]) for text in texts]


@pytest.mark.parametrize("pretokenizer", PUBLISHED)
def test_real_sources_are_cut_alike(pretokenizer: Pretokenizer) -> None:
    texts = pa.array(library_sources(60_000), pa.large_string())
    ends = spans(texts, pretokenizer)
    _, offsets = joined_bytes(texts)
    within = engine_ends(texts, PATTERNS[pretokenizer]) - np.repeat(offsets[:-1], ends.value_lengths().to_numpy())
    assert np.array_equal(ends.flatten().to_numpy(), within)


@pytest.mark.slow
@pytest.mark.parametrize("pretokenizer", PUBLISHED)
def test_ten_megabytes_of_sources_are_counted_alike(pretokenizer: Pretokenizer) -> None:
    texts = library_sources(10_000_000)
    assert counted(texts, pretokenizer) == count_by_tokenizers(texts, pretokenizer)


@given(texts=TEXTS, seams=st.sets(st.integers(1, 200)))
def test_cuts_cut_pretokens_further(texts: list[str], seams: set[int]) -> None:
    whole = "".join(texts)
    places = np.cumsum([0] + [len(character.encode()) for character in whole]).tolist()
    chosen = sorted({places[seam] for seam in seams if seam < len(places) - 1})
    found = spans(pa.array([whole]), "o200k", np.array(chosen, np.int64)).to_pylist()[0]
    assert found == sorted({*spans(pa.array([whole]), "o200k").to_pylist()[0], *chosen})
    assert counted([whole], "o200k", cuts=chosen) == Counter(piece.encode() for piece in cut(whole, found))


@pytest.mark.parametrize("length", range(1, 40))
def test_pretokens_of_every_length_are_told_apart(length: int) -> None:
    alike = [
        "x" * length,
        "x" * (length - 1) + "y",
        "y" + "x" * (length - 1),
        "x" * length + "\x00",
        "x" * (length + 1),
    ]
    texts = [text for text in alike for _ in range(2)]
    expected = Counter(text.encode() for text in texts if text)
    assert counted(texts, cutting("custom", pattern=r"(?:.|\n)+")) == expected


def test_groups_of_digits_from_the_right_are_those_of_the_superbpe_paper() -> None:
    paper = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex(r"(?=(\d{3})+(?!\d))"), "isolated")]
    )
    for digits in ("1234567890"[:length] for length in range(1, 11)):
        assert pieces([digits], cutting("superbpe", "right_to_left")) == [
            [p for p, _ in paper.pre_tokenize_str(digits)]
        ]


def test_a_long_run_of_digits_costs_no_more_than_its_length() -> None:
    digits = "7" * 2_000_000
    assert counted([digits], cutting("cl100k", "right_to_left")) == {b"77": 1, b"777": 666_666}


def test_a_document_counts_as_often_as_its_weight() -> None:
    assert counted(["a b", "a", "c"], "gpt2", [2, 3, 0]) == {b"a": 5, b" b": 2}
    assert counted(["a b", "a", "c"], "gpt2", [2, 3, 0], cuts=[]) == {b"a": 5, b" b": 2}


def test_counts_beyond_32_bits_are_right() -> None:
    assert counted(["a a", "a"], "gpt2", [2**40, 2**33]) == {b"a": 2**40 + 2**33, b" a": 2**40}


def test_documents_are_never_joined() -> None:
    assert counted(["ab", "cd", "", "  "], "gpt2") == {b"ab": 1, b"cd": 1, b"  ": 1}


def test_a_slice_of_documents_is_the_documents_in_it() -> None:
    texts = pa.array(["no", "a b", "a", "no"], pa.large_string()).slice(1, 2)
    words, totals = count(texts, np.ones(2, np.int64), "gpt2")
    assert dict(zip(words.to_pylist(), totals.tolist(), strict=True)) == {b"a": 2, b" b": 1}
    assert spans(texts, "gpt2").to_pylist() == [[1, 3], [1]]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_gives_no_pretoken(texts: list[str]) -> None:
    assert counted(texts, "cl100k") == {}
    assert pieces(texts, "cl100k") == [[] for _ in texts]


def test_more_pretokens_than_the_first_table_holds_are_kept() -> None:
    numbers = [*map(str, range(20_000)), *(f"{number:040}" for number in range(3_000))]
    text = " " + " ".join(numbers).translate(str.maketrans("0123456789", "abcdefghij"))
    expected = Counter(piece.encode() for piece in pieces([text], "gpt2")[0])
    assert len(expected) == 23_000
    assert counted([text, text], "gpt2") == {piece: 2 * total for piece, total in expected.items()}


def test_a_null_text_is_refused() -> None:
    with pytest.raises(ValueError, match="1 null"):
        count(pa.array([None], pa.large_string()), np.ones(1, np.int64), "gpt2")
