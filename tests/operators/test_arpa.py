import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.arpa import to_arpa, unseen_share
from operators.base import RecipeError
from operators.ngram_model import Model, spelled, texts_of, train_model
from operators.words import split_words
from tests.pipeline.engine import GERMAN

WORDS = ["ab", "b", "c", "abc", "cab", "\u6f22", "x"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), min_size=1, max_size=8)
Entries = dict[tuple[str, ...], tuple[float, float]]


def model_of(texts: Sequence[str], order: int, min_count: int = 1) -> Model:
    return train_model(
        texts_of(pa.chunked_array([pa.array(texts, pa.large_string())]), "word"), "word", order, min_count
    )


def entries(content: bytes) -> Entries:
    """The file's n-grams: log10 of their probability, and of what a history of them leaves."""
    found: Entries = {}
    for line in content.decode().split("\n"):
        fields = line.split("\t")
        if len(fields) > 1:
            found[tuple(fields[1].split(" "))] = float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0
    return found


def log10(of: Entries, gram: tuple[str, ...]) -> float:
    """A probability as every reader of such a file computes it."""
    if gram in of:
        return of[gram][0]
    if len(gram) == 1:
        return of[("<unk>",)][0]
    return of.get(gram[:-1], (0.0, 0.0))[1] + log10(of, gram[1:])


@given(TEXTS, TEXTS, st.integers(1, 4), st.integers(1, 2))
def test_a_reader_of_the_file_finds_our_probabilities(
    documents: list[str], texts: list[str], order: int, min_count: int
) -> None:
    model = model_of(["b", *documents], order, min_count)
    of = entries(to_arpa(model))
    assert model.spelling is not None
    expected = []
    for text in texts:
        words = ["<s>", *split_words(text), "</s>"]
        known = [word if (word,) in of else "<unk>" for word in words]
        for end in range(1, len(words)):
            bits = -log10(of, tuple(known[max(0, end - order + 1) : end + 1])) / math.log10(2)
            if known[end] == "<unk>":  # there it stands for all of them
                data = np.frombuffer(words[end].encode(), np.uint8)
                bits += spelled(model.spelling, data, np.array([0, data.size]))[0] + math.log2(unseen_share(model))
            expected.append(bits)
    found = model.bits(texts_of(pa.chunked_array([pa.array(texts, pa.large_string())]), "word"))
    assert found == pytest.approx(expected, abs=2e-5)


def test_the_words_of_the_file_add_up_to_one_after_every_history() -> None:
    of = entries(to_arpa(model_of(GERMAN, 3)))
    words = [gram[0] for gram in of if len(gram) == 1 and gram != ("<s>",)]
    histories = [(), ("<s>",), *[gram for gram in of if len(gram) == 2], ("nie", "gesehen")]
    for history in histories:
        assert sum(10 ** log10(of, (*history, word)) for word in words) == pytest.approx(1, abs=1e-4)


def test_the_file_counts_what_it_holds() -> None:
    content = to_arpa(model_of(GERMAN, 3, 2)).decode()
    for length in (1, 2, 3):
        count = int(content.partition(f"ngram {length}=")[2].partition("\n")[0])
        assert count == sum(len(gram) == length for gram in entries(content.encode()))
    assert content.endswith("\n\\end\\\n")


def test_a_model_of_bytes_has_no_such_file() -> None:
    with pytest.raises(RecipeError, match="holds words"):
        to_arpa(train_model(texts_of(pa.chunked_array([["a"]]), "byte"), "byte", 2, 1))
