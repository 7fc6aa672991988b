"""Time, memory and storage of `minhash_dedup` alone against the number of documents: lines of real text as documents.

    python benchmarks/dedup_scale.py [--data 'build/corpora/mixed-2gb/*.parquet'] [--documents 100000 1000000 10000000]

A document is a line of 40 to 1,000 bytes, under an id of its own, in the corpus' order. Lines that the corpus repeats
are left in (in code there are many), and one document in twenty is an earlier line with one word left out
(`--edited`): many small components, beside a few large ones. Short documents are the hard case: every price that is
one a document, not one a byte, is at its highest for the text.

A run with two workers at the defaults of the step and of the engine. Peak memory is the sum over all processes, CPU of
all of them from the start of the command on; "work" is the size of the work directory at the end. The last table has
exponents b of a price = a * documents**b, fitted to all sizes (starting processes is a fixed price, and pulls them
down), and the price of each document between the two largest. Text that has fewer lines than asked for ends the table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parent.parent
SHORTEST, LONGEST = 40, 1000
FILE_DOCUMENTS: Final = 500_000
PRICES: Final = ("wall_s", "cpu_s", "peak_mb", "work_mb")


def lines(pattern: str) -> Iterator[pa.Array]:
    """The lines of the documents, a row group at a time."""
    files = sorted(Path("/").glob(pattern[1:]) if pattern.startswith("/") else ROOT.glob(pattern))
    for file in files:
        parts = pq.ParquetFile(file)
        for group in range(parts.num_row_groups):
            text = parts.read_row_group(group, columns=["text"])["text"].cast(pa.large_string()).combine_chunks()
            for array in text.chunks if isinstance(text, pa.ChunkedArray) else [text]:
                found = pc.utf8_trim_whitespace(pc.list_flatten(pc.split_pattern(array, "\n")))
                size = pc.binary_length(found)
                yield found.filter(pc.and_(pc.greater_equal(size, SHORTEST), pc.less_equal(size, LONGEST)))


def edited(found: pa.Array, share: float, seed: int) -> pa.Array:
    """The lines, a share of them replaced by an earlier one of theirs without one of its words."""
    draw = np.random.default_rng(seed)
    place = np.arange(len(found))
    chosen = np.flatnonzero(draw.random(len(found)) < share)
    chosen = chosen[chosen > 0]
    source = (draw.random(chosen.size) * chosen).astype(np.int64)
    texts = found.take(pa.array(source)).to_pylist()
    for index, text in enumerate(texts):
        words = text.split(" ")
        del words[int(draw.integers(len(words)))]
        texts[index] = " ".join(words) or text
    both = pa.concat_arrays([found, pa.array(texts, pa.large_string())])
    place[chosen] = len(found) + np.arange(chosen.size)
    return both.take(pa.array(place))


def write_input(pattern: str, documents: int, share: float, folder: Path) -> tuple[int, float]:
    """Parquet files of so many documents, or of as many as there are; how many, and their megabytes."""
    held: list[pa.Array] = []
    written, size = 0, 0
    for found in lines(pattern):
        held.append(found.slice(0, documents - written - sum(map(len, held))))
        full = written + sum(map(len, held)) >= documents
        if sum(map(len, held)) >= FILE_DOCUMENTS or full:
            written, size = write_file(held, written, size, share, folder)
            held = []
        if full:
            break
    if held:
        written, size = write_file(held, written, size, share, folder)
    return written, size / 1e6


def write_file(held: list[pa.Array], written: int, size: int, share: float, folder: Path) -> tuple[int, int]:
    """One file more; documents and bytes of all so far."""
    text = edited(pa.concat_arrays(held), share, written)
    # Spread over all ids, so that neither survivors nor partitions follow the order of the files.
    number = (np.arange(written, written + len(text), dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    ids = pa.array([f"{value:016x}" for value in number.tolist()])
    pq.write_table(pa.table({"id": ids, "text": text}), folder / f"{written:010d}.parquet", row_group_size=100_000)
    return written + len(text), size + pc.sum(pc.binary_length(text)).as_py()


def measure(folder: Path, parameters: dict[str, Any], workers: int) -> dict[str, float]:
    """One run over the files in `input`."""
    recipe = {
        "name": "scale",
        "inputs": [{"name": "lines", "path": f"{folder}/input", "format": "parquet", "columns": {"id": "id"}}],
        "steps": [{"kind": "minhash_dedup", "max_drop_ratio": 1.0, "max_source_drop_ratio": 1.0, **parameters}],
        "outputs": {"path": f"{folder}/out"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "pipeline", "run", f"{folder}/recipe.yaml", "--workers", str(workers), "--json"]
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(done.stderr + done.stdout)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads(done.stdout)
    curve = json.loads((folder / "out/artifacts/minhash_dedup/curve.json").read_text())
    work = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and ".vocabmill" in path.parts)
    return {
        "wall_s": summary["seconds"],
        "cpu_s": end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime,
        "peak_mb": summary["peak_rss_mb"],
        "work_mb": work / 1e6,
        **curve["found"],
    }


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--documents", type=int, nargs="+", default=[30_000, 100_000, 300_000])
    parser.add_argument("--edited", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder if left out")
    parser.add_argument("--set", type=json.loads, default={}, help="parameters of the step, as JSON")
    given = parser.parse_args()
    print("| documents | text (MB) | wall s | CPU s | peak memory (MB) | work (MB) | linked | removed |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    found: list[tuple[int, dict[str, float]]] = []
    for documents in given.documents:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            (Path(name) / "input").mkdir()
            count, size = write_input(given.data, documents, given.edited, Path(name) / "input")
            row = measure(Path(name), given.set, given.workers)
        found.append((count, row))
        prices = " | ".join(f"{row[price]:.0f}" for price in PRICES)
        print(f"| {count} | {size:.0f} | {prices} | {row['linked']} | {row['removed']} |", flush=True)
        if count < documents:
            break
    if len(found) > 1:
        print("\n| price | exponent | of a document at the largest size | of each further one |\n|---|---|---|---|")
        for price in PRICES:
            slope = np.polyfit(np.log([count for count, _ in found]), np.log([row[price] for _, row in found]), 1)[0]
            unit = "us" if price.endswith("_s") else "bytes"
            (few, before), (many, after) = found[-2:]
            each, further = after[price] / many, (after[price] - before[price]) / (many - few)
            print(f"| {price} | {slope:.2f} | {1e6 * each:.1f} {unit} | {1e6 * further:.1f} {unit} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
