from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.code_point_tables import table_digest
from operators.kernels.ngram_features import Hash, count_documents, count_ngrams, sketches, sum_ngrams
from operators.kernels.ngram_features_reference import buckets_of, sketch, split_tokens
from operators.text_buffers import joined_bytes
from operators.wordpunct import DIGEST, wordpunct_table

# Sigmas, what is cased or ignorable around them, U+0130, lower case of another length, and all sizes of UTF-8.
TRICKY = (
    "aZ_9 .-'\n\x1c\u00a0\u03a3\u03c2\u03c3\u02b0\u0301\u00ad\u0130I\u0307\u023a\u1e9e\u2126\u4e2d\u0660\u00b2\u2160"
)
ASTRAL = "\U00010400\U0001d7d8\U0001f600\U00020000\U0001d165"
TEXTS = st.text(st.sampled_from(TRICKY + ASTRAL)) | st.text(st.characters(max_codepoint=0x2FFF, codec="utf-8"))
HASHES: tuple[Hash, ...] = ("fast", "sha256")


@pytest.mark.parametrize("hashing", HASHES)
@given(st.lists(TEXTS, max_size=4), st.integers(1, 4), st.sampled_from([1, 7, 10_000, 1 << 20]))
def test_counts_and_sums_are_those_of_the_definition(
    hashing: Hash, texts: list[str], ngrams: int, buckets: int
) -> None:
    data, offsets = joined_bytes(pa.array(texts, pa.large_string()))
    found = [buckets_of(text, ngrams, buckets, hashing) for text in texts]
    counted = count_ngrams(data, offsets, ngrams, buckets, hashing)
    assert {n: c for n, c in enumerate(counted.tolist()) if c} == Counter(b for some in found for b in some)
    ratio = np.sin(np.arange(buckets, dtype=np.float64))
    features = sum_ngrams(data, offsets, ngrams, ratio, hashing)
    assert features.tokens.tolist() == [len(split_tokens(text)) for text in texts]
    expected = []
    for some in found:
        total = 0.0
        for bucket in some:
            total += ratio[bucket]
        expected.append(total)
    assert features.sums.tolist() == expected


@given(st.lists(TEXTS, max_size=4), st.integers(1, 3), st.sampled_from([1, 7, 500]), st.integers(1, 9))
def test_sketches_and_documents_are_those_of_the_definition(
    texts: list[str], ngrams: int, buckets: int, dim: int
) -> None:
    data, offsets = joined_bytes(pa.array(texts, pa.large_string()))
    found = [set(buckets_of(text, ngrams, buckets, "fast")) for text in texts]
    counted = count_documents(data, offsets, ngrams, buckets)
    assert {n: c for n, c in enumerate(counted.tolist()) if c} == Counter(b for some in found for b in some)
    place, weight = np.arange(buckets) * 5 % dim, np.sin(np.arange(buckets, dtype=np.float64))
    damped = np.array([1.0, 1.5, 1.75])
    slow = [sketch(text, ngrams, place.tolist(), weight.tolist(), damped.tolist(), dim) for text in texts]
    vectors = sketches(data, offsets, ngrams, place, weight, damped, dim)
    assert np.allclose(vectors, np.array(slow).reshape(-1, dim), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256_pads_a_token_of_any_length(size: int) -> None:
    data, offsets = joined_bytes(pa.array(["x" * size], pa.large_string()))
    counted = count_ngrams(data, offsets, 1, 99_991, "sha256")
    assert np.flatnonzero(counted).tolist() == buckets_of("x" * size, 1, 99_991, "sha256")


def test_the_package_finds_these_buckets_too() -> None:
    data, offsets = joined_bytes(pa.array(["Alice went to the store"], pa.large_string()))
    counted = count_ngrams(data, offsets, 2, 10_000, "sha256")
    assert counted.sum() == 9
    assert (counted[6720], counted[114]) == (1, 1)


def test_the_table_is_the_one_that_was_pinned() -> None:
    assert table_digest(wordpunct_table()) == DIGEST
