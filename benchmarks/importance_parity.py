"""Log weights of `importance_resample` (hash: sha256) beside those of data-selection 1.0.3, document by document.

    python benchmarks/importance_parity.py [--data 'build/corpora/mixed-100mb/*.parquet'] [--documents 2000]

The first tenth of the documents is the target, all are the corpus. Then several targets: a thirtieth, a sixtieth and a
ninetieth of the documents, and an eighth of all documents chosen by the highest weights, by the package's
`separate_targets` and by a run of a recipe. Documents of the same text may stand for each other.

The package has an environment of its own, locked in `benchmarks/peers/data_selection/` and made under `build/peers/`
when it is first needed. Exit status 1 if a weight differs by more than 1e-9 of the larger of it and 1, or a choice
differs.
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
from operators.importance_targets import Hash
from operators.importance_weights import log_ratio
from operators.kernels.ngram_features import count_ngrams, sum_ngrams
from operators.text_buffers import column_bytes

PEERS = Path(__file__).parent / "peers"
RUNNER = PEERS / "weights_data_selection.py"
BUCKETS = 10_000
PARTS = (30, 60, 90)
"""Each target is one of so many documents."""


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


def chosen_of_both(raw: pa.Table) -> tuple[list[str], list[str]]:
    """The texts that the package chooses for three targets, and those that a recipe chooses."""
    texts = raw["text"].to_pylist()
    parts = [texts[place::every] for place, every in enumerate(PARTS)]
    size = len(texts) // 8
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for file, some in (("raw", texts), *((str(number), part) for number, part in enumerate(parts))):
            lines = (json.dumps({"id": f"{place:06}", "text": text}) for place, text in enumerate(some))
            (home / f"{file}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = [str(python_of("data_selection")), str(PEERS / "separate_targets.py"), name, str(size)]
        theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        names = [f"target{number}" for number in range(len(parts))]
        step = {
            "kind": "importance_resample", "target": names, "select": {"docs": size}, "hash": "sha256",
            "normalise": "document", "temperature": 0, "smoothing": 0, "min_tokens": 100,
        }  # fmt: skip
        recipe = {
            "name": "parity",
            "inputs": [{"name": "raw", "path": f"{home}/raw.jsonl"}]
            + [{"name": of, "path": f"{home}/{of[-1]}.jsonl", "role": "reference"} for of in names],
            "steps": [step],
            "outputs": {"path": f"{home}/out"},
        }
        (home / "recipe.json").write_text(json.dumps(recipe))
        subprocess.run([sys.executable, "-m", "pipeline", "run", f"{home}/recipe.json", "--json"], check=True, cwd=ROOT,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        ours = [pq.read_table(path, columns=["text"]) for path in sorted((home / "out" / "corpus").glob("*.parquet"))]
    return sorted(texts[int(place)] for place in theirs), sorted(pa.concat_tables(ours)["text"].to_pylist())


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
    theirs_of, ours_of = chosen_of_both(raw)
    same = theirs_of == ours_of
    print(f"three targets: {len(theirs_of)} documents chosen by each, {'the same' if same else 'NOT the same'} texts")
    return int(off.any() or not same)


if __name__ == "__main__":
    sys.exit(main())
