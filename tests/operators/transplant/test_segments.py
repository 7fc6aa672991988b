"""Held-out segments: the same for any shards and order, in whole words, of text that both tokenizers can write."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import Context, DataError
from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.segments import SEGMENTS, HeldOutSegments, encoded, segment
from tests.operators.transplant.models import vocabulary

TEXT = st.text(st.sampled_from("ab \n\u00e9\u4e2d"), max_size=400)


@given(TEXT, st.integers(0, 2**64 - 1), st.integers(4, 200))
def test_a_segment_is_a_part_of_its_text_within_its_size(text: str, place: int, num_bytes: int) -> None:
    found = segment(text, place, num_bytes)
    assert found in text
    assert len(found.encode()) <= num_bytes
    if len(text.encode()) >= num_bytes and not set(text) & {" ", "\n"}:
        assert len(found.encode()) > num_bytes - 3  # nothing to cut at but characters


def rows(count: int) -> pa.Table:
    texts = [f"line {number}\nand the words of it {number}\n" * 10 for number in range(count)]
    return pa.table({"id": [f"d{number}" for number in range(count)], "text": pa.array(texts, pa.large_string())})


def chosen(fold: HeldOutSegments, state: pa.Table, context: Context) -> list[str]:
    found = fold.finish(state, context)[SEGMENTS]
    assert isinstance(found, pa.Table)
    return list(found["text"].to_pylist())


def test_the_choice_depends_on_neither_shards_nor_order() -> None:
    fold, context, table = HeldOutSegments(segments=7, segment_bytes=100), Context(3, {}), rows(40)
    apply = fold.bind(context)
    whole = chosen(fold, apply(table), context)
    parts = pa.concat_tables([apply(table.slice(begin, 9)) for begin in (36, 0, 18, 9, 27)])
    assert chosen(fold, fold.merge(parts), context) == whole
    assert len(set(whole)) == 7
    assert chosen(fold, fold.bind(Context(4, {}))(table), Context(4, {})) != whole


def test_too_little_text_is_refused() -> None:
    fold, context = HeldOutSegments(segments=7, segment_bytes=100, reference="held"), Context(3, {})
    with pytest.raises(DataError, match="input 'held' has 5 documents of at least 100 bytes, and 7"):
        fold.finish(fold.bind(context)(rows(5)), context)


def test_a_text_that_does_not_come_back_is_empty() -> None:
    """Bytes that a vocabulary lacks vanish from what it encodes, and its loss would look too good."""
    whole = to_tokenizer_json(vocabulary())
    assert [len(ids) > 0 for ids in encoded(["and the", "\u00ff", "x<|endoftext|>"], whole)] == [True] * 3
    without = whole.replace('"\u00bf":'.encode(), '"\u00bf\u00bf":'.encode())  # the byte BF
    assert [len(ids) > 0 for ids in encoded(["and the", "\u00ff"], without)] == [True, False]
    assert encoded(["the"], whole)[0].dtype == np.int64
