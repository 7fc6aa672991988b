"""Where the time went: stages with their tasks, how many were found done, and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, fold, section, table
from pipeline.report.reading import Facts
from pipeline.report.wording import count, duration, plural, share, text

SHOWN: Final = 15


def timings(run: Facts) -> str:
    """The section: the longest stages in the order in which they ran, the others behind a line."""
    stages = list(run.manifest.get("stages", ()))
    if not stages:
        return ""
    whole = sum(stage["seconds"] for stage in stages)
    ranked = sorted(range(len(stages)), key=lambda place: (-stages[place]["seconds"], place))
    chosen = set(ranked[:SHOWN] if len(stages) > SHOWN + 1 else ranked)
    shown = [stage for place, stage in enumerate(stages) if place in chosen]
    rest = [stage for place, stage in enumerate(stages) if place not in chosen]
    body = _table("The longest stages, in order" if rest else "Stages, in order", shown, whole)
    if rest:
        spent = duration(sum(stage["seconds"] for stage in rest))
        body += fold(f"{plural(len(rest), 'shorter stage')}, together {spent}", _table("Shorter stages", rest, whole))
    return section("time", "Time", _lede(run, stages, whole), body + fold("Seconds of work by step", _by_step(run)))


def _lede(run: Facts, stages: Sequence[Mapping[str, Any]], whole: float) -> str:
    tasks = sum(stage["tasks"] for stage in stages)
    reused = tasks - sum(stage["computed"] for stage in stages)
    found = f"; {count(reused)} of {plural(tasks, 'task')} were found done from an earlier run" if reused else ""
    seconds = run.manifest.get("seconds", whole)
    return f"{duration(seconds)} in all, {duration(whole)} of it in {plural(len(stages), 'stage')}{found}."


def _table(caption: str, stages: Sequence[Mapping[str, Any]], whole: float) -> str:
    most = max(stage["seconds"] for stage in stages)
    columns = [Column("stage"), Column('<span class="unseen">bar</span>'), Column("time", True), Column("share", True)]
    columns += [Column("tasks", True), Column("found done", True)]
    rows = [
        [
            text(stage["label"]), bar([Segment(stage["seconds"], "time")], most, ""), duration(stage["seconds"]),
            share(stage["seconds"], whole), count(stage["tasks"]), count(stage["tasks"] - stage["computed"]),
        ]
        for stage in stages
    ]  # fmt: skip
    return table(caption, columns, rows, kind="bars long")


def _by_step(run: Facts) -> str:
    """Work over all workers, also where it was done in an earlier run whose results were used again."""
    columns = [Column("step"), Column("rows computed", True), Column("work", True)]
    rows = [[code(step.name), count(step.rows_computed), duration(step.seconds)] for step in run.steps]
    return table("Work of each step, added up over the workers", columns, rows)
