"""Log weights of `importance_resample` (hash: sha256) beside those of data-selection 1.0.3, document by document.

    python benchmarks/importance_parity.py [--data 'build/corpora/mixed-100mb/*.parquet'] [--documents 2000]

The first tenth of the documents is the target, all are the corpus. The package has an environment of its own, locked in
`benchmarks/peers/data_selection/` and made under `build/peers/` when it is first needed. Exit status 1 if a weight
differs by more than 1e-9 of the larger of it and 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.training_speed import ROOT, python_of
from operators.importance_weights import Hash, log_ratio
from operators.kernels.ngram_features import count_ngrams, sum_ngrams
from operators.text_buffers import column_bytes

RUNNER = Path(__file__).parent / "peers" / "weights_data_selection.py"
BUCKETS = 10_000


def sample(pattern: str, documents: int) -> pa.Table:
    """So many documents, spread evenly over the files."""
    table = pa.concat_tables([pq.read_table(path, columns=["text"]) for path in sorted(ROOT.glob(pattern))])
    places = np.unique(np.linspace(0, table.num_rows - 1, min(documents, table.num_rows)).astype(np.int64))
    return table.take(pa.array(places)).cast(pa.schema({"text": pa.large_string()}))


def ours(target: pa.Table, raw: pa.Table, hashing: Hash) -> np.ndarray:
    """The log weights, not normalised."""
    data = column_bytes(raw["text"])
    wanted, counts = (count_ngrams(*of, 2, BUCKETS, hashing) for of in (column_bytes(target["text"]), data))
    return sum_ngrams(*data, 2, log_ratio(wanted, counts, 0), hashing).sums


def main() -> int:
    """Print what is equal, and the speeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="build/corpora/mixed-100mb/*.parquet", help="Parquet files with text")
    parser.add_argument("--documents", type=int, default=2000)
    given = parser.parse_args()
    raw = sample(given.data, given.documents)
    target = raw.slice(0, raw.num_rows // 10)
    with tempfile.TemporaryDirectory() as home:
        for name, table in (("target", target), ("raw", raw)):
            pq.write_table(table, f"{home}/{name}.parquet")
        paths = [f"{home}/{name}" for name in ("target.parquet", "raw.parquet", "weights.npy")]
        command = [str(python_of("data_selection")), str(RUNNER), *paths]
        output = subprocess.run(command, check=True, capture_output=True)
        said = json.loads(output.stdout.splitlines()[-1])
        theirs = np.load(paths[2])
    worst = np.abs(ours(target, raw, "sha256") - theirs)
    off = worst > 1e-9 * np.maximum(np.abs(theirs), 1)
    speeds = {"data-selection": said["mb"] / said["cpu_seconds"]}
    hashes: tuple[Hash, ...] = ("sha256", "fast")
    for hashing in hashes:
        begin = time.process_time()
        ours(target, raw, hashing)
        speeds[hashing] = said["mb"] / (time.process_time() - begin)
    print(f"{raw.num_rows} documents of {said['mb']:.1f} MB, log weights from {theirs.min():.1f} to {theirs.max():.1f}")
    print(f"largest difference {worst.max():.2g}; {int(off.sum())} beyond 1e-9 of the larger of it and 1")
    print(", ".join(f"{name} {speed:.1f} MB a CPU-second" for name, speed in speeds.items()))
    return int(off.any())


if __name__ == "__main__":
    sys.exit(main())
