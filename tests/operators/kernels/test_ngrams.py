import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels import ngram_training, ngrams
from operators.kernels.ngrams_reference import END, FALLBACK, SlowModel, discounts_of

ALPHABET = "abcd"
DOCUMENTS = st.lists(st.text(ALPHABET, max_size=9), max_size=12)
TEXTS = st.lists(st.text(f"{ALPHABET}x", max_size=9), min_size=1, max_size=5)
SHARE = 1 / (len(ALPHABET) + 2)
"""What every symbol, a strange one and the end among them, has before anything was seen."""


def arrays(texts: Sequence[str], first: int = 0) -> tuple[ngrams.Ints, ngrams.Longs]:
    """Letters as numbers, one text after the other, and where each begins."""
    letters = [first + f"{ALPHABET}x".index(letter) for text in texts for letter in text]
    return np.array(letters, np.int32), np.cumsum([0, *map(len, texts)]).astype(np.int64)


def slow_model(documents: Sequence[str], order: int, min_count: int) -> SlowModel:
    return SlowModel([one for one in documents if one], order, lambda _: SHARE, min_count)


def fast_model(documents: Sequence[str], order: int, min_count: int) -> ngrams.Grams:
    num_symbols = ngrams.FIRST + len(ALPHABET)
    base = np.full(num_symbols, SHARE)
    base[: ngrams.END] = 0
    return ngram_training.train(*arrays(documents, ngrams.FIRST), num_symbols, order, base, min_count)


def bits_of(model: ngrams.Grams, texts: Sequence[str]) -> list[float]:
    symbols = np.array([*range(ngrams.FIRST, ngrams.FIRST + len(ALPHABET)), -1], np.int32)
    unknown = np.full(symbols.size, -(model.rest + math.log2(SHARE)))
    found: list[float] = ngrams.symbol_bits(model, *arrays(texts), symbols, unknown).tolist()
    return found


@given(DOCUMENTS, TEXTS, st.integers(1, ngrams.MAX_ORDER), st.integers(1, 3))
def test_every_symbol_costs_what_the_reference_says(
    documents: list[str], texts: list[str], order: int, min_count: int
) -> None:
    slow = slow_model(documents, order, min_count)
    expected = [bits for text in texts for bits in slow.bits(text)]
    assert bits_of(fast_model(documents, order, min_count), texts) == pytest.approx(expected, rel=3e-6, abs=3e-6)


@given(st.lists(st.text(ALPHABET, max_size=9), max_size=60), st.integers(1, 4), st.integers(1, 3))
def test_probabilities_add_up_to_one_after_every_history(documents: list[str], order: int, min_count: int) -> None:
    slow, fast = slow_model(documents, order, min_count), fast_model(documents, order, min_count)
    symbols = f"{ALPHABET}x"
    for length in range(4):
        for history in map("".join, product(symbols, repeat=length)):
            of = ("<s>", *history)
            assert sum(slow.probability(symbol, of) for symbol in (*symbols, END)) == pytest.approx(1, abs=1e-12)
            costs = bits_of(fast, [history + symbol for symbol in symbols])
            last = [costs[number * (length + 2) + length] for number in range(len(symbols))]
            last.append(bits_of(fast, [history])[-1])
            assert sum(2.0**-bits for bits in last) == pytest.approx(1, abs=1e-5)


def test_a_model_of_pairs_is_what_a_hand_computes() -> None:
    # <s> a b </s>, <s> a </s>: pairs (<s> a) 2, (a b), (b </s>), (a </s>) 1 each; the discounts are the fallback.
    model = slow_model(["ab", "a"], 2, 1)
    # Unigrams by what stands before them: a 1 (<s>), b 1 (a), </s> 2 (b, a): of 4; 1/2 + 1/2 + 1 are left over.
    assert model.probability("a", ()) == pytest.approx((1 - 0.5) / 4 + (2 / 4) * SHARE)
    assert model.probability("b", ("<s>", "a")) == pytest.approx(0.5 / 2 + 0.5 * model.probability("b", ()))
    assert model.probability("b", ("<s>",)) == pytest.approx(0.5 * model.probability("b", ()))


def test_discounts_are_those_of_chen_and_goodman() -> None:
    assert [float(taken) for taken in discounts_of(10, 4, 2, 1)] == pytest.approx(
        [1 - 2 * (10 / 18) * 4 / 10, 2 - 3 * (10 / 18) * 2 / 4, 3 - 4 * (10 / 18) * 1 / 2]
    )
    found = ngram_training._discounts(np.array([10, 4, 2, 1])).tolist()
    assert found == pytest.approx([0, *map(float, discounts_of(10, 4, 2, 1))])


@pytest.mark.parametrize("having", [(0, 1, 1, 1), (3, 0, 1, 1), (3, 1, 0, 1), (1, 1, 90, 1), (1, 2, 1, 50)])
def test_discounts_that_cannot_be_computed_or_are_out_of_range_are_the_fallback(having: tuple[int, ...]) -> None:
    assert discounts_of(*having) == FALLBACK
    assert ngram_training._discounts(np.array(having)).tolist() == [0, *map(float, FALLBACK)]


@given(st.lists(st.binary(max_size=5), unique=True, max_size=30), st.lists(st.binary(max_size=5), max_size=30))
def test_names_are_found_byte_by_byte(known: list[bytes], asked: list[bytes]) -> None:
    def joined(strings: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        ends = np.cumsum([0, *map(len, strings)]).astype(np.int64)
        return np.frombuffer(b"".join(strings), np.uint8), ends

    found = ngrams.looked_up(ngrams.indexed(*joined(known)), *joined(asked))
    assert found.tolist() == [known.index(one) if one in known else -1 for one in asked]


@given(DOCUMENTS, st.integers(1, 5), st.integers(1, 2))
def test_the_list_of_a_model_has_every_ngram_that_is_kept(documents: list[str], order: int, min_count: int) -> None:
    slow = slow_model(documents, order, min_count)
    names = ["", "<s>", END, *ALPHABET]
    listed = ngrams.listed(fast_model(documents, order, min_count))
    found = [tuple(names[symbol] for symbol in gram) for level in listed for gram in level.symbols.tolist()]
    assert sorted(found) == sorted(gram for gram in slow.kept if len(gram) > 1)
