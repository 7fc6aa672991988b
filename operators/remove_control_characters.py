r"""Take characters out that nobody sees: controls, and on wish by default the invisible ones that no script needs.

| parameter | characters | by default |
|---|---|---|
| always | Cc: U+0000-001F, U+007F-009F but tab and LF | go; VT, FF, NEL and a lone CR become LF |
| `zero_width` | U+200B, U+2060-2064, U+180E, U+FEFF (byte order mark), U+206A-206F, U+FFF9-FFFB, U+E0001 | go |
| `soft_hyphens` | U+00AD | go |
| `bidi_controls` | U+061C, U+200E, U+200F, U+202A-202E, U+2066-2069 | go |
| `joiners` | U+200C ZWNJ, U+200D ZWJ: Persian, Hindi, Sinhala and many emoji are spelled with them | stay |
| `tags` | U+E0020-E007F: the flags of England, Scotland and Wales; also used to hide text | stay |
| `replacements` | U+FFFD, U+FFFC: what decoding and copying left behind | stay |
| `private_use` | U+E000-F8FF and planes 15 and 16 | stay |
| `unassigned` | code points without a character, noncharacters among them | stay |

Bidirectional controls tell a screen how to order text; the order of the characters is the reading order without them,
but a text that is to be shown again may want them: `bidi_controls: false`. U+200B also marks the words of some Thai,
Khmer and Burmese pages: `zero_width: false` with `only` keeps them there. Visible format characters (U+0600-0605,
U+06DD, ...) always stay. Surrogates cannot occur: a text is valid UTF-8. Which code points are unassigned is for
the installed `regex` package to say, whose answer is part of the step's identity; all else is written here. Applied
twice it changes nothing more. Price: docs/clean-up.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import Columns, Context
from operators.clean_up import Cleaned, Cleaner, CleanUp, texts_of
from operators.text_buffers import joined_bytes

Ranges = tuple[tuple[int, int], ...]
_CONTROLS: Final[Ranges] = ((0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F))
_BREAKS: Final = (0x0B, 0x0C, 0x0D, 0x85)
_CONTROL, _FORMAT, _OTHER = 1, 2, 3

INVISIBLE: Final[Mapping[str, Ranges]] = {
    "zero_width": (
        (0x180E, 0x180E),
        (0x200B, 0x200B),
        (0x2060, 0x2064),
        (0x206A, 0x206F),
        (0xFEFF, 0xFEFF),
        (0xFFF9, 0xFFFB),
        (0xE0001, 0xE0001),
    ),
    "soft_hyphens": ((0xAD, 0xAD),),
    "bidi_controls": ((0x061C, 0x061C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069)),
    "joiners": ((0x200C, 0x200D),),
    "tags": ((0xE0020, 0xE007F),),
}
OTHERS: Final[Mapping[str, Ranges]] = {
    "replacements": ((0xFFFC, 0xFFFD),),
    "private_use": ((0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)),
}


class RemoveControlCharacters(CleanUp):
    """Take out control characters and, kind by kind, other invisible ones; the columns say how many of each went.

    `controls` counts Cc with the line breaks that became LF, `formats` the invisible characters, `others` the rest.
    """

    kind: Literal["remove_control_characters"] = "remove_control_characters"
    zero_width: bool = Field(default=True, description="zero-width spaces, byte order marks, annotation marks go")
    soft_hyphens: bool = Field(default=True, description="soft hyphens go")
    bidi_controls: bool = Field(default=True, description="marks, embeddings and isolates of writing direction go")
    joiners: bool = Field(default=False, description="ZWJ and ZWNJ go; Persian, Hindi and emoji need them")
    tags: bool = Field(default=False, description="tag characters go; three flags need them")
    replacements: bool = Field(default=False, description="U+FFFD and U+FFFC go")
    private_use: bool = Field(default=False, description="private code points go")
    unassigned: bool = Field(default=False, description="code points without a character go")

    @override
    def adds(self) -> Columns:
        return {"controls": pa.int64(), "formats": pa.int64(), "others": pa.int64()}

    @override
    def models(self) -> Mapping[str, str]:
        if not self.unassigned:
            return {}
        return {"unassigned": hashlib.sha256(np.packbits(_unassigned()).tobytes()).hexdigest()}

    @override
    def cleaner(self, context: Context) -> Cleaner:
        from operators.kernels.rewriting import without_points

        table = self.table()

        def clean(texts: pa.LargeStringArray) -> Cleaned:
            out, ends, gone = without_points(*joined_bytes(texts), table)
            counts = {
                "controls": gone[:, 0] + gone[:, _CONTROL],
                "formats": gone[:, _FORMAT],
                "others": gone[:, _OTHER],
            }
            return texts_of(out, ends), {name: pa.array(count) for name, count in counts.items()}

        return clean

    def table(self) -> NDArray[np.uint8]:
        """For every code point what becomes of it, as `without_points` reads it."""
        from operators.kernels.rewriting import LINE_FEED

        table = np.zeros(0x110000, np.uint8)
        if self.unassigned:
            table[_unassigned()] = _OTHER
        for kind, groups in ((_OTHER, OTHERS), (_FORMAT, INVISIBLE)):
            for name, ranges in groups.items():
                if getattr(self, name):
                    table[_inside(ranges)] = kind
        table[_inside(_CONTROLS)] = _CONTROL
        table[list(_BREAKS)] = LINE_FEED
        return table


def _inside(ranges: Ranges) -> NDArray[np.bool_]:
    found = np.zeros(0x110000, bool)
    for first, last in ranges:
        found[first : last + 1] = True
    return found


@cache
def _unassigned() -> NDArray[np.bool_]:
    import regex

    found = np.zeros(0x110000, bool)
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    characters = "".join(map(chr, points))
    for run in regex.finditer(r"\p{Cn}+", characters):
        found[points[run.start()] : points[run.end() - 1] + 1] = True
    return found
