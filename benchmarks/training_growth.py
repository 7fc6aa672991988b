"""How the price of training grows with the text: ours on 0.1, 0.2, 0.5, 1 and 2 GB of one mix.

    python benchmarks/training_growth.py [--corpora build/corpora/mixed-100mb ...] [--pretokenizer cl100k]

The corpora are nested random samples (`benchmarks/corpora.py`). On one core: CPU seconds of counting alone (the text of
a row group at a time, decoded before), of adding the tables up, and of 64,000 merges; distinct pre-tokens and their
bytes; and the merge phase's peak memory above the table that it is given, in a process of its own. The last lines are
least-squares fits in logs: a figure grows like the text (or the distinct bytes) to the power of the exponent.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.counting import CountTable  # noqa: E402
from operators.kernels import bpe  # noqa: E402
from operators.kernels.pretokenize import count  # noqa: E402
from operators.pretokenizers import PATTERNS, Pretokenizer  # noqa: E402

NAMES: Final = ("mixed-100mb", "mixed-200mb", "mixed-500mb", "mixed-1gb", "mixed-2gb")
Figures = dict[str, float]


def cpu_seconds() -> float:
    """Of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident(field: str) -> int:
    """Bytes of memory by this process's own account: VmRSS now, VmHWM at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def count_corpus(corpus: Path, pretokenizer: Pretokenizer, path: Path) -> Figures:
    """Count a corpus and write the table of counts."""
    table, counting, num_bytes, documents, begin = CountTable(), 0.0, 0, 0, 0.0
    count(pa.array(["warm"], pa.large_string()), np.ones(1, np.int64), pretokenizer)
    adding = 0.0
    for file in sorted(corpus.glob("*.parquet")):
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            texts = parquet.read_row_group(group, ["text"])["text"].cast(pa.large_string()).combine_chunks()
            begin = cpu_seconds()
            words, counts = count(texts, np.ones(len(texts), np.int64), pretokenizer)
            counted = cpu_seconds()
            table.add(words, counts)
            adding += cpu_seconds() - counted
            counting += counted - begin
            documents += len(texts)
            num_bytes += pc.sum(pc.binary_length(texts)).as_py()
    begin = cpu_seconds()
    words, counts = table.words_and_counts()
    adding += cpu_seconds() - begin
    distinct = pa.table({"word": words, "count": pa.array(counts, pa.int64())})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, distinct.schema) as writer:
        writer.write_table(distinct)
    distinct_bytes = pc.sum(pc.binary_length(words)).as_py()
    figures = {"bytes": num_bytes, "documents": documents, "count_s": counting, "add_s": adding}
    once = float(np.count_nonzero(counts == 1)) / max(1, len(counts))
    top = float(counts.max()) / max(1, int(counts.sum()))
    return {**figures, "distinct": len(words), "distinct_bytes": distinct_bytes, "once": once, "top_share": top}


def merge_counts(path: Path, num_merges: int) -> Figures:
    """Learn from a table in this process; CPU seconds, and the peak of memory above the table."""
    few = pa.array([b"ab"], pa.large_binary())
    bpe.train(few, np.ones(1, np.int64), 300)
    with pa.OSFile(str(path), "rb") as source:
        table = pa.ipc.open_file(source).read_all()
    words, counts = table["word"].combine_chunks(), table["count"].to_numpy()
    words = words.chunk(0) if isinstance(words, pa.ChunkedArray) else words
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before, begin = resident("VmRSS"), cpu_seconds()
    learned = bpe.train(words, counts, 256 + num_merges)
    seconds = cpu_seconds() - begin
    return {"merge_s": seconds, "merges": len(learned.merges), "state_bytes": resident("VmHWM") - before,
            "peak_bytes": resident("VmHWM")}  # fmt: skip


def measure(corpus: Path, pretokenizer: Pretokenizer, num_merges: int) -> Figures:
    """Count and merge one corpus, each in a process of its own."""
    found: Figures = {}
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        table = f"{folder}/counts.arrow"
        for part in (["--count", str(corpus), table], ["--merge", table, str(num_merges)]):
            command = [sys.executable, str(Path(__file__)), "--pretokenizer", pretokenizer, *part]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found |= json.loads(done.stdout)
    print(json.dumps({"corpus": corpus.name, **found}), file=sys.stderr, flush=True)
    return found


def exponent(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Exponent and largest relative miss of a power law fitted to points by least squares in logs.

    >>> tuple(round(v, 6) for v in exponent([1, 10, 100], [2, 20, 200]))
    (1.0, 0.0)
    """
    slope, intercept = np.polyfit(np.log(x), np.log(y), 1)
    misses = np.abs(np.exp(intercept) * np.asarray(x) ** slope / np.asarray(y) - 1)
    return float(slope), float(misses.max())


def report(rows: Sequence[Figures], pretokenizer: str) -> None:
    """Print the table and the fits."""
    print(f"{pretokenizer}; {rows[0]['merges']:.0f} merges; one core\n")
    titles = (
        *("text (MB)", "documents", "counting CPU s", "MB per CPU s", "adding up CPU s", "distinct pre-tokens (k)"),
        *("their bytes (MB)", "that occur once", "merging CPU s", "peak memory (MB)", "state per distinct byte"),
    )
    print(f"| {' | '.join(titles)} |\n" + "|---" * len(titles) + "|")
    for row in rows:
        cells = [
            f"{row['bytes'] / 1e6:.0f}",
            f"{row['documents']:,.0f}",
            f"{row['count_s']:.2f}",
            f"{row['bytes'] / 1e6 / row['count_s']:.0f}",
            f"{row['add_s']:.2f}",
            f"{row['distinct'] / 1e3:.0f}",
            f"{row['distinct_bytes'] / 1e6:.1f}",
            f"{row['once']:.2f}",
            f"{row['merge_s']:.2f}",
            f"{row['peak_bytes'] / 1e6:.0f}",
            f"{row['state_bytes'] / row['distinct_bytes']:.0f}",
        ]
        print(f"| {' | '.join(cells)} |")
    if len(rows) > 1:
        print("\n| figure | grows with | exponent | largest miss of the fit |\n|---|---|---|---|")
        for label, x, y in (
            ("counting CPU seconds", "bytes", "count_s"),
            ("distinct pre-tokens", "bytes", "distinct"),
            ("their bytes", "bytes", "distinct_bytes"),
            ("merging CPU seconds", "bytes", "merge_s"),
            ("merging CPU seconds", "distinct_bytes", "merge_s"),
            ("memory of the merge phase", "distinct_bytes", "state_bytes"),
        ):
            slope, miss = exponent([row[x] for row in rows], [row[y] for row in rows])
            unit = "text" if x == "bytes" else "distinct bytes"
            print(f"| {label} | {unit} | {slope:.2f} | {miss:.0%} |")


def main() -> int:
    """Measure each corpus and print."""
    default = [ROOT / "build" / "corpora" / name for name in NAMES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpora", nargs="+", type=Path, default=default)
    parser.add_argument("--pretokenizer", choices=list(PATTERNS), default="cl100k")
    parser.add_argument("--merges", type=int, default=64_000)
    parser.add_argument("--count", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--merge", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.count:
        print(json.dumps(count_corpus(Path(given.count[0]), given.pretokenizer, Path(given.count[1]))))
        return 0
    if given.merge:
        print(json.dumps(merge_counts(Path(given.merge[0]), int(given.merge[1]))))
        return 0
    (ROOT / "build").mkdir(exist_ok=True)
    report([measure(corpus, given.pretokenizer, given.merges) for corpus in given.corpora], given.pretokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
