"""What a person should know of a run that succeeded, for the terminal, `--json`, the manifest and the report.

A fold warns of its own result by one more output, a file `_warnings.json`: a JSON list of sentences, which is not
published and is absent where there is nothing to say. It lies with the result, so a run that finds that result done
warns again. A partitioned fold cannot warn: its parts would give the file more than once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from operators.base import WARNINGS, Judge, RunError
from operators.dedup import Dedup
from pipeline.corpus import read_parquet
from pipeline.identities import ExcludeIds
from pipeline.intake_warnings import left_out

if TYPE_CHECKING:
    from pipeline.plan import Node
    from pipeline.run import Runner


def warnings_of(runner: Runner) -> list[str]:
    """The warnings of a finished run: of rows left out, block list, corpus and priorities, then the steps' in order."""
    nodes = [node for node in runner.plan.nodes.values() if node.name in runner.counts]
    found = left_out(runner)
    found += [line for node in nodes for line in _about_unmatched(runner, node)]
    if not any(view.num_rows for view in runner.corpus.views):
        found.append(_about_nothing(runner, nodes))
    found += _about_priorities(runner)
    found += [
        f"step {step.label!r}: {doubt}"
        for step in runner.recipe.steps
        if isinstance(step, Dedup) and any(node.step == step.label for node in nodes)
        for doubt in step.doubts()
    ]
    return found + [f"step {node.step!r}: {line}" for node in nodes for line in _said(runner, node)]


def _about_unmatched(runner: Runner, node: Node) -> list[str]:
    """Ids are unique, so each that is listed leaves out one document at most."""
    listed = node.operator
    if not isinstance(listed, ExcludeIds):
        return []
    absent = listed.num_listed - sum(runner.counts[node.name].dropped.values())
    if absent <= 0:
        return []
    corpora = [entry for entry in runner.recipe.inputs if entry.role == "corpus"]
    several = len(corpora) > 1 and any(entry.columns.id for entry in corpora)
    why = "with several inputs ids are stored as <input>/<id>" if several else "ids are compared whole"
    some = read_parquet(runner.store, runner.corpus.views[0].shard, ["id"])["id"][0].as_py()
    return [
        f"exclude_ids: {absent:,} of {listed.num_listed:,} ids in {listed.path!r} matched no document; "
        f"{why}; the first of this run is {some!r}"
    ]


def _about_nothing(runner: Runner, nodes: list[Node]) -> str:
    dropping = [(node.step, runner.counts[node.name]) for node in nodes if isinstance(node.operator, Judge)]
    step, counts = [(step, counts) for step, counts in dropping if counts.dropped.total()][-1]
    return f"no document is left, so the corpus is empty: step {step!r} dropped the last {counts.dropped.total():,}"


def _about_priorities(runner: Runner) -> list[str]:
    """Sources that a step ranks and no document has, at that step or at one before it."""
    there = {source for counts in runner.counts.values() for source in counts.sources}
    return [
        f"step {step.label!r}: no document has the source {source!r}, which its priority names"
        for step in runner.recipe.steps
        if isinstance(step, Dedup)
        for source in step.priority
        if there and source not in there
    ]


def _said(runner: Runner, node: Node) -> list[str]:
    """What a node's fold wrote; the rounds of a Repeat leave one result."""
    outputs = runner.outputs.get(node.leaves)
    if outputs is None or WARNINGS not in outputs.files:
        return []
    said = json.loads(runner.store.read(outputs.files[WARNINGS]))
    if not isinstance(said, list) or not all(isinstance(line, str) for line in said):
        raise RunError(f"step {node.step!r} left a {WARNINGS} that is no JSON list of strings: {said!r}")
    return said
