"""Where the draw of `importance_resample` ends: the last document that is chosen for a target, exactly.

`Ends` counts places by their first 24 bits (sign, exponent and 12 bits of the fraction of a double: a 4096th of an
octave) and finds the bucket in which the budget ends; `Ranking` ranks the documents of that bucket alone.

Several targets are served in order, each by such a pair of stages of its own. Which documents the targets before it
have taken is not kept anywhere: it follows from their last places, and is computed again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Fold, Outputs
from operators.hashing import Words
from operators.importance_draw import candidates, drawn, numbered, placed
from operators.importance_targets import COUNTS
from operators.mixtures import asked_of

LOW_BITS: Final = np.uint64(40)
BEHIND: Final = 1 << 24
"""The bucket behind all others: where a budget ends that takes everything."""
ONE: Final = float(1 << 34)
"""A weight of 1 as an integer: the weights of 5 * 10^8 documents, of which 1 is the largest, can be added up."""

LADDER: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Temperatures at which the effective sample size is told beside the step's own."""

_ENDS: Final = pa.schema(
    [("bucket", pa.int64()), ("left", pa.int64())]
    + [(name, pa.int64()) for name in ("docs_before", "bytes_before", "docs_available", "bytes_available")]
    + [("asked", pa.int64()), ("top", pa.float64())]
)
_RANKED: Final = pa.schema(
    [("place", pa.uint64()), ("id", pa.string())] + [(name, pa.int64()) for name in ("bytes", "rung", "mass", "spread")]
)
_LAST: Final = pa.schema(
    [("last_place", pa.uint64()), ("last_id", pa.string())]
    + [(name, pa.int64()) for name in ("docs", "bytes", "docs_available", "bytes_available")]
    + [("asked", pa.int64()), ("effective", pa.list_(pa.float64()))]
)


class TargetStage(Fold):
    """What the stages of one target share: the candidates that the targets before it have left."""

    target: int = 0
    """Its number."""
    temperature: float

    seeded: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return tuple(numbered("ranking", before) for before in range(self.target))

    @override
    def needs(self) -> Columns:
        weights = {numbered("_weight", target): pa.float64() for target in range(self.target + 1)}
        return {**weights, "_bytes": pa.int64()}

    def left(self, rows: pa.Table, context: Context) -> tuple[pa.Table, Words, npt.NDArray[np.float64]]:
        """The candidates, their places, and their log weights."""
        before = [context.artifacts[numbered("ranking", number)].table("_last") for number in range(self.target)]
        some = candidates(rows)
        some = some.filter(pa.array(drawn(some, before, context.seed, self.temperature) < 0)) if before else some
        weights = some[numbered("_weight", self.target)].to_numpy()
        return some, placed(some, context.seed, self.temperature, self.target), weights


class Ends(TargetStage):
    """Documents and bytes by the first 24 bits of their places: where the budget ends, and the highest log weight."""

    docs: int | None
    bytes: int | None
    fraction: float | None
    targets: int = 1
    """How many targets there are."""
    shares: tuple[float, ...] = ()
    """The targets' shares of the budget; empty: by their n-grams."""

    @override
    def uses(self) -> tuple[str, ...]:
        by_ngrams = self.targets > 1 and not self.shares
        counts = [numbered("target", number) for number in range(self.targets)] if by_ngrams else []
        return (*super().uses(), *counts)

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            some, place, weights = self.left(rows, context)
            bucket = (place >> LOW_BITS).astype(np.int64)
            ones = np.ones(some.num_rows, np.int64)
            counted = {"bucket": bucket, "docs": ones, "bytes": some["_bytes"], "top": weights}
            return self.merge(pa.table(counted))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        how = [("docs", "sum"), ("bytes", "sum"), ("top", "max")]
        return state.group_by("bucket", use_threads=False).aggregate(how).rename_columns(state.column_names)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by("bucket")
        docs, size = state["docs"].to_numpy(), state["bytes"].to_numpy()
        available = int(docs.sum())
        budget = self.budget(available, context)
        spent = np.cumsum(size if self.bytes else docs)
        whole = int(np.searchsorted(spent, budget, side="right"))
        end = {
            "bucket": state["bucket"][whole].as_py() if whole < state.num_rows else BEHIND,
            "left": budget - (int(spent[whole - 1]) if whole else 0),
            "docs_before": int(docs[:whole].sum()),
            "bytes_before": int(size[:whole].sum()),
            "docs_available": available,
            "bytes_available": int(size.sum()),
            "asked": budget,
            "top": pc.max(state["top"]).as_py() or 0.0,
        }
        return {"_ends": pa.Table.from_pylist([end], _ENDS)}

    def budget(self, available: int, context: Context) -> int:
        """How many documents, or bytes, are chosen for this target at most; `available` are the documents left."""
        if self.target:
            available = context.artifacts["ranking"].table("_last")["docs_available"][0].as_py()
        whole = self.docs or self.bytes or math.floor((self.fraction or 0) * available + 1e-6)
        if self.targets == 1:
            return whole
        shares: Sequence[float] = self.shares
        if not shares:
            counts = (context.artifacts[numbered("target", number)].table(COUNTS) for number in range(self.targets))
            shares = [pc.sum(table["count"]).as_py() for table in counts]
        return amounts(whole, shares)[self.target]


def amounts(whole: int, shares: Sequence[float]) -> list[int]:
    """A whole number shared out: each target gets its share, rounded down, and the last one what remains as well.

    >>> amounts(10, [1, 1, 1]), amounts(100, [0.29, 0.71])
    ([3, 3, 4], [29, 71])
    """
    names = [f"{number:06}" for number in range(len(shares))]
    weights: Mapping[str, float] = dict(zip(names, shares, strict=True))
    asked = asked_of({}, weights, whole, 1).amounts
    found = [asked[name] for name in names]
    return [*found[:-1], whole - sum(found[:-1])]


class Ranking(TargetStage):
    """Rank the documents of the last bucket, and add up the weights of all: `_last`.

    A weight is exp((log weight - the highest one) / temperature) as fixed point; rows without id hold sums of `mass`,
    the weights, and of `spread`, the weights times their distance from the highest in logarithms: the first at the
    step's temperature, the others at those of the ladder.
    """

    by_bytes: bool

    @override
    def uses(self) -> tuple[str, ...]:
        return (*super().uses(), numbered("ends", self.target))

    @override
    def bind(self, context: Context) -> BatchFn:
        end = self._end(context)

        def apply(rows: pa.Table) -> pa.Table:
            some, place, weights = self.left(rows, context)
            sums = [_sums(end["top"] - weights, temperature) for temperature in (self.temperature, *LADDER)]
            is_last = (place >> LOW_BITS).astype(np.int64) == end["bucket"]
            last = some.filter(pa.array(is_last))
            none = np.zeros(last.num_rows, np.int64)
            ranked = [place[is_last], last["id"].cast(pa.string()), last["_bytes"], none, none, none]
            columns: list[Sequence[int | None]] = [
                [None] * len(sums),
                [None] * len(sums),
                [0] * len(sums),
                range(len(sums)),
                *zip(*sums, strict=True),
            ]
            rest = pa.table([list(column) for column in columns], schema=_RANKED)
            return pa.concat_tables([pa.table(ranked, schema=_RANKED), rest])

        return apply

    def _end(self, context: Context) -> dict[str, Any]:
        found: dict[str, Any] = context.artifacts[numbered("ends", self.target)].table("_ends").to_pylist()[0]
        return found

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        has_id = pc.is_valid(state["id"])
        how = [(name, "sum") for name in ("bytes", "mass", "spread")]
        rest = state.filter(pc.invert(has_id)).group_by("rung", use_threads=False).aggregate(how)
        none = {"place": pa.nulls(rest.num_rows, pa.uint64()), "id": pa.nulls(rest.num_rows, pa.string())}
        summed = {**none, "rung": rest["rung"], **{name: rest[f"{name}_sum"] for name, _ in how}}
        return pa.concat_tables(
            [
                state.filter(has_id).select(_RANKED.names),
                pa.table([summed[name] for name in _RANKED.names], schema=_RANKED),
            ]
        )

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        end = self._end(context)
        has_id = pc.is_valid(state["id"])
        ranked = state.filter(has_id).sort_by([("place", "ascending"), ("id", "ascending")])
        size = ranked["bytes"].to_numpy()
        spent = np.cumsum(size if self.by_bytes else np.ones(size.size, np.int64))
        fitting = int(np.searchsorted(spent, end["left"], side="right"))
        last = ranked.slice(fitting - 1, 1).to_pylist()[0] if fitting else {}
        # Where nothing of the bucket fits, all before it is chosen: there is no such place before bucket 0.
        before = (end["bucket"] << int(LOW_BITS)) - 1
        found = {
            "last_place": last.get("place", before if before >= 0 else None),
            "last_id": last.get("id"),
            "docs": end["docs_before"] + fitting,
            "bytes": end["bytes_before"] + int(size[:fitting].sum()),
            "docs_available": end["docs_available"],
            "bytes_available": end["bytes_available"],
            "asked": end["asked"],
            "effective": _effective(state.filter(pc.invert(has_id))),
        }
        return {"_last": pa.Table.from_pylist([found], _LAST)}


def _sums(distance: npt.NDArray[np.float64], temperature: float) -> tuple[int, int]:
    """Sums of weights, and of weights times their logarithms' distance from that of the highest, as fixed point."""
    if not temperature:
        return int(np.count_nonzero(distance == 0)) * int(ONE), 0
    with np.errstate(over="ignore"):  # Where the weight is nothing whatever the distance.
        distance = np.minimum(distance / temperature, 1e4)
    weight = np.exp(-distance)
    mass, spread = (int(np.round(part * ONE).astype(np.int64).sum()) for part in (weight, weight * distance))
    return mass, spread


def _effective(sums: pa.Table) -> list[float]:
    """The exp of the entropy of the normalised weights, at the step's temperature and at the ladder's."""
    sums = sums.sort_by("rung").to_pylist()
    return [row["mass"] / ONE * math.exp(row["spread"] / row["mass"]) if row["mass"] else 0.0 for row in sums]
