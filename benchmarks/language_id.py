"""MB of text per CPU-second of `language_id`, and of the `fasttext` package's `predict` on the same whole documents.

    python benchmarks/language_id.py build/corpora/*.parquet [--rounds 5] [--megabytes 8]

One process, the text in memory, the kernel compiled; the two take turns, medians. The last columns say how many
documents get another language, and how far the scores are apart at most.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators import models
from operators.base import Context
from operators.language_id import LanguageId

MODEL = "lid.176.ftz"
Guesses = list[tuple[str | None, float]]


def documents(path: Path, megabytes: float) -> tuple[pa.Table, float]:
    """Every n-th document, so many that they are about so much text; and how much that is, in MB."""
    texts = pq.read_table(path, columns=["text"])["text"].cast(pa.large_string())
    step = max(1, round(texts.nbytes / megabytes / 1e6))
    chosen = texts.take(pa.array(np.arange(0, len(texts), step)))
    return pa.table({"text": chosen}), sum(len((text or "").encode()) for text in chosen.to_pylist()) / 1e6


def of_package(rows: pa.Table) -> Guesses:
    """What `language_id` did before: one call a document."""
    found = [PREDICT((text or "").replace("\n", " ")) for text in rows["text"].to_pylist()]
    first = [(labels[0], min(scores[0], 1.0)) if labels else ("", 0.0) for labels, scores in found]
    return [(label.removeprefix("__label__") or None, score) for label, score in first]


def of_operator(rows: pa.Table) -> Guesses:
    """The operator on one batch, its columns as lists."""
    found = APPLY(rows)
    return list(zip(found["lang"].to_pylist(), found["lang_score"].to_pylist(), strict=True))


def measure(path: Path, megabytes: float, rounds: int) -> str:
    """A row of the table."""
    rows, size = documents(path, megabytes)
    ways: tuple[Callable[[pa.Table], Guesses], ...] = (of_package, of_operator)
    seconds: dict[int, list[float]] = {0: [], 1: []}
    guesses: dict[int, Guesses] = {}
    for _ in range(rounds):
        for number, way in enumerate(ways):
            begin = time.process_time()
            guesses[number] = way(rows)
            seconds[number].append(time.process_time() - begin)
    old, new = (size / statistics.median(seconds[number]) for number in (0, 1))
    pairs = list(zip(guesses[0], guesses[1], strict=True))
    others = sum(one[0] != other[0] for one, other in pairs)
    apart = max(abs(one[1] - other[1]) for one, other in pairs)
    return (
        f"| {path.stem} | {len(rows)} | {size:.1f} | {old:.1f} | {new:.1f} | {new / old:.1f} | {others} | {apart:.1g} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files with a column `text`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=8)
    options = parser.parse_args()
    PREDICT = fasttext.load_model(str(models.locate(MODEL))).predict
    APPLY = LanguageId(model=MODEL).bind(Context(0, {}))
    APPLY(pa.table({"text": pa.array(["compiled"], pa.large_string())}))
    print("| text | documents | MB | package, MB/s | ours, MB/s | times | other language | scores apart |")
    print("|---|---|---|---|---|---|---|---|")
    for file in options.files:
        print(measure(file, options.megabytes, options.rounds))
