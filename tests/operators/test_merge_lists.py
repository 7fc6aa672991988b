import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from tokenizers import Tokenizer
from tokenizers.models import BPE

from operators.base import DataError, RecipeError
from operators.encode import Merge
from operators.merge_lists import (
    SCHEMA,
    from_merges_table,
    from_vocab_and_merges,
    merges_table,
    to_vocab_and_merges,
)
from operators.tokenizer_files import to_tokenizer_json
from operators.vocabulary import from_merges
from tests.operators.vocabularies import SPECIAL, cutter, merge_lists, sources, trained


@given(merges=merge_lists())
def test_a_table_and_the_files_of_gpt2_are_read_as_they_were_written(merges: list[Merge]) -> None:
    vocabulary = from_merges(merges, ("[a-z]+",), SPECIAL)
    assert from_merges_table(merges_table(merges), ("[a-z]+",), SPECIAL) == vocabulary
    assert from_vocab_and_merges(*to_vocab_and_merges(vocabulary), ("[a-z]+",), SPECIAL) == vocabulary


def test_tokenizers_reads_the_files_of_gpt2_and_encodes_alike(tmp_path: Path) -> None:
    vocab, merges = to_vocab_and_merges(trained())
    (tmp_path / "vocab.json").write_bytes(vocab)
    (tmp_path / "merges.txt").write_bytes(merges)
    tokenizer = Tokenizer(BPE.from_file(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")))
    tokenizer.pre_tokenizer = cutter(trained().patterns)
    text = sources()[1][:30_000] + sources()[-1][:20_000]
    assert tokenizer.encode(text).ids == Tokenizer.from_str(to_tokenizer_json(trained()).decode()).encode(text).ids


def test_a_table_has_the_published_schema_and_unknown_counts_are_null() -> None:
    assert merges_table([], []).schema == merges_table([(b"a", b"b")]).schema == SCHEMA
    assert merges_table([(b"\xff", b" ")]).to_pylist() == [{"left": b"\xff", "right": b" ", "count": None}]
    with pytest.raises(ValueError, match="1 counts for 2 merges"):
        merges_table([(b"a", b"b"), (b"b", b"a")], [1])


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"left": [b"a"]}),
        pa.table({"left": [b"a", None], "right": [b"b", b"c"]}),
    ],
    ids=["no column", "a null"],
)
def test_a_table_without_its_columns_is_refused(table: pa.Table) -> None:
    with pytest.raises(DataError, match="binary columns left and right without nulls"):
        from_merges_table(table, ())


def test_a_merge_that_would_be_read_as_a_comment_is_not_written() -> None:
    pairs: list[Merge] = [(b"#version"[:length], b"#version"[length : length + 1]) for length in range(1, 8)]
    vocabulary = from_merges([*pairs, (b"#version", b"s")], ())
    with pytest.raises(RecipeError, match="'#version s' would be read as a comment"):
        to_vocab_and_merges(vocabulary)


@pytest.mark.parametrize(
    ("vocab", "merges", "complaint"),
    [
        (None, b"#version: 0.2\na b c\n", "line 2: merge 'a b c': expected two tokens"),
        (None, b"a  b\n", "merge 'a  b'"),
        (None, b"q z\n", "b'qz' is not in the vocabulary"),
        (None, b"\xff a\n", "merge '\ufffd a'"),
        (b"[]", b"", "expected an object"),
        (b"\xff", b"", "vocab.json cannot be read: expected JSON"),
        (b'{"a": 0}', b"", "special token '<|end|>' is not in vocab.json"),
    ],
)
def test_wrong_files_are_named(vocab: bytes | None, merges: bytes, complaint: str) -> None:
    own = to_vocab_and_merges(from_merges([(b"a", b"b")], (), SPECIAL))[0]
    assert json.loads(own)["<|pad|>"] == 258
    with pytest.raises(RecipeError, match=complaint):
        from_vocab_and_merges(vocab or own, merges, (), SPECIAL)
