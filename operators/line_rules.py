r"""Remove the lines of a page that nobody wrote as prose, and drop what loses too many words by it (RefinedWeb).

The corrections of Penedo et al. 2023, as DCLM implements them. A line ends at a line feed; the rules act one after the
other on the whole document, which is stripped of white space in between:

1. More than `max_uppercase_share` of its characters are capitals: the line goes.
2. More than `max_digit_share` of them are digits.
3. It is a counter, such as `3 likes` or `1.2K followers`.
4. It has fewer than `min_line_words` words between white space; empty lines stay.
5. In lines of at most `max_phrase_line_words` words, `items in cart` goes, `Read more...` at the end and `Sign-in` at
   the start, in any case of letters; a line of which nothing is left goes too. The dots stand for any three characters.

Then a document of which nothing is left is dropped, and one that lost more than `max_removed_share` of its words. Words
are here what DCLM counts: between ASCII white space, of those that begin with a letter or a number. A document that is
dropped keeps its text in the trace. Capitals, digits, letters and white space are those of Python 3.11 and of later
Unicode, by pinned tables. Price: 50 MB/s of a core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, Field
from typing_extensions import override

from operators.base import BatchFn, Columns, Composite, Context, Fold, Judge, Map, Repeat, Rule
from operators.character_flags import character_flags, flag_digests
from operators.text_buffers import column_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Share = Annotated[float, Field(ge=0, le=1)]

COUNTS: Final = ("uppercase_lines", "digit_lines", "counter_lines", "short_lines", "phrase_lines", "phrases")
"""Lines that went by each rule, and phrases that were taken out."""


class _Rules(BaseModel):
    """What decides which lines go."""

    max_uppercase_share: Share = Field(default=0.5, description="a line with a larger share of capitals goes")
    max_digit_share: Share = Field(default=0.999999, description="a line with a larger share of digits goes; 1: none")
    min_line_words: int = Field(default=2, ge=0, description="a line with fewer words goes, unless it is empty")
    max_phrase_line_words: int = Field(default=10, ge=0, description="longer lines keep their phrases")

    def rules_as_dict(self) -> dict[str, float]:
        """These parameters alone."""
        return {name: getattr(self, name) for name in _Rules.model_fields}

    def cleaned(self, rows: pa.Table) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """What `kernels.line_rules.cleaned` makes of the rows."""
        import numpy as np

        from operators.kernels.line_rules import cleaned

        limits = np.array(list(self.rules_as_dict().values()), np.float64)
        found: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]
        found = cleaned(*column_bytes(rows["text"]), character_flags(), limits)
        return found


class LineRules(Composite, _Rules):
    """Remove capitals, numbers, counters and stubs line by line; drop `nothing_left`, `too_many_words_removed`.

    With `audit` the texts stay as they are, and the columns say what would go.
    """

    kind: Literal["line_rules"] = "line_rules"
    max_removed_share: Share = Field(default=0.05, description="a document that loses more of its words is dropped")
    audit: bool = Field(default=False, description="keep every row as it is and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")

    inert: ClassVar[frozenset[str]] = Judge.inert

    @override
    def adds(self) -> Columns:
        return _added()

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio}
        shape = self.rules_as_dict()
        judge = RemovedWords(name="verdict", max_removed_share=self.max_removed_share, **shape, **judged)
        return (judge,) if self.audit else (judge, WithoutLines(name="lines", **shape))


class RemovedWords(Judge, _Rules):
    """Count what the rules take, and reject the documents of which too little is left."""

    max_removed_share: Share

    verdict_only: ClassVar[frozenset[str]] = frozenset({"max_removed_share"})

    @override
    def models(self) -> Mapping[str, str]:
        return flag_digests()

    @override
    def adds(self) -> Columns:
        return {**_added(), "_left": pa.int64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("nothing_left", "_left", low=1),
            Rule("too_many_words_removed", "removed_word_share", high=self.max_removed_share),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        def apply(rows: pa.Table) -> pa.Table:
            _, offsets, counts = self.cleaned(rows)
            columns = {name: counts[:, place].astype(np.int32) for place, name in enumerate(COUNTS)}
            before, after = counts[:, -2], counts[:, -1]
            share = pa.array((before - after) / np.maximum(before, 1), mask=before == 0)
            return pa.table({**columns, "removed_word_share": share, "_left": np.diff(offsets)})

        return apply


class WithoutLines(Map, _Rules):
    """The texts without what the rules take."""

    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def models(self) -> Mapping[str, str]:
        return flag_digests()

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            data, offsets, _ = self.cleaned(rows)
            buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
            return pa.table({"text": pa.Array.from_buffers(pa.large_string(), rows.num_rows, buffers)})

        return apply


def _added() -> Columns:
    return {**dict.fromkeys(COUNTS, pa.int32()), "removed_word_share": pa.float64()}
