"""CCNet's head, middle and tail: the best documents by a score, those after them, and the rest.

The bounds are exact and found in one pass: scores are counted as integers, so a state has a row for each different
score of a group, and is merged by adding. Documents with the same score are in the same bucket, the better one where a
bound lies among them: so a bucket holds at least its share, and a little more where scores are equal.
"""

from __future__ import annotations

import json
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Context, Fold, Judge, Outputs
from operators.drawing import groups, index
from operators.groups import summed

Bucket = Literal["head", "middle", "tail"]
ShareOf = Literal["documents", "bytes"]

BUCKETS: tuple[Bucket, ...] = ("head", "middle", "tail")


class Percentiles(Fold):
    """How many documents and bytes each group has of each `_score` (less is better); where its buckets end.

    Leaves `_bounds`, a row a group, and `percentiles.json` for people, with scores as they are published.
    """

    head: float
    middle: float
    share_of: ShareOf
    by: str
    steps: int
    sign: int
    """A published score is `sign` * `_score` / `steps`."""

    @override
    def needs(self) -> Columns:
        return {"_score": pa.int64(), "_bytes": pa.int64(), **({self.by: pa.null()} if self.by else {})}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            ones = pa.array(np.ones(rows.num_rows, np.int64))
            state = {
                "group": groups(rows, self.by),
                "score": rows["_score"],
                "documents": ones,
                "bytes": rows["_bytes"],
            }
            return self.merge(pa.table(state).filter(pc.is_valid(rows["_score"])))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "group", "score")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = self.merge(state).sort_by([("group", "ascending"), ("score", "ascending")])
        found, said = [], []
        for group in state["group"].unique().to_pylist():
            mine = state.filter(pc.equal(state["group"], group) if group is not None else pc.is_null(state["group"]))
            scores = mine["score"].to_numpy()
            until = np.cumsum(mine[self.share_of].to_numpy())
            # The first score up to which there is at least that share of all.
            ends = np.searchsorted(until, np.array([self.head, self.head + self.middle]) * until[-1])
            bounds = scores[np.minimum(ends, scores.size - 1)].tolist()
            found.append({"group": group, "head": bounds[0], "middle": bounds[1]})
            said.append({"group": group, **self._described(mine, bounds)})
        schema = pa.schema([("group", pa.string()), ("head", pa.int64()), ("middle", pa.int64())])
        content = json.dumps({"by": self.by, "share_of": self.share_of, "groups": said}, indent=1, ensure_ascii=False)
        return {"_bounds": pa.Table.from_pylist(found, schema), "percentiles.json": content.encode() + b"\n"}

    def _described(self, mine: pa.Table, bounds: list[int]) -> dict[str, object]:
        """The last score of head and middle, and what each bucket holds."""
        number = np.searchsorted(bounds, mine["score"].to_numpy())
        sums = {
            bucket: {name: int(mine[name].to_numpy()[number == at].sum()) for name in ("documents", "bytes")}
            for at, bucket in enumerate(BUCKETS)
        }
        ends = {name: self.sign * end / self.steps for name, end in zip(BUCKETS, bounds, strict=False)}
        return {"last_score": ends, "buckets": sums}


class GroupVerdict(Judge):
    """A judge by where buckets end in the document's group, as the stage `percentiles` found."""

    by: str

    @override
    def uses(self) -> tuple[str, ...]:
        return ("percentiles",)

    @override
    def needs(self) -> Columns:
        return {"_score": pa.int64(), **({self.by: pa.null()} if self.by else {})}

    def bounds(self, context: Context) -> pa.Table:
        """Where the buckets of each group end."""
        return context.artifacts["percentiles"].table("_bounds")

    def ends(self, rows: pa.Table, bounds: pa.Table) -> pa.Table:
        """For each row the last `_score` of the head and of the middle of its group: `head, middle`."""
        return bounds.select(["head", "middle"]).take(index(groups(rows, self.by), bounds["group"]))


class BucketVerdict(GroupVerdict):
    """The bucket of each document, null without a score; drops by the rule `unwanted_bucket`."""

    keep: tuple[Bucket, ...]
    steps: int
    sign: int

    verdict_only: ClassVar[frozenset[str]] = frozenset({"keep"})

    @override
    def adds(self) -> Columns:
        return {"bucket": pa.string()}

    @override
    def bind(self, context: Context) -> BatchFn:
        bounds = self.bounds(context)

        def apply(rows: pa.Table) -> pa.Table:
            ends, score = self.ends(rows, bounds), rows["_score"]
            after_middle = pc.if_else(pc.less_equal(score, ends["middle"]), "middle", "tail")
            return pa.table({"bucket": pc.if_else(pc.less_equal(score, ends["head"]), "head", after_middle)})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        found = super().judge(rows)
        if not self.keep:
            return found
        wanted = pc.is_in(rows["bucket"], value_set=pa.array(self.keep, pa.string()))
        passes = pc.or_(wanted, pc.is_null(rows["bucket"]))
        late = pc.and_(pc.is_null(found[RULE]), pc.invert(passes))
        score = pc.divide(pc.multiply(rows["_score"], self.sign).cast(pa.float64()), float(self.steps))
        rule = pc.if_else(late, "unwanted_bucket", found[RULE])
        return pa.table({RULE: rule, "value": pc.if_else(late, score, found["value"]), "threshold": found["threshold"]})
