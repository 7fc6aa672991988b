r"""Measure how long a document is: code points, bytes, words, lines; and judge it by any of them.

Words are runs between white space, as `str.split` sees them (so a Chinese sentence is one); with `words: standard`
those of `operators/words.py`, punctuation marks among them. A line ends with "\n" or "\r\n", which is no part of its
length; what follows the last one is a line too, if it is not empty. Bytes are of UTF-8. Without bounds the step only
adds its columns. Price: about 400 MB/s of a core; the words of `standard` cost extra, once for all steps that count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators import normal_text, word_classes
from operators.base import BatchFn, Columns, Context, Judge, Rule
from operators.text_buffers import column_bytes


class Length(Judge):
    """Judge a document by its characters, bytes, words and lines."""

    kind: Literal["length"] = "length"
    words: Literal["white_space", "standard"] = Field(
        default="white_space", description="what a word is: what stands between white space, or operators/words.py's"
    )
    min_chars: int = Field(default=0, ge=0, description="fewest code points")
    max_chars: int | None = Field(default=None, ge=0, description="most code points; null: any number")
    min_bytes: int = Field(default=0, ge=0, description="fewest bytes of UTF-8")
    max_bytes: int | None = Field(default=None, ge=0, description="most bytes of UTF-8")
    min_words: int = Field(default=0, ge=0, description="fewest words")
    max_words: int | None = Field(default=None, ge=0, description="most words between white space")
    min_lines: int = Field(default=0, ge=0, description="fewest lines, empty ones counted")
    max_lines: int | None = Field(default=None, ge=0, description="most lines, empty ones counted")
    min_mean_line_chars: float = Field(default=0, ge=0, description="least mean length of a line, in code points")
    max_mean_line_chars: float | None = Field(default=None, ge=0, description="greatest mean length of a line")
    max_line_chars: int | None = Field(default=None, ge=0, description="greatest length of any line, in code points")

    verdict_only: ClassVar[frozenset[str]] = frozenset(
        {
            f"{side}_{unit}"
            for side in ("min", "max")
            for unit in ("chars", "bytes", "words", "lines", "mean_line_chars")
        }
        | {"max_line_chars"}
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        for unit in ("chars", "bytes", "words", "lines", "mean_line_chars"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if most is not None and least > most:
                given = f"min_{unit} {least} is above max_{unit} {most}"
                raise ValueError(f"{given}: no document could pass; lower the first or raise the second")
        if self.max_line_chars is not None and self.min_mean_line_chars > self.max_line_chars:
            given = f"min_mean_line_chars {self.min_mean_line_chars} is above max_line_chars {self.max_line_chars}"
            raise ValueError(f"{given}: no document with a line could pass; lower the first or raise the second")
        return self

    @override
    def models(self) -> Mapping[str, str]:
        return {
            "white space": normal_text.DIGEST,
            **({"words": word_classes.DIGEST} if self.words == "standard" else {}),
        }

    @override
    def adds(self) -> Columns:
        whole = ("chars", "bytes", "words", "lines", "longest_line_chars")
        return {**dict.fromkeys(whole, pa.int64()), "mean_line_chars": pa.float64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("too_few_chars", "chars", low=self.min_chars),
            Rule("too_many_chars", "chars", high=self.max_chars),
            Rule("too_few_bytes", "bytes", low=self.min_bytes),
            Rule("too_many_bytes", "bytes", high=self.max_bytes),
            Rule("too_few_words", "words", low=self.min_words),
            Rule("too_many_words", "words", high=self.max_words),
            Rule("too_few_lines", "lines", low=self.min_lines),
            Rule("too_many_lines", "lines", high=self.max_lines),
            Rule("lines_too_short", "mean_line_chars", low=self.min_mean_line_chars),
            Rule("lines_too_long", "mean_line_chars", high=self.max_mean_line_chars),
            Rule("line_too_long", "longest_line_chars", high=self.max_line_chars),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        from operators.kernels.measures import lengths
        from operators.normal_text import normal_table
        from operators.scans import scan_texts

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            chars, words, lines, in_lines, longest = lengths(data, offsets, normal_table()).T
            if self.words == "standard":
                words = np.diff(scan_texts(rows["text"], "standard").token_starts)
            mean = in_lines / np.maximum(lines, 1)
            columns = {"chars": chars, "bytes": np.diff(offsets), "words": words, "lines": lines}
            columns["longest_line_chars"] = longest
            return pa.table({**columns, "mean_line_chars": pa.array(mean, mask=lines == 0)})

        return apply
