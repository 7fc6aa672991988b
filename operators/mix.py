"""Mix: how much of each group of documents goes on.

What is asked of a group is its share of a budget. Whole epochs of a small group are taken by the column `repeat`, where
`max_epochs` allows it, and what remains is drawn without replacement as `sample` draws: by places that are hashes of
seed and id (`operators/drawing.py`), up to the first document that does not fit. So each group is below what was asked
of it by less than one document, whatever the shards. A group that is too small is not made up for by others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import override

from operators import drawing
from operators.base import (
    RULE,
    WARNINGS,
    BatchFn,
    Columns,
    Composite,
    Context,
    Fold,
    Judge,
    Map,
    Operator,
    Outputs,
    RecipeError,
    Repeat,
    RunError,
)
from operators.drawing import Totals, Unit
from operators.hashing import refuse_formless
from operators.mixtures import FILE, NULL, Asked, asked_of, read_shares, tempered, unimax
from operators.pretoken_counts import REPEAT

TOLERANCE = 0.01
"""By how much of what was asked a group may be missed before the run warns."""

SHOWN = 8
"""Groups that a run names when it warns."""

Others = Literal["refuse", "drop"]


class Mix(Composite):
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
        if self.weights and (min(self.weights.values()) < 0 or not any(self.weights.values())):
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
        self._weights()

    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where `from` names an earlier step that leaves no mixture."""
        step = earlier.get(self.mixture)
        if step is not None and step.what in ("sample", "corpus_stats", "train_tokenizer", "train_classifier"):
            msg = f"from: step {self.mixture!r} is of kind {step.what}, which leaves no {FILE}"
            raise RecipeError(msg)

    def refuse(self, columns: Columns) -> None:
        """RecipeError where `by` has no text to group by, or rows already say how often they count."""
        refuse_formless(columns, [self.by])
        if REPEAT in columns:
            msg = f"the rows already have a column {REPEAT!r}, whose counts this step would not heed: mix once, last"
            raise RecipeError(msg)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        unit = self.unit or ("chars" if self.unimax else "bytes")
        common: dict[str, Any] = {"by": self.by, "unit": unit, "lot": f"mix-{self.stream}"}
        asked = self.model_dump(include={"temperature", "unimax", "budget", "max_epochs", "others"})
        step = self.mixture if _is_step(self.mixture) else ""
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio, "several": self.max_epochs > 1}
        return (
            Asking(name="histogram", weights=self._weights(), mixture=step, **common, **asked),
            Answer(name="ranking", max_epochs=self.max_epochs, **common),
            DrawMixture(name="draw", by=self.by, lot=common["lot"], **judged),
        )

    def _weights(self) -> dict[str, float]:
        """As given, or those of a file."""
        if not self.mixture or _is_step(self.mixture):
            return self.weights
        import fsspec

        try:
            with fsspec.open(self.mixture, "rb") as file:
                content: bytes = file.read()
        except (OSError, ValueError, ImportError) as error:
            msg = f"from: {self.mixture!r} cannot be read ({getattr(error, 'strerror', None) or error})"
            raise RecipeError(f"{msg}: expected a step of the recipe, or a {FILE}") from error
        return read_shares(content, self.mixture)


class Asking(drawing.Histogram):
    """How much is asked of each group, and where in its documents that ends."""

    weights: dict[str, float]
    temperature: float | None
    unimax: bool
    mixture: str
    """The step whose mixture is read."""
    budget: int | None
    max_epochs: int
    others: Others

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.mixture,) if self.mixture else ()

    @override
    def budgets(self, totals: Totals, context: Context) -> Mapping[str | None, int]:
        """What remains after whole epochs, for each group."""
        asked = self.asked(_sizes(totals, self.unit), context)
        return {name: _remainder(asked, name, totals[name][self.unit], self.max_epochs) for name in totals}

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        found = super().finish(state, context)
        ends = found["_ends"]
        assert isinstance(ends, pa.Table)
        sizes = dict(
            zip(map(_named, ends["group"].to_pylist()), ends[f"{self.unit}_available"].to_pylist(), strict=True)
        )
        asked = self.asked(sizes, context)
        content = {
            "budget": asked.budget,
            "shares": {name: float(share) for name, share in asked.shares.items()},
            "amounts": asked.amounts,
        }
        return {**found, "_asked.json": json.dumps(content).encode()}

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
        elif self.mixture:
            weights = read_shares(context.artifacts[self.mixture].read(FILE), self.mixture)
        unnamed = sorted(set(sizes) - set(weights))
        if unnamed and self.others == "refuse":
            some = ", ".join(map(repr, unnamed[:20])) + (f" and {len(unnamed) - 20} more" if len(unnamed) > 20 else "")
            raise RunError(f"mix: no weight for {some} of {self.by!r}: give them weights, or say `others: drop`")
        return asked_of(sizes, weights, self.budget, self.max_epochs)


class Answer(drawing.Ranking):
    """The last documents that are drawn, and `mixture.json`: asked, available and drawn by group."""

    max_epochs: int

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        draw = self.drawn(state, context)
        asked = json.loads(context.artifacts["histogram"].read("_asked.json"))
        rows = {_named(row["group"]): row for row in draw.to_pylist()}
        whole = [
            _epochs(asked["amounts"].get(name, 0), row[f"{self.unit}_available"], self.max_epochs)
            for name, row in rows.items()
        ]
        told = {}
        for name in sorted({*asked["amounts"], *rows}):
            epochs = dict(zip(rows, whole, strict=True)).get(name, 0)
            told[name] = self._category(name, asked, rows.get(name), epochs)
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
            at = drawing.index(drawing.groups(rows, self.by), draw["group"])
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


def _named(group: str | None) -> str:
    return NULL if group is None else group


def _sizes(totals: Totals, unit: Unit) -> dict[str, int]:
    return {_named(name): sizes[unit] for name, sizes in totals.items()}


def _epochs(amount: int, size: int, max_epochs: int) -> int:
    """How often the whole group is taken.

    >>> _epochs(25, 10, 4), _epochs(25, 10, 2), _epochs(25, 0, 4)
    (2, 2, 0)
    """
    return min(amount // size, max_epochs) if size else 0


def _remainder(asked: Asked, group: str | None, size: int, max_epochs: int) -> int:
    """What is to be drawn of a group beside its whole epochs."""
    amount = asked.amounts.get(_named(group), 0)
    whole = _epochs(amount, size, max_epochs)
    left = min(amount, max_epochs * size) - whole * size
    return left if left else drawing.NOTHING


def _is_step(name: str) -> bool:
    """Whether it can be the name of a step; a path has a dot or a slash.

    >>> _is_step("infer"), _is_step("out/mixture.json")
    (True, False)
    """
    return name.isidentifier()
