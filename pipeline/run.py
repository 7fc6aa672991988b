"""Drives a plan through an executor: every stage in order, the gates, the counts.

Only descriptors and counts pass through here. Every result lies under a key made of what it was computed from, so a
run that was stopped anywhere goes on from there, and a recipe that was edited computes only what the edit changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, assert_never

import pyarrow as pa

from operators.base import ROWS, DataError, Fold, Judge, RunError
from operators.budgets import BudgetedStep
from pipeline.corpus import HIDDEN
from pipeline.exchange import State, state_schema
from pipeline.folding import gather_rows, reduce_fold
from pipeline.identities import DUPLICATE_ID
from pipeline.ingest import corpus_schema, view_of
from pipeline.intake import InputRecord, ingest_input
from pipeline.ledger import NodeCounts
from pipeline.plan import INGEST, Node, Plan, RepeatStage, ShardStage, Stage, TableStage, make_plan
from pipeline.reduce import TableTask, join_parts
from pipeline.shard_task import ShardItem, ShardTask, view_after
from pipeline.wording import count_of, share_text
from pipeline.work import Work, most

if TYPE_CHECKING:
    from pipeline.artifacts import StoredOutputs
    from pipeline.corpus import View
    from pipeline.executors.base import Executor
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe
    from pipeline.vault import Vault
    from pipeline.work import StageRecord

SOURCE_ROWS: Final = 100
"""A source of fewer rows may lose them all: a share of so few says nothing."""


@dataclass
class Corpus:
    """The corpus (or a reference input) at some point of the run: views in order, and what was dropped from each.

    `dropped` holds for each view the trace files of the stages so far, each with its stage's step names.
    """

    views: list[View]
    labels: list[str]
    schema: pa.Schema
    dropped: list[list[tuple[str, tuple[str, ...]]]]


class Runner:
    """One execution of a recipe. After `run`, `corpus`, `outputs`, `counts` and `inputs` hold what it came to."""

    def __init__(self, recipe: Recipe, store: Vault, executor: Executor, progress: Progress) -> None:
        self.recipe = recipe
        self.work = Work(store, executor, progress)
        self.plan: Plan = Plan(recipe, ())
        self.inputs: list[InputRecord] = []
        self.counts: dict[str, NodeCounts] = {}
        self.outputs: dict[str, StoredOutputs] = {}
        self.slices: dict[str, dict[int, State]] = {}
        self.corpora: dict[str, Corpus] = {}

    @property
    def store(self) -> Vault:
        """The work directory."""
        return self.work.store

    @property
    def records(self) -> list[StageRecord]:
        """What each set of tasks cost."""
        return self.work.records

    @property
    def corpus(self) -> Corpus:
        """The rows that flow through the steps."""
        return self.corpora[""]

    def run(self, until: str = "") -> None:
        """Ingest, then every stage in order; with `until`, no further than that step."""
        self.ingest()
        for stage in self.plan.stages:
            done = {self.plan.nodes[name].step for name in self.counts}
            if until in done and all(node.step != until for node in nodes_of(stage)):
                break
            self.run_stage(stage)

    def ingest(self) -> None:
        """Read the inputs into shards and fix the plan for their columns."""
        shards: list[dict[str, Any]] = []
        for entry in self.recipe.inputs:
            record = ingest_input(self.work, self.recipe, entry)
            self.inputs.append(record)
            if entry.role == "corpus":
                shards.extend(record.shards)
            elif record.shards:
                self.corpora[entry.name] = _corpus(record.shards, entry.name)
        if not shards:
            found = "; ".join(f"{record.name}: {_found(record)}" for record in self.inputs)
            raise DataError(f"the inputs hold no document: {found}")
        corpus = _corpus(shards, "")
        self.plan = make_plan(self.recipe, {c.name: c.type for c in corpus.schema if c.name not in HIDDEN})
        for name, (kind, _) in self.plan.added().items():
            corpus.schema = corpus.schema.append(pa.field(name, kind))
        self.corpora[""] = corpus
        self._refuse_empty_references()

    def _refuse_empty_references(self) -> None:
        """DataError where a step reads a reference without documents; one that no step reads may be empty."""
        read = {stage.source for stage in self.plan.stages if isinstance(stage, ShardStage)}
        for record in self.inputs:
            if record.name in read and record.name not in self.corpora:
                raise DataError(f"the reference input {record.name!r} holds no document: {_found(record)}")

    def run_stage(self, stage: Stage) -> None:
        """Run one stage of the plan; those before it have run."""
        match stage:
            case ShardStage():
                self._run_shards(stage)
            case TableStage():
                self._run_table(stage)
            case RepeatStage():
                self._run_repeat(stage)
            case _:
                assert_never(stage)

    def shard_task(self, stage: ShardStage) -> tuple[ShardTask, list[ShardItem]]:
        """The task of a stage over shards, and its items."""
        corpus = self.corpora[stage.source]
        joins = [node.joins for node in stage.nodes if node.joins]
        bare = [name for name in joins if not self.outputs[name].rows]
        if bare:
            raise RunError(f"{bare[0]!r} left no rows to join: its finish returned no table {ROWS!r}")
        joined = {name: state_schema(self.store, self.outputs[name].rows[0]) for name in joins}
        used = {node.name: self.used(node) for node in stage.nodes}
        items = [
            ShardItem(index, label, view, {n: self.slices[n][index] for n in joins if index in self.slices[n]})
            for index, (view, label) in enumerate(zip(corpus.views, corpus.labels, strict=True))
        ]
        later = self.plan.later()
        mine = {node.name: later[node.name] for node in stage.nodes}
        return ShardTask(self.store.root, stage.nodes, corpus.schema, mine, used, joined), items

    def used(self, node: Node) -> dict[str, StoredOutputs]:
        """The artifacts that a node declared, by the names it uses."""
        return {
            wanted: join_parts([self.outputs[name] for name in names], partitioned=False) for wanted, names in node.uses
        }

    def _run_shards(self, stage: ShardStage) -> None:
        corpus = self.corpora[stage.source]
        task, items = self.shard_task(stage)
        label = " + ".join(dict.fromkeys(node.step for node in stage.nodes))
        results = self.work.find_or_run(
            task,
            items,
            label,
            size_of=lambda item: item.view.num_bytes,
            wants=most(stage.nodes),
            as_found=_computed_nothing,
        )
        totals = [NodeCounts() for _ in stage.nodes]
        for index, result in enumerate(results):
            corpus.views[index] = view_after(corpus.views[index], stage.nodes, result)
            if result["dropped"]:
                corpus.dropped[index].append((result["dropped"], tuple(node.step for node in stage.nodes)))
            for total, done in zip(totals, result["nodes"], strict=True):
                total.add(NodeCounts.from_json(done["counts"]))
        for place, (node, total) in enumerate(zip(stage.nodes, totals, strict=True)):
            self.counts[node.name] = total
            self._gate(node, total)
            if isinstance(node.operator, Fold):
                states = [State(**result["nodes"][place]["state"]) for result in results]
                self._reduce(node, states, list(range(len(states))), len(corpus.views))

    def _run_table(self, stage: TableStage) -> None:
        node = stage.node
        parts = self._table(stage.source, stage.table)
        task = TableTask(self.store.root, node, self.used(node))
        results = self.work.find_or_run(task, parts, node.name, size_of=lambda item: item.bytes, wants=most((node,)))
        self.counts.setdefault(node.name, NodeCounts())
        self._reduce(node, [State(**result) for result in results], [0] * len(results), len(self.corpus.views))

    def _run_repeat(self, stage: RepeatStage) -> None:
        for _ in range(stage.max_rounds):
            for inner in stage.stages:
                self._run_table(inner)
            if not sum(part.rows for part in self._table(stage.source, stage.table)):
                return
        raise RunError(
            f"step {stage.step!r} did not converge in {stage.max_rounds} rounds: "
            f"{stage.source}/{stage.table} still has rows"
        )

    def _table(self, source: str, table: str) -> list[State]:
        """The parts of a table that an earlier fold left."""
        tables = self.outputs[source].tables
        if table not in tables:
            raise RunError(f"{source!r} left no table {table!r}; it left {', '.join(tables) or 'none'}")
        return tables[table]

    def _reduce(self, node: Node, states: list[State], shards: list[int], num_shards: int) -> None:
        fold = node.operator
        assert isinstance(fold, Fold)
        before = len(self.records)
        outputs = reduce_fold(self.work, node, fold, states, shards, self.used(node))
        self.outputs[node.leaves] = outputs
        if fold.per_shard:
            self.slices[node.leaves] = dict(zip(shards, states, strict=True))
        elif outputs.rows:
            self.slices[node.leaves] = gather_rows(self.work, node, outputs.rows, num_shards)
        self.counts[node.name].seconds += sum(record.seconds for record in self.records[before:])

    def _gate(self, node: Node, counts: NodeCounts) -> None:
        """Fail the run where a judge dropped more than it may, or where an input that forbids bad rows has one."""
        operator = node.operator
        if not isinstance(operator, Judge):
            return
        if node.step == INGEST and counts.dropped[DUPLICATE_ID]:
            self._refuse_repeated_ids(counts)
        dropped = sum(counts.dropped.values())
        if counts.rows_in and dropped / counts.rows_in > operator.max_drop_ratio:
            rules = ", ".join(f"{rule} {count}" for rule, count in counts.dropped.most_common(4))
            raise RunError(
                f"step {node.step!r} drops {dropped} of {count_of(counts.rows_in, 'document')} "
                f"({share_text(dropped, counts.rows_in)}), more than its max_drop_ratio "
                f"{operator.max_drop_ratio:g} allows: {rules}. "
                f"{self._advice(node.step, operator)}raise steps.{node.step}.max_drop_ratio"
            )
        if dropped:
            _refuse_wipe_out(node.step, counts, operator.source_limit())

    def _advice(self, step: str, judge: Judge) -> str:
        """What a person may do instead of letting more go."""
        audit = f"Run it with --set steps.{step}.audit=true and look at the report's"
        if any(isinstance(each, BudgetedStep) and each.label == step for each in self.recipe.steps):
            return "It draws up to a budget: ask for more, or "
        return f"{audit} thresholds; then move them, or " if judge.rules() else f"{audit} figures, or "

    def _refuse_repeated_ids(self, counts: NodeCounts) -> None:
        strict = [i.name for i in self.recipe.inputs if i.on_bad_row == "fail" and i.columns.id and i.role == "corpus"]
        if strict:
            example = counts.examples[DUPLICATE_ID][0]
            raise DataError(
                f"{counts.dropped[DUPLICATE_ID]} rows repeat an id, for instance {example['id']!r} of source "
                f"{example['source']!r} ({example['detail']}), and input {strict[0]!r} has on_bad_row: fail; "
                "make the ids unique, or set on_bad_row: quarantine"
            )


def _refuse_wipe_out(step: str, counts: NodeCounts, limit: float) -> None:
    """Fail the run where a judge dropped more of a single source than it may; the source that lost most is named."""
    large = {source: (before, before - after) for source, (before, after) in counts.sources.items()}
    over = {source: n for source, n in large.items() if n[0] >= SOURCE_ROWS and n[1] / n[0] > limit}
    if not over:
        return
    worst = max(sorted(over), key=lambda source: over[source][1] / over[source][0])
    before, gone = over[worst]
    more = f", and as much of {count_of(len(over) - 1, 'other source')}" if len(over) > 1 else ""
    # Before another source it may come; before itself it cannot.
    first = f"put {worst!r} first in its priority, " if len(counts.sources) > 1 else ""
    raise RunError(
        f"step {step!r} drops {gone} of the {before} documents of source {worst!r} ({share_text(gone, before)}){more}, "
        f"more than its max_source_drop_ratio {limit:g} allows. Run it with steps.{step}.audit=true and look at what "
        f"these documents lost to; then change the step, {first}or raise steps.{step}.max_source_drop_ratio"
    )


def nodes_of(stage: Stage) -> tuple[Node, ...]:
    """The nodes of a stage."""
    match stage:
        case ShardStage():
            return stage.nodes
        case TableStage():
            return (stage.node,)
        case RepeatStage():
            return tuple(inner.node for inner in stage.stages)
        case _:
            assert_never(stage)


def _computed_nothing(result: dict[str, Any]) -> None:
    """`rows_computed` is of this run: what an earlier run computed counts as found."""
    for node in result["nodes"]:
        node["counts"]["rows_computed"] = 0


def _found(record: InputRecord) -> str:
    """What an input without a good row held, for people."""
    bad = ", ".join(f"{count:,} {rule}" for rule, count in sorted(record.quarantined.items()))
    found = f"{count_of(record.files, 'file')}, {count_of(record.rows_read, 'row')}"
    return f"{found}, all of them bad: {bad}" if bad else found


def _corpus(shards: list[dict[str, Any]], name: str) -> Corpus:
    of = f" of {name}" if name else ""
    labels = [f"shard {index}{of} (from {shard['first']})" for index, shard in enumerate(shards)]
    return Corpus([view_of(shard) for shard in shards], labels, corpus_schema(shards), [[] for _ in shards])
