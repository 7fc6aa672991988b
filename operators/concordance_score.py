"""Score documents by how well the order of their losses under a ladder of models is the order of the models.

PreSelect's predictive strength (Shum et al. 2025, arXiv:2503.00808, section 2.2): of all pairs of models the share in
which the weaker one needs more bits for the document than the stronger one. Documents of which all pairs agree are
labelled positive, and as many from the lowest score upwards negative; a classifier learns the labels and scores the
corpus (`train_classifier`, `classify`).

Deviations: the paper's ladder is six Llama models of 7 to 65 billion parameters, ordered by twelve benchmarks; here it
is what the recipe says, n-gram models of growing order and data or any function, in the recipe's order. Losses are bits
per byte and not per character, which changes no comparison. Labels are even to the document, the last score drawn from.

Price: that of each rung once, less the words, which are found once for all rungs; docs/concordance.md has what was
measured, and what the score is good for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators import ngram_sources
from operators.base import TEXT, Columns, Composite, Fold, Map, Operator, Repeat
from operators.concordance_labels import Histogram, JudgedLabels, Labels, Levels, Ranking
from operators.ladder_scores import LadderScores
from operators.ngram_steps import is_step, refuse_without_model, source_of
from operators.scorers import identity_of, is_scorer, scorer_at


class ConcordanceScore(Composite):
    """Score a document by the share of pairs of language models, weaker and stronger, whose losses are in that order.

    Adds `score`, `bits_1`, `bits_2` and so on by each rung, and `label`: positive where all pairs are in that order,
    negative from the lowest score on for as many.
    """

    kind: Literal["concordance_score"] = "concordance_score"
    ladder: tuple[str, ...] = Field(
        min_length=2,
        max_length=16,
        description="models, the weakest first: train_ngram_model steps, paths of a model.ngram, or "
        "`package.module:function` (texts -> bits per byte)",
    )
    min_score: float = Field(default=0, ge=0, le=1, description="a lower score drops a document; 0: all stay")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _different(self) -> Self:
        wrong = [rung for place, rung in enumerate(self.ladder) if not rung or rung in self.ladder[:place]]
        if wrong:
            msg = f"rung {wrong[0]!r} of the ladder is empty or there twice: every rung is another model"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def adds(self) -> Columns:
        """Of two rungs, if there is no ladder yet: so the catalogue asks."""
        numbers = range(1, len(getattr(self, "ladder", ("", ""))) + 1)
        bits = {f"bits_{number}": pa.float64() for number in numbers}
        return {"score": pa.float64(), **bits, "label": pa.string()}

    def check(self) -> None:
        """RecipeError where a file is no n-gram model, or a function cannot be imported."""
        for rung in self.ladder:
            if is_scorer(rung):
                scorer_at(rung)
            elif not is_step(rung):
                ngram_sources.check(rung)

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where a step leaves no model."""
        refuse_without_model(self.ladder, earlier)

    @override
    def models(self) -> Mapping[str, str]:
        paths = [rung for rung in self.ladder if not is_step(rung) and not is_scorer(rung)]
        return {f"ladder[{self.ladder.index(path)}]": ngram_sources.digest(path) for path in paths}

    @override
    def imports(self) -> tuple[str, ...]:
        return tuple(rung.partition(":")[0] for rung in self.ladder if is_scorer(rung))

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        size = len(self.ladder)
        models = [source_of(rung) for rung in self.ladder if not is_scorer(rung)]
        scores = LadderScores(
            name="scores",
            ladder=tuple(rung if is_scorer(rung) else "" for rung in self.ladder),
            models_of=tuple(models),
            digests=tuple("" if file else ngram_sources.digest(path) for path, file in models),
            functions=tuple(identity_of(rung) for rung in self.ladder if is_scorer(rung)),
        )
        labels: Labels = Labels(name="labels", num_rungs=size)
        if self.min_score:
            judged = self.model_dump(include={"min_score", "audit", "max_drop_ratio"})
            labels = JudgedLabels(name="labels", num_rungs=size, **judged)
        histogram, ranking = Histogram(name="histogram"), Ranking(name="ranking", num_rungs=size)
        return scores, Levels(name="levels", num_rungs=size), histogram, ranking, labels
