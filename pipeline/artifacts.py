"""What a fold left, on storage: files by name, tables in parts, and the rows that go back to the shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from operators.base import PART, RunError
from pipeline.corpus import read_parquet
from pipeline.exchange import State

if TYPE_CHECKING:
    from pipeline.storage import Store


@dataclass(frozen=True)
class StoredOutputs:
    """Descriptors only: output name -> stored file (bytes), table name -> its parts in order, and `_rows` states.

    `digest` names the content: what reads an artifact has it in its key.
    """

    digest: str
    files: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[State]] = field(default_factory=dict)
    rows: list[State] = field(default_factory=list)
    partitioned: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "digest": self.digest,
            "files": self.files,
            "tables": {name: [part.to_json() for part in parts] for name, parts in self.tables.items()},
            "rows": [state.to_json() for state in self.rows],
            "partitioned": self.partitioned,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> StoredOutputs:
        """The inverse of `to_json`."""
        return cls(
            content["digest"],
            content["files"],
            {name: [State(**part) for part in parts] for name, parts in content["tables"].items()},
            [State(**state) for state in content["rows"]],
            content["partitioned"],
        )

    def published(self) -> list[tuple[str, str, int]]:
        """(stored file, public name, rows) of everything that is published: names that begin with "_" are not."""
        found = [(file, name, 0) for name, file in sorted(self.files.items()) if not name.startswith("_")]
        for name, parts in sorted(self.tables.items()):
            if name.startswith("_"):
                continue
            if self.partitioned:
                folder = "" if name == PART else f"{name}/"
                found.extend((part.file, f"{folder}part-{i:05d}.parquet", part.rows) for i, part in enumerate(parts))
            else:
                found.append((parts[0].file, f"{name}.parquet", parts[0].rows))
        return found


class StoredArtifact:
    """Read access for operators (see `operators.base.Artifact`)."""

    def __init__(self, store: Store, outputs: StoredOutputs) -> None:
        self._store = store
        self._outputs = outputs

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        if name not in self._outputs.files:
            raise RunError(
                f"the artifact has no file {name!r}; it has {', '.join(sorted(self._outputs.files)) or 'none'}"
            )
        return self._store.read(self._outputs.files[name])

    def table(self, name: str) -> pa.Table:
        """One output table, its parts joined in order."""
        if name not in self._outputs.tables:
            raise RunError(
                f"the artifact has no table {name!r}; it has {', '.join(sorted(self._outputs.tables)) or 'none'}"
            )
        return pa.concat_tables([read_parquet(self._store, part.file) for part in self._outputs.tables[name]])
