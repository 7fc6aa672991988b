"""From views to what a person gets: corpus, dropped, artifacts, manifest, all or nothing.

A snapshot's files lie under `.versions/<run id>/`. On a local disk the public names (`corpus`, `manifest.json`, ...)
lead through one symbolic link, `.current`, that is replaced by a rename; on an object store the manifest names the
version's files and is written last, after copies under the public names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from operators.base import RULE, fingerprint
from operators.hashing import as_labels, has_text
from pipeline.corpus import HIDDEN, PATH, POSITION, Frame, View, parquet_bytes
from pipeline.ingest import origins
from pipeline.plan import INGEST
from pipeline.readers.base import MEGABYTE
from pipeline.storage import Store, is_local, read_arrow
from pipeline.vault import Vault

if TYPE_CHECKING:
    from pipeline.run import Runner

VERSIONS: Final = ".versions"
CURRENT: Final = ".current"
PUBLIC: Final = ("corpus", "dropped", "artifacts", "report.html", "manifest.json")
DROPPED_ROWS: Final = 200_000
DROPPED_SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("step", pa.string()),
        ("rule", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("survivor", pa.string()),
        ("similarity", pa.float64()),
        ("excerpt", pa.string()),
        ("origin", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class CorpusPart:
    """The views whose rows make one file of the published corpus."""

    name: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class DroppedPart:
    """Trace files that make one file of `dropped/`: (file, the stage's steps, the shard's style)."""

    name: str
    traces: tuple[tuple[str, tuple[str, ...], str], ...]


@dataclass(frozen=True)
class Copy:
    """A stored file that is published as it is."""

    name: str
    file: str
    rows: int


Part = CorpusPart | DroppedPart | Copy


@dataclass(frozen=True)
class PublishTask:
    """Write one file of a snapshot and say what is in it."""

    root: str
    out: str
    version: str
    schema: pa.Schema
    columns: tuple[str, ...]

    def __call__(self, part: Part) -> dict[str, Any]:
        """Returns {"name", "rows", "bytes", "sha256"} and, of the corpus, counts by source and language."""
        store, out = Vault(self.root), Store(self.out)
        facts: dict[str, Any] = {}
        match part:
            case CorpusPart():
                table = pa.concat_tables([Frame(store, view, self.schema).table(self.columns) for view in part.views])
                facts = _facts(table)
                content: Any = parquet_bytes(table)
                rows = table.num_rows
            case DroppedPart():
                table = pa.concat_tables(
                    [DROPPED_SCHEMA.empty_table(), *(_trace(store, *trace) for trace in part.traces)]
                )
                content, rows = parquet_bytes(table), table.num_rows
            case Copy():
                content, rows = store.read(part.file), part.rows
        out.write(f"{self.version}/{part.name}", content)
        return {
            "name": part.name,
            "rows": rows,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **facts,
        }


def corpus_parts(views: list[View], part_bytes: int) -> list[Part]:
    """Consecutive views together as long as their text fits one part; at least one part, perhaps without rows."""
    groups: list[list[View]] = [[]]
    size = 0
    for view in views:
        if groups[-1] and size + view.num_bytes > part_bytes:
            groups.append([])
            size = 0
        groups[-1].append(view)
        size += view.num_bytes
    return [CorpusPart(f"corpus/part-{index:05d}.parquet", tuple(group)) for index, group in enumerate(groups)]


def dropped_parts(runner: Runner) -> list[Part]:
    """First what ingest quarantined, by input, then what the steps dropped, by shard and stage."""
    traces: list[tuple[tuple[str, tuple[str, ...], str], int]]
    traces = [((file, (), ""), 0) for record in runner.inputs for file in record.bad]
    corpus = runner.corpus
    traces += [
        ((file, steps, view.style), view.num_shard_rows)
        for view, files in zip(corpus.views, corpus.dropped, strict=True)
        for file, steps in files
    ]
    groups: list[list[tuple[str, tuple[str, ...], str]]] = [[]]
    rows = 0
    for trace, size in traces:
        if groups[-1] and rows + size > DROPPED_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(trace)
        rows += size
    return [DroppedPart(f"dropped/part-{index:05d}.parquet", tuple(group)) for index, group in enumerate(groups)]


def artifact_parts(runner: Runner) -> dict[str, list[Copy]]:
    """Step -> the files that its folds publish under `artifacts/<step>/`."""
    found: dict[str, list[Copy]] = {}
    for name, outputs in runner.outputs.items():
        step = runner.plan.nodes[name].step
        for file, public, rows in outputs.published():
            found.setdefault(step, []).append(Copy(f"artifacts/{step}/{public}", file, rows))
    return {step: sorted(parts, key=lambda part: part.name) for step, parts in sorted(found.items())}


def public_columns(runner: Runner) -> tuple[str, ...]:
    """The published columns in order: id, text, source, the inputs' own, then what the steps added."""
    first = ("id", "text", "source")
    private = {name for name, (_, published) in runner.plan.added().items() if not published}
    rest = [name for name in runner.corpus.schema.names if name not in (*first, *HIDDEN) and name not in private]
    return (*first, *rest)


def run_id(runner: Runner) -> str:
    """The snapshot's name: made of its content, so that a run that changes nothing publishes nothing new."""
    content = [
        [
            [view.digest([(c, "") for c in public_columns(runner)]), *(f for f, _ in dropped)]
            for view, dropped in zip(runner.corpus.views, runner.corpus.dropped, strict=True)
        ],
        [[name, outputs.digest] for name, outputs in sorted(runner.outputs.items())],
        [record.bad for record in runner.inputs],
        public_columns(runner),
        runner.recipe.model_dump(mode="json", exclude={"outputs"}),
        runner.recipe.outputs.shard_mb,
    ]
    return f"{runner.recipe.name}-{fingerprint(content)[:12]}"


def publish(runner: Runner, out: Store, version: str) -> list[dict[str, Any]]:
    """Write the snapshot's data files; returns what each of them holds."""
    task = PublishTask(runner.store.root, out.root, version, runner.corpus.schema, public_columns(runner))
    copies = [copy for parts in artifact_parts(runner).values() for copy in parts]
    part_bytes = int(runner.recipe.outputs.shard_mb * MEGABYTE)
    items: list[Part] = [*corpus_parts(runner.corpus.views, part_bytes), *dropped_parts(runner), *copies]
    return runner.work.run_all(task, items, "publish")


def published(out: Store, version: str) -> list[dict[str, Any]] | None:
    """What each file of a complete snapshot holds; None where it is not complete (then it is written again)."""
    if not out.exists(f"{version}/manifest.json"):
        return None
    manifest = out.read_json(f"{version}/manifest.json")
    for name, entry in manifest["files"].items():
        if not out.exists(f"{version}/{name}") or out.size(f"{version}/{name}") != entry["bytes"]:
            return None
    files = [{"name": name, **entry} for name, entry in manifest["files"].items()]
    files[0].update({group: manifest["kept"][group] for group in ("by_source", "by_lang", "lengths")})
    return files


def write_front(out: Store, version: str, manifest: dict[str, Any], report: str) -> None:
    """The report and then the manifest of a snapshot; with the manifest it is complete."""
    out.write(f"{version}/report.html", report.encode())
    out.write_json(f"{version}/manifest.json", manifest, durable=True)


def make_current(out: Store, version: str) -> None:
    """Make a complete snapshot the public one, in one step."""
    if is_local(out.fs):
        _link(Path(out.base), version)
        out.sweep()
        return
    manifest = out.read_json(f"{version}/manifest.json")
    for name in (*manifest["files"], "report.html"):
        out.fs.copy(out.full(f"{version}/{name}"), out.full(name))
    for name in _stale(out, manifest):
        out.remove(name)
    out.write_json("manifest.json", manifest)


def _link(base: Path, version: str) -> None:
    (base / version / "artifacts").mkdir(exist_ok=True)  # Else the public name of a run without any leads nowhere.
    current = base / CURRENT
    if not current.is_symlink() or str(current.readlink()) != version:
        temporary = base / f"{CURRENT}.new"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(version)
        temporary.replace(current)
    for name in PUBLIC:
        public = base / name
        if not public.is_symlink():
            public.symlink_to(f"{CURRENT}/{name}")


def _stale(out: Store, manifest: dict[str, Any]) -> list[str]:
    """Public files of an earlier snapshot that this one does not have."""
    public = [name for directory in ("corpus", "dropped", "artifacts") for name in out.files(directory)]
    return [name for name in public if name not in manifest["files"]]


def _trace(store: Store, file: str, steps: tuple[str, ...], style: str) -> pa.Table:
    """Stored rows as `dropped/` shows them."""
    table = read_arrow(store, file)
    rows = table.num_rows

    def empty(kind: pa.DataType) -> pa.Array:
        return pa.nulls(rows, kind)

    if not steps:
        detail = pc.if_else(pc.equal(table["detail"], ""), pa.scalar(None, pa.string()), _json_strings(table["detail"]))
        columns = {
            "id": empty(pa.string()), "source": table["source"], "rule": table["rule"],
            "step": pa.array([INGEST] * rows, pa.string()),
            "value": empty(pa.float64()), "threshold": empty(pa.float64()), "survivor": empty(pa.string()),
            "similarity": empty(pa.float64()), "excerpt": table["excerpt"], "origin": table["origin"], "detail": detail,
        }  # fmt: skip
    else:
        step = pa.array(steps, pa.string()).take(table["node"].combine_chunks().cast(pa.int32()))
        columns = {name: table[name] for name in DROPPED_SCHEMA.names if name in table.column_names}
        columns.update(step=step, origin=origins(table.select([PATH, POSITION]), style), rule=table[RULE])
    return pa.table({name: columns[name] for name in DROPPED_SCHEMA.names}, schema=DROPPED_SCHEMA)


def _json_strings(column: pa.ChunkedArray) -> pa.Array:
    import json

    return pa.array([json.dumps({"message": text}, ensure_ascii=False) for text in column.to_pylist()], pa.string())


def _facts(table: pa.Table) -> dict[str, Any]:
    """Documents and bytes by source and by language, and lengths in powers of two of bytes.

    An input's own `lang` may be a list or bytes, which have no text to count by: then nothing is said by language.
    """
    lengths = pc.binary_length(table["text"]).cast(pa.int64())
    facts: dict[str, Any] = {}
    for name in ("source", "lang"):
        if name in table.column_names and has_text(table[name].type):
            rows = (
                pa.table({"k": as_labels(table[name]), "b": lengths})
                .group_by("k")
                .aggregate([("b", "count"), ("b", "sum")])
            )
            facts[f"by_{name}"] = {str(r["k"]): [r["b_count"], r["b_sum"]] for r in rows.to_pylist()}
    facts["lengths"] = dict(Counter(str(int(n).bit_length()) for n in lengths.to_pylist()))
    return facts
