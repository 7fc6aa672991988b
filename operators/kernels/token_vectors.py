"""Vectors of tokens from the tokens around them: fastText's CBOW with character n-grams (Bojanowski et al. 2017).

The model, its settings and its learning are those of fastText 0.9.2 with `-model cbow`: a token's vector is the mean of
a row of its own and the rows of its n-grams; the mean over a window of random size predicts the token in the middle
against negative samples, drawn by the square root of their counts; frequent tokens are left out now and then; the rate
falls evenly. Deviations: tokens are given and not read from a text; every n-gram has a row of its own, where the
library lets n-grams share rows by hash; random numbers are ours, from a seed; a document is one line, however long.

One thread in a fixed order, and sums in lanes of eight whatever the machine's vectors hold: the same bytes on every
machine. The slow reference is `token_vectors_reference.py`. Price: 1 million tokens of English take some 4 CPU seconds
an epoch at 100 numbers a vector; memory is 800 bytes a token and 400 an n-gram, and 4 bytes for each token of the text.
"""

# Compiled functions get their types from their arguments. They stay in one file: numba's cache looks at the file of
# the caller only, and would not see that a function elsewhere has changed.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LANES: Final = 8
_TABLE_STEPS: Final = 512
_BOUND: Final = np.float32(8)
_SIGMOID: Final = (1 / (1 + np.exp(8 - np.arange(_TABLE_STEPS + 1) / 32))).astype(np.float32)


class Text(NamedTuple):
    """Tokens by word number, one document after another; a word is a token that is frequent enough."""

    words: NDArray[np.int32]
    starts: NDArray[np.int64]
    """(documents + 1) Where each document begins, with the end of the last."""


class Parts(NamedTuple):
    """Of each word the rows that its vector is the mean of."""

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]


class Settings(NamedTuple):
    """The library's arguments by our names."""

    dim: int = 100
    """A multiple of eight is fastest; any will do."""
    epochs: int = 3
    window: int = 5
    negatives: int = 10
    learning_rate: float = 0.05
    sample: float = 1e-4
    seed: int = 0


def fit(text: Text, parts: Parts, counts: NDArray[np.int64], settings: Settings) -> tuple[Floats, float]:
    """The rows after training, float32[rows, dim], and the mean loss of the last epoch.

    Args:
        text: the documents in the order of training.
        parts: of each word; rows are numbered from 0.
        counts: of each word in the text, at least 1.
        settings: how to train.
    """
    num_rows = int(parts.rows.max(initial=-1)) + 1
    width = -(-settings.dim // LANES) * LANES
    inputs = np.zeros((num_rows, width), np.float32)
    state = np.array([settings.seed], np.uint64)
    _draw(inputs, settings.dim, state)
    outputs = np.zeros((counts.size, width), np.float32)
    how = (settings.epochs, settings.window, settings.negatives, settings.learning_rate)
    shares = kept_shares(counts, settings.sample)
    loss = _fit(text.words, text.starts, *parts, shares, *alias_table(np.sqrt(counts)), how, inputs, outputs, state)
    return np.ascontiguousarray(inputs[:, : settings.dim]), float(loss)


def kept_shares(counts: NDArray[np.int64], sample: float) -> NDArray[np.float64]:
    """Of each word, how often it stays in the text: sqrt(t/f) + t/f, f its share of all tokens.

    >>> kept_shares(np.array([1, 999_999]), 1e-4).round(3).tolist()
    [1.0, 0.01]
    """
    ratio = sample * counts.sum() / counts
    shares: NDArray[np.float64] = np.minimum(np.sqrt(ratio) + ratio, 1)
    return shares


def alias_table(shares: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Walker's table: word w is drawn as itself with `own[w]`, and as `other[w]` else, after w was drawn evenly.

    >>> own, other = alias_table(np.array([3.0, 1.0]))
    >>> own.tolist(), other.tolist()
    ([1.0, 0.5], [0, 0])
    """
    scaled = np.asarray(shares, np.float64) / np.sum(shares) * len(shares)
    own, other = np.ones(scaled.size), np.arange(scaled.size, dtype=np.int32)
    small = [place for place in range(scaled.size) if scaled[place] < 1]
    large = [place for place in range(scaled.size) if scaled[place] >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        own[low], other[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return own, other


def ngram_parts(forms: list[bytes], least: int = 3, most: int = 6) -> tuple[Parts, dict[tuple[int, ...], int]]:
    """The rows of words: one of their own, then one for every n-gram of bytes; and the row of each n-gram.

    N-grams are of the bytes with a mark before and after, as in the library, where a byte is a letter of the byte
    alphabet.

    >>> parts, rows = ngram_parts([b"ab", b"b"])
    >>> parts.starts.tolist(), parts.rows.tolist()
    ([0, 4, 6], [0, 2, 3, 4, 1, 5])
    """
    rows: dict[tuple[int, ...], int] = {}
    starts, found = [0], []
    for word, form in enumerate(forms):
        found.append(word)
        found.extend(rows.setdefault(gram, len(forms) + len(rows)) for gram in ngrams(form, least, most))
        starts.append(len(found))
    return Parts(np.array(starts, np.int64), np.array(found, np.int32)), rows


def ngrams(form: bytes, least: int = 3, most: int = 6) -> list[tuple[int, ...]]:
    """All n-grams of a token, marks included (256 before and 257 after), from the left, short ones first."""
    marked = (256, *form, 257)
    return [
        marked[start : start + length]
        for start in range(len(marked))
        for length in range(least, most + 1)
        if start + length <= len(marked)
    ]


@njit(cache=True, nogil=True)
def _next(state):
    """SplitMix64: 64 random bits."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@njit(cache=True, nogil=True)
def _share(state):
    """An even number in [0, 1)."""
    return np.float64(_next(state) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def _below(state, bound):
    return np.int64((_next(state) >> np.uint64(32)) * np.uint64(bound) >> np.uint64(32))


@njit(cache=True, nogil=True)
def _draw(rows, dim, state):
    for row in range(rows.shape[0]):
        for column in range(dim):
            rows[row, column] = np.float32((2 * _share(state) - 1) / dim)


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(words, starts, part_starts, parts, shares, own, other, how, inputs, outputs, state):
    """Train in place; the mean loss of the last epoch."""
    epochs, window, negatives, rate = how
    longest = 0
    for document in range(starts.size - 1):
        longest = max(longest, starts[document + 1] - starts[document])
    line = np.empty(longest, np.int32)
    hidden, gradient = np.empty(inputs.shape[1], np.float32), np.empty(inputs.shape[1], np.float32)
    total, loss, examples = np.float64(max(epochs * words.size, 1)), 0.0, 0
    for epoch in range(epochs):
        loss, examples = 0.0, 0
        for document in range(starts.size - 1):
            size, first = 0, starts[document]
            for place in range(first, starts[document + 1]):
                if _share(state) < shares[words[place]]:
                    line[size] = words[place]
                    size += 1
            for place in range(size):
                read = epoch * words.size + first + place * (starts[document + 1] - first) // size
                step = np.float32(rate * (1.0 - read / total))
                reach = 1 + _below(state, window)
                count = _gather(line, place, reach, size, part_starts, parts, inputs, hidden)
                if count == 0:
                    continue
                gradient[:] = 0
                loss += _learn(outputs, hidden, gradient, line[place], negatives, own, other, step, state)
                examples += 1
                _spread(line, place, reach, size, part_starts, parts, inputs, gradient)
    return loss / max(examples, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(line, place, reach, size, part_starts, parts, inputs, hidden):
    """The mean of the rows around a place; how many there are."""
    hidden[:] = 0
    count = 0
    for near in range(max(0, place - reach), min(size, place + reach + 1)):
        if near == place:
            continue
        for part in range(part_starts[line[near]], part_starts[line[near] + 1]):
            row = inputs[parts[part]]
            count += 1
            for column in range(hidden.size):
                hidden[column] += row[column]
    share = np.float32(1.0 / max(count, 1))
    for column in range(hidden.size):
        hidden[column] *= share
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(line, place, reach, size, part_starts, parts, inputs, gradient):
    for near in range(max(0, place - reach), min(size, place + reach + 1)):
        if near == place:
            continue
        for part in range(part_starts[line[near]], part_starts[line[near] + 1]):
            row = inputs[parts[part]]
            for column in range(gradient.size):
                row[column] += gradient[column]


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(outputs, hidden, gradient, word, negatives, own, other, step, state):
    """Learn that this word stands here, and that some others do not; the loss."""
    loss = _tell(outputs[word], hidden, gradient, True, step)
    for _ in range(negatives):
        drawn = _below(state, own.size)
        if _share(state) >= own[drawn]:
            drawn = np.int64(other[drawn])
        if drawn != word:
            loss += _tell(outputs[drawn], hidden, gradient, False, step)
    return loss


@njit(cache=True, nogil=True, error_model="numpy")
def _tell(row, hidden, gradient, is_there, step):
    score = _sigmoid(_product(row, hidden))
    amount = step * ((np.float32(1) if is_there else np.float32(0)) - score)
    for column in range(hidden.size):
        gradient[column] += amount * row[column]
    for column in range(hidden.size):
        row[column] += amount * hidden[column]
    return -np.log(np.float64(score if is_there else np.float32(1) - score) + 1e-5)


@njit(cache=True, nogil=True, error_model="numpy")
def _product(row, hidden):
    """In eight lanes, which the compiler may do at once and no machine adds up in another order."""
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    e, f, g, h = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for column in range(0, hidden.size, 8):
        a += row[column] * hidden[column]
        b += row[column + 1] * hidden[column + 1]
        c += row[column + 2] * hidden[column + 2]
        d += row[column + 3] * hidden[column + 3]
        e += row[column + 4] * hidden[column + 4]
        f += row[column + 5] * hidden[column + 5]
        g += row[column + 6] * hidden[column + 6]
        h += row[column + 7] * hidden[column + 7]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid(value):
    if value < -_BOUND:
        return np.float32(0)
    if value > _BOUND:
        return np.float32(1)
    return _SIGMOID[np.int64((value + _BOUND) * np.float32(_TABLE_STEPS / 16))]
