"""The weights of `importance_resample`: n-grams counted in hashed buckets, and the log ratio of two such counts.

`CountNgrams` counts the target and the corpus, `Weigh` gives each document its log weight, and `Summary` counts what
was chosen and says how much closer to the target it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import pyarrow as pa
from typing_extensions import override

from operators.base import TEXT, WARNINGS, BatchFn, Columns, Context, DataError, Fold, Map, Outputs
from operators.conditions import Condition, FoldOverChosen
from operators.importance_draw import drawn

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


class CountNgrams(FoldOverChosen, NgramStage):
    """The n-grams of a reference input, or of the rows that a condition holds for, or does not: `_counts`."""

    required: bool = False
    """Whether it is an error that there are none."""

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: self.counted(self.chosen(rows))

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
