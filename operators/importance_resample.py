"""Choose the documents that are most like a target, by importance weights, without choosing the same few kinds of text.

DSIR (Xie, Santurkar, Ma, Liang 2023, arXiv:2302.03169): hashed n-grams are counted in the target and in the corpus; a
document's log weight is the sum, over its n-grams, of the log ratio of the two shares of their bucket; documents are
drawn without replacement with probabilities proportional to the weights. The draw is the Gumbel top-k: the k documents
of the highest log weight plus noise, and the noise is a hash of the recipe's seed and the id. So the result does not
depend on shards or order, and it is the best of the whole corpus: a histogram of the sums' first 24 bits finds the
bucket in which the budget ends, and only that bucket's documents are ranked.

Deviations: the log weight may be normalised by length (on whole documents the paper's degenerates to picking the
longest); the corpus is counted whole; a target that is part of the corpus is no candidate and stays.
docs/importance.md has the formulas and what was measured. `operators/importance_draw.py` holds the stages that draw.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import override

from operators.base import TEXT, WARNINGS, BatchFn, Columns, Composite, Context, DataError, Fold, Map, Outputs, Repeat
from operators.conditions import Condition
from operators.importance_draw import DrawImportance, Ends, KeptWeights, Ranking, drawn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Longs = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

Hash = Literal["fast", "sha256"]
Normalise = Literal["document", "token", "chunk"]

CHUNK_TOKENS: Final = 128
FLOOR: Final = 1e-8
"""What is added to each share before its logarithm, as the package `data-selection` does."""
COUNTS: Final = "_counts"
DEGENERATE: Final = 0.1
"""The run warns where the effective sample size is below this share of the documents chosen."""

_COUNTS: Final = pa.schema([("bucket", pa.int64()), ("count", pa.int64())])


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


class NgramStage(Fold):
    """What the stages that count n-grams share; a state has a row for each bucket that is not empty."""

    ngrams: int
    buckets: int
    hash: Hash

    def counted(self, rows: pa.Table) -> pa.Table:
        """The n-grams of some rows, as a state."""
        import numpy as np

        from operators.kernels.ngram_features import count_ngrams
        from operators.text_buffers import column_bytes

        counts = count_ngrams(*column_bytes(rows["text"]), self.ngrams, self.buckets, self.hash)
        bucket = np.flatnonzero(counts)
        return pa.table([bucket, counts[bucket]], schema=_COUNTS)

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        summed = state.group_by("bucket", use_threads=False).aggregate([("count", "sum")])
        return summed.rename_columns(_COUNTS.names).cast(_COUNTS)


class CountNgrams(NgramStage):
    """The n-grams of a reference input, or of the rows that a condition holds for, or does not: `_counts`."""

    reference: str = ""
    only: Condition = Condition()
    never: Condition = Condition()
    required: bool = False
    """Whether it is an error that there are none."""

    @override
    def source(self) -> str:
        return f"input:{self.reference}" if self.reference else ""

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs(), **self.never.needs()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            if self.only.column:
                rows = rows.filter(pa.array(self.only.holds(rows), pa.bool_()))
            if self.never.column:
                rows = rows.filter(pc.invert(pa.array(self.never.holds(rows), pa.bool_())))
            return self.counted(rows)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        if self.required and not state.num_rows:
            of = f"input {self.reference!r}" if self.reference else f"{self.only.column!r} in {list(self.only.values)}"
            msg = f"the target is empty: {of} has no document with a word in it"
            raise DataError(msg)
        return {COUNTS: state.sort_by("bucket")}


class Weigh(Map):
    """Each document's log weight and tokens; hidden, what later stages read: null weights of what is no candidate."""

    ngrams: int
    buckets: int
    hash: Hash
    smoothing: float
    normalise: Normalise
    min_tokens: int
    target: Condition

    @override
    def uses(self) -> tuple[str, ...]:
        return ("target", "raw")

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.target.needs()}

    @override
    def adds(self) -> Columns:
        hidden = {"_weight": pa.float64(), "_tokens": pa.int64(), "_bytes": pa.int64(), "_target": pa.bool_()}
        return {"log_weight": pa.float64(), "tokens": pa.int64(), **hidden}

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        from operators.kernels.ngram_features import sum_ngrams
        from operators.text_buffers import column_bytes

        counts = {name: dense(context.artifacts[name].table(COUNTS), self.buckets) for name in self.uses()}
        ratio = log_ratio(counts["target"], counts["raw"], self.smoothing)

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            sums, tokens = sum_ngrams(data, offsets, self.ngrams, ratio, self.hash)
            weights = sums / self._lengths(tokens)
            is_target = np.array(self.target.holds(rows) if self.target.column else [False] * rows.num_rows, bool)
            found = {
                "log_weight": pa.array(weights, mask=is_target),
                "tokens": pa.array(tokens),
                "_weight": pa.array(weights, mask=is_target | (tokens < self.min_tokens)),
                "_tokens": pa.array(tokens),
                "_bytes": pa.array(np.diff(offsets)),
                "_target": pa.array(is_target),
            }
            return pa.table(found)

        return apply

    def _lengths(self, tokens: Longs) -> Floats:
        """What the sums are divided by: the tokens, or the chunks of 128 tokens, at least one; or 1."""
        import numpy as np

        if self.normalise == "document":
            return np.ones(tokens.size)
        per = 1 if self.normalise == "token" else CHUNK_TOKENS
        lengths: Floats = np.maximum(tokens / per, 1.0)
        return lengths


class Summary(NgramStage):
    """The n-grams of what is chosen, and what the whole step found: `features.npz` and `summary.json`."""

    smoothing: float
    normalise: Normalise
    noise: bool

    seeded: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return ("target", "raw", "ranking")

    @override
    def needs(self) -> Columns:
        return {**TEXT, "_weight": pa.float64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        last = context.artifacts["ranking"].table("_last")
        return lambda rows: self.counted(rows.filter(pa.array(drawn(rows, last, context.seed, noise=self.noise))))

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        import io
        import json

        import numpy as np

        target, raw = (dense(context.artifacts[name].table(COUNTS), self.buckets) for name in ("target", "raw"))
        found = context.artifacts["ranking"].table("_last").to_pylist()[0]
        chosen = dense(state, self.buckets)
        before, after = divergence(target, raw), divergence(target, chosen)
        summary = {
            "normalise": self.normalise,
            "candidates": {"docs": found["docs_available"], "bytes": found["bytes_available"]},
            "chosen": {"docs": found["docs"], "bytes": found["bytes"]},
            "effective_sample_size": found["effective"],
            "ngrams": {"target": int(target.sum()), "raw": int(raw.sum()), "chosen": int(chosen.sum())},
            "kl_target_from_raw": before,
            "kl_target_from_chosen": after,
            "kl_reduction": before - after,
        }
        features = io.BytesIO()
        np.savez(features, target=target, raw=raw, log_ratio=log_ratio(target, raw, self.smoothing))
        outputs: dict[str, bytes | pa.Buffer | pa.Table] = {
            "features.npz": features.getvalue(),
            "summary.json": json.dumps(summary, indent=1).encode() + b"\n",
        }
        if found["effective"] < DEGENERATE * found["docs"]:
            advice = "set normalise: chunk" if self.normalise == "document" else "the target may be too small"
            said = (
                f"the weights are degenerate: {found['docs_available']:,} candidates count as "
                f"{found['effective']:.1f}, so chance decides next to nothing and the highest weights are taken "
                f"(normalise: {self.normalise}; {advice})"
            )
            outputs[WARNINGS] = json.dumps([said]).encode()
        return outputs


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


def dense(counts: pa.Table, buckets: int) -> Longs:
    """A state's counts as one number for each bucket."""
    import numpy as np

    found = np.zeros(buckets, np.int64)
    found[counts["bucket"].to_numpy()] = counts["count"].to_numpy()
    return found


def log_ratio(target: Longs, raw: Longs, smoothing: float) -> Floats:
    """For each bucket log(share in the target + 1e-8) - log(share in the corpus + 1e-8), the target's smoothed.

    >>> import numpy as np
    >>> log_ratio(np.array([3, 1]), np.array([1, 1]), 0).round(6).tolist()
    [0.405465, -0.693147]
    """
    import numpy as np

    total, all_raw = float(target.sum()) + smoothing * target.size, max(float(raw.sum()), 1.0)
    pairs = zip(target.tolist(), raw.tolist(), strict=True)
    return np.array(
        [math.log((of + smoothing) / total + FLOOR) - math.log(other / all_raw + FLOOR) for of, other in pairs]
    )


def divergence(target: Longs, other: Longs) -> float:
    """KL(target || other) in nats, of shares; the other's with the floor of 1e-8, so that it is finite.

    >>> import numpy as np
    >>> round(divergence(np.array([1, 1]), np.array([3, 1])), 6)
    0.143841
    """
    total, whole = max(int(target.sum()), 1), max(int(other.sum()), 1)
    pairs = zip(target.tolist(), other.tolist(), strict=True)
    return math.fsum(of / total * math.log(of / total / (than / whole + FLOOR)) for of, than in pairs if of)
