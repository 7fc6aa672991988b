"""MB of text per CPU-second of every stage of `line_dedup` and `paragraph_dedup`, and of the digests of `exact_dedup`.

    python benchmarks/line_dedup.py [--data 'out/quickstart/corpus/*.parquet'] [--rounds 3] [--megabytes 64]

One process, the text in memory, the kernels compiled; medians. Writing, reading and starting workers are not counted:
they are the engine's, and the same for every step. The last table says what the steps removed and how large the states
were that went through an exchange.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators.base import ROW, ROWS, SHARD, Context, Fold, Judge, Map
from operators.boilerplate import Boilerplate
from operators.hashing import content_digests
from operators.line_dedup import LineDedup
from operators.paragraph_dedup import ParagraphDedup

CONTEXT = Context(0, {})
STEPS: dict[str, Boilerplate] = {
    "line_dedup": LineDedup(),
    "line_dedup, whitespace_case": LineDedup(normalise="whitespace_case"),
    "paragraph_dedup": ParagraphDedup(),
}


class Clock:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def call(self, stage: str, function: Callable[..., pa.Table], *given: object) -> pa.Table:
        """The function's result; its CPU seconds go to the stage."""
        begin = time.process_time()
        result = function(*given)
        self.seconds[stage] += time.process_time() - begin
        return result


def shards_of(pattern: str, megabytes: float) -> list[pa.Table]:
    """The documents in shards of about so much text, with ids made of their places."""
    files = sorted(Path().glob(pattern)) if not Path(pattern).is_absolute() else sorted(Path("/").glob(pattern[1:]))
    text = pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])["text"].cast(pa.large_string())
    size = np.cumsum(pc.binary_length(text).to_numpy())
    shards = []
    for part in range(int(size[-1] // (megabytes * 1e6)) + 1):
        low, high = np.searchsorted(size, [part * megabytes * 1e6, (part + 1) * megabytes * 1e6])
        ids = pa.array([f"{number:032x}" for number in range(low, high)], pa.string())
        rows = pa.table({"id": ids, "text": text.slice(low, high - low), ROW: np.arange(high - low, dtype=np.int32)})
        shards.append(rows.combine_chunks())
    return [shard for shard in shards if shard.num_rows]


def joined(rows: pa.Table, shard: int, found: pa.Table) -> pa.Table:
    """The rows beside what a fold handed back to them."""
    mine = found.filter(pc.equal(found[SHARD], shard))
    place = pc.index_in(rows[ROW], value_set=mine[ROW].combine_chunks())
    for name in mine.column_names[2:]:
        rows = rows.append_column(name, mine[name].take(place))
    return rows


def run(step: Boilerplate, shards: list[pa.Table], clock: Clock) -> tuple[int, int, int]:
    """One step over the shards; returns rows and bytes of the first exchange, and the bytes that were removed."""
    counts, carriers, copies, _, decided, cuts, verdict, cut = step.stages()
    folds = [stage for stage in (counts, carriers, copies, decided, cuts) if isinstance(stage, Fold)]
    counts, carriers, copies, decided, cuts = folds
    assert isinstance(verdict, Judge)
    assert isinstance(cut, Map)

    def partial(fold: Fold, name: str, given: list[pa.Table]) -> pa.Table:
        states = []
        for number, rows in enumerate(given):
            state = clock.call(f"{name}, each shard", fold.bind(CONTEXT), rows)
            states.append(state.append_column(SHARD, pa.array(np.full(state.num_rows, number, np.int32))))
        return pa.concat_tables(states)

    state = partial(counts, "counts", shards)
    candidates = clock.call("counts, finish", counts.finish, state, CONTEXT)["_candidates"]
    hints = clock.call("carriers", carriers.finish, candidates, CONTEXT)[ROWS]
    found = partial(copies, "copies", [joined(rows, number, hints) for number, rows in enumerate(shards)])
    chosen = clock.call("copies, finish", copies.finish, found, CONTEXT)
    told = clock.call("decided", decided.finish, chosen["_decided"], CONTEXT)[ROWS]
    mine = partial(cuts, "cuts", [joined(rows, number, told) for number, rows in enumerate(shards)])
    places = clock.call("cuts, finish", cuts.finish, mine, CONTEXT)[ROWS]
    removed = 0
    for number, rows in enumerate(shards):
        view = joined(rows, number, places)
        scores = clock.call("verdict", verdict.bind(CONTEXT), view)
        clock.call("cut", cut.bind(CONTEXT), view)
        removed += pc.sum(scores["removed_bytes"]).as_py()
    return state.num_rows, state.nbytes, removed


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=64, help="text in a shard")
    given = parser.parse_args()
    shards = shards_of(given.data, given.megabytes)
    megabytes = sum(pc.sum(pc.binary_length(rows["text"])).as_py() for rows in shards) / 1e6
    documents = sum(rows.num_rows for rows in shards)
    print(f"{megabytes:.1f} MB of text, {documents} documents, {len(shards)} shards, medians of {given.rounds}\n")
    clocks: dict[str, list[Clock]] = {name: [] for name in (*STEPS, "exact_dedup")}
    sizes = {name: run(step, shards[:1], Clock()) for name, step in STEPS.items()}  # compiles
    for _ in range(given.rounds):
        for name, step in STEPS.items():
            clocks[name].append(Clock())
            sizes[name] = run(step, shards, clocks[name][-1])
        clocks["exact_dedup"].append(Clock())
        for rows in shards:
            clocks["exact_dedup"][-1].call("digests", content_digests, rows["text"])
            clocks["exact_dedup"][-1].call("digests, whitespace_case", content_digests, rows["text"], "whitespace_case")
    print("| step | stage | CPU s | MB per CPU s |\n|---|---|---|---|")
    for name, found in clocks.items():
        stages = {stage: statistics.median(clock.seconds[stage] for clock in found) for stage in found[0].seconds}
        whole = {"all": sum(stages.values())} if name in STEPS else {}
        for stage, seconds in {**stages, **whole}.items():
            print(f"| {name} | {stage} | {seconds:.3f} | {megabytes / max(seconds, 1e-6):.0f} |")
    print("\n| step | rows in the first exchange | MB in it | MB removed |\n|---|---|---|---|")
    for name, (rows, size, removed) in sizes.items():
        print(f"| {name} | {rows} | {size / 1e6:.1f} | {removed / 1e6:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
