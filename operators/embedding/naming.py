"""What clusters are about: their most telling words, by class-based TF-IDF, and the documents nearest to their centres.

Of a word that occurs t times among the N words of a cluster, f times in all C clusters, and A words in a cluster on
average: sqrt(t / N) * log(1 + A / f) (Grootendorst 2022, arXiv:2203.05794, section 3.3; the square root, which BERTopic
has as an option, holds down words that are frequent everywhere), times log((C + 1) / c) for the c clusters in which it
is at least half as frequent as in all: nearly 0 for what most share, as "to, the, is" in any language. Only words with
a letter count, of two characters at least, in lower case, that are more frequent in the cluster than in all. Words are
those of `operators/words.py`: ideographs stand alone, and are let in alone.

Counted are the documents of the sample from which the centres come, so the state does not grow with the corpus.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs, TableFold
from operators.embedding.clustering import PURPOSE
from operators.groups import starts_of, summed
from operators.hashing import row_hashes
from operators.subset_stages import bucket_of

CLUSTER: Final = "_cluster"
NEAR: Final = "_near"
FILE: Final = "clusters.json"
WORDS: Final = 10
"""Words of a cluster that are listed."""
IN_NAME: Final = 3
NEAREST: Final = 5
EXCERPT: Final = 160
"""Characters of a document that are shown."""
MICRO: Final = 1_000_000

_SIZES: Final = pa.schema([("cluster", pa.int32()), *((name, pa.int64()) for name in ("docs", "words", "micro"))])
_WORDS: Final = pa.schema([("word", pa.large_string()), ("cluster", pa.int32()), ("count", pa.int64())])
_NEAREST: Final = pa.schema(
    [("cluster", pa.int32()), ("near", pa.float64()), ("id", pa.string()), ("excerpt", pa.large_string())]
)
_NAMED: Final = pa.schema([("cluster", pa.int32()), ("score", pa.float64()), ("word", pa.large_string())])


class _OfClusters(Fold):
    """A fold over documents with their clusters and texts."""

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {**TEXT, CLUSTER: pa.int32(), NEAR: pa.float64()}

    @override
    def uses(self) -> tuple[str, ...]:
        return ("counts",)


class Sizes(_OfClusters):
    """Of each cluster the documents, the sum of their cosines in millionths, and the sample's words: `_sizes`."""

    @override
    def bind(self, context: Context) -> BatchFn:
        sampled = _sampler(context)

        def partial(rows: pa.Table) -> pa.Table:
            some = rows.filter(pc.is_valid(rows[CLUSTER]))
            micro = np.rint(some[NEAR].to_numpy() * MICRO).astype(np.int64)
            ones, none = np.ones(micro.size, np.int64), np.zeros(micro.size, np.int64)
            documents = pa.table([some[CLUSTER], ones, none, micro], schema=_SIZES)
            words = counted(sampled(some))
            zeros = np.zeros(words.num_rows, np.int64)
            in_words = pa.table([words["cluster"], zeros, words["count"], zeros], schema=_SIZES)
            return self.merge(pa.concat_tables([documents, in_words]))

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "cluster")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_sizes": state.sort_by("cluster")}


class Words(_OfClusters):
    """How often each word occurs in each cluster, in the sample: `_words`."""

    key: ClassVar[str] = "word"
    partitioned: ClassVar[bool] = True

    @override
    def bind(self, context: Context) -> BatchFn:
        sampled = _sampler(context)
        return lambda rows: counted(sampled(rows.filter(pc.is_valid(rows[CLUSTER]))))

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "word", "cluster")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_words": state.sort_by([("word", "ascending"), ("cluster", "ascending")])}


class Nearest(_OfClusters):
    """The documents nearest to each centre: `_nearest`."""

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            some = rows.filter(pc.is_valid(rows[CLUSTER]))
            ids = some["id"].cast(pa.string())
            return self.merge(pa.table([some[CLUSTER], some[NEAR], ids, excerpts(some["text"])], schema=_NEAREST))

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return _first(state, [("near", "descending"), ("id", "ascending")], NEAREST)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_nearest": self.merge(state)}


class Names(TableFold):
    """The words that tell most of each cluster, and `clusters.json`, which has all of this stage and those before."""

    revision: ClassVar[int] = 2  # words that most clusters share count for little

    @override
    def source(self) -> str:
        return "stage:words/_words"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("counts", "sizes", "nearest")

    @override
    def bind(self, context: Context) -> BatchFn:
        sizes = context.artifacts["sizes"].table("_sizes")
        return lambda words: self.merge(telling(words, sizes))

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return _first(state, [("score", "descending"), ("word", "ascending")], WORDS)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        plan = context.artifacts["counts"].table("_plan").to_pylist()[0]
        words = _lists(self.merge(state))
        nearest = _lists(context.artifacts["nearest"].table("_nearest"))
        clusters = []
        for row in context.artifacts["sizes"].table("_sizes").to_pylist():
            told = [entry["word"] for entry in words.get(row["cluster"], ())]
            shown = [
                {"id": entry["id"], "similarity": round(float(entry["near"]), 6), "excerpt": entry["excerpt"]}
                for entry in nearest.get(row["cluster"], ())
            ]
            clusters.append(
                {
                    "cluster": row["cluster"],
                    "name": ", ".join(told[:IN_NAME]),
                    "documents": row["docs"],
                    "mean_similarity": round(row["micro"] / MICRO / max(row["docs"], 1), 6),
                    "words": told,
                    "nearest": shown,
                }
            )
        content = {"documents": plan["docs"], "without_vector": plan["without"], "clusters": clusters}
        return {FILE: json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"}


def counted(rows: pa.Table) -> pa.Table:
    """How often each word that may stand in a name occurs in each cluster.

    >>> rows = pa.table({"text": ["A cat, the Cat's", "a 17 dog"], "_cluster": pa.array([3, 0], pa.int32())})
    >>> sorted((row["word"], row["cluster"], row["count"]) for row in counted(rows).to_pylist())
    [('cat', 3, 2), ('dog', 0, 1), ('the', 3, 1)]
    """
    from operators.scans import scan_texts

    if not rows.num_rows:
        return _WORDS.empty_table()
    scan = scan_texts(rows["text"], "standard")
    document = np.repeat(np.arange(rows.num_rows), np.diff(scan.token_starts))
    # A letter alone says nothing, and an ending like 's no more; an ideograph does.
    first = scan.word_bytes[np.minimum(scan.word_starts[:-1], scan.word_bytes.size - 1)]
    long = (scan.word_chars > 1) & (first != ord("'"))
    counts = (scan.word_flags & 2 > 0) & (long | ((scan.word_chars == 1) & (np.diff(scan.word_starts) > 2)))
    some = counts[scan.tokens]
    cluster = rows[CLUSTER].to_numpy().astype(np.int64)[document[some]]
    pairs, number = np.unique(cluster * scan.word_chars.size + scan.tokens[some], return_counts=True)
    words = scan.distinct_words().take(pa.array(pairs % scan.word_chars.size)).cast(pa.large_string())
    table = pa.table([pc.utf8_lower(words), (pairs // scan.word_chars.size).astype(np.int32), number], schema=_WORDS)
    return summed(table, "word", "cluster")


def telling(words: pa.Table, sizes: pa.Table) -> pa.Table:
    """The score of each word in each cluster in which it is more frequent than in all: `cluster, score, word`.

    `words` has all clusters of each of its words; `sizes` the words of each cluster.
    """
    in_cluster = dict(zip(sizes["cluster"].to_pylist(), sizes["words"].to_pylist(), strict=True))
    total, clusters = sum(in_cluster.values()), sum(size > 0 for size in in_cluster.values())
    if not words.num_rows:
        return _NAMED.empty_table()
    codes = pc.dictionary_encode(words["word"]).combine_chunks()
    code = (codes.chunk(0) if isinstance(codes, pa.ChunkedArray) else codes).indices.to_numpy()
    count = words["count"].to_numpy()
    everywhere = np.bincount(code, weights=count).astype(np.int64)[code]  # exact: integers below 2^53
    size = np.array([in_cluster[cluster] for cluster in words["cluster"].to_pylist()], np.int64)
    spread = np.bincount(code[2 * count * total >= everywhere * size], minlength=int(code.max()) + 1)[code]
    score = np.sqrt(count / size) * np.log1p(total / max(clusters, 1) / everywhere)
    score *= np.log((clusters + 1) / spread)
    found = pa.table([words["cluster"], score, words["word"]], schema=_NAMED)
    return found if clusters < 2 else found.filter(pa.array(count * total > everywhere * size))


def excerpts(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The beginnings of texts, white space as single spaces."""
    begun = pc.utf8_slice_codeunits(texts.cast(pa.large_string()), 0, 4 * EXCERPT)
    line = pc.utf8_trim_whitespace(pc.replace_substring_regex(begun, r"\s+", " "))
    return pc.utf8_slice_codeunits(line, 0, EXCERPT)


def _sampler(context: Context) -> BatchFn:
    """The rows that are in the sample of the centres."""
    last = context.artifacts["counts"].table("_plan")["last_bucket"][0].as_py()
    return lambda rows: rows.filter(pa.array(bucket_of(row_hashes(rows["id"], context.seed, PURPOSE)) <= last))


def _first(table: pa.Table, order: list[tuple[str, str]], most: int) -> pa.Table:
    """The first rows of each cluster in an order."""
    table = table.sort_by([("cluster", "ascending"), *order])
    cluster = table["cluster"].to_numpy()
    starts = np.flatnonzero(starts_of(cluster))
    rank = np.arange(cluster.size) - np.repeat(starts, np.diff(np.append(starts, cluster.size)))
    return table.filter(pa.array(rank < most))


def _lists(table: pa.Table) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault(row["cluster"], []).append(row)
    return found
