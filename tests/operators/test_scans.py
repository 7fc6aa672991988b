import re
import sys
from dataclasses import fields
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import scans
from operators.kernels.words_reference import slow_scan
from operators.scans import Scan, scan_texts
from operators.text_buffers import column_bytes
from operators.words import split_words

# Characters that rules name, one or more of every class below and above the first plane, and every kind of space.
LETTERS = (
    "aZb9 \n'\u2019._@,:/-#$\u00b7sStTnNdDmMlLrReEvV\u0301\u200d\u200c\ufe0f\u00ad\u200b\u05d0\u4e00\u30ab\u0e01"
    "\x00\x7f\x1c\x85\u00a0\u2028\u3000\ufeff\u01c5\u2160\u3007\ue000"
    "\U0001f600\U0001f3fd\U0001d7d8\U00010400\U00010428\U00020000\U000e0067\U0001d165\U000e0001"
)
ENDINGS = st.sampled_from(["'s", "'M", "\u2019d", "'re", "\u2019VE", "'ll", "n't", "N\u2019T", "n''t", "'t", "x'le"])
TEXT = st.text(st.sampled_from(LETTERS)) | st.text() | st.lists(ENDINGS | st.sampled_from(["a", " "])).map("".join)
TEXTS = st.lists(TEXT, max_size=6)


def column(texts: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts[:2], pa.large_string()), pa.array(texts[2:], pa.large_string())])


def assert_equal(found: Scan, expected: Scan) -> None:
    for field in fields(Scan):
        one, other = (getattr(scan, field.name) for scan in (found, expected))
        assert one.dtype == other.dtype, field.name
        assert one.tolist() == other.tolist(), field.name


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "_remembered", ())


def fresh_scan(texts: list[str], words: scans.Words = "standard") -> Scan:
    scans._remembered = ()
    return scan_texts(column(list(texts)), words)


def reference_words() -> ModuleType:
    """Stands in for spaCy, which is not always installed: cuts at every 9, which it leaves out, and joins "b a"."""
    module = ModuleType("operators.reference_words")

    def spacy_words(chunks: list[str]) -> list[list[str]]:
        return [[word for word in chunk.split("9") if word] for chunk in chunks]

    def spacy_edges(chunks: list[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        right = [6 if chunk.endswith("b") else 8 for chunk in chunks]
        return np.array(right, np.uint64), np.array([3 if chunk[0] == "a" else 16 for chunk in chunks], np.uint64)

    def spacy_text_words(text: str) -> list[str]:
        joined = re.sub(r"b\s+a", "ba", text.replace(module.BROKEN, ""))
        return [word for words in spacy_words(joined.split()) for word in words]

    for value in (spacy_words, spacy_edges, spacy_text_words):
        setattr(module, value.__name__, value)
    module.BROKEN = "bZ"  # type: ignore[attr-defined]
    return module


@given(TEXTS)
def test_the_kernels_find_the_words_that_the_splitter_defines(texts: list[str]) -> None:
    assert_equal(fresh_scan(texts), slow_scan(texts))


def test_longer_texts_with_many_words_fill_every_table_more_than_once() -> None:
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 40, 20_000)
    words = [
        "".join(chr(97 + (place * length) % 26) for place in range(length)) + str(n) for n, length in enumerate(lengths)
    ]
    texts = [" ".join(words[:9_000]), "", "x", " ".join(words[::-1]), "it's 1,000 " * 999, "\u4e2d\u6587" * 9_000]
    assert_equal(fresh_scan(texts), slow_scan(texts))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 24, 25, 40])
def test_chunks_that_differ_in_one_byte_are_two_words(length: int) -> None:
    words = ["a" * place + "b" + "a" * (length - place - 1) for place in range(length)]
    texts = [" ".join(words), " ".join(words[::-1]) + " " + "a" * length]
    assert_equal(fresh_scan(texts), slow_scan(texts))
    assert len(fresh_scan(texts).word_chars) == length + 1


@pytest.mark.parametrize("seed", [0, 1])
def test_words_whose_hashes_are_all_equal_are_told_apart_by_their_bytes(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """With these seeds every hash is 0 or nearly so: all that is left is the comparison."""
    monkeypatch.setattr(scans, "hash_seeds", lambda: np.array([0, seed, 0, 0], np.uint64))
    texts = ["".join(map(chr, range(97, 123))) + f"{number:09}" for number in range(60)]
    texts += [" ".join(texts), " ".join(text[::-1] for text in texts)]
    found = scans._scanned(*column_bytes(column(list(texts))), "standard")
    assert_equal(found, slow_scan(texts))


def test_null_texts_and_no_texts_have_no_words() -> None:
    assert scan_texts(column([None, "a", None]), "standard").token_starts.tolist() == [0, 0, 1, 1]
    assert scan_texts(column([]), "standard").token_starts.tolist() == [0]
    assert scan_texts(pa.chunked_array([], pa.large_string()), "standard").tokens.tolist() == []


@given(TEXTS | st.lists(st.text(st.sampled_from("abZ9 \n")), max_size=6))
def test_reference_words_are_cut_chunk_by_chunk_or_of_the_whole_text(texts: list[str]) -> None:
    stand_in = reference_words()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "operators.reference_words", stand_in)
        found = fresh_scan(texts, "datatrove")
    assert [found.words(place) for place in range(len(texts))] == list(map(stand_in.spacy_text_words, texts))
    assert found.num_chars.tolist() == [len(text) for text in texts]


@pytest.mark.parity
@given(TEXTS)
def test_words_of_spacy_are_those_of_the_whole_text(texts: list[str]) -> None:
    from operators.reference_words import spacy_text_words

    texts = [*texts, "at 5 p.m . and IS_ALPHA too", "don't :) . . 10km"]
    found = fresh_scan(texts, "datatrove")
    assert [found.words(place) for place in range(len(texts))] == list(map(spacy_text_words, texts))


@given(TEXTS, st.lists(st.integers(0, 5)), st.sampled_from([0, 10**9]))
def test_a_scan_is_the_same_after_others_as_before_any(texts: list[str], rows: list[int], kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "_KEPT_TOKENS", kept)
        picked = [texts[row] for row in rows if row < len(texts)]
        fresh_scan(["an", "other"])
        scan_texts(column(list(texts)), "standard")
        again = scan_texts(column(list(picked)), "standard")
    for place, text in enumerate(picked):
        assert again.words(place) == split_words(text)
    assert again.num_chars.tolist() == [len(text) for text in picked]
    assert len(scans._remembered) <= 2


def test_rows_of_a_remembered_scan_are_not_scanned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a b", "c", "", "a b"]
    whole = scan_texts(column(list(texts)), "standard")
    monkeypatch.setattr(scans, "_scanned", None)
    assert scan_texts(column(list(texts)), "standard") is whole
    assert scan_texts(column(["c", "a b"]), "standard").word_bytes is whole.word_bytes
    with pytest.raises(TypeError):
        scan_texts(column(["c "]), "standard")


def test_as_many_scans_are_remembered_as_the_header_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("a", "b", "c"):
        scan_texts(column([text]), "standard")
    assert [known.scan.words(0) for known in scans._remembered] == [["c"], ["b"]]
    monkeypatch.setattr(scans, "_KEPT_TOKENS", 2)
    scan_texts(column(["a b c"]), "standard")
    assert len(scans._remembered) == 1


def test_one_long_chunk_and_many_short_texts_are_scanned() -> None:
    texts = ["ab" * 50_000, "\u4e2d" * 50_000, "a'" * 50_000, *["x"] * 50_000]
    assert_equal(fresh_scan(texts), slow_scan(texts))
