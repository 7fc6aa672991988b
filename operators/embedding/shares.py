"""The threshold that keeps a given share of the documents with a vector: looked for among 4,096, by 64 at a time.

Inside each cluster the choice is made at 64 thresholds at once, a bit of a word each; the documents that would stay,
each counted where it is at home, are summed over all clusters. `coarse` tries every 64th threshold, `fine` those in
between. What goes for a document of another cluster alone is not counted, so a little less stays than was asked for.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from operators.base import BatchFn, Context, Outputs, Resources, TableFold
from operators.drawing import spans
from operators.embedding.clustering import COSINE_UNIT, LEVELS, lengths
from operators.embedding.doubts import warnings_file
from operators.embedding.near_pairs import ACROSS, BLOCK, blocks
from operators.groups import summed
from operators.vectors import VECTOR

Longs = npt.NDArray[np.int64]

_KEPT: Final = pa.schema([("level", pa.int64()), ("kept", pa.int64())])


class Levels(TableFold):
    """Sums of what stays at 64 thresholds; `_level`: the first that keeps enough, in 1 / 4096."""

    share: float
    after: str = ""
    """The stage whose two thresholds this one looks between."""

    revision: ClassVar[int] = 2  # a share of the documents with a vector

    resources: ClassVar[Resources] = Resources(memory_mb=1024)

    @override
    def source(self) -> str:
        return "stage:members/_members"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("counts", *([self.after] if self.after else []))

    @override
    def bind(self, context: Context) -> BatchFn:
        low, step = self._tried(context)

        def partial(members: pa.Table) -> pa.Table:
            kept = np.zeros(LEVELS, np.int64)
            home = members["home"].to_numpy(zero_copy_only=False)
            for start, stop in spans(members["cluster"]):
                masks = masks_of(members[VECTOR].slice(start, stop - start), low, step)[home[start:stop]]
                kept += [int(np.count_nonzero(masks & np.uint64(1 << level))) for level in range(LEVELS)]
            return pa.table([low + step * np.arange(LEVELS), kept], schema=_KEPT)

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "level")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        table = self.merge(state).sort_by("level")
        plan = context.artifacts["counts"].table("_plan").to_pylist()[0]
        wanted = math.ceil(self.share * plan["docs"])
        enough = np.flatnonzero(table["kept"].to_numpy() >= wanted)
        levels = table["level"].to_pylist()
        place = int(enough[0]) if enough.size else len(levels) - 1
        level = levels[place] if levels else COSINE_UNIT
        lines = self._missed(plan["docs"], table["kept"][place].as_py(), wanted, level) if levels else []
        return {"_level": pa.table({"level": [level]}), **warnings_file(lines if self.after else [])}

    def _tried(self, context: Context) -> tuple[int, int]:
        if not self.after:
            return COSINE_UNIT // LEVELS, COSINE_UNIT // LEVELS
        found = context.artifacts[self.after].table("_level").to_pylist()[0]
        return found["level"] - LEVELS + 1, 1

    def _missed(self, docs: int, kept: int, wanted: int, level: int) -> list[str]:
        """`docs` are the documents with a vector; a single one stays, whatever the share."""
        if docs < 2:
            return []
        said = f"keep_share {self.share:g}: of {docs:,} documents with a vector"
        if kept < wanted:
            return [f"{said} only {kept / docs:.3f} are not of one direction with another, and stay"]
        if level == 1 and kept / docs > self.share + 0.005:
            return [f"{said} {kept / docs:.3f} have no cosine above 0 to one that stays, and stay too"]
        return []


def masks_of(column: pa.ChunkedArray, low: int, step: int) -> npt.NDArray[np.uint64]:
    """For each vector a bit for each of 64 thresholds, low + step * bit in 1 / 4096: whether it stays there."""
    from operators.kernels.near_vectors import thresholds_kept

    kept = np.full(len(column), np.iinfo(np.uint64).max, np.uint64)
    squares = np.concatenate([np.zeros(0, np.int64), *(lengths(part) for _, part in blocks(column, ACROSS))])
    for start, block in blocks(column, BLOCK):
        mine = squares[start : start + block.shape[0]]
        for first, others in blocks(column.slice(0, start), ACROSS):
            columns = slice(first, first + others.shape[0])
            thresholds_kept(
                block @ others.T, (mine, squares[columns]), (kept[start : start + mine.size], kept[columns]), low, step
            )
        here = kept[start : start + mine.size]
        thresholds_kept(block @ block.T, (mine, mine), (here, here), low, step)
    return kept
