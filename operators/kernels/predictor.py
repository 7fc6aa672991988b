"""A fastText model made ready to predict, by `fasttext.py`: what is looked up and added, laid out for it.

Three things are done once, when a model is loaded. A model with no more outputs than dimensions is multiplied out: a
row is then as long as the labels are many, two numbers instead of a hundred for a quality classifier. A pruned model's
rows are put in order and found by counting bits: 380 kB instead of a list of 8 MB. Huffman's tree gets its parents and
the order of its leaves.

Memory besides the model: an eighth of the text, and at most 65 MB for the table of words.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.fasttext_model import LABEL, SENTENCE_END, FasttextModel, Loss, huffman_tree
from operators.kernels.fasttext import (
    BLOCK,
    LANES,
    SIGMOID_BOUND,
    SIGMOID_STEPS,
    WINDOW,
    Known,
    Room,
    Tables,
    Weights,
    index,
    multiply,
    predict,
)
from operators.text_buffers import joined_bytes

_SPAN: Final = 256  # bytes that the longest n-gram may take: 64 characters
_TABLE_BYTES: Final = 32 << 20
_MOST_WORDS: Final = 1 << 19
_LOSS_NUMBERS: Final[dict[Loss, int]] = {
    "hierarchical_softmax": 0, "softmax": 1, "negative_sampling": 2, "one_vs_all": 2,
}  # fmt: skip


class Predictor:
    """A model ready to predict. Immutable; batches may come from any thread."""

    def __init__(self, model: FasttextModel) -> None:
        self.labels: Final = model.dictionary.labels
        """Without the prefix, by number."""
        self._tables, order = _tables(model)
        self._weights = _weights(model, order)

    def __call__(self, texts: pa.Array) -> tuple[pa.StringArray, NDArray[np.float32]]:
        """The first label of every text without its prefix, and the probability that the library gives it.

        The label is null and the probability 0 where no part of a text is known. Probabilities are not bounded: the
        library's reach 1.00008.

        Args:
            texts: strings, none null.
        """
        data, offsets = _spans(texts)
        labels, scores = self.best(data, offsets[:-1], offsets[1:])
        return pa.array(self.labels, pa.string()).take(pa.array(labels, mask=labels < 0)), scores

    def best(
        self, data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The same of the spans [start, stop) of a buffer: the label's number, -1 where no part is known."""
        return self._predict(data, starts, stops, -1)

    def probabilities(self, texts: pa.Array, label: str) -> NDArray[np.float32]:
        """The probability that the library gives one label; 0 where no part of a text is known.

        With hierarchical softmax the library names no label below 1e-5; here it has its number all the same.
        """
        data, offsets = _spans(texts)
        return self._predict(data, offsets[:-1], offsets[1:], self.labels.index(label))[1]

    def _predict(
        self, data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], label: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        tables, weights = self._tables, self._weights
        labels, scores = np.empty(starts.size, np.int32), np.empty(starts.size, np.float32)
        white = np.zeros((data.size >> 6) + 2, np.uint64)
        longest = int((stops - starts).max(initial=0)) if tables.most_words > 1 else -2
        room = Room(
            np.empty(BLOCK, np.int64), np.empty(2 * BLOCK, np.int64), np.empty(3 * BLOCK, np.uint64),
            np.empty(max(WINDOW * tables.most, BLOCK * tables.most_words), np.int64),
            np.zeros(weights.width, np.float32), np.empty(weights.width),
            np.empty(weights.num_labels), np.empty(longest // 2 + 2, np.int32),
            np.empty(weights.left.size + 1, np.int32), np.empty(weights.left.size + 1),
            np.empty(WINDOW + _SPAN + 2, np.int8),
        )  # fmt: skip
        known = _new_table(weights.width, data.size)
        predict(data, white, starts, stops, label, labels, scores, room, known, tables, weights)
        return labels, scores


def _spans(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if texts.null_count:
        msg = f"expected no null text: {texts.null_count} of {len(texts)}"
        raise ValueError(msg)
    return joined_bytes(texts)


def _tables(model: FasttextModel) -> tuple[Tables, NDArray[np.int64] | None]:
    """The tables, and which rows of the inputs stay, in their new order; None for all as they are."""
    known = model.dictionary
    # A label's name was cut at its prefix, and may come without one from a model made with another prefix.
    names = [*known.words, *((LABEL + label).encode() for label in known.labels)]
    places = np.zeros(len(names) + 1, np.int64)
    np.cumsum([len(name) for name in names], out=places[1:])
    joined = np.frombuffer(b"".join(names) or b"\0", np.uint8).copy()
    slots = np.zeros(1 << max(4, (2 * len(names)).bit_length()), np.uint64)
    index(joined, places, slots)
    is_kept, kept_before, order = np.empty(0, np.uint64), np.empty(0, np.int32), None
    if known.kept is not None:
        rows = np.full(max(model.buckets, 1), -1, np.int64)
        rows[known.kept[:, 0]] = known.kept[:, 1]
        bits = np.packbits(rows >= 0, bitorder="little")
        is_kept = np.pad(bits, (0, -bits.size % 8)).view(np.uint64)
        kept_before = (np.cumsum(np.bitwise_count(is_kept)) - np.bitwise_count(is_kept)).astype(np.int32)
        order = np.concatenate([np.arange(len(known.words)), len(known.words) + rows[rows >= 0]])
    end_word = known.words.index(SENTENCE_END) if SENTENCE_END in known.words else -1
    shift = 31 + max(model.buckets, 1).bit_length()
    return Tables(
        joined, places, slots, len(known.words), end_word, is_kept, kept_before, max(model.buckets, 1),
        (1 << shift) // max(model.buckets, 1), shift, model.least_letters, model.most_letters, model.most_words,
    ), order  # fmt: skip


def _weights(model: FasttextModel, order: NDArray[np.int64] | None) -> Weights:
    left, right = huffman_tree(model.dictionary.label_counts)
    num_labels = len(model.dictionary.labels)
    num_outputs = max(num_labels - 1, 1) if model.loss == "hierarchical_softmax" else num_labels
    outputs = model.outputs[:num_outputs] * model.output_norms[:num_outputs, None]
    inputs = model.inputs if order is None else model.inputs[order]
    if num_outputs <= inputs.shape[1]:
        inputs, outputs = _multiplied(inputs, outputs), np.empty((0, 1), np.float32)
    width = inputs.shape[1]
    if width >= LANES:
        padding = ((0, 0), (0, -width % LANES))
        inputs, outputs = np.pad(inputs, padding), np.pad(outputs, padding) if outputs.size else outputs
    steps = (np.arange(SIGMOID_STEPS + 1) * 2 * SIGMOID_BOUND).astype(np.float32)
    powers = np.exp(SIGMOID_BOUND - steps / np.float32(SIGMOID_STEPS))
    parents, ranks = _tree(left, right)
    return Weights(
        np.require(inputs, None, ["C", "A"]).reshape(-1), inputs.shape[1], np.require(outputs, None, ["C", "A"]),
        left, right, parents, ranks, (1 / (1 + powers)).astype(np.float32), num_labels, _LOSS_NUMBERS[model.loss],
    )  # fmt: skip


def _multiplied(inputs: NDArray[np.float32], outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row's products with the outputs; in float64 and one order, whatever library multiplies matrices."""
    products = np.empty((inputs.shape[0], outputs.shape[0]), np.float32)
    for first in range(0, inputs.shape[0], 1 << 16):
        some = np.array(inputs[first : first + (1 << 16)])  # of a file: where it lies, it is not aligned
        multiply(some, outputs, products[first : first + (1 << 16)])
    return products


def _tree(left: NDArray[np.int32], right: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The parent of every node (-1 for the root's), and the leaves' ranks from left to right."""
    parents, ranks = np.full(left.size, -1, np.int32), np.zeros(left.size, np.int32)
    stack, seen = [left.size - 1], 0
    while stack:
        node = stack.pop()
        if left[node] < 0:
            ranks[node], seen = seen, seen + 1
            continue
        parents[[left[node], right[node]]] = node
        stack += [int(right[node]), int(left[node])]
    return parents, ranks


def _new_table(width: int, num_bytes: int) -> Known:
    """Room for as many words as so much text may have; bounded."""
    most = min(_MOST_WORDS, _TABLE_BYTES // (4 * width), num_bytes // 4)
    room = 1 << max(10, most.bit_length() - 1)
    aligned = np.empty(room * width + 16, np.float32)
    first = -aligned.ctypes.data % 64 // 4
    return Known(
        np.empty(2 * room, np.uint64), np.empty(4 * room, np.uint64), aligned[first : first + room * width],
        np.empty(room, np.int64), np.empty(room, np.int32), np.zeros(1, np.int64),
    )  # fmt: skip
