"""Predict the first label of texts with a fastText model, straight on Arrow buffers.

A text is one line: line feeds are read as spaces. What comes out is what the library's `predict` says of it, with the
quirks of its code: white space is that of ASCII with the zero byte, bytes are hashed as signed, the token `</s>` ends
the line, words that look like labels are passed over, and of two labels with the same score the later one wins.

The rows of a word's n-grams are found once a batch and kept beside the word in a table, because words repeat. They are
then added to each document one by one, in the text's order and in float32, as the library adds them: sums are equal to
the last bit, however long the text is. Only `exp` and `log` may round otherwise, by the last digit. Keeping each word's
sum instead of its rows would save additions, but rounds in another order than the library.

Price with `lid.176.ftz`: 24 to 40 MB a CPU-second (docs/measurements.md), 12 s to compile, once per machine. A distinct
word costs about 0.6 us, so small batches are slower. Memory besides the model: 4 bytes a bucket (8 MB), and for each
distinct word of up to 256 bytes 64 to 128 bytes and 4 for each of its rows.

All compiled functions stay in this file: numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from operators.fasttext_model import LABEL, SENTENCE_END, FasttextModel, Loss, huffman_tree
from operators.text_buffers import joined_bytes

_MASK: Final = np.uint64(0xFFFFFFFF)
_BASIS, _PRIME = np.uint64(2_166_136_261), np.uint64(16_777_619)  # FNV-1a of 32 bits
_WORD_PRIME: Final = np.uint64(116_049_371)
_SIGNED: Final = np.arange(256).astype(np.int8).astype(np.int64).astype(np.uint64)  # a byte as the library's `char`
_PREFIX: Final = np.frombuffer(LABEL.encode(), np.uint8).copy()
_END: Final = np.frombuffer(SENTENCE_END, np.uint8).copy()
_WHITE: Final = np.isin(np.arange(256), np.frombuffer(b" \n\r\t\v\f\0", np.uint8))
_CACHED: Final = 256  # bytes of the longest word that is kept
_WINDOW: Final = 1024  # bytes of a longer word whose n-grams are found at once
_FIRST_SLOTS: Final = 1 << 12
_NO_WORD: Final = -1  # instead of a number of rows: a token that counts for nothing
_SIGMOID_BOUND, _SIGMOID_STEPS = 8, 512
_FLOOR: Final = 1e-5  # added to a probability before its logarithm is taken
_LOSS_NUMBERS: Final[dict[Loss, int]] = {
    "hierarchical_softmax": 0, "softmax": 1, "negative_sampling": 2, "one_vs_all": 2,
}  # fmt: skip


class _Tables(NamedTuple):
    names: NDArray[np.uint8]
    places: NDArray[np.int64]  # where each name begins in them, words before labels
    slots: NDArray[np.int32]  # of a hash table: numbers of names, -1 where free
    num_words: int
    end_word: int  # the number of `</s>`, -1 if it is no word
    kept: NDArray[np.int32]  # of each bucket its row after the words', -1 if it was pruned; empty: all have one
    is_kept: NDArray[np.uint64]  # a bit for each bucket: fits into a nearer cache than their rows
    buckets: int
    least: int
    most: int
    most_words: int


class _Weights(NamedTuple):
    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    norms: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    sigmoid: NDArray[np.float32]
    num_labels: int
    loss: int


class Predictor:
    """A model ready to predict. Immutable; batches may come from any thread."""

    def __init__(self, model: FasttextModel) -> None:
        self._labels = pa.array(model.dictionary.labels, pa.string())
        self._tables = _tables(model)
        left, right = huffman_tree(model.dictionary.label_counts)
        steps = (np.arange(_SIGMOID_STEPS + 1) * 2 * _SIGMOID_BOUND).astype(np.float32)
        powers = np.exp(_SIGMOID_BOUND - steps / np.float32(_SIGMOID_STEPS))
        self._weights = _Weights(
            model.inputs, model.outputs, model.output_norms, left, right, (1 / (1 + powers)).astype(np.float32),
            len(model.dictionary.labels), _LOSS_NUMBERS[model.loss],
        )  # fmt: skip

    def __call__(self, texts: pa.Array) -> tuple[pa.StringArray, NDArray[np.float32]]:
        """The first label of every text without its prefix, and the probability that the library gives it.

        The label is null and the probability 0 where no part of a text is known. Probabilities are not bounded: the
        library's reach 1.00008.

        Args:
            texts: strings, none null.
        """
        if texts.null_count:
            msg = f"expected no null text: {texts.null_count} of {len(texts)}"
            raise ValueError(msg)
        labels, scores = _predict(*joined_bytes(texts), self._tables, self._weights)
        return self._labels.take(pa.array(labels, pa.int32(), mask=labels < 0)), scores


def _tables(model: FasttextModel) -> _Tables:
    known = model.dictionary
    # A label's name was cut at its prefix, and may come without one from a model made with another prefix.
    names = [*known.words, *((LABEL + label).encode() for label in known.labels)]
    places = np.zeros(len(names) + 1, np.int64)
    np.cumsum([len(name) for name in names], out=places[1:])
    joined = np.frombuffer(b"".join(names) or b"\0", np.uint8).copy()
    slots = np.full(1 << max(4, (2 * len(names)).bit_length()), -1, np.int32)
    _index(joined, places, slots)
    kept, is_kept = np.empty(0, np.int32), np.empty(0, np.uint64)
    if known.kept is not None:
        kept = np.full(max(model.buckets, 1), -1, np.int32)
        kept[known.kept[:, 0]] = known.kept[:, 1]
        bits = np.packbits(kept >= 0, bitorder="little")
        is_kept = np.pad(bits, (0, -bits.size % 8)).view(np.uint64)
    end_word = known.words.index(SENTENCE_END) if SENTENCE_END in known.words else -1
    return _Tables(
        joined, places, slots, len(known.words), end_word, kept, is_kept, model.buckets,
        model.least_letters, model.most_letters, model.most_words,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _index(names, places, slots):
    for number in range(places.size - 1):
        value = _hash(names, places[number], places[number + 1])
        slot = np.int64(value) & (slots.size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (slots.size - 1)
        slots[slot] = number


@njit(cache=True, nogil=True)
def _predict(data, offsets, tables, weights):
    num_texts = offsets.size - 1
    labels, scores = np.empty(num_texts, np.int32), np.empty(num_texts, np.float32)
    seen, num_seen = np.full((_FIRST_SLOTS, 4), -1, np.int64), 0
    rows, num_rows = np.empty(1 << 16, np.int32), 0
    hidden = np.empty(weights.inputs.shape[1], np.float32)
    products = np.empty(weights.num_labels, np.float32)
    hashes = np.empty(256 if tables.most_words > 1 else 0, np.int64)
    for text in range(num_texts):
        place, stop = offsets[text], offsets[text + 1]
        hidden[:] = 0
        num_added, num_hashes = 0, 0
        while True:
            start, end, value = _token(data, place, stop)
            if start == end or _equal(data, start, end, _END, 0, _END.size):
                break
            place = end
            if end - start <= _CACHED:
                slot = _find(seen, data, start, end, value)
                if seen[slot, 1] < 0:
                    rows = _with_room(rows, num_rows + _most_rows(end - start, tables))
                    count = _rows_of(data, start, end, value, tables, rows, num_rows)
                    seen[slot, 0], seen[slot, 1] = _key(value, start, end), start
                    seen[slot, 2], seen[slot, 3] = num_rows, count
                    num_rows += max(count, 0)
                    num_seen += 1
                    if 2 * num_seen > seen.shape[0]:
                        seen = _wider(seen)
                        slot = _find(seen, data, start, end, value)
                first, count = seen[slot, 2], seen[slot, 3]
                _add(hidden, weights.inputs, rows, first, count)
            else:
                rows = _with_room(rows, num_rows + _most_rows(_WINDOW, tables))
                count = _add_long(hidden, weights.inputs, data, start, end, value, tables, rows, num_rows)
            if count != _NO_WORD:
                num_added += count
                if tables.most_words > 1:
                    hashes = _noted(hashes, num_hashes, value)
                    num_hashes += 1
        num_added += _add_end(hidden, weights.inputs, hashes, num_hashes, tables)
        labels[text], scores[text] = _judged(hidden, num_added, products, weights)
    return labels, scores


@njit(cache=True, nogil=True)
def _token(data, place, stop):
    """Where the next token begins and ends, and its hash; an empty one at the text's end."""
    while place < stop and _WHITE[data[place]]:
        place += 1
    start, value = place, _BASIS
    while place < stop and not _WHITE[data[place]]:
        value = (value ^ _SIGNED[data[place]]) * _PRIME
        place += 1
    return start, place, value & _MASK


@njit(cache=True, nogil=True)
def _hash(data, start, stop):
    value = _BASIS
    for place in range(start, stop):
        value = (value ^ _SIGNED[data[place]]) * _PRIME  # the low 32 bits depend on the low 32 bits alone
    return value & _MASK


@njit(cache=True, nogil=True)
def _equal(data, start, end, other, other_start, other_end):
    if end - start != other_end - other_start:
        return False
    for step in range(end - start):  # noqa: SIM110 - numba compiles no generator in `all`
        if data[start + step] != other[other_start + step]:
            return False
    return True


@njit(cache=True, nogil=True)
def _key(value, start, end):
    return np.int64(value) << 16 | (end - start)


@njit(cache=True, nogil=True)
def _find(seen, data, start, end, value):
    """The slot of a word, or the free one where it belongs."""
    key, mask = _key(value, start, end), seen.shape[0] - 1
    slot = (np.int64(value) ^ np.int64(value) >> 15) & mask
    while seen[slot, 1] >= 0:
        if seen[slot, 0] == key and _equal(data, start, end, data, seen[slot, 1], seen[slot, 1] + end - start):
            break
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _wider(seen):
    wider = np.full((2 * seen.shape[0], 4), -1, np.int64)
    mask = wider.shape[0] - 1
    for old in range(seen.shape[0]):
        if seen[old, 1] >= 0:
            value = seen[old, 0] >> 16
            slot = (value ^ value >> 15) & mask
            while wider[slot, 1] >= 0:
                slot = (slot + 1) & mask
            wider[slot] = seen[old]
    return wider


@njit(cache=True, nogil=True)
def _most_rows(num_bytes, tables):
    return tables.most * (num_bytes + 2) + 2


@njit(cache=True, nogil=True)
def _with_room(rows, needed):
    if needed <= rows.size:
        return rows
    wider = np.empty(max(needed, 2 * rows.size), np.int32)
    wider[: rows.size] = rows
    return wider


@njit(cache=True, nogil=True)
def _named(data, start, end, value, tables):
    """The number of a word or label of the dictionary, -1 for what is neither known nor looks like a label, else -2."""
    mask = tables.slots.size - 1
    slot = np.int64(value) & mask
    while tables.slots[slot] >= 0:
        number = tables.slots[slot]
        if _equal(data, start, end, tables.names, tables.places[number], tables.places[number + 1]):
            return np.int64(number)
        slot = (slot + 1) & mask
    looks = end - start >= _PREFIX.size and _equal(data, start, start + _PREFIX.size, _PREFIX, 0, _PREFIX.size)
    return np.int64(-2) if looks else np.int64(-1)


@njit(cache=True, nogil=True)
def _rows_of(data, start, end, value, tables, rows, first):
    """Write the rows of a word behind `first`: its own, then those of its n-grams; their number, or `_NO_WORD`."""
    number = _named(data, start, end, value, tables)
    if number == -2 or number >= tables.num_words:
        return np.int64(_NO_WORD)
    count = np.int64(0)
    if number >= 0:
        rows[first] = number
        count = np.int64(1)
    return count + _ngram_rows(data, start, end, -1, end - start + 1, tables, rows, first + count)


@njit(cache=True, nogil=True)
def _ngram_rows(data, start, end, begin, stop, tables, rows, first):
    """Write the rows of the n-grams that begin at the bytes `begin` to `stop` of a word between `<` and `>`.

    The word's own first byte is 0, `<` is -1. A mark alone is no n-gram. Characters are bytes with those behind them
    that go on in UTF-8.
    """
    size, count = end - start, np.int64(0)
    for place in range(begin, stop):
        if _continues(_marked(data, start, size, place)):
            continue
        value, after, letters = _BASIS, place, 0
        while after <= size and letters < tables.most:
            value = (value ^ _SIGNED[_marked(data, start, size, after)]) * _PRIME
            after += 1
            while after < size and _continues(data[start + after]):
                value = (value ^ _SIGNED[data[start + after]]) * _PRIME
                after += 1
            letters += 1
            if letters >= tables.least and not (letters == 1 and (place == -1 or after > size)):
                row = _bucket_row((value & _MASK) % np.uint64(tables.buckets), tables)
                if row >= 0:
                    rows[first + count] = row
                    count += 1
    return count


@njit(cache=True, nogil=True)
def _marked(data, start, size, place):
    if place < 0:
        return np.uint8(60)
    return data[start + place] if place < size else np.uint8(62)


@njit(cache=True, nogil=True)
def _continues(byte):
    return byte & 0xC0 == 0x80


@njit(cache=True, nogil=True)
def _bucket_row(bucket, tables):
    place = np.int64(bucket)
    if place > 0x7FFFFFFF:
        return np.int64(-1)
    if tables.kept.size == 0:
        return tables.num_words + place
    if not tables.is_kept[place >> 6] >> np.uint64(place & 63) & np.uint64(1):
        return np.int64(-1)
    return tables.num_words + np.int64(tables.kept[place])


@njit(cache=True, nogil=True)
def _add(hidden, inputs, rows, first, count):
    for place in range(first, first + count):
        row = rows[place]
        for column in range(hidden.size):
            hidden[column] += inputs[row, column]


@njit(cache=True, nogil=True)
def _add_long(hidden, inputs, data, start, end, value, tables, rows, first):
    """Add the rows of a word that is too long to be kept, a window of its n-grams after the other; their number."""
    number, total = _named(data, start, end, value, tables), np.int64(0)
    if number == -2 or number >= tables.num_words:
        return np.int64(_NO_WORD)
    if number >= 0:
        rows[first] = number
        _add(hidden, inputs, rows, first, 1)
        total += 1
    for begin in range(-1, end - start + 1, _WINDOW):
        stop = min(begin + _WINDOW, end - start + 1)
        count = _ngram_rows(data, start, end, begin, stop, tables, rows, first)
        _add(hidden, inputs, rows, first, count)
        total += count
    return total


@njit(cache=True, nogil=True)
def _noted(hashes, place, value):
    if place == hashes.size:
        hashes = np.append(hashes, np.empty(hashes.size, np.int64))
    hashes[place] = np.int64(np.int32(np.uint32(value)))  # as the library keeps it, with a sign
    return hashes


@njit(cache=True, nogil=True)
def _add_end(hidden, inputs, hashes, num_hashes, tables):
    """Add what the line's end is known by, then the n-grams of words; how many rows that were."""
    total = np.int64(0)
    if tables.end_word >= 0:
        for column in range(hidden.size):
            hidden[column] += inputs[tables.end_word, column]
        total += 1
    if tables.most_words > 1:
        hashes = _noted(hashes, num_hashes, _hash(_END, 0, _END.size))
        total += _add_word_ngrams(hidden, inputs, hashes, num_hashes + 1, tables)
    return total


@njit(cache=True, nogil=True)
def _add_word_ngrams(hidden, inputs, hashes, num_hashes, tables):
    total = np.int64(0)
    for first in range(num_hashes):
        value = np.uint64(hashes[first])
        for last in range(first + 1, min(num_hashes, first + tables.most_words)):
            value = value * _WORD_PRIME + np.uint64(hashes[last])
            row = _bucket_row(value % np.uint64(tables.buckets), tables)
            if row >= 0:
                for column in range(hidden.size):
                    hidden[column] += inputs[row, column]
                total += 1
    return total


@njit(cache=True, nogil=True)
def _judged(hidden, num_added, products, weights):
    """The best label and its probability, of a sum of rows."""
    if num_added == 0:
        return np.int32(-1), np.float32(0)
    share = np.float32(1.0 / num_added)
    for column in range(hidden.size):
        hidden[column] *= share
    if weights.loss == 0:
        label, score = _best_leaf(hidden, weights)
    else:
        label, score = _best_product(hidden, products, weights)
    return label, np.float32(math.exp(np.float32(score))) if label >= 0 else np.float32(0)


@njit(cache=True, nogil=True)
def _log(value):
    return np.float32(math.log(np.float64(value) + _FLOOR))


@njit(cache=True, nogil=True)
def _product(hidden, row, weights):
    total = np.float32(0)
    for column in range(hidden.size):
        total += weights.outputs[row, column] * hidden[column]
    return np.float32(total * weights.norms[row])


@njit(cache=True, nogil=True)
def _best_leaf(hidden, weights):
    """Depth first, the left child before the right; of equal leaves the later. Probabilities below 1e-5 end a path."""
    best, best_score, floor = np.int32(-1), np.float32(0), _log(0.0)
    nodes, scores = np.empty(weights.left.size + 1, np.int32), np.empty(weights.left.size + 1, np.float32)
    nodes[0], scores[0], depth = weights.left.size - 1, np.float32(0), 1
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < floor or (best >= 0 and score < best_score):
            continue
        if weights.left[node] < 0:
            best, best_score = np.int32(node), score
            continue
        power = math.exp(-_product(hidden, node - weights.num_labels, weights))
        share = np.float32(1.0 / np.float64(np.float32(1) + power))
        nodes[depth], scores[depth] = weights.right[node], score + _log(share)
        nodes[depth + 1] = weights.left[node]
        scores[depth + 1] = score + _log(np.float32(1.0 - np.float64(share)))
        depth += 2
    return best, best_score


@njit(cache=True, nogil=True)
def _best_product(hidden, products, weights):
    for label in range(weights.num_labels):
        products[label] = _product(hidden, label, weights)
    if weights.loss == 1:
        _to_softmax(products)
    else:
        for label in range(weights.num_labels):
            products[label] = _sigmoid(products[label], weights.sigmoid)
    best, best_score = np.int32(0), _log(products[0])
    for label in range(1, weights.num_labels):
        score = _log(products[label])
        if score >= best_score:
            best, best_score = np.int32(label), score
    return best, best_score


@njit(cache=True, nogil=True)
def _to_softmax(products):
    most, total = products.max(), np.float32(0)
    for label in range(products.size):
        products[label] = math.exp(products[label] - most)
        total += products[label]
    for label in range(products.size):
        products[label] /= total


@njit(cache=True, nogil=True)
def _sigmoid(value, table):
    if value < -_SIGMOID_BOUND:
        return np.float32(0)
    if value > _SIGMOID_BOUND:
        return np.float32(1)
    step = (value + np.float32(_SIGMOID_BOUND)) * np.float32(_SIGMOID_STEPS) / np.float32(_SIGMOID_BOUND)
    return table[int(step / np.float32(2))]
