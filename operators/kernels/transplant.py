"""Rows of a new table as weighted sums of rows of an old one. `operators/transplant/weights.py` says what for.

Sums are taken in float64 in the order of the weights, whatever the machine's vectors hold, so that a table is the same
bytes everywhere; a row with the single weight 1 is the old row. Price: 25,000 rows of 576 numbers, 12 weights each,
take 0.2 CPU seconds.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def mean_row(table, members):
    """The mean of the rows whose place in `members` is true, in float64; zeros where there is none."""
    total = np.zeros(table.shape[1], np.float64)
    count = 0
    for row in range(table.shape[0]):
        if members[row]:
            count += 1
            for column in range(total.size):
                total[column] += np.float64(table[row, column])
    for column in range(total.size):
        total[column] /= max(count, 1)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def weighted_rows(indptr, indices, values, mean_share, mean, table, result):
    """Fill `result`: each row the sum of value * old row, and of its share of the mean row."""
    total = np.empty(table.shape[1], np.float64)
    for row in range(result.shape[0]):
        share = np.float64(mean_share[row])
        for column in range(total.size):
            total[column] = share * mean[column] if share != 0 else 0.0
        for place in range(indptr[row], indptr[row + 1]):
            value = np.float64(values[place])
            old = indices[place]
            for column in range(total.size):
                total[column] += value * np.float64(table[old, column])
        for column in range(total.size):
            result[row, column] = np.float32(total[column])
