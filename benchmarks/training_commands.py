"""Whole commands that train a tokenizer from Parquet files: wall seconds, CPU seconds and peak memory, beside peers'.

    python benchmarks/training_commands.py [--data build/corpora/mixed-100mb] [--rounds 3] [--vocab 64256]

Each is one process started cold, from the interpreter's start to the written tokenizer, on the same files:

    ours          `python -m pipeline run` of inputs and train_tokenizer alone, 2 workers, a fresh work directory
    tokenizers    train_from_iterator over batches of 1,000 texts, TOKENIZERS_PARALLELISM on; then save
    rustbpe       train_from_iterator over the texts; then writes its ranks
    gigatoken     train_bpe over all texts joined, which is what its interface takes; then writes its vocabulary

All cut by GPT-2's pattern (`--pretokenizer cl100k`: ours and tokenizers only). Ours also digests its inputs, writes the
count table, traces and a report, and publishes; nothing is switched off. Memory is the resident set summed over the
process tree, sampled every 50 ms: pages that processes share count for each, which is against ours, as a peer is one
process (proportional sets would be fairer, but reading them holds a process up for milliseconds). CPU seconds are those
of all processes. Rounds are interleaved, medians are printed, the files are read once before. Compiled kernels are in
numba's cache: run it once before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.training_speed import PEERS, python_of  # noqa: E402

TRAINERS: Final = ("ours", "tokenizers", *PEERS)
RUNNER: Final = ROOT / "benchmarks" / "peers" / "train_files.py"
INTERVAL_S: Final = 0.05


def recipe(data: Path, out: Path, vocab: int, pretokenizer: str) -> dict[str, Any]:
    """Inputs and training, and nothing else."""
    return {
        "name": "training",
        "inputs": [{"name": "texts", "path": str(data / "*.parquet"), "format": "parquet", "columns": {"id": "id"}}],
        "steps": [{"kind": "train_tokenizer", "pretokenizer": pretokenizer, "vocab_sizes": [vocab]}],
        "outputs": {"path": str(out)},
    }


def command(trainer: str, data: Path, folder: Path, vocab: int, pretokenizer: str) -> list[str]:
    """What is run, in an empty folder."""
    if trainer == "ours":
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe(data, folder / "out", vocab, pretokenizer)))
        return [sys.executable, "-m", "pipeline", "run", str(path), "--workers", "2", "--json"]
    python = python_of(trainer) if trainer in PEERS else Path(sys.executable)
    return [str(python), str(RUNNER), trainer, str(data), str(vocab), pretokenizer, str(folder / "out")]


def memory_of(process: psutil.Process) -> float:
    """Resident memory of a process and all below it, in MB."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total / 1e6


def measure(trainer: str, data: Path, vocab: int, pretokenizer: str) -> dict[str, float]:
    """Run one command and watch it."""
    folder = Path(tempfile.mkdtemp(prefix="training-", dir=ROOT / "build"))
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    before, begin, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    try:
        with (folder / "log").open("w") as log:
            line = command(trainer, data, folder, vocab, pretokenizer)
            running = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            watched = psutil.Process(running.pid)
            while running.poll() is None:
                peak = max(peak, memory_of(watched))
                time.sleep(INTERVAL_S)
        wall = time.perf_counter() - begin
        if running.returncode:
            raise SystemExit(f"{trainer} failed:\n{(folder / 'log').read_text()[-2000:]}")
    finally:
        shutil.rmtree(folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak}


def megabytes(data: Path) -> float:
    """Text in the files; reading it also warms the page cache."""
    batches = (
        b for path in sorted(data.glob("*.parquet")) for b in pq.ParquetFile(path).iter_batches(columns=["text"])
    )
    return sum(pc.sum(pc.binary_length(batch["text"])).as_py() or 0 for batch in batches) / 1e6


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "corpora" / "mixed-100mb")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocab", type=int, default=64_256)
    parser.add_argument("--pretokenizer", choices=["gpt2", "cl100k"], default="gpt2")
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=None)
    given = parser.parse_args()
    trainers = given.trainers or (TRAINERS if given.pretokenizer == "gpt2" else TRAINERS[:2])
    (ROOT / "build").mkdir(exist_ok=True)
    for name in trainers:
        if name in PEERS:
            python_of(name)
    data = given.data.resolve()
    size = megabytes(data)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
    for number in range(given.rounds):
        for name in trainers:
            found[name].append(measure(name, data, given.vocab, given.pretokenizer))
            print(json.dumps({"round": number, "trainer": name, **found[name][-1]}), file=sys.stderr, flush=True)
    print(f"{size:.1f} MB of text, {given.vocab} tokens, {given.pretokenizer}, medians of {given.rounds}\n")
    print("| command | wall s | times ours | CPU s | times ours | peak memory (MB) | times ours |")
    print("|---|---|---|---|---|---|---|")
    medians = {n: {k: statistics.median(run[k] for run in runs) for k in runs[0]} for n, runs in found.items()}
    ours = medians.get("ours", medians[trainers[0]])
    for name, row in medians.items():
        times = {key: value / ours[key] for key, value in row.items()}
        cells = [
            f"{row[key]:.{digits}f} | {times[key]:.1f}" for key, digits in (("wall_s", 1), ("cpu_s", 1), ("peak_mb", 0))
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
