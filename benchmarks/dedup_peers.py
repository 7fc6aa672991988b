"""MB of text per CPU second of a whole near-duplicate step: ours, datatrove, text-dedup, data-juicer and rensa.

    python benchmarks/dedup_peers.py [--data 'out/quickstart/corpus/*.parquet'] [--megabytes 100] [--rounds 3]

Everyone compares words in shingles of five, with the same bands of the same rows (`--bands`, `--rows`; ours would take
them by itself), from Parquet to the rows that stay. The peers get as much of the text as they do in a minute or two
(`SHARE`); their signing, which is nearly all they do, costs the same for each byte. Their imports are not counted.

Ours is a run of the recipe in the engine, verified on the full text, which the peers do not do. "Whole run": every CPU
second of it from the start of the command to the published corpus. "Step": that less a run of the same recipe without
the step, and both less the same over the first hundredth of the text: so starting processes, imports and loading
kernels are not counted, as they are not for the peers, nor is reading the input, which is for them.

The second table is accuracy: the documents of two versions of three packages (`near_duplicates.py`), what each removes,
how many of those have a document left that is at least 0.8 similar by the exact Jaccard of our shingles, and how many
stay beside such a one. The peers' shingles differ a little from ours (their lower case, their punctuation).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.duplicate_truth import Truth, all_pairs, left_alone
from benchmarks.near_duplicates import versions
from benchmarks.training_speed import ROOT, python_of
from operators.shingles import Shingling, shingle_sets

RUNNER = Path(__file__).parent / "peers" / "dedup.py"
SHARE: Final = {"datatrove": 0.1, "text_dedup": 0.3, "data_juicer": 0.3, "rensa": 1.0, "rensa_deduplicator": 1.0}
"""How much of the text each peer gets."""
FEW: Final = 0.01
SHARES: Final = sorted({*SHARE.values(), FEW, 1.0})
ENVIRONMENT: Final = {"rensa_deduplicator": "rensa"}
OURS: Final = {"ours": "jaccard", "ours, verify: none": "none"}


def sample(pattern: str, megabytes: float, path: Path) -> float:
    """Write the first documents of some files, so many megabytes; how many they are."""
    files = sorted(Path("/").glob(pattern[1:]) if pattern.startswith("/") else ROOT.glob(pattern))
    table = pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])
    sizes = np.cumsum(pc.binary_length(table["text"]).to_numpy())
    count = int(np.searchsorted(sizes, megabytes * 1e6, side="right"))
    ids = pa.array([f"{number:09d}" for number in range(count)])
    pq.write_table(table.slice(0, count).add_column(0, "id", ids), path, row_group_size=5000)
    return float(sizes[count - 1]) / 1e6


def peer(name: str, file: Path, bands: int, rows: int) -> tuple[float, set[str]]:
    """CPU seconds of a peer, and the ids that it kept."""
    python = python_of(ENVIRONMENT.get(name, name))
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python), str(RUNNER), name, str(file), str(bands), str(rows), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        found = json.loads(done.stdout.splitlines()[-1])
        return found["cpu_s"], set(json.loads(Path(folder, "kept.json").read_text()))


def run(steps: list[dict[str, Any]], file: Path) -> tuple[float, set[str]]:
    """CPU seconds of a whole run with one worker, its processes included, and the ids that it kept."""
    with tempfile.TemporaryDirectory() as name:
        recipe = {
            "name": "dedup",
            "inputs": [{"name": "texts", "path": str(file), "columns": {"id": "id"}}],
            "steps": steps,
            "outputs": {"path": f"{name}/out"},
        }
        Path(name, "recipe.yaml").write_text(yaml.safe_dump(recipe))
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "pipeline", "run", f"{name}/recipe.yaml", "--workers", "1"]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        kept = ds.dataset(f"{name}/out/corpus").to_table(columns=["id"])["id"].to_pylist()
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime, set(kept)


def step(verify: str, bands: int, rows: int) -> list[dict[str, Any]]:
    """Our step with the peers' bands."""
    gate = {"max_drop_ratio": 1.0, "max_source_drop_ratio": 1.0}
    return [{"kind": "minhash_dedup", "unit": "word", "bands": bands, "rows": rows, "verify": verify, **gate}]


def speed(given: argparse.Namespace, peers: list[str], folder: Path) -> None:
    """Print the table of CPU seconds."""
    sizes = {share: sample(given.data, given.megabytes * share, folder / f"{share}.parquet") for share in SHARES}
    whole = folder / "1.0.parquet"
    few = folder / f"{FEW}.parquet"
    seconds: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        empty = run([], whole)[0] - run([], few)[0]
        for name, verify in OURS.items():
            steps = step(verify, given.bands, given.rows)
            used = run(steps, whole)[0]
            seconds.setdefault(f"{name}: whole run", []).append(used)
            seconds.setdefault(f"{name}: step", []).append(used - run(steps, few)[0] - empty)
        for name in peers:
            seconds.setdefault(name, []).append(
                peer(name, folder / f"{SHARE[name]}.parquet", given.bands, given.rows)[0]
            )
    text = {name: sizes[SHARE.get(name, 1.0)] - (sizes[FEW] if name.endswith("step") else 0) for name in seconds}
    rate = {name: text[name] / statistics.median(found) for name, found in seconds.items()}
    print(f"{given.bands} bands of {given.rows}, medians of {given.rounds}\n")
    print("| step | text (MB) | CPU s | MB per CPU s | ours verified is so many times faster: step | whole run |")
    print("|---|---|---|---|---|---|")
    for name, found in seconds.items():
        ratios = f"{rate['ours: step'] / rate[name]:.1f} | {rate['ours: whole run'] / rate[name]:.1f}"
        print(
            f"| {name} | {text[name]:.1f} | {statistics.median(found):.2f} | {rate[name]:.2f} | {ratios} |", flush=True
        )


def accuracy(given: argparse.Namespace, peers: list[str], folder: Path) -> None:
    """Print what each removes of versions of packages."""
    documents = {name: text for _, group in versions() for name, text in group.items()}
    texts, ids = pa.array(documents.values(), pa.large_string()), list(documents)
    file = folder / "versions.parquet"
    pq.write_table(pa.table({"id": ids, "text": texts}), file, row_group_size=5000)
    truth: Truth = all_pairs(shingle_sets(texts, Shingling("word", 5)))
    print(f"\n{len(ids)} documents, {(truth.jaccard() >= given.threshold).sum()} pairs\n")
    print("| step | removed | of these without one like it left | kept beside one like it |\n|---|---|---|---|")
    for name in (*OURS, *peers):
        if name in OURS:
            kept = run(step(OURS[name], given.bands, given.rows), file)[1]
        else:
            kept = peer(name, file, given.bands, given.rows)[1]
        stays = np.array([name in kept for name in ids])
        orphans, doubles = left_alone(stays, truth, given.threshold)
        print(f"| {name} | {(~stays).sum()} | {orphans} | {doubles} |", flush=True)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bands", type=int, default=16)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--peers", nargs="*", default=list(SHARE), choices=list(SHARE))
    parser.add_argument("--only", choices=("speed", "accuracy"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.only != "accuracy":
            speed(given, given.peers, Path(name))
        if given.only != "speed":
            accuracy(given, [peer for peer in given.peers if peer != "datatrove"], Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
