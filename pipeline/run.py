"""Drives a plan through an executor: finds what is done, runs the rest, passes the gates, keeps the ledger.

Only descriptors and counts pass through here. Every result lies under a key made of what it was computed from, so a
run that was stopped anywhere goes on from there, and a recipe that was edited computes only what the edit changed.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, assert_never

import pyarrow as pa

from operators.base import DataError, Fold, Judge, Resources, RunError
from pipeline.artifacts import StoredOutputs
from pipeline.corpus import HIDDEN
from pipeline.exchange import State, num_partitions, partition_range, state_schema
from pipeline.identities import DUPLICATE_ID
from pipeline.ingest import (
    IngestItem,
    IngestTask,
    Inspected,
    InspectTask,
    Spec,
    chunk,
    corpus_schema,
    group_files,
    ingest_name,
    view_of,
)
from pipeline.ledger import NodeCounts
from pipeline.plan import INGEST, Node, Plan, RepeatStage, ShardStage, Stage, TableStage, make_plan
from pipeline.reduce import GatherItem, GatherTask, MergeItem, MergeTask, TableTask, join_parts, merge_name
from pipeline.shard_task import ShardItem, ShardTask, result_name, view_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.corpus import View
    from pipeline.executors.base import Executor
    from pipeline.progress import Progress
    from pipeline.recipe import Input, Recipe
    from pipeline.storage import Store

FAN_IN: Final = 16
"""States merged by one task of a merge tree."""
GATHER_SHARDS: Final = 64
INSPECT_FILES: Final = 128


@dataclass
class StageRecord:
    """What happened to one set of tasks: how many there were, how many were found done, and what they cost."""

    label: str
    tasks: int
    computed: int
    seconds: float


@dataclass
class InputRecord:
    """What ingest made of one input."""

    name: str
    files: int
    rows_read: int = 0
    bytes: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    shards: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Corpus:
    """The corpus (or a reference input) at some point of the run: views in order, and what was dropped from each."""

    views: list[View]
    labels: list[str]
    schema: pa.Schema
    dropped: list[list[tuple[str, tuple[str, ...]]]]


class Runner:
    """One execution of a recipe."""

    def __init__(self, recipe: Recipe, store: Store, executor: Executor, progress: Progress) -> None:
        self.recipe = recipe
        self.store = store
        self.executor = executor
        self.progress = progress
        self.plan: Plan = Plan(recipe, ())
        self.records: list[StageRecord] = []
        self.inputs: list[InputRecord] = []
        self.counts: dict[str, NodeCounts] = {}
        self.outputs: dict[str, StoredOutputs] = {}
        self.slices: dict[str, dict[int, State]] = {}
        self.corpora: dict[str, Corpus] = {}

    @property
    def corpus(self) -> Corpus:
        """The rows that flow through the steps."""
        return self.corpora[""]

    def run(self, until: str = "") -> None:
        """Ingest, then every stage in order; with `until`, no further than that step."""
        self.ingest()
        for stage in self.plan.stages:
            if until and all(node.step != until for node in _nodes(stage)) and until in self.counts_by_step():
                break
            self._run_stage(stage)

    def counts_by_step(self) -> set[str]:
        """The steps that have run."""
        return {self.plan.nodes[name].step for name in self.counts}

    # --- ingest ---

    def ingest(self) -> None:
        """Read the inputs into shards and fix the plan for their columns."""
        entries = self.recipe.inputs
        num_corpora = sum(entry.role == "corpus" for entry in entries)
        corpus_shards: list[dict[str, Any]] = []
        for entry in entries:
            record = self._ingest_input(entry, num_corpora)
            self.inputs.append(record)
            if entry.role == "corpus":
                corpus_shards.extend(record.shards)
            else:
                self.corpora[entry.name] = _corpus(record.shards, entry.name)
        if not corpus_shards:
            raise DataError(
                "the inputs hold no document: "
                + "; ".join(f"{r.name}: {r.files} files, {r.rows_read} rows, quarantined {dict(r.quarantined)}" for r in self.inputs)
            )
        corpus = _corpus(corpus_shards, "")
        schema = {column.name: column.type for column in corpus.schema if column.name not in HIDDEN}
        self.plan = make_plan(self.recipe, schema)
        for name, (kind, _) in self.plan.added().items():
            corpus.schema = corpus.schema.append(pa.field(name, kind))
        self.corpora[""] = corpus

    def _ingest_input(self, entry: Input, num_corpora: int) -> InputRecord:
        from pipeline.readers.files import list_files

        spec = Spec.of(entry, shard_mb=self.recipe.outputs.shard_mb, num_corpora=num_corpora)
        files = list_files(entry.entries, None if entry.format == "auto" else entry.format)
        inspect = InspectTask(self.store.root, entry.format, spec.shard_bytes)
        groups = chunk(files, INSPECT_FILES)
        inspected: list[Inspected] = []
        for found in self._map(inspect, groups, f"look at {entry.name}"):
            inspected.extend(found)
        task = IngestTask(self.store.root, spec)
        items = group_files(inspected, spec.shard_bytes)
        record = InputRecord(entry.name, len(files))
        results = self._find_or_run(task, items, f"ingest {entry.name}", lambda item: ingest_name(task.key(item)), _item_bytes)
        for result in results:
            record.rows_read += result["rows_read"]
            record.quarantined.update(result["num_bad"])
            record.shards.extend(result["shards"])
            if result["bad"]:
                record.bad.append(result["bad"])
        record.bytes = sum(shard["bytes"] for shard in record.shards)
        if record.bad and entry.on_bad_row == "fail":
            raise DataError(_bad_rows_message(self.store, record))
        return record

    # --- stages ---

    def _run_stage(self, stage: Stage) -> None:
        match stage:
            case ShardStage():
                self._run_shards(stage)
            case TableStage():
                self._run_table(stage)
            case RepeatStage():
                self._run_repeat(stage)
            case _:
                assert_never(stage)

    def _run_shards(self, stage: ShardStage) -> None:
        corpus = self.corpora[stage.source]
        used = {node.name: self._used(node) for node in stage.nodes}
        joins = [node.joins for node in stage.nodes if node.joins]
        joined = {name: state_schema(self.store, self.outputs[name].rows[0]) for name in joins}
        task = ShardTask(self.store.root, stage.nodes, corpus.schema, used, joined)
        items = [
            ShardItem(index, label, view, {name: self.slices[name][index] for name in joins if index in self.slices[name]})
            for index, (view, label) in enumerate(zip(corpus.views, corpus.labels, strict=True))
        ]
        label = " + ".join(dict.fromkeys(node.step for node in stage.nodes))
        results = self._find_or_run(task, items, label, lambda item: result_name(task.key(item)), _view_bytes, stage.nodes)
        totals = [NodeCounts() for _ in stage.nodes]
        for index, result in enumerate(results):
            corpus.views[index] = view_after(corpus.views[index], stage.nodes, result)
            if result["dropped"]:
                corpus.dropped[index].append((result["dropped"], tuple(node.step for node in stage.nodes)))
            for total, node in zip(totals, result["nodes"], strict=True):
                total.add(NodeCounts.from_json(node["counts"]))
        for place, (node, total) in enumerate(zip(stage.nodes, totals, strict=True)):
            self.counts[node.name] = total
            self._gate(node, total)
            if isinstance(node.operator, Fold):
                states = [State(**result["nodes"][place]["state"]) for result in results]
                self._reduce(node, states, list(range(len(states))), len(corpus.views))

    def _run_table(self, stage: TableStage) -> None:
        node = stage.node
        parts = self.outputs[stage.source].tables[stage.table]
        task = TableTask(self.store.root, node, self._used(node))
        results = self._find_or_run(task, parts, node.name, lambda item: merge_name(task.key(item)), lambda item: item.bytes, (node,))
        self.counts.setdefault(node.name, NodeCounts())
        self._reduce(node, [State(**result) for result in results], [0] * len(results), len(self.corpus.views))

    def _run_repeat(self, stage: RepeatStage) -> None:
        for _ in range(stage.max_rounds):
            for inner in stage.stages:
                self._run_table(inner)
            if not sum(part.rows for part in self.outputs[stage.source].tables[stage.table]):
                return
        raise RunError(f"step {stage.step!r} did not converge in {stage.max_rounds} rounds: {stage.source}/{stage.table} still has rows")

    def _reduce(self, node: Node, states: list[State], shards: list[int], num_shards: int) -> None:
        """Merge a fold's states, finish it, and hand its rows back to their shards."""
        fold = node.operator
        assert isinstance(fold, Fold)
        if fold.key:
            count = num_partitions(states)
            ranges = [(*partition_range(p, count), p) for p in range(count)]
            if fold.partitioned:
                items = [MergeItem(tuple(states), tuple(shards), low, high, p) for low, high, p in ranges]
                parts = [StoredOutputs.from_json(found) for found in self._merge(node, items, finish=True)]
                self.outputs[node.name] = join_parts(parts, partitioned=True)
            else:
                if count > 1:
                    items = [MergeItem(tuple(states), tuple(shards), low, high, p) for low, high, p in ranges]
                    states = [State(**found) for found in self._merge(node, items, finish=False)]
                    shards = [0] * len(states)
                self._finish(node, states, shards)
        else:
            while len(states) > FAN_IN:
                starts = range(0, len(states), FAN_IN)
                items = [MergeItem(tuple(states[s : s + FAN_IN]), tuple(shards[s : s + FAN_IN])) for s in starts]
                states = [State(**found) for found in self._merge(node, items, finish=False)]
                shards = [0] * len(states)
            self._finish(node, states, shards)
        if self.outputs[node.name].rows:
            self.slices[node.name] = self._gather(node, self.outputs[node.name].rows, num_shards)

    def _finish(self, node: Node, states: list[State], shards: list[int]) -> None:
        (found,) = self._merge(node, [MergeItem(tuple(states), tuple(shards))], finish=True)
        self.outputs[node.name] = join_parts([StoredOutputs.from_json(found)], partitioned=False)

    def _merge(self, node: Node, items: list[MergeItem], *, finish: bool) -> list[dict[str, Any]]:
        task = MergeTask(self.store.root, node, self._used(node), finish)
        label = f"{node.name}: {'finish' if finish else 'merge'}"
        begin = time.monotonic()
        results = self._find_or_run(task, items, label, lambda item: merge_name(task.key(item)), _states_bytes, (node,))
        if self.records[-1].computed:
            self.counts.setdefault(node.name, NodeCounts()).seconds += time.monotonic() - begin
        return results

    def _gather(self, node: Node, states: list[State], num_shards: int) -> dict[int, State]:
        task = GatherTask(self.store.root, tuple(states))
        items = [GatherItem(first, min(first + GATHER_SHARDS, num_shards)) for first in range(0, num_shards, GATHER_SHARDS)]
        results = self._find_or_run(task, items, f"{node.name}: back to rows", lambda item: merge_name(task.key(item)), _no_bytes)
        return {int(number): State(**state) for result in results for number, state in result.items()}

    def _used(self, node: Node) -> dict[str, StoredOutputs]:
        """The artifacts that a node declared, by the names it uses."""
        return {wanted: join_parts([self.outputs[name] for name in names], partitioned=False) for wanted, names in node.uses}

    def _gate(self, node: Node, counts: NodeCounts) -> None:
        """Fail the run where a judge dropped more than it may, or where an input that forbids bad rows has one."""
        operator = node.operator
        if not isinstance(operator, Judge):
            return
        strict = {entry.name for entry in self.recipe.inputs if entry.on_bad_row == "fail"}
        if node.step == INGEST and counts.dropped[DUPLICATE_ID]:
            for example in counts.examples[DUPLICATE_ID]:
                if example["source"] in strict:
                    raise DataError(
                        f"input {example['source']!r}: {counts.dropped[DUPLICATE_ID]} rows repeat an id (on_bad_row: fail), "
                        f"for instance {example['id']!r}: {example['detail']}"
                    )
        dropped = sum(counts.dropped.values())
        if counts.rows_in and dropped / counts.rows_in > operator.max_drop_ratio:
            rules = ", ".join(f"{rule} {count}" for rule, count in counts.dropped.most_common(4))
            raise RunError(
                f"step {node.step!r} drops {dropped} of {counts.rows_in} documents ({dropped / counts.rows_in:.1%}), more than its "
                f"max_drop_ratio {operator.max_drop_ratio:g} allows: {rules}. Look at its thresholds, or raise steps.{node.step}.max_drop_ratio"
            )

    # --- running tasks ---

    def _find_or_run(
        self,
        task: Callable[[Any], dict[str, Any]],
        items: Sequence[Any],
        label: str,
        name_of: Callable[[Any], str],
        size_of: Callable[[Any], int],
        nodes: tuple[Node, ...] = (),
    ) -> list[dict[str, Any]]:
        """Results in the order of the items: those that storage has, and the rest from the executor."""
        begin = time.monotonic()
        results: list[dict[str, Any] | None] = [
            self.store.read_json(name) if self.store.exists(name) else None for name in map(name_of, items)
        ]
        todo = [index for index, result in enumerate(results) if result is None]
        with self.progress.stage(label, len(items), reused=len(items) - len(todo)) as stage:
            for place, result in self.executor.map(task, [items[i] for i in todo], _resources(nodes), label):
                results[todo[place]] = result
                stage.advance(size_of(items[todo[place]]))
        self.records.append(StageRecord(label, len(items), len(todo), time.monotonic() - begin))
        return [result for result in results if result is not None]

    def _map(self, task: Callable[[Any], Any], items: Sequence[Any], label: str) -> list[Any]:
        """Results of a task that keeps its own memory of what it did."""
        results: list[Any] = [None] * len(items)
        with self.progress.stage(label, len(items)) as stage:
            for index, result in self.executor.map(task, items, Resources(), label):
                results[index] = result
                stage.advance()
        return results


def _nodes(stage: Stage) -> tuple[Node, ...]:
    match stage:
        case ShardStage():
            return stage.nodes
        case TableStage():
            return (stage.node,)
        case RepeatStage():
            return tuple(inner.node for inner in stage.stages)
        case _:
            assert_never(stage)


def _corpus(shards: list[dict[str, Any]], name: str) -> Corpus:
    labels = [f"shard {index}{f' of {name}' if name else ''} (from {shard['first']})" for index, shard in enumerate(shards)]
    return Corpus([view_of(shard) for shard in shards], labels, corpus_schema(shards), [[] for _ in shards])


def _resources(nodes: tuple[Node, ...]) -> Resources:
    """The most that any of the operators in a task asks for."""
    wanted = [type(node.operator).resources for node in nodes] or [Resources()]
    return Resources(
        max(r.cpus for r in wanted), max(r.gpus for r in wanted), max(r.memory_mb for r in wanted), any(r.resident for r in wanted)
    )


def _bad_rows_message(store: Store, record: InputRecord) -> str:
    from pipeline.storage import read_arrow

    first = read_arrow(store, record.bad[0]).slice(0, 1).to_pylist()[0]
    total = sum(record.quarantined.values())
    return (
        f"input {record.name!r}: {total} bad rows (on_bad_row: fail), the first at {first['origin']}: {first['rule']}"
        f"{': ' + first['detail'] if first['detail'] else ''}; mend the file, or set on_bad_row: quarantine"
    )


def _item_bytes(item: IngestItem) -> int:
    return item.bytes


def _view_bytes(item: ShardItem) -> int:
    return item.view.num_bytes


def _states_bytes(item: MergeItem) -> int:
    return sum(state.bytes for state in item.states)


def _no_bytes(item: object) -> int:
    del item
    return 0
