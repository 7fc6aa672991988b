"""`concordance_score`: what the score says with ladders of n-gram models, what classifiers learn from it, its price.

    python benchmarks/concordance.py FILES... [--pieces 1000]

FILES are Parquet files with `text`, `source` and `lang`. Half of the English documents of nine manuals is learned, by
five models: of order 1 to 5 and of growing data, of growing order alone, and of growing data alone. What is scored is
in pieces of 1,900 to 2,000 characters, so that length says nothing: the other half of the manuals, English of other
sources, and what is not good text: the manuals' pieces with their words shuffled, with wrong letters, or of one passage
over and over; lists of words; code; other languages; random letters. AUC is how often a piece of the manuals has the
better score than one of the kind; ties count half.

Tables: what the score says of each kind, beside bits per byte by the strongest rung; classifiers trained on the labels
of a pool that is half manuals and half what is not good text, beside those trained on as many pieces of least and of
most bits, and on the truth, measured on other pieces; the manuals' pieces cut shorter; the price of a ladder.
"""

from __future__ import annotations

import argparse
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from benchmarks.classifier_training import LABELS, ours
from benchmarks.ngram_perplexity import auc
from operators.base import Context
from operators.kernels.fasttext_training import Settings
from operators.kernels.predictor import Predictor
from operators.ladder_scores import LadderScores
from operators.ngram_model import texts_of, to_bytes, train_model
from operators.ngram_perplexity import NgramScores
from operators.ngram_sources import digest

MANUALS: Final = (
    *("sage-doc", "linux-doc", "openjdk-doc", "qt-doc", "python-doc"),
    *("rust-doc", "boost-doc", "postgresql-doc", "manpages-en"),
)
WORD_LISTS: Final = "dictionaries"
CODE: Final = ("c", "python", "java", "go", "rust", "javascript", "c++")
LATIN: Final = ("de", "fr", "es", "it", "pt", "nl", "pl", "sv")
MOST: Final = 2000
LEAST: Final = 1900
PER_DOCUMENT: Final = 3
RUNGS: Final = {
    "order and data": ((1, 0.25), (2, 1), (3, 4), (4, 12), (5, 64)),
    "order alone": ((1, 64), (2, 64), (3, 64), (4, 64), (5, 64)),
    "data alone": ((5, 0.25), (5, 1), (5, 4), (5, 12), (5, 64)),
}
BAD: Final = (
    *("lists of words", "code", "other languages", "shuffled words", "wrong letters", "over and over"),
    "random letters",
)
Scores = NDArray[np.float64]
Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Of texts that are wanted, and of texts that are not."""
Kinds = dict[str, list[str]]


def pieces(text: str) -> Iterator[str]:
    """Pieces of a document of almost the same length, from space to space."""
    start = 0
    for _ in range(PER_DOCUMENT):
        stop = max(text.rfind(space, start + LEAST, start + MOST) for space in " \n")
        if stop < 0 or start + MOST > len(text):
            return
        yield text[start:stop]
        start = stop + 1


def shuffled(text: str, rng: random.Random) -> str:
    """The same words in another order."""
    words = text.split()
    rng.shuffle(words)
    return " ".join(words)


def with_wrong_letters(text: str, rng: random.Random) -> str:
    """One letter in twenty is another one."""
    letters = string.ascii_lowercase
    return "".join(rng.choice(letters) if letter.isalpha() and rng.random() < 0.05 else letter for letter in text)


def over_and_over(text: str, rng: random.Random) -> str:
    """A passage of 100 to 300 characters, repeated."""
    passage = text[: rng.randint(100, 300)] + "\n"
    return (passage * (MOST // len(passage) + 1))[:LEAST]


def random_letters(rng: random.Random) -> str:
    """Words of one to ten letters."""
    return " ".join("".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 10))) for _ in range(350))[:LEAST]


def kinds_of(table: pa.Table, limit: int) -> tuple[list[str], dict[str, list[str]]]:
    """The texts to learn, and the pieces of each kind."""
    rng = random.Random(0)
    learned: list[str] = []
    found: dict[str, list[str]] = {
        name: [] for name in ("manuals", "other English", "lists of words", "code", "other languages")
    }
    for number, row in enumerate(table.to_pylist()):
        if row["lang"] == "en" and row["source"] in MANUALS:
            if number % 2:
                learned.append(row["text"])
                continue
            kind = "manuals"
        elif row["lang"] == "en":
            kind = "lists of words" if row["source"] == WORD_LISTS else "other English"
        elif row["lang"] in CODE:
            kind = "code"
        else:
            kind = "other languages"
        if len(found[kind]) < limit * (2 if kind == "manuals" else 1):
            found[kind] += pieces(row["text"])
    clean = found["manuals"]
    rng.shuffle(clean)
    made = {"shuffled words": shuffled, "wrong letters": with_wrong_letters, "over and over": over_and_over}
    for name, change in made.items():
        found[name] = [change(text, rng) for text in clean[limit : 2 * limit]]
    found["random letters"] = [random_letters(rng) for _ in range(limit)]
    for some in found.values():
        rng.shuffle(some)
    return learned, {name: some[:limit] for name, some in found.items()}


def column(texts: Sequence[str]) -> pa.ChunkedArray:
    """The texts as a table's column."""
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def ladder(learned: Sequence[str], rungs: Sequence[tuple[int, float]], home: Path) -> list[str]:
    """The paths of its models; less data is a part of more, as `train_ngram_model` draws it."""
    until = np.cumsum([len(text.encode()) for text in learned]) / 1e6
    paths = []
    for order, megabytes in rungs:
        path = home / f"{order}-{megabytes}.ngram"
        if not path.is_file():
            some = learned[: int(np.searchsorted(until, megabytes)) + 1]
            path.write_bytes(to_bytes(train_model(texts_of(column(some), "word"), "word", order, 2)))
        paths.append(str(path))
    return paths


def scored(paths: Sequence[str], texts: Sequence[str]) -> tuple[Scores, Scores]:
    """The score, and bits per byte by the strongest rung."""
    rows = all_rungs(paths)(pa.table({"text": column(texts)}))
    return rows["score"].to_numpy(), rows[f"bits_{len(paths)}"].to_numpy()


def all_rungs(paths: Sequence[str]) -> Callable[[pa.Table], pa.Table]:
    """The scores of a ladder."""
    of = {"models_of": [(path, "") for path in paths], "digests": [digest(path) for path in paths]}
    return LadderScores.model_validate({"ladder": [""] * len(paths), "functions": (), **of}).bind(Context(0, {}))


def one_rung(path: str) -> Callable[[pa.Table], pa.Table]:
    """The scores of `ngram_perplexity`."""
    return NgramScores(models_of=((path, ""),), digests=(digest(path),)).bind(Context(0, {}))


def by_kind(paths: Sequence[str], kinds: Kinds) -> None:
    """Print what the score and the bits say of each kind."""
    print("| kind | pieces | mean score | all pairs | below 0.8 | below 0.9 | mean bits | AUC by score | AUC by bits |")
    print("|---|---|---|---|---|---|---|---|---|")
    found = {name: scored(paths, texts) for name, texts in kinds.items()}
    clean = found["manuals"]
    for name, (score, bits) in found.items():
        below = " | ".join(f"{(score < bound - 1e-9).mean():.3f}" for bound in (0.8, 0.9))
        shares = f"{score.mean():.2f} | {(score == 1).mean():.2f} | {below} | {bits.mean():.2f}"
        print(f"| {name} | {score.size} | {shares} | {auc(-clean[0], -score):.3f} | {auc(clean[1], bits):.3f} |")


def labelled(paths: Sequence[str], pool: Sequence[str]) -> tuple[Places, Places]:
    """The places of positive and negative texts by the score, and of as many by bits."""
    score, bits = scored(paths, pool)
    positive, others = np.flatnonzero(score == 1), np.flatnonzero(score < 1)
    negative = others[np.argsort(score[others], kind="stable")][: positive.size]
    order, size = np.argsort(bits, kind="stable"), negative.size
    return (positive, negative), (order[:size], order[-size:])


def classified(pool: Sequence[str], chosen: Places, tests: Kinds) -> dict[str, Scores]:
    """Scores by PreSelect's classifier of the chosen texts, wanted and not."""
    documents = [
        (str(place), " ".join(pool[place].split()), label) for label, places in enumerate(chosen) for place in places
    ]
    random.Random(1).shuffle(documents)
    settings = Settings(
        seed=0, word_ngrams=2, dim=100, learning_rate=0.1, epochs=3, min_count=1, buckets=200_000, min_letters=0,
        max_letters=0, loss="softmax",
    )  # fmt: skip
    predict = Predictor(ours(documents, settings).file.model())
    arrays = {name: pa.array(some, pa.large_string()) for name, some in tests.items()}
    return {name: predict.probabilities(some, LABELS[0]).astype(np.float64) for name, some in arrays.items()}


def by_classifier(paths: Sequence[str], halves: Sequence[Kinds]) -> None:
    """Print what was labelled in a pool, and how classifiers that learn the labels tell the kinds apart."""
    rng = random.Random(2)
    clean, bad = halves[0]["manuals"], [text for name in BAD for text in halves[0][name]]
    pool = [(text, True) for text in clean] + [(text, False) for text in rng.sample(bad, len(clean))]
    rng.shuffle(pool)
    texts, is_clean = [text for text, _ in pool], np.array([good for _, good in pool])
    by_score, by_bits = labelled(paths, texts)
    ways = {"score": by_score, "bits": by_bits, "truth": (np.flatnonzero(is_clean), np.flatnonzero(~is_clean))}
    for way, chosen in ways.items():
        shares = [f"{some.size} with {is_clean[some].mean():.2f} manuals" for some in chosen]
        print(f"labels by {way}: positive {shares[0]}, negative {shares[1]}")
    results = [classified(texts, chosen, halves[1]) for chosen in ways.values()]
    print("\n| kind | labels by score | labels by bits | the truth |\n|---|---|---|---|")
    for name in halves[1]:
        print(f"| {name} | " + " | ".join(f"{auc(-found['manuals'], -found[name]):.3f}" for found in results) + " |")


def by_length(paths: Sequence[str], kinds: Kinds) -> None:
    """Print what the score says of the same pieces, cut shorter."""
    print("\n| characters | mean score | all pairs | AUC of shuffled words | by bits |\n|---|---|---|---|---|")
    for length in (125, 250, 500, 1000, MOST):
        clean, other = (
            scored(paths, [text[:length] for text in kinds[kind]]) for kind in ("manuals", "shuffled words")
        )
        shares = f"{clean[0].mean():.2f} | {(clean[0] == 1).mean():.2f}"
        print(f"| {length} | {shares} | {auc(-clean[0], -other[0]):.3f} | {auc(clean[1], other[1]):.3f} |")


def price(paths: Sequence[str], texts: Sequence[str]) -> None:
    """Print MB a CPU-second by the words alone, by each rung alone, and by all; medians of 3."""
    size = sum(len(text.encode()) for text in texts) / 1e6

    def seconds(run: Callable[[pa.Table], object]) -> float:
        found = []
        for _ in range(3):
            mark = str(time.perf_counter_ns())  # texts of which no scan is remembered
            rows = pa.table({"text": column([f"{text} {mark}" for text in texts])})
            begin = time.process_time()
            run(rows)
            found.append(time.process_time() - begin)
        return statistics.median(found)

    for run in (one_rung(paths[0]), all_rungs(paths)):
        run(pa.table({"text": column(texts[:5])}))
    words = seconds(lambda rows: texts_of(rows["text"], "word"))
    alone = [seconds(one_rung(path)) for path in paths]
    together = seconds(all_rungs(paths))
    once = sum(alone) - (len(paths) - 1) * words
    print(f"\n{size:.1f} MB; MB a CPU-second: the words {size / words:.1f}, the rungs alone with them", end=" ")
    print(", ".join(f"{size / one:.1f}" for one in alone), f"; all {size / together:.1f}:", end=" ")
    print(
        f"{together / sum(alone):.2f} of one after the other, {together / once:.2f} of that with the words found once"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="Parquet files with text, source and lang")
    parser.add_argument("--pieces", type=int, default=1000, help="of each kind")
    given = parser.parse_args()
    wanted = ds.field("lang").isin(["en", *CODE, *LATIN])
    table = ds.dataset([str(path) for path in given.files]).to_table(columns=["text", "source", "lang"], filter=wanted)
    table = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
    learned, kinds = kinds_of(table, given.pieces)
    halves = [{name: some[half::2] for name, some in kinds.items()} for half in (0, 1)]
    print(f"{sum(len(text.encode()) for text in learned) / 1e6:.1f} MB of manuals could be learned")
    with tempfile.TemporaryDirectory() as home:
        for name, rungs in RUNGS.items():
            print(f"\n{name}: (order, MB) {rungs}\n")
            paths = ladder(learned, rungs, Path(home))
            by_kind(paths, kinds)
            by_classifier(paths, halves)
            by_length(paths, kinds)
        price(ladder(learned, RUNGS["order and data"], Path(home)), [text for text in learned if text][::5])


if __name__ == "__main__":
    main()
