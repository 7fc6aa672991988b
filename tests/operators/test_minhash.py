"""The schemes of signatures: equal to their references, to the packages they come from, and to the theory."""

import hashlib
import random

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from operators.banding import meeting_probability
from operators.minhash import Scheme, band_keys, datatrove_factors, sign, slow_band_keys, slow_datatrove, slow_sign
from operators.reference_words import datatrove_normal
from operators.shingles import Shingling, Unit, shingles, written

TEXTS = st.lists(st.text(st.sampled_from("ab C\n\u00e9\u4e2d\U0001f600\u0130\u00a0\u0e01"), max_size=60), max_size=6)
SCHEMES: tuple[Scheme, ...] = ("fast", "affine32", "datatrove")

# From the reference's own stages, with spaCy's words (parity sheet of the reference, release 0.10.1).
GOLDEN = [4161535293, 3324445856, 4176300567, 4172078678]
NORMAL = "cafe prices rose 0 on 0 0 0 that s what dr smith said twice"
BUCKET = [
    67281654234286721,
    537791191061811555,
    82808762474605032,
    44179717903109990,
    518146373904527789,
    459449259434837307,
    295029022219667748,
    332330159177199298,
]


def large(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@given(TEXTS, st.integers(1, 6), st.sampled_from(["word", "character", "auto"]), st.sampled_from(SCHEMES))
def test_the_kernel_equals_the_slow_reference(texts: list[str], ngram: int, unit: Unit, scheme: Scheme) -> None:
    how = Shingling(unit, ngram)
    values, signed = sign(large(*texts), how, scheme, 16)
    for text, row, has in zip(texts, values, signed, strict=True):
        expected = slow_sign(text, how, scheme, 16)
        assert bool(has) == (expected is not None)
        assert expected is None or row.tolist() == expected


@pytest.mark.parametrize("unit", ["word", "character", "auto"])
@pytest.mark.parametrize("size", [1, 112, 128])
def test_affine32_is_datasketchs(size: int, unit: Unit) -> None:
    draw = random.Random(size)
    letters = "abcdefghij \n\u00c9\u4e2d\u6587\u30a2"
    texts = ["".join(draw.choices(letters, k=draw.randrange(400))) for _ in range(40)]
    how = Shingling(unit, 3)
    values, signed = sign(large(*texts), how, "affine32", size)
    for text, row in zip(texts, values, strict=True):
        theirs = MinHash(num_perm=size, scheme="affine32")
        theirs.update_batch([written(shingle, how) for shingle in shingles(text, how)])
        assert not shingles(text, how) or row.tolist() == theirs.hashvalues.tolist()
    assert signed.sum() > 30


def test_datatroves_factors_and_values_are_the_published_ones() -> None:
    factors, increments = datatrove_factors(112)
    assert factors[:2].tolist() == [775169054918279404, 1758426461858698313]
    assert increments[:2].tolist() == [1062448801025099917, 1324811268927594100]
    values, _ = sign(large(NORMAL), Shingling("word", 5), "datatrove", 112)
    assert values.dtype == np.uint64
    assert values[0, :8].tolist() == BUCKET == slow_datatrove(contents_of(NORMAL), 112)[:8]


def contents_of(text: str) -> set[bytes]:
    how = Shingling("word", 5)
    return {written(shingle, how) for shingle in shingles(text, how)}


def test_datatroves_normal_form_is_the_published_one() -> None:
    text = "Caf\u00e9 prices rose 3.5% on 12/05/2024 \u2014 that's what Dr. Smith said, twice!"
    assert datatrove_normal(text) == NORMAL


def test_the_kernel_hashes_as_sha1_at_every_length() -> None:
    from operators.kernels.minhash import sha1_32

    content = random.Random(3).randbytes(200)
    data, room = np.frombuffer(content, np.uint8), np.empty(80, np.uint32)
    found = [int(sha1_32(data, 1, high, room)) for high in range(1, 200)]
    assert found == [int.from_bytes(hashlib.sha1(content[1:high]).digest()[:4], "little") for high in range(1, 200)]


def test_the_kernel_hashes_as_xxh64_at_every_length() -> None:
    from operators.kernels.minhash import xxh64

    content = random.Random(2).randbytes(150)
    data = np.frombuffer(content, np.uint8)
    assert [int(xxh64(data, 1, high)) for high in range(1, 150)] == [
        xxhash.xxh64_intdigest(content[1:high]) for high in range(1, 150)
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_union_has_the_smaller_values_whatever_the_order(scheme: Scheme) -> None:
    words = [f"w{number}" for number in range(300)]
    one, other = " ".join(words[:40]), " ".join(words[30:])
    both = " ".join(random.Random(1).sample(words, 300))
    values, _ = sign(large(one, other, both), Shingling("word", 1), scheme, 64)
    assert np.array_equal(np.minimum(values[0], values[1]), values[2])


def alike(similarity: float, union: int, count: int) -> tuple[pa.LargeStringArray, float]:
    """Pairs of texts, one behind the other, whose words are consecutive numbers; and their exact similarity."""
    shared = round(similarity * union)
    cut = shared + (union - shared) // 2
    texts = []
    for start in range(10**6, 10**6 + count * union, union):
        words = list(map(str, range(start, start + union)))
        texts += [" ".join(words[:cut]), " ".join(words[:shared] + words[cut:])]
    return large(*texts), shared / union


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("union", [10, 100, 1000, 5000])
@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 0.95])
def test_estimates_are_unbiased_and_spread_no_more_than_theory_says(
    similarity: float, union: int, scheme: Scheme
) -> None:
    count, size = (400 if union < 5000 else 60), 112
    texts, exact = alike(similarity, union, count)
    values, _ = sign(texts, Shingling("word", 1), scheme, size)
    errors = (values[0::2] == values[1::2]).mean(axis=1) - exact
    deviation = (exact * (1 - exact) / size) ** 0.5
    assert abs(errors.mean()) <= 4 * deviation / count**0.5
    # The spread of a spread that was estimated from so many pairs is about 1 / sqrt(2 count).
    assert errors.std() <= deviation * (1 + 4 / (2 * count) ** 0.5)


def test_fast_spreads_less_where_there_are_few_shingles() -> None:
    texts, exact = alike(0.5, 100, 1000)
    values, _ = sign(texts, Shingling("word", 1), "fast", 112)
    errors = (values[0::2] == values[1::2]).mean(axis=1) - exact
    assert errors.var() < 0.65 * exact * (1 - exact) / 112


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pairs_share_a_band_as_often_as_the_formula_says(scheme: Scheme) -> None:
    for similarity in (0.5, 0.7, 0.8, 0.9):
        count = 1000
        texts, exact = alike(similarity, 200, count)
        keys = band_keys(sign(texts, Shingling("word", 1), scheme, 112).values, 14, 8)
        met = (keys[0::2] == keys[1::2]).any(axis=1).mean()
        expected = meeting_probability(exact, 14, 8)
        assert abs(met - expected) < 4 * (expected * (1 - expected) / count) ** 0.5 + 0.02


@given(st.integers(0, 4), st.integers(1, 5), st.integers(1, 4))
def test_band_keys_equal_their_slow_reference(texts: int, bands: int, rows: int) -> None:
    values = np.random.default_rng(bands).integers(0, 1 << 63, (texts, bands * rows + 1)).astype(np.uint64)
    short = values.astype(np.uint32)
    assert np.array_equal(band_keys(values, bands, rows), slow_band_keys(values, bands, rows))
    assert np.array_equal(band_keys(short, bands, rows), slow_band_keys(short, bands, rows))


def test_texts_in_slices_and_chunks_are_signed_alike() -> None:
    texts = ["a b c d e f", "\u4e2d\u6587", "", "g h i j k l m"]
    whole = sign(large(*texts), Shingling("auto", 2), "fast", 16)
    parts = sign(
        pa.chunked_array([large("x", *texts[:2]).slice(1), large(*texts[2:])]), Shingling("auto", 2), "fast", 16
    )
    assert np.array_equal(whole.values, parts.values)
    assert whole.signed.tolist() == parts.signed.tolist() == [True, False, False, True]


def test_the_signatures_of_fast_never_change() -> None:
    values, _ = sign(large("The quick  brown fox jumps over the lazy DOG\n"), Shingling("word", 5), "fast", 112)
    assert values[0, :4].tolist() == GOLDEN


def test_a_signature_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="the size of a signature is 0"):
        sign(large("a b c"), Shingling("word", 1), "fast", 0)


@pytest.mark.parity
def test_the_words_of_the_reference_are_not_cut_or_lowered_again() -> None:
    how = Shingling("word", 3, "datatrove-0.10")
    texts = ["Don't stop-it's $5.00 (really)!", "Caf\u00e9 1,000 \u212b \u1e9e x", ""]
    for scheme in SCHEMES:
        values, signed = sign(large(*texts), how, scheme, 16)
        expected = [slow_sign(text, how, scheme, 16) for text in texts]
        assert signed.tolist() == [found is not None for found in expected]
        assert all(found is None or row.tolist() == found for row, found in zip(values, expected, strict=True))


def test_a_band_key_depends_on_the_band_and_on_the_order_of_its_values() -> None:
    values = np.array([[1, 2, 1, 2], [2, 1, 1, 2]], np.uint32)
    keys = band_keys(values, 2, 2)
    assert len({*keys[:, 0].tolist(), keys[0, 1]}) == 3
    assert keys[0, 1] == keys[1, 1]
