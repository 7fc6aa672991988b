"""Training of fastText's supervised models in plain Python: what `fasttext_training.py` must equal."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from operators.fasttext_model import LABEL, SENTENCE_END, Floats, huffman_tree
from operators.kernels.fasttext_reference import hash_of
from operators.kernels.fasttext_training import Settings


def tokens_of(text: str) -> list[bytes]:
    """The words of a text and its end."""
    found = [token for token in re.split(rb"[ \n\r\t\v\f\0]+", text.encode()) if token]
    end = found.index(SENTENCE_END) if SENTENCE_END in found else len(found)
    return [token for token in found[:end] if not token.startswith(LABEL.encode())] + [SENTENCE_END]


def dictionary(lines: Sequence[list[bytes]], min_count: int, max_entries: int) -> list[tuple[bytes, int]]:
    """Words and counts, the most frequent first, then by first occurrence; `</s>` counts as the first of all."""
    counts: Counter[bytes] = Counter()
    seen = {SENTENCE_END: 0}
    threshold = 1
    for token in (token for line in lines for token in line):
        seen.setdefault(token, len(seen))
        counts[token] += 1
        if len(counts) > max_entries:
            threshold += 1
            counts = Counter({word: count for word, count in counts.items() if count >= threshold})
    kept = [(word, count) for word, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda entry: (-entry[1], seen[entry[0]]))


def uniform(seed: int, bound: float) -> Iterator[np.float32]:
    """Numbers between -bound and bound: of two steps of the minimal standard generator each."""
    state, span = seed, 2**31 - 2
    while True:
        state = state * 48_271 % (2**31 - 1)
        low = float(state - 1)
        state = state * 48_271 % (2**31 - 1)
        share = (low + float(state - 1) * float(span)) / float(span**2)
        yield np.float32(share * (bound + bound) - bound)


def rows_of(line: Sequence[bytes], numbers: dict[bytes, int], settings: Settings) -> list[int]:
    """The rows of a text: of each word and its n-grams, then of the n-grams of words."""
    rows: list[int] = []
    for token in line:
        rows += [numbers[token]] if token in numbers else []
        letters = ["<", *token.decode(), ">"] if token != SENTENCE_END else []
        for first in range(len(letters)):
            for size in range(max(settings.min_letters, 1), settings.max_letters + 1):
                part = letters[first : first + size]
                if len(part) == size and not (size == 1 and first in (0, len(letters) - 1)):
                    rows.append(len(numbers) + hash_of("".join(part).encode()) % settings.buckets)
    hashes = [(hash_of(token) ^ 1 << 31) - (1 << 31) for token in line]  # as signed numbers
    for first, value in enumerate(hashes):
        for other in hashes[first + 1 : first + settings.word_ngrams]:
            value = (value * 116_049_371 + other) % 2**64
            rows.append(len(numbers) + value % settings.buckets)
    return rows


def train(
    texts: Sequence[str], labels: Sequence[int], num_labels: int, settings: Settings, max_entries: int
) -> tuple[list[tuple[bytes, int]], Floats, Floats]:
    """The dictionary, and the input and the output matrix."""
    lines = [tokens_of(text) for text in texts]
    words = dictionary(lines, settings.min_count, max_entries)
    numbers = {word: number for number, (word, _) in enumerate(words)}
    inputs = np.zeros((len(words) + settings.rows_of_ngrams, settings.dim), np.float32)
    outputs = np.zeros((num_labels, settings.dim), np.float32)
    drawn = uniform(settings.seed % (2**31 - 1) or 1, float(np.float32(1 / settings.dim)))
    for place in range(inputs.size // 10):
        inputs.reshape(-1)[place] = next(drawn)
    paths = _paths(labels, num_labels)
    num_tokens = settings.epochs * sum(len(line) + 1 for line in lines)
    num_read, waiting, text = 0, 0, 0
    while num_read < num_tokens:
        progress = np.float32(num_read) / np.float32(num_tokens)
        rate = np.float32(settings.learning_rate * (1 - float(progress)))
        rows = rows_of(lines[text], numbers, settings)
        if rows:
            path = paths[labels[text]] if settings.loss == "hierarchical_softmax" else None
            _learn(rows, labels[text], path, rate, inputs, outputs)
        waiting += len(lines[text]) + 1
        text = (text + 1) % len(lines)
        if waiting > 100:
            num_read, waiting = num_read + waiting, 0
    return words, inputs, outputs


def _paths(labels: Sequence[int], num_labels: int) -> list[list[tuple[int, int]]]:
    """Of each label the inner nodes from it to the root, and whether its way turns right there."""
    left, right = huffman_tree([labels.count(label) for label in range(num_labels)])
    paths = []
    for label in range(num_labels):
        node, path = label, []
        while node != len(left) - 1:
            (parent,) = np.flatnonzero((left == node) | (right == node)).tolist()
            path.append((parent - num_labels, int(right[parent] == node)))
            node = parent
        paths.append(path)
    return paths


def _learn(
    rows: list[int], label: int, path: list[tuple[int, int]] | None, rate: np.float32, inputs: Floats, outputs: Floats
) -> None:
    hidden, gradient = np.zeros(inputs.shape[1], np.float32), np.zeros(inputs.shape[1], np.float32)
    for row in rows:
        hidden += inputs[row]
    hidden *= np.float32(1 / len(rows))
    if path is None:
        products = [_product(row, hidden) for row in outputs]
        powers = [np.float32(math.exp(float(product - max(products)))) for product in products]
        total = np.float32(0)
        for power in powers:
            total += power
        errors = [(place, np.float32(place == label) - power / total) for place, power in enumerate(powers)]
        for place, error in errors:
            _change(outputs[place], hidden, gradient, rate * error)
    else:
        for place, wanted in path:
            error = np.float32(wanted) - _sigmoid(_product(outputs[place], hidden))
            _change(outputs[place], hidden, gradient, rate * error)
    gradient *= np.float32(1 / len(rows))
    for row in rows:
        inputs[row] += gradient


def _change(row: Floats, hidden: Floats, gradient: Floats, amount: np.float32) -> None:
    gradient += amount * row
    row += amount * hidden


def _product(row: Floats, hidden: Floats) -> np.float32:
    total = np.float32(0)
    for weight, value in zip(row, hidden, strict=True):
        total += weight * value
    return total


def _sigmoid(value: np.float32) -> np.float32:
    """From the library's table of 513 values between -8 and 8."""
    if abs(value) > 8:
        return np.float32(value > 0)
    step = int(np.float32(value + np.float32(8)) * 32)
    power = np.float32(math.exp(8 - step / 32))
    return np.float32(1 / (1 + float(power)))
