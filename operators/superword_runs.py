"""Read the corpus a second time for SuperBPE's second stage: encode it by the first merges and count runs of tokens.

Text repeats itself less in runs than in words: their table takes about a byte for each byte of text, and training reads
it whole. So no more than `superword_mb` of text is read: a document is in or out by a hash of its id alone, whatever
its source and language, and the mix stays that of the first stage. Price: `kernels/superwords.py`.
"""

from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Outputs
from operators.document_weights import WeightedTexts, weights_of
from operators.groups import summed
from operators.hashing import row_hashes
from operators.merge_lists import from_merges_table
from operators.pretokenizers import Digits, cutting
from operators.text_buffers import one_text_array
from operators.training_corpus import TrainingCorpus, corpus_of

RUNS: Final = "_runs"

_MEGABYTE: Final = 10**6
_ALL: Final = 1 << 64


class DrawnCorpus(TrainingCorpus):
    """What the second stage reads, by source and language."""

    superword_mb: int

    @override
    def uses(self) -> tuple[str, ...]:
        return ("corpus",)

    @override
    def bind(self, context: Context) -> BatchFn:
        limit, describe = draw_limit(context, self.superword_mb), super().bind(context)
        return lambda rows: describe(drawn(rows, limit))


class SuperwordRuns(WeightedTexts):
    """How often each run occurs: `_runs`, with `run: large_binary` (its ids, int32 little-endian), `count: int64`."""

    digits: Digits = "pattern"
    superword_mb: int
    max_token_length: int
    max_words: int
    forbidden: tuple[str, ...]

    revision: ClassVar[int] = 2  # a row whose `repeat` is null counts once
    key: ClassVar[str] = "digest"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def uses(self) -> tuple[str, ...]:
        return ("corpus", "first")

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.bpe import Veto
        from operators.kernels.superwords import count_runs, eligible

        limit = draw_limit(context, self.superword_mb)
        first = from_merges_table(context.artifacts["first"].table("_merges"), ())
        veto = Veto(self.max_words, tuple(part.encode() for part in self.forbidden))
        may_join = eligible(first.tokens, self.max_token_length, veto)
        how = cutting("superbpe_stage2", self.digits)

        def apply(rows: pa.Table) -> pa.Table:
            rows = drawn(rows, limit)
            texts = one_text_array(rows["text"])
            runs = count_runs(texts, weights_of(rows), how, first, may_join)
            buffers = [None, pa.py_buffer(4 * runs.offsets), pa.py_buffer(runs.ids.astype("<i4"))]
            keys = pa.Array.from_buffers(pa.large_binary(), len(runs.counts), buffers)
            return pa.table({"digest": runs.digests, "run": keys, "count": runs.counts})

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "digest", "run")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {RUNS: self.merge(state).select(["run", "count"])}


def draw_limit(context: Context, superword_mb: int) -> int:
    """A document is drawn if its hash is below this, in [0, 2^64]: that many bytes of the corpus, on average."""
    whole = int(corpus_of(context)["bytes"])
    return min(_ALL, superword_mb * _MEGABYTE * _ALL // max(1, whole))


def drawn(rows: pa.Table, limit: int) -> pa.Table:
    """The documents that are read. The draw does not depend on the recipe's seed."""
    if limit == _ALL:
        return rows
    return rows.filter(pa.array(row_hashes(rows["id"], 0, "superwords") < np.uint64(limit)))
