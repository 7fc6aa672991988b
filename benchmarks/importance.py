"""Does importance resampling choose what is like the target? Eight domains of English, one of them the target.

    python benchmarks/importance.py [--data 'build/corpora/mixed-1gb/*.parquet']

Half of the target domain's documents are the target; the other half and as many as 400 documents of each other domain
are the pool. As many documents are chosen as the pool has of the target domain (k): by chance, by the highest weights,
and by resampling, with each normalisation. Printed, as means over the eight domains: the share of the chosen that is of
the target domain (precision at k), KL reduction, the effective sample size, and the chosen documents' median length in
tokens as a multiple of that of the target domain's documents in the pool.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

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


def domains_of(pattern: str) -> pa.Table:
    """English documents of at least 100 tokens, of the eight sources that have most, at most 400 of each."""
    wanted = ["id", "source", "text"]
    files = sorted(ROOT.glob(pattern))
    table = pa.concat_tables([pq.read_table(path, columns=wanted, filters=[("lang", "==", "en")]) for path in files])
    tokens = sum_ngrams(*column_bytes(table["text"]), 1, np.zeros(BUCKETS), "fast").tokens
    table = table.append_column("tokens", pa.array(tokens)).filter(pa.array(tokens >= MIN_TOKENS))
    counts = sorted(((c["counts"], c["values"]) for c in table["source"].value_counts().to_pylist()), reverse=True)
    parts = [table.filter(pc.equal(table["source"], name)).sort_by("id").slice(0, MOST) for _, name in counts[:DOMAINS]]
    return pa.concat_tables(parts)


def count(table: pa.Table) -> NDArray[np.int64]:
    """The n-grams of a table by bucket."""
    return count_ngrams(*column_bytes(table["text"]), 2, BUCKETS, "fast")


def rounds(table: pa.Table) -> Iterator[tuple[str, list[float]]]:
    """For each domain and way: its name and what is measured."""
    for domain in pc.unique(table["source"]).to_pylist():
        mine = pc.equal(table["source"], domain).combine_chunks().to_numpy(zero_copy_only=False)
        places = np.flatnonzero(mine)
        is_target = np.zeros(mine.size, bool)
        is_target[places[::2]] = True
        target, pool = table.filter(pa.array(is_target)), table.filter(pa.array(~is_target))
        wanted, raw, hit = count(target), count(pool), mine[~is_target]
        sums, tokens = sum_ngrams(*column_bytes(pool["text"]), 2, log_ratio(wanted, raw, 1), "fast")
        noise, size = gumbel(pool["id"], SEED), int(hit.sum())
        per = {"document": np.ones(tokens.size), "chunk": np.maximum(tokens / CHUNK_TOKENS, 1), "token": tokens * 1.0}
        ways = {"by chance": (noise, np.zeros(tokens.size))}
        for name, length in per.items():
            ways[f"{name}, highest"] = (sums / length, sums / length)
            ways[f"{name}, resampled"] = (sums / length + noise, sums / length)
        for name, (score, weights) in ways.items():
            chosen = np.argsort(-score, kind="stable")[:size]
            shares = np.exp(weights - weights.max())
            shares = shares[shares > 0] / shares.sum()
            yield (
                name,
                [
                    float(hit[chosen].mean()),
                    divergence(wanted, raw) - divergence(wanted, count(pool.take(pa.array(chosen)))),
                    float(np.exp(-(shares * np.log(shares)).sum())),
                    float(np.median(tokens[chosen]) / np.median(tokens[hit])),
                    float(np.corrcoef(np.argsort(np.argsort(weights)), np.argsort(np.argsort(tokens)))[0, 1])
                    if weights.any()
                    else 0.0,
                ],
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="build/corpora/mixed-1gb/*.parquet", help="Parquet files: text, source, lang")
    table = domains_of(parser.parse_args().data)
    print({c["values"]: c["counts"] for c in table["source"].value_counts().to_pylist()})
    found: dict[str, list[list[float]]] = {}
    for name, measured in rounds(table):
        found.setdefault(name, []).append(measured)
    print("| way | precision at k | KL reduction | effective sample | median length | rank correlation with length |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, rows in found.items():
        mean = np.mean(rows, axis=0)
        print(f"| {name} | {mean[0]:.2f} | {mean[1]:.3f} | {mean[2]:.1f} | {mean[3]:.2f} | {mean[4]:+.2f} |")


if __name__ == "__main__":
    main()
