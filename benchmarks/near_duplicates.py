"""How many near-duplicates `minhash_dedup` finds and removes, and how many of those rightly, on versions of real files.

    python benchmarks/near_duplicates.py [--neardup DIR] [--threshold 0.8]

Two versions each of Django (sources and manual), pip and three.js, fetched by name and pinned digest: natural
near-duplicates, from untouched files to rewritten ones. Truth is the exact similarity of the operator's own shingles
for every pair that shares one (`duplicate_truth.py`). Printed: the pairs that share a band, by similarity, beside what
the curve of the bands promises; then precision and recall of what whole runs of the step remove, verified and not.

`--neardup`: a folder of Parquet files of pairs (`text_a`, `text_b`) with their exact Jaccard of 5-word shingles by
somebody else (`jaccard_word5`): how far ours agree with it, and the same tables for those texts.

Ends with status 1 if a verified run removes wrongly, or if the bands find fewer pairs than they promise.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.corpus_packages import from_npm, in_tar, members
from benchmarks.duplicate_truth import Met, Truth, all_pairs, falls_short, meetings, ranked, removals
from operators.minhash_dedup import MinhashDedup
from operators.shingles import Shingling, shingle_sets
from pipeline.packages import Package, fetch_archive
from pipeline.quickstart_data import PACKAGES

ROOT = Path(__file__).resolve().parent.parent
PIP_24: Final = Package(
    "pip", "24.0", "pip-24.0-py3-none-any.whl", "ba0d021a166865d2265246961bec0152ff124de910c5cc39f1156ce3fa7c69dc"
)
FILES: Final = re.compile(r"\.(?:py|txt|md|rst|js)$")
BINS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RUNS: Final[tuple[dict[str, Any], ...]] = (
    {"verify": "jaccard"},
    {"verify": "containment"},
    {"verify": "none"},
    {"verify": "jaccard", "bands": 14, "rows": 8},
    {"verify": "none", "bands": 14, "rows": 8},
)


def versions() -> Iterator[tuple[str, dict[str, str]]]:
    """Pairs of versions by name: each file's text by version and path."""
    django = {key: fetch_archive(PACKAGES[key]).path for key in ("django-5.0", "django-5.2")}
    yield "Django 5.0 and 5.2", {name: text for key, path in django.items() for name, text in texts_of(key, path)}
    pips = {"pip-24.0": fetch_archive(PIP_24).path, "pip-25.0.1": fetch_archive(PACKAGES["pip"]).path}
    yield "pip 24.0 and 25.0.1", {name: text for key, path in pips.items() for name, text in texts_of(key, path)}
    threes = {name: from_npm(name) for name in ("three@0.150.0", "three@0.187.0")}
    yield "three.js 0.150 and 0.187", {name: text for key, path in threes.items() for name, text in texts_of(key, path)}


def texts_of(version: str, archive: Path) -> Iterator[tuple[str, str]]:
    """The text files of an archive; what is no UTF-8, blank or over a megabyte (bundles) is left out."""
    if archive.name.endswith(".tar.gz"):
        with archive.open("rb") as file:
            found = list(in_tar(file, "", FILES))
    else:
        found = list(members(archive, FILES))
    for path, content, _ in found:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        if text.strip() and len(content) <= 1_000_000:
            yield f"{version}/{path}", text


def run_step(documents: dict[str, str], parameters: dict[str, Any]) -> pa.Table:
    """The table `clusters` of a whole run of the step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = {"id": list(documents), "text": pa.array(documents.values(), pa.large_string())}
        pq.write_table(pa.table(table), folder / "in.parquet")
        recipe = {
            "name": "near-duplicates",
            "inputs": [{"name": "texts", "path": f"{folder}/in.parquet", "columns": {"id": "id"}}],
            "steps": [{"kind": "minhash_dedup", "max_drop_ratio": 1.0, "max_source_drop_ratio": 1.0, **parameters}],
            "outputs": {"path": f"{folder}/out"},
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        command = [sys.executable, "-m", "pipeline", "run", f"{folder}/recipe.yaml", "--workers", "1", "--json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            sys.exit(done.stderr)
        return ds.dataset(f"{folder}/out/artifacts/minhash_dedup/clusters").to_table()


def print_meetings(truth: Truth, met: Met) -> None:
    """Pairs by similarity: how many share a band, and how many would on average."""
    print("| Jaccard | pairs | share a band | the curve promises |\n|---|---|---|---|")
    jaccard = truth.jaccard()
    for low, high in zip(BINS, (*BINS[1:], 2.0), strict=True):
        here = (jaccard >= low) & (jaccard < high)
        if here.any():
            label = f"{low:.1f} to {high:.1f}" if high <= 1 else "1"
            print(f"| {label} | {here.sum()} | {met.met[here].mean():.3f} | {met.expected[here].mean():.3f} |")


def report(name: str, documents: dict[str, str], threshold: float) -> bool:
    """Print the tables of one set of documents; whether everything promised holds."""
    ids, texts = list(documents), pa.array(documents.values(), pa.large_string())
    lengths = pc.binary_length(texts).to_numpy().astype(np.int64)
    how = Shingling("auto", 5)
    truth = all_pairs(shingle_sets(texts, how))
    count = int((truth.jaccard() >= threshold).sum())
    print(f"\n### {name}: {len(ids)} documents, {lengths.sum() / 1e6:.1f} MB, {count} pairs of at least {threshold}\n")
    holds, rows = True, []
    for parameters in RUNS:
        banding = MinhashDedup(threshold=threshold, **parameters).banding()
        met = meetings(texts, how, "fast", banding, truth)
        if parameters["verify"] == "jaccard":
            print(f"{banding[0]} bands of {banding[1]}\n")
            print_meetings(truth, met)
            print()
        pairs = ranked(ids, lengths, truth, "containment" if parameters["verify"] == "containment" else "jaccard")
        true = pairs.alike >= threshold
        found = removals(ids, run_step(documents, {"threshold": threshold, **parameters}), pairs, threshold)
        holds &= not falls_short(int(met.met[true].sum()), met.expected[true])
        holds &= parameters["verify"] == "none" or found.right == found.removed
        rows.append(
            f"| {parameters['verify']} | {banding[0]} x {banding[1]} | {true.sum()} | {met.met[true].mean():.3f}"
            f" | {met.expected[true].mean():.3f} | {found.removed} | {found.precision:.3f} | {found.missed}"
            f" | {found.recall:.3f} |"
        )
    print("| verify | bands x rows | true pairs | share a band | promised | removed | precision | missed | recall |")
    print("|---|---|---|---|---|---|---|---|---|", *rows, sep="\n", flush=True)
    return holds


def agreement(path: Path) -> dict[str, str]:
    """Print how our Jaccard of each pair of a file agrees with the one in it; the file's texts by id."""
    table = pq.read_table(path)
    texts = pa.concat_arrays([table[side].combine_chunks().cast(pa.large_string()) for side in ("text_a", "text_b")])
    sets = shingle_sets(texts, Shingling("word", 5))
    each = [
        frozenset(sets.hashes[low:high].tolist()) for low, high in zip(sets.offsets, sets.offsets[1:], strict=False)
    ]
    half = table.num_rows
    ours = np.array([len(a & b) / max(1, len(a | b)) for a, b in zip(each[:half], each[half:], strict=True)])
    theirs = table["jaccard_word5"].to_numpy()
    short = np.array([not a and not b for a, b in zip(each[:half], each[half:], strict=True)])
    apart = np.abs(ours - theirs)[~short]
    print(
        f"\n{path.stem}: {half} pairs, {short.sum()} of them without a shingle; largest difference to `jaccard_word5`"
        f" {apart.max():.2g}, {(apart > 1e-4).sum()} differ by more than 0.0001"
    )
    names = [f"{side}/{key}" for side in "ab" for key in table["key"].to_pylist()]
    return {name: text for name, text in zip(names, texts.to_pylist(), strict=True) if text.strip()}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--neardup", type=Path, help="folder of Parquet files of pairs with exact similarities")
    parser.add_argument("--threshold", type=float, default=0.8)
    given = parser.parse_args()
    holds = True
    for name, documents in versions():
        holds &= report(name, documents, given.threshold)
    for path in sorted(given.neardup.glob("*.parquet")) if given.neardup else ():
        holds &= report(path.stem, agreement(path), given.threshold)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
