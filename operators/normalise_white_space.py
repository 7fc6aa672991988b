r"""Make white space regular: one space between words, no spaces at the ends of lines, few blank lines, LF alone.

What is white space: the 17 spaces of Unicode (category Zs: U+0020, the no-break space U+00A0, U+1680, U+2000 to U+200A,
U+202F, U+205F, the ideographic space U+3000), the tab, and the line breaks LF, CR, CR LF, VT, FF, NEL (U+0085), U+2028
and U+2029. Zero-width characters are none: `remove_control_characters` is about them.

The defaults do no harm to code: indentation stays, of spaces or tabs, and so do two blank lines in a row. Runs of
spaces inside a line collapse, so a table that is aligned by spaces is one no more; `collapse_spaces: false` keeps it.
Applied twice it changes nothing more. Price: docs/clean-up.md.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import Columns, Context
from operators.clean_up import Cleaned, Cleaner, CleanUp, texts_of
from operators.text_buffers import joined_bytes

SPACES: Final = (0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
BREAKS: Final = (0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)


class NormaliseWhiteSpace(CleanUp):
    """Collapse runs of spaces, strip the ends of lines, allow few blank lines, and end every line with LF.

    `replaced` counts the spaces, tabs and line breaks that became another character, `removed_bytes` how much shorter
    the text is.
    """

    kind: Literal["normalise_white_space"] = "normalise_white_space"
    collapse_spaces: bool = Field(default=True, description="a run of spaces inside a line becomes one")
    strip_line_ends: bool = Field(default=True, description="no spaces or tabs at the ends of lines")
    indentation: Literal["keep", "remove"] = Field(default="keep", description="spaces and tabs that begin a line")
    max_blank_lines: int = Field(default=2, ge=-1, description="most blank lines in a row; -1: any number")
    strip_text: bool = Field(default=True, description="no blank lines at either end; a last line feed stays")
    exotic_spaces: Literal["space", "keep"] = Field(
        default="space", description="what no-break, wide and other spaces become; kept ones are no white space here"
    )
    tabs: Literal["keep", "space"] = Field(default="keep", description="what a tab becomes; a kept one never collapses")

    @override
    def adds(self) -> Columns:
        return {"replaced": pa.int64(), "removed_bytes": pa.int64()}

    @override
    def cleaner(self, context: Context) -> Cleaner:
        from operators.kernels.rewriting import white_space

        table, indent = self._table(), self.indentation == "keep"
        flags = (self.collapse_spaces, indent, self.strip_line_ends, self.strip_text, self.max_blank_lines)

        def clean(texts: pa.LargeStringArray) -> Cleaned:
            data, offsets = joined_bytes(texts)
            out, ends, replaced = white_space(data, offsets, table, *flags)
            removed = np.diff(offsets) - np.diff(ends)
            return texts_of(out, ends), {"replaced": pa.array(replaced), "removed_bytes": pa.array(removed)}

        return clean

    def _table(self) -> NDArray[np.uint8]:
        from operators.kernels.rewriting import BREAK, SPACE, TAB

        table = np.zeros(0x110000, np.uint8)
        table[list(SPACES if self.exotic_spaces == "space" else SPACES[:1])] = SPACE
        table[list(BREAKS)] = BREAK
        table[0x09] = TAB if self.tabs == "keep" else SPACE
        return table
