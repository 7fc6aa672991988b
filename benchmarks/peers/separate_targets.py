"""What data-selection 1.0.3 chooses for several targets: `HOME K`, with raw.jsonl and targets 0.jsonl, 1.jsonl, ...

Prints the ids of what it chose as a JSON list. The highest weights are taken, as its noise has no seed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from data_selection import HashedNgramDSIR


def main() -> None:
    """Its own three calls, in one process."""
    home, size = Path(sys.argv[1]), int(sys.argv[2])
    targets = sorted(str(path) for path in home.glob("[0-9]*.jsonl"))
    raw = [str(home / "raw.jsonl")]
    with contextlib.redirect_stdout(sys.stderr):
        chooser = HashedNgramDSIR(raw, targets, str(home / "cache"), num_proc=1, separate_targets=True)
        chooser.fit_importance_estimator(num_tokens_to_fit="all")
        chooser.compute_importance_weights()
        chooser.resample(str(home / "chosen"), size, cache_dir=str(home / "resampled"), top_k=True)
    lines = [
        line for path in sorted((home / "chosen").rglob("*.jsonl")) for line in path.read_text("utf-8").split("\n")
    ]
    print(json.dumps([json.loads(line)["id"] for line in lines if line]))


if __name__ == "__main__":
    main()
