"""Drop lists, menus and repeated lines by the shapes of lines (FineWeb, Penedo et al. 2024, 3.6).

The decisions are those of datatrove 0.10, in its order: lines that end with a terminal mark, short lines, characters of
lines that came before, and line feeds per word. A line lies between line feeds, one of white space alone does not
count, and none is stripped: a space after the full stop hides it. `variant` says whose words are counted; all else
is the same in both. docs/rules.md has the names side by side. The paper's bound for copies is 0.1, the code's 0.01.

In FineWeb this step comes after `c4_quality` with `terminal_punctuation: false`, and sees the text that it leaves.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Judge, Rule
from operators.text_buffers import column_bytes
from operators.word_variant import WordVariant

_ADDS: Final[Columns] = {
    "num_lines": pa.int32(),
    "line_punct_ratio": pa.float64(),
    "short_line_ratio": pa.float64(),
    "char_dup_ratio": pa.float64(),
    "list_ratio": pa.float64(),
}


class FinewebQuality(WordVariant, Judge):
    """Judge a document by how its lines end, how long they are, how often they repeat, and words between line feeds."""

    kind: Literal["fineweb_quality"] = "fineweb_quality"
    min_line_punct_ratio: float = Field(
        default=0.12, ge=0, le=1, description="least share of lines with a mark at the end"
    )
    max_short_line_ratio: float = Field(default=0.67, ge=0, le=1, description="largest share of short lines")
    short_line_chars: int = Field(default=30, ge=0, description="up to how many code points a line is short")
    max_char_dup_ratio: float = Field(
        default=0.01, ge=0, le=1, description="largest share of characters in lines that came before"
    )
    max_list_ratio: float = Field(default=0.3, ge=0, description="most line feeds per word; more than 1 is possible")

    verdict_only: ClassVar[frozenset[str]] = frozenset(
        {"min_line_punct_ratio", "max_short_line_ratio", "max_char_dup_ratio", "max_list_ratio"}
    )

    @override
    def adds(self) -> Columns:
        return _ADDS

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("empty_text", "num_lines", low=1),
            Rule("too_few_terminated_lines", "line_punct_ratio", low=self.min_line_punct_ratio),
            Rule("too_many_short_lines", "short_line_ratio", high=self.max_short_line_ratio),
            Rule("duplicate_line_characters", "char_dup_ratio", high=self.max_char_dup_ratio),
            Rule("too_many_line_feeds", "list_ratio", high=self.max_list_ratio),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels import fineweb
        from operators.sentences import sentence_table

        def apply(rows: pa.Table) -> pa.Table:
            texts = pc.fill_null(rows["text"], "")
            data, offsets = column_bytes(texts)
            counts = fineweb.measure(data, offsets, self.short_line_chars, sentence_table())
            lines = counts[:, fineweb.LINES]
            scores = {
                "line_punct_ratio": (counts[:, fineweb.TERMINATED], lines),
                "short_line_ratio": (counts[:, fineweb.SHORT], lines),
                "char_dup_ratio": (counts[:, fineweb.COPIED], counts[:, fineweb.CHARS] * (lines > 0)),
                "list_ratio": (counts[:, fineweb.LINE_FEEDS], np.diff(self.scan(texts).token_starts) * (lines > 0)),
            }
            judged = np.array(self.only.holds(rows), np.bool_)
            columns = {name: _ratio(*score, judged) for name, score in scores.items()}
            return pa.table({"num_lines": pa.array(lines, pa.int32(), mask=~judged), **columns})

        return apply


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64], judged: NDArray[np.bool_]) -> pa.Array:
    """One by the other; null without a denominator and where the row is not judged."""
    return pa.array(part / np.maximum(whole, 1), pa.float64(), mask=~judged | (whole == 0))
