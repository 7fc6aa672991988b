"""semantic_dedup: agreement with brute force, shares kept, speed beside SemDeDup as it is usually written, and growth.

    python benchmarks/semantic_dedup.py agreement [--documents 2000]    exit status 1 if one cluster is not brute force
    python benchmarks/semantic_dedup.py shares [--documents 2000]       what `keep_share` comes to
    python benchmarks/semantic_dedup.py speed [--documents 20000]       CPU seconds on one thread
    python benchmarks/semantic_dedup.py growth [--sizes 10000 40000 160000]    whole runs, two workers

Vectors of `agreement` and `shares` are hashed n-grams of texts (as the subsets' are), the others random ones in
families. The plain version has float32 vectors, faiss.Kmeans, and in each cluster one matrix of all cosines, in which a
document goes if any before it is near, dropped or not.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported: one thread each

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.importance_parity import sample
from benchmarks.subset import rounded, unit_vectors
from benchmarks.training_speed import ROOT
from operators.embedding.clustering import automatic, placed, spherical_k_means
from operators.embedding.near_pairs import near_pairs
from operators.vectors import packed_rows
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import Recipe
from pipeline.session import run_recipe

STEP = "semantic_dedup"


def write(vectors: np.ndarray, file: Path) -> None:
    """Documents with a column of vectors; texts are of one length, so ids decide."""
    names = [f"{number:08}" for number in range(len(vectors))]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float32).ravel()), vectors.shape[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": names, "text": names, "vector": column}), file, row_group_size=4096)


def recipe_of(home: Path, **given: object) -> dict[str, object]:
    """A run of the step over the files in a folder."""
    inputs = [{"name": "docs", "path": f"{home}/in/*.parquet", "columns": {"id": "id"}}]
    step = {"kind": STEP, "column": "vector", "keep": "longest", **given}
    outputs = {"path": f"{home}/out", "shard_mb": 0.5}
    return {"name": "bench", "seed": 7, "inputs": inputs, "steps": [step], "outputs": outputs}


def kept_by_run(home: Path, **given: object) -> set[int]:
    """The documents that a run keeps."""
    executor = LocalExecutor(1)
    run_recipe(Recipe.model_validate(recipe_of(home, **given)), executor, quiet=True)
    executor.close()
    return {int(name) for name in pq.read_table(home / "out" / "corpus", columns=["id"])["id"].to_pylist()}


def brute_force(vectors: np.ndarray, threshold: float) -> set[int]:
    """The greedy choice over all pairs in the order of the rows, in float64."""
    kept: list[int] = []
    for row in range(len(vectors)):
        if not kept or (vectors[kept] @ vectors[row]).max() < threshold:
            kept.append(row)
    return set(kept)


def agreement(pattern: str, documents: int, dim: int) -> int:
    """Runs with more and more clusters beside brute force, over rounded vectors and over the vectors themselves."""
    exact, _ = unit_vectors(sample(pattern, documents), dim)
    whole = rounded(exact).astype(np.float64)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    many = automatic(len(exact))
    print(f"{len(exact)} documents; `of duplicates`: those brute force removes that the run removes too\n")
    print("| epsilon | clusters | probes | brute force removes | the run removes | of duplicates | other verdicts |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write(exact, home / "in" / "a.parquet")
        for epsilon in (0.1, 0.3, 0.5):
            expected, unrounded = (brute_force(some, 1 - epsilon) for some in (whole, exact))
            gone = set(range(len(exact))) - expected
            for clusters, probes in ((1, 1), (many, 1), (many, 2), (many, 3)):
                found = kept_by_run(home, epsilon=epsilon, clusters=clusters, probes=probes)
                both = len(gone - found) / max(len(gone), 1)
                differ = len(found ^ expected)
                wrong += clusters == 1 and differ > 0
                row = f"| {epsilon} | {clusters} | {probes} | {len(gone)} | {len(exact) - len(found)} | {both:.4f} "
                print(f"{row}| {differ} |", flush=True)
            print(f"  not rounded, brute force keeps {len(expected ^ unrounded)} others", flush=True)
    return int(wrong > 0)


def shares(pattern: str, documents: int, dim: int) -> int:
    """What is kept where a share is asked for, with the clusters that a run takes itself."""
    vectors, _ = unit_vectors(sample(pattern, documents), dim)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        write(vectors, home / "in" / "a.parquet")
        for share in (0.9, 0.7, 0.4):
            found = kept_by_run(home, keep_share=share, max_drop_ratio=1)
            print(
                f"of {len(vectors)} documents, asked for {share}, it kept {len(found) / len(vectors):.3f}", flush=True
            )
    return 0


def ours(vectors: np.ndarray, threshold: float, probes: int) -> tuple[int, float]:
    """Documents that go, as the stages compute it, without files; CPU seconds."""
    whole = rounded(vectors)
    begin = time.process_time()
    centres, _ = spherical_k_means(whole[: 64 * automatic(len(whole))], automatic(len(whole)))
    clusters = placed(whole, centres, probes).clusters
    gone: set[int] = set()
    for cluster in range(len(centres)):
        members = np.flatnonzero((clusters == cluster).any(axis=1))
        column = pa.chunked_array([packed_rows(whole[members].astype(np.int16))])
        gone.update(members[near_pairs(column, threshold).later].tolist())
    return len(gone), time.process_time() - begin


def plain(vectors: np.ndarray, threshold: float) -> tuple[int, float]:
    """The same by faiss and one matrix a cluster; CPU seconds."""
    import faiss

    faiss.omp_set_num_threads(1)
    floats = vectors.astype(np.float32)
    begin = time.process_time()
    kmeans = faiss.Kmeans(
        floats.shape[1], automatic(len(floats)), niter=12, spherical=True, seed=7, max_points_per_centroid=64
    )
    kmeans.train(floats)
    clusters = kmeans.index.search(floats, 1)[1][:, 0]
    gone = 0
    for cluster in range(kmeans.k):
        some = floats[clusters == cluster]
        if len(some):
            gone += int((np.triu(some @ some.T, 1).max(axis=0) >= threshold).sum())
    return gone, time.process_time() - begin


def speed(documents: int, dim: int) -> int:
    """Both by turns, twice."""
    vectors = families(documents, dim)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ours(vectors[:500], 0.95, 1)  # compiles
    print("| | documents that go | CPU s | times plain |\n|---|---:|---:|---:|")
    best: dict[str, tuple[int, float]] = {}
    for _ in range(2):
        rounds = {
            "plain": plain(vectors, 0.95),
            "one probe": ours(vectors, 0.95, 1),
            "two probes": ours(vectors, 0.95, 2),
        }
        for label, (gone, seconds) in rounds.items():
            if label not in best or seconds < best[label][1]:
                best[label] = gone, seconds
    for label, (gone, seconds) in best.items():
        print(f"| {label} | {gone} | {seconds:.2f} | {seconds / best['plain'][1]:.2f} |")
    return 0


def families(count: int, dim: int) -> np.ndarray:
    """Random vectors; a third are copies, moved a little, of others."""
    rng = np.random.default_rng(count)
    found = rng.normal(size=(count, dim)).astype(np.float32)
    copies = count // 3
    found[-copies:] = found[rng.integers(0, count - copies, copies)] + np.float32(0.1) * found[-copies:]
    return found


def growth(sizes: list[int], dim: int) -> int:
    """Whole runs; what they cost is that of all their processes."""
    print("| documents | clusters | removed | CPU s | CPU ms a document | seconds | peak MB of a process |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for count in sizes:
        home = ROOT / "build" / "semantic" / str(count)
        shutil.rmtree(home, ignore_errors=True)
        for part, some in enumerate(np.array_split(families(count, dim), max(1, count // 10_000))):
            write(some, home / "in" / f"{part:03}.parquet")
        for part, file in enumerate(sorted((home / "in").iterdir())):
            table = pq.read_table(file)
            names = pa.array([f"{part:03}-{name}" for name in table["id"].to_pylist()])
            pq.write_table(table.set_column(0, "id", names).set_column(1, "text", names), file)
        recipe = recipe_of(home, epsilon=0.05)
        (home / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "pipeline", "run", str(home / "recipe.yaml"), "--workers", "2"]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begin
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = json.loads((home / "out" / "artifacts" / STEP / "semantic.json").read_text("utf-8"))
        row = f"{count:,} | {found['clusters']} | {found['removed']:,} | {cpu:.0f} | {1000 * cpu / count:.2f}"
        print(f"| {row} | {seconds:.0f} | {after.ru_maxrss / 1024:.0f} |", flush=True)
        shutil.rmtree(home)
    return 0


def main() -> int:
    """One of the four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["agreement", "shares", "speed", "growth"])
    parser.add_argument("--data", default="build/corpora/mixed-100mb/*.parquet", help="Parquet files with text")
    parser.add_argument("--documents", type=int, default=0)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 40_000, 160_000])
    given = parser.parse_args()
    if given.what == "growth":
        return growth(given.sizes, given.dim)
    if given.what == "speed":
        return speed(given.documents or 20_000, given.dim)
    compare = shares if given.what == "shares" else agreement
    return compare(given.data, given.documents or 2000, given.dim)


if __name__ == "__main__":
    sys.exit(main())
