"""Prediction with fastText models in plain Python, in the library's order and precision: what `fasttext.py` comes near.

With `numbers=np.float64` it says what the library's sums would be without their rounding.
"""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.fasttext_model import LABEL, SENTENCE_END, FasttextModel, huffman_tree

_Numbers = type[np.float32] | type[np.float64]
_Vector = NDArray[Any]  # of float32 or float64
_Kept = dict[int, int] | None
_Scores = list[tuple[np.floating, int]]


def predict(model: FasttextModel, text: str, numbers: _Numbers = np.float32) -> tuple[str | None, float]:
    """The first label of a text, and its probability; None and 0 where no part of the text is known."""
    scores = all_scores(model, text, numbers)
    if not scores:
        return None, 0.0
    best = max(score for score, _ in scores)
    label = [label for score, label in scores if score == best][-1]
    return model.dictionary.labels[label], float(np.exp(best))


def all_scores(model: FasttextModel, text: str, numbers: _Numbers = np.float32) -> _Scores:
    """The logarithms of the labels' probabilities; with hierarchical softmax not of those below 1e-5."""
    hidden = hidden_of(model, text, numbers)
    if hidden is None:
        return []
    return _leaves(model, hidden) if model.loss == "hierarchical_softmax" else _all(model, hidden)


def hidden_of(model: FasttextModel, text: str, numbers: _Numbers = np.float32) -> _Vector | None:
    """The mean of a text's rows, (dim); None where it has none."""
    rows = rows_of(model, text.encode())
    if not rows:
        return None
    hidden = np.zeros(model.inputs.shape[1], numbers)
    for row in rows:
        hidden += model.inputs[row]
    hidden *= np.float32(1 / len(rows)) if numbers is np.float32 else 1 / len(rows)
    return hidden


def rows_of(model: FasttextModel, text: bytes) -> list[int]:
    """The rows of a text: of each word and its n-grams, of the line's end, then of the n-grams of words."""
    known = model.dictionary
    numbers = {word: number for number, word in reversed(list(enumerate(known.words)))}
    labels = {(LABEL + label).encode() for label in known.labels}
    kept = None if known.kept is None else dict(known.kept.tolist())
    rows, hashes = [], []
    tokens = [token for token in re.split(rb"[ \n\r\t\v\f\0]+", text) if token]
    end = tokens.index(SENTENCE_END) if SENTENCE_END in tokens else len(tokens)
    for token in [*tokens[:end], SENTENCE_END]:
        if token in labels or (token not in numbers and token.startswith(LABEL.encode())):
            continue
        rows += [numbers[token]] if token in numbers else []
        if token != SENTENCE_END:
            rows += _ngram_rows(model, token, kept)
        hashes.append((hash_of(token) ^ 1 << 31) - (1 << 31))  # as a signed number
    for first, value in enumerate(hashes):
        for other in hashes[first + 1 : first + model.most_words]:
            value = (value * 116_049_371 + other) % 2**64
            rows += _bucket_rows(model, value % model.buckets, kept)
    return rows


def hash_of(token: bytes) -> int:
    r"""FNV-1a of 32 bits, with bytes as signed numbers.

    >>> hash_of(b"a"), hash_of("\u00e9".encode())
    (3826002220, 1023043777)
    """
    value = 2_166_136_261
    for byte in token:
        value = (value ^ (byte if byte < 128 else byte + 0xFFFFFF00)) * 16_777_619 % 2**32
    return value


def _ngram_rows(model: FasttextModel, word: bytes, kept: _Kept) -> list[int]:
    letters = ["<", *word.decode(), ">"]
    rows = []
    for first in range(len(letters)):
        for size in range(model.least_letters, model.most_letters + 1):
            part = letters[first : first + size]
            if len(part) == size and not (size == 1 and first in (0, len(letters) - 1)):
                rows += _bucket_rows(model, hash_of("".join(part).encode()) % model.buckets, kept)
    return rows


def _bucket_rows(model: FasttextModel, bucket: int, kept: _Kept) -> list[int]:
    if bucket >= 2**31:
        return []
    if kept is None:
        return [len(model.dictionary.words) + bucket]
    return [len(model.dictionary.words) + kept[bucket]] if bucket in kept else []


def _log(value: float, numbers: _Numbers) -> np.floating:
    return numbers(math.log(value + 1e-5))


def product(model: FasttextModel, row: int, hidden: _Vector) -> np.floating:
    """A row of the outputs times a text's mean, added up in the mean's precision."""
    total = hidden.dtype.type(0)
    for weight, value in zip(model.outputs[row], hidden, strict=True):
        total += weight * value
    found: np.floating = hidden.dtype.type(total * model.output_norms[row])
    return found


def _leaves(model: FasttextModel, hidden: _Vector) -> _Scores:
    """The leaves in depth-first order whose probability is not below 1e-5 on their way."""
    left, right = huffman_tree(model.dictionary.label_counts)
    numbers = hidden.dtype.type
    found, open_nodes = [], [(numbers(0), len(left) - 1)]
    while open_nodes:
        score, node = open_nodes.pop()
        if score < _log(0, numbers):
            continue
        if left[node] < 0:
            found.append((score, node))
            continue
        power = np.exp(-product(model, node - len(model.dictionary.labels), hidden))
        share = numbers(1 / (1 + float(power)))
        open_nodes.append((score + _log(float(share), numbers), int(right[node])))
        open_nodes.append((score + _log(float(1 - share), numbers), int(left[node])))
    return found


def _all(model: FasttextModel, hidden: _Vector) -> _Scores:
    numbers = hidden.dtype.type
    products = np.array([product(model, label, hidden) for label in range(len(model.dictionary.labels))])
    if model.loss == "softmax":
        powers = np.exp(products - products.max())
        return [(_log(float(power / powers.sum()), numbers), label) for label, power in enumerate(powers)]
    return [(_log(_sigmoid(float(product)), numbers), label) for label, product in enumerate(products)]


def _sigmoid(value: float) -> float:
    """From fastText's table of 513 values between -8 and 8."""
    if abs(value) > 8:
        return float(value > 0)
    step = int(np.float32(np.float32(value) + 8) * 32)
    return float(np.float32(1 / (1 + np.exp(np.float32(8 - step / 32)))))
