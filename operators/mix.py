"""Mix: how much of each group of documents goes on.

What is asked of a group is its share of a budget. Whole epochs of a small group are taken by the column `repeat`, where
`max_epochs` allows it, and what remains is drawn without replacement as `sample` draws: by places that are hashes of
seed and id (`operators/drawing.py`), up to the first document that does not fit. So each group is below what was asked
of it by less than one document, whatever the shards. A group that is too small is not made up for by others.
`operators/mixture_draw.py` holds the stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import override

from operators import drawing
from operators.base import Columns, Fold, Map, Operator, RecipeError, Repeat
from operators.budgets import BudgetedStep, Draw, scaled_amount
from operators.document_weights import REPEAT, refuse_counted
from operators.drawing import Unit
from operators.hashing import refuse_formless
from operators.mixture_draw import Answer, Asking, DrawMixture, Others
from operators.mixtures import FILE, Mixture, read_mixture


class Mix(BudgetedStep):
    """Draw from each group of documents its share of a budget, in whole epochs where it is small; drop `not_drawn`.

    Give exactly one of `weights`, `temperature`, `unimax` and `from`. Shares and budget are in `unit`. Without a budget
    it is as much as the scarcest group allows. Rows without a value are the group `null`. With `max_epochs` above 1 the
    column `repeat` says how often a document counts, which training heeds; with `audit` it is 0 for what was not drawn.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    kind: Literal["mix"] = "mix"
    by: str = Field(min_length=1, description="column whose values are the groups, as lang or source")
    weights: dict[str, float] = Field(default={}, description="group -> share; any numbers, only proportions count")
    temperature: float | None = Field(
        default=None,
        gt=0,
        description="shares ~ p^(1/t) for groups that are a share p; 1 keeps them, larger is flatter",
    )
    unimax: bool = Field(
        default=False, description="equal amounts, but a small group at most max_epochs times; needs a budget"
    )
    mixture: str = Field(default="", alias="from", description="a step that leaves mixture.json, or the path of one")
    budget: int | None = Field(default=None, gt=0, description="how much to draw, in `unit`, repeats counted")
    unit: Unit | None = Field(default=None, description="empty: bytes of text; with unimax characters")
    max_epochs: int = Field(default=1, ge=1, le=1000, description="how often a document may count at most")
    others: Others = Field(default="refuse", description="groups without a weight: fail the run, or drop them")
    rest: float | None = Field(
        default=None, gt=0, description="a weight that the groups without one share by their sizes, instead of others"
    )
    stream: int = Field(default=0, ge=0, description="another number draws independently under the same seed")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})
    bare_columns: ClassVar[frozenset[str]] = frozenset({REPEAT})

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = {
            "weights": bool(self.weights), "temperature": self.temperature is not None, "unimax": self.unimax,
            "from": bool(self.mixture),
        }  # fmt: skip
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) != 1:
            msg = f"give exactly one of weights, temperature, unimax, from; got {', '.join(given) or 'none of them'}"
            raise ValueError(msg)
        if self.rest is not None and (self.others == "drop" or not (self.weights or self.mixture)):
            msg = f"rest {self.rest} goes with weights or from, where some groups have no weight, and not with others"
            raise ValueError(msg)
        if self.weights and (min(self.weights.values()) < 0 or not (any(self.weights.values()) or self.rest)):
            msg = f"weights are {self.weights}: expected numbers that are not negative, some above 0"
            raise ValueError(msg)
        if self.unimax and self.budget is None:
            msg = "unimax shares out a budget: give one, in characters if no other unit is named"
            raise ValueError(msg)
        if self.mixture and self.unit not in (None, "bytes"):
            msg = f"a mixture.json has shares of bytes, and unit is {self.unit!r}: leave it out"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return drawing.grouped_text(self.by)

    @override
    def adds(self) -> Columns:
        return {REPEAT: pa.int32()} if self.max_epochs > 1 else {}

    def check(self) -> None:
        """RecipeError where `from` names a file that is no mixture."""
        if self.mixture and not _is_step(self.mixture):
            self._read()

    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where `from` names an earlier step that leaves no mixture."""
        step = earlier.get(self.mixture)
        if step is not None and step.what in ("sample", "corpus_stats", "train_tokenizer", "train_classifier"):
            msg = f"from: step {self.mixture!r} is of kind {step.what}, which leaves no {FILE}"
            raise RecipeError(msg)

    def refuse(self, columns: Columns) -> None:
        """RecipeError where `by` has no text to group by, or rows already say how often they count."""
        refuse_formless(columns, [self.by])
        refuse_counted(columns)

    @property
    def _unit(self) -> Unit:
        return self.unit or ("chars" if self.unimax else "bytes")

    @override
    def draws(self) -> Draw:
        if self.budget is None:
            return Draw("not_drawn", "mixture", by=self.by)
        if self._unit == "docs":
            return Draw("not_drawn", "mixture", docs=self.budget, by=self.by)
        return Draw("not_drawn", "mixture", bytes=self.budget * (4 if self._unit == "chars" else 1), by=self.by)

    @override
    def scaled(self, factor: float) -> Self:
        return self.model_copy(update={"budget": scaled_amount(self.budget, factor)})

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        common: dict[str, Any] = {"by": self.by, "unit": self._unit, "lot": f"mix-{self.stream}"}
        asked = self.model_dump(include={"temperature", "unimax", "budget", "max_epochs", "others", "rest"})
        given: dict[str, Any] = {"weights": self.weights}
        if _is_step(self.mixture):
            given["mixture"] = self.mixture
        elif self.mixture:
            of, shares = self._read()
            given = {"weights": shares, "mixture_by": of}
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio, "several": self.max_epochs > 1}
        return (
            Asking(name="histogram", **given, **common, **asked),
            Answer(name="ranking", max_epochs=self.max_epochs, **common),
            DrawMixture(name="draw", by=self.by, lot=common["lot"], **judged),
        )

    def _read(self) -> Mixture:
        """The mixture of a file."""
        import fsspec

        try:
            with fsspec.open(self.mixture, "rb") as file:
                content: bytes = file.read()
        except (OSError, ValueError, ImportError) as error:
            msg = f"from: {self.mixture!r} cannot be read ({getattr(error, 'strerror', None) or error})"
            raise RecipeError(f"{msg}: expected a step of the recipe, or a {FILE}") from error
        return read_mixture(content, self.mixture)


def _is_step(name: str) -> bool:
    """Whether it can be the name of a step; a path has a dot or a slash.

    >>> _is_step("infer"), _is_step("out/mixture.json")
    (True, False)
    """
    return name.isidentifier()
