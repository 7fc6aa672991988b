import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.kernels import blake2, lines
from operators.kernels.collapse import collapsed
from operators.kernels.lines_reference import SPLIT, cut, may_go
from operators.normal_text import normal_table, standard
from operators.text_buffers import joined_bytes
from operators.unicode_classes import class_table

PIECES = [
    "a",
    "Word",
    "\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "\v",
    "\n\n",
    "\xe9",
    "\u6f22",
    "\u3000",
    "-",
    "7",
    "\U0001f600",
]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), max_size=5)


def buffers(texts: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))


@given(TEXTS, st.sampled_from(["line", "paragraph"]), st.integers(1, 5))
def test_units_are_those_of_the_reference(texts: list[str], unit: str, min_chars: int) -> None:
    data, offsets = buffers(texts)
    found = lines.find_units(data, offsets, unit == "paragraph", min_chars, class_table())
    expected = [
        (start + at, stop + at, end + at, number)
        for number, (text, at) in enumerate(zip(texts, offsets.tolist(), strict=False))
        for start, stop, end in SPLIT[unit](text.encode())
        if may_go(text.encode()[start:stop], min_chars)
    ]
    assert list(zip(*(values.tolist() for values in found), strict=True)) == expected


@given(TEXTS, st.sampled_from(["line", "paragraph"]), st.randoms(use_true_random=False))
def test_a_cut_text_is_that_of_the_reference(texts: list[str], unit: str, rng) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    data, offsets = buffers(texts)
    units = [SPLIT[unit](text.encode()) for text in texts]
    gone = [[each for each in some if rng.random() < 0.5] for some in units]
    cut_offsets = np.cumsum([0, *map(len, gone)])
    flat = np.array([(start, end) for some in gone for start, _, end in some], np.int64).reshape(-1, 2)
    out, ends = lines.without(data, offsets, cut_offsets, flat[:, 0].copy(), flat[:, 1].copy())
    left = [out[low:high].tobytes() for low, high in pairwise(ends)]
    assert left == [cut(text.encode(), some, hits) for text, some, hits in zip(texts, units, gone, strict=True)]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), max_size=60))
def test_tally_counts_documents_not_occurrences(rows: list[tuple[int, int]]) -> None:
    rows.sort()
    document = np.array([document for document, _ in rows], np.int64)
    key = np.array([key for _, key in rows], np.uint64)
    distinct, documents = lines.tally(key, document)
    assert distinct.tolist() == list(dict.fromkeys(key.tolist()))
    expected = {key: len({d for d, k in rows if k == key}) for _, key in rows}
    assert dict(zip(distinct.tolist(), documents.tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 30), max_size=60), st.lists(st.integers(0, 30), max_size=30))
def test_members_are_where_a_set_says(found: list[int], wanted: list[int]) -> None:
    places = lines.members(np.array(found, np.uint64), np.array(wanted, np.uint64))
    assert places.tolist() == [place for place, key in enumerate(found) if key in set(wanted)]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_a_key_depends_on_the_content_alone(pieces: list[bytes]) -> None:
    joined = b"".join(pieces) + b"tail"
    ends = np.cumsum([0, *map(len, pieces)])
    found = lines.keys(np.frombuffer(joined, np.uint8), ends[:-1].copy(), ends[1:].copy())
    alone = [
        lines.keys(np.frombuffer(piece, np.uint8), np.zeros(1, np.int64), np.array([len(piece)]))[0] for piece in pieces
    ]
    assert found.tolist() == [int(key) for key in alone]


@pytest.mark.slow
def test_keys_of_a_million_short_pieces_are_distinct() -> None:
    data = np.frombuffer("".join(f"{number:08}" for number in range(1_000_000)).encode(), np.uint8)
    starts = np.arange(0, data.size, 8)
    assert np.unique(lines.keys(data, starts, starts + 8)).size == starts.size
    assert np.unique(lines.keys(data, starts, starts + 8) >> np.uint64(20) & np.uint64(0xFFFFF)).size > 600_000


SIZES = [0, 1, 127, 128, 129, 255, 256, 257, blake2.LONG - 1, blake2.LONG, blake2.LONG + 1]


@given(st.lists(st.sampled_from(SIZES) | st.integers(0, 700), max_size=6), st.binary(min_size=8, max_size=64))
def test_digests_are_those_of_hashlib(sizes: list[int], seed: bytes) -> None:
    data = np.frombuffer(hashlib.shake_128(seed).digest(sum(sizes)), np.uint8)
    ends = np.cumsum([0, *sizes])
    found = blake2.digests(data, ends[:-1].copy(), ends[1:].copy())
    expected = [hashlib.blake2b(data[low:high].tobytes(), digest_size=16).digest() for low, high in pairwise(ends)]
    assert [digest.tobytes() for digest in found] == expected


@given(st.lists(st.text(max_size=30), max_size=6))
def test_collapsed_pieces_are_in_the_normal_form(texts: list[str]) -> None:
    data, offsets = buffers(texts)
    out, ends = collapsed(data, offsets[:-1], offsets[1:], normal_table())
    assert [out[low:high].tobytes().decode() for low, high in pairwise(ends)] == [standard(text) for text in texts]


@pytest.mark.parametrize("joiner", ["", " ", "x"])
def test_every_code_point_is_collapsed_into_its_normal_form(joiner: str) -> None:
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    data, offsets = buffers([joiner.join(map(chr, points))])
    out, _ = collapsed(data, offsets[:-1], offsets[1:], normal_table())
    assert out.tobytes().decode() == standard(joiner.join(map(chr, points)))
