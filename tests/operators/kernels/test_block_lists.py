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
    *("example", "EXAMPLE", "org", "co.uk", "a", "b", "www.", "bad", "Bad", "word", "9", f"{'x' * 240}."),
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
    tables = block_lists.listed([pa.array(found, pa.large_string()) for found in lists])
    buffers = joined_bytes(pa.array(["skipped", *urls], pa.large_string()).slice(1))
    counts, firsts = block_lists.look_up(*buffers, *tables)
    assert counts.tolist() == [list(block_lists_reference.look_up(url, *lists)) for url in urls]
    assert ((firsts >= 0) == (counts > 0)).all()
    out, ends = block_lists.squashed(*buffers)
    small = [out[ends[number] : ends[number + 1]].tobytes().decode() for number in range(len(urls))]
    assert small == [block_lists_reference.squashed(url) for url in urls]


def test_entries_of_one_hash_are_told_apart_by_their_bytes_and_lists() -> None:
    lists = [pa.array(found, pa.large_string()) for found in (["a.org", "b.org"], ["c.org", "b.org"], [], [], [])]
    found = block_lists.listed(lists)
    wanted = int(np.flatnonzero((found.table[:, 3] == 1) & (found.table[:, 4] == 0))[0])
    index = found.table.copy()
    index[:, 0] = index[wanted, 0]
    heads = np.zeros_like(found.heads)
    heads[np.searchsorted(np.arange(1 << 3, dtype=np.uint64) << np.uint64(61), np.uint64(index[0, 0]), "right") :] = 4
    data, offsets = joined_bytes(pa.array(["b.org"], pa.large_string()))
    counts, firsts = block_lists.look_up(data, offsets, found.data, index, heads, found.sizes)
    assert counts.tolist() == [[1, 0, 0, 0, 0]]  # what the host is looked up by is another hash now
    assert firsts[0, 0] == 1


def test_an_automaton_of_more_than_a_gigabyte_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_lists, "MAX_CELLS", 10)
    with pytest.raises(ValueError, match="2 words of 3 different characters need 4 states"):
        block_lists.automaton(["ab", "ac"])
