"""Where a long document is read, and which chunks go to the device together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


class Chunks(NamedTuple):
    """Chunks of some documents, in the order of documents and places."""

    document: Longs
    start: Longs
    """The place of its first token in its document."""
    length: Longs


def spread(sizes: Longs, room: int, most: int) -> Chunks:
    """Chunks of documents of so many tokens: at most `most` of at most `room` tokens, none in two.

    A document that fits into that many is read whole, one chunk after the other. Of a longer one the first chunk and
    the last are read, and the others at equal distances between; with `most` = 1 its first alone.

    >>> spread(np.array([3, 0, 10, 40]), 5, 3)
    Chunks(document=array([0, 2, 2, 3, 3, 3]), start=array([ 0,  0,  5,  0, 17, 35]), length=array([3, 5, 5, 5, 5, 5]))
    """
    wanted = -(-sizes // room)
    counts = np.minimum(wanted, most)
    document = np.repeat(np.arange(sizes.size), counts)
    place = np.arange(document.size) - np.repeat(np.cumsum(counts) - counts, counts)
    gaps = np.maximum(counts - 1, 1)[document]
    start = np.where((wanted > most)[document], place * (sizes[document] - room) // gaps, place * room)
    return Chunks(document, start, np.minimum(room, sizes[document] - start))


def longest_first(lengths: Longs, tie: Longs) -> Longs:
    """The order of chunks by length, the longest first, and by `tie` where lengths are equal.

    >>> longest_first(np.array([3, 9, 3]), np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return np.lexsort((np.arange(tie.size), tie, -lengths))


def next_batch(lengths: Longs, start: int, budget: int, *, packed: bool = False) -> int:
    """The end of the batch that begins at `start` of chunks in falling length: of one chunk at least.

    A batch is closed before its padded tokens, rows times the longest, exceed the budget; with `packed`, where nothing
    is padded, before its tokens do.

    >>> next_batch(np.array([4, 3, 3, 1]), 0, 12), next_batch(np.array([4, 3, 3, 1]), 0, 12, packed=True)
    (3, 4)
    """
    if packed:
        fit = int(np.searchsorted(np.cumsum(lengths[start:]), budget, side="right"))
    else:
        fit = budget // int(lengths[start])
    return min(start + max(1, fit), lengths.size)


def batches(lengths: Longs, budget: int, *, packed: bool = False) -> Iterator[slice]:
    """All batches; see `next_batch`.

    >>> list(batches(np.array([4, 3, 3, 1]), 8))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    start = 0
    while start < lengths.size:
        end = next_batch(lengths, start, budget, packed=packed)
        yield slice(start, end)
        start = end


def padding_efficiency(lengths: Longs, budget: int) -> float:
    """Tokens over padded tokens, 1.0 where there are none; `lengths` in the order in which they are batched.

    >>> padding_efficiency(np.array([4, 3, 3, 1]), 8)
    0.7857142857142857
    """
    padded = sum(int(lengths[batch].max()) * lengths[batch].size for batch in batches(lengths, budget))
    return float(lengths.sum() / padded) if padded else 1.0


def windows(rows: int, most: int) -> Iterator[slice]:
    """Equal stretches of at most so many rows.

    >>> list(windows(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    count = -(-rows // most)
    bounds = [-(-rows * part // count) for part in range(count + 1)] if count else []
    return (slice(start, end) for start, end in pairwise(bounds))
