"""One run from a recipe to a published snapshot: directories, lock, status, and what is said at the end."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from operators.base import DataError, RecipeError, RunError
from pipeline.check import describe, look_at, plan_of
from pipeline.intake_warnings import left_out
from pipeline.manifest import make_manifest, summary
from pipeline.progress import MemoryWatch, Progress
from pipeline.publish import VERSIONS, make_current, publish, published, run_id, write_front
from pipeline.report.page import render
from pipeline.run import Runner
from pipeline.storage import Store, exclusive
from pipeline.vault import Vault
from pipeline.work import most

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.executors.base import Executor
    from pipeline.recipe import Recipe


def places(recipe: Recipe, out: str, work_dir: str) -> tuple[str, str]:
    """The output and the work directory of a run."""
    out = out or recipe.outputs.path
    return out, work_dir or default_work_dir(out)


def default_work_dir(out: str) -> str:
    """`.vocabmill` beside the output."""
    parent, slash, _ = out.rstrip("/").rpartition("/")
    return f"{parent}{slash}.vocabmill"


def run_recipe(
    recipe: Recipe, executor: Executor, *, out: str = "", work_dir: str = "", until: str = "", quiet: bool = False
) -> dict[str, Any]:
    """Run, publish and report; returns the summary that `--json` prints. Holds the work directory meanwhile."""
    out, work_dir = places(recipe, out, work_dir)
    recipe, headers = look_at(recipe)
    describe(recipe, headers, out, work_dir)
    executor.refuse(most(tuple(plan_of(recipe, headers).nodes.values())))
    work, target = Vault(work_dir), Store(out)
    begin = time.monotonic()
    with exclusive(Store(work_dir)), exclusive(Store(f"{out}/{VERSIONS}")), MemoryWatch() as memory:
        work.sweep()
        target.sweep()
        progress = Progress(Store(work_dir), recipe.name, quiet=quiet)
        progress.note(out=target.base, state="running")
        try:
            runner = Runner(recipe, work, executor, progress)
            _run(runner, until)
            if until:
                progress.note(state="stopped", message=f"stopped after {until}")
                return {
                    "status": "stopped",
                    "until": until,
                    "out": out,
                    "steps": [],
                    "seconds": time.monotonic() - begin,
                }
            directory = f"{VERSIONS}/{run_id(runner)}"
            files = published(target, directory)
            fresh = files is None
            files = publish(runner, target, directory) if files is None else files
            manifest = make_manifest(runner, directory, files, time.monotonic() - begin, memory.peak_mb)
            if fresh:
                reader = _reader(target, directory)
                write_front(target, directory, manifest, render(manifest, reader))
            make_current(target, directory)
        except BaseException as error:
            with contextlib.suppress(OSError):  # A full disk must not hide why the run failed.
                progress.note(state="failed", message=str(error) or type(error).__name__)
            raise
        progress.note(state="done", message=directory)
    return summary(manifest, out)


def _run(runner: Runner, until: str) -> None:
    """Run; a step that fails after many rows were left out is not blamed alone."""
    try:
        runner.run(until)
    except (RecipeError, RunError) as error:
        lines = left_out(runner) if runner.counts else []
        if not lines or type(error) not in (RecipeError, DataError, RunError):
            raise
        raise type(error)(f"{error} (before that, {'; '.join(lines)})") from error


def rebuild_report(out: str) -> str:
    """Render the report of the current snapshot again; returns its path."""
    target = Store(out)
    if not target.exists("manifest.json"):
        raise RecipeError(f"{out!r} holds no finished run: there is no manifest.json; run the recipe first")
    manifest = target.read_json("manifest.json")
    directory = manifest["version"]
    target.write(f"{directory}/report.html", render(manifest, _reader(target, directory)).encode())
    return target.full("report.html")


def _reader(target: Store, directory: str) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        return target.read(f"{directory}/{name}")

    return read
