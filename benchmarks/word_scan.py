"""MB of text per CPU-second: the scan of words, `gopher_quality` and `gopher_repetition` on it, and all three together.

    python benchmarks/word_scan.py build/corpora/english.parquet build/corpora/code.parquet [--rounds 3]

One thread, one table per file, the text in memory, the kernels compiled; the best of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators import scans
from operators.base import Context
from operators.gopher_quality import GopherQuality
from operators.gopher_repetition import GopherRepetition

QUALITY = GopherQuality().bind(Context(0, {}))
REPETITION = GopherRepetition().bind(Context(0, {}))


def seconds(rows: pa.Table) -> tuple[float, ...]:
    """CPU seconds of this thread for the scan, either filter on it, and all."""
    scans._remembered = ()
    times = [time.thread_time()]
    for step in (lambda table: scans.scan_texts(table["text"], "standard"), QUALITY, REPETITION):
        step(rows)
        times.append(time.thread_time())
    return times[1] - times[0], times[2] - times[1], times[3] - times[2], times[3] - times[0]


def main() -> None:
    """A table of all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[Path("build/corpora/english.parquet")])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| text | MB | scan | gopher_quality | gopher_repetition | all three |\n|---|---|---|---|---|---|")
    seconds(pa.table({"text": pa.array(["compiled"], pa.large_string())}))
    for path in options.files:
        rows = pa.table({"text": pq.read_table(path, columns=["text"])["text"].cast(pa.large_string())})
        size = rows["text"].nbytes / 1e6
        best = map(min, zip(*(seconds(rows) for _ in range(options.rounds)), strict=True))
        print(f"| {path.stem} | {size:.1f} | {' | '.join(f'{size / spent:.0f}' for spent in best)} |")


if __name__ == "__main__":
    main()
