r"""The normal form `standard` of a text: lower case, every run of white space one space, none at the ends.

Decided code point by code point from a table that lies beside this file, so a text's normal form depends neither on the
version of Python nor on that of a library. `normal_text.txt` holds, in hexadecimal, lines `lower FROM TO` (Unicode's
simple lower-case mapping, as Arrow 26.0.1 has it, and the sigma of a word's end as the other one), `space FROM TO` (the
29 code points at which Python's `str.split` splits), `dense FROM TO` and `thin FROM TO` (see `WEIGHT_SHIFT`);
`python -m operators.normal_text` writes it.

Deviations from `" ".join(text.lower().split())`: U+0130 becomes `i` alone, not `i` and U+0307; every sigma becomes
U+03C3, also at the end of a word, so that a Greek word is the same in capitals; capitals newer than the Unicode version
of the running Python become lower case (Python 3.11 has 14.0). All else is equal, and the length in code points can
only shrink.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators.code_point_tables import CODE_POINTS, POINT_MASK, read_table

SPACE: Final = 1 << 21
"""Set in the entry of white space."""
WEIGHT_SHIFT: Final = 22
"""Where the two bits begin that hold the weight of a code point of a script without spaces between words; 0 elsewhere.

`DENSE`: script extensions Han, Hiragana, Katakana, Bopomofo, Yi; and the blocks of CJK symbols and of full-width and
half-width forms, whose commas and digits stand inside such text. `THIN`: Thai, Lao, Khmer, Myanmar, Tibetan.
"""
WORD: Final = 6
DENSE: Final = 3
THIN: Final = 1
"""What a word weighs, and a code point of either kind of script: about as much as it says.

In the 30 articles of the Universal Declaration of Human Rights an English word corresponds to 1.6 code points of
Chinese, 2.4 of Japanese; 5.0 of Thai, 5.5 of Lao, 5.8 of Khmer, 7.1 of Tibetan, 8.2 of Burmese.
"""

DIGEST: Final = "b10c1f537033ad8b7d228d08ccffa629f61753bcfbb99f51a4cdd7333d2dfcac"
"""`code_point_tables.table_digest` of the table in the file."""

_FILE: Final = Path(__file__).with_suffix(".txt")
_DENSE: Final = ("Han", "Hiragana", "Katakana", "Bopomofo", "Yi")
_FINAL_SIGMA, _SIGMA = 0x3C2, 0x3C3
_THIN: Final = ("Thai", "Lao", "Khmer", "Myanmar", "Tibetan")


@cache
def normal_table() -> NDArray[np.int32]:
    r"""For every code point its lower case, with the flag `SPACE` and its weight; read-only.

    >>> [chr(normal_table()[ord(c)] & POINT_MASK) for c in "aZ\u03a3\u0130"] == ["a", "z", "\u03c3", "i"]
    True
    >>> [bool(normal_table()[ord(c)] & SPACE) for c in " \n\u3000a"]
    [True, True, True, False]
    >>> [int(normal_table()[ord(c)]) >> WEIGHT_SHIFT for c in "\u4e2d\u3001\u0e01a"]
    [3, 3, 1, 0]
    """
    return read_table(_FILE, {"space": SPACE, "dense": DENSE << WEIGHT_SHIFT, "thin": THIN << WEIGHT_SHIFT})


@cache
def words_table() -> NDArray[np.int32]:
    """The table for texts that are in a normal form already: all code points stay, and U+0020 alone is white space."""
    table = np.arange(CODE_POINTS, dtype=np.int32)
    table[32] |= SPACE
    table.flags.writeable = False
    return table


def standard(text: str) -> str:
    r"""The normal form of a text, slowly.

    >>> standard("  Two\n\tWORDS ")
    'two words'
    """
    table = normal_table()
    entries = [int(table[ord(character)]) for character in text]
    lower = "".join(" " if entry & SPACE else chr(entry & POINT_MASK) for entry in entries)
    return " ".join(word for word in lower.split(" ") if word)


def weight(character: str) -> int:
    r"""The weight of a code point of a script without spaces between words, 0 of any other.

    >>> weight("\u4e2d"), weight("\u0e01"), weight("a")
    (3, 1, 0)
    """
    return int(normal_table()[ord(character)]) >> WEIGHT_SHIFT


def _written() -> str:
    """The content of the file, as the installed libraries answer now."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import regex

    points = [point for point in range(CODE_POINTS) if not 0xD800 <= point < 0xE000]
    characters = "".join(map(chr, points))
    lowered = pc.utf8_lower(pa.array(list(characters), pa.large_string())).to_pylist()
    small = {a: ord(b) for a, b in zip(points, lowered, strict=True)} | {_FINAL_SIGMA: _SIGMA}
    lines = [f"lower {a:X} {b:X}" for a, b in small.items() if a != b]
    shared = r"[[\p{Script=Common}\p{Script=Inherited}]&&[\x00-\u2E7F]]"  # accents and middle dots that Latin uses too
    dense, thin = ("".join(rf"\p{{scx={name}}}" for name in names) for names in (_DENSE, _THIN))
    kinds = {
        "space": r"[\s\x1C-\x1F]+",
        "dense": rf"[[{dense}\u3000-\u303F\uFF00-\uFFEF]--[\s{shared}]]+",
        "thin": rf"[[{thin}]--[\s{shared}{dense}]]+",
    }
    for kind, pattern in kinds.items():
        for run in regex.finditer(pattern, characters, regex.V1):
            lines.append(f"{kind} {ord(run[0][0]):X} {ord(run[0][-1]):X}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    _FILE.write_text(_written())
