"""Drives the ingest of one input: list its files, look at them, group them, read them into shards."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from operators.base import DataError
from pipeline.grouping import Inspected, InspectTask, bundles, group_files, inspected
from pipeline.ingest import IngestTask, Spec
from pipeline.readers.base import PLACE
from pipeline.storage import read_arrow

if TYPE_CHECKING:
    from pipeline.readers.base import InputFile
    from pipeline.recipe import Input, Recipe
    from pipeline.storage import Store
    from pipeline.work import Work

INSPECT_FILES: Final = 128
"""Files that one task looks at."""


@dataclass
class InputRecord:
    """What ingest made of one input."""

    name: str
    files: int
    rows_read: int = 0
    bytes: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    shards: list[dict[str, Any]] = field(default_factory=list)


def ingest_input(work: Work, recipe: Recipe, entry: Input) -> InputRecord:
    """Shards of one input and the account of its bad rows.

    Raises:
        DataError: no file, an unreadable one, columns that are not there, or a bad row where none is allowed.
    """
    from pipeline.readers.files import list_files

    num_corpora = sum(other.role == "corpus" for other in recipe.inputs)
    spec = Spec.of(entry, shard_mb=recipe.outputs.shard_mb, num_corpora=num_corpora)
    files = list_files(entry.entries, None if entry.format == "auto" else entry.format)
    look = InspectTask(work.store.root, entry.format, spec.shard_bytes, spec.options)
    items = group_files(_inspect(work, look, files, f"look at {entry.name}"), spec.shard_bytes)
    task = IngestTask(work.store.root, spec)
    record = InputRecord(entry.name, len(files))
    for result in work.find_or_run(task, items, f"ingest {entry.name}", size_of=lambda item: item.bytes):
        record.rows_read += result["rows_read"]
        record.quarantined.update(result["num_bad"])
        record.shards.extend(result["shards"])
        if result["bad"]:
            record.bad.append(result["bad"])
    record.bytes = sum(shard["bytes"] for shard in record.shards)
    if record.bad and entry.on_bad_row == "fail":
        raise DataError(_message(work.store, record))
    return record


def _inspect(work: Work, look: InspectTask, files: list[InputFile], label: str) -> list[Inspected]:
    groups = bundles(files, INSPECT_FILES)
    results = work.find_or_run(look, groups, label, size_of=lambda group: sum(file.size for file in group))
    pairs = [
        pair for group, found in zip(groups, results, strict=True) for pair in zip(group, found["files"], strict=True)
    ]
    return [inspected(file, content) for file, content in pairs]


def _message(store: Store, record: InputRecord) -> str:
    firsts = [read_arrow(store, file).slice(0, 1).to_pylist()[0] for file in record.bad]
    first = min(firsts, key=lambda row: re.sub(PLACE, "", row["origin"]))  # Parts of a file come in order.
    detail = f": {first['detail']}" if first["detail"] else ""
    return (
        f"input {record.name!r}: {sum(record.quarantined.values())} bad rows (on_bad_row: fail), the first at "
        f"{first['origin']}: {first['rule']}{detail}; mend the file, or set on_bad_row: quarantine"
    )
