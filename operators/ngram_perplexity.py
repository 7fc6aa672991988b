"""Score documents by how well an n-gram model of reference text predicts them, and judge by the score or its rank.

Three published methods are settings of it. CCNet (Wenzek et al. 2020, arXiv:1911.00359): a 5-gram model of good text
per language, documents in head, middle and tail by percentile of their perplexity. Moore and Lewis (2010): the
difference of two models' cross-entropies, `against` (a prior, of the whole pool) less `reference` (of what one wants).
CoLoR-Filter (Brandfonbrener et al. 2024, arXiv:2406.10670), with n-gram models in place of neural ones: the same
difference, where the better model is a mixture of the two, `interpolate` of the reference's.

Deviations: CCNet's pieces are SentencePiece's and its text is normalised; here they are our words, as they stand.
CoLoR's conditional model is the prior, trained on. Price: 24 MB/s of a core by one model of words, 9 MB/s of bytes;
docs/perplexity.md has the formulas and what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators import ngram_sources
from operators.base import BatchFn, Columns, Composite, Context, Fold, Judge, Map, Operator, Repeat, Rule
from operators.hashing import refuse_formless
from operators.ngram_steps import ReadsModels, is_step, refuse_without_model, source_of
from operators.score_buckets import Bucket, BucketVerdict, Percentiles, ShareOf
from operators.train_ngram_model import NgramTraining

STEPS: Final = 1 << 14
"""Scores in bits are multiples of a 16384th: coarser than any rounding, so that they can be counted exactly."""
_MAX: Final = float(np.finfo(np.float64).max)
Per = Literal["byte", "word"]


class StageTraining(NgramTraining):
    """The training of one of the step's own models."""

    file: str

    @property
    @override
    def leaves(self) -> str:
        return self.file


class NgramScores(ReadsModels):
    """The scores of documents by one model, or by two: the reference's, and the prior's where there is one."""

    interpolate: float = 1.0
    per: Per = "byte"
    ranked: bool = False
    """Whether later stages want hidden copies of the scores."""

    @override
    def adds(self) -> Columns:
        names = ["bits_per_byte", "perplexity", *(["difference"] if len(self.models_of) > 1 else [])]
        added: dict[str, pa.DataType] = dict.fromkeys(names, pa.float64())
        if self.ranked:
            added |= {f"_{name}": pa.float64() for name in names}
            added |= {"_score": pa.int64(), "_bytes": pa.int64()}
        return added

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.ngram_model import texts_of

        models = self.read_models(context)

        def apply(rows: pa.Table) -> pa.Table:
            texts = texts_of(rows["text"], models[0].unit)
            scores = self._scores(texts, [model.bits(texts) for model in models], texts.lengths(models[0].unit))
            if self.ranked:
                scores = {**scores, **self._ranked(scores, rows)}
            return pa.table({name: scores[name] for name in self.adds()})

        return apply

    def _scores(self, texts: Any, bits: list[Any], lengths: Any) -> dict[str, pa.Array]:  # noqa: ANN401
        from operators.kernels.ngrams import totals

        num_tokens = np.diff(texts.starts)
        is_empty = num_tokens == 0

        def column(values: Any, per: Any) -> pa.Array:  # noqa: ANN401
            return pa.array(np.round(values / np.maximum(per, 1) * STEPS) / STEPS, mask=is_empty)

        sums, num_bytes = totals(bits[0], texts.tokens, texts.starts, lengths)
        perplexity = np.exp2(np.minimum(sums / (num_tokens + 1), 1023))
        scores = {"bits_per_byte": column(sums, num_bytes), "perplexity": pa.array(perplexity, mask=is_empty)}
        if len(bits) > 1:
            prior, _ = totals(bits[1], texts.tokens, texts.starts, lengths)
            if self.interpolate < 1:
                share = np.log2(self.interpolate), np.log2(1 - self.interpolate)
                mixed = -np.logaddexp2(share[0] - bits[0], share[1] - bits[1])
                sums, _ = totals(mixed, texts.tokens, texts.starts, lengths)
            scores["difference"] = column(prior - sums, num_bytes if self.per == "byte" else num_tokens + 1)
        return scores

    def _ranked(self, scores: dict[str, pa.Array], rows: pa.Table) -> dict[str, pa.Array]:
        """What later stages of the step read: copies, what is ranked (less is better), and the size of the text."""
        import pyarrow.compute as pc

        hidden = {f"_{name}": values for name, values in scores.items()}
        best = pc.negate(scores["difference"]) if "difference" in scores else scores["bits_per_byte"]
        hidden["_score"] = pc.multiply(best, float(STEPS)).cast(pa.int64())
        hidden["_bytes"] = pc.binary_length(rows["text"]).cast(pa.int64())
        return hidden


class Thresholds(Judge):
    """The rules over scores; `hidden_as` stands before the columns' names."""

    max_bits_per_byte: float | None = None
    max_perplexity: float | None = None
    min_difference: float | None = None

    verdict_only: ClassVar[frozenset[str]] = frozenset({"max_bits_per_byte", "max_perplexity", "min_difference"})
    hidden_as: ClassVar[str] = ""

    @override
    def rules(self) -> tuple[Rule, ...]:
        rules = (
            Rule("too_many_bits_per_byte", f"{self.hidden_as}bits_per_byte", high=self.max_bits_per_byte),
            Rule("perplexity_too_high", f"{self.hidden_as}perplexity", high=self.max_perplexity),
            Rule("difference_too_low", f"{self.hidden_as}difference", low=self.min_difference),
        )
        return tuple(rule for rule in rules if rule.low is not None or rule.high is not None)


class JudgedScores(NgramScores, Thresholds):
    """Scores, and rules over them."""


class NgramPerplexity(Composite):
    """Judge a document by the bits per byte that an n-gram model of reference text needs for it.

    With `against` (a second model, of what there is plenty of) also by how many bits fewer than that one it needs.
    """

    kind: Literal["ngram_perplexity"] = "ngram_perplexity"
    reference: str = Field(default="", description="input with role: reference: text as it should be, to train on")
    model: str = Field(default="", description="instead: a train_ngram_model step, or the path of a model.ngram")
    against: str = Field(default="", description="input with role: reference: a prior to compare with")
    against_model: str = Field(
        default="", description="instead: a train_ngram_model step, or the path of a model.ngram"
    )
    unit: Literal["word", "byte"] = Field(default="word", description="as for train_ngram_model, with the next three")
    order: int = Field(default=5, ge=1, le=6, description="longest n-grams, in words or bytes")
    min_count: int = Field(default=2, ge=1, description="n-grams of three or more that are rarer are left out")
    max_mb: float = Field(default=64, gt=0, description="MB of each reference to learn, drawn by document")
    interpolate: float = Field(
        default=1, gt=0, le=1, description="share of the reference's model in a mixture with the prior, as CoLoR's"
    )
    per: Per = Field(
        default="byte", description="what the difference is divided by: byte, or word (with the end as one)"
    )
    max_bits_per_byte: float | None = Field(default=None, gt=0, description="more bits per byte drop a document")
    max_perplexity: float | None = Field(default=None, ge=1, description="more per word (byte) drops a document")
    min_difference: float | None = Field(default=None, description="a smaller difference to the prior drops one")
    head: float = Field(default=0, ge=0, lt=1, description="share with the best scores, called head; 0: no buckets")
    middle: float = Field(default=0, ge=0, lt=1, description="share after it, called middle; the rest is the tail")
    share_of: ShareOf = Field(default="documents", description="what head and middle are shares of")
    by: str = Field(default="", description="column whose values are ranked one by one, as `lang`")
    keep: tuple[Bucket, ...] = Field(default=(), description="buckets to keep; empty: all")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for one, other in (("reference", "model"), ("against", "against_model")):
            if getattr(self, one) and getattr(self, other):
                msg = f"{one} {getattr(self, one)!r} and {other} {getattr(self, other)!r}: give one of them"
                raise ValueError(msg)
        if self.reference and self.reference == self.against:
            msg = f"reference and against are both {self.reference!r}, so every difference is 0: name two inputs"
            raise ValueError(msg)
        if not self.reference and not self.model:
            msg = "give reference (an input to train on) or model (a train_ngram_model step or a file)"
            raise ValueError(msg)
        compares = bool(self.against or self.against_model)
        if not compares and (self.min_difference is not None or self.interpolate < 1 or self.per != "byte"):
            msg = "min_difference, interpolate and per compare with a prior: give against or against_model"
            raise ValueError(msg)
        if not self.head and (self.middle or self.keep or self.by or self.share_of != "documents"):
            msg = "middle, keep, by and share_of say something of buckets: give head"
            raise ValueError(msg)
        if self.head + self.middle > 1:
            msg = f"head {self.head} and middle {self.middle} are more than the whole: at most 1 together"
            raise ValueError(msg)
        return self

    @override
    def adds(self) -> Columns:
        compares = bool(self.against or self.against_model)
        scores = ("bits_per_byte", "perplexity", *(["difference"] if compares else []))
        return {**dict.fromkeys(scores, pa.float64()), **({"bucket": pa.string()} if self.head else {})}

    @override
    def refuse(self, columns: Columns) -> None:
        """RecipeError where the values of `by` have no text to group by."""
        refuse_formless(columns, [self.by] if self.by else [])

    def check(self) -> None:
        """RecipeError where a file is no n-gram model, or a damaged one."""
        for path in (self.model, self.against_model):
            if path and not is_step(path):
                ngram_sources.check(path)

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where a step leaves no model."""
        refuse_without_model((self.model, self.against_model), earlier)

    @override
    def models(self) -> Mapping[str, str]:
        paths = {"model": self.model, "against_model": self.against_model}
        return {name: ngram_sources.digest(path) for name, path in paths.items() if path and not is_step(path)}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        how = self.model_dump(include={"unit", "order", "min_count", "max_mb"})
        trained = tuple(
            StageTraining(name=name, reference=source, file=f"{name}.ngram", **how)
            for name, source in (("reference", self.reference), ("against", self.against))
            if source
        )
        scoring = {"models_of": self._models_of(), "interpolate": self.interpolate, "per": self.per}
        scoring["digests"] = tuple("" if file else ngram_sources.digest(path) for path, file in self._models_of())
        judging = self.model_dump(include={*Thresholds.verdict_only, "audit", "max_drop_ratio"})
        if not self.head:
            judged = JudgedScores(name="scores", **scoring, **judging)
            return *trained, judged if judged.rules() else NgramScores(name="scores", **scoring)
        ranking = self.model_dump(include={"head", "middle", "share_of", "by"})
        published = {"steps": STEPS, "sign": -1 if len(self._models_of()) > 1 else 1}
        return (
            *trained,
            NgramScores(name="scores", ranked=True, **scoring),
            Percentiles(name="percentiles", **ranking, **published),
            RankedVerdict(name="verdict", by=self.by, keep=self.keep, **published, **judging),
        )

    def _models_of(self) -> tuple[tuple[str, str], ...]:
        trained = (("reference", self.reference, self.model), ("against", self.against, self.against_model))
        found = []
        for name, source, model in trained:
            if source:
                found.append((name, f"{name}.ngram"))
            elif model:
                found.append(source_of(model))
        return tuple(found)


class RankedVerdict(BucketVerdict, Thresholds):
    """The rules over scores, then over buckets."""

    hidden_as: ClassVar[str] = "_"
    verdict_only: ClassVar[frozenset[str]] = BucketVerdict.verdict_only | Thresholds.verdict_only

    @override
    def needs(self) -> Columns:
        return {**super().needs(), **{rule.score: pa.float64() for rule in self.rules()}}
