import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.encode import Merge, apply_merges
from operators.kernels.encode import encode, last_merges, merge_table
from operators.vocabulary import encode_pieces, from_merges
from operators.vocabulary import merge_table as table_of
from tests.operators.vocabularies import merge_lists, pieces

LETTERS = np.arange(256)


def binary(values: list[bytes]) -> pa.LargeBinaryArray:
    return pa.array(values, pa.large_binary())


@given(merges=merge_lists(), words=st.lists(pieces, max_size=8), skipped=st.integers(0, 3))
def test_the_kernel_encodes_as_the_slow_encoder(merges: list[Merge], words: list[bytes], skipped: int) -> None:
    vocabulary, places = from_merges(merges, ()), {merge: place for place, merge in enumerate(merges)}
    expected = [[vocabulary.ids[part] for part in apply_merges(word, places)] for word in words]
    assert encode_pieces(vocabulary, binary(words).slice(skipped)).to_pylist() == expected[skipped:]


@given(merges=merge_lists(), words=st.lists(pieces, min_size=1, max_size=8), data=st.data())
def test_a_limit_leaves_the_later_merges_out(merges: list[Merge], words: list[bytes], data: st.DataObject) -> None:
    limits = [data.draw(st.integers(0, len(merges))) for _ in words]
    found = last_merges(binary(words), table_of(from_merges(merges, ())), np.array(limits))
    expected = [
        len(apply_merges(word, {merge: place for place, merge in enumerate(merges[:limit])}))
        for word, limit in zip(words, limits, strict=True)
    ]
    assert found.parts.tolist() == expected


@given(merges=merge_lists(), word=pieces)
def test_the_last_two_parts_are_those_before_the_last_merge(merges: list[Merge], word: bytes) -> None:
    vocabulary = from_merges(merges, ())
    found = last_merges(binary([word]), table_of(vocabulary))
    parts = apply_merges(word, {merge: place for place, merge in enumerate(merges)})
    assert found.parts.tolist() == [len(parts)]
    if len(parts) > 2 or len(word) < 2:
        assert (found.left[0], found.right[0]) == (-1, -1)
    elif len(parts) == 2:
        assert [vocabulary.tokens[found.left[0]], vocabulary.tokens[found.right[0]]] == parts
    else:
        assert (vocabulary.tokens[found.left[0]], vocabulary.tokens[found.right[0]]) in merges


@pytest.mark.timeout(120)
def test_a_long_repetition_takes_no_more_than_n_log_n_steps() -> None:
    merges = [(b"a" * 2**power, b"a" * 2**power) for power in range(16)]
    vocabulary = from_merges(merges, ())
    ids = encode_pieces(vocabulary, binary([b"a" * 1_000_001])).to_pylist()[0]
    assert [len(vocabulary.tokens[number]) for number in ids] == [65536] * 15 + [2**power for power in (14, 9, 6, 0)]


def test_no_piece_an_empty_one_and_a_null_have_no_tokens() -> None:
    table = merge_table([97], [98], [0], [256], LETTERS)
    assert encode(binary([]), table).to_pylist() == []
    assert encode(pa.array([b"", None, b"ab"], pa.large_binary()), table).to_pylist() == [[], [], [256]]


def test_equal_priorities_are_taken_from_the_left() -> None:
    table = merge_table([97, 98], [98, 97], [0, 0], [256, 257], LETTERS)
    assert encode(binary([b"abab", b"baba"]), table).to_pylist() == [[256, 256], [257, 257]]
