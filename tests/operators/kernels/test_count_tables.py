from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels.count_tables import add_up

Row = tuple[bytes, int, int]

# Words that share their first eight bytes, with zeros where shorter ones end, are what the sort could confuse.
words = st.one_of(
    st.binary(max_size=12),
    st.text(alphabet="\x00a", max_size=11).map(str.encode),
    st.text(alphabet="ab", max_size=3).map(lambda end: b"a" * 8 + end.encode()),
)
rows = st.lists(st.tuples(words, st.integers(0, 2**50), st.integers(0, 2)), max_size=80)


def slow(given: list[Row]) -> list[Row]:
    totals: Counter[tuple[bytes, int]] = Counter()
    for word, count, group in given:
        totals[word, group] += count
    return [(word, count, group) for (word, group), count in sorted(totals.items())]


def added(given: list[Row]) -> list[Row]:
    words = pa.array([word for word, _, _ in given], pa.large_binary())
    counts, groups = (np.array([row[place] for row in given], np.int64) for place in (1, 2))
    result = add_up(words, counts, groups)
    return list(zip(result.words.to_pylist(), result.counts.tolist(), result.groups.tolist(), strict=True))


@given(rows)
def test_sums_and_order_are_those_of_a_dictionary(given: list[Row]) -> None:
    assert added(given) == slow(given)


@given(rows)
def test_what_is_sorted_and_distinct_stays_as_it_is(given: list[Row]) -> None:
    assert added(slow(given)) == slow(given)


def test_many_words_with_one_beginning_are_sorted() -> None:
    random = np.random.default_rng(5)
    given = [
        (b"asbefore" + bytes(random.integers(97, 99, 6).tolist()), 1, int(random.integers(2))) for _ in range(5000)
    ]
    assert added(given) == slow(given)


def test_a_slice_of_words_is_the_words_in_it() -> None:
    words = pa.array([b"x", b"b", b"a", b"b"], pa.large_binary())
    result = add_up(words.slice(1), np.array([1, 2, 3]))
    assert (result.words.to_pylist(), result.counts.tolist()) == ([b"a", b"b"], [2, 4])


def test_a_null_or_a_missing_count_is_refused() -> None:
    with pytest.raises(ValueError, match="2 words, 1 null, 1 counts"):
        add_up(pa.array([b"a", None], pa.large_binary()), np.array([1]))
