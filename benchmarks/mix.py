"""What `mix` costs: CPU seconds and memory by the number of documents, for budgets in bytes and in characters.

    python benchmarks/mix.py [--documents 125000 250000 500000 1000000] [--bytes 500] [--groups 100]

A corpus of made-up documents of about so many bytes in two-byte letters, of groups of very different size, is read from
Parquet shard by shard, as the engine does, and drawn from by temperature. Printed for each of the three passes that
read rows: CPU seconds of this process a million documents, reading the columns included; the seconds of merging and
finishing the two folds; and by how much the process grew beyond what one shard took. Every size runs in a process of
its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from operators.base import Context, Fold, Judge
from operators.mix import Mix
from tests.operators.harness import Stored

SHARD = 50_000


def write(folder: Path, documents: int, size: int, groups: int) -> list[Path]:
    """Shards of 50,000 documents; group g has a share ~ 1/(g + 1)."""
    rng = np.random.default_rng(7)
    shares = 1 / np.arange(1, groups + 1)
    files = []
    for start in range(0, documents, SHARD):
        count = min(SHARD, documents - start)
        letters = rng.integers(0, size, count)
        offsets = np.append(0, np.cumsum(2 * letters)).astype(np.int64)
        data = np.tile(np.frombuffer("\u00e9".encode(), np.uint8), int(letters.sum()))
        text = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))
        lang = pa.array([f"l{group}" for group in rng.choice(groups, count, p=shares / shares.sum())])
        ids = pa.array([f"web/{number:012}" for number in range(start, start + count)])
        files.append(folder / f"part-{start:09}.parquet")
        pq.write_table(pa.table({"id": ids, "text": text, "lang": lang}), files[-1])
    return files


def measure(files: list[Path], unit: str) -> list[float]:
    """CPU seconds: of the histogram, the ranking and the judge over all shards; of merging both folds."""
    mixing = Mix.model_validate({"by": "lang", "temperature": 2.0, "unit": unit, "max_epochs": 4})
    artifacts: dict[str, Stored] = {}
    spent, merging = [], 0.0
    for stage in mixing.stages():
        assert isinstance(stage, Fold | Judge)
        context = Context(7, {name: artifacts[name] for name in stage.uses()})
        columns = list({"id": None, **stage.needs()})
        start = time.process_time()
        apply = stage.bind(context)
        states = [apply(pq.read_table(file, columns=columns, use_threads=False)) for file in files]
        spent.append(time.process_time() - start)
        if isinstance(stage, Fold):
            start = time.process_time()
            outputs = stage.finish(stage.merge(pa.concat_tables(states)), context)
            merging += time.process_time() - start
            stored = Stored()
            for name, output in outputs.items():
                if isinstance(output, pa.Table):
                    stored.parts[name] = [output]
                else:
                    stored.files[name] = bytes(output)
            artifacts[stage.label] = stored
    return [*spent, merging]


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """The table, a process for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--documents", nargs="+", type=int, default=[125_000, 250_000, 500_000, 1_000_000])
    parser.add_argument("--bytes", type=int, default=500, help="mean size of a document")
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        folder, unit = options.row
        files = sorted(Path(folder).glob("*.parquet"))
        measure(files[:1], unit)
        before = peak()
        print(*measure(files, unit), peak() - before)
        return
    print("| documents | unit | histogram | ranking | verdict | together | merging | memory MB |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for documents in options.documents:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), documents, options.bytes, options.groups)
            for unit in ("bytes", "chars"):
                command = [sys.executable, __file__, "--row", folder, unit]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                *spent, merging, memory = map(float, said.split())
                each = [1e6 / documents * some for some in (*spent, sum(spent))]
                shown = " | ".join(f"{some:.2f}" for some in each)
                print(f"| {documents:,} | {unit} | {shown} | {merging:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
