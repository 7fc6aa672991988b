r"""What Python's string methods and patterns say of a character, from tables of our own: the same on every Python.

Letters and digits are the classes of `operators/unicode_classes.py`, white space that of `operators/normal_text.py`;
the few characters of other categories that Python counts as capitals and digits are listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UPPER: Final = 1
"""`str.isupper` of it alone: Lu and Other_Uppercase."""
DIGIT: Final = 2
r"""`str.isdigit` of it alone: Nd and superscripts, circled and further digits."""
DECIMAL: Final = 4
r"""`\d` of `re`: Nd."""
WORD: Final = 8
r"""`\w` of `re`: letters (L), numbers (N), `_`; marks are none. But for `_` that is `str.isalnum`."""
SPACE: Final = 16
r"""`\s` of `re`, `str.isspace`, and where `str.split` splits."""

_OTHER_UPPERCASE: Final = (
    (0x2160, 0x216F),
    (0x24B6, 0x24CF),
    (0x1F130, 0x1F149),
    (0x1F150, 0x1F169),
    (0x1F170, 0x1F189),
)
# fmt: off
_OTHER_DIGITS: Final = (
    (0xB2, 0xB3), (0xB9, 0xB9), (0x1369, 0x1371), (0x19DA, 0x19DA), (0x2070, 0x2070), (0x2074, 0x2079),
    (0x2080, 0x2089), (0x2460, 0x2468), (0x2474, 0x247C), (0x2488, 0x2490), (0x24EA, 0x24EA), (0x24F5, 0x24FD),
    (0x24FF, 0x24FF), (0x2776, 0x277E), (0x2780, 0x2788), (0x278A, 0x2792), (0x10A40, 0x10A43), (0x10E60, 0x10E68),
    (0x11052, 0x1105A), (0x1F100, 0x1F10A),
)
# fmt: on


@cache
def character_flags() -> NDArray[np.uint8]:
    r"""The flags of every code point; read-only.

    >>> [int(character_flags()[ord(c)]) for c in "aA7_ \u00b2"] == [WORD, WORD | UPPER, 14, WORD, SPACE, WORD | DIGIT]
    True
    """
    import numpy as np

    from operators import normal_text
    from operators.unicode_classes import CLASSES, class_table

    classes = class_table()
    number = {name: CLASSES.index(name) + 1 for name in CLASSES}
    flags = np.where(classes == number["Lu"], UPPER, 0).astype(np.uint8)
    flags[classes == number["Nd"]] |= DIGIT | DECIMAL
    flags[np.isin(classes, [number[name] for name in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No")])] |= WORD
    flags[ord("_")] |= WORD
    flags[normal_text.normal_table() & normal_text.SPACE > 0] |= SPACE
    for ranges, flag in ((_OTHER_UPPERCASE, UPPER), (_OTHER_DIGITS, DIGIT)):
        for low, high in ranges:
            flags[low : high + 1] |= flag
    flags.flags.writeable = False
    return flags


def flag_digests() -> Mapping[str, str]:
    """What the flags were made of: for `Operator.models`."""
    from operators import normal_text
    from operators.unicode_classes import class_table_digest

    return {"unicode classes": class_table_digest(), "normal text": normal_text.DIGEST}
