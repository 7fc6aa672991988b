"""Documents scored by a ladder of language models: bits per byte by each, and how many pairs are in the ladder's order.

The words of a text are found once for all rungs, so a rung costs what its model costs. Each goes over the words by
itself: what one pass for all could save, looking words up and adding bits up, is 8 % of five rungs.
"""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators import drawing
from operators.base import BatchFn, Columns, Context, Resources
from operators.ngram_perplexity import STEPS
from operators.ngram_steps import ReadsModels
from operators.scorers import scorer_at, scores_of
from operators.text_buffers import one_text_array

MOST_BITS: Final = 1e6
"""More bits per byte, or fewer than minus so many, are taken for an error: sums of them stay integers of 64 bits."""


class LadderScores(ReadsModels):
    """Bits per byte by each rung, and the share of pairs of rungs in which the weaker one needs more.

    Of later stages alone: `_pairs`, how many pairs, `_bytes` of the text, and `_steps_N`, bits times 16384.
    """

    ladder: tuple[str, ...]
    """Import paths of functions, and "" where the next of the models is the rung."""
    functions: tuple[str, ...]
    """What the functions are known by."""

    resources: ClassVar[Resources] = Resources(memory_mb=1536)  # all models; five of 34 MB of text take 0.4 GB

    @override
    def adds(self) -> Columns:
        numbers = range(1, len(self.ladder) + 1)
        bits = {f"bits_{number}": pa.float64() for number in numbers}
        hidden = dict.fromkeys(["_pairs", "_bytes", *(f"_steps_{number}" for number in numbers)], pa.int64())
        return {"score": pa.float64(), **bits, **hidden}

    @override
    def bind(self, context: Context) -> BatchFn:
        score = Ladder(self, context)

        def apply(rows: pa.Table) -> pa.Table:
            steps, is_scored = score(rows["text"])
            pairs = concordant(steps)
            found = {"score": pairs / num_pairs(len(steps)), "_pairs": pairs}
            for number, values in enumerate(steps, 1):
                found |= {f"bits_{number}": values / STEPS, f"_steps_{number}": values}
            columns = {name: pa.array(values, mask=~is_scored) for name, values in found.items()}
            columns["_bytes"] = pa.array(drawing.sizes(rows))
            return pa.table({name: columns[name] for name in self.adds()})

        return apply


class Ladder:
    """The rungs of a ladder, ready to score."""

    def __init__(self, scores: LadderScores, context: Context) -> None:
        models = scores.read_models(context)
        self.unit = models[0].unit if models else None
        self.models = dict(zip((place for place, path in enumerate(scores.ladder) if not path), models, strict=True))
        self.scorers = {place: (path, scorer_at(path)) for place, path in enumerate(scores.ladder) if path}

    def __call__(self, column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(rungs, texts) bits per byte times STEPS, 0 where there is no score; and which texts have one."""
        from operators.kernels.ngrams import totals
        from operators.ngram_model import texts_of

        bits = np.zeros((len(self.models) + len(self.scorers), len(column)))
        whole = one_text_array(column)
        is_scored = pc.greater(pc.binary_length(whole), 0).to_numpy(zero_copy_only=False)
        if self.unit:
            texts = texts_of(column, self.unit)
            is_scored, lengths = np.diff(texts.starts) > 0, texts.lengths(self.unit)
            for place, model in self.models.items():
                sums, num_bytes = totals(model.bits(texts), texts.tokens, texts.starts, lengths)
                bits[place, is_scored] = (sums / np.maximum(num_bytes, 1))[is_scored]
        if self.scorers and is_scored.any():
            some = whole.filter(pa.array(is_scored))
            for place, (path, scorer) in self.scorers.items():
                bits[place, is_scored] = scores_of(scorer, path, some, MOST_BITS)
        return np.rint(bits * STEPS).astype(np.int64), is_scored


def num_pairs(rungs: int) -> int:
    """How many pairs of rungs there are.

    >>> num_pairs(6)
    15
    """
    return rungs * (rungs - 1) // 2


def concordant(losses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each column in how many pairs of rows the earlier one has more.

    >>> concordant(np.array([[3, 1, 2], [2, 2, 2], [1, 3, 1]])).tolist()
    [3, 0, 2]
    """
    found = np.zeros(losses.shape[1], np.int64)
    for weaker, stronger in combinations(losses, 2):
        found += weaker > stronger
    return found
