"""Who stays among vectors in order, each compared with those that stay: the parts that go from one to the next.

`near_vectors_reference.py` is the slow definition. The products are made elsewhere, in blocks.

Price: `thresholds_kept` 4 ns a pair, most of it the root; 1 s to compile.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, operator"

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.embedding.clustering import COSINE_UNIT as UNIT
from operators.embedding.clustering import LEVELS

Longs = NDArray[np.int64]
Masks = NDArray[np.uint64]


def claimed(earlier: Longs, later: Longs, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the pairs of near items count, those whose earlier item stays; `lost` is brought up to date.

    Args:
        earlier: of each pair the item that comes first.
        later: the other; pairs are in the order of `later`.
        lost: which items are lost already.
    """
    counts = np.zeros(earlier.size, np.bool_)
    _claimed(earlier, later, lost, counts)
    return counts


def thresholds_kept(
    products: NDArray[np.float32], lengths: tuple[Longs, Longs], kept: tuple[Masks, Masks], low: int, step: int
) -> None:
    """Take out of the masks of a block's items, at each threshold, what is near an earlier item that is in there.

    Args:
        products: (items of the block, earlier items), integers; or (block, block), where an item is compared with
            those before it.
        lengths: the squares of the lengths of the rows and of the columns.
        kept: a mask for each row and for each column, one and the same array where a block is compared with itself;
            bit b is set where the item stays at the threshold low + b * step.
        low: the threshold of bit 0, and
        step: from one bit to the next, in 1 / `UNIT`.
    """
    _thresholds_kept(products, *lengths, *kept, low, step, kept[0] is kept[1])


@njit(cache=True, nogil=True)
def _claimed(earlier, later, lost, counts):
    for pair in range(earlier.size):
        if not lost[earlier[pair]]:
            counts[pair] = True
            lost[later[pair]] = True


@njit(cache=True, nogil=True)
def _thresholds_kept(products, rows, columns, mine, theirs, low, step, is_own):
    least = (low * low) / (UNIT * UNIT) * columns.min()
    for row in range(products.shape[0]):
        mask, bound = mine[row], np.float32(np.sqrt(least * rows[row]) - 2)
        for column in range(row if is_own else columns.size):
            if mask == 0:
                break
            if products[row, column] < bound:
                continue
            cosine = products[row, column] / np.sqrt(np.float64(rows[row] * columns[column]))
            levels = (int(np.floor(cosine * UNIT)) - low) // step + 1
            if levels >= LEVELS:
                mask &= ~theirs[column]
            elif levels > 0:
                mask &= ~(theirs[column] & ((np.uint64(1) << np.uint64(levels)) - np.uint64(1)))
        mine[row] = mask
