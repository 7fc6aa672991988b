"""Throughput of the quickstart without training: MB of text per second and core, for each executor and worker count.

The configurations run in turn, round after round, so that a machine that slows down slows all of them; medians are
printed. Whole runs: start of the workers, ingest, every step, publication. Run `make demo` first: it fetches the data.

    python benchmarks/throughput.py [--rounds 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
CONFIGURATIONS = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))


def recipe_without_training(directory: Path) -> Path:
    """The quickstart, its training step left out, its paths absolute."""
    recipe = yaml.safe_load((ROOT / "recipes/quickstart.yaml").read_text())
    recipe["steps"] = [step for step in recipe["steps"] if step["kind"] != "train_tokenizer"]
    for entry in recipe["inputs"]:
        entry["path"] = str(ROOT / entry["path"])
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def measure(recipe: Path, executor: str, workers: int) -> dict[str, Any]:
    """One run from nothing; its summary."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pipeline", "run", str(recipe), "--json", "--executor", executor]
        command += ["--workers", str(workers), "--out", f"{directory}/out", "--work-dir", f"{directory}/work"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[tuple[str, int], list[dict[str, Any]]] = {configuration: [] for configuration in CONFIGURATIONS}
    with tempfile.TemporaryDirectory() as directory:
        recipe = recipe_without_training(Path(directory))
        measure(recipe, "local", 2)  # Warms the kernel cache and the disk cache.
        for _ in range(rounds):
            for configuration, runs in found.items():
                runs.append(measure(recipe, *configuration))
    print("| executor | workers | seconds | MB/s | MB/s per worker | peak memory (MB) |\n|---|---|---|---|---|---|")
    for (executor, workers), runs in found.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        memory = statistics.median(run["peak_rss_mb"] for run in runs)
        rate = runs[0]["steps"][0]["bytes_in"] / 1e6 / seconds
        print(f"| {executor} | {workers} | {seconds:.1f} | {rate:.2f} | {rate / workers:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
