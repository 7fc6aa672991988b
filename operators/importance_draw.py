"""The draw of `importance_resample`: the highest sums of log weight and noise over the whole corpus, exactly.

A document's place is its sum as a number of 64 bits, the highest sum first, so that places are compared as those of
`sample` are. `Ends` counts places by their first 24 bits (sign, exponent and 12 bits of the fraction of a double: a
4096th of an octave) and finds the bucket in which the budget ends; `Ranking` ranks the documents of that bucket alone.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Context, Fold, Judge, Outputs
from operators.groups import joined
from operators.hashing import Words, row_hashes

LOW_BITS: Final = np.uint64(40)
BEHIND: Final = 1 << 24
"""The bucket behind all others: where a budget ends that takes everything."""
ONE: Final = float(1 << 34)
"""A weight of 1 as an integer: the weights of 5 * 10^8 documents, of which 1 is the largest, can be added up."""

_ENDS: Final = pa.schema(
    [("bucket", pa.int64()), ("left", pa.int64())]
    + [(name, pa.int64()) for name in ("docs_before", "bytes_before", "docs_available", "bytes_available")]
    + [("top", pa.float64())]
)
_RANKED: Final = pa.schema(
    [("place", pa.uint64()), ("id", pa.string())] + [(name, pa.int64()) for name in ("bytes", "mass", "spread")]
)
_LAST: Final = pa.schema(
    [("last_place", pa.uint64()), ("last_id", pa.string())]
    + [(name, pa.int64()) for name in ("docs", "bytes", "docs_available", "bytes_available")]
    + [("effective", pa.float64())]
)


def gumbel(ids: pa.ChunkedArray | pa.Array, seed: int) -> npt.NDArray[np.float64]:
    """Standard Gumbel noise, -log(-log u), u = (the first 52 bits of a hash of seed and id, plus a half) / 2^52.

    >>> bool(gumbel(pa.array(["a"]), 7)[0] == gumbel(pa.array(["b", "a"]), 7)[1])
    True
    """
    uniform = ((row_hashes(ids, seed, "importance_resample") >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return np.array([-math.log(-math.log(value)) for value in uniform.tolist()], np.float64)


def places(sums: npt.NDArray[np.float64]) -> Words:
    """Numbers whose order is that of the sums, the highest first.

    >>> places(np.array([2.0, -1.0, 0.0, -0.0])).argsort(kind="stable").tolist()
    [0, 2, 3, 1]
    """
    bits = (0.0 - sums).view(np.uint64)
    return bits ^ np.where(bits >> np.uint64(63), ~np.uint64(0), np.uint64(1 << 63))


def placed(rows: pa.Table, seed: int, *, noise: bool) -> Words:
    """The places of rows that all have a weight."""
    weights = rows["_weight"].to_numpy()
    return places(weights + gumbel(rows["id"], seed) if noise else weights + 0.0)


def candidates(rows: pa.Table) -> pa.Table:
    """The rows that have a weight."""
    return rows.filter(pc.is_valid(rows["_weight"]))


def drawn(rows: pa.Table, last: pa.Table, seed: int, *, noise: bool) -> npt.NDArray[np.bool_]:
    """Which rows are chosen: those whose place and id are not after the last."""
    end = last.to_pylist()[0]
    chosen = pc.is_valid(joined(rows["_weight"])).to_numpy(zero_copy_only=False)
    if end["last_place"] is None:
        return np.zeros(rows.num_rows, bool)
    some = candidates(rows)
    place, bound = placed(some, seed, noise=noise), np.uint64(end["last_place"])
    among = np.ones(some.num_rows, bool)
    if end["last_id"] is not None:
        among = pc.less_equal(joined(some["id"].cast(pa.string())), end["last_id"]).to_numpy(zero_copy_only=False)
    found: npt.NDArray[np.bool_] = chosen.copy()
    found[chosen] = (place < bound) | ((place == bound) & among)
    return found


class KeptWeights(Fold):
    """The candidates' ids and log weights, in sorted parts: `weights`."""

    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {"_weight": pa.float64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            some = candidates(rows)
            return pa.table({"id": some["id"].cast(pa.string()), "log_weight": some["_weight"]})

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"weights": state.select(["id", "log_weight"]).sort_by("id")}


class Ends(Fold):
    """Documents and bytes by the first 24 bits of their places: where the budget ends, and the highest log weight."""

    docs: int | None
    bytes: int | None
    fraction: float | None
    noise: bool

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {"_weight": pa.float64(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            some = candidates(rows)
            bucket = (placed(some, context.seed, noise=self.noise) >> LOW_BITS).astype(np.int64)
            ones = np.ones(some.num_rows, np.int64)
            counted = {"bucket": bucket, "docs": ones, "bytes": some["_bytes"], "top": some["_weight"]}
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
        budget = self.docs or self.bytes or math.floor((self.fraction or 0) * available + 1e-6)
        spent = np.cumsum(size if self.bytes else docs)
        whole = int(np.searchsorted(spent, budget, side="right"))
        end = {
            "bucket": state["bucket"][whole].as_py() if whole < state.num_rows else BEHIND,
            "left": budget - (int(spent[whole - 1]) if whole else 0),
            "docs_before": int(docs[:whole].sum()),
            "bytes_before": int(size[:whole].sum()),
            "docs_available": available,
            "bytes_available": int(size.sum()),
            "top": pc.max(state["top"]).as_py() or 0.0,
        }
        return {"_ends": pa.Table.from_pylist([end], _ENDS)}


class Ranking(Fold):
    """Rank the documents of the last bucket, and add up the weights of all: `_last`.

    A weight is exp(log weight - the highest one) as fixed point; a row without id holds sums of `mass`, the weights,
    and of `spread`, the weights times their distance from the highest in logarithms.
    """

    by_bytes: bool
    noise: bool

    seeded: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return ("ends",)

    @override
    def needs(self) -> Columns:
        return {"_weight": pa.float64(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        end = context.artifacts["ends"].table("_ends").to_pylist()[0]

        def apply(rows: pa.Table) -> pa.Table:
            some = candidates(rows)
            place = placed(some, context.seed, noise=self.noise)
            distance = end["top"] - some["_weight"].to_numpy()
            weight = np.exp(-distance)
            sums = [np.round(part * ONE).astype(np.int64).sum() for part in (weight, weight * distance)]
            is_last = (place >> LOW_BITS).astype(np.int64) == end["bucket"]
            last = some.filter(pa.array(is_last))
            none = np.zeros(last.num_rows, np.int64)
            ranked = [place[is_last], last["id"].cast(pa.string()), last["_bytes"], none, none]
            rest = pa.table([[None], [None], [0], *([int(value)] for value in sums)], schema=_RANKED)
            return pa.concat_tables([pa.table(ranked, schema=_RANKED), rest])

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        has_id = pc.is_valid(state["id"])
        rest = state.filter(pc.invert(has_id))
        sums = [[pc.sum(rest[name]).as_py() or 0] for name in ("bytes", "mass", "spread")]
        return pa.concat_tables(
            [state.filter(has_id).select(_RANKED.names), pa.table([[None], [None], *sums], _RANKED)]
        )

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        end = context.artifacts["ends"].table("_ends").to_pylist()[0]
        mass, spread = (pc.sum(state[name]).as_py() or 0 for name in ("mass", "spread"))
        ranked = state.filter(pc.is_valid(state["id"])).sort_by([("place", "ascending"), ("id", "ascending")])
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
            # exp of the entropy of the normalised weights
            "effective": mass / ONE * math.exp(spread / mass) if mass else 0.0,
        }
        return {"_last": pa.Table.from_pylist([found], _LAST)}


class DrawImportance(Judge):
    """Keep what is chosen, and the target's own rows."""

    min_tokens: int
    noise: bool

    seeded: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return ("ranking",)

    @override
    def needs(self) -> Columns:
        return {"_weight": pa.float64(), "_tokens": pa.int64(), "_target": pa.bool_()}

    @override
    def adds(self) -> Columns:
        return {"_chosen": pa.bool_()}

    @override
    def bind(self, context: Context) -> BatchFn:
        last = context.artifacts["ranking"].table("_last")
        return lambda rows: pa.table({"_chosen": pa.array(drawn(rows, last, context.seed, noise=self.noise))})

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        nothing = pa.scalar(None, pa.string())
        lacking = pc.and_(pc.is_null(rows["_weight"]), pc.invert(rows["_target"]))
        rule = pc.if_else(pc.or_(rows["_chosen"], rows["_target"]), nothing, "not_selected")
        rule = pc.if_else(lacking, "too_few_tokens", rule)
        few = pc.if_else(lacking, rows["_tokens"].cast(pa.float64()), pa.scalar(None, pa.float64()))
        bound = pc.if_else(lacking, pa.scalar(float(self.min_tokens)), pa.scalar(None, pa.float64()))
        return pa.table({RULE: rule, "value": few, "threshold": bound})
