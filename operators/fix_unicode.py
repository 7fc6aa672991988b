r"""Repair text whose characters went wrong on the way: mojibake, HTML entities, ligatures, loose marks, with `ftfy`.

The result is that of `ftfy.fix_text` (Speer 2019), line by line, with these parameters. Its defaults are for display;
ours are for training text: curly quotes and full-width punctuation are how people write and stay, and so does
everything that only NFKC would change. datatrove's formatter is `ligatures: false, line_breaks: false,
normal_form: none`.

`ftfy` reads about 1 MB/s. A kernel first finds the lines that it could change at all, by what each of its steps looks
for: HTML entities, characters that it replaces, pairs of characters that its heuristic for mojibake knows, marks that
compose or are out of order (the quick check of Unicode's annex 15). All other lines are what `ftfy` would leave.

Not idempotent in one case: a line break other than LF inside a line becomes one, so that a second run sees two lines
where the first saw one, and judges their mojibake apart. Which version of `ftfy` and of Python's Unicode data decide
is part of the step's identity. Price: docs/clean-up.md.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import Columns, Context
from operators.clean_up import Cleaned, Cleaner, CleanUp
from operators.edits import Edits
from operators.text_buffers import joined_bytes

if TYPE_CHECKING:
    from ftfy import TextFixerConfig

Form = Literal["NFC", "NFKC", "none"]


class FixUnicode(CleanUp):
    """Repair mojibake, HTML entities, ligatures, control characters and the normal form, as `ftfy` does.

    `fixed_lines` counts the lines that changed, `mojibake_lines` those of them that looked like mojibake before.
    """

    kind: Literal["fix_unicode"] = "fix_unicode"
    mojibake: bool = Field(
        default=True,
        description="undo a wrong decoding, as in `caf\u00c3\u00a9`; U+0080 to U+009F become Windows-1252's",
    )
    entities: Literal["auto", "always", "never"] = Field(
        default="auto", description="HTML entities become characters; auto: until the text has a `<`"
    )
    ligatures: bool = Field(default=True, description="Latin ligatures and digraphs of one character become letters")
    line_breaks: bool = Field(
        default=True, description="CR LF, CR, U+2028 and U+2029 become LF, and U+0085 where `mojibake` is off"
    )
    controls: bool = Field(default=True, description="terminal escapes and control characters go")
    widths: bool = Field(default=False, description="full-width and half-width forms become usual ones")
    straight_quotes: bool = Field(default=False, description="curly quotes become straight")
    normal_form: Form = Field(default="NFC", description="Unicode normal form; NFKC also changes what it looks like")

    @override
    def adds(self) -> Columns:
        return {"fixed_lines": pa.int64(), "mojibake_lines": pa.int64()}

    @override
    def models(self) -> Mapping[str, str]:
        deciding = f"ftfy {version('ftfy')}, Unicode {unicodedata.unidata_version}"
        return {"ftfy": hashlib.sha256(deciding.encode()).hexdigest()}

    @override
    def cleaner(self, context: Context) -> Cleaner:
        from operators.kernels.suspects import ALWAYS, AUTO, CHANGES, NEVER, suspicious_lines

        table, fix = self.table(), _Fixer(self)
        entities = {"always": ALWAYS, "auto": AUTO, "never": NEVER}[self.entities]

        def clean(texts: pa.LargeStringArray) -> Cleaned:
            data, offsets = joined_bytes(texts)
            edits, was_bad = Edits(data, offsets), []
            for start, stop, why, unescapes in zip(
                *(column.tolist() for column in suspicious_lines(data, offsets, table, entities)), strict=True
            ):
                old = data[start:stop].tobytes().decode()
                if not why & CHANGES and fix.leaves(old, why):
                    continue
                new = fix(old, unescapes)
                if new != old:
                    edits.replace(start, stop, new.encode())
                    was_bad.append(fix.is_bad(old))
            fixed, bad = edits.per_text(), edits.per_text(np.array(was_bad, np.int64))
            return edits.texts(), {"fixed_lines": pa.array(fixed), "mojibake_lines": pa.array(bad)}

        return clean

    def config(self) -> TextFixerConfig:
        """The same in `ftfy`'s words."""
        from ftfy import TextFixerConfig

        return TextFixerConfig(
            unescape_html="auto" if self.entities == "auto" else self.entities == "always",
            remove_terminal_escapes=self.controls,
            fix_encoding=self.mojibake,
            fix_c1_controls=self.mojibake,
            fix_latin_ligatures=self.ligatures,
            fix_character_width=self.widths,
            uncurl_quotes=self.straight_quotes,
            fix_line_breaks=self.line_breaks,
            remove_control_chars=self.controls,
            normalization=None if self.normal_form == "none" else self.normal_form,
            explain=False,
        )

    def table(self) -> NDArray[np.uint16]:
        """For every code point what `suspicious_lines` has to know."""
        from ftfy import chardata

        from operators.kernels.suspects import CHANGES

        table = (_mojibake_table() if self.mojibake else np.zeros(0x110000, np.uint16)).copy()
        if self.normal_form != "none":
            table |= _normal_table(self.normal_form)
        replaced = [0x1B, *chardata.CONTROL_CHARS] if self.controls else []
        replaced += range(0x80, 0xA0) if self.mojibake else []
        replaced += chardata.LIGATURES if self.ligatures else []
        replaced += chardata.WIDTH_MAP if self.widths else []
        replaced += [0x0D, 0x85, 0x2028, 0x2029] if self.line_breaks else []
        replaced += [0x02BC, *range(0x2018, 0x2020)] if self.straight_quotes else []
        table[replaced] |= CHANGES
        return table


class _Fixer:
    """`ftfy` on one line."""

    def __init__(self, operator: FixUnicode) -> None:
        from ftfy import fix_and_explain
        from ftfy.badness import is_bad

        self.is_bad, self._fix, self._form = is_bad, fix_and_explain, operator.normal_form
        self._config = operator.config()
        self._without_entities = self._config._replace(unescape_html=False)

    def leaves(self, line: str, why: int) -> bool:
        """Whether a line without a character to replace stays as it is, for the reasons for which it was suspected."""
        from operators.kernels.suspects import COMPOSES, MOJIBAKE

        if why & MOJIBAKE and self.is_bad(line):
            return False
        return self._form == "none" or not why & COMPOSES or unicodedata.is_normalized(self._form, line)

    def __call__(self, line: str, unescapes: bool) -> str:
        return self._fix(line, self._config if unescapes else self._without_entities).text


@cache
def _mojibake_table() -> NDArray[np.uint16]:
    """The classes of the characters that `ftfy`'s heuristic looks at."""
    import re

    from ftfy.badness import MOJIBAKE_CATEGORIES

    from operators.kernels.suspects import ALONE, BEFORE_ANY, CLASS_SHIFT, LIGATURE, LOWER, MARK, UPPER

    kinds = dict.fromkeys(MOJIBAKE_CATEGORIES, MARK)
    kinds |= {"lower_accented": LOWER, "lower_common": LOWER, "upper_common": LOWER, "kaomoji": LOWER}
    kinds |= {"upper_accented": UPPER, "c1": ALONE}
    table = np.zeros(0x110000, np.uint16)
    for name, characters in MOJIBAKE_CATEGORIES.items():
        found = [ord(character) for character in re.findall(f"[{characters}]", "".join(map(chr, range(0x80, 0xFFFE))))]
        table[found] = kinds[name]
    special = {ALONE: "\u00c2\u00c3\u0402", BEFORE_ANY: "\u00ce\u00d0\u00d8\u00d9", LIGATURE: "\u0152\u0153"}
    for kind, characters in {**special, MARK: "\u00b0"}.items():
        table[[ord(character) for character in characters]] = kind
    return np.left_shift(table, CLASS_SHIFT, dtype=np.uint16)


@cache
def _normal_table(form: Literal["NFC", "NFKC"]) -> NDArray[np.uint16]:
    """Which characters a normal form replaces, which may compose, and the combining classes."""
    from operators.kernels.suspects import CHANGES, COMBINING_SHIFT, COMPOSES

    points = [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000)]
    normal = unicodedata.normalize(form, "\n".join(map(chr, points))).split("\n")
    table = np.zeros(0x110000, np.uint16)
    for point, text in zip(points[11:], normal[12:], strict=True):  # the line feed itself parted the first ones
        character = chr(point)
        flags = CHANGES if text != character else 0
        table[point] = flags | unicodedata.combining(character) << COMBINING_SHIFT
    for point in points:
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and parts[0][0] != "<":
            table[int(parts[1], 16)] |= COMPOSES
    table[[*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]] |= COMPOSES  # vowels and finals of Hangul
    return table
