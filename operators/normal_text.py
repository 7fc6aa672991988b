r"""The normal form `standard` of a text: lower case, every run of white space one space, none at the ends.

Decided code point by code point from a table that lies beside this file, so a text's normal form depends neither on the
version of Python nor on that of a library. `normal_text.txt` holds, in hexadecimal, lines `lower FROM TO` (Unicode's
simple lower-case mapping, as Arrow 26.0.1 has it), `space FROM TO` (the 29 code points at which Python's `str.split`
splits) and `unspaced FROM TO` (see `UNSPACED`); it is written by `python -m operators.normal_text`.

Deviations from `" ".join(text.lower().split())`: U+0130 becomes `i` alone, not `i` and U+0307; a capital sigma always
becomes U+03C3, also at the end of a word; capitals newer than the Unicode version of the running Python become lower
case (Python 3.11 has 14.0). All else is equal, and the length in code points can only shrink.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

CODE_POINTS: Final = 0x110000
POINT_MASK: Final = (1 << 21) - 1
"""The bits of an entry that hold the lower-case code point."""
SPACE: Final = 1 << 21
"""Set in the entry of white space."""
UNSPACED: Final = 1 << 22
"""Set in the entry of a code point of a script that is written without spaces between words.

By script extensions: Han, Hiragana, Katakana, Bopomofo, Yi, Thai, Lao, Khmer, Myanmar, Tibetan; and the blocks of CJK
symbols and of full-width and half-width forms, whose commas and digits stand inside such text.
"""

DIGEST: Final = "1311f44909088fff90d5984f19e1f1f4cf36ead907afae0ff4228d98637801e5"
"""`table_digest` of the table in the file."""

_FILE: Final = Path(__file__).with_suffix(".txt")
_UNSPACED_SCRIPTS: Final = (
    "Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan",
)  # fmt: skip
_UNSPACED_BLOCKS: Final = r"\u3000-\u303F\uFF00-\uFFEF"


@cache
def normal_table() -> NDArray[np.int32]:
    r"""For every code point its lower case, with the flags `SPACE` and `UNSPACED`; read-only.

    >>> [chr(normal_table()[ord(c)] & POINT_MASK) for c in "aZ\u03a3\u0130"] == ["a", "z", "\u03c3", "i"]
    True
    >>> [bool(normal_table()[ord(c)] & SPACE) for c in " \n\u3000a"]
    [True, True, True, False]
    >>> [bool(normal_table()[ord(c)] & UNSPACED) for c in "\u4e2d\u3001\u0e01a"]
    [True, True, True, False]
    """
    table = np.arange(CODE_POINTS, dtype=np.int32)
    for line in _FILE.read_text().splitlines():
        kind, low, high = line.split()
        first, last = int(low, 16), int(high, 16)
        if kind == "lower":
            table[first] = last
        else:
            table[first : last + 1] |= SPACE if kind == "space" else UNSPACED
    table.flags.writeable = False
    return table


@cache
def words_table() -> NDArray[np.int32]:
    """The table for texts that are in a normal form already: all code points stay, and U+0020 alone is white space."""
    table = np.arange(CODE_POINTS, dtype=np.int32)
    table[32] |= SPACE
    table.flags.writeable = False
    return table


def table_digest(table: NDArray[np.int32]) -> str:
    """sha256 (hex) of a table."""
    return hashlib.sha256(table.astype("<i4", copy=False).tobytes()).hexdigest()


def standard(text: str) -> str:
    r"""The normal form of a text, slowly.

    >>> standard("  Two\n\tWORDS ")
    'two words'
    """
    table = normal_table()
    entries = [int(table[ord(character)]) for character in text]
    lower = "".join(" " if entry & SPACE else chr(entry & POINT_MASK) for entry in entries)
    return " ".join(word for word in lower.split(" ") if word)


def is_unspaced(character: str) -> bool:
    r"""Whether a code point belongs to a script that is written without spaces.

    >>> is_unspaced("\u4e2d"), is_unspaced("a")
    (True, False)
    """
    return bool(normal_table()[ord(character)] & UNSPACED)


def _written() -> str:
    """The content of the file, as the installed libraries answer now."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import regex

    points = [point for point in range(CODE_POINTS) if not 0xD800 <= point < 0xE000]
    characters = "".join(map(chr, points))
    lowered = pc.utf8_lower(pa.array(list(characters), pa.large_string())).to_pylist()
    lines = [f"lower {a:X} {ord(b):X}" for a, b in zip(points, lowered, strict=True) if chr(a) != b]
    scripts = "".join(rf"\p{{scx={name}}}" for name in _UNSPACED_SCRIPTS)
    shared = r"[[\p{Script=Common}\p{Script=Inherited}]&&[\x00-\u2E7F]]"  # accents and middle dots that Latin uses too
    unspaced = rf"[[{scripts}{_UNSPACED_BLOCKS}]--[\s{shared}]]+"
    kinds = {"space": r"[\s\x1C-\x1F]+", "unspaced": unspaced}
    for kind, pattern in kinds.items():
        for run in regex.finditer(pattern, characters, regex.V1):
            lines.append(f"{kind} {ord(run[0][0]):X} {ord(run[0][-1]):X}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    _FILE.write_text(_written())
