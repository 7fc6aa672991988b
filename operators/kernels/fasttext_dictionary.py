"""The dictionary of fastText's training: texts as words, and the rows of the input matrix that each word has.

It is that of fastText 0.9.2 up to the order of words of one count; `fasttext_training.py` says how it deviates.

All compiled functions stay in this file: numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from operators.fasttext_model import LABEL, SENTENCE_END
from operators.text_buffers import joined_bytes

MOST_ENTRIES: Final = 22_500_000
"""Of the dictionary: beyond, rare words are forgotten, as three quarters of the library's table are full."""

_MASK: Final = np.uint64(0xFFFFFFFF)
_BASIS, _PRIME = np.uint64(2_166_136_261), np.uint64(16_777_619)  # FNV-1a of 32 bits
_SIGNED: Final = np.arange(256).astype(np.int8).astype(np.int64).astype(np.uint64)  # a byte as the library's `char`
_PREFIX: Final = np.frombuffer(LABEL.encode(), np.uint8).copy()
_END: Final = np.frombuffer(SENTENCE_END, np.uint8).copy()
_WHITE: Final = np.isin(np.arange(256), np.frombuffer(b" \n\r\t\v\f\0", np.uint8))
_END_WORD: Final = 0  # the number of `</s>`, which no text holds
_FIRST_SLOTS: Final = 1 << 16


class Corpus(NamedTuple):
    """Texts as words. Words are numbered by first occurrence, after `</s>`, which ends every text."""

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    """Where each text's tokens begin, with the end of the last."""
    names: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]
    """Bytes, and of each word where it begins in them and its length."""
    hashes: NDArray[np.uint32]
    counts: NDArray[np.int64]

    @property
    def num_tokens(self) -> int:
        """As the library counts them: with a label and an end for each text."""
        return self.tokens.size + self.starts.size - 1

    def word(self, number: int) -> bytes:
        """The name of a word."""
        data, begins, lengths = self.names
        if number == _END_WORD:
            return SENTENCE_END
        return data[begins[number] : begins[number] + lengths[number]].tobytes()

    def kept(self, min_count: int) -> NDArray[np.int64]:
        """The words of the dictionary, the most frequent first, then by first occurrence."""
        order = np.argsort(-self.counts, kind="stable")
        found: NDArray[np.int64] = order[self.counts[order] >= max(min_count, 1)]
        return found


def read(texts: pa.Array, max_entries: int = MOST_ENTRIES) -> Corpus:
    """The words of some texts, none null."""
    data, offsets = joined_bytes(texts)
    tokens, starts, begins, lengths, hashes, counts = _read(data, offsets, max_entries)
    return Corpus(tokens, starts, (data, begins, lengths), hashes, counts)


@njit(cache=True, nogil=True)
def _read(data, offsets, max_entries):
    num_texts = offsets.size - 1
    starts = np.zeros(num_texts + 1, np.int64)
    tokens, num_tokens = np.empty(1 << 16, np.int32), 0
    slots = np.full(_FIRST_SLOTS, -1, np.int32)
    begins, lengths = np.zeros(1 << 15, np.int64), np.zeros(1 << 15, np.int32)
    hashes, counts = np.zeros(1 << 15, np.uint32), np.zeros(1 << 15, np.int64)
    lengths[_END_WORD], hashes[_END_WORD] = _END.size, np.uint32(_hash(_END))
    num_words, num_entries, threshold = 1, 0, 1
    for text in range(num_texts):
        place, stop = offsets[text], offsets[text + 1]
        while True:
            begin, end, value = _token(data, place, stop)
            place = end
            ends = begin == end or _equal(data, begin, end, _END)
            if not ends and end - begin >= _PREFIX.size and _equal(data, begin, begin + _PREFIX.size, _PREFIX):
                continue
            number = np.int64(_END_WORD)
            if not ends:
                slot = _find(slots, data, begin, end, value, begins, lengths, hashes)
                number = np.int64(slots[slot])
                if number < 0:
                    number = np.int64(num_words)
                    slots[slot] = number
                    begins[number], lengths[number], hashes[number] = begin, end - begin, np.uint32(value)
                    num_words += 1
                    if num_words == begins.size:
                        begins, lengths = _doubled(begins), _doubled(lengths)
                        hashes, counts = _doubled(hashes), _doubled(counts)
                        slots = _indexed(hashes, num_words, 4 * begins.size)
            num_entries += counts[number] == 0
            counts[number] += 1
            if num_entries > max_entries:
                threshold += 1
                num_entries = _forget(counts[:num_words], threshold)
            if num_tokens == tokens.size:
                tokens = _doubled(tokens)
            tokens[num_tokens] = number
            num_tokens += 1
            if ends:
                break
        starts[text + 1] = num_tokens
    return (
        tokens[:num_tokens].copy(), starts, begins[:num_words].copy(), lengths[:num_words].copy(),
        hashes[:num_words].copy(), counts[:num_words].copy(),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _token(data, place, stop):
    """Where the next token begins and ends, and its hash; an empty one at the text's end."""
    while place < stop and _WHITE[data[place]]:
        place += 1
    begin, value = place, _BASIS
    while place < stop and not _WHITE[data[place]]:
        value = (value ^ _SIGNED[data[place]]) * _PRIME  # the low 32 bits depend on the low 32 bits alone
        place += 1
    return begin, place, value & _MASK


@njit(cache=True, nogil=True)
def _hash(name):
    value = _BASIS
    for byte in name:
        value = (value ^ _SIGNED[byte]) * _PRIME
    return value & _MASK


@njit(cache=True, nogil=True)
def _equal(data, begin, end, other):
    if end - begin != other.size:
        return False
    for step in range(other.size):  # noqa: SIM110 - numba compiles no generator in `all`
        if data[begin + step] != other[step]:
            return False
    return True


@njit(cache=True, nogil=True)
def _find(slots, data, begin, end, value, begins, lengths, hashes):
    """The slot of a word, or the free one where it belongs."""
    mask = slots.size - 1
    slot = (np.int64(value) ^ np.int64(value) >> 15) & mask
    while slots[slot] >= 0:
        number = slots[slot]
        if hashes[number] == value and lengths[number] == end - begin:
            first, step = begins[number], 0
            while step < end - begin and data[first + step] == data[begin + step]:
                step += 1
            if step == end - begin:
                break
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _indexed(hashes, num_words, size):
    """Slots for all words but `</s>`."""
    slots, mask = np.full(size, -1, np.int32), size - 1
    for number in range(1, num_words):
        value = np.int64(hashes[number])
        slot = (value ^ value >> 15) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number
    return slots


@njit(cache=True, nogil=True)
def _doubled(values):
    wider = np.zeros(2 * values.size, values.dtype)
    wider[: values.size] = values
    return wider


@njit(cache=True, nogil=True)
def _forget(counts, threshold):
    """Take rarer words out of the dictionary: they begin at 0 when they come again. How many stay."""
    stay = 0
    for number in range(counts.size):
        if counts[number] < threshold:
            counts[number] = 0
        stay += counts[number] > 0
    return stay


@njit(cache=True, nogil=True)
def word_rows(data, begins, lengths, rows, num_kept, buckets, least, most):
    """Of each word where its rows begin, and the rows: its own if it is kept, then those of its n-grams."""
    starts = np.zeros(rows.size + 1, np.int64)
    found, count = np.empty(rows.size + 1024, np.int32), 0
    for number in range(rows.size):
        needed = count + 1 + (most * (lengths[number] + 2) if number != _END_WORD else 0)
        while needed > found.size:
            found = _doubled(found)
        if rows[number] >= 0:
            found[count] = rows[number]
            count += 1
        if most > 0 and number != _END_WORD:
            count = _ngrams(data[begins[number] :][: lengths[number]], num_kept, buckets, least, most, found, count)
        starts[number + 1] = count
    return starts, found[:count].copy()


@njit(cache=True, nogil=True)
def _ngrams(word, num_kept, buckets, least, most, found, count):
    """Write the rows of the n-grams of a word between `<` and `>`, none of which is a mark alone; the new count."""
    for place in range(-1, word.size + 1):
        if _byte(word, place) & 0xC0 == 0x80:
            continue
        value, after, letters = _BASIS, place, 0
        while after <= word.size and letters < most:
            value = (value ^ _SIGNED[_byte(word, after)]) * _PRIME
            after += 1
            while after < word.size and word[after] & 0xC0 == 0x80:
                value = (value ^ _SIGNED[word[after]]) * _PRIME
                after += 1
            letters += 1
            if letters >= least and not (letters == 1 and (place == -1 or after > word.size)):
                found[count] = num_kept + np.int64((value & _MASK) % np.uint64(buckets))
                count += 1
    return count


@njit(cache=True, nogil=True)
def _byte(word, place):
    if place < 0:
        return np.uint8(60)
    return word[place] if place < word.size else np.uint8(62)
