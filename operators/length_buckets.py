"""Write documents as token sequences for training: power-of-two lengths, a bucket for each, no two documents in one.

Dataset Decomposition (Pouransari, Li, Chang, Vasu, Koc, Shankar, Tuzel 2024, arXiv:2405.13226): a document is cut
from its start, always by the longest power of two that the rest has room for, so that its pieces are the binary digits
of its length. A trainer takes every batch from one bucket, with fewer sequences the longer they are; attention never
crosses documents, and which lengths come when is a curriculum. As in the authors' code, what is shorter than
`min_length` at a document's end is left out, and counted.

Deviations: pieces of a document longer than `max_length` are all of that length, where the authors' code draws shorter
ones at random by default; sequences are sorted by document, not shuffled: that is the trainer's. Of documents that
count several times (`repeat`, which `mix` writes) every sequence is written once, with the number beside it.

`operators/token_sequences.py` holds the stages, `operators/text_tokens.py` the encoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import Context, Fold, Map, Operator, RecipeError, Repeat
from operators.chosen_tokenizer import OfTokenizer
from operators.token_sequences import BucketSummary, Sequences
from operators.train_tokenizer import TrainTokenizer


class LengthBuckets(OfTokenizer):
    """Write documents as token sequences of power-of-two lengths, a table for each; the corpus goes on unchanged.

    A table has `id`, `offset` (of the first token in its document), `repeat` and `tokens`, a list of fixed size.
    `buckets.json` has the sequences and tokens of each, the tokens left out, and which tokenizer it was.
    """

    kind: Literal["length_buckets"] = "length_buckets"
    step: str = Field(
        default="", description="instead of a file: an earlier train_tokenizer (any algorithm) or trim_tokenizer step"
    )
    min_length: int = Field(default=256, ge=1, le=1 << 20, description="shortest sequence in tokens; a power of two")
    max_length: int = Field(default=8192, ge=1, le=1 << 20, description="longest sequence in tokens; a power of two")
    next_token: bool = Field(
        default=False, description="a token more in each: inputs and targets of the length, as the authors' code"
    )
    end_token: str = Field(default="", description="an added token of the tokenizer to put after each document")

    done: ClassVar[str] = "used"
    takes_any: ClassVar[bool] = True

    @model_validator(mode="after")
    def _powers(self) -> Self:
        for name, length in (("min_length", self.min_length), ("max_length", self.max_length)):
            if length & (length - 1):
                below = 1 << length.bit_length() - 1
                msg = f"{name} is {length}: expected a power of two, as {below} or {2 * below}"
                raise ValueError(msg)
        if self.min_length > self.max_length:
            msg = f"min_length {self.min_length} is more than max_length {self.max_length}"
            raise ValueError(msg)
        return self

    @override
    def check(self) -> None:
        """RecipeError where the file is no tokenizer, or has no such end token."""
        super().check()
        if self.tokenizer:
            Sequences(name="sequences", **self._how()).encoder(Context(0, {}))

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where the step leaves no such tokenizer, or one without the end token."""
        super().check_against(earlier)
        step = earlier.get(self.step)
        if isinstance(step, TrainTokenizer) and not step.extend and self.end_token not in ("", *step.special_tokens):
            msg = f"end_token {self.end_token!r} is none of the special_tokens of step {self.step!r}: add it there"
            raise RecipeError(msg)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        how = self._how()
        return Sequences(name="sequences", **how), BucketSummary(name="buckets", **how)

    def _how(self) -> dict[str, Any]:
        return {**self.chosen(), **self.model_dump(include={"min_length", "max_length", "next_token", "end_token"})}
