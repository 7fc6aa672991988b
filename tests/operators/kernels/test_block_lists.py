import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.character_flags import character_flags
from operators.kernels import block_lists, block_lists_reference
from operators.text_buffers import joined_bytes

PIECES = [
    "a",
    "b",
    "ab",
    "B",
    "A",
    " ",
    "\n",
    "_",
    "1",
    ".",
    "\xe9",
    "\xc9",
    "\u0130",
    "\u03a3",
    "\u6f22",
    "\u0301",
    "\U0001d7d8",
]
WORDS = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join), min_size=1, max_size=6)
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(), max_size=4)
URL_PIECES = [
    *("http", "https", ":", "//", "/", "?", "#", "@", ".", "..", "[", "]", ":80", "-", "%20", " ", "\xe9"),
    *("example", "EXAMPLE", "org", "co.uk", "a", "b", "www.", "bad", "Bad", "word", "9"),
]
URLS = st.lists(st.lists(st.sampled_from(URL_PIECES), max_size=12).map("".join), max_size=5)
HOSTS = ["example.org", "a.example.org", "example", "org", "a.b", "b", "[a]", "www.example.co.uk"]


@given(TEXTS, WORDS, st.booleans())
def test_hits_are_those_of_the_reference(texts: list[str], words: list[str], needs_flanks: bool) -> None:
    data, offsets = joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    small = sorted({block_lists_reference.lower(word) for word in words})
    found = block_lists.find_words(data, offsets, block_lists.automaton(small), character_flags(), needs_flanks)
    expected = [block_lists_reference.find_words(text, small, needs_flanks=needs_flanks) for text in texts]
    for got, (hits, distinct, first, num_words) in zip(found.tolist(), expected, strict=True):
        assert got == [hits, distinct, first, num_words]


@given(URLS, st.lists(st.sets(st.sampled_from(HOSTS), max_size=4), min_size=2, max_size=2), st.data())
def test_addresses_are_looked_up_as_the_reference_does(
    urls: list[str], names: list[set[str]], data: st.DataObject
) -> None:
    whole = data.draw(st.sets(st.sampled_from([*urls, "example.org/a"]), max_size=2)) if urls else set()
    hard, soft = ({*data.draw(st.sets(st.sampled_from(["bad", "Bad", "word", "9"]), max_size=3))} for _ in range(2))
    lists = [sorted(found) for found in (*names, whole - {""}, hard, soft)]
    tables = [block_lists.listed(pa.array(found, pa.large_string())) for found in lists]
    buffers = joined_bytes(pa.array(["skipped", *urls], pa.large_string()).slice(1))
    counts, firsts = block_lists.look_up(*buffers, *tables)
    assert counts.tolist() == [list(block_lists_reference.look_up(url, *lists)) for url in urls]
    assert ((firsts >= 0) == (counts > 0)).all()
    out, ends = block_lists.squashed(*buffers)
    small = [out[ends[number] : ends[number + 1]].tobytes().decode() for number in range(len(urls))]
    assert small == [block_lists_reference.squashed(url) for url in urls]


def test_entries_of_one_hash_are_told_apart() -> None:
    entries = block_lists.listed(pa.array(["a.org", "b.org"], pa.large_string()))
    wanted = entries.hashes[1]
    half = int(wanted >> np.uint64(63))
    heads = np.array([0, 0, 2] if half else [0, 2, 2], np.int32)
    alike = entries._replace(hashes=np.full(2, wanted), heads=heads, shift=np.uint64(63))
    nothing = block_lists.listed(pa.array([], pa.large_string()))
    name = "ab"[int(entries.numbers[1])]
    data, offsets = joined_bytes(pa.array([f"{name}.org", "c.org"], pa.large_string()))
    counts, firsts = block_lists.look_up(data, offsets, alike, nothing, nothing, nothing, nothing)
    assert counts[:, 0].tolist() == [1, 0]
    assert firsts[0, 0] == entries.numbers[1]


def test_an_automaton_of_more_than_a_gigabyte_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_lists, "MAX_CELLS", 10)
    with pytest.raises(ValueError, match="2 words of 3 different characters need 4 states"):
        block_lists.automaton(["ab", "ac"])
