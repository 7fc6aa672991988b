"""Subsets: facility location beside apricot and submodlib, all kinds beside chance, and how time grows.

    python benchmarks/subset.py oracle [--documents 5000]    exit status 1 if below 0.99 of apricot's objective
    python benchmarks/subset.py kinds [--documents 5000]     mean similarity, radius, seconds; 5 % and a quarter chosen
    python benchmarks/subset.py bytes [--documents 5000]     the same where a tenth of the bytes is chosen
    python benchmarks/subset.py partitions                   what is lost by choosing in partitions
    python benchmarks/subset.py growth [--sizes 10000 100000 1000000]    whole runs over passages of 300 characters

Objectives are computed in float64 from vectors that are not rounded. Peers have environments of their own, locked in
`benchmarks/peers/` and made under `build/peers/` when they are first needed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.importance_parity import sample
from benchmarks.training_speed import ROOT, python_of
from operators.base import Context
from operators.facility_location import FacilityLocation
from operators.ideal import Ideal
from operators.k_center import KCenter
from operators.kernels.ngram_features import sketches
from operators.kernels.subsets import quantised
from operators.subset_stages import fitting
from operators.subsets import SubsetStep
from operators.text_buffers import column_bytes
from operators.vectors import SCALE, DocumentCounts, components, damping, weights_of
from operators.vote_k import VoteK

RUNNER = Path(__file__).parent / "peers" / "locate.py"
KINDS: dict[str, type[SubsetStep]] = {
    "facility_location": FacilityLocation,
    "k_center": KCenter,
    "vote_k": VoteK,
    "ideal": Ideal,
}
PASSAGE = 300


def unit_vectors(table: pa.Table, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of texts as the operator makes them, of length 1 and not rounded, in float64; and the texts' bytes.

    A text without a vector is in neither.
    """
    data = column_bytes(table["text"])
    fold = DocumentCounts(name="documents", ngrams=1)
    counts = fold.finish(fold.merge(fold.bind(Context(0, {}))(table)), Context(0, {}))["_documents"]
    place, sign = components(dim)
    found = sketches(*data, 1, place, weights_of(counts) * sign, damping(), dim).astype(np.float64)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    there = length[:, 0] > 0
    return found[there] / length[there], np.diff(data[1])[there].astype(np.int64)


def rounded(vectors: np.ndarray) -> np.ndarray:
    """As the choice sees them."""
    return quantised(vectors.astype(np.float32), SCALE)[0].astype(np.float32)


def choose(kind: str, vectors: np.ndarray, budget: int, sizes: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """The choice in one partition, and its CPU seconds; the budget is of documents, or of `sizes` in bytes."""
    by_bytes = sizes is not None
    step = KINDS[kind].model_validate({"select": {"bytes" if by_bytes else "docs": budget}})
    names = [str(number) for number in range(len(vectors))]
    places = np.random.default_rng(7).integers(0, 1 << 63, len(vectors)).astype(np.uint64)
    rows = pa.table({"place": places, "id": names})
    begin = time.process_time()
    sizes = np.ones(len(vectors), np.int64) if sizes is None else sizes
    found = step.choice(by_bytes=by_bytes).choose(vectors, rows, sizes, budget, 7)
    return found.order, time.process_time() - begin


def nearest(vectors: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """For each vector the largest cosine to a chosen one."""
    return np.concatenate([(part @ vectors[chosen].T).max(axis=1) for part in np.array_split(vectors, 20)])


def objective(vectors: np.ndarray, chosen: np.ndarray) -> float:
    """Of facility location."""
    return float(np.maximum(nearest(vectors, chosen), 0).sum())


def oracle(vectors: np.ndarray) -> int:
    """Ours beside the libraries."""
    count = len(vectors) // 4
    choose("facility_location", rounded(vectors[:50]), 5)  # compiles
    found, seconds = choose("facility_location", rounded(vectors), count)
    best, times = {"ours": objective(vectors, found)}, {"ours": seconds}
    with tempfile.TemporaryDirectory() as home:
        np.save(f"{home}/vectors.npy", vectors.astype(np.float32))
        for peer in ("apricot", "submodlib"):
            command = [str(python_of(peer)), str(RUNNER), peer, f"{home}/vectors.npy", str(count), f"{home}/out.npy"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            times[peer] = json.loads(output.splitlines()[-1])["cpu_seconds"]
            best[peer] = objective(vectors, np.load(f"{home}/out.npy"))
    by_chance = objective(vectors, np.random.default_rng(7).permutation(len(vectors))[:count])
    print(f"{count} of {len(vectors)} documents; by chance {by_chance:.1f}\n")
    print("| choice | objective | of apricot's | CPU s | times ours |\n|---|---:|---:|---:|---:|")
    for peer, value in best.items():
        ratio, slower = value / best["apricot"], times[peer] / times["ours"]
        print(f"| {peer} | {value:.2f} | {ratio:.6f} | {times[peer]:.2f} | {slower:.1f} |")
    return int(best["ours"] < 0.99 * best["apricot"])


def kinds(vectors: np.ndarray) -> int:
    """Each kind beside chance."""
    whole = rounded(vectors)
    print("| choice | share | mean similarity | radius | CPU s |\n|---|---:|---:|---:|---:|")
    for share in (0.05, 0.25):
        count = int(len(vectors) * share)
        choices = {"by chance": (np.random.default_rng(7).permutation(len(vectors))[:count], 0.0)}
        for kind in KINDS:
            choose(kind, whole[:200], 5)
            choices[kind] = choose(kind, whole, count)
        for name, (found, seconds) in choices.items():
            print(f"| {name} | {share} | {standing(vectors, found)} | {seconds:.2f} |")
    return 0


def of_bytes(vectors: np.ndarray, sizes: np.ndarray) -> int:
    """Each kind beside chance, for a tenth of the bytes."""
    whole, budget = rounded(vectors), int(sizes.sum()) // 10
    order = np.random.default_rng(7).permutation(len(vectors))
    choices = {"by chance": order[fitting(sizes[order], budget)]}
    choices |= {kind: choose(kind, whole, budget, sizes)[0] for kind in KINDS}
    print(f"{budget:,} of {sizes.sum():,} bytes, {len(vectors):,} documents\n")
    print("| choice | documents | bytes left | mean similarity | radius |\n|---|---:|---:|---:|---:|")
    for name, found in choices.items():
        print(f"| {name} | {found.size:,} | {budget - sizes[found].sum()} | {standing(vectors, found)} |")
    return 0


def standing(vectors: np.ndarray, chosen: np.ndarray) -> str:
    """The mean cosine to the nearest that is chosen, and the largest chord to it."""
    near = nearest(vectors, chosen)
    return f"{np.maximum(near, 0).mean():.4f} | {np.sqrt(max(2 - 2 * near.min(), 0)):.3f}"


def partitions(vectors: np.ndarray) -> int:
    """One choice over 10,000 documents, and the same share in ever smaller partitions."""
    whole = rounded(vectors)
    order = np.random.default_rng(7).permutation(len(vectors))
    print("| partitions | objective | of one partition's | CPU s |\n|---:|---:|---:|---:|")
    first = 0.0
    for parts in (1, 2, 4, 10, 40):
        found, total = [], 0.0
        for part in np.array_split(order, parts):
            some, seconds = choose("facility_location", whole[part], len(part) // 4)
            found.append(part[some])
            total += seconds
        value = objective(vectors, np.concatenate(found))
        first = first or value
        print(f"| {parts} | {value:.1f} | {value / first:.4f} | {total:.1f} |")
    value = objective(vectors, order[: len(vectors) // 4])
    print(f"| by chance | {value:.1f} | {value / first:.4f} | |")
    return 0


def passages(pattern: str) -> Iterator[str]:
    """Pieces of text of 300 characters, file after file."""
    for path in sorted(ROOT.glob(pattern)):
        for batch in pq.ParquetFile(path).iter_batches(64, columns=["text"]):
            for text in batch["text"].to_pylist():
                yield from (text[start : start + PASSAGE] for start in range(0, len(text) - PASSAGE + 1, PASSAGE))


def write(pattern: str, count: int, folder: Path) -> None:
    """So many passages, spread over the corpus, in files of 50,000."""
    folder.mkdir(parents=True)
    every = max(1, 2_000_000 // count)
    found: list[str] = []
    files = 0
    taken = 0
    for number, text in enumerate(passages(pattern)):
        if number % every or taken == count:
            continue
        found.append(text)
        taken += 1
        if len(found) == 50_000 or taken == count:
            pq.write_table(pa.table({"text": found}), folder / f"{files:03}.parquet")
            found, files = [], files + 1
    if found:
        pq.write_table(pa.table({"text": found}), folder / f"{files:03}.parquet")


def growth(pattern: str, sizes: list[int], kind: str) -> int:
    """Whole runs; what they cost is that of all their processes."""
    print("| documents | MB | CPU s | CPU ms a document | seconds | peak MB of a process |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count in sizes:
        home = ROOT / "build" / "subset" / str(count)
        shutil.rmtree(home, ignore_errors=True)
        write(pattern, count, home / "in")
        recipe = {
            "name": "growth",
            "inputs": [{"name": "docs", "path": str(home / "in" / "*.parquet")}],
            "steps": [{"kind": kind, "select": {"fraction": 0.25}}],
            "outputs": {"path": str(home / "out")},
        }
        (home / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "pipeline", "run", str(home / "recipe.yaml"), "--workers", "2"]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ})
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begin
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        read = json.loads((home / "out" / "manifest.json").read_text("utf-8"))["steps"][0]
        row = f"{read['rows_in']:,} | {read['bytes_in'] / 1e6:.0f} | {cpu:.0f} | {1000 * cpu / read['rows_in']:.2f}"
        print(f"| {row} | {seconds:.0f} | {after.ru_maxrss / 1024:.0f} |", flush=True)
        found = json.loads((home / "out" / "artifacts" / kind / "summary.json").read_text("utf-8"))
        print(f"  {found['partitions']} partitions, mean similarity {found['mean_similarity']}", flush=True)
        shutil.rmtree(home)
    return 0


def main() -> int:
    """One of the five."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["oracle", "kinds", "bytes", "partitions", "growth"])
    parser.add_argument("--data", default="build/corpora/mixed-100mb/*.parquet", help="Parquet files with text")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kind", default="facility_location", choices=sorted(KINDS))
    given = parser.parse_args()
    if given.what == "growth":
        return growth(given.data, given.sizes, given.kind)
    documents = 10_000 if given.what == "partitions" else given.documents
    vectors, sizes = unit_vectors(sample(given.data, documents), given.dim)
    if given.what == "bytes":
        return of_bytes(vectors, sizes)
    return {"oracle": oracle, "kinds": kinds, "partitions": partitions}[given.what](vectors)


if __name__ == "__main__":
    sys.exit(main())
