"""An encoder for tests: 8 numbers of a text's bytes, nothing to load, and pure."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.embedding.encoders import EncoderChoice


class Toy:
    """Counts of bytes by their value modulo 8, as a unit vector; zeros for a text of exclamation marks alone."""

    dimension = 8

    def encode(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> NDArray[np.float32]:
        del ids
        found = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts.to_pylist()):
            found[row] = np.bincount(np.frombuffer(text.strip("!").encode(), np.uint8) % 8, minlength=8)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        return found

    def describe(self) -> dict[str, object]:
        return {"digest": "0" * 64, "pooling": "counts", "dtype": "float32", "dimension": self.dimension}


def toy(choice: EncoderChoice) -> Toy:
    """The encoder of a recipe that says `encoder: tests.operators.toy_encoder:toy`."""
    del choice
    return Toy()
