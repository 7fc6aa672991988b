"""Conditions on rows, `{column: lang, in: [de, fr]}`, and folds over the rows that they choose."""

from __future__ import annotations

from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from operators.base import TEXT, Columns, Fold


class Condition(BaseModel):
    """Holds where a string column has one of the values; never where it is null. Without a column it holds everywhere.

    >>> Condition.model_validate({"column": "lang", "in": ["de", "fr"]}).values
    ('de', 'fr')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    column: str = Field(default="", description="name of a string column; empty: the condition holds everywhere")
    values: tuple[str, ...] = Field(default=(), alias="in", description="values for which it holds")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.column) != bool(self.values):
            given = f"column {self.column!r} with `in` {list(self.values)!r}"
            raise ValueError(f"half a condition: {given}; give both, as in {{column: lang, in: [de, fr]}}, or neither")
        return self

    def needs(self) -> Columns:
        """The column that it reads, or none.

        >>> Condition().needs()
        {}
        """
        return {self.column: pa.string()} if self.column else {}

    def holds(self, rows: pa.Table) -> list[bool]:
        """Whether it holds, for each row.

        >>> import pyarrow as pa
        >>> Condition(column="lang", values=("de",)).holds(pa.table({"lang": ["de", "fr", None]}))
        [True, False, False]
        """
        if not self.column:
            return [True] * rows.num_rows
        wanted = frozenset(self.values)
        return [value in wanted for value in rows[self.column].to_pylist()]


class FoldOverChosen(Fold):
    """A fold over a reference input, or over the rows for which one condition holds and another does not."""

    reference: str = ""
    """The reference input; "" for the rows."""
    only: Condition = Condition()
    never: Condition = Condition()
    """Where it holds, if it has a column, the row is not meant."""

    @override
    def source(self) -> str:
        return f"input:{self.reference}" if self.reference else ""

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs(), **self.never.needs()}

    def chosen(self, rows: pa.Table) -> pa.Table:
        """The rows that are meant."""
        if self.only.column:
            rows = rows.filter(pa.array(self.only.holds(rows), pa.bool_()))
        if self.never.column:
            rows = rows.filter(pc.invert(pa.array(self.never.holds(rows), pa.bool_())))
        return rows
