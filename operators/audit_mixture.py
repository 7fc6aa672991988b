"""Audit what a tokenizer was trained on: infer its mixture from its merges, and compare it with what went into it.

The stages are those of `infer_mixture`; the last of them reads the bytes by category that the training counted and
compares (`operators/mixture_comparison.py`). docs/inference.md says what a difference means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from typing_extensions import override

from operators import merge_sources
from operators.base import Fold, Map, Operator, RecipeError, Repeat
from operators.infer_mixture import Inference, InferMixture
from operators.pretokenizers import cutting
from operators.train_tokenizer import TrainTokenizer

_COUNTED = ("source", "lang")
"""What every training counts its text by."""


class AuditMixture(Inference):
    """Infer the mixture of a tokenizer just trained and compare it with the bytes of its training; `mixture.json`.

    The rows should be those that it was trained on, or some like them. `by` is a column that the training counted by:
    `source`, `lang` or its `group_by`; `repeat` is heeded by both. The run warns where a share differs too much.

    >>> [stage.label for stage in AuditMixture(step="tokenizer", by="lang").stages()]
    ['counts', 'replay', 'solve']
    """

    kind: Literal["audit_mixture"] = "audit_mixture"
    step: str = Field(min_length=1, description="an earlier train_tokenizer step (algorithm bpe)")
    size: int = Field(default=0, ge=0, description="which of its vocab_sizes; 0: the largest")
    max_difference: float = Field(
        default=0.1, ge=0, le=100, description="in percentage points: the run warns where a share differs by more"
    )

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where the step trains no tokenizer of that size by plain BPE, or did not count by the column."""
        self._inference().check_against(earlier)
        step = earlier.get(self.step)
        if step is None or ":" in step.what:  # unknown, or of another package
            return
        if not isinstance(step, TrainTokenizer):
            msg = f"step: {self.step!r} is of kind {step.what}, which trains nothing: name a train_tokenizer step"
            raise RecipeError(msg)
        if step.algorithm != "bpe":
            msg = f"step: {self.step!r} trains algorithm {step.algorithm!r}, whose merges are not in order of frequency"
            raise RecipeError(f"{msg}: only that of bpe betrays the mixture")
        if self.by not in (*_COUNTED, step.group_by):
            msg = f"by: step {self.step!r} does not count its text by {self.by!r}"
            raise RecipeError(f"{msg}: give it group_by: {self.by}, or audit by {' or '.join(_COUNTED)}")
        if step.extend and not self.skip:
            msg = f"skip: step {self.step!r} goes on from {step.extend!r}, whose merges come first"
            patterns = cutting(step.pretokenizer, step.digits, step.pattern).patterns
            raise RecipeError(f"{msg}: give it skip: {len(merge_sources.read(step.extend, patterns).merges)}")

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return self._inference().stages_against(self.step, self.max_difference)

    def _inference(self) -> InferMixture:
        same = InferMixture.model_fields.keys() & type(self).model_fields.keys()
        return InferMixture(**self.model_dump(include=same - {"kind", "name"}))
