"""What to warn of where an inference did not see all rows: which categories went with those that were left out.

A row that is left out is known by its place alone. Of the files that have such rows the column of the categories is
read again, and what is in none of the rows that were kept has vanished.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from operators.base import Resources
from operators.hashing import as_labels
from operators.mixtures import NULL, some_of
from pipeline.check import look_at
from pipeline.corpus import read_parquet
from pipeline.ingest import Spec
from pipeline.json_labels import json_labels
from pipeline.readers.base import PLACE, InputFile, Piece

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from pipeline.executors.base import Executor
    from pipeline.recipe import Recipe
    from pipeline.storage import Store


def vanished(
    recipe: Recipe, executor: Executor, out: Store, by: str, manifest: dict[str, Any], kept: Collection[str]
) -> list[str]:
    """What to warn of where all rows of a category were left out, as far as a row could be read at all.

    Args:
        recipe: that was run; its inputs are read again.
        executor: what they are read with.
        out: what it published.
        by: the column of the categories.
        manifest: of the run.
        kept: the categories that are left.
    """
    lost = {entry["name"] for entry in manifest["inputs"] if by == "source" and not entry["rows"]}
    if manifest["rows"]["quarantined"]:
        lost |= _read_again(recipe, executor, _paths(out), by)
    lost -= {*kept}
    return [f"no text is left of {by} {some_of(lost)}, so the table does not have it"] if lost else []


@dataclass(frozen=True)
class ValuesTask:
    """The values of a column in all rows of a file, also in those that became no document."""

    spec: Spec
    column: str

    def __call__(self, file: InputFile) -> set[str]:
        """As they are named in a mixture."""
        from pipeline.readers.formats import infer_format
        from pipeline.readers.pieces import read

        kind = infer_format(file) if self.spec.format == "auto" else self.spec.format
        if kind == "jsonl" and self.column != "source":
            return json_labels(file.url, self.column)
        options = replace(self.spec.options, keep=(self.column,))
        found: set[str] = set()
        for batch in read(Piece(file, kind), options):
            if batch.table.num_rows:
                found |= self._labels(batch.table)
            if batch.refused is not None:
                found |= self._labels(batch.refused)
        return found

    def _labels(self, table: pa.Table) -> set[str]:
        absent = self.spec.source if self.column == "source" else NULL
        if self.column not in table.column_names:
            return {absent}
        values = pc.unique(as_labels(table[self.column]).cast("binary"))  # bytes: what is no UTF-8 was refused for it
        return {absent if value is None else value.decode("utf-8", "replace") or NULL for value in values.to_pylist()}


def _paths(out: Store) -> set[str]:
    """The files that have rows which were left out."""
    found: set[str] = set()
    for name in out.names("dropped"):
        origins = read_parquet(out, f"dropped/{name}", ["origin"])["origin"]
        found.update(pc.unique(pc.replace_substring_regex(origins, PLACE, "")).to_pylist())
    return found


def _read_again(recipe: Recipe, executor: Executor, paths: set[str], by: str) -> set[str]:
    found: set[str] = set()
    recipe, headers = look_at(recipe)
    for entry, header in zip(recipe.inputs, headers, strict=True):
        task = ValuesTask(Spec.of(entry, shard_mb=recipe.outputs.shard_mb, num_corpora=1), by)
        files = [file for file in header.listing if file.path in paths]
        for _, values in executor.map(task, files, Resources(), f"look at what was left out of {entry.name}"):
            found |= values
    return found
