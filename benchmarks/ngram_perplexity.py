"""`ngram_perplexity`: price of training and scoring, kenlm's query beside it, and how well it tells two sources apart.

    python benchmarks/ngram_perplexity.py FILES... [--megabytes 20] [--rounds 3] [--pairs a/b c/d]

FILES are Parquet files with `text`, `source` and `lang`; English documents are taken. One half of them is learned,
the other scored, each at most so many megabytes. CPU seconds of one process, medians, kernels compiled. kenlm gets our
model as an ARPA file and our words joined by spaces, so the words are found for it beforehand; its environment is
locked in `benchmarks/peers/kenlm/` (a compiler and cmake are needed). A pair of sources is one pool: of each, every
other document is for training, the others are ranked, and AUC is how often one of the first source comes before one of
the second. The prior is trained on the pool's training half, without being told which is which.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.training_speed import python_of
from operators.arpa import to_arpa, unseen_share
from operators.base import Context
from operators.kernels.ngrams import looked_up
from operators.ngram_model import Model, Texts, Unit, spelled, texts_of, to_bytes, train_model
from operators.ngram_perplexity import NgramScores
from operators.ngram_sources import digest

RUNNER = Path(__file__).parent / "peers" / "score_ngrams.py"
ORDER, MIN_COUNT = 5, 2
BITS = float(np.log2(10))


def documents(files: Sequence[Path]) -> pa.Table:
    """The English documents of all files, in a fixed random order."""
    tables = [pq.read_table(path, columns=["text", "source", "lang"]) for path in files]
    table = pa.concat_tables(tables).filter(pc.field("lang") == "en")
    table = table.set_column(0, "text", table["text"].cast(pa.large_string()))
    return table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))


def sized(texts: pa.ChunkedArray, megabytes: float) -> tuple[pa.ChunkedArray, float]:
    """The first documents, of so much text at most, and how much that is."""
    until = np.cumsum(pc.binary_length(texts).to_numpy()) / 1e6
    count = int(np.searchsorted(until, megabytes, side="right"))
    return texts[:count], float(until[count - 1])


def price(learned: pa.ChunkedArray, size: float, scored: pa.ChunkedArray, rounds: int, unit: Unit) -> tuple[Model, str]:
    """The last model, and a row of the table of prices."""
    other_size = pc.sum(pc.binary_length(scored)).as_py() / 1e6
    order = ORDER if unit == "word" else ORDER + 1
    train_model(texts_of(learned[:50], unit), unit, order, MIN_COUNT).bits(texts_of(scored[:50], unit))
    seconds: dict[str, list[float]] = {"train": [], "score": []}
    for number in range(rounds):
        begin = time.process_time()
        texts = texts_of(learned.slice(number), unit)  # another table each time: the last scans are remembered
        model = train_model(texts, unit, order, MIN_COUNT)
        middle = time.process_time()
        model.bits(texts_of(scored.slice(number), unit))
        seconds["train"].append(middle - begin)
        seconds["score"].append(time.process_time() - middle)
    train, score = (statistics.median(seconds[name]) for name in ("train", "score"))
    about = f"{size:.1f} | {size / train:.1f} | {model.about['ngrams']} | {len(to_bytes(model)) / 1e6:.0f}"
    return model, f"| {unit}, order {order} | {about} | {other_size / score:.1f} |"


def words_of(texts: Texts) -> list[list[str]]:
    """The words of each document."""
    data, starts = texts.kinds.tobytes(), texts.kind_starts.tolist()
    names = [data[one:other].decode() for one, other in pairwise(starts)]
    ends = texts.starts.tolist()
    return [[names[token] for token in texts.tokens[one:other]] for one, other in pairwise(ends)]


def beside_kenlm(model: Model, scored: pa.ChunkedArray) -> str:
    """CPU seconds of kenlm over ours, both after the words were found; and how far document scores are apart."""
    texts = texts_of(scored, "word")
    begin = time.process_time()
    bits = model.bits(texts)
    ours = time.process_time() - begin
    places = texts.starts[:-1] + np.arange(texts.starts.size - 1)
    lengths = np.diff(texts.starts) + 1
    sums = np.add.reduceat(bits, places) - unknown_bits(model, texts)
    with tempfile.TemporaryDirectory() as home:
        arpa, lines, result = (Path(home) / name for name in ("model.arpa", "lines.txt", "result.json"))
        arpa.write_bytes(to_arpa(model))
        lines.write_text("\n".join(map(" ".join, words_of(texts))), encoding="utf-8")
        command = [str(python_of("kenlm")), str(RUNNER), str(arpa), str(lines), str(result)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        found = json.loads(result.read_text(encoding="utf-8"))
    apart = np.abs(sums + BITS * np.array(found["scores"])) / lengths
    tokens = int(lengths.sum())
    return (
        f"{tokens} words: kenlm {found['seconds']:.2f} s ({tokens / found['seconds'] / 1e6:.2f} M/s), "
        f"ours {ours:.2f} s ({tokens / ours / 1e6:.2f} M/s), {found['seconds'] / ours:.2f} times; "
        f"scores of {lengths.size} documents: at most {apart.max():.1g} bits a word apart"
    )


def unknown_bits(model: Model, texts: Texts) -> NDArray[np.float64]:
    """What each document costs more than in kenlm's eyes, to which all unknown words are one."""
    assert model.names is not None
    assert model.spelling is not None
    is_unknown = looked_up(model.names, texts.kinds, texts.kind_starts) < 0
    costs = spelled(model.spelling, texts.kinds, texts.kind_starts) + np.log2(unseen_share(model))
    until = np.append(0, np.cumsum(np.where(is_unknown, costs, 0)[texts.tokens]))
    more: NDArray[np.float64] = until[texts.starts[1:]] - until[texts.starts[:-1]]
    return more


def auc(good: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How often a value of the first is below one of the second; ties count half."""
    both = np.sort(other)
    below = (
        both.size
        - np.searchsorted(both, good, "right")
        + (np.searchsorted(both, good, "right") - np.searchsorted(both, good)) / 2
    )
    return float(below.sum() / (good.size * other.size))


def separated(table: pa.Table, pair: str) -> str:
    """A row of the table of pairs: AUC by each score."""
    names = pair.split("/")
    parts = [table.filter(pc.field("source") == name)["text"] for name in names]
    halves = [[part.take(pa.array(np.arange(half, len(part), 2))) for half in (0, 1)] for part in parts]
    held_out = pa.chunked_array([*halves[0][1].chunks, *halves[1][1].chunks])
    pool = pa.chunked_array([*halves[0][0].chunks, *halves[1][0].chunks])
    found = []
    with tempfile.TemporaryDirectory() as home:
        paths = [f"{home}/{name}.ngram" for name in ("good", "prior")]
        for path, texts in zip(paths, (halves[0][0], pool), strict=True):
            Path(path).write_bytes(to_bytes(train_model(texts_of(texts, "word"), "word", ORDER, MIN_COUNT)))
        for share in (1.0, 0.5):
            how = {"models_of": [(path, "") for path in paths], "digests": [digest(path) for path in paths]}
            scores = NgramScores.model_validate({**how, "interpolate": share}).bind(Context(0, {}))
            rows = scores(pa.table({"text": held_out}))
            found.append([rows[name].to_numpy() for name in ("bits_per_byte", "difference")])
    size = len(halves[0][1])
    ranked = [found[0][0], -found[0][1], -found[1][1]]
    values = " | ".join(f"{auc(score[:size], score[size:]):.4f}" for score in ranked)
    return f"| {' / '.join(names)} | {size} / {len(held_out) - size} | {values} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="Parquet files with text, source and lang")
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--pairs", nargs="*", default=["boost-doc/qt-doc", "python-doc/sage-doc", "manpages-en/linux-doc"]
    )
    given = parser.parse_args()
    table = documents(given.files)
    half = table.num_rows // 2
    learned, size = sized(table["text"][:half], given.megabytes)
    scored, _ = sized(table["text"][half:], given.megabytes)
    print("| model | learned, MB | training, MB/s | n-grams | file, MB | scoring, MB/s |\n|---|---|---|---|---|---|")
    model, row = price(learned, size, scored, given.rounds, "word")
    print(row)
    print(price(learned[: len(learned) // 4], size / 4, scored[: len(scored) // 4], given.rounds, "byte")[1])
    print(f"\n{beside_kenlm(model, scored)}\n")
    print("| sources | held out | bits_per_byte | difference | interpolate 0.5 |\n|---|---|---|---|---|")
    for pair in given.pairs:
        print(separated(table, pair))


if __name__ == "__main__":
    main()
