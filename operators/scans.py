"""The words of a table's texts, scanned once and shared by every rule that counts words.

`scan_texts` gives the same for the same texts, always. It remembers the last two scans of the process, so that the
steps of one recipe share one scan of a shard, also after rows were dropped in between: the documents are known again by
128 bits of their content under a key that no document can know (it is drawn when the process starts), and the rows'
words are taken out of the remembered scan. Memory that stays: 4 bytes for each word of the texts and 32 for each
document of the last two scans (of the last alone if both have more than 64 million words), besides the distinct words.

Price: see `operators/kernels/words.py`; a scan that is remembered costs the 128 bits, some GB/s.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.normal_text import SPACE as WHITE
from operators.normal_text import normal_table
from operators.text_buffers import column_bytes, joined_bytes
from operators.word_classes import KIND_MASK, SPACE, as_array, code_point_values
from operators.words import PUNCTUATION_SET

Words = Literal["standard", "datatrove"]

_KEPT: Final = 2
_KEPT_TOKENS: Final = 64_000_000


@dataclass(frozen=True, eq=False)
class Scan:
    """The words of all documents of a table, as numbers in a table of distinct words. Arrays are not to be changed.

    No word is empty or holds white space. The table may have words that no document here has.
    """

    token_starts: NDArray[np.int64]
    """(documents + 1) Where each document's words begin in `tokens`."""
    tokens: NDArray[np.int32]
    """The number of each word, in the text's order."""
    word_bytes: NDArray[np.uint8]
    """The distinct words' UTF-8, one after another."""
    word_starts: NDArray[np.int64]
    """(words + 1) Where each begins in it."""
    word_chars: NDArray[np.int32]
    """Code points of each."""
    word_flags: NDArray[np.uint8]
    """Bit 0: it has a character outside PUNCTUATION_SET. Bit 1: it has a letter."""
    num_chars: NDArray[np.int64]
    """Code points of each document's text, white space and all."""

    def words(self, document: int) -> list[str]:
        """The words of one document, in order: slow, for tests and for looking.

        >>> scan_texts(pa.chunked_array([["It's so."]]), "standard").words(0)
        ['It', "'s", 'so', '.']
        """
        numbers = self.tokens[self.token_starts[document] : self.token_starts[document + 1]]
        starts = self.word_starts
        return [self.word_bytes[starts[word] : starts[word + 1]].tobytes().decode() for word in numbers]

    def distinct_words(self) -> pa.LargeBinaryArray:
        """The table of distinct words, without a copy.

        >>> scan_texts(pa.chunked_array([["no, no"]]), "standard").distinct_words().to_pylist()
        [b'no', b',']
        """
        buffers = [None, pa.py_buffer(self.word_starts), pa.py_buffer(self.word_bytes)]
        return pa.Array.from_buffers(pa.large_binary(), len(self.word_chars), buffers)


@dataclass(frozen=True, eq=False)
class _Remembered:
    words: Words
    keys: NDArray[np.uint64]
    order: NDArray[np.int64]
    """Rows by the first half of their keys."""
    scan: Scan


_remembered: tuple[_Remembered, ...] = ()


def scan_texts(texts: pa.ChunkedArray, words: Words) -> Scan:
    """The words of texts; a null has none.

    Args:
        texts: any string type.
        words: `standard` (operators/words.py), or `datatrove`: those of spaCy (operators/reference_words.py).

    Raises:
        RecipeError: `datatrove`, and spaCy is not installed.
    """
    global _remembered
    from operators.kernels.scans import content_keys

    data, offsets = column_bytes(pc.fill_null(texts, "") if texts.null_count else texts)
    keys = content_keys(data, offsets, hash_seeds())
    for known in _remembered:
        if known.words == words and (rows := _rows_of(keys, known)) is not None:
            return _picked(known.scan, rows)
    scan = _scanned(data, offsets, words)
    order = np.argsort(keys[:, 0], kind="stable")
    latest, *older = (_Remembered(words, keys, order, scan), *_remembered)
    held = [known for known in older if known.scan.tokens.size + scan.tokens.size <= _KEPT_TOKENS]
    _remembered = (latest, *held[: _KEPT - 1])
    return scan


def _rows_of(keys: NDArray[np.uint64], known: _Remembered) -> NDArray[np.int64] | None:
    """Where each text is in a remembered scan; None if one is not."""
    if not len(known.order):
        return None if len(keys) else known.order
    if np.array_equal(known.keys, keys):
        return np.arange(len(keys))
    sorted_keys = known.keys[known.order, 0]
    places = np.minimum(np.searchsorted(sorted_keys, keys[:, 0]), len(known.order) - 1)
    rows = known.order[places]
    return rows if np.array_equal(known.keys[rows], keys) else None


def _picked(scan: Scan, rows: NDArray[np.int64]) -> Scan:
    """The scan of some of the documents."""
    from operators.kernels.scans import gathered

    if np.array_equal(rows, np.arange(len(scan.num_chars))):
        return scan
    tokens, starts = gathered(scan.tokens, scan.token_starts, rows)
    return Scan(
        starts, tokens, scan.word_bytes, scan.word_starts, scan.word_chars, scan.word_flags, scan.num_chars[rows]
    )


def _scanned(data: NDArray[np.uint8], offsets: NDArray[np.int64], words: Words) -> Scan:
    from operators.kernels.scans import described, expanded
    from operators.kernels.words import IS_SPACE, IS_WHITE, find_chunks, split_chunks

    table, seeds = kernel_table(), hash_seeds()
    space = IS_SPACE if words == "standard" else IS_WHITE
    numbers, firsts, starts, stops, num_chars = find_chunks(data, offsets, table, space, seeds)
    if words == "standard":
        chunk_tokens, chunk_firsts, word_bytes, word_starts = split_chunks(data, starts, stops, table, seeds)
    else:
        chunks = [data[start:stop].tobytes().decode() for start, stop in zip(starts, stops, strict=True)]
        whole = _cut_as_wholes(numbers, firsts, chunks)
        texts = [data[offsets[document] : offsets[document + 1]].tobytes().decode() for document in whole]
        chunk_tokens, chunk_firsts, word_bytes, word_starts = _reference_words(chunks, texts)
        numbers, firsts = _with_wholes(numbers, firsts, whole, len(chunks))
    tokens, token_starts = expanded(numbers, firsts, chunk_tokens, chunk_firsts)
    word_chars, word_flags = described(word_bytes, word_starts, table)
    return Scan(token_starts, tokens, word_bytes, word_starts, word_chars, word_flags, num_chars)


def _cut_as_wholes(numbers: NDArray[np.int32], firsts: NDArray[np.int64], chunks: list[str]) -> NDArray[np.int64]:
    """The documents whose words are not those of their chunks, one after the other: very few."""
    from operators.reference_words import BROKEN, spacy_edges

    if not chunks:
        return np.zeros(0, np.int64)
    right, left = spacy_edges(chunks)
    meets = np.zeros(len(numbers), bool)
    meets[1:] = (right[numbers[:-1]] & left[numbers[1:]]) != 0
    meets[firsts[firsts < len(numbers)]] = False
    meets |= np.array([BROKEN in chunk for chunk in chunks])[numbers]
    return np.unique(np.searchsorted(firsts, np.flatnonzero(meets), side="right") - 1)


def _with_wholes(
    numbers: NDArray[np.int32], firsts: NDArray[np.int64], whole: NDArray[np.int64], first: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbers of chunks, and where each document's begin, if some documents are one chunk, numbered from `first` on."""
    numbers, is_kept, sizes = numbers.copy(), np.ones(len(numbers), bool), np.diff(firsts)
    for number, document in enumerate(whole, first):
        numbers[firsts[document]] = number
        is_kept[firsts[document] + 1 : firsts[document + 1]] = False
        sizes[document] = 1
    return numbers[is_kept], np.concatenate([[0], np.cumsum(sizes)])


def _reference_words(
    chunks: list[str], texts: list[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """What `kernels.words.split_chunks` returns, by spaCy: of chunks, and of whole texts after them."""
    from operators.kernels.words import split_chunks
    from operators.reference_words import spacy_text_words, spacy_words

    parts = [*spacy_words(chunks), *map(spacy_text_words, texts)]
    firsts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(words) for words in parts], out=firsts[1:])
    data, offsets = joined_bytes(pa.array([word for words in parts for word in words], pa.large_string()))
    no_table = np.zeros(0, np.uint8)
    numbers, _, word_bytes, word_starts = split_chunks(data, offsets[:-1], offsets[1:], no_table, hash_seeds())
    return numbers, firsts, word_bytes, word_starts


@cache
def kernel_table() -> NDArray[np.uint8]:
    """Of every code point what the kernels ask: `word_classes.code_point_values` and three flags of theirs."""
    from operators.kernels.words import IS_PLAIN, IS_SPACE, IS_WHITE

    table = as_array(code_point_values()).copy()
    table |= np.where(table & KIND_MASK == SPACE, IS_SPACE, 0).astype(np.uint8)
    table |= np.where(normal_table() & WHITE, IS_WHITE, 0).astype(np.uint8)
    plain = np.full(table.size, IS_PLAIN, np.uint8)
    plain[list(map(ord, PUNCTUATION_SET))] = 0
    table |= plain
    table.flags.writeable = False
    return table


@cache
def hash_seeds() -> NDArray[np.uint64]:
    """Four odd numbers of this process: where hashes put things, and never what comes out."""
    return np.array([secrets.randbits(64) | 1 for _ in range(4)], np.uint64)
