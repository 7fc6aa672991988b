"""Signatures and clusters of the scheme `datatrove` beside datatrove 0.10.1's own, document by document.

    python benchmarks/minhash_parity.py [--data 'out/quickstart/corpus/*.parquet'] [--documents 1000]

Needs the extra `parity` (spaCy) where it runs; datatrove has an environment of its own, locked in
`benchmarks/peers/datatrove/` and made under `build/peers/` when it is first needed. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.training_speed import ROOT, python_of
from operators.components import components
from operators.minhash import band_keys, sign
from operators.shingles import Shingling

RUNNER = Path(__file__).parent / "peers" / "minhash_datatrove.py"
BANDS, ROWS = 14, 8


def sample(pattern: str, documents: int) -> pa.Table:
    """So many documents, spread evenly over the files."""
    tables = [pq.read_table(path, columns=["text"]) for path in sorted(ROOT.glob(pattern))]
    table = pa.concat_tables(tables)
    places = np.unique(np.linspace(0, table.num_rows - 1, min(documents, table.num_rows)).astype(np.int64))
    return table.take(pa.array(places)).cast(pa.schema({"text": pa.large_string()}))


def partition(values: NDArray[np.uint64], signed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The smallest document of each document's component, by shared bands; of a lone one itself."""
    label = np.arange(signed.size)
    place = np.flatnonzero(signed)
    links = []
    for keys in band_keys(values[signed], BANDS, ROWS).T:
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        links.append(np.stack([place[first[group]], place]))
    left, right = np.concatenate(links, axis=1)
    nodes, roots = components(left, right)
    label[nodes] = roots
    return label


def canonical(clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """Their cluster numbers as the smallest document of each; -1 is alone."""
    label = np.arange(clusters.size)
    for cluster in np.unique(clusters[clusters >= 0]):
        members = np.flatnonzero(clusters == cluster)
        label[members] = members.min()
    return label


def main() -> int:
    """Print what is equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--documents", type=int, default=1000)
    given = parser.parse_args()
    table = sample(given.data, given.documents)
    with tempfile.TemporaryDirectory() as home:
        pq.write_table(table, f"{home}/texts.parquet")
        command = [str(python_of("datatrove")), str(RUNNER), f"{home}/texts.parquet", home]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        theirs, their_signed, their_clusters = (
            np.load(f"{home}/{name}.npy") for name in ("signatures", "signed", "clusters")
        )
    begin = time.process_time()
    values, signed = sign(table["text"], Shingling("word", 5, "datatrove-0.10"), "datatrove", BANDS * ROWS)
    seconds = time.process_time() - begin
    ours = np.where(signed[:, None], values, np.uint64(0)).astype(np.uint64)
    clusters = partition(ours, signed)
    equal = int((ours == theirs).all(axis=1).sum())
    same = bool(np.array_equal(clusters, canonical(their_clusters)))
    megabytes = table["text"].nbytes / 1e6
    print(f"{table.num_rows} documents, {megabytes:.1f} MB, {int(signed.sum())} with a signature ({seconds:.1f} CPU s)")
    print(f"signatures equal in all {BANDS * ROWS} values: {equal} of {table.num_rows}")
    print(f"signed or not alike: {int((signed == their_signed).sum())} of {table.num_rows}")
    grouped = np.unique(clusters, return_counts=True)[1]
    print(f"clusters of two and more: {int((grouped > 1).sum())}, the same partition: {same}")
    return 0 if same and equal == table.num_rows and np.array_equal(signed, their_signed) else 1


if __name__ == "__main__":
    sys.exit(main())
