"""Is this recipe right? Columns, inputs, models and directories, before any document is read.

`vocabmill run` asks the same, so what is wrong is said in the first second and not after an hour.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from operators.base import Fold, RecipeError
from operators.dedup import Dedup
from operators.embedding.devices import cuda_capabilities
from pipeline.faults import close_to
from pipeline.headers import Header, read_header
from pipeline.plan import BASE_COLUMNS, Plan, make_plan
from pipeline.readers.schema import unify
from pipeline.storage import filesystem, is_local
from pipeline.wording import count_of
from pipeline.work import most

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe import Recipe


def check_recipe(recipe: Recipe, out: str = "", work_dir: str = "") -> list[str]:
    """Lines for people that say what the recipe will do; the last one is "ok".

    Raises:
        RecipeError: what is wrong, where, what was expected, and what to do.
    """
    recipe, headers = look_at(recipe)
    return describe(recipe, headers, out, work_dir)


def describe(recipe: Recipe, headers: list[Header], out: str = "", work_dir: str = "") -> list[str]:
    """As `check_recipe`, for a recipe that was looked at."""
    for step in recipe.steps:
        with _about(f"step {step.label!r}"):
            step.check()
            step.models()
    plan = plan_of(recipe, headers)
    out = out or recipe.outputs.path
    check_directories(headers, out, work_dir)
    lines = []
    for header in headers:
        lines.append(header.line)
        lines += [f"  note: {note}" for note in header.notes]
    lines.append(
        f"{count_of(len(recipe.steps), 'step')}, {num_stages(plan)} stages, columns: {columns_text(plan, headers)}"
    )
    lines += [
        f"  note: {note}"
        for note in [*_unseen(plan, headers), *_doubts(recipe), *_unranked(recipe, headers), *_gpus(plan)]
    ]
    lines.append(f"output: {out}")
    return [*lines, "ok"]


def look_at(recipe: Recipe) -> tuple[Recipe, list[Header]]:
    """The header of every input, in order, and the recipe with what they settle: documents keep their own ids."""
    headers, inputs = [], []
    for entry in recipe.inputs:
        with _about(f"inputs.{entry.name}"):
            header = read_header(entry)
        headers.append(header)
        columns = entry.columns.model_copy(update={"id": "id"}) if header.has_ids else entry.columns
        inputs.append(entry.model_copy(update={"columns": columns}))
    return recipe.model_copy(update={"inputs": tuple(inputs)}), headers


def plan_of(recipe: Recipe, headers: list[Header]) -> Plan:
    """The plan, its columns checked as far as the headers tell."""
    plan = make_plan(
        recipe, _schema(recipe, headers), open_schema=any(header.is_open for header in _corpora(recipe, headers))
    )
    _check_references(plan, headers)
    return plan


def _check_references(plan: Plan, headers: list[Header]) -> None:
    """Refuse a fold over a reference input that lacks a column which it reads."""
    known = {header.name: header for header in headers}
    for node in plan.nodes.values():
        source = node.operator.source() if isinstance(node.operator, Fold) else ""
        header = known.get(source.removeprefix("input:")) if source.startswith("input:") else None
        if header is None or header.is_open:
            continue
        there = {*BASE_COLUMNS, *header.columns}
        missing = [name for name in node.operator.needs() if name not in there and not name.startswith("_")]
        if missing:
            msg = (
                f"step {node.step!r} reads the column {missing[0]!r} of input {header.name!r}, which has none of that "
                f"name; there are {', '.join(sorted(there))}"
            )
            raise RecipeError(msg)


def _unseen(plan: Plan, headers: list[Header]) -> list[str]:
    """Columns that steps read and no header shows. Where inputs may hold more than was looked at, the run decides."""
    known = {f"input:{header.name}": header for header in headers}
    added = {name for name in plan.added() if not name.startswith("_")}
    corpus = {*BASE_COLUMNS, *_schema(plan.recipe, headers), *added}
    notes = []
    for node in plan.nodes.values():
        source = node.operator.source() if isinstance(node.operator, Fold) else ""
        if source and source not in known:  # It reads what a stage of the step made.
            continue
        there = {*BASE_COLUMNS, *known[source].columns} if source else corpus
        of = f" of input {known[source].name!r}" if source else ""
        notes += [
            f"step {node.step!r} reads the column {name!r}{of}, which is not among those seen "
            f"({', '.join(sorted(there))}); the run will tell whether it is there"
            for name in node.operator.needs()
            if name not in there and not name.startswith("_")
        ]
    return list(dict.fromkeys(notes))


def _doubts(recipe: Recipe) -> list[str]:
    """What steps that remove duplicates have to say of their own settings."""
    return [
        f"step {step.label!r}: {doubt}" for step in recipe.steps if isinstance(step, Dedup) for doubt in step.doubts()
    ]


def _gpus(plan: Plan) -> list[str]:
    """A GPU that a step asks for and this machine does not have: `run` refuses that, but on a cluster that has one."""
    if not most(tuple(plan.nodes.values())).gpus or cuda_capabilities():
        return []
    return ["a step asks for a GPU (device: cuda) and this machine has none: run it on a cluster that has one"]


def _unranked(recipe: Recipe, headers: list[Header]) -> list[str]:
    """Sources that a step's priority names and no input has, so far as the inputs' names are the sources."""
    corpora = _corpora(recipe, headers)
    if any("source" in header.columns for header in corpora):
        return []
    names = [header.name for header in corpora]
    return [
        f"step {step.label!r} has {source!r} in its priority, which is no input's name"
        + (close_to(source, names) or f"; the inputs are {', '.join(names)}")
        for step in recipe.steps
        if isinstance(step, Dedup)
        for source in step.priority
        if source not in names
    ]


def num_stages(plan: Plan) -> int:
    """The stages as `vocabmill plan` numbers them: ingest first, publish last."""
    return len(plan.stages) + 2


def columns_text(plan: Plan, headers: list[Header]) -> str:
    """The corpus's columns, so far as the headers tell."""
    inputs = _schema(plan.recipe, headers)
    added = [name for name, (_, is_public) in plan.added().items() if is_public]
    names = dict.fromkeys([*BASE_COLUMNS, *inputs, *added])
    more = ", and what else the inputs hold" if any(h.is_open for h in _corpora(plan.recipe, headers)) else ""
    return f"{', '.join(names)}{more}"


def check_directories(headers: list[Header], out: str, work_dir: str) -> None:
    """Refuse directories that cannot be written, or that hold what is not ours. Nothing is created."""
    for option, directory in (("outputs.path", out), ("--work-dir", work_dir)):
        if not directory:
            continue
        system, path = filesystem(directory)
        if is_local(system):
            with _about(f"{option}: {directory!r}"):
                _refuse_unwritable(Path(path))
                if option == "outputs.path":
                    _refuse_foreign(Path(path))
                    _refuse_inputs(Path(path), headers)


def _corpora(recipe: Recipe, headers: list[Header]) -> list[Header]:
    return [header for header, entry in zip(headers, recipe.inputs, strict=True) if entry.role == "corpus"]


def _schema(recipe: Recipe, headers: list[Header]) -> dict[str, pa.DataType]:
    """The corpus inputs' columns under one schema."""
    schema = unify([(f"input {h.name!r}", pa.schema(list(h.columns.items()))) for h in _corpora(recipe, headers)])
    return {column.name: column.type for column in schema if column.name not in BASE_COLUMNS}


def _refuse_unwritable(path: Path) -> None:
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise RecipeError(f"{str(nearest)!r} is a file, not a directory; choose another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RecipeError(
            f"no permission to write to {str(nearest)!r}; choose another place, or change the permissions"
        )


def _refuse_foreign(path: Path) -> None:
    from pipeline.publish import PUBLIC

    for name in PUBLIC:
        public = path / name
        if public.exists() and not public.is_symlink():
            raise RecipeError(
                f"it already holds a {name!r} that no run of vocabmill left; move it, or choose another place"
            )


def _refuse_inputs(path: Path, headers: list[Header]) -> None:
    place = path.resolve()
    for header in headers:
        for file in header.listing:
            if "://" not in file.url and Path(file.url).resolve().is_relative_to(place):
                raise RecipeError(
                    f"input {header.name!r} reads {file.path!r} from there; a run may not read what it writes"
                )


@contextmanager
def _about(what: str) -> Iterator[None]:
    """Say in front of an error what it is about."""
    try:
        yield
    except RecipeError as error:
        text = str(error)
        raise (error if text.startswith(what) else type(error)(f"{what}: {text}")) from error
