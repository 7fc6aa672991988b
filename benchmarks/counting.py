"""A table of counts that grows by the batch: what the benchmarks of training need of the engine's exchange.

A library of the training benchmarks. Counts are summed as the engine sums them. Tables wait until they hold as many
rows as the sum has, so that memory is that of some two tables, and a row is sorted a few times.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.pretoken_counts import PretokenCounts


class CountTable:
    """Pre-tokens and their counts, added up."""

    def __init__(self) -> None:
        self._sum: pa.Table | None = None
        self._waiting: list[pa.Table] = []

    def add(self, words: pa.LargeBinaryArray, counts: NDArray[np.int64]) -> None:
        """Some pre-tokens and how often each occurs."""
        self._waiting.append(pa.table({"pretoken": words, "count": pa.array(counts, pa.int64())}))
        if sum(table.num_rows for table in self._waiting) > max(1_000_000, self._sum.num_rows if self._sum else 0):
            self._settle()

    def _settle(self) -> None:
        tables = self._waiting if self._sum is None else [self._sum, *self._waiting]
        # No pattern is needed to add up; a fold has one.
        self._sum, self._waiting = (
            PretokenCounts(name="counts", pretokenizer="gpt2").merge(pa.concat_tables(tables)),
            [],
        )

    def words_and_counts(self) -> tuple[pa.LargeBinaryArray, NDArray[np.int64]]:
        """Every pre-token once, and its count, sorted."""
        if self._waiting:
            self._settle()
        if self._sum is None:
            return pa.array([], pa.large_binary()), np.empty(0, np.int64)
        words = self._sum["pretoken"].combine_chunks()
        if isinstance(words, pa.ChunkedArray):
            words = pa.concat_arrays(words.chunks)
        return words, self._sum["count"].to_numpy()
