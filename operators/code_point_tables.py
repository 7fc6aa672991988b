"""Tables of code points in text files: for each its lower case, and flags in the bits above it.

A file holds lines `KIND FROM TO` in hexadecimal: of the kind `lower` a code point and what it becomes, of any other the
first and the last code point that have its flag. All other code points stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

CODE_POINTS: Final = 0x110000
POINT_MASK: Final = (1 << 21) - 1
"""The bits of an entry that hold the lower-case code point; flags begin above them."""


def read_table(path: Path, flags: Mapping[str, int]) -> NDArray[np.int32]:
    """For every code point its entry, as a file says; `flags` are the bits of each kind of line. Read-only."""
    table = np.arange(CODE_POINTS, dtype=np.int32)
    for line in path.read_text().splitlines():
        kind, low, high = line.split()
        first, last = int(low, 16), int(high, 16)
        if kind == "lower":
            table[first] = last
        else:
            table[first : last + 1] |= flags[kind]
    table.flags.writeable = False
    return table


def table_digest(table: NDArray[np.int32]) -> str:
    """sha256 (hex) of a table."""
    return hashlib.sha256(table.astype("<i4", copy=False).tobytes()).hexdigest()
