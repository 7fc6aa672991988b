"""Draw documents: so many, so many bytes, or a fraction; from the whole corpus or from each group of it.

Every document has a place on [0, 2**64) that is a hash of the recipe's seed and its id; a draw keeps what lies first.
So the draw does not depend on shards or order, a smaller draw is a part of a larger one, and a document that stays in
the corpus keeps its place when others come or go. Two `sample` steps of one recipe share the places unless their
`stream` differs: without that, half of a half would be the same half.

`fraction` needs one pass and is exact only on average. `docs` and `bytes` are exact and take two small passes more, the
folds of `operators/drawing.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators import drawing
from operators.base import RULE, WARNINGS, BatchFn, Columns, Context, Fold, Judge, Map, Outputs, Repeat
from operators.budgets import BudgetedStep, Draw, scaled_amount
from operators.drawing import Totals, Unit
from operators.hashing import refuse_formless
from operators.mixture_draw import SHOWN, TOLERANCE


class Sample(BudgetedStep):
    """Keep exactly `docs` documents, or as many as fit into `bytes`, or about `fraction` of all; drop `not_sampled`.

    With `by`, `docs` and `bytes` hold for each value of that column (null is a value too); a group that has less is
    kept whole, and the run says so. `bytes` counts UTF-8 text and keeps the longest run of documents, in the order of
    their places, that fits: it stops at the first document that does not fit, so the result is below the budget by less
    than one document.
    """

    kind: Literal["sample"] = "sample"
    docs: int | None = Field(default=None, gt=0, description="documents to keep (of each group)")
    bytes: int | None = Field(default=None, gt=0, description="bytes of text to keep at most (of each group)")
    fraction: float | None = Field(default=None, gt=0, le=1, description="probability with which a document is kept")
    by: str = Field(
        default="", description="column whose values are drawn from one by one; a fraction is the same for all"
    )
    stream: int = Field(default=0, ge=0, description="another number draws independently under the same seed")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        sizes = {name: getattr(self, name) for name in ("docs", "bytes", "fraction")}
        given = [f"{name}={value!r}" for name, value in sizes.items() if value is not None]
        if len(given) != 1:
            msg = f"give exactly one of docs, bytes, fraction; got {', '.join(given) or 'none of them'}"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return {} if self.fraction is not None else drawing.grouped_text(self.by)

    def refuse(self, columns: Columns) -> None:
        """RecipeError where the values of `by` have no text to group by."""
        refuse_formless(columns, [self.by] if self.by and self.fraction is None else [])

    @override
    def draws(self) -> Draw:
        return Draw("not_sampled", "chance", self.docs, self.bytes, self.fraction, self.by)

    @override
    def scaled(self, factor: float) -> Self:
        amounts = {name: scaled_amount(getattr(self, name), factor) for name in ("docs", "bytes")}
        return self.model_copy(update=amounts)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio}
        if self.fraction is not None:
            return (DrawFraction(name="draw", fraction=self.fraction, stream=self.stream, **judged),)
        unit: Unit = "docs" if self.docs is not None else "bytes"
        budget = self.docs or self.bytes or 0
        return (
            Histogram(name="histogram", unit=unit, budget=budget, by=self.by, lot=_lot(self.stream)),
            Ranking(name="ranking", unit=unit, budget=budget, by=self.by, lot=_lot(self.stream)),
            DrawBudget(name="draw", by=self.by, stream=self.stream, **judged),
        )


class _Draw(Judge):
    """A judge over `_drawn`, which only this step sees."""

    stream: int

    seeded: ClassVar[bool] = True

    @override
    def adds(self) -> Columns:
        return {"_drawn": pa.bool_()}

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        rule = pc.if_else(rows["_drawn"], pa.scalar(None, pa.string()), "not_sampled")
        return pa.table({RULE: rule})


class DrawFraction(_Draw):
    """Keep a document whose place lies in the first `fraction` of all places."""

    fraction: float

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        last = np.uint64(max(int(self.fraction * 2.0**64) - 1, 0))
        return lambda rows: pa.table({"_drawn": drawing.places(rows, context.seed, _lot(self.stream)) <= last})


class Histogram(drawing.Histogram):
    """Where the same budget ends in each group."""

    budget: int

    @override
    def budgets(self, totals: Totals, context: Context) -> Mapping[str | None, int]:
        return dict.fromkeys(totals, self.budget)


class Ranking(drawing.Ranking):
    """Leaves `draw`: per group the last place and id that are kept."""

    budget: int

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        draw = self.drawn(state, context)
        unmet = [said for row in draw.to_pylist() if (said := self._unmet(row))]
        if len(unmet) > SHOWN + 1:
            unmet[SHOWN:] = [f"{len(unmet) - SHOWN} more groups have less than was asked of them"]
        return {"draw": draw, **({WARNINGS: json.dumps(unmet).encode()} if unmet else {})}

    def _unmet(self, row: Mapping[str, Any]) -> str:
        """Why a group has less than was asked of it by more than 1 %."""
        drawn = row[self.unit]
        if drawn >= self.budget * (1 - TOLERANCE):
            return ""
        of = f"{self.by} {row['group']!r}: " if self.by else ""
        why = "there are no more" if drawn == row[f"{self.unit}_available"] else "the next document does not fit"
        return f"{of}asked for {self.budget:,} {self.unit}, drew {drawn:,}: {why}"


class DrawBudget(_Draw):
    """Keep a document whose (place, id) is not after its group's last."""

    by: str

    @override
    def uses(self) -> tuple[str, ...]:
        return ("ranking",)

    @override
    def needs(self) -> Columns:
        return drawing.grouped_text(self.by)

    @override
    def bind(self, context: Context) -> BatchFn:
        draw = context.artifacts["ranking"].table("draw")

        def apply(rows: pa.Table) -> pa.Table:
            at = drawing.index(drawing.groups(rows, self.by), draw["group"])
            place = drawing.places(rows, context.seed, _lot(self.stream))
            return pa.table({"_drawn": drawing.is_drawn(rows, at, draw, place)})

        return apply


def _lot(stream: int) -> str:
    return f"sample-{stream}"
