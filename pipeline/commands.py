"""What each command does, as functions over parsed options. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.base import RecipeError

if TYPE_CHECKING:
    import argparse

    from pipeline.executors.base import Executor
    from pipeline.recipe import Recipe


def own_version() -> str:
    """The installed version, or "unknown" in a bare checkout."""
    try:
        return version("vocabmill")
    except PackageNotFoundError:
        return "unknown"


def run(options: argparse.Namespace) -> int:
    """`vocabmill run`."""
    from pipeline.recipe import load_recipe
    from pipeline.session import run_recipe

    recipe = load_recipe(options.recipe, tuple(options.set))
    _check_until(recipe, options.until)
    executor = make_executor(options)
    try:
        result = run_recipe(
            recipe, executor, out=options.out, work_dir=options.work_dir, until=options.until, quiet=options.json
        )
    finally:
        executor.close()
    print(json.dumps(result, ensure_ascii=False) if options.json else _closing(result))
    return 0


def check(options: argparse.Namespace) -> int:
    """`vocabmill check`."""
    from pipeline.check import check_recipe
    from pipeline.recipe import load_recipe

    for line in check_recipe(load_recipe(options.recipe, tuple(options.set))):
        print(line)
    return 0


def plan(options: argparse.Namespace) -> int:
    """`vocabmill plan`."""
    from pipeline.explain import explain
    from pipeline.recipe import load_recipe
    from pipeline.session import places

    recipe = load_recipe(options.recipe, tuple(options.set))
    _, work = places(recipe, options.out, options.work_dir)
    print(explain(recipe, work))
    return 0


def dry_run(options: argparse.Namespace) -> int:
    """`vocabmill dry-run`."""
    from pipeline.dry_run import project
    from pipeline.recipe import load_recipe

    recipe = load_recipe(options.recipe, tuple(options.set))
    executor = make_executor(options)
    try:
        projection = project(recipe, executor, options.docs, quiet=options.json)
    finally:
        executor.close()
    print(json.dumps(projection.to_json(), ensure_ascii=False) if options.json else projection.to_text())
    return 0


def status(options: argparse.Namespace) -> int:
    """`vocabmill status`."""
    from pipeline.status import read_status

    found = read_status(*_where(options.where))
    print(json.dumps(found.to_json(), ensure_ascii=False) if options.json else found.to_text())
    return 0


def report(options: argparse.Namespace) -> int:
    """`vocabmill report`."""
    from pipeline.session import rebuild_report

    out, _ = _where(options.where)
    print(rebuild_report(out))
    return 0


def operators(options: argparse.Namespace) -> int:
    """`vocabmill operators`."""
    from pipeline.catalogue import describe, markdown_table, text_table

    if options.markdown:
        print(markdown_table())
    else:
        print(describe(options.kind) if options.kind else text_table())
    return 0


def make_executor(options: argparse.Namespace) -> Executor:
    """The executor that the options ask for."""
    if options.executor == "ray":
        from pipeline.executors.ray import RayExecutor

        return RayExecutor(options.workers, options.address)
    if options.address:
        raise RecipeError(
            f"--address {options.address} is for --executor ray; add that option or leave the address out"
        )
    from pipeline.executors.local import LocalExecutor

    return LocalExecutor(options.workers)


def _where(place: str) -> tuple[str, str]:
    """The output and work directories that a recipe or an output directory stands for."""
    from pipeline.recipe import load_recipe
    from pipeline.session import default_work_dir, places

    if place.endswith((".yaml", ".yml")) and Path(place).is_file():
        return places(load_recipe(place), "", "")
    return place, default_work_dir(place)


def _check_until(recipe: Recipe, until: str) -> None:
    names = [step.label for step in recipe.steps]
    if until and until not in names:
        raise RecipeError(f"--until {until!r}: the recipe has no such step; it has {', '.join(names)}")


def _closing(result: dict[str, Any]) -> str:
    if result["status"] != "done":
        return f"stopped after {result['until']!r} as asked; nothing was published"
    rows = result["rows"]
    lines = [
        f"{rows['read']} documents read: {rows['kept']} kept, {rows['dropped']} dropped, {rows['quarantined']} quarantined; "
        f"{result['seconds']:.1f} s, peak memory {result['peak_rss_mb']:.0f} MB"
    ]
    for step, files in result["artifacts"].items():
        lines.append(f"  {step}: {', '.join(files[:4])}{' ...' if len(files) > 4 else ''}")
    lines.append(f"report: {result['report']}")
    return "\n".join(lines)
