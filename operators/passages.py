"""A place in a text with what stands around it, as bytes: what the finders of `mask_pii` look at."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

AROUND: Final = 48
"""Bytes before and after a place that a finder may look at."""


class Passage(NamedTuple):
    """Bytes of one text; `[start, stop)` in them is the place, the rest stands around it."""

    content: bytes
    start: int
    stop: int
    base: int
    """Where the content begins in the buffer of all texts."""


class Found(NamedTuple):
    """What a finder found, by its place in the passage's content."""

    start: int
    stop: int
    name: str
    """What it is, written in one way only: equal things have equal names."""


def passage(data: NDArray[np.uint8], low: int, high: int, start: int, stop: int) -> Passage:
    """The place `[start, stop)` of the text `[low, high)`.

    >>> passage(np.frombuffer(b"ab 1.2 c", np.uint8), 1, 8, 3, 6)
    Passage(content=b'b 1.2 c', start=2, stop=5, base=1)
    """
    begin, end = max(low, start - AROUND), min(high, stop + AROUND)
    return Passage(data[begin:end].tobytes(), start - begin, stop - begin, begin)
