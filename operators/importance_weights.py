"""The weights of `importance_resample`: the log ratio of two counts of n-grams, summed up over a document.

`operators/importance_targets.py` counts, `operators/importance_summary.py` says how much closer the chosen are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Map
from operators.conditions import Condition
from operators.importance_draw import numbered
from operators.importance_targets import COUNTS, Hash, any_holds, columns_of, dense

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Longs = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

Normalise = Literal["document", "token", "chunk"]

CHUNK_TOKENS: Final = 128
FLOOR: Final = 1e-8
"""What is added to each share before its logarithm, as the package `data-selection` does."""


class Weigh(Map):
    """Each document's log weight and tokens; hidden, what later stages read: null weights of what is no candidate.

    Of several targets there is a hidden log weight each, and none is published here.
    """

    ngrams: int
    buckets: int
    hash: Hash
    smoothing: float
    normalise: Normalise
    min_tokens: int
    own: tuple[Condition, ...]
    """The rows that belong to a target."""
    targets: int
    several: bool

    @override
    def uses(self) -> tuple[str, ...]:
        return ("raw", *(numbered("target", target) for target in range(self.targets)))

    @override
    def needs(self) -> Columns:
        return {**TEXT, **columns_of(self.own)}

    @override
    def adds(self) -> Columns:
        weights = {numbered("_weight", target): pa.float64() for target in range(self.targets)}
        hidden = {**weights, "_tokens": pa.int64(), "_bytes": pa.int64(), "_target": pa.bool_()}
        return {**({} if self.several else {"log_weight": pa.float64()}), "tokens": pa.int64(), **hidden}

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        from operators.kernels.ngram_features import sum_ngrams
        from operators.text_buffers import column_bytes

        raw, *counts = (dense(context.artifacts[name].table(COUNTS), self.buckets) for name in self.uses())
        ratios = [log_ratio(target, raw, self.smoothing) for target in counts]

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            is_target = any_holds(self.own, rows)
            own, found = is_target.to_numpy(zero_copy_only=False), {}
            for target, ratio in enumerate(ratios):
                sums, tokens = sum_ngrams(data, offsets, self.ngrams, ratio, self.hash)
                weights = sums / self._lengths(tokens)
                found[numbered("_weight", target)] = pa.array(weights, mask=own | (tokens < self.min_tokens))
            found["log_weight"] = pa.array(weights, mask=own)
            found["tokens"] = found["_tokens"] = pa.array(tokens)
            found |= {"_bytes": pa.array(np.diff(offsets)), "_target": is_target}
            return pa.table({name: found[name] for name in self.adds()})

        return apply

    def _lengths(self, tokens: Longs) -> Floats:
        """What the sums are divided by: the tokens, or the chunks of 128 tokens, at least one; or 1."""
        import numpy as np

        if self.normalise == "document":
            return np.ones(tokens.size)
        per = 1 if self.normalise == "token" else CHUNK_TOKENS
        lengths: Floats = np.maximum(tokens / per, 1.0)
        return lengths


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
