"""Steps that draw documents up to a budget, and how each says what it draws: a dry run projects them all by that."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from operators.base import Composite

How = Literal["chance", "choice", "mixture", "beside"]


class Draw(NamedTuple):
    """A budget: documents, bytes of text, or a fraction; none of them where the rows alone decide.

    `how`: by *chance*, each document alike and for each value of `by`; by *choice*, as much of the budget as there is;
    as a *mixture*, by chance in each group's own share, which `mixture.json` has; *beside* rows that stay in any case.
    """

    rule: str
    """What becomes of the others."""
    how: How
    docs: int | None = None
    bytes: int | None = None
    fraction: float | None = None
    by: str = ""

    @property
    def amount(self) -> int:
        """Documents or bytes; 0 where the budget is neither.

        >>> Draw("not_sampled", "chance", bytes=10).amount, Draw("not_sampled", "chance", fraction=0.5).amount
        (10, 0)
        """
        return self.docs or self.bytes or 0


class BudgetedStep(Composite):
    """A step that draws documents."""

    def draws(self) -> Draw:
        """What it draws."""
        raise NotImplementedError

    def scaled(self, factor: float) -> Self:
        """The same step for a part of the corpus: a budget in documents or bytes is as much smaller, and 1 at least."""
        raise NotImplementedError


def scaled_amount(amount: int | None, factor: float) -> int | None:
    """A budget for a part of the corpus.

    >>> scaled_amount(500, 0.1), scaled_amount(3, 0.1), scaled_amount(None, 0.1)
    (50, 1, None)
    """
    return None if amount is None else max(1, round(amount * factor))


class Selection(BaseModel):
    """How much is chosen: exactly one of three.

    >>> Selection(docs=5).docs
    5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    docs: int | None = Field(default=None, gt=0, description="documents to choose")
    bytes: int | None = Field(default=None, gt=0, description="bytes of text to choose at most")
    fraction: float | None = Field(default=None, gt=0, le=1, description="share of the candidates to choose")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        given = [f"{name}={value!r}" for name, value in self if value is not None]
        if len(given) != 1:
            msg = f"give exactly one of docs, bytes, fraction; got {', '.join(given) or 'none of them'}"
            raise ValueError(msg)
        return self

    def draw(self, how: How) -> Draw:
        """What a step draws whose others are `not_selected`."""
        return Draw("not_selected", how, self.docs, self.bytes, self.fraction)

    def scaled(self, factor: float) -> Self:
        """For a part of the corpus."""
        amounts = {name: scaled_amount(getattr(self, name), factor) for name in ("docs", "bytes")}
        return self.model_copy(update=amounts)
