"""Words are cut where a trainer of characters counts no pair, and pairs that are too long go."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.allowed_pairs import cut_words, without_long_pairs
from operators.kernels.replay import Words, replay
from operators.piece_rules import SPACE, PieceRules

ALPHABET = frozenset("ab1\u0436\ufffd" + SPACE)
LETTERS = [letter.encode() for letter in sorted(ALPHABET)]
TOKENS = [*LETTERS, b"c", b"\xd0", b"\xff", b"ab"]
"""The alphabet, a character outside it, two parts of characters, and two letters."""

words = st.lists(
    st.tuples(
        st.lists(st.integers(0, len(TOKENS) - 1), min_size=1, max_size=6),
        st.dictionaries(st.integers(0, 2), st.integers(1, 5), min_size=1),
    ),
    min_size=1,
    max_size=8,
)


def laid_out(given: list[tuple[list[int], dict[int, int]]]) -> Words:
    symbols = [number for word, _ in given for number in word]
    entries = [entry for _, counts in given for entry in sorted(counts.items())]
    return Words(
        np.array(symbols, np.int32), np.cumsum([0, *(len(word) for word, _ in given)]),
        np.cumsum([0, *(len(counts) for _, counts in given)]),
        np.array([category for category, _ in entries], np.int16), np.array([count for _, count in entries], np.int64),
    )  # fmt: skip


KINDS = {
    b"a": "latin", b"b": "latin", b"ab": "latin", "\u0436".encode(): "cyrillic", b"1": "common",
    "\ufffd".encode(): "common", SPACE.encode(): "any",
}  # fmt: skip
"""By script; what is not here joins nothing."""


def may_join(left: int, right: int) -> bool:
    kinds = {KINDS.get(TOKENS[left], "out"), KINDS.get(TOKENS[right], "out")}
    return "out" not in kinds and len(kinds - {"any"}) < 2


@given(given=words)
def test_words_are_cut_where_neighbours_may_not_join(given: list[tuple[list[int], dict[int, int]]]) -> None:
    expected: Counter[tuple[tuple[int, ...], int]] = Counter()
    for word, counts in given:
        parts = [[word[0]]]
        for left, right in pairwise(word):
            if may_join(left, right):
                parts[-1].append(right)
            else:
                parts.append([right])
        for part in parts:
            for category, count in counts.items():
                expected[tuple(part), category] += count * (len(part) > 1)
    cut = cut_words(laid_out(given), TOKENS, ALPHABET, PieceRules())
    found: Counter[tuple[tuple[int, ...], int]] = Counter()
    for number in range(len(cut.offsets) - 1):
        key = tuple(cut.symbols[cut.offsets[number] : cut.offsets[number + 1]].tolist())
        for place in range(cut.starts[number], cut.starts[number + 1]):
            found[key, int(cut.categories[place])] += int(cut.counts[place])
    assert found == +expected
    assert len(cut.offsets) - 1 == len({part for part, _ in found})


def test_pairs_of_more_characters_than_a_piece_are_left_out_but_for_those_of_merges() -> None:
    tokens = [b"a", b"b", b"aa", b"aaa"]
    changes = replay(laid_out([([0] * 8 + [1], {0: 1})]), np.array([[0, 0, 2], [2, 0, 3]]), 1)
    assert without_long_pairs(changes, tokens, 0) is changes
    left = without_long_pairs(changes, tokens, 2)
    names = [(tokens[a] + tokens[b]).decode() for a, b in left.pairs[np.unique(left.segment_pair)].tolist()]
    assert sorted(names) == ["aa", "ab"]
    assert left.steps[-1] == len(left.segment_pair) == len(left.starts) - 1
    assert left.merged.tolist() == changes.merged.tolist()
