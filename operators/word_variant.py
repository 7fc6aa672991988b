"""Whose words a filter counts, and which rows it is about: what the filters that have a `variant` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, Columns, Operator
from operators.conditions import Condition
from operators.scans import Scan, scan_texts

if TYPE_CHECKING:
    import pyarrow as pa

Variant = Literal["standard", "datatrove-0.10"]
WHOSE_WORDS: Final = "whose words: our own, for every script, or spaCy's English ones as the reference has them"


class WordVariant(Operator):
    """The parameters `variant` and `only`, what they need, and the scan of the words."""

    variant: Variant = Field(default="standard", description=WHOSE_WORDS)
    only: Condition = Field(default=Condition(), description="rows to judge; all others pass, with null scores")

    @override
    def check(self) -> None:
        """RecipeError where the variant needs spaCy and it is not installed."""
        if self.variant != "standard":
            from operators.reference_words import require_tokenizer

            require_tokenizer()

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs()}

    def scan(self, texts: pa.ChunkedArray) -> Scan:
        """The words of texts, which all steps over the same ones share."""
        return scan_texts(texts, "standard" if self.variant == "standard" else "datatrove")
