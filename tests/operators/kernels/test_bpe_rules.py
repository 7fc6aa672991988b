from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.byte_alphabet import byte_ids, bytes_in_id_order
from operators.kernels import bpe, bpe_reference
from operators.kernels.bpe import Learned, Veto

Pair = tuple[int, int]
Words = list[tuple[bytes, int]]

BYTES = [bytes([byte]) for byte in bytes_in_id_order()]
WORDS = st.one_of(
    *(
        st.dictionaries(st.text(letters, min_size=1, max_size=24).map(str.encode), st.integers(0, 9), max_size=10)
        for letters in ("ab", "ab :", "abc", "a\u00e9\u4e2d")
    )
).map(lambda words: list(words.items()))
VETOES = st.builds(
    Veto,
    st.integers(0, 3),
    st.lists(st.text("ab :", min_size=1, max_size=4).map(str.encode), max_size=2).map(tuple),
    st.integers(0, 3),
    st.lists(st.text("ab :", min_size=2, max_size=4).map(str.encode), max_size=2).map(tuple),
)


class Sequences(NamedTuple):
    tokens: list[bytes]
    rows: list[tuple[list[int], int]]


@st.composite
def sequences(draw: st.DrawFn, letters: str = "ab ") -> Sequences:
    strings = st.text(letters, min_size=1, max_size=3).map(str.encode)
    tokens = draw(st.lists(strings, min_size=1, max_size=8, unique=True))
    row = st.lists(st.integers(0, len(tokens) - 1), max_size=20)
    return Sequences(tokens, draw(st.lists(st.tuples(row, st.integers(0, 5)), max_size=8)))


@st.composite
def initial_merges(draw: st.DrawFn) -> list[Pair]:
    """Distinct pairs over few letters, so that many make a string that is there already."""
    strings, ids = list(BYTES), [int(byte_ids()[byte]) for byte in b"ab "]
    merges: list[Pair] = []
    for _ in range(draw(st.integers(0, 8))):
        pair = draw(st.tuples(st.sampled_from(ids), st.sampled_from(ids)))
        joined = strings[pair[0]] + strings[pair[1]]
        if pair not in merges and len(joined) <= 6:
            merges.append(pair)
            if joined not in strings:
                strings.append(joined)
                ids.append(len(strings) - 1)
    return merges


def table(words: Words) -> tuple[pa.LargeBinaryArray, NDArray[np.int64]]:
    return pa.array([word for word, _ in words], pa.large_binary()), np.array([count for _, count in words], np.int64)


def pieces(words: Words) -> list[tuple[list[int], int]]:
    return [(byte_ids()[list(word)].tolist(), count) for word, count in words if count]


def listed(learned: Learned) -> list[tuple[Pair, int]]:
    pairs = zip(learned.merges.tolist(), learned.counts.tolist(), strict=True)
    return [((left, right), count) for (left, right), count in pairs]


def learn_sequences(
    given: Sequences,
    num_merges: int,
    least: int = 0,
    longest: int = 1000,
    veto: Veto = Veto(),  # noqa: B008
) -> Learned:
    rows = [row for row, _ in given.rows]
    ids = np.array([token for row in rows for token in row], np.int32)
    offsets = np.cumsum([0, *map(len, rows)])
    counts = np.array([count for _, count in given.rows], np.int64)
    return bpe.train_sequences(ids, offsets, counts, given.tokens, num_merges, least, longest, veto)


@given(WORDS, VETOES, st.integers(0, 4), st.sampled_from([2, 5, 1000]))
def test_what_is_forbidden_is_not_learned_as_in_the_reference(
    words: Words, veto: Veto, least: int, longest: int
) -> None:
    learned = bpe.train(*table(words), 300, least, longest, veto=veto)
    assert listed(learned) == list(bpe_reference.learn(pieces(words), BYTES, 300, least, longest, (), *veto).items())


def test_a_string_that_is_no_token_is_held_by_longer_ones_where_they_come_from_other_parts() -> None:
    words = table([(b"xab", 5), (b"ab", 9)])
    learned = bpe.train(*words, 300, veto=Veto(never=(b"ab",)))
    assert bpe.products(learned.merges.tolist(), BYTES)[256:] == [b"xa", b"xab"]


def test_the_limit_in_characters_counts_bytes_that_begin_one_and_lets_whole_characters_through() -> None:
    words = table(
        [
            ("\u4e2d".encode(), 11),
            ("\u56fd\u4eba".encode(), 9),
            ("\u4e2d\u56fd\u4eba".encode(), 3),
            (b"abcd", 5),
            (b"\x80\x80\x80\x80", 7),
        ]
    )
    learned = bpe.train(*words, 300, veto=Veto(max_chars=2))
    tokens = bpe.products(learned.merges.tolist(), BYTES)[256:]
    assert {"\u4e2d".encode(), "\u56fd\u4eba".encode(), b"ab", b"\x80" * 4} <= set(tokens)
    assert max(sum(byte & 0xC0 != 0x80 for byte in token) for token in tokens) == 2


@given(WORDS, initial_merges(), VETOES, st.integers(0, 12), st.integers(0, 3))
def test_initial_merges_and_what_follows_are_those_of_the_reference(
    words: Words, initial: list[Pair], veto: Veto, more: int, least: int
) -> None:
    size = len(bpe.products(initial, BYTES)) + more
    learned = bpe.train(*table(words), size, least, initial_merges=np.array(initial, np.int32), veto=veto)
    expected = bpe_reference.learn(pieces(words), BYTES, size, least, 10**6, initial, *veto)
    assert listed(learned) == list(expected.items())
    strings = bpe.products(learned.merges.tolist(), BYTES)
    assert len(set(strings)) == len(strings) <= size


@given(WORDS, st.data())
def test_going_on_from_the_first_merges_of_a_training_gives_that_training(words: Words, data: st.DataObject) -> None:
    unbroken = bpe.train(*table(words), 290)
    first = unbroken.merges[: data.draw(st.integers(0, len(unbroken.merges)))]
    resumed = bpe.train(*table(words), 290, initial_merges=first)
    assert listed(resumed) == listed(unbroken)


def test_an_initial_merge_that_the_text_lacks_keeps_its_id() -> None:
    x, y, a, b = (int(byte_ids()[byte]) for byte in b"xyab")
    learned = bpe.train(*table([(b"ab", 3)]), 300, initial_merges=np.array([[x, y]], np.int32))
    assert listed(learned) == [((x, y), 0), ((a, b), 3)]
    assert bpe.products(learned.merges.tolist(), BYTES)[256:] == [b"xy", b"ab"]


def test_a_string_that_initial_merges_do_not_reach_gets_its_id_by_the_merge_that_does() -> None:
    a, b, c, d = (int(byte_ids()[byte]) for byte in b"abcd")
    initial = [(a, b), (b, c), (a, 257), (258, d)]  # ab, bc, abc of a + bc, which ab forestalls, and abcd
    learned = bpe.train(*table([(b"abcd", 3), (b"abc", 1)]), 300, initial_merges=np.array(initial, np.int32))
    assert listed(learned) == [((a, b), 4), ((b, c), 0), ((a, 257), 0), ((258, d), 3), ((256, c), 4)]


@pytest.mark.parametrize("initial", [[[0, 257]], [[0, -1]], [[0, 1], [0, 1]]])
def test_an_initial_merge_of_ids_not_made_yet_or_there_twice_is_refused(initial: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"merge [01] is of ids"):
        bpe.train(*table([(b"ab", 1)]), 300, initial_merges=np.array(initial))


def test_fewer_tokens_than_the_initial_merges_make_are_refused() -> None:
    with pytest.raises(ValueError, match="room for 257 tokens"):
        bpe.train(*table([(b"ab", 1)]), 256, initial_merges=np.array([[0, 1]]))


@given(sequences(), VETOES, st.integers(0, 8), st.integers(0, 4), st.sampled_from([2, 5, 1000]))
def test_sequences_give_the_merges_of_the_reference(
    given: Sequences, veto: Veto, num_merges: int, least: int, longest: int
) -> None:
    learned = learn_sequences(given, num_merges, least, longest, veto=veto)
    size = len(given.tokens) + num_merges
    rows = [(list(row), count) for row, count in given.rows if count]
    assert listed(learned) == list(bpe_reference.learn(rows, given.tokens, size, least, longest, (), *veto).items())


@given(sequences("a"), st.integers(0, 8))
def test_sequences_where_most_joined_strings_are_there_already_give_the_merges_of_the_reference(
    given: Sequences, num_merges: int
) -> None:
    learned = learn_sequences(given, num_merges)
    rows = [(list(row), count) for row, count in given.rows if count]
    assert listed(learned) == list(bpe_reference.learn(rows, given.tokens, len(given.tokens) + num_merges).items())


@given(WORDS)
def test_sequences_of_bytes_are_words(words: Words) -> None:
    rows = [([int(byte_ids()[byte]) for byte in word], count) for word, count in words]
    assert listed(learn_sequences(Sequences(BYTES, rows), 30)) == listed(bpe.train(*table(words), 286))


def test_one_string_from_unlike_parts_has_one_id_and_counts_as_one() -> None:
    tokens = [b"a", b"b", b"ab", b"bc", b"c", b"x"]
    given = Sequences(tokens, [([2, 4, 5], 9), ([0, 3, 5], 5), ([0, 3], 3)])
    assert listed(learn_sequences(given, 3)) == [((2, 4), 9), ((6, 5), 9), ((0, 3), 8)]
    assert listed(learn_sequences(given, 2)) == [((2, 4), 9), ((6, 5), 9)]


def test_pairs_of_sequences_beyond_32_bits_are_counted() -> None:
    learned = learn_sequences(Sequences([b"x", b"y"], [([0, 1], 2**32), ([1, 0], 2**33)]), 9)
    assert listed(learned) == [((1, 0), 2**33), ((0, 1), 2**32)]


def test_sequences_with_many_pairs_make_the_tables_grow() -> None:
    rng = np.random.default_rng(3)
    tokens = [b"%d," % number for number in range(5_000)]
    ids = (rng.integers(0, 5_000, 60_000) * rng.random(60_000)).astype(np.int32)
    learned = bpe.train_sequences(ids, np.arange(0, 60_001, 20), np.ones(3_000, np.int64), tokens, 10_000, 1)
    rows = [(row.tolist(), 1) for row in ids.reshape(-1, 20)]
    expected = bpe_reference.learn(rows, tokens, 5_010)
    assert listed(learned)[:10] == list(expected.items())
    assert len(learned.merges) == 10_000


@pytest.mark.parametrize(
    ("ids", "offsets", "counts", "tokens", "complaint"),
    [
        ([0, 2], [0, 2], [1], [b"a", b"b"], "found 0 to 2"),
        ([0, 1], [0, 1], [1], [b"a", b"b"], "from 0 to 2 ids"),
        ([0, 1], [0, 2], [-1], [b"a", b"b"], "smallest is -1"),
        ([0, 1], [0, 2], [1], [b"a", b"a"], "distinct"),
    ],
)
def test_wrong_sequences_are_named(
    ids: list[int], offsets: list[int], counts: list[int], tokens: list[bytes], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        bpe.train_sequences(np.array(ids, np.int32), np.array(offsets), np.array(counts), tokens, 5)


@given(WORDS, st.integers(0, 5))
def test_the_most_frequent_bytes_are_in_order_of_count_then_id(words: Words, limit: int) -> None:
    totals = {byte: sum(word.count(byte) * count for word, count in words) for byte in range(256)}
    found = sorted((byte for byte in totals if totals[byte]), key=lambda byte: (-totals[byte], byte_ids()[byte]))
    assert bpe.most_frequent_bytes(*table(words), limit) == bytes(found[:limit])
