"""MB of text per CPU-second of every clean-up map, and how much of the text it changed.

    python benchmarks/clean_up.py build/corpora/*.parquet [--kinds fix_unicode mask_pii] [--megabytes 20]

One process, the text in memory, kernels compiled by a first run over a few documents; the median of `--rounds`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators import OPERATORS
from operators.base import Context, Map
from operators.clean_up import CleanUp

KINDS = {str(kind.model_fields["kind"].default): kind for kind in OPERATORS if issubclass(kind, CleanUp)}


def documents(path: Path, megabytes: float) -> tuple[pa.Table, float]:
    """Every n-th document, so many that they are about so much text; and how much that is, in MB."""
    texts = pq.read_table(path, columns=["text"])["text"].cast(pa.large_string())
    step = max(1, round(texts.nbytes / megabytes / 1e6))
    chosen = texts.take(pa.array(np.arange(0, len(texts), step)))
    return pa.table({"text": chosen}), pc.sum(pc.binary_length(chosen)).as_py() / 1e6


def measure(operator: Map, rows: pa.Table, size: float, rounds: int) -> str:
    """The cells of one map over one corpus."""
    apply = operator.bind(Context(seed=0, artifacts={}))
    apply(rows.slice(0, 20))
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        found = apply(rows)
        seconds.append(time.process_time() - begin)
    changed = pc.sum(pc.not_equal(found["text"], rows["text"])).as_py() / rows.num_rows
    return f"{size / statistics.median(seconds):.1f} | {changed:.1%}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files with a column `text`")
    parser.add_argument("--kinds", nargs="+", default=sorted(KINDS), choices=sorted(KINDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=20)
    options = parser.parse_args()
    print("| map | text | MB | MB per CPU-second | documents changed |\n|---|---|---|---|---|")
    for path in options.files:
        rows, size = documents(path, options.megabytes)
        for kind in options.kinds:
            print(f"| {kind} | {path.stem} | {size:.1f} | {measure(KINDS[kind](), rows, size, options.rounds)} |")
