"""CPU seconds to sign texts, and the spread of the estimates: ours, datasketch 2.0 and rensa 0.5 at the same size.

    python benchmarks/minhash_speed.py [--data FILE.parquet ...] [--rounds 5] [--size 128]

All sign sets of 5-word shingles, see `peers/sign.py`. Each in a process of its own, rounds interleaved, medians
printed; imports and our kernels' compiling are not counted. rensa's other pipeline, `rho`, is not compared: it samples
positions of the text, so that the same set in another order has another signature.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training_speed import ROOT, python_of

RUNNER = Path(__file__).parent / "peers" / "sign.py"
SIGNERS = ("ours fast", "ours affine32", "rensa", "datasketch affine32", "datasketch legacy")


def measure(signer: str, data: str, size: int) -> dict[str, float]:
    """One run in a process of its own."""
    peer = signer.partition(" ")[0]
    python = sys.executable if peer == "ours" else str(python_of(peer))
    command = [python, str(RUNNER), signer, data, str(size)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> int:
    """Print a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    default = [str(path) for path in sorted(ROOT.glob("out/quickstart/corpus/*.parquet"))[:1]]
    parser.add_argument("--data", nargs="+", default=default, help="Parquet files with a column text, a table for each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=128)
    given = parser.parse_args()
    for data in given.data:
        for signer in SIGNERS[:2]:
            measure(signer, data, given.size)  # compiles
        rounds = [{signer: measure(signer, data, given.size) for signer in SIGNERS} for _ in range(given.rounds)]
        megabytes, shingles = (rounds[0]["ours fast"][name] for name in ("megabytes", "shingles"))
        print(f"\n{Path(data).name}: {megabytes:.1f} MB, {shingles:.0f} shingles, {given.size} values, CPU, medians\n")
        print("| signer | MB/s from text | MB/s from shingles | bias at 0.5 | standard deviation |")
        print("|---|---|---|---|---|")
        for signer in SIGNERS:
            text, sketch = (statistics.median(one[signer][name] for one in rounds) for name in ("text_s", "sketch_s"))
            first = rounds[0][signer]
            rates = f"{megabytes / text:.1f} | {megabytes / sketch:.1f}"
            print(f"| {signer} | {rates} | {first['bias']:+.4f} | {first['deviation']:.4f} |")
    print("\nIndependent permutations have a standard deviation of", round((0.25 / given.size) ** 0.5, 4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
