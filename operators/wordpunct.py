r"""What a code point is to `re.findall(r"\w+|[^\w\s]+", text.lower())`, by a table that lies beside this file.

So a token depends on neither the version of Python nor of a library. `wordpunct.txt` holds, in hexadecimal, lines
`lower FROM TO` (a code point's lower case), and `word`, `space`, `cased` and `ignorable FIRST LAST`, as Python 3.11
answers (Unicode 14.0); `python -m operators.wordpunct` writes it. Two code points are not in `lower`, since what they
become is no code point of their own: a capital sigma is final at the end of a word (after a cased letter and before
none, those that are ignorable left out), and U+0130 becomes `i` and U+0307.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.code_point_tables import CODE_POINTS, read_table

SPACE: Final = 1 << 21
WORD: Final = 1 << 22
CASED: Final = 1 << 23
IGNORABLE: Final = 1 << 24
SIGMA: Final = 0x3A3
DOTTED_I: Final = 0x130

DIGEST: Final = "4a7d33a10634a06cf3e670e97e7af8081e7d6c29043d9b2dc1a3b83ca52d14c7"
"""`code_point_tables.table_digest` of the table in the file."""

_FILE: Final = Path(__file__).with_suffix(".txt")
_FLAGS: Final = {"space": SPACE, "word": WORD, "cased": CASED, "ignorable": IGNORABLE}


@cache
def wordpunct_table() -> NDArray[np.int32]:
    r"""For every code point its lower case, with flags; read-only.

    >>> from operators.code_point_tables import POINT_MASK
    >>> [chr(wordpunct_table()[ord(c)] & POINT_MASK) for c in "aZ\u00c4"] == ["a", "z", "\u00e4"]
    True
    >>> [bool(wordpunct_table()[ord(c)] & WORD) for c in "a_9.\u0301"]
    [True, True, True, False, False]
    """
    return read_table(_FILE, _FLAGS)


def _written() -> str:
    """The content of the file, as the Python that runs answers now."""
    points = [point for point in range(CODE_POINTS) if not 0xD800 <= point < 0xE000]
    lowered = {point: chr(point).lower() for point in points if point != SIGMA}
    lines = [f"lower {a:X} {ord(b):X}" for a, b in lowered.items() if len(b) == 1 and ord(b) != a]
    # A sigma is final after what is cased; what may stand between the two is ignorable, be it cased too.
    cased, before = (
        {point for point in points if (first + chr(point) + chr(SIGMA)).lower()[-1] == "\u03c2"} for first in ("", "a")
    )
    kinds = {
        "word": {point for point in points if chr(point).isalnum() or point == ord("_")},
        "space": {point for point in points if chr(point).isspace()},
        "cased": cased,
        "ignorable": before - cased,
    }
    for kind, members in kinds.items():
        runs = sorted(members)
        begins = [point for point in runs if point - 1 not in members]
        ends = [point for point in runs if point + 1 not in members]
        lines += [f"{kind} {low:X} {high:X}" for low, high in zip(begins, ends, strict=True)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    _FILE.write_text(_written())
