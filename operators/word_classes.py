r"""The class of every code point by which `operators/words.py` cuts words, and whether it is a letter.

Decided by a table that lies beside this file, so that words never change with a library or with Python.
`word_classes.txt` holds lines `START VALUE`: from this code point (decimal, rising from 0) on, up to the next line's, a
class of the table below, plus 8 for the letters (category L). `python -m operators.word_classes` writes it, as the
`regex` package of requirements.lock answers (version 2026.11.15).

- space (0): White_Space, controls (Cc), surrogates (Cs), and format characters (Cf) but those that extend
- extend (1): marks (Mn Mc Me), emoji skin tones, soft hyphen, U+200C, U+200D, tags U+E0020-E007F
- ideograph (2): L and Nl of scripts written without spaces: Han, Hiragana, Katakana, Bopomofo, and Line_Break=SA
  (Thai, Lao, Khmer, Myanmar, Tai scripts, Ahom)
- lower (3, Ll), upper (4, Lu Lt), letter (5, Lm Lo), digit (6, Nd Nl No), each without the ideographs
- symbol (7): all else: punctuation, symbols, unassigned and private code points
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE_POINTS: Final = 0x110000
SPACE: Final = 0
EXTEND: Final = 1
IDEOGRAPH: Final = 2
LOWER: Final = 3
UPPER: Final = 4
LETTER: Final = 5
DIGIT: Final = 6
SYMBOL: Final = 7
KIND_MASK: Final = 7
"""The bits of a value that hold the class."""
IS_LETTER: Final = 8
"""Set in the value of a letter, ideographs among them: where `str.isalpha` holds in the table's version of Unicode."""

DIGEST: Final = "dd5de4675285ac8ff6b4c47e1728cf847db6f16a9c106be214e16f974ffe0c42"
"""`table_digest` of the table in the file."""

_FILE: Final = Path(__file__).with_suffix(".txt")

# What the classes are, for the `regex` module in its version 1 syntax (set operations).
_EXTEND: Final = r"\p{M}\p{Emoji_Modifier}\u00AD\u200C\u200D\U000E0020-\U000E007F"
_IDEOGRAPH: Final = r"[[\p{L}\p{Nl}]&&[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{sc=Bopomofo}\p{Line_Break=SA}]]"
_SPACE: Final = r"\p{White_Space}\p{Cc}\p{Cf}\p{Cs}"
_CLASSES: Final = (
    (SPACE, f"[{_SPACE}]"),
    (LOWER, r"\p{Ll}"),
    (UPPER, r"[\p{Lu}\p{Lt}]"),
    (LETTER, r"[\p{Lm}\p{Lo}]"),
    (DIGIT, r"\p{N}"),
    (IDEOGRAPH, _IDEOGRAPH),
    (EXTEND, f"[{_EXTEND}]"),
)
"""In the order in which they are written into the table: a later class wins."""


@cache
def code_point_values() -> bytes:
    """The class of every code point, with `IS_LETTER`, one byte each.

    >>> [code_point_values()[ord(c)] for c in " aA1."] == [SPACE, LOWER | 8, UPPER | 8, DIGIT, SYMBOL]
    True
    """
    runs = [tuple(map(int, line.split())) for line in _FILE.read_text().splitlines()]
    ends = [start for start, _ in runs[1:]] + [CODE_POINTS]
    return b"".join(bytes([value]) * (end - start) for (start, value), end in zip(runs, ends, strict=True))


@cache
def code_point_classes(limit: int = CODE_POINTS) -> bytes:
    """The class of every code point below a limit, one byte each: for state machines over code points.

    >>> [code_point_classes(0x80)[ord(c)] for c in " aA1."] == [SPACE, LOWER, UPPER, DIGIT, SYMBOL]
    True
    """
    return code_point_values()[:limit].translate(bytes(value & KIND_MASK for value in range(256)))


def is_letter(character: str) -> bool:
    """Whether a code point is a letter.

    >>> is_letter("a"), is_letter("\u4e00"), is_letter("1")
    (True, True, False)
    """
    return bool(code_point_values()[ord(character)] & IS_LETTER)


def as_array(values: bytes) -> NDArray[np.uint8]:
    """A table as the kernels take it, read-only."""
    import numpy as np

    return np.frombuffer(values, np.uint8)


def table_digest(values: bytes) -> str:
    """sha256 (hex) of a table."""
    return hashlib.sha256(values).hexdigest()


def answered_values() -> bytes:
    """The table as the installed `regex` answers now."""
    import regex

    table = bytearray([SYMBOL]) * CODE_POINTS
    everything = "".join(map(chr, range(CODE_POINTS)))
    for kind, pattern in _CLASSES:
        for run in regex.finditer(f"{pattern}+", everything, regex.V1):
            table[run.start() : run.end()] = bytes([kind]) * (run.end() - run.start())
    for run in regex.finditer(r"\p{L}+", everything, regex.V1):
        for point in range(run.start(), run.end()):
            table[point] |= IS_LETTER
    return bytes(table)


def _written(values: bytes) -> str:
    starts = [0, *(point for point in range(1, CODE_POINTS) if values[point] != values[point - 1])]
    return "".join(f"{start} {values[start]}\n" for start in starts)


if __name__ == "__main__":
    _FILE.write_text(_written(answered_values()))
