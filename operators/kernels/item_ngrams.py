"""The n-grams of evaluation items as numbers, and where texts hold them.

Everything is exact. Words are numbers (equal numbers, equal words), an n-gram is found by a 64-bit polynomial of its
words and then compared word by word, so no collision of a hash can make a match. A bitmap of the n-grams' first words,
as many as the shortest has, with 16 bits or more for each, answers most questions with no; and words that no item has
end the runs that are asked about at all. `item_ngrams_reference.py` says slowly what is found.

All compiled functions stay in this file: numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

U64 = np.uint64
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

NO_WORD: Final = -2
"""The number of what is passed over: a word that is punctuation alone."""
UNKNOWN: Final = -1
"""The number of a word that no item has."""

_STEP = U64(0xD6E8FEB86659FD93)
_GOLDEN = U64(0x9E3779B97F4A7C15)


class Grams(NamedTuple):
    """The distinct n-grams of all items. The kernels take it as it is."""

    words: Ints
    """The words of all items, one after another: numbers from 0 on."""
    starts: Longs
    """(n-grams) Where each one's words begin in `words`, at one of its places."""
    lengths: Ints
    """(n-grams) How many words each has."""
    hashes: NDArray[np.uint64]
    """(n-grams) Their 64-bit polynomials."""
    slots: Ints
    """The hash table: 1 + an n-gram's number, 0 where it is free. Size: a power of two."""
    bitmap: NDArray[np.uint64]
    """A bit for each hash of the first `least` words; 64 times its size is a power of two."""
    least: int
    """The words of the shortest n-gram; 0 where there is none."""


@njit(inline="always")
def _mix(value):
    value = (value ^ (value >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> U64(27))) * U64(0x94D049BB133111EB)
    return value ^ (value >> U64(31))


@njit(inline="always")
def _added(value, word):
    """The polynomial with one word more; linear in the words, so two of them differ by chance once in 2^64."""
    return value * _STEP + (U64(word) + U64(1)) * _GOLDEN


@njit(inline="always")
def _bit(bitmap, code):
    """The place of a hash in the bitmap; other bits of it than those that find its slot."""
    return code >> U64(20) & U64(64 * bitmap.size - 1)


@njit(inline="always")
def _may_be(bitmap, code):
    """Whether there may be an n-gram of this hash."""
    bit = _bit(bitmap, code)
    return bitmap[bit >> U64(6)] >> (bit & U64(63)) & U64(1) != 0


@njit(cache=True, nogil=True)
def normal_words(data, starts, table):
    """The words `data[starts[i]:starts[i + 1]]` by a table of code points (-1: left out): bytes, and their starts."""
    out, offsets, size = np.empty(2 * data.size + 8, np.uint8), np.zeros(starts.size, np.int64), 0
    for word in range(starts.size - 1):
        at = starts[word]
        while at < starts[word + 1]:
            point, width = np.int64(data[at]), 1
            if point >= 0x80:
                width = 2 if point < 0xE0 else 3 if point < 0xF0 else 4
                point &= 0x7F >> width
                for more in range(1, width):
                    point = point << 6 | np.int64(data[at + more]) & 0x3F
            at += width
            point = np.int64(table[point])
            if point < 0:
                continue
            if point < 0x80:
                out[size] = point
                size += 1
                continue
            width = 2 if point < 0x800 else 3 if point < 0x10000 else 4
            for more in range(width - 1, 0, -1):
                out[size + more] = 0x80 | point & 0x3F
                point >>= 6
            out[size] = 0xF00 >> width & 0xFF | point
            size += width
        offsets[word + 1] = size
    return out[:size].copy(), offsets


def item_grams(words: Ints, starts: Longs, ngram: int, min_words: int) -> tuple[Grams, Ints]:
    """The n-grams of items, and for each place of `words` the number of the one that begins there, else -1.

    An item of fewer words than `ngram`, but `min_words` or more, has one n-gram, the whole item.
    """
    size = 1024
    while size < 2 * words.size:
        size *= 2
    slots, bitmap = np.zeros(size, np.int32), np.zeros(size // 8, np.uint64)  # 8 * size bits
    sizes = np.diff(starts)
    least = int(np.minimum(sizes[sizes >= min_words], ngram).min(initial=ngram))
    gram_of, firsts, lengths, hashes, count = _item_grams(words, starts, ngram, min_words, least, slots, bitmap)
    grams = Grams(words, firsts[:count].copy(), lengths[:count].copy(), hashes[:count].copy(), slots, bitmap, least)
    return grams, gram_of


@njit(cache=True, nogil=True)
def _find(words, low, length, code, gram_words, firsts, lengths, hashes, slots):
    """The slot of the n-gram `words[low:low + length]`, or the free one where it would be."""
    mask = U64(slots.size - 1)
    slot = code & mask
    while slots[slot]:
        gram = slots[slot] - 1
        if hashes[gram] == code and lengths[gram] == length:
            first, same = firsts[gram], 0
            while same < length and words[low + same] == gram_words[first + same]:
                same += 1
            if same == length:
                break
        slot = (slot + U64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _item_grams(words, starts, ngram, min_words, least, slots, bitmap):
    gram_of, count = np.full(words.size, -1, np.int32), 0
    firsts, lengths = np.empty(words.size, np.int64), np.empty(words.size, np.int32)
    hashes = np.empty(words.size, np.uint64)
    for item in range(starts.size - 1):
        low, high = starts[item], starts[item + 1]
        length = min(ngram, high - low)
        if length < min_words:
            continue
        for at in range(low, high - length + 1):
            value = U64(0)
            for place in range(at, at + length):
                value = _added(value, words[place])
                if place + 1 == at + least:
                    bit = _bit(bitmap, _mix(value))
                    bitmap[bit >> U64(6)] |= U64(1) << (bit & U64(63))
            code = _mix(value)
            slot = _find(words, at, length, code, words, firsts, lengths, hashes, slots)
            if slots[slot] == 0:
                firsts[count], lengths[count], hashes[count] = at, length, code
                count += 1
                slots[slot] = count
            gram_of[at] = slots[slot] - 1
    return gram_of, firsts, lengths, hashes, count


def find_grams(tokens: Ints, token_starts: Longs, numbers: Ints, grams: Grams) -> tuple[Longs, Longs]:
    """Where documents hold n-grams.

    Args:
        tokens: the words of all documents, one after another, as places in `numbers`.
        token_starts: (documents + 1) where each document's begin.
        numbers: for each distinct word its number as in `grams.words`, or UNKNOWN, or NO_WORD.
        grams: the n-grams.

    Returns:
        The matches as (document, place of the first word among the document's words, n-gram), shape (matches, 3), and
        how many words each document has.
    """
    lengths = np.unique(grams.lengths).astype(np.int64)
    powers = np.array([pow(int(_STEP), int(length), 1 << 64) for length in lengths], np.uint64)
    most = int(np.diff(token_starts).max(initial=0))
    found, num_words = _find_grams(tokens, token_starts, numbers, lengths, powers, most, *grams)
    return found, num_words


@njit(cache=True, nogil=True)
def _held(run, sums, low, size, lengths, powers, words, firsts, gram_lengths, hashes, slots, out):
    """Write the n-grams that begin at a place of a run of so many known words; how many there are."""
    count = 0
    for kind in range(lengths.size):
        length = lengths[kind]
        if low + length > size:
            break
        code = _mix(sums[low + length] - sums[low] * powers[kind])
        slot = _find(run, low, length, code, words, firsts, gram_lengths, hashes, slots)
        if slots[slot]:
            out[count] = slots[slot] - 1
            count += 1
    return count


@njit(cache=True, nogil=True)
def _find_grams(
    tokens, token_starts, numbers, lengths, powers, most, words, firsts, gram_lengths, hashes, slots, bitmap, least
):
    found, count, num_words = np.empty((64, 3), np.int64), 0, np.zeros(token_starts.size - 1, np.int64)
    run, sums, held = np.empty(most, np.int32), np.zeros(most + 1, np.uint64), np.empty(lengths.size, np.int64)
    for document in range(num_words.size):
        place, size, stop = 0, 0, token_starts[document + 1]  # of words so far, and of known ones that end here
        for token in range(token_starts[document], stop + 1):
            word = numbers[tokens[token]] if token < stop else UNKNOWN
            if word >= 0:
                run[size] = word
                sums[size + 1] = _added(sums[size], word)
                size, place = size + 1, place + 1
                continue
            if word == NO_WORD:
                continue
            for low in range(size - least + 1 if lengths.size else 0):
                if not _may_be(bitmap, _mix(sums[low + least] - sums[low] * powers[0])):
                    continue
                more = _held(run, sums, low, size, lengths, powers, words, firsts, gram_lengths, hashes, slots, held)
                if count + more > found.shape[0]:
                    found = np.concatenate((found, np.empty((count + more, 3), np.int64)))
                for number in range(more):
                    found[count] = document, place - size + low, held[number]
                    count += 1
            size, place = 0, place + 1  # one too many at the end
        num_words[document] = place - 1
    return found[:count].copy(), num_words
