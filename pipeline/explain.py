"""A plan as text: the stages, what each reads and adds, and what of it is already done. Computes and writes nothing.

It walks the stages as a run would, but finds results only. The first stage that lacks one ends the walk: what comes
after it depends on what it will leave.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

from operators.base import DataError, Fold, Judge, RunError
from pipeline.check import columns_text, look_at, num_stages, plan_of
from pipeline.executors.local import LocalExecutor
from pipeline.grouping import InspectTask
from pipeline.ingest import IngestTask
from pipeline.intake import ingest_input
from pipeline.plan import Node, Plan, RepeatStage, ShardStage, Stage, TableStage
from pipeline.progress import Progress
from pipeline.publish import VERSIONS, published, run_id
from pipeline.run import Runner
from pipeline.storage import Store
from pipeline.vault import Vault
from pipeline.wording import count_of
from pipeline.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.headers import Header
    from pipeline.recipe import Recipe
    from pipeline.work import StoredTask

Item = TypeVar("Item")
WIDTH: Final = 110


class _NotDoneError(Exception):
    """A result that the next one depends on is not there."""


@dataclass
class _Found(Work):
    """Finds results and runs none; `seen` says of each set of tasks how many are done and how many there are."""

    seen: list[tuple[str, int, int]] = field(default_factory=list)

    def find_or_run(
        self, task: StoredTask[Item], items: Sequence[Item], label: str, **_: object
    ) -> list[dict[str, Any]]:
        """What is there. Unknown files are looked at; what was not ingested is left out; all else must be done."""
        results = [self._find(task.name_of(item)) for item in items]
        found = [result for result in results if result is not None]
        if isinstance(task, InspectTask):
            look: Callable[[Any], dict[str, Any]] = _Look(**vars(task))
            return [look(item) if result is None else result for item, result in zip(items, results, strict=True)]
        self.seen.append((label, len(found), len(items)))
        if len(found) < len(items) and not isinstance(task, IngestTask):
            raise _NotDoneError
        return found

    def all_done(self) -> bool:
        """Whether nothing was missing so far."""
        return all(done == total for _, done, total in self.seen)


class _Look(InspectTask):
    """Looks at files and remembers nothing."""

    def name_of(self, files: object) -> str:
        """Nowhere: `files` of any kind."""
        return ""


def explain(recipe: Recipe, work_dir: str, out: str = "") -> str:
    """The stages of a recipe as text."""
    recipe, headers = look_at(recipe)
    store = Vault(work_dir)
    work = _Found(store, LocalExecutor(1), Progress(None, recipe.name, quiet=True))
    runner = Runner(recipe, store, work.executor, work.progress)
    runner.work = work
    plan = plan_of(recipe, headers)
    ingest = [f"  {line}" for line in _ingest_lines(recipe, headers, work)]
    is_done = work.all_done()
    if is_done:
        runner.ingest()
        plan = runner.plan
    lines = [*_title(plan, headers), "", "stage 1: ingest", *ingest]
    waits_for = 0 if is_done else 1
    for number, stage in enumerate(plan.stages, start=2):
        lines += ["", f"stage {number}: {_stage_title(stage)}", *_stage_lines(plan, stage)]
        if waits_for:
            lines.append(f"  not known before stage {waits_for} has run")
            continue
        work.seen.clear()
        is_done, said = _walk(runner, stage)
        lines += [f"  {line}" for line in said]
        waits_for = 0 if is_done else number
    last = num_stages(plan)
    lines += ["", f"stage {last}: publish to {out or recipe.outputs.path}"]
    lines.append(f"  not known before stage {waits_for} has run" if waits_for else f"  {_published(runner, out)}")
    return "\n".join(_wrapped(line) for line in lines)


def _wrapped(line: str) -> str:
    """A line that fits a page; what follows is indented below it."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _title(plan: Plan, headers: list[Header]) -> list[str]:
    recipe = plan.recipe
    inputs, steps = count_of(len(recipe.inputs), "input"), count_of(len(recipe.steps), "step")
    return [
        f"{recipe.name}: seed {recipe.seed}, {inputs}, {steps}, {num_stages(plan)} stages",
        f"columns: {columns_text(plan, headers)}",
    ]


def _ingest_lines(recipe: Recipe, headers: list[Header], work: _Found) -> list[str]:
    """Each input with what is done of it. Where nothing was ever ingested here, no file is hashed to find that out."""
    if not work.store.names("ingested"):
        work.seen.append(("ingest", 0, 1))
        return [f"{header.line}; to do" for header in headers]
    lines = []
    for header, entry in zip(headers, recipe.inputs, strict=True):
        ingest_input(work, recipe, entry)
        _, done, total = work.seen[-1]
        lines.append(f"{header.line}; {_share(done, total)}")
    return lines


def _stage_title(stage: Stage) -> str:
    match stage:
        case ShardStage():
            steps = ", ".join(dict.fromkeys(node.step for node in stage.nodes))
            return f"rows of input {stage.source!r}: {steps}" if stage.source else f"rows: {steps}"
        case TableStage():
            return f"table {stage.source}/{stage.table}: {stage.node.name}"
        case RepeatStage():
            return f"repeat until {stage.source}/{stage.table} is empty, at most {stage.max_rounds} rounds"
        case _:
            assert_never(stage)


def _stage_lines(plan: Plan, stage: Stage) -> list[str]:
    match stage:
        case ShardStage():
            nodes = stage.nodes
        case TableStage():
            nodes = (stage.node,)
        case RepeatStage():
            nodes = tuple(inner.node for inner in stage.stages)
        case _:
            assert_never(stage)
    lines = []
    for node in nodes:
        lines.append(f"  {node.name}: {_form(node)}, {plan.fingerprint(node.name)[:12]}")
        lines += [f"    {line}" for line in _node_lines(node, over_rows=isinstance(stage, ShardStage))]
    return lines


def _form(node: Node) -> str:
    operator = node.operator
    if isinstance(operator, Fold):
        return "fold"
    if isinstance(operator, Judge):
        return "judge, audit: drops nothing" if operator.audit else "judge"
    return "map"


def _node_lines(node: Node, *, over_rows: bool) -> list[str]:
    operator = node.operator
    lines = []
    if over_rows and operator.needs():
        lines.append(f"reads {', '.join(operator.needs())}")
    if node.joins:
        lines.append(f"joins the rows of {node.joins}")
    lines += [f"uses the artifacts of {', '.join(names)}" for _, names in node.uses]
    added = [public for name, public in node.columns.items() if not name.startswith("_")]
    if isinstance(operator, Judge) and operator.audit:
        added.append(f"{node.step}_verdict")
    if added:
        lines.append(f"adds {', '.join(added)}")
    if isinstance(operator, Fold):
        lines.append(_reduction(operator))
    needs = operator.wants()
    if needs != replace(needs, cpus=1, gpus=0, resident=False):
        gpus = f", {needs.gpus:g} GPU" if needs.gpus else ""
        resident = ", workers that keep its model" if needs.resident else ""
        lines.append(f"needs {needs.cpus:g} CPU{gpus}, {needs.memory_mb} MB{resident}")
    return lines


def _reduction(fold: Fold) -> str:
    if fold.per_shard:
        return "finish for each shard"
    apart = "finish in partitions" if fold.partitioned else "finish"
    return f"exchange by {fold.key}, {apart}" if fold.key else "merge tree, finish"


def _walk(runner: Runner, stage: Stage) -> tuple[bool, list[str]]:
    """Whether a stage is done, and of each of its parts how much is."""
    work = runner.work
    assert isinstance(work, _Found)
    problem: list[str] = []
    try:
        runner.run_stage(stage)
        is_done = True
    except _NotDoneError:
        is_done = False
    except (RunError, DataError) as error:
        is_done, problem = False, [f"fails: {error}"]
    return is_done, [f"{label}: {_share(done, total)}" for label, done, total in work.seen] + problem


def _share(done: int, total: int) -> str:
    return f"{count_of(total, 'task')} done" if done == total else f"{done} of {count_of(total, 'task')} done"


def _published(runner: Runner, out: str) -> str:
    name = run_id(runner)
    is_there = published(Store(out or runner.recipe.outputs.path), f"{VERSIONS}/{name}") is not None
    return f"snapshot {name} {'is published' if is_there else 'is to be written'}"
