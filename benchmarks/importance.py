"""Does importance resampling choose what is like the target, and not what is long? Eight domains of English.

    python benchmarks/importance.py [--data 'build/corpora/mixed-1gb/*.parquet']

Each domain in turn is the target by one half of its documents. Three pools, three tables, means over the eight domains:

1. `documents`: the other half and as many as 400 documents of each other domain, as they are; as many are chosen as the
   pool has of the target domain.
2. `lengths`: the same text, but joined and cut into pieces of 128 to 8,192 tokens, as many of each length, so that
   length says nothing of the text; a quarter as many are chosen as the pool has pieces of the target domain.
3. `own lengths`: of those only the pieces of the target domain itself: nothing to be told apart but lengths.

Ways: by chance, and each normalisation with a ladder of temperatures; 0 takes the highest weights. Where chance
decides, means of ten draws. Columns: the effective sample size as a share of k, and in how many domains that is at
least a tenth; the rank correlation of weight and length among the pool's documents of the target domain; the share of
the chosen that is of the target domain (precision at k); the mean length of what is chosen of the target domain, as a
multiple of that of all the pool has of it; for the first pool KL reduction in nats (in the others what is chosen is of
very different size), for these the share of the chosen of each length, the shortest first (14 % each by chance).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.training_speed import ROOT
from operators.importance_draw import gumbel
from operators.importance_weights import CHUNK_TOKENS, divergence, log_ratio
from operators.kernels.ngram_features import count_ngrams, sum_ngrams
from operators.text_buffers import column_bytes

BUCKETS, SEED, DOMAINS, MOST, MIN_TOKENS = 10_000, 7, 8, 400, 100
LENGTHS = tuple(128 << power for power in range(7))
ROUNDS = 30
"""Pieces of each length that are cut of a half of a domain, at most."""
TEMPERATURES = {
    "document": (0.0, 1.0, 100.0, 1000.0),
    "chunk": (0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0),
    "token": (0.0, 0.1, 0.15, 1.0),
}
DRAWS = 10


class Pool(NamedTuple):
    """What is chosen from: rows, which of them are of the target domain, the target's rows, and how many to choose."""

    rows: pa.Table
    mine: NDArray[np.bool_]
    target: pa.Table
    size: int


def domains_of(pattern: str) -> pa.Table:
    """English documents of at least 100 tokens, of the eight sources that have most."""
    wanted = ["id", "source", "text"]
    files = sorted(ROOT.glob(pattern))
    table = pa.concat_tables([pq.read_table(path, columns=wanted, filters=[("lang", "==", "en")]) for path in files])
    tokens = tokens_of(table)
    table = table.append_column("tokens", pa.array(tokens)).filter(pa.array(tokens >= MIN_TOKENS))
    counts = sorted(((c["counts"], c["values"]) for c in table["source"].value_counts().to_pylist()), reverse=True)
    return pa.concat_tables(
        [table.filter(pc.equal(table["source"], name)).sort_by("id") for _, name in counts[:DOMAINS]]
    )


def tokens_of(table: pa.Table) -> NDArray[np.int64]:
    """How many tokens each text has."""
    return sum_ngrams(*column_bytes(table["text"]), 1, np.zeros(BUCKETS), "fast").tokens


def count(table: pa.Table) -> NDArray[np.int64]:
    """The n-grams of a table by bucket."""
    return count_ngrams(*column_bytes(table["text"]), 2, BUCKETS, "fast")


def halves(table: pa.Table, domain: str) -> tuple[pa.Table, pa.Table]:
    """Every second document of a domain, and the others."""
    mine = table.filter(pc.equal(table["source"], domain))
    even = pa.array(np.arange(mine.num_rows) % 2 == 0)
    return mine.filter(even), mine.filter(pc.invert(even))


def pieces(table: pa.Table, name: str) -> pa.Table:
    """The text of a table, joined, in pieces of each of the lengths in turn: of tokens, nearly, cut at white space."""
    words = " ".join(table["text"].to_pylist()).split(" ")
    per_word = table["tokens"].to_numpy().sum() / len(words)
    order = np.random.default_rng(SEED).permuted(np.tile(LENGTHS, (ROUNDS, 1)), axis=1).ravel()
    ends = np.cumsum(np.round(order / per_word).astype(np.int64))
    whole = int(np.searchsorted(ends, len(words), side="right")) // len(LENGTHS) * len(LENGTHS)
    texts = [" ".join(words[low:high]) for low, high in zip([0, *ends[: whole - 1]], ends[:whole], strict=True)]
    cut = pa.table(
        {
            "id": [f"{name}/{number}" for number in range(whole)],
            "source": [name] * whole,
            "text": pa.array(texts, pa.large_string()),
            "length": order[:whole],
        }
    )
    return cut.append_column("tokens", pa.array(tokens_of(cut)))


def pools(table: pa.Table, kind: str) -> Iterator[Pool]:
    """A pool for each domain as the target."""
    names = pc.unique(table["source"]).to_pylist()
    few = pa.concat_tables([table.filter(pc.equal(table["source"], name)).slice(0, MOST) for name in names])
    cut = {name: pieces(halves(table, name)[1], name) for name in names} if kind != "documents" else {}
    for name in names:
        target, own = halves(few if kind == "documents" else table, name)
        if kind == "documents":
            rows = pa.concat_tables([own, few.filter(pc.not_equal(few["source"], name))])
        else:
            rows = pa.concat_tables(cut.values()) if kind == "lengths" else cut[name]
        mine = pc.equal(rows["source"], name).combine_chunks().to_numpy(zero_copy_only=False)
        yield Pool(rows, mine, target, int(mine.sum()) // (1 if kind == "documents" else 4))


def effective(weights: NDArray[np.float64], temperature: float) -> float:
    """The effective sample size of a draw."""
    distance = weights.max() - weights
    shares = np.exp(-distance / temperature) if temperature else (distance == 0).astype(float)
    shares = shares[shares > 0] / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean ranks, so that ties count as ties."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def ways(pool: Pool) -> Iterator[tuple[str, list[float]]]:
    """For each way: its name and what is measured."""
    wanted, raw = count(pool.target), count(pool.rows)
    sums, tokens = sum_ngrams(*column_bytes(pool.rows["text"]), 2, log_ratio(wanted, raw, 1), "fast")
    per = {"document": np.ones(tokens.size), "chunk": np.maximum(tokens / CHUNK_TOKENS, 1), "token": tokens * 1.0}
    noises = [gumbel(pool.rows["id"], SEED + draw) for draw in range(DRAWS)]
    for name, ladder in {"by chance": (1.0,), **TEMPERATURES}.items():
        weights = sums / per[name] if name in per else np.zeros(sums.size)
        for temperature in ladder:
            draws = [
                drawn(
                    pool, np.argsort(-(weights + temperature * noise), kind="stable")[: pool.size], wanted, raw, tokens
                )
                for noise in (noises if temperature else noises[:1])
            ]
            size = effective(weights, temperature) / pool.size
            weighed = [size, float(size >= 0.1), correlation(weights[pool.mine], tokens[pool.mine])]
            yield (name if name not in per else f"{name}, {temperature:g}"), [*weighed, *np.nanmean(draws, axis=0)]


def drawn(
    pool: Pool, chosen: NDArray[np.int64], wanted: NDArray[np.int64], raw: NDArray[np.int64], tokens: NDArray[np.int64]
) -> list[float]:
    """What is measured of one draw: precision, KL reduction, mean length, and the shares of the lengths."""
    own = chosen[pool.mine[chosen]]
    length = tokens[own].mean() / tokens[pool.mine].mean() if own.size else np.nan
    precision = float(pool.mine[chosen].mean())
    if "length" in pool.rows.column_names:
        lengths = pool.rows["length"].to_numpy()[chosen]
        return [precision, length, *(float((lengths == one).mean()) for one in LENGTHS)]
    return [precision, length, divergence(wanted, raw) - divergence(wanted, count(pool.rows.take(pa.array(chosen))))]


def correlation(one: NDArray[np.float64], other: NDArray[np.int64]) -> float:
    """The rank correlation; 0 where all are alike."""
    if np.ptp(one) == 0:
        return 0.0
    return float(np.corrcoef(ranks(one), ranks(other.astype(float)))[0, 1])


def show(kind: str, found: dict[str, list[list[float]]]) -> None:
    """Print one table."""
    heads = ["way", "effective / k", "a tenth in", "rank correlation", "precision at k", "mean length"]
    heads += [f"{length:,}" for length in LENGTHS] if kind != "documents" else ["KL reduction"]
    print(f"\n{kind}\n\n| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}")
    forms = [".3g", ".0f", "+.2f", ".2f", ".2f", *([".0%"] * len(LENGTHS) if kind != "documents" else [".3f"])]
    for name, rows in found.items():
        mean = np.nanmean(rows, axis=0)
        mean[1] *= len(rows)
        cells = [format(value, form) for value, form in zip(mean, forms, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="build/corpora/mixed-1gb/*.parquet", help="Parquet files: text, source, lang")
    table = domains_of(parser.parse_args().data)
    print({c["values"]: c["counts"] for c in table["source"].value_counts().to_pylist()})
    for kind in ("documents", "lengths", "own lengths"):
        found: dict[str, list[list[float]]] = {}
        for pool in pools(table, kind):
            for name, measured in ways(pool):
                found.setdefault(name, []).append(measured)
        show(kind, found)


if __name__ == "__main__":
    main()
