"""`vocabmill dry-run`: the real plan on a stratified sample, and what the whole run would come to.

Nothing is written but into a temporary directory, and nothing runs but in this process (and one bare interpreter, to
see how long a worker takes to start). What is projected, how, and how sure it is: docs/dry-run.md.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa

from operators.base import RunError
from pipeline.check import look_at
from pipeline.progress import MemoryWatch
from pipeline.projection.assembly import assemble
from pipeline.projection.footprint import Measured
from pipeline.projection.machine import Fixed, Machine, WorkerStart, look_seconds, temporary_root, warm_up
from pipeline.projection.sampled_run import SampledRunner
from pipeline.projection.sampling import draw_sample
from pipeline.publish import publish
from pipeline.storage import Store
from pipeline.terminal import say
from pipeline.vault import Vault
from pipeline.wording import count_of

if TYPE_CHECKING:
    from pipeline.executors.base import Executor
    from pipeline.projection.result import Projection
    from pipeline.recipe import Recipe


def project(recipe: Recipe, executor: Executor, docs: int, *, quiet: bool = False) -> Projection:
    """Run the plan on about `docs` documents and project rows, bytes, time, memory and disk of the whole run.

    Of the executor only the number of its workers is used.

    Raises:
        RecipeError, DataError, RunError: what the whole run would raise too, but for gates: those become warnings.
    """
    begin = time.perf_counter()
    recipe, _ = look_at(recipe)
    threads = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        with temporary_root() as name:
            projection = _project(recipe, executor.workers, docs, Path(name), quiet=quiet)
    finally:
        pa.set_cpu_count(threads[0])
        pa.set_io_thread_count(threads[1])
    return replace(projection, took_seconds=round(time.perf_counter() - begin, 3))


def _project(recipe: Recipe, workers: int, docs: int, root: Path, *, quiet: bool) -> Projection:
    if not quiet:
        names = ", ".join(spec.name for spec in recipe.inputs)
        say(f"drawing a sample of about {count_of(docs, 'document')} from {names}")
    with WorkerStart() as start:
        sample = draw_sample(recipe, docs)
        start_seconds, started_bytes = start.result()
    machine = Machine.now(workers)
    few = warm_up(recipe, sample, root)
    before = psutil.Process().memory_info().rss
    loaded = max(started_bytes, before - pa.total_allocated_bytes())
    fixed = Fixed(start_seconds, few.load, few.per_task, started_bytes, loaded)
    looks = {sampled.name: look_seconds(sampled.reading, root) for sampled in sample.inputs}
    runner = SampledRunner(recipe, Vault(str(root / "work")), sample, quiet=quiet)
    with MemoryWatch() as memory:
        try:
            runner.run()
        except RunError as error:
            msg = f"{error} (of a sample of about {count_of(docs, 'document')}: --docs draws more)"
            raise RunError(msg) from error
        then = time.perf_counter()
        files = publish(runner, Store(str(root / "out")), "version")
    publish_seconds = time.perf_counter() - then
    measured = Measured(machine, fixed, looks, publish_seconds, tuple(files), max(0, memory.peak - before))
    return assemble(recipe, runner, few.traces, sample, measured, workers)
