"""MB of text per CPU-second of `classify`, and of the `fasttext` package's `predict` on the same whole documents.

    python benchmarks/classify.py build/corpora/*.parquet [--rounds 3] [--megabytes 8] [--model model.bin]

Without `--model` a model is written to build/classify/: of DCLM's shape (100 dimensions, pairs of words, 2,000,000
buckets, two labels, a row for every word of the first file) with random numbers, which cost what trained ones do. One
process, the text in memory, the kernel compiled; the two take turns, medians of CPU seconds. The package predicts with
k = 2, as DCLM does. The last column is the largest difference of a score.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.language_id import documents
from operators.base import Context
from operators.classify import Classify, ClassScores
from operators.fasttext_model import LABEL, read_labels
from operators.fasttext_writer import ModelFile
from operators.kernels.fasttext_dictionary import read
from operators.kernels.fasttext_training import Settings

MODEL = Path(__file__).resolve().parent.parent / "build" / "classify" / "model.bin"
SETTINGS = Settings(
    seed=1, dim=100, word_ngrams=2, epochs=1, learning_rate=0.1, min_count=1, buckets=2_000_000, min_letters=0,
    max_letters=0, loss="softmax",
)  # fmt: skip


def made(path: Path, text: Path) -> Path:
    """A model with the words of a file's texts."""
    corpus = read(pq.read_table(text, columns=["text"])["text"].cast(pa.large_string()).combine_chunks())
    kept = corpus.kept(1)
    words = [corpus.word(number) for number in kept.tolist()]
    file = ModelFile(words, corpus.counts[kept].tolist(), ["hq", "cc"], [1, 1], corpus.num_tokens, SETTINGS)
    random = np.random.default_rng(1)
    for first in range(0, len(file.inputs), 1 << 16):
        rows = file.inputs[first : first + (1 << 16)]
        rows[:] = random.standard_normal(rows.shape, np.float32)
    file.outputs[:] = random.standard_normal(file.outputs.shape, np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content())
    return path


def of_package(rows: pa.Table) -> list[float]:
    """The label's probability, a call a document."""
    found = [PREDICT((text or "").replace("\n", " "), k=2) for text in rows["text"].to_pylist()]
    return [dict(zip(*pair, strict=True)).get(LABEL + WANTED, 0.0) for pair in found]


def of_operator(rows: pa.Table) -> list[float]:
    """The operator on one batch."""
    found: list[float] = APPLY(rows)["score"].to_pylist()
    return found


def measure(path: Path, megabytes: float, rounds: int) -> str:
    """A row of the table."""
    rows, size = documents(path, megabytes)
    seconds: tuple[list[float], list[float]] = ([], [])
    scores: list[list[float]] = [[], []]
    for _ in range(rounds):
        for number, way in enumerate((of_package, of_operator)):
            begin = time.process_time()
            scores[number] = way(rows)
            seconds[number].append(time.process_time() - begin)
    old, new = (size / statistics.median(taken) for taken in seconds)
    apart = max(abs(min(one, 1) - other) for one, other in zip(*scores, strict=True))
    return f"| {path.stem} | {rows.num_rows} | {size:.1f} | {old:.1f} | {new:.1f} | {new / old:.1f} | {apart:.1g} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files with a column `text`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    model = options.model or made(MODEL, options.files[0])
    WANTED = "hq" if "hq" in read_labels(model) else read_labels(model)[0]
    PREDICT = fasttext.load_model(str(model)).predict
    stage = Classify(model=str(model), score_label=WANTED).stages()[0]
    assert isinstance(stage, ClassScores)
    APPLY = stage.bind(Context(0, {}))
    APPLY(pa.table({"text": pa.array(["compiled"], pa.large_string())}))
    print("| text | documents | MB | package, MB/s | ours, MB/s | times | scores apart |")
    print("|---|---|---|---|---|---|---|")
    for file in options.files:
        print(measure(file, options.megabytes, options.rounds), flush=True)
