"""Peak memory against input size: real text repeated under fresh ids, half of it and the whole.

Two recipes, local with two workers: exact deduplication and sampling over 1 GB, and all filters over 200 MB. Every copy
of a document begins with its own number, so that copies are no duplicates and the state of deduplication grows as it
would on real text of that size. Run `make demo` first: it fetches the text.

    python benchmarks/memory.py [--dedup-mb 1000] [--filters-mb 200]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).parent.parent
FILE_BYTES = 20_000_000
DEDUP: list[dict[str, Any]] = [{"kind": "exact_dedup"}, {"kind": "sample", "fraction": 0.5}]
FILTERS: list[dict[str, Any]] = [
    {"kind": "language_id", "min_score": 0},
    {"kind": "gopher_quality", "max_drop_ratio": 1.0},
    {"kind": "gopher_repetition", "max_drop_ratio": 1.0},
]


def texts() -> list[str]:
    """The quickstart's documents and code."""
    files = sorted(path for kind in ("docs", "code") for path in (ROOT / "data/quickstart" / kind).rglob("*"))
    return [text for path in files if path.is_file() and (text := path.read_text(errors="replace")).strip()]


def write_input(directory: Path, megabytes: float) -> None:
    """Parquet files of 20 MB of text each, `megabytes` in all."""
    originals, size, batch, batch_bytes, number = texts(), 0, [], 0, 0
    while size < megabytes * 1e6:
        text = f"{number}\n{originals[number % len(originals)]}"
        batch.append(text)
        batch_bytes += len(text.encode())
        number += 1
        if batch_bytes >= FILE_BYTES or size + batch_bytes >= megabytes * 1e6:
            pq.write_table(pa.table({"text": batch}), directory / f"{number:08d}.parquet")
            size, batch, batch_bytes = size + batch_bytes, [], 0


def measure(steps: list[dict[str, Any]], megabytes: float) -> dict[str, Any]:
    """Run the steps over so much text; the run's summary."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "input").mkdir()
        write_input(directory / "input", megabytes)
        recipe = {
            "name": "memory",
            "inputs": [{"name": "texts", "path": f"{directory}/input", "format": "parquet"}],
            "steps": steps,
            "outputs": {"path": f"{directory}/out"},
        }
        (directory / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        command = [sys.executable, "-m", "pipeline", "run", f"{directory}/recipe.yaml", "--workers", "2", "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dedup-mb", type=float, default=1000)
    parser.add_argument("--filters-mb", type=float, default=200)
    options = parser.parse_args()
    print("| steps | text (MB) | documents | peak memory (MB) | seconds |\n|---|---|---|---|---|", flush=True)
    for label, steps, megabytes in (
        ("exact_dedup, sample", DEDUP, options.dedup_mb),
        ("language_id, gopher_quality, gopher_repetition", FILTERS, options.filters_mb),
    ):
        for share in (0.5, 1.0):
            run = measure(steps, megabytes * share)
            row = [
                label,
                f"{megabytes * share:.0f}",
                run["rows"]["read"],
                f"{run['peak_rss_mb']:.0f}",
                f"{run['seconds']:.0f}",
            ]
            print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


if __name__ == "__main__":
    main()
