"""From the sampled run's tasks to the time of the whole run on so many workers.

Work over rows costs what the sample's bytes of the same input cost, times the bytes that reach the step. Work over a
fold's state costs by the state's rows, which grow as a power of the corpus: 1 for a state with a row per document,
less where equal keys merge (Heaps' law for distinct words). The power is fitted on the sample's two halves.
Every task also costs a constant, measured on a handful of documents, and the run once what a worker needs to start.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from operators.base import ROW, SHARD, Fold
from pipeline.exchange import BUCKETS, PARTITION_BYTES, State
from pipeline.folding import GATHER_SHARDS
from pipeline.grouping import Inspected, group_files
from pipeline.projection.reading import Reading, estimate
from pipeline.projection.slices import COLUMNAR
from pipeline.readers.base import Piece
from pipeline.reduce import GatherTask, MergeItem, MergeTask, TableTask
from pipeline.shard_task import ShardTask
from pipeline.storage import read_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.plan import Node
    from pipeline.projection.flow import StepFlow
    from pipeline.projection.sampled_run import SampledRunner, Trace


@dataclass
class Times:
    """The whole run: seconds of each step (all workers together), of each stage by the clock, and states' growth."""

    steps: dict[str, float] = field(default_factory=dict)
    stages: list[tuple[str, float]] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    powers: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """All stages by the clock."""
        return sum(seconds for _, seconds in self.stages)

    def add(self, step: str, seconds: float) -> None:
        """More work for a step."""
        self.steps[step] = self.steps.get(step, 0.0) + seconds


@dataclass(frozen=True)
class Whole:
    """The whole run's size.

    Bytes of each shard by input; projected flow by step, in order; the corpus inputs that a flow's arrays speak of;
    bytes of each input; workers, how much slower each is among the others than one alone, and the seconds that any
    task costs.
    """

    shards: dict[str, tuple[float, ...]]
    flows: dict[str, StepFlow]
    strata: tuple[str, ...]
    sizes: dict[str, float]
    shard_bytes: int
    workers: int
    crowding: float
    per_task: float

    def clock(self, tasks: Iterable[float]) -> float:
        """Tasks in order, each to the worker that is free first: the time until the last ends.

        >>> Whole({}, {}, (), {}, 1, workers=2, crowding=1.0, per_task=0.0).clock([3, 2, 2])
        4.0
        """
        free = [0.0] * self.workers
        for seconds in tasks:
            heapq.heapreplace(free, free[0] + (seconds + self.per_task) * self.crowding)
        return max(free)


def shard_sizes(reading: Reading, total: float) -> tuple[float, ...]:
    """The bytes of text of the shards that ingest would make of an input that holds `total` bytes."""
    limit = reading.spec.shard_bytes
    scale = total / max(1, estimate(reading))
    inspected = []
    for file, layout in zip(reading.files, reading.layouts, strict=True):
        size = int(layout.bytes * scale)
        pieces = layout.pieces
        if pieces[0].format in COLUMNAR:
            pieces = (Piece(file, pieces[0].format),) * max(1, round(size / limit))
        inspected.append(Inspected(file, "", size, pieces))
    found: list[float] = []
    for item in group_files(inspected, limit):
        parts = max(1, math.ceil(item.bytes / limit - 1e-9))
        found.extend([item.bytes / parts] * parts)
    return tuple(found)


def project_times(runner: SampledRunner, few: Sequence[Trace], whole: Whole) -> Times:
    """The stages of the sampled run at the size of the whole one; `few` are those of the run on a few documents."""
    times = Times()
    constants = {trace.label: trace for trace in few}
    for trace in runner.traces:
        if not trace.items:
            continue
        match trace.task:
            case ShardTask():
                _shard_stage(runner, trace, constants.get(trace.label), whole, times)
            case MergeTask() | TableTask():
                _state_stage(trace, constants.get(trace.label), whole, times)
            case GatherTask():
                _gather_stage(trace, whole, times)
    return times


def _shard_stage(runner: SampledRunner, trace: Trace, few: Trace | None, whole: Whole, times: Times) -> None:
    tasks: dict[str, float] = {}
    for place, node in enumerate(trace.task.nodes):
        constant = _constant(trace, few, place)
        spent: dict[str, list[float]] = {}
        for item, result in zip(trace.items, trace.results, strict=True):
            counts = result["nodes"][place]["counts"]
            have = spent.setdefault(runner.input_of[item.view.shard], [0.0, 0.0])
            have[0] += max(0.0, counts["seconds"] - constant)
            have[1] += counts["bytes_in"]
        mean = sum(s for s, _ in spent.values()) / max(1.0, sum(b for _, b in spent.values()))
        for name, (seconds, size) in spent.items():
            rate = seconds / size if size else mean
            work = rate * _bytes_in(whole, node, name) + constant * len(whole.shards[name])
            tasks[name] = tasks.get(name, 0.0) + work
            times.add(node.step, work)
        if isinstance(node.operator, Fold):
            times.powers[node.name] = _power(runner, trace, place, node.operator)
            times.ratios[node.name] = _growth(runner, trace, place, whole, node, times.powers[node.name])
    clock = []
    for name, work in tasks.items():
        shards = whole.shards[name]
        clock += [work * size / max(1.0, sum(shards)) for size in shards]
    times.stages.append((trace.label, whole.clock(clock)))


def _constant(trace: Trace, few: Trace | None, place: int) -> float:
    """Seconds of a node per shard that do not depend on its rows: from the line through the sample's and few rows."""
    if few is None or not few.results or place >= len(few.results[0]["nodes"]):
        return 0.0
    (many_s, many_b), (few_s, few_b) = (
        [
            sum(result["nodes"][place]["counts"][name] for result in runs.results) / len(runs.results)
            for name in ("seconds", "bytes_in")
        ]
        for runs in (trace, few)
    )
    if many_b <= 2 * few_b:
        return 0.0
    return float(min(few_s, max(0.0, few_s - few_b * (many_s - few_s) / (many_b - few_b))))


def _bytes_in(whole: Whole, node: Node, name: str) -> float:
    if node.step in whole.flows and name in whole.strata:
        return float(whole.flows[node.step].bytes_in[whole.strata.index(name)])
    return whole.sizes[name]


def _growth(runner: SampledRunner, trace: Trace, place: int, whole: Whole, node: Node, power: float) -> float:
    """How many times the sample's state the whole state is."""
    have = sum(result["nodes"][place]["counts"]["bytes_in"] for result in trace.results)
    names = {runner.input_of[item.view.shard] for item in trace.items}
    want = sum(_bytes_in(whole, node, name) for name in names)
    return float((want / have) ** power) if have else 1.0


def _power(runner: SampledRunner, trace: Trace, place: int, fold: Fold) -> float:
    """The power with which a fold's merged state grows: log(rows / rows of a half) / log(bytes / bytes of the half)."""
    if type(fold).merge is Fold.merge:
        return 1.0
    states: list[list[pa.Table]] = [[], []]
    sizes = [0.0, 0.0]
    for number, (item, result) in enumerate(zip(trace.items, trace.results, strict=True)):
        half = runner.half_of[item.view.shard]
        state = read_arrow(runner.store, result["nodes"][place]["state"]["file"]).replace_schema_metadata(None)
        if ROW in state.column_names and SHARD not in state.column_names:
            state = state.append_column(SHARD, pa.array([number] * state.num_rows, pa.int32()))
        states[half].append(state)
        sizes[half] += result["nodes"][place]["counts"]["bytes_in"]
    if not all(states) or not all(sizes):
        return 1.0
    halves = [fold.merge(pa.concat_tables(tables)) for tables in states]
    rows = fold.merge(pa.concat_tables(halves)).num_rows
    found = [
        math.log(rows / half.num_rows) / math.log(sum(sizes) / size)
        for half, size in zip(halves, sizes, strict=True)
        if half.num_rows and rows
    ]
    return min(1.0, max(0.0, sum(found) / len(found))) if found else 1.0


def _state_stage(trace: Trace, few: Trace | None, whole: Whole, times: Times) -> None:
    node = trace.task.node
    ratio = times.ratios.get(node.name)
    if ratio is None:  # A fold over an earlier fold's table grows with that table.
        source = node.operator.source().removeprefix("stage:").partition("/")[0]
        ratio = times.ratios.get(f"{node.step}/{source}", 1.0)
        times.ratios[node.name] = ratio
    constant = min(trace.seconds, few.seconds if few is not None else whole.per_task * len(trace.items))
    work = (trace.seconds - constant) * ratio + constant
    parts = num_parts(sum(state_bytes(item) for item in trace.items) * ratio) if node.operator.key else 1
    times.add(node.step, work)
    times.stages.append((trace.label, whole.clock([work / parts] * parts)))


def _gather_stage(trace: Trace, whole: Whole, times: Times) -> None:
    """One slice file for every shard that gets rows back, `GATHER_SHARDS` to a task."""
    written = max(1, sum(len(result) for result in trace.results))
    shards = sum(len(sizes) for sizes in whole.shards.values())
    tasks = -(-shards // GATHER_SHARDS)
    work = max(trace.seconds - whole.per_task, 0.0) * shards / written
    times.stages.append((trace.label, whole.clock([work / tasks] * tasks)))


def state_bytes(item: MergeItem | State) -> int:
    """The size of what a merge or a fold over a table reads."""
    return item.bytes if isinstance(item, State) else sum(state.bytes for state in item.states)


def num_parts(size: float) -> int:
    """Partitions of a keyed state, as the engine cuts them."""
    wanted = max(1, math.ceil(size / PARTITION_BYTES))
    return min(BUCKETS, 1 << (wanted - 1).bit_length())
