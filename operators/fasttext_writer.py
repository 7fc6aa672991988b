"""Write fastText models: the file of version 12 that `operators/fasttext_model.py` reads, with dense matrices.

The input matrix lies in the file's bytes from the start and is trained there, so that a model needs its file's size in
memory and not twice that: 4 bytes for each number of each word and bucket, 0.8 GB at fastText's 2,000,000 buckets of
100 dimensions.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from operators.fasttext_model import LABEL, Dictionary, FasttextModel, Floats

if TYPE_CHECKING:
    from operators.kernels.fasttext_training import Settings

_MAGIC, _VERSION, _SUPERVISED = 793_712_314, 12, 3
_LOSSES: Final = {"hierarchical_softmax": 1, "softmax": 3}
_WINDOW, _NEGATIVES, _RATE_STEP, _SAMPLING = 5, 5, 100, 1e-4  # the library's defaults, which nothing here reads
_ALIGNED: Final = 64
_SIZE: Final = struct.Struct("<2q")


class ModelFile:
    """A model's file with its matrices; `inputs` and `outputs` are zeros to be trained in place."""

    def __init__(
        self,
        words: Sequence[bytes],
        word_counts: Sequence[int],
        labels: Sequence[str],
        label_counts: Sequence[int],
        num_tokens: int,
        settings: Settings,
    ) -> None:
        self._dictionary = Dictionary(tuple(words), tuple(labels), tuple(label_counts), None)
        self._settings = settings
        entries = [_entry(word, count, 0) for word, count in zip(words, word_counts, strict=True)]
        entries += [_entry((LABEL + name).encode(), count, 1) for name, count in zip(labels, label_counts, strict=True)]
        counts = struct.pack("<3i2q", len(entries), len(words), len(labels), num_tokens, -1)
        num_rows = len(words) + settings.rows_of_ngrams
        size = _SIZE.pack(num_rows, settings.dim)
        head = b"".join([_arguments(settings), counts, *entries, b"\0", size])
        self.outputs: Floats = np.zeros((len(labels), settings.dim), np.float32)
        num_bytes = 4 * num_rows * settings.dim
        room = np.zeros(_ALIGNED + len(head) + num_bytes + 1 + _SIZE.size + self.outputs.nbytes, np.uint8)
        start = -(room.ctypes.data + len(head)) % _ALIGNED
        self._bytes = room[start : start + room.size - _ALIGNED]
        self._bytes[: len(head)] = np.frombuffer(head, np.uint8)
        self._end = len(head) + num_bytes
        self.inputs: Floats = self._bytes[len(head) : self._end].view(np.float32).reshape(num_rows, settings.dim)

    def model(self) -> FasttextModel:
        """The model as `read_model` would find it in the file; its matrices are these."""
        settings = self._settings
        return FasttextModel(
            self._dictionary, settings.loss, max(settings.min_letters, 1),
            settings.max_letters if settings.rows_of_ngrams else 0,
            settings.word_ngrams if settings.rows_of_ngrams else 1, settings.rows_of_ngrams,
            self.inputs, self.outputs, np.ones(len(self.outputs), np.float32),
        )  # fmt: skip

    def content(self) -> pa.Buffer:
        """The file, without a copy of it."""
        tail = b"\0" + _SIZE.pack(*self.outputs.shape) + self.outputs.tobytes()
        self._bytes[self._end :] = np.frombuffer(tail, np.uint8)
        return pa.py_buffer(self._bytes)


def _entry(name: bytes, count: int, kind: int) -> bytes:
    return name + b"\0" + struct.pack("<qb", count, kind)


def _arguments(settings: Settings) -> bytes:
    return struct.pack(
        "<14id", _MAGIC, _VERSION, settings.dim, _WINDOW, settings.epochs, settings.min_count, _NEGATIVES,
        settings.word_ngrams, _LOSSES[settings.loss], _SUPERVISED, settings.rows_of_ngrams, settings.min_letters,
        settings.max_letters, _RATE_STEP, _SAMPLING,
    )  # fmt: skip
