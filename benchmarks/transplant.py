"""Bits per byte of a real model with another tokenizer, by every method, with the disasters that checks must catch.

    python -m benchmarks.transplant TOKENIZER.json TEXT.parquet build/corpora/mixed-1gb/*.parquet [--segments 24]

Runs in an environment with torch (`make torch` makes build/torch). SmolLM2-135M (`python -m pipeline.fetch causal`)
gets TOKENIZER.json; benchmarks.transplant_texts makes both files. Vectors are trained on TEXT.parquet (column `text`)
and kept beside it, as benchmarks.held_out_rows has them; with `--donor` they are the rows of a static model whose
tokenizer TOKENIZER.json is. One segment of 1,000 bytes is read of each of `--segments` English documents of the other
files that are of a few packages (`HELD_OUT`) and not in TEXT. Each method is a line of `--log`: those that are there
are not read again. A method takes 8 to 50 CPU seconds on 24 segments in bfloat16, and vectors 250 for 70 MB; copies
are compared bit by bit. `--heal` numbers of steps train the rows of half FOCUS on TEXT, 6 CPU seconds a step; what had
to stay is compared bit by bit too. Figures: docs/transplant.md.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.transplant_rows import WORK, Bench, Table, asking, by_method, healed, opened, rows_of, trained
from operators.base import DataError
from operators.transplant.bits_per_byte import Reading, Tables, difference, read, refuse_dominance
from operators.transplant.choice import Choice

SOURCE: Final = "the old tokenizer"
BASE: Final = "subword"
"""What every method is compared with."""
PAIRS: Final = (
    ("half FOCUS, half subword", "FOCUS"),
    ("half WECHSEL, half subword", "WECHSEL"),
    ("half FOCUS with strings, half subword", "FOCUS with strings"),
    ("half FOCUS with strings, half subword", "half FOCUS, half subword"),
    ("half FOCUS with strings, half subword", "half WECHSEL, half subword"),
    ("half FOCUS, half subword", "half WECHSEL, half subword"),
    ("half FOCUS, half subword", "half variant, half subword"),
    ("half WECHSEL, half subword", "half variant, half subword"),
    ("half FOCUS, half subword", "ridge"),
    ("half WECHSEL, half subword", "ridge"),
    ("FOCUS", "WECHSEL"),
    ("OMP, clipped", "WECHSEL"),
    ("OMP, clipped", "FOCUS"),
    ("OMP, signed, calibrated", "mean"),
    ("multivariate normal", "mean"),
    ("subword, calibrated", "subword"),
    ("WECHSEL, calibrated", "WECHSEL"),
)
"""Differences that are asked for by name."""
HEALED: Final = "half FOCUS, half subword"
"""What is healed."""


def judged(bench: Bench, name: str, made: Callable[[], Table]) -> dict[str, Any]:
    """One method as a line of the log: its reading, whether copies are exact, and whether it is refused."""
    begun = time.process_time()
    table = made()
    spent, copied = time.process_time() - begun, np.flatnonzero(bench.pair.matches.old >= 0)
    exact = np.array_equal(table[copied], bench.model.input_table[bench.pair.matches.old[copied]])
    reading = read(bench.body, Tables(table), bench.new, bench.num_bytes, bench.is_new)
    refused = False
    try:
        refuse_dominance(reading, 0.05, name)
    except DataError:
        refused = True
    about = {"copied": copied.size, "copies_exact": exact, "refused": refused, "made_in_cpu_s": round(spent, 1)}
    return {**about, **reading.about(0), "reading": plain(reading), "cpu_s": round(time.process_time() - begun, 1)}


def judged_healed(bench: Bench, steps: int) -> dict[str, Any]:
    """As `judged`, of rows that were trained; with what the training moved."""
    begun = time.process_time()
    table, about = healed(bench, by_method(bench, Choice("focus_subword")), steps)
    about["healed_in_cpu_s"] = round(time.process_time() - begun, 1)
    return {**about, **judged(bench, HEALED, lambda: table)}


def repairs(bench: Bench, heal: Sequence[int], adam: Sequence[int]) -> dict[str, Callable[[], dict[str, Any]]]:
    """Rows of half FOCUS that are trained, by name."""

    def moved(steps: int) -> Table:
        return trained(bench, by_method(bench, Choice("focus_subword")), steps)

    made = {f"{HEALED}, healed {steps} steps": partial(judged_healed, bench, steps) for steps in heal}
    names = {f"{HEALED}, plain Adam {steps} steps": steps for steps in adam}
    return made | {name: partial(judged, bench, name, partial(moved, steps)) for name, steps in names.items()}


def plain(reading: Reading) -> dict[str, Any]:
    """A reading as JSON has it."""
    return {one.name: np.asarray(getattr(reading, one.name)).tolist() for one in fields(reading)}


def from_plain(found: dict[str, Any]) -> Reading:
    """A reading as a log has it."""
    given: dict[str, Any] = {name: np.array(one) if isinstance(one, list) else one for name, one in found.items()}
    return Reading(**given)


def measured(
    bench: Bench,
    log: Path,
    cell: dict[str, Any],
    only: Sequence[str],
    repaired: dict[str, Callable[[], dict[str, Any]]],
) -> dict[str, dict[str, Any]]:
    """The lines of all methods and repairs, those that the log lacks made now."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    found = {line["name"]: line for line in lines if line["cell"] == cell}

    def of_source() -> dict[str, Any]:
        reading = read(bench.body, Tables(bench.model.input_table), bench.old, bench.num_bytes)
        return {"copies_exact": True, "refused": False, **reading.about(0), "reading": plain(reading)}

    todo: dict[str, Callable[[], dict[str, Any]]] = {SOURCE: of_source}
    todo |= {name: partial(judged, bench, name, made) for name, made in rows_of(bench).items()}
    for name, make in (todo | repaired).items():
        if name in found or (only and name not in (*only, SOURCE, BASE, *repaired)):
            continue
        found[name] = {"name": name, "cell": cell, **make()}
        with log.open("a") as file:
            file.write(json.dumps(found[name]) + "\n")
        print(json.dumps({key: value for key, value in found[name].items() if key != "reading"}), flush=True)
    return found


def report(found: dict[str, dict[str, Any]]) -> None:
    """The table, least bits first, and the differences of neighbours and of `PAIRS`."""
    readings = {name: from_plain(line["reading"]) for name, line in found.items()}
    ranked = sorted(readings, key=lambda name: readings[name].bits_per_byte)

    def apart(one: str, other: str) -> str:
        about = difference(readings[one], readings[other], 0)
        low, high = about["interval"]
        return f"{about['bits_per_byte']:+.4f} [{low:+.4f}, {high:+.4f}]"

    for name in ranked:
        low, high = found[name]["interval"]
        print(
            f"| {name} | {readings[name].bits_per_byte:.4f} [{low:.3f}, {high:.3f}] | {apart(name, SOURCE)} "
            f"| {apart(name, BASE)} | {100 * readings[name].dominance:.1f} % | {'refused' * found[name]['refused']} |"
        )
    repaired = combinations([name for name in ranked if name.startswith(HEALED)], 2)
    pairs = [pair for pair in (*PAIRS, *repaired) if set(pair) <= set(readings)]
    for one, other in [*pairwise(ranked), *pairs]:
        print(f"{one} - {other}: {apart(one, other)}")


def main() -> None:
    """Measure every method."""
    parser = asking(__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="names of methods")
    parser.add_argument("--donor", default="", help="folder of a static model: its rows instead of trained vectors")
    parser.add_argument("--heal", type=int, nargs="+", default=[], help="numbers of steps")
    parser.add_argument("--adam", type=int, nargs="+", default=[], help="the same with every made row moving")
    parser.add_argument("--log", type=Path, default=WORK / "log.jsonl")
    given = parser.parse_args()
    bench = opened(given.tokenizer, given.text, given.paths, given.segments, given.donor)
    cell = {"target": hashlib.sha256(bench.target).hexdigest()[:16], "bytes": bench.num_bytes}
    cell |= {"donor": Path(given.donor).name} if given.donor else {}
    found = measured(bench, given.log, cell, given.only, repairs(bench, given.heal, given.adam))
    report(found)
    if not all(one["copies_exact"] for one in found.values()):
        raise SystemExit("copied rows are not exact")
    if any(one.get("stray") for one in found.values()):
        raise SystemExit("healing moved rows that stand in no batch, or copied ones")


if __name__ == "__main__":
    main()
