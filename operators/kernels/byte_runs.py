"""Where a text has a run of bytes of a set with enough of a subset: a cheap look before regular expressions. 1 GB/s."""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, assignment"

from typing import Final

import numpy as np
from numba import njit

MEMBER: Final = 1
COUNTED: Final = 2
"""What a byte may be in the table of `byte_runs`; 0: it ends a run."""


@njit(cache=True, nogil=True)
def byte_runs(data, offsets, table, length, least):
    """The longest runs of members, of at least `length` bytes of which at least `least` count, each within one text.

    Returns int64[n], int64[n], int64[n]: the text, and where the run begins and ends in `data`. Most bytes are not
    looked at: where the last of the next `length` bytes is no member, none of them begins a run that is long enough.
    """
    room, count = 64, 0
    texts, starts, stops = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    for text in range(offsets.size - 1):
        begin, stop = offsets[text], offsets[text + 1]
        while begin + length <= stop:
            at = begin + length - 1
            while at >= begin and table[data[at]]:
                at -= 1
            if at >= begin:
                begin = at + 1
                continue
            at, counted = begin, 0
            while at < stop and table[data[at]]:
                counted += table[data[at]] >> 1
                at += 1
            if counted >= least:
                if count == room:
                    room *= 2
                    texts, starts, stops = _grown(texts, room), _grown(starts, room), _grown(stops, room)
                texts[count], starts[count], stops[count] = text, begin, at
                count += 1
            begin = at + 1
    return texts[:count].copy(), starts[:count].copy(), stops[:count].copy()


@njit(cache=True, nogil=True)
def _grown(values, room):
    larger = np.empty(room, values.dtype)
    larger[: values.size] = values
    return larger
