"""Choose the documents that are most like a target, by importance weights, without choosing the same few kinds of text.

DSIR (Xie, Santurkar, Ma, Liang 2023, arXiv:2302.03169): hashed n-grams are counted in the target and in the corpus; a
document's log weight is the sum, over its n-grams, of the log ratio of the two shares of their bucket; documents are
drawn without replacement with probabilities proportional to the weights. The draw is the Gumbel top-k: the k documents
of the highest log weight plus noise, and the noise is a hash of the recipe's seed and the id. So the result does not
depend on shards or order, and it is the best of the whole corpus: a histogram of the sums' first 24 bits finds the
bucket in which the budget ends, and only that bucket's documents are ranked.

Deviations: the log weight may be normalised by length (on whole documents the paper's degenerates to picking the
longest); the corpus is counted whole; a target that is part of the corpus is no candidate and stays.
docs/importance.md has the formulas and what was measured. `operators/importance_weights.py` holds the stages
that count and weigh, `operators/importance_draw.py` those that draw.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import override

from operators.base import TEXT, Columns, Composite, Fold, Map, Repeat
from operators.conditions import Condition
from operators.importance_draw import DrawImportance, Ends, KeptWeights, Ranking
from operators.importance_weights import CountNgrams, Hash, Normalise, Summary, Weigh


class Selection(BaseModel):
    """How much is chosen: exactly one of three.

    >>> Selection(docs=5).docs
    5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    docs: int | None = Field(default=None, gt=0, description="documents to choose")
    bytes: int | None = Field(default=None, gt=0, description="bytes of text to choose at most")
    fraction: float | None = Field(default=None, gt=0, le=1, description="share of the candidates to choose")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        given = [f"{name}={value!r}" for name, value in self if value is not None]
        if len(given) != 1:
            msg = f"give exactly one of docs, bytes, fraction; got {', '.join(given) or 'none of them'}"
            raise ValueError(msg)
        return self


class ImportanceResample(Composite):
    """Choose documents that are like a target, by DSIR's importance weights of hashed n-grams; drop `not_selected`.

    The rows of a target that is a condition stay, and are neither candidates nor counted in the corpus.
    """

    kind: Literal["importance_resample"] = "importance_resample"
    target: str | Condition = Field(description="input with role: reference, or {column: lang, in: [de]} of the rows")
    select: Selection = Field(
        description="how much is chosen: {docs: N}, {bytes: N} or {fraction: F} of the candidates"
    )
    ngrams: int = Field(default=2, ge=1, le=8, description="longest n-grams, in tokens")
    buckets: int = Field(default=10_000, ge=2, le=1 << 24, description="buckets that n-grams are hashed into")
    hash: Hash = Field(default="fast", description="fast: of 64 bits; sha256: as the package data-selection")
    tokens: Literal["wordpunct"] = Field(
        default="wordpunct", description="wordpunct: runs of letters and digits, and of all else but white space"
    )
    smoothing: float = Field(default=1.0, ge=0, description="added to each bucket's count in the target")
    min_tokens: int = Field(default=100, ge=0, description="fewer tokens drop a document as too_few_tokens")
    normalise: Normalise = Field(
        default="chunk",
        description="document: the whole sum, as published; token: divided by the tokens; chunk: per 128 tokens",
    )
    noise: bool = Field(default=True, description="false: the highest weights without chance, which is not resampling")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @field_validator("target", mode="before")
    @classmethod
    def _one_target(cls, given: object) -> object:
        if isinstance(given, list | tuple):
            msg = f"several targets ({len(given)}) are not supported: give one, or one step for each"
            raise ValueError(msg)  # noqa: TRY004  # of a validator
        return given

    @model_validator(mode="after")
    def _has_target(self) -> Self:
        if not (self.target if isinstance(self.target, str) else self.target.column):
            msg = "target is empty: give the name of an input with role: reference, or {column: ..., in: [...]}"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return {**TEXT, **(self.target.needs() if isinstance(self.target, Condition) else {})}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        own = self.target if isinstance(self.target, Condition) else Condition()
        reference = self.target if isinstance(self.target, str) else ""
        grams = {"ngrams": self.ngrams, "buckets": self.buckets, "hash": self.hash}
        weighing = {"smoothing": self.smoothing, "normalise": self.normalise}
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio}
        size = self.select
        return (
            CountNgrams(name="target", reference=reference, only=own, required=True, **grams),
            CountNgrams(name="raw", never=own, **grams),
            Weigh(name="weigh", min_tokens=self.min_tokens, target=own, **grams, **weighing),
            KeptWeights(name="weights"),
            Ends(name="ends", docs=size.docs, bytes=size.bytes, fraction=size.fraction, noise=self.noise),
            Ranking(name="ranking", by_bytes=size.bytes is not None, noise=self.noise),
            Summary(name="summary", noise=self.noise, **grams, **weighing),
            DrawImportance(name="draw", min_tokens=self.min_tokens, noise=self.noise, **judged),
        )
