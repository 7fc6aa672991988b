"""Processes against threads for the local executor: the quickstart's steps without training. See docs/adr/0002.

Prints a Markdown table: the median wall time of five runs each, in turns, with the largest memory; every run in a
process of its own, after kernels and files were read once. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from operators.base import Resources
from pipeline.executors.base import Executor
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import Recipe, load_recipe
from pipeline.session import run_recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "quickstart.yaml"
MODES = ("one worker", "two processes", "two threads")
RUNS = 5
Item = TypeVar("Item")
Result = TypeVar("Result")


class ThreadExecutor:
    """What `LocalExecutor` would be with threads."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers)
        pa.set_cpu_count(1)
        pa.set_io_thread_count(1)

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resources: Resources, label: str
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor.map`."""
        del resources, label
        places = {self._pool.submit(task, item): index for index, item in enumerate(items)}
        for future in as_completed(places):
            yield places[future], future.result()

    def refuse(self, resources: Resources) -> None:
        """See `Executor.refuse`."""

    def close(self) -> None:
        """See `Executor.close`."""
        self._pool.shutdown()


def executor_of(mode: str) -> Executor:
    """The executor of a mode."""
    if mode == "two threads":
        return ThreadExecutor(2)
    return LocalExecutor(2 if mode == "two processes" else 1)


def without_training() -> Recipe:
    """The quickstart's recipe up to its statistics, so that all that is measured is work over shards."""
    recipe = load_recipe(str(RECIPE))
    kept = tuple(step for step in recipe.steps if getattr(step, "kind", "") != "train_tokenizer")
    return recipe.model_copy(update={"steps": kept})


def once(mode: str) -> dict[str, Any]:
    """One run in this process: seconds by stage, peak memory, and a digest of what it published."""
    home = Path(tempfile.mkdtemp())
    executor = executor_of(mode)
    try:
        result = run_recipe(
            without_training(), executor, out=str(home / "out"), work_dir=str(home / "work"), quiet=True
        )
        digest = hashlib.sha256()
        for path in sorted((home / "out" / "corpus").glob("*.parquet")):
            digest.update(path.read_bytes())
    finally:
        executor.close()
        shutil.rmtree(home)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    return {
        "seconds": result["seconds"], "cpu": cpu, "mb": result["peak_rss_mb"], "digest": digest.hexdigest(),
    }  # fmt: skip


def main() -> int:
    """Measure every mode in turns and print the table."""
    parser = argparse.ArgumentParser(description="Processes against threads for the local executor.")
    parser.add_argument("--once", choices=MODES)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.once)))
        return 0
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for _ in range(RUNS):
        for mode in MODES:
            command = [sys.executable, __file__, "--once", mode]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            found[mode].append(json.loads(done.stdout))
    if len({run["digest"] for runs in found.values() for run in runs}) != 1:
        print("the published corpora differ", file=sys.stderr)
        return 1
    print("| local executor | seconds (median of 5) | fastest | CPU seconds | peak memory, MB |\n|---|---|---|---|---|")
    for mode, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        cpu, memory = (statistics.median(run[name] for run in runs) for name in ("cpu", "mb"))
        print(f"| {mode} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {cpu:.1f} | {memory:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
