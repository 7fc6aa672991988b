"""The real engine for tests: write inputs, run a recipe, look at what it left. And a small corpus with every flaw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pydoc_data import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.executors.base import Executor
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import Recipe
from pipeline.session import run_recipe

Json = dict[str, Any]

GERMAN = (
    "Die Stadt liegt an einem Fluss, und im Sommer sitzen die Leute abends am Ufer und reden über das Wetter.",
    "Wer früh aufsteht, der sieht, wie die Bäcker das Brot in die Läden tragen und die ersten Züge abfahren.",
    "Niemand wusste genau, warum die Brücke gesperrt war, aber alle hatten eine Meinung dazu und sagten sie laut.",
)
FRENCH = (
    "La maison se trouve au bout du chemin, derrière les arbres que mon grand-père a plantés avant la guerre.",
    "On ne sait jamais ce que le vent apporte, disait-elle, et elle fermait toutes les fenêtres avant la nuit.",
)

ITEMS = Path(__file__).resolve().parents[1] / "data" / "items.jsonl"
"""The sentences above, as evaluation items."""


@dataclass
class Ran:
    """What a run left. `version` is the directory of the snapshot: a later run does not change it."""

    out: Path
    summary: Json
    version: Path

    @property
    def manifest(self) -> Json:
        """The snapshot's manifest."""
        content: Json = json.loads((self.version / "manifest.json").read_text(encoding="utf-8"))
        return content

    @property
    def corpus(self) -> pa.Table:
        """The published documents, files in order."""
        return table_of(self.version / "corpus")

    @property
    def dropped(self) -> pa.Table:
        """The published trace of what did not come through."""
        return table_of(self.version / "dropped")

    @property
    def steps(self) -> dict[str, Json]:
        """The manifest's entries by step."""
        return {step["name"]: step for step in self.summary["steps"]}

    @property
    def computed(self) -> dict[str, int]:
        """Tasks that were not found done, by stage label, where there were any."""
        found: dict[str, int] = {}
        for stage in self.summary["stages"]:
            found[stage["label"]] = found.get(stage["label"], 0) + stage["computed"]
        return {label: count for label, count in found.items() if count}

    @property
    def bytes(self) -> dict[str, str]:
        """sha256 of every file that must not depend on how the run went: corpus, dropped, artifacts."""
        return digests(self.version)

    @property
    def artifacts(self) -> dict[str, object]:
        """What does not depend on how shards were cut: sha256 of files, and the rows of parts that lie as shards."""
        found: dict[str, object] = {}
        for path in sorted((self.version / "artifacts").rglob("*")):
            if path.match("artifacts/*/part-*.parquet"):
                found.setdefault(path.parent.name, rows_of(table_of(path.parent)))
            elif path.is_file():
                found[str(path.relative_to(self.version))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


@dataclass
class Mill:
    """A directory with inputs, a work directory and an output; `run` runs recipes there, in this process by default."""

    home: Path
    executor: Executor = field(default_factory=lambda: LocalExecutor(1))
    inputs: Sequence[Json] = ({"name": "docs", "path": "{home}/in/*.jsonl"},)

    def jsonl(self, name: str, rows: Iterable[Mapping[str, Any]], folder: str = "in") -> Path:
        """Write a file of JSON lines."""
        path = self.home / folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    def recipe(
        self, steps: Sequence[Json], *, inputs: Sequence[Json] = (), shard_mb: float = 0.01, **more: object
    ) -> Recipe:
        """A recipe over this directory's inputs and, where steps name `references`, ITEMS; `more` are its fields."""
        filled = json.loads(json.dumps(list(inputs or self.inputs)).replace("{home}", str(self.home)))
        named = dict.fromkeys(name for step in steps for name in step.get("references", ()))
        given = {entry["name"] for entry in filled}
        filled += [{"name": n, "path": str(ITEMS), "role": "reference"} for n in named if n not in given]
        content = {"name": "test", "seed": 7, "inputs": filled, "steps": list(steps), **more}
        content["outputs"] = {"path": str(self.home / "out"), "shard_mb": shard_mb}
        return Recipe.model_validate(content)

    def run(
        self,
        steps: Sequence[Json],
        *,
        out: str = "out",
        work: str = "work",
        executor: Executor | None = None,
        inputs: Sequence[Json] = (),
        shard_mb: float = 0.01,
        **more: object,
    ) -> Ran:
        """Run a recipe and publish."""
        recipe = self.recipe(steps, inputs=inputs, shard_mb=shard_mb, **more)
        target = self.home / out
        with_ = executor or self.executor
        summary = run_recipe(recipe, with_, out=str(target), work_dir=str(self.home / work), quiet=True)
        return Ran(target, summary, (target / "corpus").resolve().parent)


def table_of(directory: Path) -> pa.Table:
    """The Parquet files of a directory, in order of their names."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(directory.glob("*.parquet"))])


def digests(out: Path) -> dict[str, str]:
    """sha256 of all files under corpus, dropped and artifacts, by relative path."""
    found = {}
    for group in ("corpus", "dropped", "artifacts"):
        for path in sorted((out / group).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def rows_of(table: pa.Table) -> list[Json]:
    """The rows as dictionaries, sorted by id: a set of rows whatever their order."""
    return sorted(table.to_pylist(), key=lambda row: (row["id"] or "", json.dumps(row, default=str)))


def flawed_texts() -> list[str]:
    """Natural texts, and among them what every filter is for: duplicates, lists, repetition, stubs, other languages."""
    prose = [text[:700] for _, text in sorted(topics.topics.items()) if len(text) > 700][:24]
    near = [f"{text} And one more remark." for text in prose[3:6]]
    flaws = [
        "Too short.",
        "again and again and again " * 60,
        "same line here\n" * 40,
        "\n".join(f"- item number {number} of a long list of things" for number in range(30)),
        "# # # # # # # # # # what a hash mess # # # # # # # # # # # # " * 8,
        "1234 5678 90 -- 22 / 33 :: 9 9 9 9 9 9 9 9 9 9 8 8 8 7 7 6 5 4 3 2 1 " * 6,
        "It goes on and on ...\nand it stops ...\nnever quite ending ...\nof the thought that it has ...\n" * 5,
    ]
    return [*prose, *prose[:3], *near, *flaws, *GERMAN, " ".join(GERMAN), *FRENCH, GERMAN[0]]


def kind_of(text: str) -> str:
    """What a flawed text is called in the column `kind`."""
    return "prose" if len(text) >= 690 else "flaw"


def check_sums(ran: Ran) -> None:
    """Assert the sums that every manifest must hold, against the published files."""
    manifest, dropped = ran.manifest, ran.dropped
    rows = manifest["rows"]
    assert rows["read"] == rows["kept"] + rows["dropped"] + rows["quarantined"]
    assert ran.corpus.num_rows == rows["kept"]
    assert dropped.num_rows == rows["dropped"] + rows["quarantined"]
    traced: dict[str, dict[str, int]] = {}
    for step, rule in zip(dropped["step"].to_pylist(), dropped["rule"].to_pylist(), strict=True):
        traced.setdefault(step, {}).setdefault(rule, 0)
        traced[step][rule] += 1
    assert sum(traced.pop("ingest", {}).values()) == rows["quarantined"]
    left = rows["read"] - rows["quarantined"]
    for step in manifest["steps"]:
        assert step["rows_in"] == left, step["name"]
        assert step["rows_in"] == step["rows_out"] + sum(step["dropped"].values()), step["name"]
        assert traced.pop(step["name"], {}) == step["dropped"]
        left = step["rows_out"]
    assert not traced
    assert left == rows["kept"]
    text = ran.corpus["text"].to_pylist()
    if manifest["steps"]:
        assert manifest["steps"][-1]["bytes_out"] == sum(len(t.encode()) for t in text)
    for name, entry in manifest["files"].items():
        content = (ran.out / entry["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"]), name
