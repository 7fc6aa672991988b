"""Infer the mixture that a tokenizer was trained on from the order of its merges (Hayase et al. 2024).

BPE merges the most frequent pair of its training text at every step. So each merge says that, in the mixture of texts
that the tokenizer was trained on, its pair was then more frequent than every other pair. Given texts of each category,
the shares under which the whole list is least surprising are found by a linear program (`mixture_program.py`) over the
counts of all pairs through all merges (`mixture_replay.py`). docs/inference.md has formulas, limits and figures.

Deviations from the paper's code (tokenizer-attack): merges are applied once to the distinct pre-tokens of all
categories together; the solver is HiGHS, with counts in parts per million and the tolerance lowered step by step; pairs
and bytes are both reported; merges that a tokenizer lists and never applies are left out by the tokenizer's own rule.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from typing_extensions import override

from operators import merge_sources
from operators.base import Columns, Composite, Fold, Map, RecipeError, Repeat
from operators.chosen_tokenizer import OfTokenizer
from operators.hashing import refuse_formless
from operators.mixture_counts import MergeCounts
from operators.mixture_replay import Replay
from operators.mixture_solving import Solve
from operators.vocabulary import Vocabulary


class Inference(Composite):
    """What is asked of a tokenizer's merges, and how closely."""

    by: str = Field(min_length=1, description="column whose values are the categories, as lang or source")
    merges: int = Field(default=30_000, ge=1, description="how many merges are asked, from the first on")
    skip: int = Field(
        default=0, ge=0, description="merges that are applied and not asked: of the tokenizer that this one extends"
    )
    tolerance_ppm: float = Field(
        default=1.0, gt=0, le=1000, description="by how much a pair may be too frequent, in millionths of all pairs"
    )
    range: float | None = Field(
        default=None, ge=0, le=10, description="give each share's range over mixtures whose objective is larger by this"
    )
    bootstrap: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="give each share's interval over so many resamples of the merges, 2 at least; 0: none",
    )

    @field_validator("bootstrap")
    @classmethod
    def _are_several(cls, bootstrap: int) -> int:
        if bootstrap == 1:
            msg = "one resample has no interval: expected 0 for none, or at least 2"
            raise ValueError(msg)
        return bootstrap

    def refuse(self, columns: Columns) -> None:
        """RecipeError where the values of `by` have no text to group by."""
        refuse_formless(columns, [self.by])


class InferMixture(Inference, OfTokenizer):
    """Infer in which shares a tokenizer was trained on the categories of the rows; leaves `mixture.json`.

    The categories are the values of the column `by`; rows without one are the category `null`. Texts should be of the
    kind that the tokenizer saw, as many as there are: more text gives a sharper answer.

    >>> [stage.label for stage in InferMixture(step="tokenizer", by="lang").stages()]
    ['counts', 'replay', 'solve']
    """

    kind: Literal["infer_mixture"] = "infer_mixture"
    tokenizer: str = Field(
        default="",
        description="its file: a tokenizer.json or the directory of one, a SentencePiece .model of BPE, or with a "
        "pretokenizer ranks, a merges.txt or a merges.parquet",
    )

    @override
    def check(self) -> None:
        """RecipeError where the file holds no merges in order, or fewer than are skipped."""
        super().check()
        if not self.tokenizer:
            return
        source = merge_sources.read(self.tokenizer, self._patterns())
        merges = len(source.merges) - source.assembly
        if merges <= self.skip:
            msg = f"tokenizer {self.tokenizer!r} has {merges or 'no'} merges, and {self.skip} are skipped"
            raise RecipeError(f"{msg}: a mixture is inferred from the order of merges, so some must be left")

    @override
    def read_file(self, patterns: tuple[str, ...]) -> Vocabulary:
        return merge_sources.read(self.tokenizer, patterns).vocabulary

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return self.stages_against()

    def stages_against(self, trained: str = "", max_difference: float = 0.0) -> tuple[Map | Fold | Repeat, ...]:
        """The stages; with the name of the training step, what was inferred is compared with what it was trained on."""
        chosen = self.chosen()
        return (
            MergeCounts(name="counts", group_by=self.by, **chosen),
            Replay(name="replay", merges=self.merges, skip=self.skip, **chosen),
            Solve(
                name="solve",
                by=self.by,
                tolerance_ppm=self.tolerance_ppm,
                within=self.range,
                resamples=self.bootstrap,
                trained=trained,
                max_difference=max_difference,
            ),
        )
