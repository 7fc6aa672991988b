"""CPU seconds, memory and result of `substring_dedup` beside a suffix array by pydivsufsort over the same text.

    python benchmarks/substring_dedup.py [--data 'out/quickstart/corpus/*.parquet'] [--min-bytes 200] [--megabytes 64]

Ours: every stage in one process, the text in memory, the kernels compiled; writing, reading and starting workers are
the engine's. Theirs: suffix array and common prefixes alone, without what would have to follow. Both are asked which
bytes are repeated (docs/dedup.md), before word borders; a digest of the answer is compared. The peer's environment is
locked in `benchmarks/peers/` and made under `build/peers/`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.line_dedup import CONTEXT, Clock, joined, shards_of
from benchmarks.training_speed import python_of
from operators.base import ROW, ROWS, SHARD, Fold, Judge, Map
from operators.substring_dedup import SubstringDedup


def partial(clock: Clock, fold: Fold, given: list[pa.Table], name: str) -> pa.Table:
    """The states of all shards, joined."""
    states = []
    for number, rows in enumerate(given):
        state = clock.call(f"{name}, each shard", fold.bind(CONTEXT), rows)
        if ROW in state.column_names:
            state = state.append_column(SHARD, pa.array(np.full(state.num_rows, number, np.int32)))
        states.append(state)
    return pa.concat_tables(states)


def run(step: SubstringDedup, shards: list[pa.Table], clock: Clock) -> tuple[list[pa.Table], dict[str, int], int]:
    """The rows beside their pieces, the bytes of each exchange, and the bytes that are cut."""
    fingerprints, shared, copies, whole, pieces, removed, verdict, cut = step.stages()
    folds = (fingerprints, shared, copies, whole, pieces, removed)
    fingerprints, shared, copies, whole, pieces, removed = (fold for fold in folds if isinstance(fold, Fold))
    sizes = {}
    state = partial(clock, fingerprints, shards, "fingerprints")
    sizes["fingerprints"] = state.nbytes
    table = clock.call("fingerprints, finish", fingerprints.finish, state, CONTEXT)["_shared"]
    listed = clock.call("shared", shared.finish, table, CONTEXT)[ROWS]
    state = partial(clock, copies, [joined(rows, number, listed) for number, rows in enumerate(shards)], "copies")
    sizes["copies"] = state.nbytes
    table = clock.call("copies, finish", copies.finish, state, CONTEXT)["_copies"]
    state = clock.call("whole", whole.bind(CONTEXT), table)
    sizes["whole"] = state.nbytes
    table = clock.call("whole", whole.finish, state, CONTEXT)["_whole"]
    found = clock.call("pieces", pieces.finish, table, CONTEXT)[ROWS]
    views = [joined(rows, number, found) for number, rows in enumerate(shards)]
    clock.call("artifact", removed.finish, partial(clock, removed, views, "artifact"), CONTEXT)
    gone = 0
    assert isinstance(verdict, Judge)
    assert isinstance(cut, Map)
    for view in views:
        gone += pc.sum(clock.call("verdict", verdict.bind(CONTEXT), view)["removed_bytes"]).as_py()
        clock.call("cut", cut.bind(CONTEXT), view)
    return views, sizes, gone


def in_order(views: list[pa.Table]) -> pa.Table:
    """All documents in the order in which copies are kept."""
    table = pa.concat_tables([view.append_column("bytes", pc.binary_length(view["text"])) for view in views])
    return table.sort_by([("bytes", "descending"), ("id", "ascending")])


def answer(table: pa.Table, begins: np.ndarray) -> tuple[str, int]:
    """The digest of the repeated bytes, and how many they are."""
    mask = np.zeros(begins[-1], bool)
    for begin, starts, ends in zip(begins.tolist(), table["start"].to_pylist(), table["end"].to_pylist(), strict=False):
        for start, end in zip(starts or (), ends or (), strict=True):
            mask[begin + start : begin + end] = True
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest(), int(mask.sum())


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--min-bytes", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=16, help="text in a shard")
    given = parser.parse_args()
    step = SubstringDedup(min_bytes=given.min_bytes)
    shards = shards_of(given.data, given.megabytes)
    shards = [
        rows.set_column(0, "id", pc.binary_join_element_wise(str(i), rows["id"], "-")) for i, rows in enumerate(shards)
    ]
    run(step, [shards[0].slice(0, 50)], Clock())  # compiles
    clock = Clock()
    views, sizes, gone = run(step, shards, clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table = in_order(views)
    begins = np.append(0, np.cumsum(table["bytes"].to_numpy())).astype(np.int64)
    digest, repeated = answer(table, begins)
    total = begins[-1] / 1e6
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "text").write_bytes("".join(table["text"].to_pylist()).encode())
        begins.tofile(Path(folder, "begins"))
        runner = Path(__file__).parent / "peers" / "repeats.py"
        command = [
            str(python_of("pydivsufsort")),
            str(runner),
            f"{folder}/text",
            f"{folder}/begins",
            str(step.min_bytes),
        ]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(output.splitlines()[-1])
    print(f"{total:.1f} MB of text, {table.num_rows} documents, {len(shards)} shards, min_bytes {step.min_bytes}\n")
    print("| stage | CPU s | MB per CPU s |\n|---|---|---|")
    stages = {**clock.seconds, "all": sum(clock.seconds.values())}
    stages |= {"pydivsufsort, suffix array": theirs["array_s"], "pydivsufsort, common prefixes": theirs["common_s"]}
    for stage, seconds in stages.items():
        print(f"| {stage} | {seconds:.2f} | {total / max(seconds, 1e-6):.0f} |")
    print("\n| | peak MB | repeated bytes | all but first places | cut at word borders |\n|---|---|---|---|---|")
    print(f"| ours | {peak:.0f} | {repeated} | | {gone} |")
    print(f"| pydivsufsort | {theirs['peak_mb']:.0f} | {theirs['repeated']} | {theirs['later']} | |")
    exchanged = ", ".join(f"{name} {size / begins[-1]:.2f}" for name, size in sizes.items())
    print(f"\nbytes exchanged for a byte of text: {exchanged}")
    print("the same bytes" if digest == theirs["digest"] else "OTHER BYTES")
    return int(digest != theirs["digest"])


if __name__ == "__main__":
    sys.exit(main())
