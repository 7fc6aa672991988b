"""Merging partial states, finishing them into outputs, and handing rows back to their shards. Runs in workers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from operators.base import ROW, ROWS, SHARD, Fold, Outputs, RunError, fingerprint
from pipeline.artifacts import StoredOutputs
from pipeline.corpus import parquet_bytes, read_parquet
from pipeline.exchange import BUCKETS, State, key_buckets, read_buckets, write_state
from pipeline.plan import Node
from pipeline.shard_task import bound, context_of, result_name
from pipeline.step_errors import naming
from pipeline.storage import read_arrow
from pipeline.vault import Vault


@dataclass(frozen=True)
class MergeItem:
    """Some states of a fold, or one range of their buckets. `shards` numbers the shard that each state came from."""

    states: tuple[State, ...]
    shards: tuple[int, ...]
    low: int = 0
    high: int = BUCKETS
    part: int = 0


@dataclass(frozen=True)
class MergeTask:
    """Merge states; with `finish` also turn the merged state into outputs."""

    root: str
    node: Node
    used: dict[str, StoredOutputs]
    finish: bool

    def name_of(self, item: MergeItem) -> str:
        """Where the descriptor lies."""
        return result_name(self.key(item))

    def key(self, item: MergeItem) -> str:
        """Made of the fold's work, the digests of what it merges in order, the range, and the artifacts it uses."""
        used = [self.used[name].digest for name in sorted(self.used)]
        states = [[state.digest, shard] for state, shard in zip(item.states, item.shards, strict=True)]
        return fingerprint([self.node.work, states, item.low, item.high, item.part, self.finish, used])

    def __call__(self, item: MergeItem) -> dict[str, Any]:
        """Merge, perhaps finish, commit; returns a State or StoredOutputs as JSON."""
        store = Vault(self.root)
        fold = self.node.operator
        assert isinstance(fold, Fold)
        key = self.key(item)
        name = f"merged/{self.node.work[:16]}/{key[:32]}"
        with naming(self.node.step, "failed while merging"):
            state = fold.merge(
                pa.concat_tables([_load(store, s, n, item) for s, n in zip(item.states, item.shards, strict=True)])
            )
            if not self.finish:
                bucket = key_buckets(state, fold.key, self.node.step)
                result = write_state(store, f"{name}.arrow", state, bucket).to_json()
            else:
                outputs = fold.finish(state, context_of(store, self.node, self.used))
                result = _write_outputs(store, name, outputs, item.part).to_json()
        store.write_json(result_name(key), {**result, "holds": store.written})
        return result


def _load(store: Vault, state: State, shard: int, item: MergeItem) -> pa.Table:
    if state.file.endswith(".parquet"):
        table = read_parquet(store, state.file)
    elif (item.low, item.high) == (0, BUCKETS):
        table = read_arrow(store, state.file).replace_schema_metadata(None)
    else:
        table = read_buckets(store, state, item.low, item.high)
    if ROW in table.column_names and SHARD not in table.column_names:
        table = table.append_column(SHARD, pa.array(np.full(table.num_rows, shard, np.int32)))
    return table


def _write_outputs(store: Vault, name: str, outputs: Outputs, part: int) -> StoredOutputs:
    """Commit what `finish` returned; the digest is over names and contents."""
    files: dict[str, str] = {}
    tables: dict[str, list[State]] = {}
    rows: list[State] = []
    contents: list[list[str]] = []
    for output, content in sorted(outputs.items()):
        if output == ROWS:
            assert isinstance(content, pa.Table)
            order = content.sort_by([(SHARD, "ascending"), (ROW, "ascending")])
            state = write_state(store, f"{name}/rows.arrow", order, order[SHARD].to_numpy().astype(np.int64))
            rows.append(state)
        elif isinstance(content, pa.Table):
            data = parquet_bytes(content)
            state = State(f"{name}/{output}.parquet", content.num_rows, data.size, hashlib.sha256(data).hexdigest())
            store.write(state.file, data)
            tables[output] = [state]
        else:
            files[output] = f"{name}/{output}"
            store.write(files[output], content)
            state = State(files[output], 0, len(content), hashlib.sha256(content).hexdigest())
        contents.append([output, state.digest])
    return StoredOutputs(fingerprint([part, contents]), files, tables, rows)


def join_parts(parts: list[StoredOutputs], *, partitioned: bool) -> StoredOutputs:
    """The outputs of a fold's partitions as one artifact, parts in order."""
    files: dict[str, str] = {}
    tables: dict[str, list[State]] = {}
    for part in parts:
        if partitioned and (twice := files.keys() & part.files.keys()):
            raise RunError(
                f"two partitions of a fold both leave a file {min(twice)!r}; a partitioned fold may leave only tables"
            )
        files.update(part.files)
        for name, pieces in part.tables.items():
            tables.setdefault(name, []).extend(pieces)
    rows = [state for part in parts for state in part.rows]
    digest = parts[0].digest if len(parts) == 1 else fingerprint([part.digest for part in parts])
    return StoredOutputs(digest, files, tables, rows, partitioned)


@dataclass(frozen=True)
class GatherItem:
    """A range of shards whose rows are collected from every partition of a fold."""

    first: int
    last: int


@dataclass(frozen=True)
class GatherTask:
    """Hand a fold's rows back: one slice file per shard, sorted by row, with a digest of its own."""

    root: str
    states: tuple[State, ...]

    def name_of(self, item: GatherItem) -> str:
        """Where the descriptor lies."""
        return result_name(self.key(item))

    def key(self, item: GatherItem) -> str:
        """Made of what is collected and for which shards."""
        return fingerprint(["gather", [state.digest for state in self.states], item.first, item.last])

    def __call__(self, item: GatherItem) -> dict[str, Any]:
        """Commit the slices; returns shard number (as text) -> State; shards without rows are left out."""
        store = Vault(self.root)
        key = self.key(item)
        tables = [read_buckets(store, state, item.first, item.last) for state in self.states]
        table = pa.concat_tables(tables)
        shard = table[SHARD].to_numpy()
        result = {}
        for number in np.unique(shard):
            mine = table.filter(pa.array(shard == number)).drop_columns([SHARD]).sort_by(ROW)
            name = f"slices/{key[:2]}/{key[:32]}/{number}.arrow"
            result[str(number)] = write_state(store, name, mine).to_json()
        store.write_json(result_name(key), {**result, "holds": store.written})
        return result


@dataclass(frozen=True)
class TableTask:
    """The partial state of a fold over one part of an earlier fold's table."""

    root: str
    node: Node
    used: dict[str, StoredOutputs]

    def name_of(self, item: State) -> str:
        """Where the descriptor lies."""
        return result_name(self.key(item))

    def key(self, item: State) -> str:
        """Made of the fold's work, the part's content and the artifacts it uses."""
        return fingerprint(
            ["table", self.node.work, item.digest, [self.used[name].digest for name in sorted(self.used)]]
        )

    def __call__(self, item: State) -> dict[str, Any]:
        """Commit the state; returns it as JSON."""
        store, key = Vault(self.root), self.key(item)
        fold = self.node.operator
        assert isinstance(fold, Fold)
        apply = bound(self.node, context_of(store, self.node, self.used))
        with naming(self.node.step, "failed on the table of an earlier stage"):
            partial = apply(read_parquet(store, item.file))
        bucket = key_buckets(partial, fold.key, self.node.step)
        result = write_state(store, f"states/{self.node.work[:16]}/{key[:32]}.arrow", partial, bucket).to_json()
        store.write_json(result_name(key), {**result, "holds": store.written})
        return result
