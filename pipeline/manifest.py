"""What a run left behind in numbers: `manifest.json`, and the summary that `--json` prints."""

from __future__ import annotations

import platform
import socket
import time
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from operators.base import Composite, Judge, Operator
from pipeline.intake_warnings import num_repeated
from pipeline.ledger import NodeCounts
from pipeline.plan import INGEST, Node, ShardStage
from pipeline.publish import artifact_parts
from pipeline.run_warnings import warnings_of

if TYPE_CHECKING:
    from pipeline.intake import InputRecord
    from pipeline.run import Runner

FORMAT: Final = 1
EXPLORED: Final = ("thresholds", "spreads", "score_bytes")
"""What a step's entry holds for the report alone: `--json` does not print it."""
PACKAGES: Final = (
    "vocabmill",
    "pyarrow",
    "numpy",
    "numba",
    "tokenizers",
    "datasets",
    "pydantic",
    "regex",
    "xxhash",
    "ray",
)


def make_manifest(
    runner: Runner, directory: str, files: list[dict[str, Any]], seconds: float, peak_rss_mb: float
) -> dict[str, Any]:
    """Everything that the report shows and that later commands read. Timings, dates and hosts appear only here."""
    recipe = runner.recipe
    steps = step_entries(runner)
    return {
        "format": FORMAT,
        "name": recipe.name,
        "run_id": directory.rsplit("/", 1)[-1],
        "version": directory,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "recipe": {**recipe.model_dump(mode="json"), "steps": [_step_entry(step) for step in recipe.steps]},
        "versions": versions(),
        "inputs": [_input_entry(record) for record in runner.inputs],
        "rows": rows_summary(runner),
        "warnings": warnings_of(runner),
        "steps": steps,
        "stages": [vars(record) for record in runner.records],
        "files": {entry["name"]: {"path": f"{directory}/{entry['name']}", **_plain(entry)} for entry in files},
        "kept": kept_facts(files),
        "seconds": round(seconds, 3),
        "peak_rss_mb": peak_rss_mb,
    }


def rows_summary(runner: Runner) -> dict[str, int]:
    """Rows of the corpus inputs: read = kept + dropped + quarantined."""
    corpora = {entry.name for entry in runner.recipe.inputs if entry.role == "corpus"}
    records = [record for record in runner.inputs if record.name in corpora]
    nodes = [runner.plan.nodes[name] for name in runner.counts]
    judges = [node for node in nodes if isinstance(node.operator, Judge) and node.step != INGEST]
    return {
        "read": sum(record.rows_read for record in records),
        "kept": sum(view.num_rows for view in runner.corpus.views),
        "dropped": sum(runner.counts[node.name].dropped.total() for node in judges),
        "quarantined": sum(record.quarantined.total() for record in records) + num_repeated(runner),
    }


def step_entries(runner: Runner) -> list[dict[str, Any]]:
    """The steps in recipe order, each with its counts; the block list of ids comes first where there is one."""
    artifacts = artifact_parts(runner)
    kinds = {step.label: step.what for step in runner.recipe.steps}
    names = [*(["exclude_ids"] if runner.recipe.exclude_ids else []), *kinds]
    composites = {step.label for step in runner.recipe.steps if isinstance(step, Composite)}
    flow = _Flow(runner)
    entries = []
    for step in names:
        nodes = [node for node in runner.plan.nodes.values() if node.step == step and node.name in runner.counts]
        if not nodes:
            continue
        total = NodeCounts()
        for node in nodes:
            total.add(runner.counts[node.name])
        total.rows_in, total.bytes_in, total.rows_out, total.bytes_out = flow.through(nodes)
        judges = [node.operator for node in nodes if isinstance(node.operator, Judge)]
        rules = [rule._asdict() for judge in judges for rule in judge.shown_rules()]
        entries.append(
            {
                "name": step,
                "kind": kinds.get(step, step),
                "composite": step in composites,
                "fingerprint": runner.plan.fingerprint(nodes[-1].name),
                **total.shown(),
                **total.explored.shown(),
                "rules": rules,
                "artifacts": [part.name for part in artifacts.get(step, [])],
            }
        )
    return entries


class _Flow:
    """Follows the corpus from step to step: a step that only looks elsewhere lets it pass as it is."""

    def __init__(self, runner: Runner) -> None:
        self.counts = runner.counts
        over_rows = [stage for stage in runner.plan.stages if isinstance(stage, ShardStage) and not stage.source]
        self.nodes = {node.name for stage in over_rows for node in stage.nodes}
        corpora = {entry.name for entry in runner.recipe.inputs if entry.role == "corpus"}
        shards = [shard for record in runner.inputs if record.name in corpora for shard in record.shards]
        self.left = (sum(shard["rows"] for shard in shards), sum(shard["bytes"] for shard in shards))
        self.through([node for node in runner.plan.nodes.values() if node.step == INGEST])

    def through(self, nodes: list[Node]) -> tuple[int, int, int, int]:
        """Rows and bytes into a step's nodes, and out of them."""
        into = self.left
        mine = [self.counts[node.name] for node in nodes if node.name in self.nodes]
        if mine:
            into = (mine[0].rows_in, mine[0].bytes_in)
            self.left = (mine[-1].rows_out, mine[-1].bytes_out)
        return *into, *self.left


def summary(manifest: dict[str, Any], out: str) -> dict[str, Any]:
    """What `vocabmill run --json` prints."""
    return {
        "status": "done",
        "out": out,
        "report": f"{out}/report.html",
        "steps": [{name: part for name, part in step.items() if name not in EXPLORED} for step in manifest["steps"]],
        "rows": manifest["rows"],
        "warnings": manifest["warnings"],
        "artifacts": {step["name"]: step["artifacts"] for step in manifest["steps"] if step["artifacts"]},
        "stages": manifest["stages"],
        "seconds": manifest["seconds"],
        "peak_rss_mb": manifest["peak_rss_mb"],
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def kept_facts(files: list[dict[str, Any]]) -> dict[str, Any]:
    """Documents and bytes of the published corpus by source and language, and the lengths, added up over its files."""
    facts: dict[str, Any] = {"by_source": {}, "by_lang": {}, "lengths": Counter()}
    for entry in files:
        for group in ("by_source", "by_lang"):
            for name, (rows, size) in entry.get(group, {}).items():
                have = facts[group].setdefault(name, [0, 0])
                facts[group][name] = [have[0] + rows, have[1] + size]
        facts["lengths"].update(entry.get("lengths", {}))
    facts["lengths"] = dict(sorted(facts["lengths"].items(), key=lambda kv: int(kv[0])))
    return facts


def _step_entry(step: Operator) -> dict[str, Any]:
    """A step as the recipe could have it; an operator from elsewhere need not declare its kind."""
    return {"kind": step.what, **step.model_dump(mode="json")}


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("rows", "bytes", "sha256")}


def _input_entry(record: InputRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "files": record.files,
        "rows_read": record.rows_read,
        "rows": sum(shard["rows"] for shard in record.shards),
        "bytes": record.bytes,
        "shards": len(record.shards),
        "quarantined": dict(sorted(record.quarantined.items())),
    }
