"""CPU seconds of the four filters over the same texts: ours, in both variants, and datatrove 0.10.1's.

    python benchmarks/filters_speed.py [--data 'build/corpora/mixed-100mb/*.parquet'] [--rounds 3] [--sample-mb 2]

Ours: one process that has the texts in memory and its kernels compiled; the filters one by one with nothing remembered
between them; `together`, all four one after the other over the same texts, which share the scan of the words; and
`recipe`, a whole command, `python -m pipeline run` with one worker: reading, judging, dropping, writing and the report,
the start of Python included. datatrove's four run one by one over a sample of the same documents, spread evenly, in
an environment of their own (`benchmarks/peers/datatrove/`): its rate per MB is taken for all. The rounds are
interleaved, and medians printed. `datatrove-0.10` needs the extra `parity` (spaCy).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.training_speed import ROOT, python_of
from operators import scans
from operators.base import BatchFn, Composite, Context, Judge, Map
from operators.c4_quality import C4Quality
from operators.fineweb_quality import FinewebQuality
from operators.gopher_quality import GopherQuality
from operators.gopher_repetition import GopherRepetition

RUNNER: Final = Path(__file__).parent / "peers" / "filters_datatrove.py"
KINDS: Final[dict[str, type[Judge | Composite]]] = {
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "c4_quality": C4Quality,
    "fineweb_quality": FinewebQuality,
}
VARIANTS: Final = ("standard", "datatrove-0.10")


def texts_of(pattern: str) -> pa.Table:
    """The rows, with ids, as one chunk."""
    table = pa.concat_tables([pq.read_table(path, columns=["text"]) for path in sorted(ROOT.glob(pattern))])
    ids = pa.array([str(number) for number in range(table.num_rows)], pa.string())
    return pa.table({"id": ids, "text": table["text"].cast(pa.large_string())}).combine_chunks()


def bound_of(operator: Judge | Composite) -> list[BatchFn]:
    """The functions of its stages."""
    stages = operator.stages() if isinstance(operator, Composite) else (operator,)
    return [stage.bind(Context(0, {})) for stage in stages if isinstance(stage, Map)]


def seconds_of(functions: list[BatchFn], rows: pa.Table) -> float:
    """CPU seconds of filters one after the other, with no scan from before."""
    scans._remembered = ()
    begin = time.process_time()
    for function in functions:
        function(rows)
    return time.process_time() - begin


def ours(variant: str, rows: pa.Table) -> dict[str, float]:
    """CPU seconds of each filter alone, and of all together."""
    bound = {name: bound_of(kind.model_validate({"variant": variant})) for name, kind in KINDS.items()}
    found = {name: seconds_of(functions, rows) for name, functions in bound.items()}
    return {**found, "together": seconds_of([function for some in bound.values() for function in some], rows)}


def recipe_seconds(variant: str, pattern: str) -> float:
    """CPU seconds of the whole command, its worker included."""
    with tempfile.TemporaryDirectory() as home:
        steps = [{"kind": name, "variant": variant, "max_drop_ratio": 1} for name in KINDS]
        inputs = [{"name": "docs", "path": str(ROOT / pattern), "columns": {"text": "text", "keep": []}}]
        recipe = {"name": "filters", "seed": 0, "inputs": inputs, "steps": steps, "outputs": {"path": f"{home}/out"}}
        Path(f"{home}/recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        command = [sys.executable, "-m", "pipeline", "run", f"{home}/recipe.yaml", "--workers", "1", "--json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, capture_output=True, cwd=home, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def theirs(rows: pa.Table) -> dict[str, float]:
    """CPU seconds of datatrove's filters over a sample."""
    with tempfile.TemporaryDirectory() as home:
        pq.write_table(rows, f"{home}/texts.parquet")
        command = [
            str(python_of("datatrove")),
            str(RUNNER),
            f"{home}/texts.parquet",
            f"{home}/out.parquet",
            "one-by-one",
        ]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return {name: found[name] for name in KINDS}


def sample_of(rows: pa.Table, megabytes: float) -> pa.Table:
    """So many MB of documents, spread evenly; documents of more than a tenth of that are left out."""
    sizes = pc.binary_length(rows["text"]).to_numpy()
    short = np.flatnonzero(sizes <= megabytes * 1e5)
    share = min(1.0, megabytes * 1e6 / max(int(sizes[short].sum()), 1))
    places = np.unique(np.linspace(0, short.size - 1, max(int(short.size * share), 1)).astype(np.int64))
    return rows.take(pa.array(short[places]))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--data", default="build/corpora/mixed-100mb/*.parquet", help="Parquet files with a column text"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample-mb", type=float, default=2, help="what datatrove is given")
    given = parser.parse_args()
    rows = texts_of(given.data)
    sample = sample_of(rows, given.sample_mb)
    megabytes, sampled = (int(pc.sum(pc.binary_length(t["text"])).as_py()) / 1e6 for t in (rows, sample))
    for variant in VARIANTS:
        ours(variant, sample)  # compiles
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*VARIANTS, "datatrove 0.10.1")}
    for _ in range(given.rounds):
        found["datatrove 0.10.1"].append({n: s * megabytes / sampled for n, s in theirs(sample).items()})
        for variant in VARIANTS:
            whole = recipe_seconds(variant, given.data)
            found[variant].append({**ours(variant, rows), "recipe": whole})
    print(f"{rows.num_rows} documents, {megabytes:.1f} MB; datatrove: {sample.num_rows} of them, {sampled:.1f} MB")
    print(f"CPU seconds for all, medians of {given.rounds} rounds (MB per CPU second)\n")
    middle = {
        side: {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        for side, rounds in found.items()
    }
    middle["datatrove 0.10.1"]["together"] = sum(middle["datatrove 0.10.1"].values())
    print("| | " + " | ".join(middle) + " |")
    print("|---|" + "---|" * len(middle))
    for name in (*KINDS, "together", "recipe"):
        cells = (f"{s[name]:.2f} ({megabytes / s[name]:.2f})" if name in s else "" for s in middle.values())
        print(f"| {name} | {' | '.join(cells)} |")
    reference = middle["datatrove 0.10.1"]["together"]
    for variant in VARIANTS:
        ratios = (f"{reference / middle[variant][name]:.0f} times ({name})" for name in ("together", "recipe"))
        print(f"\n`{variant}` is {' and '.join(ratios)} as fast as datatrove's four one by one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
