import random

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from operators.banding import meeting_probability
from operators.minhash import OldUnit as Unit
from operators.minhash import band_keys, signatures, slow_signature
from operators.minhash import old_shingles as shingles

TEXTS = st.lists(st.text(st.sampled_from("ab C\n\t\u00e9\u4e2d\U0001f600\u0130\u00a0"), max_size=60), max_size=6)
SIZE = 112
GOLDEN_SIGNATURE = [102907980, 563939976, 338134286, 1888943114]


def pair_of_words(jaccard: float, union: int, rng: random.Random) -> tuple[str, str]:
    """Two texts of distinct words whose sets have nearly this Jaccard similarity."""
    words = [f"w{rng.getrandbits(60)}" for _ in range(union)]
    shared = round(union * jaccard)
    cut = shared + (union - shared) // 2
    return " ".join(words[:cut]), " ".join(words[:shared] + words[cut:])


def jaccard(one: str, two: str, ngram: int) -> float:
    left, right = (set(shingles(text, ngram, "word")) for text in (one, two))
    return len(left & right) / len(left | right)


@given(TEXTS, st.integers(1, 6), st.sampled_from(["word", "character"]))
def test_the_kernel_equals_the_slow_reference(texts: list[str], ngram: int, unit: Unit) -> None:
    values, signed = signatures(texts, ngram, unit, 16)
    for text, row, has in zip(texts, values, signed, strict=True):
        expected = slow_signature(text, ngram, unit, 16)
        assert bool(has) == (expected is not None)
        assert expected is None or row.tolist() == expected.tolist()


def test_the_kernel_hashes_as_xxh64_at_every_length() -> None:
    from operators.kernels.minhash import xxh64

    content = random.Random(2).randbytes(150)
    data = np.frombuffer(content, np.uint8)
    assert [int(xxh64(data, 1, high)) for high in range(1, 150)] == [
        xxhash.xxh64_intdigest(content[1:high]) for high in range(1, 150)
    ]


def splitmix64(step: int) -> int:
    """The published generator, started at 0, after so many steps."""
    mask = 2**64 - 1
    value = step * 0x9E3779B97F4A7C15 & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def test_a_signature_is_the_documented_one_and_never_changes() -> None:
    assert splitmix64(1) == 0xE220A8397B1DCDAF  # the generator's first number from seed 0
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    hashes = [xxhash.xxh64_intdigest(" ".join(words[first : first + 5]).encode()) for first in range(5)]
    documented = [
        min(((splitmix64(2 * k + 1) | 1) * h + splitmix64(2 * k + 2)) % 2**64 >> 32 for h in hashes) for k in range(4)
    ]
    signature = slow_signature("The quick  brown fox jumps over the lazy DOG\n", 5, "word", 4)
    assert signature is not None
    assert signature.tolist() == documented == GOLDEN_SIGNATURE


def test_texts_beyond_one_batch_are_signed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{number} one two three four" for number in range(20)]
    whole, _ = signatures(texts, 2, "word", 8)
    monkeypatch.setattr("operators.minhash.BATCH_CHARS", 60)
    assert np.array_equal(signatures(texts, 2, "word", 8)[0], whole)


def test_estimates_are_unbiased_and_spread_as_theory_says() -> None:
    rng = random.Random(11)
    for similarity in (0.2, 0.5, 0.8):
        pairs = [pair_of_words(similarity, 200, rng) for _ in range(400)]
        exact = np.array([jaccard(one, two, 1) for one, two in pairs])
        values, _ = signatures([text for pair in pairs for text in pair], 1, "word", SIZE)
        error = (values[0::2] == values[1::2]).mean(axis=1) - exact
        deviation = np.sqrt(similarity * (1 - similarity) / SIZE)
        assert abs(error.mean()) < 4 * deviation / len(pairs) ** 0.5
        assert 0.85 * deviation < error.std() < 1.15 * deviation


def test_pairs_share_a_band_as_often_as_the_formula_says() -> None:
    rng = random.Random(12)
    for similarity in (0.5, 0.7, 0.8, 0.9):
        pairs = [pair_of_words(similarity, 200, rng) for _ in range(500)]
        values, _ = signatures([text for pair in pairs for text in pair], 1, "word", SIZE)
        keys = band_keys(values, 14, 8)
        met = (keys[0::2] == keys[1::2]).any(axis=1).mean()
        expected = meeting_probability(similarity, 14, 8)
        assert abs(met - expected) < 4 * (expected * (1 - expected) / len(pairs)) ** 0.5 + 0.004


def test_a_band_key_depends_on_the_band_and_on_the_order_of_its_values() -> None:
    values = np.array([[1, 2, 1, 2], [2, 1, 1, 2]], np.uint32)
    keys = band_keys(values, 2, 2)
    assert len({*keys[:, 0].tolist(), keys[0, 1]}) == 3
    assert keys[0, 1] == keys[1, 1]
