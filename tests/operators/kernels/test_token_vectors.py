import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels import token_vectors, token_vectors_reference
from operators.kernels.token_vectors import Settings, Text, alias_table, ngram_parts, ngrams

FORMS = [b" the", b"cat", b" cats", b"\xc3", b" a"]
documents = st.lists(st.lists(st.integers(0, len(FORMS) - 1), max_size=12), min_size=1, max_size=5)


def text_of(lines: list[list[int]]) -> Text:
    starts = np.cumsum([0, *map(len, lines)])
    return Text(np.array([word for line in lines for word in line], np.int32), starts)


@given(documents, st.integers(1, 12), st.integers(0, 2**63), st.sampled_from((1e-4, 1.0)))
def test_the_kernel_learns_what_the_reference_learns(
    lines: list[list[int]], dim: int, seed: int, sample: float
) -> None:
    text, (parts, _) = text_of(lines), ngram_parts(FORMS)
    counts = np.maximum(np.bincount(text.words, minlength=len(FORMS)), 1)
    settings = Settings(dim=dim, epochs=2, window=3, negatives=4, learning_rate=0.5, sample=sample, seed=seed)
    found, loss = token_vectors.fit(text, parts, counts, settings)
    np.testing.assert_allclose(found, token_vectors_reference.fit(text, parts, counts, settings), atol=2e-4)
    assert np.isfinite(loss)


def test_learning_moves_rows_beyond_the_tolerance_of_the_comparison() -> None:
    text, (parts, _) = text_of([[0, 1, 2, 3, 4] * 3] * 4), ngram_parts(FORMS)
    counts = np.bincount(text.words)
    still, _ = token_vectors.fit(text, parts, counts, Settings(dim=8, epochs=0))
    moved, _ = token_vectors.fit(text, parts, counts, Settings(dim=8, epochs=2, learning_rate=0.5, sample=1.0))
    assert abs(moved - still).max() > 0.05


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    text, (parts, _) = text_of([[0, 1, 2, 3, 4, 1, 2]] * 30), ngram_parts(FORMS)
    counts = np.bincount(text.words)
    first, second = (token_vectors.fit(text, parts, counts, Settings(dim=20, seed=4))[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != token_vectors.fit(text, parts, counts, Settings(dim=20, seed=5))[0].tobytes()


def test_tokens_that_stand_in_the_same_places_come_to_lie_together() -> None:
    """Two words in turn between the same neighbours, against two that never are there."""
    generator = np.random.default_rng(2)
    lines = [[4, int(one), 5] for one in generator.integers(0, 2, 4000)]
    lines += [[6, int(one), 7] for one in generator.integers(2, 4, 4000)]
    forms = [bytes([97 + number]) * 7 for number in range(8)]
    parts, _ = ngram_parts(forms)
    text = text_of(lines)
    rows, _ = token_vectors.fit(text, parts, np.bincount(text.words), Settings(dim=16, epochs=5, sample=1.0))
    means = np.array([rows[parts.rows[parts.starts[n] : parts.starts[n + 1]]].mean(0) for n in range(8)])
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.3
    assert unit[2] @ unit[3] > unit[1] @ unit[3] + 0.3


def test_ngrams_are_of_bytes_with_marks() -> None:
    assert ngrams(b"ab", 3, 4) == [(256, 97, 98), (256, 97, 98, 257), (97, 98, 257)]
    assert ngrams(b"", 3, 6) == []


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_words_are_drawn_in_proportion(shares: list[int]) -> None:
    own, other = alias_table(np.array(shares))
    drawn = own.copy()
    np.add.at(drawn, other, 1 - own)
    np.testing.assert_allclose(drawn / len(shares), np.array(shares) / sum(shares), atol=1e-9)
