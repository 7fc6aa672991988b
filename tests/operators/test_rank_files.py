import base64
from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import Encoding
from tokenizers import Tokenizer

from operators.base import DataError, RecipeError
from operators.encode import Merge, apply_ranks
from operators.rank_files import (
    from_ranks,
    merges_of_ranks,
    objection,
    rank_lines,
    read_ranks,
    tiktoken_pattern,
    to_ranks,
)
from operators.tokenizer_files import to_tokenizer_json
from operators.vocabulary import BYTES, Vocabulary, encode_pieces, from_merges
from tests.operators.vocabularies import LETTERS, ONE_PIECE, merge_lists, pieces, rank_tables, strings, trained_merges

WORDS = [*strings(b"ab", 7), *strings(LETTERS, 5)]
SINGLE = {byte: rank for rank, byte in enumerate(BYTES)}


def by_ranks(word: bytes, ranks: dict[bytes, int]) -> list[int]:
    return [ranks[word]] if word in ranks else [ranks[part] for part in apply_ranks(word, ranks)]


def ours(vocabulary: Vocabulary, words: list[bytes]) -> list[list[int]]:
    encoded: list[list[int]] = encode_pieces(vocabulary, pa.array(words, pa.large_binary())).to_pylist()
    return encoded


def tiktoken_of(ranks: dict[bytes, int]) -> Encoding:
    return Encoding("test", pat_str=r"[\s\S]+", mergeable_ranks=ranks, special_tokens={})


@settings(max_examples=50)
@given(ranks=rank_tables(), words=st.lists(pieces, min_size=1, max_size=30))
def test_ranks_in_any_order_are_read_without_a_difference(ranks: dict[bytes, int], words: list[bytes]) -> None:
    vocabulary, reader = from_ranks(ranks, ONE_PIECE), tiktoken_of(ranks)
    tokenizer = Tokenizer.from_str(to_tokenizer_json(vocabulary).decode())
    expected = [reader.encode_ordinary(word.decode()) for word in words]
    assert [by_ranks(word, ranks) for word in words if word] == [ids for ids in expected if ids]
    assert ours(vocabulary, words) == expected
    assert [tokenizer.encode(word.decode()).ids for word in words] == expected


@given(ranks=rank_tables())
def test_a_vocabulary_read_from_ranks_is_written_as_the_same_ranks(ranks: dict[bytes, int]) -> None:
    assert read_ranks(to_ranks(from_ranks(ranks, ONE_PIECE))) == ranks


@settings(max_examples=50)
@given(merges=merge_lists(), whole_first=st.booleans())
def test_ranks_are_written_only_where_no_piece_differs(merges: list[Merge], whole_first: bool) -> None:
    vocabulary = from_merges(merges, ONE_PIECE, whole_first=whole_first)
    if not objection(vocabulary):
        ranks = read_ranks(to_ranks(vocabulary))
        assert ours(vocabulary, WORDS) == [by_ranks(word, ranks) for word in WORDS]


@given(merges=trained_merges())
def test_trained_vocabularies_can_always_be_written(merges: list[Merge]) -> None:
    assert objection(from_merges(merges, ONE_PIECE)) == ""


@given(merges=trained_merges())
def test_the_merges_of_a_trained_vocabulary_come_back_in_order(merges: list[Merge]) -> None:
    ranks = read_ranks(to_ranks(from_merges(merges, ONE_PIECE)))
    assert merges_of_ranks(ranks) == (merges, [], [])


def test_every_small_vocabulary_is_refused_or_exact() -> None:
    """All orders of all merges that make up to four tokens of a and b: nothing here is left to chance."""
    pool = [(b"a", b"b"), (b"b", b"a"), (b"a", b"a"), (b"ab", b"a"), (b"a", b"ba"), (b"ab", b"ab"), (b"aa", b"b")]
    words, outcomes = strings(b"ab", 7), set()
    for size in range(4):
        for merges in permutations(pool, size):
            try:
                vocabulary = from_merges(merges, ONE_PIECE)
            except RecipeError:  # a part of a merge is no token
                continue
            ranks = dict(vocabulary.ids)
            same = ours(vocabulary, words) == [by_ranks(word, ranks) for word in words]
            outcomes.add((same, objection(vocabulary) == ""))
    assert (True, True) in outcomes
    assert (False, False) in outcomes
    assert (False, True) not in outcomes


def test_a_token_that_merging_does_not_reach_is_refused_with_its_id() -> None:
    # "abc" goes to a|bc first, so that ab|c, from which the last merge makes it, never stands there.
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    with pytest.raises(RecipeError, match=r"token b'abc' \(id 258\) has a rank, but its own bytes do not merge to it"):
        to_ranks(from_merges(merges, ONE_PIECE))


def test_ids_in_another_order_than_merges_are_refused_with_the_token() -> None:
    ids = {**SINGLE, b"bc": 256, b"ab": 257}
    vocabulary = Vocabulary(ids, [(b"a", b"b"), (b"b", b"c")], ONE_PIECE)
    with pytest.raises(RecipeError, match=r"token b'bc' \(id 256\) has a lower id than b'ab' \(id 257\)"):
        to_ranks(vocabulary)


def test_a_token_that_ranks_merge_from_other_parts_is_refused_with_both() -> None:
    ids = {**SINGLE, b"abc": 256, b"ab": 257}
    vocabulary = Vocabulary(ids, [(b"a", b"b")], ONE_PIECE, whole_first=True)
    with pytest.raises(
        RecipeError, match=r"b'abc' \(id 256\) is merged from nothing, and by ranks from b'ab' and b'c'"
    ):
        to_ranks(vocabulary)


def test_what_tiktoken_does_not_do_is_refused() -> None:
    with pytest.raises(RecipeError, match="text is brought to the form NFC first"):
        to_ranks(Vocabulary(SINGLE, [], ONE_PIECE, normalizer="NFC"))
    two = Vocabulary(SINGLE, [], ("[a-z]+", "a"))
    for refused in (to_ranks, tiktoken_pattern):
        with pytest.raises(RecipeError, match="cut by 2 patterns in turn"):
            refused(two)


def test_irregular_tokens_are_reported_and_kept() -> None:
    ranks = {**SINGLE, b"xyz": 256, b"ab": 257, b"abc": 258, b"bcd": 259, b"cd": 260}
    found = merges_of_ranks(ranks)
    assert found.irregular == [b"xyz", b"bcd"]
    assert found.unreachable == [b"xyz"]  # bcd is made of b and cd, which has a higher rank
    assert found.merges == [(b"a", b"b"), (b"ab", b"c"), (b"b", b"cd"), (b"c", b"d")]
    vocabulary = from_ranks(ranks, ONE_PIECE)
    assert vocabulary.whole_first
    words = [b"xyz", b"xyzx", b"abcd", b"bcd", b"abcdbcd"]
    assert ours(vocabulary, words) == [by_ranks(word, ranks) for word in words]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"[a-z]+", "ab12cd  34\n\nx"), (r"\p{N}{1,3}| +(?!\S)", "a 12345   b  \n c1"), (r"a+", "\n\r\n"), (r"a+", "aaa")],
)
def test_text_that_a_pattern_leaves_out_is_encoded_alike(pattern: str, text: str) -> None:
    vocabulary = from_merges([(b"a", b"b"), (b" ", b" "), (b"\n", b"\n"), (b"1", b"2")], (pattern,))
    reader = Encoding(
        "t", pat_str=tiktoken_pattern(vocabulary), mergeable_ranks=dict(vocabulary.ids), special_tokens={}
    )
    tokenizer = Tokenizer.from_str(to_tokenizer_json(vocabulary).decode())
    assert reader.encode_ordinary(text) == tokenizer.encode(text).ids
    assert reader.decode(reader.encode_ordinary(text)) == text


def test_an_empty_token_and_empty_lines_are_passed_over() -> None:
    assert read_ranks(b"YQ== 1\n= 0\n\nYg== 2\r\n") == {b"a": 1, b"b": 2}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"YQ== 0\nYQ==\n", "line 2: b'YQ==' is no rank"),
        (b"Y! 0\n", "line 1: b'Y! 0' is no rank: expected a token in base64"),
        (b"YQ== x\n", "line 1"),
        (b"YQ== 0\nYQ== 1\n", "line 2: token b'a' has rank 0 already"),
        (b"YQ== 0 0\n", "line 1"),
    ],
)
def test_a_wrong_line_is_named(content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_ranks(content)


def test_ranks_without_all_bytes_and_ranks_given_twice_are_refused() -> None:
    with pytest.raises(DataError, match="byte 00 and 254 others have no rank"):
        merges_of_ranks({b"a": 0})
    content = rank_lines(SINGLE) + base64.b64encode(b"ab") + b" 255\n"
    with pytest.raises(RecipeError, match="token id 255 comes after 255"):
        from_ranks(read_ranks(content), ONE_PIECE)
