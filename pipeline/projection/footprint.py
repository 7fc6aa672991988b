"""The stages before and after the plan's, peak memory, and the disk that a whole run takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.intake import INSPECT_FILES
from pipeline.projection.timing import Times, Whole, state_bytes
from pipeline.reduce import MergeTask, TableTask

if TYPE_CHECKING:
    from pipeline.projection.flow import StepFlow
    from pipeline.projection.machine import Fixed, Machine
    from pipeline.projection.sampled_run import SampledRunner
    from pipeline.projection.sampling import Sample

STATE_COPIES: Final = 8
"""Memory that merging and finishing a state takes, per byte of it: measured on pre-token counts and their training."""
SHARD_COPIES: Final = (4.0, 12.0)
"""Bounds for the memory that a worker takes per byte of its shard; between them, what the sample's shards took."""


@dataclass(frozen=True)
class Measured:
    """What the dry run measured besides the plan: machine, fixed costs, the look at each input's files, publication.

    `growth_bytes` is the memory that the sampled run took beyond what was loaded; `files` what it published.
    """

    machine: Machine
    fixed: Fixed
    looks: dict[str, float]
    publish_seconds: float
    files: tuple[dict[str, Any], ...]
    growth_bytes: int


def add_ends(runner: SampledRunner, sample: Sample, whole: Whole, measured: Measured, times: Times) -> None:
    """Add the start, the look at the files, ingest and publication to the stages."""
    started = measured.fixed.start if whole.workers > 1 else 0.0
    first = [("start", (started + measured.fixed.load) * whole.crowding)]
    for sampled in sample.inputs:
        bundles = max(1, len(sampled.reading.files) // INSPECT_FILES)
        first.append((f"look at {sampled.name}", whole.clock([measured.looks[sampled.name] / bundles] * bundles)))
        rate = sampled.reading.seconds / max(1, sampled.reading.num_bytes)
        rate += runner.write_seconds[sampled.name] / max(1, sampled.num_bytes)
        first.append((f"ingest {sampled.name}", whole.clock([rate * size for size in whole.shards[sampled.name]])))
    last = list(whole.flows.values())[-1]
    parts = max(1, round(last.bytes_out / whole.shard_bytes))
    work = measured.publish_seconds * last.bytes_out / max(1.0, left_bytes(runner))
    times.stages[:0] = first
    times.stages.append(("publish", whole.clock([work / parts] * parts)))


def left_bytes(runner: SampledRunner) -> float:
    """Text of the sample's documents that are left at the end."""
    return float(sum(view.num_bytes for view in runner.corpus.views))


def memory(runner: SampledRunner, whole: Whole, times: Times, measured: Measured) -> float:
    """The driver, and in every worker its libraries and what one task holds; the largest state is in one of them."""
    held = max((shard["bytes"] for record in runner.inputs for shard in record.shards), default=1)
    largest = max((size for sizes in whole.shards.values() for size in sizes), default=0.0)
    low, high = SHARD_COPIES
    shard = largest * min(high, max(low, measured.growth_bytes / max(held, 1)))
    states = [0.0]
    for trace in runner.traces:
        if isinstance(trace.task, MergeTask | TableTask):
            size = sum(state_bytes(item) for item in trace.items)
            states.append(size * times.ratios.get(trace.task.node.name, 1.0))
    more = max(0.0, STATE_COPIES * max(states) - shard)
    driver = measured.fixed.started_bytes if whole.workers > 1 else 0
    return driver + whole.workers * (measured.fixed.loaded_bytes + shard) + more


def disk(
    runner: SampledRunner, sample: Sample, last: StepFlow, times: Times, measured: Measured
) -> tuple[float, float]:
    """Bytes of the work directory and of the output: the sample's files by what each kind grows with."""
    text = sum(s.bytes for s in sample.inputs) / max(1, sum(s.num_bytes for s in sample.inputs))
    rows = sum(s.rows for s in sample.inputs) / max(1, sum(s.num_documents for s in sample.inputs))
    folds = {node.work[:16]: times.ratios[name] for name, node in runner.plan.nodes.items() if name in times.ratios}
    work = 0.0
    root = Path(runner.store.base)
    for path in root.rglob("*"):
        if path.is_file():
            kind, *rest = path.relative_to(root).parts
            ratio = {"shards": text, "results": 1.0}.get(kind, folds.get(rest[0] if rest else "", rows))
            work += path.stat().st_size * ratio
    scale = {"corpus": last.bytes_out / max(1.0, left_bytes(runner)), "dropped": rows}
    return work, sum(file["bytes"] * scale.get(file["name"].partition("/")[0], 1.0) for file in measured.files)
