"""What each command does, as functions over parsed options. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.base import RecipeError
from pipeline.terminal import say, tell
from pipeline.wording import count_of

if TYPE_CHECKING:
    import argparse

    from pipeline.executors.base import Executor
    from pipeline.recipe import Recipe


def run(options: argparse.Namespace) -> int:
    """`vocabmill run`."""
    from pipeline.session import run_recipe

    recipe = _recipe(options)
    _check_until(recipe, options.until)
    executor = make_executor(options, recipe)
    try:
        result = run_recipe(
            recipe, executor, out=options.out, work_dir=options.work_dir, until=options.until, quiet=options.json
        )
    finally:
        executor.close()
    tell(_json(result) if options.json else _closing(result))
    if not options.json:
        for warning in result.get("warnings", ()):
            say(f"warning: {warning}")
    return 0


def check(options: argparse.Namespace) -> int:
    """`vocabmill check`."""
    from pipeline.check import check_recipe

    tell("\n".join(check_recipe(_recipe(options), options.out, options.work_dir)))
    return 0


def plan(options: argparse.Namespace) -> int:
    """`vocabmill plan`."""
    from pipeline.explain import explain
    from pipeline.session import places

    recipe = _recipe(options)
    out, work_dir = places(recipe, options.out, options.work_dir)
    tell(explain(recipe, work_dir, out))
    return 0


def dry_run(options: argparse.Namespace) -> int:
    """`vocabmill dry-run`."""
    from pipeline.dry_run import project

    recipe = _recipe(options)
    executor = make_executor(options, recipe)
    try:
        projection = project(recipe, executor, options.docs, quiet=options.json)
    finally:
        executor.close()
    tell(_json(projection.to_json()) if options.json else projection.to_text())
    return 0


def infer(options: argparse.Namespace) -> int:
    """`vocabmill infer`."""
    from pipeline.infer import infer as run_inference

    executor = make_executor(options)
    try:
        found = run_inference(
            options.tokenizer, options.data, options.by or "source", executor, out=options.out,
            work_dir=options.work_dir, quiet=options.json, text=options.text, merges=options.merges, skip=options.skip,
            tolerance_ppm=options.tolerance_ppm, range=options.range, bootstrap=options.bootstrap,
            pretokenizer=options.pretokenizer,
        )  # fmt: skip
    finally:
        executor.close()
    tell(_json(found.to_json()) if options.json else found.to_text())
    if not options.json:
        for warning in found.warnings:
            say(f"warning: {warning}")
    return 0


def search(options: argparse.Namespace) -> int:
    """`vocabmill search`."""
    from pipeline.search import search as run_search

    found = run_search(
        options.place, options.query, like=options.like, k=options.k, step=options.step, encoder=options.encoder,
        prompt=options.prompt,
    )  # fmt: skip
    tell(_json(found.to_json()) if options.json else found.to_text())
    return 0


def status(options: argparse.Namespace) -> int:
    """`vocabmill status`."""
    from pipeline.status import read_status

    found = read_status(*_place(options))
    tell(_json(found.to_json()) if options.json else found.to_text())
    return 0


def report(options: argparse.Namespace) -> int:
    """`vocabmill report`."""
    from pipeline.session import rebuild_report

    out, _ = _place(options)
    tell(rebuild_report(out))
    return 0


def operators(options: argparse.Namespace) -> int:
    """`vocabmill operators`."""
    from pipeline.catalogue import describe, markdown_table, text_table

    if options.markdown:
        tell(markdown_table())
    else:
        tell(describe(options.kind) if options.kind else text_table())
    return 0


def make_executor(options: argparse.Namespace, recipe: Recipe | None = None) -> Executor:
    """The executor that the options ask for; a cluster gets the code of the recipe's operators too."""
    if options.executor == "ray":
        from pipeline.executors.cluster import packages_of
        from pipeline.executors.ray import RayExecutor

        return RayExecutor(options.workers, options.address, packages_of(recipe.steps if recipe else ()))
    if options.address:
        raise RecipeError(
            f"--address {options.address} is for --executor ray; add that option or leave the address out"
        )
    from pipeline.executors.local import LocalExecutor

    executor = LocalExecutor(options.workers)
    executor.start(("pipeline.ingest", "pipeline.shard_task"))
    return executor


def _recipe(options: argparse.Namespace) -> Recipe:
    from pipeline.recipe import load_recipe

    return load_recipe(options.recipe, tuple(options.set))


def _place(options: argparse.Namespace) -> tuple[str, str]:
    """The output and work directories that a recipe or an output directory stands for."""
    from pipeline.recipe import load_recipe
    from pipeline.session import default_work_dir, places

    if options.place.endswith((".yaml", ".yml")) and not Path(options.place).is_dir():
        return places(load_recipe(options.place), "", options.work_dir)
    return options.place, options.work_dir or default_work_dir(options.place)


def _check_until(recipe: Recipe, until: str) -> None:
    names = [step.label for step in recipe.steps]
    if until and until not in names:
        raise RecipeError(f"--until {until!r}: the recipe has no such step; it has {', '.join(names) or 'none'}")


def _closing(result: dict[str, Any]) -> str:
    if result["status"] != "done":
        return f"stopped after {result['until']!r} as asked; nothing was published"
    rows = result["rows"]
    lines = [
        f"{count_of(rows['read'], 'document')} read: {rows['kept']:,} kept, {rows['dropped']:,} dropped, "
        f"{rows['quarantined']:,} quarantined; {result['seconds']:.1f} s, peak memory {result['peak_rss_mb']:.0f} MB"
    ]
    for step, files in result["artifacts"].items():
        lines.append(f"  {step}: {', '.join(files[:4])}{' ...' if len(files) > 4 else ''}")
    lines.append(f"report: {result['report']}")
    return "\n".join(lines)


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)
