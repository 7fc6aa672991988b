"""The draw of `importance_resample`: a document's place, and whether it is chosen by the last places of the targets.

A place is the sum of log weight and noise as a number of 64 bits, the highest sum first, so that places are compared as
those of `sample` are. `operators/importance_ends.py` finds the last places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Context, Fold, Judge, Outputs, Rule
from operators.groups import joined
from operators.hashing import Words, row_hashes


def numbered(name: str, number: int) -> str:
    """What the first, second, ... of several stages or hidden columns of one name are called.

    >>> numbered("ends", 0), numbered("ends", 1)
    ('ends', 'ends_2')
    """
    return f"{name}_{number + 1}" if number else name


def gumbel(
    ids: pa.ChunkedArray | pa.Array, seed: int, target: int = 0, purpose: str = "importance_resample"
) -> npt.NDArray[np.float64]:
    """Standard Gumbel noise, -log(-log u), u = (the first 52 bits of a hash of seed and id, plus a half) / 2^52.

    Each target, by its number, has noise of its own.

    >>> bool(gumbel(pa.array(["a"]), 7)[0] == gumbel(pa.array(["b", "a"]), 7)[1])
    True
    """
    hashes = row_hashes(ids, seed, numbered(purpose, target))
    uniform = ((hashes >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return np.array([-math.log(-math.log(value)) for value in uniform.tolist()], np.float64)


def places(sums: npt.NDArray[np.float64]) -> Words:
    """Numbers whose order is that of the sums, the highest first.

    >>> places(np.array([2.0, -1.0, 0.0, -0.0])).argsort(kind="stable").tolist()
    [0, 2, 3, 1]
    """
    bits = (0.0 - sums).view(np.uint64)
    return bits ^ np.where(bits >> np.uint64(63), ~np.uint64(0), np.uint64(1 << 63))


def placed(rows: pa.Table, seed: int, temperature: float, target: int = 0) -> Words:
    """The places of rows that all have a weight: by log weight / temperature + noise, times the temperature."""
    weights = rows[numbered("_weight", target)].to_numpy()
    return places(weights + (temperature * gumbel(rows["id"], seed, target) if temperature else 0.0))


def candidates(rows: pa.Table) -> pa.Table:
    """The rows that have a weight."""
    return rows.filter(pc.is_valid(rows["_weight"]))


def drawn(rows: pa.Table, lasts: Sequence[pa.Table], seed: int, temperature: float) -> npt.NDArray[np.int64]:
    """The number of the target that each row is chosen for; -1 where for none.

    It is the first whose last place and id the row's are not after; `lasts` are those of the targets, in order.
    """
    found = np.full(rows.num_rows, -1)
    free = pc.is_valid(joined(rows["_weight"])).to_numpy(zero_copy_only=False)
    for target, last in enumerate(lasts):
        at = np.flatnonzero(free)
        at = at[_are_drawn(rows.take(pa.array(at)), last, seed, temperature, target)]
        found[at], free[at] = target, False
    return found


def _are_drawn(rows: pa.Table, last: pa.Table, seed: int, temperature: float, target: int) -> npt.NDArray[np.bool_]:
    """Which candidates are not after the last of one target."""
    end = last.to_pylist()[0]
    if end["last_place"] is None:
        return np.zeros(rows.num_rows, bool)
    place, bound = placed(rows, seed, temperature, target), np.uint64(end["last_place"])
    among = np.ones(rows.num_rows, bool)
    if end["last_id"] is not None:
        among = pc.less_equal(joined(rows["id"].cast(pa.string())), end["last_id"]).to_numpy(zero_copy_only=False)
    found: npt.NDArray[np.bool_] = (place < bound) | ((place == bound) & among)
    return found


class KeptWeights(Fold):
    """The candidates' ids and log weights, in sorted parts: `weights`; of several targets, by `target`."""

    labels: tuple[str, ...] = ()
    """The names of several targets."""

    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {numbered("_weight", target): pa.float64() for target in range(len(self.labels) or 1)}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            some = candidates(rows)
            if not self.labels:
                return pa.table({"id": some["id"].cast(pa.string()), "log_weight": some["_weight"]})
            parts = [
                pa.table(
                    {
                        "id": some["id"].cast(pa.string()),
                        "target": pa.repeat(label, some.num_rows),
                        "log_weight": some[numbered("_weight", target)],
                    }
                )
                for target, label in enumerate(self.labels)
            ]
            return pa.concat_tables(parts)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        names = ["id", *(["target"] if self.labels else [])]
        return {"weights": state.select([*names, "log_weight"]).sort_by([(name, "ascending") for name in names])}


class DrawImportance(Judge):
    """Keep what is chosen, and the targets' own rows.

    The report counts the tokens that `too_few_tokens` reads, and the log weight that decides: of one target that of
    every candidate, of several that of the target which a document is chosen for.
    """

    revision: ClassVar[int] = 2  # hidden copies of the scores that its rules read

    min_tokens: int
    temperature: float
    labels: tuple[str, ...] = ()
    """The names of several targets."""

    seeded: ClassVar[bool] = True
    hidden_as: ClassVar[str] = "_shown_"

    @property
    def _count(self) -> int:
        return len(self.labels) or 1

    @override
    def uses(self) -> tuple[str, ...]:
        return tuple(numbered("ranking", target) for target in range(self._count))

    @override
    def needs(self) -> Columns:
        weights = {numbered("_weight", target): pa.float64() for target in range(self._count)}
        return {**weights, "_tokens": pa.int64(), "_target": pa.bool_()}

    @override
    def adds(self) -> Columns:
        several = {"target": pa.string(), "log_weight": pa.float64()} if self.labels else {}
        hidden = {"_shown_tokens": pa.int64(), **({} if self.labels else {"_shown_log_weight": pa.float64()})}
        return {**several, **hidden, "_chosen": pa.bool_()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        """The bound of `too_few_tokens`, and what `not_selected` reads, which is drawn and has no bound."""
        few = Rule("too_few_tokens", "_shown_tokens", low=self.min_tokens)
        drawn = Rule("not_selected", "log_weight" if self.labels else "_shown_log_weight")
        return (*((few,) if self.min_tokens else ()), drawn)

    @override
    def bind(self, context: Context) -> BatchFn:
        lasts = [context.artifacts[name].table("_last") for name in self.uses()]

        def apply(rows: pa.Table) -> pa.Table:
            target = drawn(rows, lasts, context.seed, self.temperature)
            found = {"_chosen": pa.array(target >= 0), "_shown_log_weight": rows["_weight"]}
            found["_shown_tokens"] = pc.if_else(rows["_target"], pa.nulls(1, pa.int64())[0], rows["_tokens"])
            if self.labels:
                found["target"] = pa.array(self.labels).take(pa.array(target, mask=target < 0))
                weights = np.full(rows.num_rows, np.nan)
                for number in range(self._count):
                    column = rows[numbered("_weight", number)].to_numpy(zero_copy_only=False)
                    weights = np.where(target == number, column, weights)
                found["log_weight"] = pa.array(weights, mask=target < 0)
            return pa.table({name: found[name] for name in self.adds()})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        nothing = pa.scalar(None, pa.string())
        lacking = pc.and_(pc.is_null(rows["_weight"]), pc.invert(rows["_target"]))
        rule = pc.if_else(pc.or_(rows["_chosen"], rows["_target"]), nothing, "not_selected")
        rule = pc.if_else(lacking, "too_few_tokens", rule)
        few = pc.if_else(lacking, rows["_tokens"].cast(pa.float64()), pa.scalar(None, pa.float64()))
        bound = pc.if_else(lacking, pa.scalar(float(self.min_tokens)), pa.scalar(None, pa.float64()))
        return pa.table({RULE: rule, "value": few, "threshold": bound})
