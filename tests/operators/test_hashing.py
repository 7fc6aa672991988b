import hashlib

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from operators.hashing import content_digests, mix64, row_hash, row_hashes
from operators.normal_text import standard

TEXTS = st.lists(st.text(max_size=20), max_size=8)


@given(TEXTS, st.integers(-(2**63), 2**70))
def test_row_hashes_are_the_documented_ones(ids: list[str], seed: int) -> None:
    subseed = xxhash.xxh3_64_intdigest(b"draw", seed=seed % 2**64)
    expected = [xxhash.xxh3_64_intdigest(name.encode(), seed=subseed) for name in ids]
    assert row_hashes(pa.chunked_array([pa.array(ids, pa.string())]), seed, "draw").tolist() == expected
    assert [row_hash(name, seed, "draw") for name in ids] == expected


def test_row_hashes_never_change() -> None:
    assert row_hash("a", 7, "sample-0") == 12053813810255166637


@given(TEXTS, TEXTS)
def test_content_digests_are_blake2b_of_each_value_across_chunks_and_slices(one: list[str], two: list[str]) -> None:
    column = pa.chunked_array(
        [pa.array(["skipped", *one], pa.large_string()).slice(1), pa.array(two, pa.large_string())]
    )
    expected = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in one + two]
    assert [row.tobytes() for row in content_digests(column)] == expected
    folded = [hashlib.blake2b(standard(text).encode(), digest_size=16).digest() for text in one + two]
    assert [row.tobytes() for row in content_digests(column, "whitespace_case")] == folded


def test_mix64_keeps_numbers_apart() -> None:
    assert np.unique(mix64(np.arange(100_000, dtype=np.uint64))).size == 100_000
