from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RecipeError
from operators.encode import Merge, apply_merges
from operators.rank_files import objection
from operators.vocabulary import (
    BYTES,
    AddedToken,
    Vocabulary,
    encode_pieces,
    from_merges,
    reach,
    reserve,
    trim,
)
from tests.operators.vocabularies import ONE_PIECE, SPECIAL, merge_lists, pieces, trained_merges

SINGLE = {byte: number for number, byte in enumerate(BYTES)}


def encoded(vocabulary: Vocabulary, words: list[bytes]) -> list[list[int]]:
    lists: list[list[int]] = encode_pieces(vocabulary, pa.array(words, pa.large_binary())).to_pylist()
    return lists


def places(merges: list[Merge]) -> dict[Merge, int]:
    return {merge: place for place, merge in enumerate(merges)}


@given(merges=merge_lists(), words=st.lists(pieces, min_size=1))
def test_the_merges_that_are_left_out_are_never_applied(merges: list[Merge], words: list[bytes]) -> None:
    live = reach(from_merges(merges, ())).merges
    assert [apply_merges(word, places(live)) for word in words] == [
        apply_merges(word, places(merges)) for word in words
    ]
    assert [merge for merge in merges if merge in live] == live
    assert len({left + right for left, right in live}) == len(live)


@given(merges=merge_lists())
def test_unreachable_tokens_are_those_that_do_not_merge_to_themselves(merges: list[Merge]) -> None:
    vocabulary = from_merges(merges, ())
    expected = [token for token in vocabulary.tokens if apply_merges(token, places(merges)) != [token]]
    assert reach(vocabulary).unreachable == expected


@given(merges=merge_lists(), words=st.lists(pieces, max_size=8))
def test_with_whole_first_a_piece_that_is_a_token_stays_whole(merges: list[Merge], words: list[bytes]) -> None:
    first, plain = (from_merges(merges, (), whole_first=whole_first) for whole_first in (True, False))
    expected = [[first.ids[word]] if word in first.ids else encoded(plain, [word])[0] for word in words]
    assert encoded(first, words) == expected


@given(merges=merge_lists(), words=st.lists(pieces, max_size=8), whole_first=st.booleans(), others=st.lists(pieces))
def test_trimming_to_what_pieces_use_encodes_them_as_before(
    merges: list[Merge], words: list[bytes], whole_first: bool, others: list[bytes]
) -> None:
    vocabulary = from_merges(merges, ONE_PIECE, SPECIAL, whole_first=whole_first)
    before = encoded(vocabulary, words)
    smaller, numbers = trim(vocabulary, [number for ids in before for number in ids])
    assert encoded(smaller, words) == [[numbers[number] for number in ids] for ids in before]
    assert b"".join(smaller.tokens[number] for ids in encoded(smaller, others) for number in ids) == b"".join(others)


@given(merges=trained_merges(), data=st.data())
def test_trimming_keeps_what_is_asked_for_and_what_it_is_made_of(merges: list[Merge], data: st.DataObject) -> None:
    vocabulary = from_merges(merges, ONE_PIECE, SPECIAL)
    used = data.draw(st.sets(st.sampled_from([*vocabulary.ids.values()])))
    smaller, numbers = trim(vocabulary, used)
    assert used <= set(numbers)
    assert (
        sorted(numbers.values()) == list(range(len(numbers))) == [*smaller.ids.values(), *[t.id for t in smaller.added]]
    )
    assert all(vocabulary.tokens[old] == smaller.tokens[new] for old, new in numbers.items() if new < len(smaller.ids))
    assert (reach(smaller).unreachable, objection(smaller)) == ([], "")
    needless = set(smaller.ids) - {vocabulary.tokens[number] for number in used} - set(BYTES)
    assert needless <= {part for merge in smaller.merges for part in merge}


def test_trimming_closes_gaps_and_keeps_added_tokens_last() -> None:
    ids = {byte: number + 5 for byte, number in SINGLE.items()} | {b"ab": 300, b"abc": 400, b"xy": 500}
    merges = [(b"a", b"b"), (b"x", b"y"), (b"ab", b"c")]
    vocabulary = Vocabulary(ids, merges, ONE_PIECE, (AddedToken("<e>", 0), AddedToken("<f>", 450, special=False)))
    smaller, numbers = trim(vocabulary, [400, 0])
    assert smaller.tokens[256:] == [b"ab", b"abc"]
    assert smaller.merges == ((b"a", b"b"), (b"ab", b"c"))
    assert smaller.added == (AddedToken("<e>", 258), AddedToken("<f>", 259, special=False))
    assert {old: numbers[old] for old in (0, 5, 300, 400, 450)} == {0: 258, 5: 0, 300: 256, 400: 257, 450: 259}


def test_trimming_to_an_id_that_is_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match="id 256 is not in the vocabulary of 256 tokens and 0 added ones"):
        trim(from_merges([], ()), [3, 256])


def test_reserved_slots_come_last_and_pass_over_names_in_use() -> None:
    vocabulary = reserve(reserve(from_merges([(b"a", b"b")], (), ["<|reserved_1|>"]), 2), 1)
    names = [(token.content, token.id) for token in vocabulary.added]
    assert names == [(f"<|reserved_{number}|>", 257 + place) for place, number in enumerate((1, 0, 2, 3))]
    assert reserve(vocabulary, 0) == vocabulary


def test_a_token_that_two_merges_make_has_one_id() -> None:
    vocabulary = from_merges([(b"a", b"b"), (b"b", b"a"), (b"ab", b"a"), (b"a", b"ba")], ())
    assert list(vocabulary.ids.items())[256:] == [(b"ab", 256), (b"ba", 257), (b"aba", 258)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ids": {b"a": 0, b"b": 1}}, "no token for byte 00 and 253 others"),
        ({"ids": {**SINGLE, b"ab": 255}}, "token id 255 comes after 255"),
        ({"ids": {**SINGLE, b"ab": 300, b"bc": 299}}, "token id 299 comes after 300"),
        ({"ids": {**SINGLE, b"": 256}}, "token 256 is empty"),
        ({"ids": {**SINGLE, b"ab": 2**31 - 1}}, "token ids go from 0 to 2147483647"),
        ({"merges": [(b"a", b"b")]}, "merge 0 of b'a' and b'b': b'ab' is not in the vocabulary"),
        ({"ids": {**SINGLE, b"ab": 256}, "merges": [(b"a", b"b")] * 2}, "merge .* is given twice"),
        ({"added": (AddedToken("<e>", 7),)}, "'<e>' has id 7, which is out of range or another token's"),
        ({"added": (AddedToken("<e>", -1),)}, "out of range"),
        ({"added": (AddedToken("<e>", 300), AddedToken("<e>", 301))}, "string '<e>' is given twice"),
        ({"added": (AddedToken("<e>", 300), AddedToken("<f>", 300))}, "id 300 is given twice"),
        ({"added": (AddedToken("!", 300),)}, "special token '!' is also token 33"),
        ({"added": (AddedToken("\u0120", 300),)}, "special token '\u0120' is also token 32"),
        ({"normalizer": "Lowercase"}, "normalizer 'Lowercase': expected one of"),
    ],
)
def test_a_vocabulary_that_could_not_encode_every_text_is_refused(changes: dict[str, Any], complaint: str) -> None:
    parameters = {"ids": SINGLE, "merges": [], "patterns": (), **changes}
    with pytest.raises(RecipeError, match=complaint):
        Vocabulary(**parameters)
