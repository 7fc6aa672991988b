"""Our training of fastText's classifiers and the library's: AUC on held-out documents, CPU seconds, and the numbers.

    python benchmarks/classifier_training.py [--seeds 3] [--megabytes 8] [--tasks ...]

Both learn from the same lines in the same order with the same seed, thread = 1 and DCLM's settings, and the library
scores the same held-out documents with both files. "Apart": the largest difference of an input vector's number, once
with our own order of words of equal count, matched by word, and once with the library's order, where nothing is left
to differ but rounding. CPU seconds hold reading the text, the dictionary and all epochs, in one process each, our
kernels compiled. Exit status 1 where an AUC differs by more than 0.002.

The tasks are of real text (`corpora.py`): two manuals; the kernel's documentation against all other English, in
passages of 300 characters of documents that are wholly held out or not at all; and prose against code.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.training_speed import python_of  # noqa: E402
from operators.classifier_metrics import auc  # noqa: E402
from operators.fasttext_model import Floats, read_model  # noqa: E402
from operators.fasttext_writer import ModelFile  # noqa: E402
from operators.hashing import row_hash  # noqa: E402
from operators.kernels.fasttext_dictionary import Corpus, read  # noqa: E402
from operators.kernels.fasttext_training import Settings, fit  # noqa: E402

CORPORA: Final = ROOT / "build" / "corpora"
RUNNER: Final = Path(__file__).parent / "peers" / "classifier.py"
BAR: Final = 0.002
HELD_OUT: Final = 0.3
LABELS: Final = ("hq", "cc")
PASSAGE: Final = 300  # characters

Documents = list[tuple[str, str, int]]  # id, text, number of the label


class Row(NamedTuple):
    """A line of the table."""

    task: str
    seed: int
    lines: int
    megabytes: float
    aucs: tuple[float, float]
    seconds: tuple[float, float]
    apart: tuple[float, float]


def rows_of(corpus: str) -> Iterator[tuple[str, str, str]]:
    """Id, text on one line, and source; without texts that the library would read as something else."""
    table = pq.read_table(CORPORA / f"{corpus}.parquet", columns=["id", "text", "source"])
    for row in table.to_pylist():
        text = " ".join((row["text"] or "").split())
        if text and "__label__" not in text and "</s>" not in text and "\0" not in text:
            yield row["id"], text, row["source"]


def manuals() -> Documents:
    """Java's against Sage's."""
    classes = {"openjdk-doc": 0, "sage-doc": 1}
    return [(i, text, classes[source]) for i, text, source in rows_of("english") if source in classes]


def passages() -> Documents:
    """The kernel's documentation against all other English, in short pieces."""
    found = []
    for identity, text, source in rows_of("english"):
        pieces = [text[start : start + PASSAGE] for start in range(0, min(len(text), 20 * PASSAGE), PASSAGE)]
        found += [(identity, piece.strip(), int(source != "linux-doc")) for piece in pieces if piece.strip()]
    return found


def prose_and_code() -> Documents:
    """English against code in six languages."""
    return [(i, text, label) for label, name in enumerate(("english", "code")) for i, text, _ in rows_of(name)]


TASKS: Final = {"two manuals": manuals, "passages": passages, "prose and code": prose_and_code}


def dealt(documents: Documents, seed: int, megabytes: float) -> tuple[Documents, Documents]:
    """What to train on, in the order of a hash, each class up to so much text; and what is held out."""
    held = [d for d in documents if row_hash(d[0], seed, "held out") < HELD_OUT * 2**64]
    order = sorted(
        (d for d in documents if row_hash(d[0], seed, "held out") >= HELD_OUT * 2**64),
        key=lambda d: row_hash(d[0] + d[1], seed, "order"),
    )
    left = [megabytes * 1e6] * 2
    training = []
    for document in order:
        left[document[2]] -= len(document[1].encode())
        if left[document[2]] >= 0:
            training.append(document)
    return training, held


class Ours(NamedTuple):
    """Our model's file, what it was made of, and how long that took."""

    file: ModelFile
    corpus: Corpus
    cpu_s: float


def ours(training: Documents, settings: Settings, words: list[bytes] | None = None) -> Ours:
    """Train; with `words` in that order instead of our own."""
    texts = pa.array([text for _, text, _ in training], pa.large_string())
    labels = np.array([label for _, _, label in training], np.int32)
    begin = time.process_time()
    corpus = read(texts)
    kept = corpus.kept(settings.min_count)
    if words is not None:
        numbers = {corpus.word(number): number for number in kept.tolist()}
        kept = np.array([numbers[word] for word in words], np.int64)
    names = [corpus.word(number) for number in kept.tolist()]
    counts = np.bincount(labels, minlength=2)
    order = np.argsort(-counts, kind="stable")
    file = ModelFile(
        names, corpus.counts[kept].tolist(), [LABELS[label] for label in order], counts[order].tolist(),
        corpus.num_tokens, settings,
    )  # fmt: skip
    fit(corpus, np.argsort(order).astype(np.int32)[labels], kept, settings, file.inputs, file.outputs)
    return Ours(file, corpus, time.process_time() - begin)


def asked(*arguments: str) -> str:
    """What the peer prints last."""
    command = [str(python_of("fasttext")), str(RUNNER), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def apart(inputs: Floats, words: tuple[bytes, ...], theirs: Floats, their_words: tuple[bytes, ...]) -> float:
    """The largest difference of two input matrices, words matched by name."""
    places = {word: place for place, word in enumerate(words)}
    order = np.array([places[word] for word in their_words])
    buckets = np.abs(inputs[len(words) :] - theirs[len(words) :]).max(initial=0)
    return float(max(np.abs(inputs[order] - theirs[: len(words)]).max(), buckets))


def compare(task: str, seed: int, megabytes: float, buckets: int, folder: Path) -> Row:
    """One task with one seed."""
    training, held = dealt(TASKS[task](), seed, megabytes)
    lines, texts = folder / "lines.txt", folder / "texts.txt"
    lines.write_text("".join(f"__label__{LABELS[label]} {text}\n" for _, text, label in training), encoding="utf-8")
    texts.write_text("\n".join(text for _, text, _ in held), encoding="utf-8")
    arguments = json.dumps({"wordNgrams": 2, "seed": seed, "bucket": buckets})
    their_seconds = json.loads(asked("train", str(lines), str(folder / "theirs.bin"), arguments))["cpu_s"]
    settings = Settings(seed=seed, word_ngrams=2, buckets=buckets)
    mine = ours(training, settings)
    (folder / "ours.bin").write_bytes(mine.file.content())
    truth = np.array([label == 0 for _, _, label in held])
    scores = [
        np.array(json.loads(asked("score", str(folder / name), str(texts), LABELS[0])))
        for name in ("ours.bin", "theirs.bin")
    ]
    theirs, size = read_model(folder / "theirs.bin"), lines.stat().st_size / 1e6
    words = mine.file.model().dictionary.words
    differences = [apart(mine.file.inputs, words, theirs.inputs, theirs.dictionary.words)]
    cpu_s = mine.cpu_s
    del mine
    again = ours(training, settings, list(theirs.dictionary.words))
    differences.append(float(np.abs(again.file.inputs - theirs.inputs).max()))
    aucs = tuple(auc(found, truth) or 0.0 for found in scores)
    return Row(
        task, seed, len(training), size, (aucs[0], aucs[1]), (cpu_s, their_seconds), (differences[0], differences[1])
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=8, help="of text of each class to train on, at most")
    parser.add_argument("--buckets", type=int, default=2_000_000)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    given = parser.parse_args()
    ours([("a", "compiled once", 0), ("b", "for all", 1)], Settings(word_ngrams=2, buckets=10))
    heads = ("task", "seed", "lines", "MB", "AUC ours", "library", "difference", "CPU s ours", "library", "times")
    print("|", " | ".join((*heads, "apart", "same order")), "|")
    print("|---" * (len(heads) + 2) + "|", flush=True)
    worst = 0.0
    for task in given.tasks:
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as name:
                row = compare(task, seed, given.megabytes, given.buckets, Path(name))
            difference = row.aucs[0] - row.aucs[1]
            worst = max(worst, abs(difference))
            cells = (row.task, str(seed), f"{row.lines:,}", f"{row.megabytes:.1f}", *(f"{a:.6f}" for a in row.aucs))
            times = f"{row.seconds[1] / row.seconds[0]:.1f}"
            more = (f"{difference:+.6f}", *(f"{s:.2f}" for s in row.seconds), times, *(f"{a:.2g}" for a in row.apart))
            print("|", " | ".join((*cells, *more)), "|", flush=True)
    return int(worst > BAR)


if __name__ == "__main__":
    sys.exit(main())
