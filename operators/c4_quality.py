"""Take out of a document the lines that are no prose, and drop it if too little is left (C4, Raffel et al. 2020, 2.2).

Line by line, in datatrove 0.10's order: a line goes if it has a word of more than `max_word_chars` code points; loses
its citations; goes without a terminal mark at its end (`. ? ! " '`, but not `...`), with fewer than
`min_words_per_line` words, with "javascript", or with one of six phrases of cookie notices and terms; and the document
goes if a line that is still there has "lorem ipsum" or a curly bracket. What is left are the lines, parted by line
feeds, without white space around them; a line ends where `str.splitlines` says, also at a lone CR or U+2028. `variant`
says whose sentences are counted (operators/sentences.py); docs/rules.md has the names side by side.

A dropped document keeps its text, and with `audit` all do. FineWeb sets `terminal_punctuation: false` and runs
`fineweb_quality` on the new text. mC4's filter of paragraphs is `min_long_paragraphs: 3`. Price: 115 MB/s of a
core: a judge reads the text, and a map of its own cuts what it keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import BatchFn, Columns, Composite, Context, Fold, Judge, Map, Operator, Repeat, Rule
from operators.conditions import Condition
from operators.text_buffers import column_bytes
from operators.word_variant import Variant, WordVariant

if TYPE_CHECKING:
    from operators.kernels.c4 import Lines

_LINE_COUNTS: Final = ("long_word_lines", "unterminated_lines", "short_lines", "javascript_lines", "policy_lines")
_ADDS: Final[Columns] = {
    "kept_lines": pa.int32(),
    **dict.fromkeys(_LINE_COUNTS, pa.int32()),
    "lorem_ipsum": pa.int32(),
    "curly_bracket": pa.int32(),
    "sentences": pa.int32(),
    "long_paragraphs": pa.int32(),
    "removed_bytes": pa.int64(),
}


class _Rules(WordVariant):
    """What decides which lines go."""

    variant: Variant = Field(
        default="standard", description="whose sentences: our own, or the reference's, for which spaCy is needed"
    )
    only: Condition = Field(
        default=Condition(), description="rows to judge; all others pass as they are, without scores"
    )
    terminal_punctuation: bool = Field(default=True, description="remove lines that do not end with `. ? ! \" '`")
    min_words_per_line: int = Field(default=3, ge=0, description="fewest words of a line, parted by white space")
    max_word_chars: int = Field(default=1000, ge=1, description="a line with a longer word is removed; code points")
    remove_citations: bool = Field(default=True, description="cut [], [12], [edit] and [citation needed] out of lines")
    lorem_ipsum: bool = Field(default=True, description="drop documents with a line that has it")
    curly_bracket: bool = Field(default=True, description="drop documents with a line that has a `{`")
    javascript: bool = Field(default=True, description="remove lines with the word, however written")
    policy: bool = Field(default=True, description="remove lines about cookies, terms of use and privacy policies")
    long_paragraph_chars: int = Field(default=200, ge=1, description="from how many code points on a line is long")

    def rules_as_dict(self) -> dict[str, object]:
        """These parameters alone."""
        return {name: getattr(self, name) for name in _Rules.model_fields.keys() - Operator.model_fields}

    def cleaned(self, rows: pa.Table) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_], Lines]:
        """The texts' bytes and offsets, which rows are judged, and the lines that stay of each."""
        from operators.kernels import c4
        from operators.kernels.c4_reference import Settings
        from operators.sentences import sentence_table

        data, offsets = column_bytes(pc.fill_null(rows["text"], ""))
        judged = np.array(self.only.holds(rows), np.bool_)
        settings = Settings(*(getattr(self, name) for name in Settings._fields))
        return data, offsets, judged, c4.clean(data, offsets, judged, settings, sentence_table())


class C4Quality(_Rules, Composite):
    """Keep the lines that read like prose; judge a document by the sentences that are left.

    With `audit` the texts stay as they are, and the columns say what would go.
    """

    kind: Literal["c4_quality"] = "c4_quality"
    min_sentences: int = Field(default=5, ge=0, description="fewest sentences of the lines that stay")
    min_long_paragraphs: int = Field(default=0, ge=0, description="fewest long lines among those that stay; mC4 has 3")
    audit: bool = Field(default=False, description="keep every row as it is and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")

    inert: ClassVar[frozenset[str]] = Judge.inert

    @override
    def adds(self) -> Columns:
        return _ADDS

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        shape = self.rules_as_dict()
        bounds = {"min_sentences": self.min_sentences, "min_long_paragraphs": self.min_long_paragraphs}
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio}
        judge = ProseLines(name="verdict", **shape, **bounds, **judged)
        return (judge,) if self.audit else (judge, OnlyProse(name="lines", **shape))


class ProseLines(_Rules, Judge):
    """Count what goes and what stays, and reject the documents of which too little stays."""

    min_sentences: int
    min_long_paragraphs: int

    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_sentences", "min_long_paragraphs"})

    @override
    def adds(self) -> Columns:
        return _ADDS

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("lorem_ipsum", "lorem_ipsum", high=0),
            Rule("curly_bracket", "curly_bracket", high=0),
            Rule("too_few_sentences", "sentences", low=self.min_sentences),
            Rule("too_few_long_paragraphs", "long_paragraphs", low=self.min_long_paragraphs),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels import c4

        def apply(rows: pa.Table) -> pa.Table:
            _, offsets, judged, lines = self.cleaned(rows)
            counts = lines.counts
            read = judged & (counts[:, c4.REASON] == 0)
            lows, highs = c4.trim(lines.data, lines.starts, lines.ends)
            scores = {
                "kept_lines": counts[:, c4.KEPT],
                **{name: counts[:, number] for number, name in enumerate(_LINE_COUNTS)},
                "sentences": self._sentences(lines),
                "long_paragraphs": c4.count_long_lines(lines.data, lows, highs, self.long_paragraph_chars),
                "removed_bytes": np.diff(offsets) - (highs - lows),
            }
            columns = {name: pa.array(values, _ADDS[name], mask=~read) for name, values in scores.items()}
            for reason, name in enumerate(("lorem_ipsum", "curly_bracket"), start=1):
                columns[name] = pa.array((counts[:, c4.REASON] == reason).astype(np.int32), mask=~judged)
            return pa.table({name: columns[name] for name in _ADDS})

        return apply

    def _sentences(self, lines: Lines) -> NDArray[np.int32]:
        from operators.kernels import c4, c4_sentences
        from operators.sentences import sentence_table

        num_lines = lines.counts[:, c4.KEPT]
        if self.variant == "standard":
            places = lines.data, lines.starts, lines.ends
            counts: NDArray[np.int32] = c4_sentences.count_sentences(*places, num_lines, sentence_table())
            return counts
        from operators.token_sentences import token_sentences

        return token_sentences(lines.data, lines.starts, lines.ends, num_lines)


class OnlyProse(_Rules, Map):
    """The texts without the lines that go; only what the judge keeps comes here."""

    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels import c4

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets, judged, lines = self.cleaned(rows)
            lows, highs = c4.trim(lines.data, lines.starts, lines.ends)
            stays = judged & (lines.counts[:, c4.REASON] == 0)
            text, text_offsets = c4.assemble(data, offsets, lines.data, lows, highs, stays)
            buffers = [None, pa.py_buffer(text_offsets), pa.py_buffer(text)]
            return pa.table({"text": pa.Array.from_buffers(pa.large_string(), rows.num_rows, buffers)})

        return apply
