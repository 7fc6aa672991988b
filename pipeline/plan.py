"""Recipe -> stages: which operators run together over a shard, and where an exchange or a reduction lies between.

A shard stage is a run of maps, judges and folds over rows; it ends where a later operator needs the result of one of
its folds. Folds over a reference input or over another fold's table are stages of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from operators.base import Composite, Fold, Judge, Map, Operator, RecipeError, Repeat, fingerprint
from pipeline.columns import check_columns, check_types, public_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.recipe import Recipe

BASE_COLUMNS: Final[dict[str, pa.DataType]] = {"id": pa.string(), "text": pa.large_string(), "source": pa.string()}
INGEST: Final = "ingest"
VERDICT: Final = "verdict"
"""The stored name of an audited verdict; its public name is `<step>_verdict`."""


@dataclass(frozen=True)
class Node:
    """An operator in its place. `step` is the recipe's step; `name` is that, or "step/stage" inside a composite."""

    step: str
    name: str
    operator: Map | Fold
    seed: int = 0
    joins: str = ""
    uses: tuple[tuple[str, tuple[str, ...]], ...] = ()
    replaces: str = ""
    """Inside a `Repeat`: the earlier node of the same name, whose outputs this one's take the place of."""

    @property
    def leaves(self) -> str:
        """The name under which its outputs are known."""
        return self.replaces or self.name

    @property
    def columns(self) -> dict[str, str]:
        """Columns that it adds: local name -> public name."""
        return {name: public_name(self.step, self.operator, name) for name in self.operator.adds()}

    def public(self, stored: str) -> str:
        """A stored column's public name: an added one, a rewritten one (its own name), or the audited verdict."""
        if stored in self.columns:
            return self.columns[stored]
        return f"{self.step}_{VERDICT}" if stored == VERDICT else stored

    @property
    def work(self) -> str:
        """The identity of what it computes, upstream left out: scores for a judge, everything for others."""
        leave_out = self.operator.verdict_only if isinstance(self.operator, Judge) else frozenset()
        return self._fingerprint(leave_out)

    @property
    def verdict(self) -> str:
        """The identity of a judge's verdict: all its parameters, and whether rows go."""
        audit = isinstance(self.operator, Judge) and self.operator.audit
        return fingerprint([self._fingerprint(frozenset()), audit])

    def _fingerprint(self, leave_out: frozenset[str]) -> str:
        seed = self.seed if type(self.operator).seeded else None
        return fingerprint({**self.operator.identity(leave_out), "seed": seed})


@dataclass(frozen=True)
class ShardStage:
    """Nodes that run in one task per shard, in order. `source` is "" for the corpus, else a reference input's name."""

    nodes: tuple[Node, ...]
    source: str = ""


@dataclass(frozen=True)
class TableStage:
    """A fold over the parts of an earlier fold's table."""

    node: Node
    source: str
    table: str


@dataclass(frozen=True)
class RepeatStage:
    """Table stages that run until the table `until` of `source` is empty."""

    step: str
    stages: tuple[TableStage, ...]
    source: str
    table: str
    max_rounds: int


Stage = ShardStage | TableStage | RepeatStage


@dataclass(frozen=True)
class Plan:
    """The stages in order, and the nodes by name."""

    recipe: Recipe
    stages: tuple[Stage, ...]
    nodes: dict[str, Node] = field(default_factory=dict)

    def added(self) -> dict[str, tuple[pa.DataType, bool]]:
        """The columns that the steps add, in step order: public name -> (type, whether it is published)."""
        found: dict[str, tuple[pa.DataType, bool]] = {}
        for node in self.nodes.values():
            for name, kind in node.operator.adds().items():
                found[node.public(name)] = (kind, not name.startswith("_"))
            if isinstance(node.operator, Judge) and node.operator.audit:
                found[node.public(VERDICT)] = (pa.string(), True)
        return found

    def later(self) -> dict[str, frozenset[str]]:
        """For each node the columns that it and the nodes after it add: those are not there when it reads."""
        found: dict[str, frozenset[str]] = {}
        names: frozenset[str] = frozenset()
        for name, node in reversed(self.nodes.items()):
            names |= {node.public(column) for column in node.operator.adds()}
            names |= {node.public(VERDICT)} if isinstance(node.operator, Judge) and node.operator.audit else set()
            found[name] = names
        return found

    def fingerprint(self, name: str) -> str:
        """A node's identity with everything that runs before it."""
        chain: list[str] = []
        for node in self.nodes.values():
            chain.append(fingerprint([*chain[-1:], node.work, node.verdict]))
            if node.name == name:
                break
        return chain[-1]


def make_plan(recipe: Recipe, schema: Mapping[str, pa.DataType] | None = None, *, open_schema: bool = False) -> Plan:
    """The plan; every step's columns are checked against `schema` (input columns) and what earlier steps add.

    `open_schema` says that the inputs may hold further columns (JSON lines that were only peeked into).
    """
    nodes: dict[str, Node] = {}
    stages: list[Stage] = []
    columns = {**BASE_COLUMNS, **(schema or {})}
    earlier: dict[str, Operator] = {}
    for operator in (*_ingest_steps(recipe), *recipe.steps):
        operator.check()
        operator.models()
        parts = _parts(operator, {entry.name for entry in recipe.inputs}, earlier)
        for part in parts:
            _place(recipe, operator, part, nodes, stages)
        check_types(operator, columns, earlier)
        earlier[operator.label] = operator
        check_columns(operator, parts, columns, open_schema=open_schema)
    return Plan(recipe, tuple(stages), nodes)


def _parts(step: Operator, inputs: Collection[str], earlier: Mapping[str, Operator]) -> tuple[Operator | Repeat, ...]:
    if not isinstance(step, Composite):
        return (step,)
    try:
        return step.stages_in(inputs, earlier)
    except RecipeError as error:
        raise RecipeError(f"step {step.label!r}: {error}") from error


def _ingest_steps(recipe: Recipe) -> Iterable[Operator]:
    from pipeline.identities import ExcludeIds, UniqueIds

    if any(i.columns.id and i.role == "corpus" for i in recipe.inputs):
        formats = tuple((i.name, i.format, i.documents) for i in recipe.inputs if i.role == "corpus")
        yield UniqueIds(name=INGEST, formats=formats)
    if recipe.exclude_ids:
        yield ExcludeIds.from_file(recipe.exclude_ids)


def _place(
    recipe: Recipe, step: Operator, part: Operator | Repeat, nodes: dict[str, Node], stages: list[Stage]
) -> None:
    if isinstance(part, Repeat):
        inner = tuple(_table_stage(recipe, step, stage, nodes, repeated=True) for stage in part.stages)
        source, _, table = part.until.partition("/")
        _known_stage(step, source, nodes)
        stages.append(RepeatStage(step.label, inner, f"{step.label}/{source}", table, part.max_rounds))
        return
    if not isinstance(part, Map | Fold):
        raise RecipeError(f"step {step.label!r}: {type(part).__name__} is neither a Map, a Fold nor a Composite")
    _refuse_unfinished(step, part)
    source = part.source() if isinstance(part, Fold) else ""
    if isinstance(part, Fold) and source.startswith("stage:"):
        stages.append(_table_stage(recipe, step, part, nodes))
        return
    node = _node(recipe, step, part, nodes)
    if source.startswith("input:"):
        name = source.removeprefix("input:")
        if name not in {i.name for i in recipe.inputs if i.role == "reference"}:
            raise RecipeError(f"step {step.label!r}: there is no input {name!r} with `role: reference`")
        stages.append(ShardStage((node,), name))
        return
    last = stages[-1] if stages else None
    wanted = {node.joins, *(name for _, names in node.uses for name in names)}
    if isinstance(last, ShardStage) and not last.source and not wanted & {n.name for n in last.nodes}:
        stages[-1] = ShardStage((*last.nodes, node))
    else:
        stages.append(ShardStage((node,)))


def _refuse_unfinished(step: Operator, part: Map | Fold) -> None:
    """Refuse a class that lacks the function its form lives by: it would fail late, or do nothing."""
    match part:
        case Fold():
            lacks = "bind" if type(part).bind is Fold.bind else "finish" if type(part).finish is Fold.finish else ""
        case Judge():
            computes = bool(part.adds() or type(part).rewrites)
            judges = type(part).judge is not Judge.judge or bool(part.rules())
            lacks = "bind" if computes and type(part).bind is Map.bind else "" if judges else "rules or judge"
        case Map():
            computes = bool(part.adds() or type(part).rewrites)
            lacks = "bind" if type(part).bind is Map.bind else "" if computes else "adds"
    if lacks:
        raise RecipeError(
            f"step {step.label!r}: {type(part).__name__} defines no {lacks}; see docs/writing-operators.md"
        )


def _table_stage(
    recipe: Recipe, step: Operator, part: Fold, nodes: dict[str, Node], *, repeated: bool = False
) -> TableStage:
    source, _, table = part.source().removeprefix("stage:").partition("/")
    _known_stage(step, source, nodes)
    return TableStage(_node(recipe, step, part, nodes, repeated=repeated), f"{step.label}/{source}", table)


def _known_stage(step: Operator, source: str, nodes: dict[str, Node]) -> None:
    if f"{step.label}/{source}" not in nodes:
        raise RecipeError(
            f"step {step.label!r} reads a table of its stage {source!r}, but no earlier stage has that name"
        )


def _node(recipe: Recipe, step: Operator, part: Map | Fold, nodes: dict[str, Node], *, repeated: bool = False) -> Node:
    """A node with its names resolved. A repeated stage may bear an earlier one's name: it replaces its outputs."""
    name = f"{step.label}/{part.label}" if isinstance(step, Composite) else step.label
    replaces = ""
    if repeated and name in nodes and isinstance(nodes[name].operator, Fold):
        replaces, name = name, f"{name} (repeated)"
    if name in nodes:
        raise RecipeError(f"step {step.label!r}: two of its stages are called {part.label!r}")

    def resolve(wanted: str) -> tuple[str, ...]:
        if f"{step.label}/{wanted}" in nodes:
            return (f"{step.label}/{wanted}",)
        if "/" in wanted and wanted in nodes:
            return (wanted,)
        found = tuple(
            n.name
            for n in nodes.values()
            if n.step == wanted != step.label and isinstance(n.operator, Fold) and not n.replaces
        )
        if not found:
            raise RecipeError(
                f"step {step.label!r} uses {wanted!r}, but no earlier step of that name leaves an artifact"
            )
        return found

    joins = part.joins()
    node = Node(
        step.label,
        name,
        part,
        recipe.seed,
        resolve(joins)[0] if joins else "",
        tuple((wanted, resolve(wanted)) for wanted in part.uses()),
        replaces,
    )
    nodes[name] = node
    return node
