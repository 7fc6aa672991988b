from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RecipeError
from operators.encode import Merge, apply_merges, apply_ranks, merges_for, with_required
from tests.operators.vocabularies import LETTERS, pieces, strings, trained_merges

terms = st.lists(st.sampled_from(strings(LETTERS, 6)), max_size=5)


def places(merges: list[Merge]) -> dict[Merge, int]:
    return {merge: place for place, merge in enumerate(merges)}


def borders(parts: list[bytes]) -> set[int]:
    return set(accumulate(map(len, parts), initial=0))


def test_the_earliest_merge_goes_first_and_the_leftmost_place_of_it() -> None:
    assert apply_merges(b"aaaaa", {(b"a", b"a"): 0, (b"aa", b"aa"): 1}) == [b"aaaa", b"a"]
    assert apply_merges(b"abc", {(b"a", b"b"): 1, (b"b", b"c"): 0}) == [b"a", b"bc"]


def test_by_ranks_any_two_neighbours_merge_that_make_a_token() -> None:
    assert apply_ranks(b"abc", {b"abc": 0, b"ab": 1}) == [b"abc"]
    assert apply_ranks(b"abc", {b"abc": 0}) == [b"a", b"b", b"c"]


@given(learned=trained_merges(), required=terms)
def test_every_required_token_is_one_token_whatever_is_required_beside_it(
    learned: list[Merge], required: list[bytes]
) -> None:
    merges = places([*learned, *merges_for(required, learned)])
    assert [apply_merges(term, merges) for term in required] == [[term] for term in required]


@given(learned=trained_merges(), required=terms, piece=pieces)
def test_required_tokens_only_join_what_a_piece_was_before(
    learned: list[Merge], required: list[bytes], piece: bytes
) -> None:
    before = apply_merges(piece, places(learned))
    after = apply_merges(piece, places([*learned, *merges_for(required, learned)]))
    assert borders(after) <= borders(before)
    joined = [part for part in after if part not in before]
    made = {left + right for left, right in merges_for(required, learned)}
    assert set(joined) <= made


@given(learned=trained_merges(), required=terms)
def test_required_tokens_cost_one_merge_less_than_their_parts_at_most(
    learned: list[Merge], required: list[bytes]
) -> None:
    parts = [len(apply_merges(term, places(learned))) for term in set(required)]
    assert len(merges_for(required, learned)) <= sum(parts) - len(parts)


def test_what_is_one_token_already_costs_nothing() -> None:
    assert merges_for([b"ab", b"a", b"ab"], [(b"a", b"b")]) == []


@given(learned=trained_merges(), required=terms, room=st.integers(25, 40))
def test_learned_merges_give_way_to_required_tokens(learned: list[Merge], required: list[bytes], room: int) -> None:
    merges = with_required(required, learned, room)
    results = [[*learned[:kept], *merges_for(required, learned[:kept])] for kept in range(len(learned) + 1)]
    kept = max(place for place, result in enumerate(results) if result == merges)
    assert len(merges) <= room
    assert kept == len(learned) or len(results[kept + 1]) > room
    assert all(apply_merges(term, places(merges)) == [term] for term in required)


def test_all_the_room_is_used() -> None:
    learned = [(b"a", b"b"), (b"ab", b"c"), (b"c", b"a"), (b"b", b"b")]
    assert with_required([b"xyz"], learned, 5) == [*learned[:3], (b"x", b"y"), (b"xy", b"z")]
    assert with_required([b"abcx"], learned, 3) == [*learned[:2], (b"abc", b"x")]
    assert with_required([], learned, 9) == learned


def test_an_empty_required_token_and_one_too_long_are_refused() -> None:
    with pytest.raises(RecipeError, match="required token is empty"):
        merges_for([b""], [])
    with pytest.raises(RecipeError, match="2 required tokens need 3 merges of their own, and there is room for 2"):
        with_required([b"xyz", b"uv"], [(b"a", b"b")], 2)
