"""fastText files of version 12, written byte by byte: the package that we test with trains none."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOSSES = {"hierarchical_softmax": 1, "negative_sampling": 2, "softmax": 3, "one_vs_all": 4}


@dataclass(frozen=True)
class Shape:
    """What a file's model is like; its numbers are random."""

    words: tuple[str, ...] = ("</s>", "the", "der", "\u00fcber")
    labels: tuple[str, ...] = ("en", "de", "fr")
    loss: str = "softmax"
    dim: int = 5
    letters: tuple[int, int] = (0, 0)
    most_words: int = 1
    buckets: int = 50
    pruned: bool = False
    quantised: bool = False
    quantised_outputs: bool = False
    norms: bool = False
    kind: int = 3
    version: int = 12
    seed: int = 0


def fasttext_file(shape: Shape) -> bytes:
    """A file of such a model."""
    random = np.random.default_rng(shape.seed)
    loss = LOSSES[shape.loss]
    fixed = (1, 5, shape.most_words, loss, shape.kind, shape.buckets, *shape.letters)
    head = struct.pack("<14id", 793712314, shape.version, shape.dim, 5, 5, *fixed, 100, 1e-4)
    entries = [(word, 100 - place, 0) for place, word in enumerate(shape.words)]
    entries += [(f"__label__{label}", 20 - 3 * place, 1) for place, label in enumerate(shape.labels)]
    kept = random.permutation(shape.buckets)[: shape.buckets // 2] if shape.pruned else np.empty(0, int)
    counts = (len(entries), len(shape.words), len(shape.labels), 99, len(kept) if shape.pruned else -1)
    dictionary = struct.pack("<3i2q", *counts)
    dictionary += b"".join(name.encode() + b"\0" + struct.pack("<qb", count, kind) for name, count, kind in entries)
    dictionary += np.stack([kept, np.arange(len(kept))], 1).astype("<i4").tobytes()
    num_rows = len(shape.words) + (len(kept) if shape.pruned else shape.buckets)
    body = bytes([shape.quantised]) + _matrix(random, num_rows, shape, shape.quantised)
    body += bytes([shape.quantised_outputs])
    return head + dictionary + body + _matrix(random, len(shape.labels), shape, shape.quantised_outputs)


def _matrix(random: np.random.Generator, num_rows: int, shape: Shape, quantised: bool) -> bytes:
    size = struct.pack("<2q", num_rows, shape.dim)
    if not quantised:
        return size + _floats(3 * random.standard_normal((num_rows, shape.dim)))
    parts = -(-shape.dim // 2)
    codes = random.integers(0, 256, num_rows * parts, np.uint8)
    written = bytes([shape.norms]) + size + struct.pack("<i", codes.size) + codes.tobytes()
    written += struct.pack("<4i", shape.dim, parts, 2, shape.dim - 2 * (parts - 1))
    written += _floats(3 * random.standard_normal(256 * shape.dim))
    if shape.norms:
        written += random.integers(0, 256, num_rows, np.uint8).tobytes()
        written += struct.pack("<4i", 1, 1, 1, 1) + _floats(random.random(256) + 0.5)
    return written


def _floats(values: NDArray[np.float64]) -> bytes:
    return values.astype("<f4").tobytes()
