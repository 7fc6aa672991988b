"""The real plan on a sample: the engine's own runner, but for where its shards come from and for its gates.

Every input's sample lies in two shards, halves by hash, so that what grows slower than the corpus (distinct words) can
be told from what grows with it. Gates stop nothing here: a broken one becomes a warning of the projection.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import DataError
from operators.budgets import BudgetedStep
from pipeline.corpus import HIDDEN, Frame
from pipeline.executors.local import LocalExecutor
from pipeline.ingest import _ShardWriter
from pipeline.intake import InputRecord
from pipeline.plan import ShardStage, make_plan
from pipeline.progress import Progress
from pipeline.projection.reading import Block
from pipeline.run import Runner, _corpus
from pipeline.storage import read_arrow
from pipeline.vault import Vault
from pipeline.work import PLAIN, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from operators.base import Resources
    from pipeline.corpus import View
    from pipeline.ledger import NodeCounts
    from pipeline.plan import Node
    from pipeline.projection.sampling import Sample, Sampled
    from pipeline.recipe import Recipe
    from pipeline.work import StoredTask

HALVES: Final = 2
FEWEST: Final = 100
"""Documents that a budget lets through in the sampled run, if it is not itself smaller: later steps need some."""


@dataclass(frozen=True)
class Trace:
    """One set of tasks of the sampled run: what ran, on what, with which results, for how long."""

    label: str
    task: Any
    items: tuple[Any, ...]
    results: tuple[dict[str, Any], ...]
    seconds: float


class TracedWork(Work):
    """Runs tasks in this process and notes what each set of them did."""

    def __init__(self, store: Vault, recipe: str, *, quiet: bool) -> None:
        super().__init__(store, LocalExecutor(1), Progress(None, recipe, quiet=quiet))
        self.traces: list[Trace] = []

    @override
    def find_or_run(
        self,
        task: StoredTask[Any],
        items: Sequence[Any],
        label: str,
        *,
        size_of: Callable[[Any], int] | None = None,
        wants: Resources = PLAIN,
        as_found: Callable[[dict[str, Any]], None] | None = None,
    ) -> list[dict[str, Any]]:
        begin = time.perf_counter()
        results = super().find_or_run(task, items, label, size_of=size_of, wants=wants, as_found=as_found)
        self.traces.append(Trace(label, task, tuple(items), tuple(results), time.perf_counter() - begin))
        return results


class SampledRunner(Runner):
    """Runs the plan on a sample; with `limit`, on so many documents of each half of it."""

    def __init__(self, recipe: Recipe, store: Vault, sample: Sample, *, quiet: bool, limit: int | None = None) -> None:
        self.traced = TracedWork(store, recipe.name, quiet=quiet)
        super().__init__(observed(recipe, sample), store, self.traced.executor, self.traced.progress)
        self.work = self.traced
        self.sample = sample
        self.limit = limit
        self.order: dict[str, NDArray[np.int64]] = {}
        self.input_of: dict[str, str] = {}
        self.half_of: dict[str, int] = {}
        self.write_seconds: dict[str, float] = {}

    @property
    def traces(self) -> list[Trace]:
        """What every set of tasks did."""
        return self.traced.traces

    @override
    def ingest(self) -> None:
        """As the runner does, from the sample."""
        corpora: list[dict[str, Any]] = []
        for sampled in self.sample.inputs:
            record = self._write(sampled)
            self.inputs.append(record)
            if sampled.is_corpus:
                corpora.extend(record.shards)
            else:
                self.corpora[sampled.name] = _corpus(record.shards, sampled.name)
        if not corpora:
            found = [f"{s.name}: {len(s.reading.files)} files, bad rows {list(s.bad)}" for s in self.sample.corpora]
            raise DataError(f"what was read of the inputs holds no document: {'; '.join(found)}")
        corpus = _corpus(corpora, "")
        self.plan = make_plan(self.recipe, {c.name: c.type for c in corpus.schema if c.name not in HIDDEN})
        for name, (kind, _) in self.plan.added().items():
            corpus.schema = corpus.schema.append(pa.field(name, kind))
        self.corpora[""] = corpus

    def _write(self, sampled: Sampled) -> InputRecord:
        """Write an input's sample as shards, one for each half; note which document lies where."""
        begin = time.perf_counter()
        record = InputRecord(sampled.name, len(sampled.reading.files))
        spec = replace(sampled.reading.spec, shard_bytes=1 << 62)
        for half in range(HALVES):
            blocks, places = _half(sampled, half, self.limit)
            for number, block in enumerate(blocks):
                writer = _ShardWriter(self.store, f"shards/{sampled.name}-{half}-{number}", spec, block.format)
                writer.add(block.documents["_path"][0].as_py(), block.documents)
                (shard,) = writer.finish()
                record.shards.append(shard)
                self.order[shard["file"]] = places[number]
                self.input_of[shard["file"]] = sampled.name
                self.half_of[shard["file"]] = half
        record.rows_read = sum(shard["rows"] for shard in record.shards)
        record.bytes = sum(shard["bytes"] for shard in record.shards)
        self.write_seconds[sampled.name] = time.perf_counter() - begin
        return record

    @override
    def run(self, until: str = "") -> None:
        """Run the stages until no document is left: what comes after that has nothing to measure."""
        self.ingest()
        for stage in self.plan.stages:
            if isinstance(stage, ShardStage) and not stage.source and not self.num_left:
                return
            self.run_stage(stage)

    @property
    def num_left(self) -> int:
        """Documents of the sample that are still there."""
        return sum(view.num_rows for view in self.corpus.views)

    @override
    def _gate(self, node: Node, counts: NodeCounts) -> None:
        """Let everything through: the projection looks at the gates."""


def observed(recipe: Recipe, sample: Sample) -> Recipe:
    """The recipe for the sample.

    Draws by chance only record: what they keep is known, and later steps need the rows. Other budgets are as much
    smaller as the sample is.
    """
    steps = tuple(_observed(step, sample) if isinstance(step, BudgetedStep) else step for step in recipe.steps)
    return recipe.model_copy(update={"steps": steps})


def _observed(step: BudgetedStep, sample: Sample) -> BudgetedStep:
    draw = step.draws()
    if draw.how == "chance":
        return step.model_copy(update={"audit": True})
    if sample.is_everything:
        return step
    if draw.how == "mixture":
        step = step.model_copy(update={"audit": True})
    if not draw.amount:
        return step
    docs, rows = (sum(of) for of in zip(*((s.num_documents, s.rows) for s in sample.corpora), strict=True))
    size, whole = (sum(of) for of in zip(*((s.num_bytes, s.bytes) for s in sample.corpora), strict=True))
    factor = docs / max(rows, 1.0) if draw.docs is not None else size / max(whole, 1.0)
    least = FEWEST if draw.docs is not None else FEWEST * size / max(docs, 1)
    if draw.how != "beside":  # There more than the budget's share could not be told from the rows that stay.
        factor = max(factor, least / draw.amount)
    return step.scaled(min(factor, 1.0))


def _half(sampled: Sampled, half: int, limit: int | None) -> tuple[list[Block], list[NDArray[np.int64]]]:
    """The documents of one half, by a bit of the key, and their numbers; the first `limit` of them."""
    blocks: list[Block] = []
    places: list[NDArray[np.int64]] = []
    start = 0
    for block in sampled.blocks:
        stop = start + block.documents.num_rows
        mine = np.flatnonzero((sampled.keys[start:stop] >> np.uint64(7)) % np.uint64(HALVES) == half)
        if limit is not None:
            mine = mine[: limit - sum(len(p) for p in places)]
        if len(mine):
            blocks.append(Block(block.format, block.documents.take(pa.array(mine)), block.slices[mine]))
            places.append(mine + start)
        start = stop
    return blocks, places


@dataclass(frozen=True)
class Fates:
    """What became of each document of the corpus sample, inputs one after the other.

    `step` is the index (in `steps`) of the step that dropped it, -1 where it was kept; `similarity` is that to its
    survivor (1 where none is known), `partner` the survivor's place, -1 where there is none.
    """

    steps: tuple[str, ...]
    stratum: NDArray[np.int64]
    slices: NDArray[np.int64]
    keys: NDArray[np.uint64]
    lengths: NDArray[np.float64]
    step: NDArray[np.int64]
    rule: NDArray[np.object_]
    similarity: NDArray[np.float64]
    partner: NDArray[np.int64]
    groups: dict[str, NDArray[np.object_]]

    @property
    def is_local(self) -> NDArray[np.bool_]:
        """Whether the survivor lay in the same slice of the same input."""
        near = (self.stratum[self.partner] == self.stratum) & (self.slices[self.partner] == self.slices)
        return np.asarray((self.partner >= 0) & near, bool)


def fates(runner: SampledRunner, sample: Sample, steps: tuple[str, ...], columns: Sequence[str]) -> Fates:
    """Read the sampled run's traces. `columns` are those whose values the projection needs (of `sample` steps)."""
    sizes = [sampled.num_documents for sampled in sample.corpora]
    starts = dict(zip((sampled.name for sampled in sample.corpora), np.cumsum([0, *sizes]).tolist(), strict=False))
    total = sum(sizes)
    lengths, step, similarity = np.zeros(total), np.full(total, -1, np.int64), np.ones(total)
    ids, rule = np.full(total, "", object), np.full(total, "", object)
    groups = {column: np.full(total, None, object) for column in columns}
    lost: list[tuple[NDArray[np.int64], list[str | None]]] = []
    for view, dropped in zip(runner.corpus.views, runner.corpus.dropped, strict=True):
        places = runner.order[view.shard] + starts[runner.input_of[view.shard]]
        table = _all_rows(runner, view, ["id", "text", *columns])
        ids[places] = table["id"].to_pylist()
        lengths[places] = pc.binary_length(table["text"]).to_numpy()
        for column in columns:
            groups[column][places] = table[column].to_pylist()
        for file, names in dropped:
            trace = read_arrow(runner.store, file)
            mine = places[trace["_row"].to_numpy()]
            step[mine] = [steps.index(names[node]) for node in trace["node"].to_pylist()]
            rule[mine] = trace["rule"].to_pylist()
            similarity[mine] = pc.fill_null(trace["similarity"], 1.0).to_numpy()
            lost.append((mine, trace["survivor"].to_pylist()))
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    slices = np.concatenate([sampled.slices for sampled in sample.corpora])
    keys = np.concatenate([sampled.keys for sampled in sample.corpora])
    partner = _partners(ids.tolist(), lost)
    return Fates(steps, stratum, slices, keys, lengths, step, rule, similarity, partner, groups)


def _all_rows(runner: SampledRunner, view: View, columns: Sequence[str]) -> pa.Table:
    """Columns of all of a shard's documents, the dropped ones too; the text as it was read."""
    before = {name: place for name, place in view.columns.items() if name != "text"}
    frame = Frame(runner.store, replace(view, selection="", columns=before), runner.corpus.schema)
    return frame.table(list(dict.fromkeys(columns)))


def _partners(ids: list[str], lost: list[tuple[NDArray[np.int64], list[str | None]]]) -> NDArray[np.int64]:
    """For each document its survivor's place; -1 where it lost to none."""
    place_of = {name: place for place, name in enumerate(ids)}
    partners = np.full(len(ids), -1, np.int64)
    for mine, survivors in lost:
        partners[mine] = [place_of.get(survivor, -1) if survivor else -1 for survivor in survivors]
    return partners


def audited_shares(runner: SampledRunner, steps: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """For steps with `audit`: rule -> share of the rows that it would have dropped."""
    shares: dict[str, dict[str, float]] = {step: {} for step in steps}
    for node in runner.plan.nodes.values():
        counts = runner.counts.get(node.name)
        if counts is not None and counts.audited and counts.rows_in and node.step in shares:
            shares[node.step] = {rule: count / counts.rows_in for rule, count in counts.audited.items()}
    return shares
