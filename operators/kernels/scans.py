"""What `operators/scans.py` makes of the chunks and words that `words.py` has numbered, and knows texts again by.

`expanded` writes the words of every document in order, `described` looks at the code points of each distinct word;
`content_keys` tells texts apart, and `gathered` takes the words of some documents.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated, assignment"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit

from operators.kernels.text_bytes import code_point_at, eight_bytes_at, folded, up_to_eight_bytes_at
from operators.kernels.words import IS_PLAIN, Ints, Longs
from operators.word_classes import IS_LETTER

PLAIN_WORD: Final = 1
LETTER_WORD: Final = 2

_AT_ONCE: Final = 4  # words of a chunk that are written whether it has them or not


def expanded(numbers: Ints, firsts: Longs, chunk_tokens: Ints, chunk_firsts: Longs) -> tuple[Ints, Longs]:
    """The words of chunks in order (int32), and where each document's begin (int64), from those of each chunk."""
    first_words, sizes, starts = _measured(numbers, firsts, chunk_tokens, chunk_firsts)
    tokens = np.empty(starts[-1] + _AT_ONCE, np.int32)
    _expand(numbers, chunk_tokens, chunk_firsts, first_words, sizes, tokens)
    return tokens[: starts[-1]], starts


@njit(cache=True, nogil=True)
def _measured(numbers, firsts, chunk_tokens, chunk_firsts):
    """The first words of each chunk, how many there are (255: that many or more), and where each document's begin."""
    first_words = np.zeros((chunk_firsts.size - 1, _AT_ONCE), np.int32)
    sizes, starts = np.empty(chunk_firsts.size - 1, np.uint8), np.zeros_like(firsts)
    for chunk in range(sizes.size):
        low, high = chunk_firsts[chunk], chunk_firsts[chunk + 1]
        sizes[chunk] = min(high - low, 255)
        for word in range(low, min(high, low + _AT_ONCE)):
            first_words[chunk, word - low] = chunk_tokens[word]
    for document in range(firsts.size - 1):
        size = starts[document]
        for place in range(firsts[document], firsts[document + 1]):
            few = np.int64(sizes[numbers[place]])
            size += few if few < 255 else chunk_firsts[numbers[place] + 1] - chunk_firsts[numbers[place]]
        starts[document + 1] = size
    return first_words, sizes, starts


@njit(cache=True, nogil=True)
def _expand(numbers, chunk_tokens, chunk_firsts, first_words, sizes, tokens):
    """Few chunks have many words: so many are written for every chunk, and the next one begins where it should."""
    count = 0
    for place in range(numbers.size):
        chunk = numbers[place]
        for word in range(_AT_ONCE):
            tokens[count + word] = first_words[chunk, word]
        if sizes[chunk] > _AT_ONCE:
            to = count - chunk_firsts[chunk]
            for word in range(chunk_firsts[chunk] + _AT_ONCE, chunk_firsts[chunk + 1]):
                tokens[to + word] = chunk_tokens[word]
            count = to + chunk_firsts[chunk + 1]
        else:
            count += np.int64(sizes[chunk])


@njit(cache=True, nogil=True)
def described(words, word_starts, table):
    """The code points of each word (int32), and PLAIN_WORD and LETTER_WORD (uint8) by what it has."""
    chars, flags = np.zeros(word_starts.size - 1, np.int32), np.zeros(word_starts.size - 1, np.uint8)
    for word in range(chars.size):
        at, found = word_starts[word], 0
        while at < word_starts[word + 1]:
            point, at = code_point_at(words.ctypes.data, at)
            chars[word] += 1
            found |= table[point]
        flags[word] = (PLAIN_WORD if found & IS_PLAIN else 0) | (LETTER_WORD if found & IS_LETTER else 0)
    return chars, flags


@njit(cache=True, nogil=True)
def content_keys(data, offsets, seeds):
    """128 bits of each text (uint64, documents x 2) under a key of four numbers."""
    keys, text = np.empty((offsets.size - 1, 2), np.uint64), data.ctypes.data
    for document in range(keys.shape[0]):
        at, high = offsets[document], offsets[document + 1]
        one, other = seeds[0] ^ np.uint64(high - at), seeds[1] ^ np.uint64(high - at)
        while at + 8 <= high:
            word = eight_bytes_at(text, at)
            one, other = folded(one ^ word, seeds[2]), folded(other ^ word, seeds[3])
            at += 8
        word = up_to_eight_bytes_at(text, at, high)
        keys[document, 0] = folded(one ^ word, seeds[2])
        keys[document, 1] = folded(other ^ word, seeds[3])
    return keys


@njit(cache=True, nogil=True)
def gathered(tokens, starts, rows):
    """The tokens of some documents, and where each one's begin."""
    offsets = np.zeros(rows.size + 1, np.int64)
    for place in range(rows.size):
        offsets[place + 1] = offsets[place] + starts[rows[place] + 1] - starts[rows[place]]
    out = np.empty(offsets[-1], np.int32)
    for place in range(rows.size):
        to = offsets[place] - starts[rows[place]]
        for token in range(starts[rows[place]], starts[rows[place] + 1]):
            out[to + token] = tokens[token]
    return out, offsets
