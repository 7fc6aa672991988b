"""Train fastText's supervised models (Joulin et al. 2016, arXiv:1607.01759) as the library does with one thread.

A text is one line with one label. What comes out is what fastText 0.9.2 makes of the same lines in the same order with
the same seed, thread = 1, up to the last digits of float32: its dictionary, its hashes, its random numbers (the first
tenth of the input matrix is uniform, the rest zero: the library gives each of ten threads a tenth), its learning rate,
which falls with the tokens read, and its tables for sigmoid and logarithm.

Deviations: words of one count come in the order of their first occurrence, where the library leaves that to an
unstable sort; what looks like a label in a text is passed over, and `</s>` ends the text, as when a text is classified,
where the library would take the one for a second label and begin another line at the other. Losses: softmax and
hierarchical softmax.

Price: a pass over 10 MB of text with pairs of words takes some 0.3 CPU seconds, most of it waiting for rows from
memory; memory is 4 bytes a token and 50 to 90 a distinct word besides the text and the matrix. 8 s to compile, once per
machine.

The dictionary is in `fasttext_dictionary.py`, the learning here. All compiled functions of each stay in its file:
numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.fasttext_model import Floats, huffman_tree
from operators.kernels.fasttext_dictionary import Corpus, word_rows

Loss = Literal["softmax", "hierarchical_softmax"]

_WORD_PRIME: Final = np.uint64(116_049_371)
_MODULUS, _FACTOR = 2_147_483_647, 48_271  # of the library's random numbers
_RANGE: Final = np.float64(_MODULUS - 1)
_RANGE_SQUARED: Final = np.float64((_MODULUS - 1) ** 2)
_RATE_STEP: Final = 100  # tokens between two learning rates
_STEPS: Final = 512  # of both tables
_BOUND: Final = np.float32(8)  # of the sigmoid's
_POWERS: Final = np.exp(8 - np.arange(_STEPS + 1) / 32).astype(np.float32)
_SIGMOID: Final = (1 / (1 + _POWERS.astype(np.float64))).astype(np.float32)
_LOG: Final = np.log(((np.arange(_STEPS + 1) + 1e-5) / _STEPS).astype(np.float32).astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class Settings:
    """The library's arguments by our names; what is not here is as its `supervised` has it."""

    seed: int = 0
    dim: int = 100
    learning_rate: float = 0.1
    epochs: int = 5
    min_count: int = 1
    word_ngrams: int = 1
    buckets: int = 2_000_000
    min_letters: int = 0
    max_letters: int = 0
    loss: Loss = "softmax"

    @property
    def rows_of_ngrams(self) -> int:
        """The buckets that have a row: none without n-grams."""
        return self.buckets if self.word_ngrams > 1 or self.max_letters else 0


def fit(
    corpus: Corpus,
    labels: NDArray[np.int32],
    kept: NDArray[np.int64],
    settings: Settings,
    inputs: Floats,
    outputs: Floats,
) -> list[float]:
    """Fill the matrices; the mean loss of each epoch.

    Args:
        corpus: the texts in the order of training.
        labels: of each text; the most frequent label is 0.
        kept: the dictionary's words in order.
        settings: the library's arguments.
        inputs: zeros, a row for every word kept, then for every bucket that has one.
        outputs: zeros, a row for every label.

    Raises:
        FloatingPointError: the numbers grew beyond float32; a smaller learning rate may help.
    """
    seed = settings.seed % _MODULUS
    _draw(inputs.reshape(-1)[: inputs.size // 10], seed or 1, np.float32(1 / settings.dim))
    rows = np.full(corpus.counts.size, -1, np.int32)
    rows[kept] = np.arange(kept.size)
    parts = word_rows(
        *corpus.names, rows, kept.size, settings.buckets, max(settings.min_letters, 1), settings.max_letters
    )
    counts = np.bincount(labels, minlength=outputs.shape[0])
    losses, examples = np.zeros(settings.epochs), np.zeros(settings.epochs, np.int64)
    shape = (settings.epochs, settings.word_ngrams, kept.size, max(settings.rows_of_ngrams, 1))
    is_finite = _fit(
        corpus.tokens, corpus.starts, labels, corpus.hashes.view(np.int32).astype(np.int64).view(np.uint64), *parts,
        *_paths(counts, settings.loss), settings.learning_rate, shape, inputs, outputs, losses, examples,
    )  # fmt: skip
    if not is_finite:
        msg = f"training with learning rate {settings.learning_rate} ran beyond float32"
        raise FloatingPointError(msg)
    mean: list[float] = (losses / np.maximum(examples, 1)).tolist()
    return mean


def _paths(counts: NDArray[np.int64], loss: Loss) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """Of each label's way to the tree's root where it begins, its inner nodes' rows, and which turns go right."""
    num_labels = counts.size
    starts, nodes, turns = [0], [], []
    if loss == "hierarchical_softmax":
        left, right = huffman_tree(counts.tolist())
        parents = {int(child): node for node in range(num_labels, left.size) for child in (left[node], right[node])}
        for label in range(num_labels):
            node = label
            while node in parents:
                nodes.append(parents[node] - num_labels)
                turns.append(int(right[parents[node]]) == node)
                node = parents[node]
            starts.append(len(nodes))
    return np.array(starts, np.int64), np.array(nodes, np.int32), np.array(turns, np.bool_)


@njit(cache=True, nogil=True)
def _draw(values, state, bound):
    """Fill with the library's uniform numbers between -bound and bound: two steps of its generator each."""
    width = np.float64(bound) + np.float64(bound)
    for place in range(values.size):
        state = state * _FACTOR % _MODULUS
        total = np.float64(state - 1)
        state = state * _FACTOR % _MODULUS
        total += np.float64(state - 1) * _RANGE
        values[place] = np.float32(total / _RANGE_SQUARED * width - np.float64(bound))


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(
    tokens, starts, labels, hashes, part_starts, parts, path_starts, nodes, turns, rate, shape, inputs, outputs,
    losses, examples,
):  # fmt: skip
    """Train in place; False where a number is not finite."""
    epochs, most_words, num_kept, buckets = shape
    num_texts = starts.size - 1
    all_tokens = epochs * (tokens.size + num_texts)
    hidden, gradient = np.empty(inputs.shape[1], np.float32), np.empty(inputs.shape[1], np.float32)
    products = np.empty(outputs.shape[0], np.float32)
    rows = np.empty(1 << 12, np.int32)
    num_read, waiting, text, epoch = 0, 0, 0, 0
    while num_read < all_tokens:
        progress = np.float32(num_read) / np.float32(all_tokens)
        step = np.float32(rate * (1.0 - np.float64(progress)))
        rows, count = _rows(tokens[starts[text] : starts[text + 1]], hashes, part_starts, parts,
                            most_words, num_kept, buckets, rows)  # fmt: skip
        waiting += starts[text + 1] - starts[text] + 1
        if count:
            _average(inputs, rows, count, hidden)
            gradient[:] = 0
            if nodes.size:
                first, last = path_starts[labels[text]], path_starts[labels[text] + 1]
                loss = _walk(outputs, hidden, gradient, nodes[first:last], turns[first:last], step)
            else:
                loss = _softmax(outputs, hidden, gradient, products, labels[text], step)
            if not math.isfinite(loss):
                return False
            losses[epoch] += loss
            examples[epoch] += 1
            _spread(inputs, rows, count, gradient)
        text += 1
        if text == num_texts:
            text, epoch = 0, min(epoch + 1, epochs - 1)
        if waiting > _RATE_STEP:
            num_read, waiting = num_read + waiting, 0
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(tokens, hashes, part_starts, parts, most_words, num_kept, buckets, rows):
    """The rows of a text: of its words and their parts, then of the n-grams of words."""
    needed = tokens.size * most_words
    for token in tokens:
        needed += part_starts[token + 1] - part_starts[token]
    if needed > rows.size:
        rows = np.empty(2 * needed, np.int32)
    count = 0
    for token in tokens:
        for place in range(part_starts[token], part_starts[token + 1]):
            rows[count] = parts[place]
            count += 1
    if most_words > 1:
        for first in range(tokens.size):
            value = hashes[tokens[first]]
            for other in range(first + 1, min(first + most_words, tokens.size)):
                value = value * _WORD_PRIME + hashes[tokens[other]]
                rows[count] = num_kept + np.int64(value % np.uint64(buckets))
                count += 1
    return rows, count


@njit(cache=True, nogil=True, error_model="numpy")
def _average(inputs, rows, count, hidden):
    hidden[:] = 0
    for place in range(count):
        row = inputs[rows[place]]
        for column in range(hidden.size):
            hidden[column] += row[column]
    share = np.float32(1.0 / count)
    for column in range(hidden.size):
        hidden[column] *= share


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(inputs, rows, count, gradient):
    share = np.float32(1.0 / count)
    for column in range(gradient.size):
        gradient[column] *= share
    for place in range(count):
        row = inputs[rows[place]]
        for column in range(gradient.size):
            row[column] += gradient[column]


@njit(cache=True, nogil=True, error_model="numpy")
def _softmax(outputs, hidden, gradient, products, target, step):
    """Learn from one text; its loss, which is not finite where a product is not."""
    most = np.float32(-np.inf)
    for label in range(products.size):
        products[label] = _product(outputs[label], hidden)
        if not math.isfinite(products[label]):
            return np.float64(np.nan)
        most = max(most, products[label])
    total = np.float32(0)
    for label in range(products.size):
        products[label] = np.float32(math.exp(np.float64(products[label] - most)))
        total += products[label]
    for label in range(products.size):
        products[label] /= total
    for label in range(products.size):
        wanted = np.float32(1) if label == target else np.float32(0)
        _learn(outputs[label], hidden, gradient, step * (wanted - products[label]))
    return _negative_log(products[target])


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(outputs, hidden, gradient, nodes, turns, step):
    """The same by a binary decision at each node between a label and the root."""
    loss = np.float64(0)
    for place in range(nodes.size):
        product = _product(outputs[nodes[place]], hidden)
        if not math.isfinite(product):
            return np.float64(np.nan)
        score = _sigmoid(product)
        wanted = np.float32(1) if turns[place] else np.float32(0)
        _learn(outputs[nodes[place]], hidden, gradient, step * (wanted - score))
        loss += _negative_log(score if turns[place] else np.float32(1) - score)
    return loss


@njit(cache=True, nogil=True, error_model="numpy")
def _product(row, hidden):
    total = np.float32(0)
    for column in range(hidden.size):
        total += row[column] * hidden[column]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(row, hidden, gradient, amount):
    for column in range(hidden.size):
        gradient[column] += amount * row[column]
    for column in range(hidden.size):
        row[column] += amount * hidden[column]


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid(value):
    if value < -_BOUND:
        return np.float32(0)
    if value > _BOUND:
        return np.float32(1)
    return _SIGMOID[np.int64((value + _BOUND) * np.float32(_STEPS / 16))]


@njit(cache=True, nogil=True, error_model="numpy")
def _negative_log(share):
    if share > np.float32(1):
        return np.float64(0)
    return -np.float64(_LOG[np.int64(share * np.float32(_STEPS))])
