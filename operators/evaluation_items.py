"""The items of evaluation sets: their words in a normal form, their n-grams, and which documents hold these.

Words are those of `operators/words.py`, in the lower case of `operators/normal_text.py`, without the code points that
are neither letters, digits nor marks (and without soft hyphens and joiners); what is nothing then is no word. So case,
punctuation, symbols and white space make no difference, and a character of a script without spaces is a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators.base import BatchFn, Context, Fold, Outputs
from operators.code_point_tables import POINT_MASK
from operators.normal_text import normal_table
from operators.word_classes import DIGIT, EXTEND, KIND_MASK, as_array, code_point_values

if TYPE_CHECKING:
    from operators.kernels.item_ngrams import Grams
    from operators.scans import Scan

ITEMS: Final = "_items"
"""The table of a reference's items: `id`, and `words` with a space between two."""

_ITEMS: Final = pa.schema([("id", pa.string()), ("words", pa.large_string())])
_INVISIBLE: Final = (0xAD, 0x200C, 0x200D)
Longs = NDArray[np.int64]


class EvaluationItems(Fold):
    """The items of one reference input, by id. The state is their words: it has the size of the evaluation set."""

    reference: str

    @override
    def source(self) -> str:
        return f"input:{self.reference}"

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.scans import scan_texts

        def apply(rows: pa.Table) -> pa.Table:
            scan = scan_texts(rows["text"], "standard")
            words = normal_words(scan).take(pa.array(scan.tokens))
            is_word = pc.not_equal(words, "")
            until = np.append(0, np.cumsum(is_word.to_numpy(zero_copy_only=False)))[scan.token_starts]
            lists = pa.LargeListArray.from_arrays(until, words.filter(is_word))
            joined = [" ".join(item) for item in lists.to_pylist()]
            return pa.table({"id": rows["id"].cast(pa.string()), "words": joined}, _ITEMS)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {ITEMS: state.select(_ITEMS.names).sort_by("id")}


@cache
def word_table() -> NDArray[np.int32]:
    """For every code point what it is in a word: its lower case, or -1 for nothing; read-only."""
    kinds = as_array(code_point_values()) & KIND_MASK
    table = np.where((kinds >= EXTEND) & (kinds <= DIGIT), normal_table() & POINT_MASK, -1).astype(np.int32)
    table[list(_INVISIBLE)] = -1
    table.flags.writeable = False
    return table


def normal_words(scan: Scan) -> pa.LargeStringArray:
    """The normal form of each distinct word of a scan; "" where it is no word.

    >>> from operators.scans import scan_texts
    >>> normal_words(scan_texts(pa.chunked_array([["The U.S. - now!"]]), "standard")).to_pylist()
    ['the', 'us', '', '', 'now', '']
    """
    from operators.kernels import item_ngrams

    data, starts = item_ngrams.normal_words(scan.word_bytes, scan.word_starts, word_table())
    return pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(data))


class Index(NamedTuple):
    """The n-grams of all items of all references; items are numbered by reference, then id."""

    vocabulary: pa.LargeStringArray
    """The words of all items; a word's place is its number."""
    grams: Grams
    firsts: Longs
    """(n-grams + 1) Where the items of each n-gram begin in `items`; an n-gram that is ignored has none."""
    items: Longs
    """The items of each n-gram, rising, one n-gram after another."""
    sizes: Longs
    """(items) The distinct n-grams of each that are not ignored."""


class Items:
    """The names of numbered items, from the tables that `EvaluationItems` leaves."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        chunks = [pa.array([], pa.string()), *(chunk for table in tables for chunk in table["id"].chunks)]
        self._ids = pa.concat_arrays(chunks)
        self.owners = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
        """The place of each item's reference among the references."""

    def ids(self, items: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """The id of each."""
        return self._ids.take(items)

    def references(self, names: Sequence[str], items: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """The reference of each."""
        return pa.array(names, pa.string()).take(pa.array(self.owners, pa.int64()).take(items))


class Matches(NamedTuple):
    """What documents have of items. An entry is a document and an item that share an n-gram; both rise."""

    num_words: Longs
    """(documents)"""
    covered: Longs
    """(documents) Words inside n-grams of items."""
    hits: Longs
    """(documents) Distinct n-grams of items."""
    document: Longs
    item: Longs
    ngrams: Longs
    """The distinct n-grams that they share."""


def index_of(
    tables: Sequence[pa.Table], ngram: int, min_words: int, max_items: int | None, ignored: Longs | None = None
) -> Index:
    """The index of the items of several references, each a table as `EvaluationItems` leaves it.

    `ignored` are numbers of n-grams, as the index of the same items without it numbers them.
    """
    from operators.kernels import item_ngrams

    texts = pa.chunked_array([pa.array([], pa.large_string()), *(c for t in tables for c in t["words"].chunks)])
    lists = pc.split_pattern(pc.if_else(pc.equal(texts, ""), None, texts), " ").combine_chunks()
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
    coded = lists.flatten().dictionary_encode()
    words = coded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    grams, gram_of = item_ngrams.item_grams(words, starts, ngram, min_words)
    gram, item, _ = _distinct(gram_of[gram_of >= 0], np.repeat(np.arange(len(sizes)), sizes)[gram_of >= 0])
    reference = np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])
    if max_items is not None:
        shared, _, counts = _distinct(gram, reference[item])
        is_kept = ~np.isin(gram, shared[counts > max_items])
        gram, item = gram[is_kept], item[is_kept]
    if ignored is not None:
        is_kept = ~np.isin(gram, ignored)
        gram, item = gram[is_kept], item[is_kept]
    firsts = np.searchsorted(gram, np.arange(grams.starts.size + 1))
    return Index(coded.dictionary, grams, firsts, item, np.bincount(item, minlength=len(sizes)))


def matches_of(scan: Scan, index: Index) -> Matches:
    """What the documents of a scan have of the items of an index."""
    found, num_words = _found(scan, index)
    documents = len(num_words)
    document, gram, _ = _distinct(found[:, 0], found[:, 2])
    hits = np.bincount(document, minlength=documents)
    counts = index.firsts[gram + 1] - index.firsts[gram]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    items = index.items[np.repeat(index.firsts[gram], counts) + within]
    covered = _covered(found, num_words, index.grams.lengths)
    return Matches(num_words, covered, hits, *_distinct(np.repeat(document, counts), items))


def documents_of(scan: Scan, index: Index) -> tuple[Longs, Longs]:
    """The n-grams that documents of a scan hold, by number, rising; and how many documents hold each."""
    found, _ = _found(scan, index)
    gram, _, _ = _distinct(found[:, 2], found[:, 0])
    return np.unique(gram, return_counts=True)


def _found(scan: Scan, index: Index) -> tuple[Longs, Longs]:
    """The matches of n-grams that are not ignored (document, first word, n-gram), and each document's words."""
    from operators.kernels.item_ngrams import NO_WORD, UNKNOWN, find_grams

    words = normal_words(scan)
    places = pc.index_in(words, value_set=index.vocabulary)
    numbers = pc.if_else(pc.equal(words, ""), NO_WORD, pc.fill_null(places, UNKNOWN)).cast(pa.int32()).to_numpy()
    found, num_words = find_grams(scan.tokens, scan.token_starts, numbers, index.grams)
    return found[index.firsts[found[:, 2] + 1] > index.firsts[found[:, 2]]], num_words


def _distinct(first: NDArray[Any], second: NDArray[Any]) -> tuple[Longs, Longs, Longs]:
    """The distinct pairs of two columns of numbers from 0 on, rising, and how often each is there.

    >>> [column.tolist() for column in _distinct(np.array([1, 0, 1]), np.array([0, 2, 0]))]
    [[0, 1], [2, 0], [1, 2]]
    """
    width = int(second.max(initial=0)) + 1
    pairs, counts = np.unique(first.astype(np.int64) * width + second, return_counts=True)
    return pairs // width, pairs % width, counts


def _covered(found: Longs, num_words: Longs, lengths: NDArray[np.int32]) -> Longs:
    """How many words of each document lie inside a match."""
    starts = found[:, 1] + (np.cumsum(num_words) - num_words)[found[:, 0]]
    order = np.argsort(starts, kind="stable")
    starts, document = starts[order], found[order, 0]
    ends = np.maximum.accumulate(starts + lengths[found[order, 2]])
    fresh = ends - np.maximum(starts, np.append(0, ends)[:-1])
    covered = np.zeros(len(num_words), np.int64)
    np.add.at(covered, document, np.maximum(fresh, 0))
    return covered
