"""The labels of `concordance_score`: positive where all pairs of rungs agree, negative where the fewest do.

Exact over the whole corpus by small states: `Levels` counts documents by their number of concordant pairs, at most 121
rows, and finds the number at which the negatives end. Of the documents that have just that number they are drawn by a
hash of seed and id, as `sample` draws.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators import drawing
from operators.base import WARNINGS, BatchFn, Columns, Context, Fold, Judge, Map, Outputs, Rule
from operators.drawing import Totals
from operators.groups import summed
from operators.ladder_scores import num_pairs
from operators.ngram_perplexity import STEPS

_LOT: Final = "concordance_score"


class Levels(Fold):
    """How many documents have how many concordant pairs, and the sums of their bits; where negatives end.

    Leaves `_levels` (a row a number of pairs) and `_cut`: the last number of pairs of which some are negative, and how
    many of those that have it.
    """

    num_rungs: int

    @property
    def columns(self) -> list[str]:
        """Of the state."""
        return ["pairs", "docs", "bytes", *(f"steps_{number}" for number in range(1, self.num_rungs + 1))]

    @override
    def needs(self) -> Columns:
        return {f"_{name}": pa.int64() for name in self.columns if name != "docs"}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            rows = rows.filter(pc.is_valid(rows["_pairs"]))
            ones = np.ones(rows.num_rows, np.int64)
            return self.merge(pa.table({name: ones if name == "docs" else rows[f"_{name}"] for name in self.columns}))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "pairs")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        levels = state.sort_by("pairs")
        pairs, docs = levels["pairs"].to_numpy(), levels["docs"].to_numpy()
        all_agree = pairs == num_pairs(self.num_rungs)
        positive, until = int(docs[all_agree].sum()), np.cumsum(docs[~all_agree])
        cut = {"pairs": -1, "docs": 0}
        if positive and until.size:
            last = min(int(np.searchsorted(until, positive)), until.size - 1)
            before = int(until[last - 1]) if last else 0
            cut = {"pairs": int(pairs[last]), "docs": min(positive - before, int(docs[last]))}
        schema = pa.schema([("pairs", pa.int64()), ("docs", pa.int64())])
        lines = [*_unlabelled(positive, docs), *_disordered(self.means(levels))]
        warned = {WARNINGS: json.dumps(lines).encode()} if lines else {}
        return {"_levels": levels, "_cut": pa.Table.from_pylist([cut], schema), **warned}

    def means(self, levels: pa.Table) -> list[float]:
        """The mean over documents of bits per byte, by each rung."""
        docs = pc.sum(levels["docs"]).as_py() or 0
        sums = [pc.sum(levels[name]).as_py() for name in self.columns[3:]]
        return [total / docs / STEPS for total in sums] if docs else []


def _unlabelled(positive: int, docs: NDArray[np.int64]) -> list[str]:
    others = int(docs.sum()) - positive
    if not docs.size or others >= positive > 0:
        return []
    if not positive:
        return [f"of {others} documents none has all pairs of rungs in the ladder's order: nothing is labelled"]
    if not others:
        return [f"all {positive} documents have all pairs of rungs in the ladder's order: none is negative"]
    return [
        f"{positive} documents have all pairs of rungs in the ladder's order, and only {others} have not: "
        "those are all negative, whatever their score"
    ]


def _disordered(means: list[float]) -> list[str]:
    return [
        f"{_too_many(number, bits, before)}: order the ladder from the weakest to the strongest"
        for number, (before, bits) in enumerate(pairwise(means), 2)
        if bits >= before
    ]


def _too_many(rung: int, bits: float, before: float) -> str:
    """The means of two rungs, with as many digits, four or more after the point, as tell them apart.

    >>> _too_many(2, 2.0000001, 2.0)
    'rung 2 needs 2.0000001 bits per byte on average, and rung 1, which should be weaker, 2.0000000'
    >>> _too_many(2, 2.0, 2.0)
    'rung 2 needs 2.0000 bits per byte on average, just as many as rung 1, which should be weaker'
    """
    digits = next((digits for digits in range(4, 18) if f"{bits:.{digits}f}" != f"{before:.{digits}f}"), 4)
    needs, other = f"rung {rung} needs {bits:.{digits}f} bits per byte on average", f"rung {rung - 1}"
    if bits == before:
        return f"{needs}, just as many as {other}, which should be weaker"
    return f"{needs}, and {other}, which should be weaker, {before:.{digits}f}"


class OfTheLastScore(drawing.Drawing):
    """A draw from the documents with the last number of pairs of which some are negative."""

    by: str = ""
    unit: drawing.Unit = "docs"
    lot: str = _LOT

    @override
    def uses(self) -> tuple[str, ...]:
        return ("levels", *super().uses())

    @override
    def needs(self) -> Columns:
        return {"_pairs": pa.int64(), "_bytes": pa.int64()}

    @override
    def measured(self, rows: pa.Table) -> dict[str, NDArray[np.int64]]:
        return {"docs": np.ones(rows.num_rows, np.int64), "bytes": rows["_bytes"].to_numpy()}

    @override
    def bind(self, context: Context) -> BatchFn:
        partial, last = super().bind(context), cut_of(context)["pairs"]
        return lambda rows: partial(rows.filter(pc.equal(rows["_pairs"], last)))


class Histogram(OfTheLastScore, drawing.Histogram):
    """Where in the order of drawing the negatives end."""

    @override
    def budgets(self, totals: Totals, context: Context) -> Mapping[str | None, int]:
        return dict.fromkeys(totals, cut_of(context)["docs"])


class Ranking(OfTheLastScore, drawing.Ranking):
    """Leaves `_draw`, the last negative document, and `concordance.json`."""

    num_rungs: int

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        draw = self.drawn(state, context)
        levels, last = context.artifacts["levels"].table("_levels"), cut_of(context)["pairs"]
        pairs = num_pairs(self.num_rungs)
        rows = levels.to_pylist()
        labelled = {
            "positive": _summed(row for row in rows if row["pairs"] == pairs),
            "negative": _summed([*(row for row in rows if row["pairs"] < last), *draw.to_pylist()]),
        }
        means = Levels(name="levels", num_rungs=self.num_rungs).means(levels)
        said: dict[str, Any] = {
            "bits_per_byte": means,
            "labels": labelled,
            "last_negative_score": last / pairs if last >= 0 else None,
            "scores": [{"score": row["pairs"] / pairs, "docs": row["docs"], "bytes": row["bytes"]} for row in rows],
        }
        return {"_draw": draw, "concordance.json": json.dumps(said, indent=1).encode() + b"\n"}


def _summed(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    listed = list(rows)
    return {name: sum(row[name] for row in listed) for name in ("docs", "bytes")}


def cut_of(context: Context) -> dict[str, int]:
    """The last number of pairs of which some documents are negative, and how many of them."""
    found: dict[str, int] = context.artifacts["levels"].table("_cut").to_pylist()[0]
    return found


class Labels(Map):
    """positive, negative, or neither."""

    num_rungs: int

    seeded: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return ("levels", "ranking")

    @override
    def needs(self) -> Columns:
        return {"_pairs": pa.int64()}

    @override
    def adds(self) -> Columns:
        return {"label": pa.string()}

    @override
    def bind(self, context: Context) -> BatchFn:
        last, draw = cut_of(context)["pairs"], context.artifacts["ranking"].table("_draw")
        none = pa.scalar(None, pa.string())

        def apply(rows: pa.Table) -> pa.Table:
            pairs = rows["_pairs"]
            at = drawing.index(drawing.groups(rows, ""), draw["group"])
            drawn = drawing.is_drawn(rows, at, draw, drawing.places(rows, context.seed, _LOT))
            is_negative = pc.or_(pc.less(pairs, last), pc.and_(pc.equal(pairs, last), drawn))
            others = pc.if_else(is_negative, "negative", none)
            return pa.table({"label": pc.if_else(pc.equal(pairs, num_pairs(self.num_rungs)), "positive", others)})

        return apply


class JudgedLabels(Labels, Judge):
    """Labels, and a bound for the score."""

    min_score: float

    inert: ClassVar[frozenset[str]] = Judge.inert
    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_score"})
    hidden_as: ClassVar[str] = "_"

    @override
    def adds(self) -> Columns:
        return {**super().adds(), "_score": pa.float64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (Rule("below_min_score", "_score", low=self.min_score),)

    @override
    def bind(self, context: Context) -> BatchFn:
        label, pairs = super().bind(context), float(num_pairs(self.num_rungs))
        return lambda rows: label(rows).append_column("_score", pc.divide(rows["_pairs"].cast(pa.float64()), pairs))
