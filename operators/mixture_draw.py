"""The stages of `mix`: what is asked of each group, where in its documents that ends, and what came of it.

`Asking` and `Answer` are the folds of `operators/drawing.py` with budgets of their own, `operators/mixtures.py` has the
arithmetic of shares, and `DrawMixture` judges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators import drawing
from operators.base import RULE, WARNINGS, BatchFn, Columns, Context, Judge, Outputs, RunError
from operators.document_weights import REPEAT
from operators.drawing import Totals
from operators.mixtures import (
    FILE,
    NULL,
    Asked,
    Mixture,
    asked_of,
    in_common,
    read_mixture,
    refuse_strangers,
    tempered,
    unimax,
)

TOLERANCE = 0.01
"""By how much of what was asked a group may be missed before the run warns."""

SHOWN = 8
"""Groups that a run names when it warns."""

Others = Literal["refuse", "drop"]


class Mixing(drawing.Drawing):
    """A draw whose rows without a value are a group by name."""

    revision: ClassVar[int] = 2  # rows without a value and those whose value is that word are one group

    @override
    def labels(self, rows: pa.Table) -> pa.Array:
        return _labels(rows, self.by)


class Asking(Mixing, drawing.Histogram):
    """How much is asked of each group, and where in its documents that ends."""

    weights: dict[str, float]
    temperature: float | None
    unimax: bool
    mixture: str = ""
    """The step whose mixture is read."""
    mixture_by: str | None = None
    """Where the weights are those of a file: the column that it is of, "" if it does not say."""
    budget: int | None
    max_epochs: int
    others: Others
    rest: float | None = None

    revision: ClassVar[int] = 3  # weights by temperature are relative to the largest group

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.mixture,) if self.mixture else ()

    @override
    def budgets(self, totals: Totals, context: Context) -> Mapping[str | None, int]:
        """What remains after whole epochs, for each group."""
        sizes = {str(name): measures[self.unit] for name, measures in totals.items()}
        asked = self.asked(sizes, context)
        return {name: _remainder(asked.amounts.get(name, 0), sizes[name], self.max_epochs) for name in sizes}

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        found = super().finish(state, context)
        ends = found["_ends"]
        assert isinstance(ends, pa.Table)
        sizes = dict(zip(ends["group"].to_pylist(), ends[f"{self.unit}_available"].to_pylist(), strict=True))
        asked = self.asked(sizes, context)
        content = {
            "budget": asked.budget,
            "shares": {name: float(share) for name, share in asked.shares.items()},
            "amounts": asked.amounts,
        }
        return {**found, "_asked.json": json.dumps(content).encode(), **self._doubts(sizes, context)}

    def read(self, context: Context) -> Mixture | None:
        """The mixture that a step or a file left, if the weights are from one."""
        if self.mixture:
            return read_mixture(context.artifacts[self.mixture].read(FILE), self.mixture)
        return None if self.mixture_by is None else Mixture(self.mixture_by, self.weights)

    def _doubts(self, sizes: Mapping[str, int], context: Context) -> dict[str, bytes]:
        """A warning where the mixture is of another column."""
        mixture = self.read(context)
        if mixture is None or mixture.by in ("", self.by) or not sizes:
            return {}
        same = len(in_common(sizes, self.by, mixture))
        said = f"the mixture is of {mixture.by!r}, and {same} of {len(sizes)} groups of {self.by!r} are called as there"
        return {WARNINGS: json.dumps([said]).encode()}

    def asked(self, sizes: Mapping[str, int], context: Context) -> Asked:
        """Of each group that is there or has a weight. Raises RunError for groups without a weight, unless dropped."""
        if self.unimax:
            from fractions import Fraction

            amounts = unimax(sizes, self.budget or 0, self.max_epochs)
            whole = max(sum(amounts.values()), 1)
            return Asked({name: Fraction(part, whole) for name, part in amounts.items()}, amounts, self.budget or 0)
        weights: Mapping[str, float] = self.weights
        if self.temperature is not None:
            weights = tempered(sizes, self.temperature)
            if not any(weights.values()):
                return Asked({}, {}, self.budget or 0)
        elif (mixture := self.read(context)) is not None:
            refuse_strangers(sizes, self.by, mixture)
            weights = mixture.shares
        unnamed = sorted(set(sizes) - set(weights))
        if unnamed and self.rest is None and self.others == "refuse":
            some = ", ".join(map(repr, unnamed[:20])) + (f" and {len(unnamed) - 20} more" if len(unnamed) > 20 else "")
            advice = "give them weights, or one that they share (`rest: 0.2`), or say `others: drop`"
            raise RunError(f"mix: no weight for {some} of {self.by!r}: {advice}")
        return asked_of(sizes, weights, self.budget, self.max_epochs, self.rest or 0)


class Answer(Mixing, drawing.Ranking):
    """The last documents that are drawn, and `mixture.json`: asked, available and drawn by group."""

    max_epochs: int

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        draw = self.drawn(state, context)
        asked = json.loads(context.artifacts["histogram"].read("_asked.json"))
        rows = {row["group"]: row for row in draw.to_pylist()}
        whole = [
            _epochs(asked["amounts"].get(name, 0), row[f"{self.unit}_available"], self.max_epochs)
            for name, row in rows.items()
        ]
        epochs = dict(zip(rows, whole, strict=True))
        told = {
            name: self._category(name, asked, rows.get(name), epochs.get(name, 0))
            for name in sorted({*asked["amounts"], *rows})
        }
        drawn_bytes = sum(entry["drawn"] for entry in told.values())
        categories = {
            name: {"bytes": entry["drawn"] / drawn_bytes if drawn_bytes else 0.0, **entry}
            for name, entry in told.items()
        }
        unmet = list(self._unmet(categories, asked))
        content = {
            "by": self.by, "unit": self.unit, "budget": asked["budget"], "max_epochs": self.max_epochs,
            "categories": categories, "unmet": unmet,
        }  # fmt: skip
        said = {WARNINGS: json.dumps(_shortened(unmet)).encode()} if unmet else {}
        table = draw.append_column("whole", pa.array(whole, pa.int32()))
        return {FILE: json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n", "_draw": table, **said}

    def _category(
        self, name: str, asked: Mapping[str, Any], row: Mapping[str, int] | None, whole: int
    ) -> dict[str, Any]:
        """A group's entry, without its share of what is drawn. Sizes in bytes, and in the unit where it is another."""
        amount = asked["amounts"].get(name, 0)
        found = row or dict.fromkeys([f"{m}{a}" for m in self.measures for a in ("", "_available")], 0)
        drawn = {m: whole * found[f"{m}_available"] + found[m] for m in self.measures}
        there = found[f"{self.unit}_available"]
        entry: dict[str, Any] = {
            "share": asked["shares"].get(name, 0.0),
            "asked": amount * found["bytes_available"] // there if there else (amount if self.unit == "bytes" else 0),
            "available": found["bytes_available"],
            "drawn": drawn["bytes"],
            "documents": found["docs_available"] if whole else found["docs"],
            "epochs": drawn[self.unit] / there if there else 0.0,
        }
        if self.unit != "bytes":
            entry[self.unit] = {"asked": amount, "available": there, "drawn": drawn[self.unit]}
        return entry

    def _unmet(self, categories: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Any]) -> list[str]:
        """Why a group has less than was asked of it by more than 1 %."""
        lines = []
        for name, entry in categories.items():
            amount, sizes = asked["amounts"].get(name, 0), entry.get(self.unit, entry)
            if self.unit == "bytes":
                sizes = entry
            if amount == 0 and asked["shares"].get(name, 0) > 0 and not sizes["available"]:
                lines.append(f"{self.by} {name!r}: asked for a share, and no document has it")
            if sizes["drawn"] >= amount * (1 - TOLERANCE):
                continue
            most = self.max_epochs * sizes["available"]
            if not sizes["available"]:
                why = "no document has it"
            elif amount > most:
                why = f"there are {sizes['available']:,}, which may count {self.max_epochs} times at most"
            else:
                why = "the next document does not fit"
            lines.append(f"{self.by} {name!r}: asked for {amount:,} {self.unit}, drew {sizes['drawn']:,}: {why}")
        whole = sum(asked["amounts"].values())
        if whole < asked["budget"] * (1 - TOLERANCE):
            lines.append(
                f"the budget of {asked['budget']:,} {self.unit} is asked for only to {whole:,}: groups are too small"
            )
        return lines


class DrawMixture(Judge):
    """Keep what is drawn at least once, and say how often it counts."""

    by: str
    lot: str
    several: bool

    seeded: ClassVar[bool] = True
    bare_columns: ClassVar[frozenset[str]] = frozenset({REPEAT})

    @property
    def _column(self) -> str:
        return REPEAT if self.several else "_repeat"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("ranking",)

    @override
    def needs(self) -> Columns:
        return {self.by: pa.null()}

    @override
    def adds(self) -> Columns:
        return {self._column: pa.int32()}

    @override
    def bind(self, context: Context) -> BatchFn:
        draw = context.artifacts["ranking"].table("_draw")

        def apply(rows: pa.Table) -> pa.Table:
            at = drawing.index(_labels(rows, self.by), draw["group"])
            drawn = drawing.is_drawn(rows, at, draw, drawing.places(rows, context.seed, self.lot))
            return pa.table({self._column: pc.add(draw["whole"].take(at), drawn.cast(pa.int32()))})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        is_drawn = pc.greater(rows[self._column], 0)
        return pa.table({RULE: pc.if_else(is_drawn, pa.scalar(None, pa.string()), "not_drawn")})


def _shortened(lines: list[str]) -> list[str]:
    """The first of them, and how many more there are.

    >>> _shortened([str(n) for n in range(30)])[-1]
    '22 more groups have less than was asked of them: `unmet` in mixture.json names them'
    """
    if len(lines) <= SHOWN + 1:
        return lines
    more = f"{len(lines) - SHOWN} more groups have less than was asked of them"
    return [*lines[:SHOWN], f"{more}: `unmet` in {FILE} names them"]


def _labels(rows: pa.Table, by: str) -> pa.Array:
    return drawing.groups(rows, by).fill_null(NULL)


def _epochs(amount: int, size: int, max_epochs: int) -> int:
    """How often the whole group is taken.

    >>> _epochs(25, 10, 4), _epochs(25, 10, 2), _epochs(25, 0, 4)
    (2, 2, 0)
    """
    return min(amount // size, max_epochs) if size else 0


def _remainder(amount: int, size: int, max_epochs: int) -> int:
    """What is to be drawn of a group beside its whole epochs."""
    whole = _epochs(amount, size, max_epochs)
    left = min(amount, max_epochs * size) - whole * size
    return left if left else drawing.NOTHING
