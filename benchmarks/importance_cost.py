"""What `importance_resample` costs: CPU seconds beside data-selection 1.0.3, and memory as the corpus grows.

    python benchmarks/importance_cost.py speed [--data 'build/corpora/mixed-100mb/*.parquet'] [--rounds 2]
    python benchmarks/importance_cost.py memory [build/corpora/mixed-100mb ...] [--shard-mb 64] [--without]

`speed`: counting the n-grams of the target (the first tenth of the documents) and of the corpus, and weighing all
documents of the corpus, the text in memory, one thread, kernels compiled; package and kernel by turns. The package runs
in its locked environment (`benchmarks/peers/data_selection/`).

`memory`: a whole run with two workers that draws a tenth of the candidates; the target is one of the sources. Printed:
the largest resident memory of the driver, of a worker, and of all processes together, looked at twenty times a second.
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

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.importance_parity import RUNNER, ours
from benchmarks.training_speed import ROOT, python_of
from operators.importance_targets import Hash

MB = 1e6
CORPORA = [f"build/corpora/mixed-{size}" for size in ("100mb", "500mb", "1gb")]


def speed(pattern: str, rounds: int) -> None:
    """MB a CPU-second of each, round by round, and the ratios."""
    tables = [pq.read_table(path, columns=["text"]) for path in sorted(ROOT.glob(pattern))]
    raw = pa.concat_tables(tables).cast(pa.schema({"text": pa.large_string()}))
    target = raw.slice(0, raw.num_rows // 10)
    ours(target.slice(0, 9), raw.slice(0, 9), "fast")
    ours(target.slice(0, 9), raw.slice(0, 9), "sha256")
    print("| round | MB | data-selection | fast | ratio | sha256 | ratio |\n|---|---:|---:|---:|---:|---:|---:|")
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            for name, table in (("target", target), ("raw", raw)):
                pq.write_table(table, f"{home}/{name}.parquet")
            paths = [f"{home}/{name}" for name in ("target.parquet", "raw.parquet", "weights.npy")]
            command = [str(python_of("data_selection")), str(RUNNER), *paths]
            said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1])
        theirs, cells = said["mb"] / said["cpu_seconds"], []
        hashes: tuple[Hash, ...] = ("fast", "sha256")
        for hashing in hashes:
            begin = time.process_time()
            ours(target, raw, hashing)
            own = said["mb"] / (time.process_time() - begin)
            cells += [f"{own:.1f}", f"{own / theirs:.1f}"]
        print(f"| {number + 1} | {said['mb']:.1f} | {theirs:.2f} | {' | '.join(cells)} |", flush=True)


def memory(directory: str, shard_mb: float, *, without: bool) -> list[str]:
    """The cells of one run."""
    with tempfile.TemporaryDirectory() as home:
        step = {
            "kind": "importance_resample", "target": {"column": "source", "in": ["python-packages"]},
            "select": {"fraction": 0.1},
        }  # fmt: skip
        recipe = {
            "name": "memory",
            "inputs": [{"name": "texts", "path": f"{ROOT / directory}/*.parquet"}],
            "steps": [] if without else [step],
            "outputs": {"path": f"{home}/out", "shard_mb": shard_mb},
        }
        Path(home, "recipe.json").write_text(json.dumps(recipe))
        command = [sys.executable, "-m", "pipeline", "run", f"{home}/recipe.json", "--workers", "2", "--json"]
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        most = watch(psutil.Process(run.pid))
        found = json.loads(run.communicate()[0])
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, command)
    cells = [directory.rsplit("/", 1)[-1], f"{found['rows']['read']:,}", *(f"{value / MB:.0f}" for value in most)]
    return [*cells, f"{found['seconds']:.0f}"]


def watch(driver: psutil.Process) -> tuple[int, int, int]:
    """The largest resident memory of a process, of one below it, and of all together, until it ends. In bytes."""
    most = (0, 0, 0)
    while driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE:
        try:
            own, sizes = driver.memory_info().rss, [0]
            for child in driver.children(recursive=True):
                sizes.append(child.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
        most = (max(most[0], own), max(most[1], *sizes), max(most[2], own + sum(sizes)))
        time.sleep(0.05)
    return most


def main() -> None:
    """Measure what is asked for and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("corpora", nargs="*", default=CORPORA, help="directories of Parquet files with text and source")
    parser.add_argument("--data", default="build/corpora/mixed-100mb/*.parquet", help="Parquet files with text")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shard-mb", type=float, default=64, help="text per shard")
    parser.add_argument("--without", action="store_true", help="the memory of a run without the step")
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.data, given.rounds)
        return
    heads = ["corpus", "documents", "driver (MB)", "a worker (MB)", "all together (MB)", "seconds"]
    print(f"| {' | '.join(heads)} |\n|{'---:|' * len(heads)}", flush=True)
    for directory in given.corpora:
        print(f"| {' | '.join(memory(directory, given.shard_mb, without=given.without))} |", flush=True)


if __name__ == "__main__":
    main()
