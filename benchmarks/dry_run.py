"""What a dry run projects against what the whole run then shows: rows kept, bytes, time, memory; on the quickstart.

Each variant of the recipe is dry-run and run, round after round; the medians of projected / shown are printed, and the
exit status is 1 where rows, bytes or time are off by more than a factor of two. Run `make demo` first: it fetches the
data. `seconds` compares the time that a run counts itself; the last column is the time of the dry-run command.

    python benchmarks/dry_run.py [--rounds 3] [--docs 2000] [--only VARIANT]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
Step = dict[str, Any]
LIMIT = 2.0
CHECKED = ("rows", "bytes", "seconds")


def audited(step: Step) -> Step:
    """The step, but it only records."""
    return step if step["kind"] in ("corpus_stats", "train_tokenizer") else {**step, "audit": True}


def large(step: Step) -> Step:
    """The step with a vocabulary of 64,000 if it trains one."""
    return {**step, "vocab_sizes": [64000]} if step["kind"] == "train_tokenizer" else step


def only(*kinds: str) -> Callable[[list[Step]], list[Step]]:
    """Keep the steps of some kinds."""
    return lambda steps: [step for step in steps if step["kind"] in kinds]


VARIANTS: dict[str, Callable[[list[Step]], list[Step]]] = {
    "as it is": list,
    "audit": lambda steps: [audited(step) for step in steps],
    "64k vocabulary": lambda steps: [large(step) for step in steps],
    "gopher filters": only("gopher_quality", "gopher_repetition"),
    "deduplication": only("exact_dedup", "minhash_dedup"),
    "training": only("train_tokenizer"),
    "no steps": only(),
}


def write_recipe(directory: Path, change: Callable[[list[Step]], list[Step]]) -> Path:
    """The quickstart with its steps changed and its paths absolute."""
    recipe = yaml.safe_load((ROOT / "recipes/quickstart.yaml").read_text())
    recipe["steps"] = change(recipe["steps"])
    for entry in recipe["inputs"]:
        entry["path"] = str(ROOT / entry["path"])
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def call(*arguments: str) -> tuple[dict[str, Any], float]:
    """The JSON that a command prints, and how long it took."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", *arguments, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found, time.perf_counter() - begin


def size_mb(directory: Path) -> float:
    """MB of the files in a directory."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6


def compare(change: Callable[[list[Step]], list[Step]], docs: int) -> dict[str, float]:
    """One dry run and one run: projected / shown for each figure, and the seconds that the dry run took."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        recipe = str(write_recipe(directory, change))
        projected, took = call("dry-run", recipe, "--docs", str(docs))
        shown, _ = call("run", recipe, "--out", f"{name}/out", "--work-dir", f"{name}/work")
        manifest = json.loads((directory / "out/manifest.json").read_text())
        work = size_mb(directory / "work")
    totals = projected["totals"]
    kept = sum(size for _, size in manifest["kept"]["by_source"].values())
    return {
        "rows": totals["rows_kept"] / shown["rows"]["kept"],
        "bytes": totals["bytes_kept"] / kept,
        "seconds": totals["seconds"] / shown["seconds"],
        "memory": totals["peak_memory_mb"] / shown["peak_rss_mb"],
        "work directory": totals["work_dir_mb"] / work,
        "took": took,
    }


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=int, default=2000)
    parser.add_argument("--only", choices=VARIANTS, action="append")
    options = parser.parse_args()
    figures = (*CHECKED, "memory", "work directory", "took")
    print(f"| variant | {' | '.join(figures)} |\n|---|{'---|' * len(figures)}")
    wrong = []
    for variant in options.only or VARIANTS:
        rounds = [compare(VARIANTS[variant], options.docs) for _ in range(options.rounds)]
        middle = {figure: statistics.median(found[figure] for found in rounds) for figure in figures}
        print(f"| {variant} | {' | '.join(f'{middle[figure]:.2f}' for figure in figures)} |", flush=True)
        wrong += [f"{variant}: {figure}" for figure in CHECKED if not 1 / LIMIT <= middle[figure] <= LIMIT]
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"off by more than {LIMIT:g}: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
