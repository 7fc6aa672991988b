"""State files: every row lies in exactly one partition, whatever the key, the sizes and the cut into batches."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RunError
from pipeline import exchange
from pipeline.exchange import (
    BUCKETS,
    PARTITION_BYTES,
    State,
    buckets_of,
    key_buckets,
    num_partitions,
    partition_range,
    read_buckets,
    state_schema,
    write_state,
)
from pipeline.storage import Store


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A directory for all examples."""
    with tempfile.TemporaryDirectory() as directory:
        yield Store(directory)


def keys(kind: pa.DataType) -> st.SearchStrategy[list[object]]:
    """Keys of a type."""
    if pa.types.is_integer(kind):
        return st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=40)
    one = st.binary(max_size=4) if pa.types.is_large_binary(kind) else st.text(max_size=4)
    return st.lists(one, max_size=40)


@pytest.mark.parametrize("kind", [pa.uint64(), pa.string(), pa.large_binary()], ids=str)
@given(data=st.data())
def test_partitions_hold_every_row_once_and_equal_keys_together(
    kind: pa.DataType, data: st.DataObject, store: Store
) -> None:
    values = data.draw(keys(kind))
    rows = data.draw(st.sampled_from([1, 2, 5, 4096]))
    table = pa.table({"key": pa.array(values, kind), "n": pa.array(range(len(values)), pa.int64())})
    before, exchange.BATCH_ROWS = exchange.BATCH_ROWS, rows  # type: ignore[misc]
    try:
        state = write_state(store, "state", table, key_buckets(table, "key", "step"))
    finally:
        exchange.BATCH_ROWS = before  # type: ignore[misc]
    assert state.rows == len(values)
    assert state_schema(store, state) == table.schema
    for partitions in (1, 2, 8, BUCKETS):
        parts = [read_buckets(store, state, *partition_range(part, partitions)) for part in range(partitions)]
        assert all(part.schema == table.schema for part in parts)
        numbers = [number for part in parts for number in part["n"].to_pylist()]
        assert sorted(numbers) == list(range(len(values)))
        owner: dict[object, int] = {}
        for index, part in enumerate(parts):
            for key in part["key"].to_pylist():
                assert owner.setdefault(key, index) == index


def test_buckets_are_spread_evenly_and_never_change() -> None:
    numbers = buckets_of(pa.chunked_array([pa.array(range(100_000), pa.uint64())]))
    counts = np.bincount(numbers, minlength=BUCKETS)
    assert (counts.min(), counts.max()) > (300, 300)
    assert counts.max() < 500
    words = buckets_of(pa.chunked_array([pa.array([f"word{n}" for n in range(20_000)])]))
    assert np.bincount(words, minlength=BUCKETS).min() > 40
    assert buckets_of(pa.chunked_array([pa.array(["a", "b", ""])])).tolist() == [230, 87, 45]
    assert buckets_of(pa.chunked_array([pa.array([0, 1, 2**64 - 1], pa.uint64())])).tolist() == [0, 158, 97]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()], ids=str)
def test_a_string_s_bucket_does_not_depend_on_its_arrow_type(kind: pa.DataType) -> None:
    words = pa.chunked_array([pa.array(["a", "caf\u00e9", "", "long " * 99])])
    assert buckets_of(words.cast(kind)).tolist() == buckets_of(words).tolist()


def test_equal_states_give_equal_digests_whatever_their_chunks(store: Store) -> None:
    table = pa.table({"key": pa.array([3, 1, 2, 1], pa.uint64())})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    written = [write_state(store, f"s{n}", t, key_buckets(t, "key", "x")) for n, t in enumerate((table, chunked))]
    assert written[0].digest == written[1].digest


def test_the_number_of_partitions_follows_the_bytes_alone() -> None:
    def of(size: int, pieces: int = 1) -> int:
        return num_partitions([State("", 0, size // pieces, "")] * pieces)

    assert [of(0), of(1), of(PARTITION_BYTES), of(PARTITION_BYTES + 1)] == [1, 1, 1, 2]
    assert of(5 * PARTITION_BYTES) == of(5 * PARTITION_BYTES, 10) == 8
    assert of(10**6 * PARTITION_BYTES) == BUCKETS


def test_a_null_key_is_refused() -> None:
    table = pa.table({"key": pa.array([1, None], pa.uint64())})
    with pytest.raises(RunError, match="step 'x': the key 'key' of its state is null in 1 of 2 rows"):
        key_buckets(table, "key", "x")


def test_an_empty_state_keeps_its_schema(store: Store) -> None:
    table = pa.table({"key": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
    state = write_state(store, "empty", table, key_buckets(table, "key", "x"))
    assert read_buckets(store, state, 0, BUCKETS).schema == table.schema
    assert Path(store.full("empty")).stat().st_size == state.bytes


@pytest.mark.parametrize("largest", [0, 255, 65_535, 65_536, 1 << 40])
def test_rows_are_ordered_by_bucket_and_keep_their_order_in_it(store: Store, largest: int) -> None:
    bucket = np.random.default_rng(1).integers(0, 5, 2000) * (largest // 4)
    table = pa.table({"row": np.arange(2000)})
    state = write_state(store, f"ordered{largest}", table, bucket)
    found = read_buckets(store, state, 0, largest + 1)["row"].to_pylist()
    assert found == sorted(range(2000), key=lambda row: bucket[row])
