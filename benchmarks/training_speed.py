"""CPU seconds to count and learn 64k merges: ours, `tokenizers`, `rustbpe` and `gigatoken` on the same text.

    python benchmarks/training_speed.py [--data 'out/quickstart/corpus/*.parquet'] [--rounds 5] [--vocab 65536]

All cut by the GPT-2 pattern. Counted, for everyone alike: reading and decoding the Parquet files, counting, learning,
on as many threads as each likes; not counted: the start of the process, imports, loading our compiled kernels. Ours
takes a row group at a time and adds the counts up, tokenizers and rustbpe take an iterator over the same row groups,
gigatoken takes one run of bytes. "Counting" is our counting and adding up alone. The peak is of the whole process. The
rounds are interleaved; medians are printed. Whole commands: `training_commands.py`. The peers have an environment
of their own each, locked in `benchmarks/peers/` and made under `build/peers/` when they are first needed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("rustbpe", "gigatoken")
RUNNER = Path(__file__).parent / "peers" / "train.py"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's locked environment."""
    home = ROOT / "build" / "peers" / peer
    python = home / "bin" / "python"
    if not (home / ".installed").exists():
        venv.create(home, with_pip=True, clear=True)
        locked = Path(__file__).parent / "peers" / peer / "requirements.txt"
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-qq", "-r", str(locked)]
        subprocess.run(pip, check=True)
        (home / ".installed").touch()
    return python


def measure(trainer: str, data: str, vocab: int) -> dict[str, float]:
    """One training in a process of its own."""
    python = python_of(trainer) if trainer in PEERS else Path(sys.executable)
    command = [str(python), str(RUNNER), trainer, data, str(vocab)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vocab", type=int, default=65536)
    given = parser.parse_args()
    trainers = ("ours", "tokenizers", *PEERS)
    measure("ours", given.data, 300)  # compiles
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
    for _ in range(given.rounds):
        for name in trainers:
            found[name].append(measure(name, given.data, given.vocab))
    ours = statistics.median(run["cpu_s"] for run in found["ours"])
    megabytes = found["ours"][0]["megabytes"]
    print(f"{megabytes:.1f} MB of text, {given.vocab} tokens, medians of {given.rounds}\n")
    print("| trainer | CPU s | times ours | counting MB per CPU s | peak memory (MB) | tokens |")
    print("|---|---|---|---|---|---|")
    for name in trainers:
        seconds = statistics.median(run["cpu_s"] for run in found[name])
        peak = statistics.median(run["peak_mb"] for run in found[name])
        counting = statistics.median(run.get("count_s", 0.0) for run in found[name])
        rate = f"{megabytes / counting:.0f}" if counting else ""
        tokens = found[name][0]["tokens"]
        print(f"| {name} | {seconds:.2f} | {seconds / ours:.1f} | {rate} | {peak:.0f} | {tokens:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
