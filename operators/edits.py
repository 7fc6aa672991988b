"""Passages of a buffer of texts that are replaced: collected in Python, applied at once by the kernel."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.clean_up import texts_of


class Edits:
    """Replacements in one buffer of texts, in rising order and without overlap."""

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        """No edit yet."""
        self.data, self.offsets = data, offsets
        self.starts: list[int] = []
        self.stops: list[int] = []
        self.new: list[bytes] = []

    def replace(self, start: int, stop: int, new: bytes) -> None:
        """Note that `data[start:stop]`, at least one byte of one text, becomes other bytes."""
        self.starts.append(start)
        self.stops.append(stop)
        self.new.append(new)

    def texts(self) -> pa.LargeStringArray:
        """The texts as they are then."""
        from operators.kernels.rewriting import spliced

        lengths = np.array([len(new) for new in self.new], np.int64)
        starts, stops = np.array(self.starts, np.int64), np.array(self.stops, np.int64)
        new = np.frombuffer(b"".join(self.new), np.uint8)
        return texts_of(*spliced(self.data, self.offsets, starts, stops, new, np.append(0, np.cumsum(lengths))))

    def per_text(self, weights: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """How many edits each text has, or the sum of what each edit weighs."""
        text = np.searchsorted(self.offsets, np.array(self.starts, np.int64), side="right") - 1
        return np.bincount(text, weights, minlength=len(self.offsets) - 1).astype(np.int64)
