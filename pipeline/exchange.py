"""State files that a later task reads in slices: the exchange by key, over storage.

A file holds one table sorted by bucket (the top bits of a hash of the key, or a shard's number), cut into record
batches at bucket borders; its metadata say where each bucket begins. A reader of some buckets fetches only the batches
that hold them, so P readers of S files read everything once, and no row passes through the driver.

Why not Ray Data's shuffle: `docs/adr/0003-exchange-over-storage.md` has the measurements.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from operators.base import RunError
from pipeline.storage import Store, arrow_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

BUCKETS: Final = 256
"""Buckets of a keyed state: a power of two, and the largest number of partitions."""
BATCH_ROWS: Final = 4096
PARTITION_BYTES: Final = 128 << 20
VERIFY_BYTES: Final = 16 << 20
"""A state up to this size is verified by each of its readers; of a larger one only slices are read."""
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class State:
    """A committed state file. `digest` is the sha256 of its bytes; an empty `file` stands for no rows at all."""

    file: str
    rows: int
    bytes: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def num_partitions(states: Iterable[State]) -> int:
    """How many partitions a keyed state is merged in: by its size alone, never by the number of workers."""
    total = sum(state.bytes for state in states)
    wanted = max(1, -(-total // PARTITION_BYTES))
    return min(BUCKETS, 1 << (wanted - 1).bit_length())


def buckets_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Each key's bucket, 0 to 255: the top byte of a mixed integer, or of xxh3_64 of a string's bytes."""
    if pa.types.is_integer(column.type):
        mixed = column.cast(pa.uint64(), safe=False).to_numpy().astype(np.uint64) * _MIX
    else:
        import xxhash

        digest = xxhash.xxh3_64_intdigest
        mixed = np.fromiter((digest(key) for key in column.cast(pa.large_binary()).to_pylist()), np.uint64, len(column))
    bucket: NDArray[np.int64] = (mixed >> np.uint64(56)).astype(np.int64)
    return bucket


def key_buckets(state: pa.Table, key: str, step: str) -> NDArray[np.int64] | None:
    """The bucket of each row of a fold's state; None where the fold has no key. A key is there and never null."""
    if not key:
        return None
    if key not in state.column_names:
        raise RunError(f"step {step!r}: its state has no key column {key!r}; it has {', '.join(state.column_names)}")
    if state[key].null_count:
        raise RunError(
            f"step {step!r}: the key {key!r} of its state is null in {state[key].null_count} of {state.num_rows} rows; "
            "a null belongs to no partition"
        )
    return buckets_of(state[key])


def write_state(store: Store, name: str, table: pa.Table, bucket: NDArray[np.int64] | None = None) -> State:
    """Commit a state, sorted stably by bucket where buckets are given."""
    if bucket is None:
        bucket = np.zeros(table.num_rows, np.int64)
    # NumPy sorts 16 bits by their digits, six times as fast as it merges 64.
    small = bucket.size > 0 and bucket.min() >= 0 and bucket.max() < 1 << 16
    order = np.argsort(bucket.astype(np.uint16) if small else bucket, kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        table = table.take(pa.array(order))
        bucket = bucket[order]
    table = table.combine_chunks()
    batches, index = _cut(table, bucket)
    content = arrow_bytes(table, {b"index": index.tobytes()}, batches)
    store.write(name, content)
    return State(name, table.num_rows, content.size, hashlib.sha256(content).hexdigest())


def _cut(table: pa.Table, bucket: NDArray[np.int64]) -> tuple[list[pa.RecordBatch], NDArray[np.int64]]:
    """Record batches of at least BATCH_ROWS that end at bucket borders; index rows: (bucket, batch, start, length)."""
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    if not len(starts):
        return [], np.empty((0, 4), np.int64)
    ends = np.append(starts[1:], len(bucket))
    batches: list[pa.RecordBatch] = []
    index = np.empty((len(starts), 4), np.int64)
    begin = 0
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        index[place] = bucket[start], len(batches), start - begin, end - start
        if end - begin >= BATCH_ROWS or place == len(starts) - 1:
            batches.extend(table.slice(begin, end - begin).to_batches())
            begin = int(end)
    return batches, index


def read_buckets(store: Store, state: State, low: int, high: int) -> pa.Table:
    """The rows of buckets low..high-1, with their bucket order."""
    reader = pa.ipc.open_file(store.buffer(state.file, verify=state.bytes <= VERIFY_BYTES))
    schema = reader.schema.remove_metadata()
    index = np.frombuffer((reader.schema.metadata or {}).get(b"index", b""), np.int64).reshape(-1, 4)
    wanted = index[(index[:, 0] >= low) & (index[:, 0] < high)]
    parts = []
    for batch in np.unique(wanted[:, 1]):
        rows = wanted[wanted[:, 1] == batch]
        start, end = int(rows[0, 2]), int(rows[-1, 2] + rows[-1, 3])
        parts.append(reader.get_batch(int(batch)).replace_schema_metadata(None).slice(start, end - start))
    return pa.Table.from_batches(parts, schema)


def partition_range(partition: int, partitions: int) -> tuple[int, int]:
    """The buckets of one of `partitions` equal partitions."""
    width = BUCKETS // partitions
    return partition * width, (partition + 1) * width


def state_schema(store: Store, state: State) -> pa.Schema:
    """A state's columns and their types."""
    return pa.ipc.open_file(store.buffer(state.file, verify=False)).schema.remove_metadata()
