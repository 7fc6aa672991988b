"""Samples of categories of text as counts of pre-tokens: disjoint, nested in size, or drawn anew by chance.

A library of `mixture_inference.py`. Every unit of text, a document or a line, has a place in [0, 1) by a hash. A sample
is what lies below a share, or what lies above 1 less a share; shares are powers of 1/2, so text is counted once, in
strips, and kept on disk. Two samples that together are at most the whole have no unit in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.kernels.count_tables import add_up
from operators.kernels.pretokenize import count
from operators.pretokenizers import cutting

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Unit = Literal["document", "line"]

CODE: Final = {
    "ada", "c", "c++", "css", "d", "erlang", "go", "java", "javascript", "lisp", "pascal", "perl", "php", "python",
    "ruby", "rust", "shell", "typescript",
}  # fmt: skip
HALVINGS: Final = 7
EDGES: Final = np.array(
    [0.0, *(2.0**-k for k in range(HALVINGS, 0, -1)), *(1 - 2.0**-k for k in range(2, HALVINGS + 1)), 1.0]
)
"""Where strips begin and end: shares of 1/2, 1/4, ... from either end."""


@dataclass(frozen=True)
class Sample:
    """Distinct pre-tokens of several categories, and how often each stands in which."""

    words: pa.LargeBinaryArray
    starts: Ints
    """int64[words + 1]: where each word's counts begin."""
    categories: NDArray[np.int16]
    counts: Ints
    lengths: Ints
    """int64[words]: bytes."""

    @property
    def word(self) -> Ints:
        """int64[counts]: the word of each count."""
        return np.repeat(np.arange(len(self.words)), np.diff(self.starts))

    def by_category(self, values: NDArray[Any], number: int) -> Floats:
        """The sum of a value of each word over all that stands in each category."""
        weights = self.counts * values[self.word].astype(np.float64)
        return np.bincount(self.categories, weights, number).astype(np.float64)

    def mixed(self, weights: Floats) -> Ints:
        """int64[words]: how often each stands in a mixture where a category's texts weigh so much."""
        found: Ints = np.bincount(self.word, np.rint(self.counts * weights[self.categories]), len(self.words)).astype(
            np.int64
        )
        return found

    def resampled(self, factors: Floats, random: np.random.Generator) -> Sample:
        """Poisson counts, of a sample that is so many times as large, of text without any order."""
        counts = random.poisson(self.counts * factors[self.categories])
        there = counts > 0
        starts = np.concatenate([[0], np.cumsum(there)])[self.starts]
        return Sample(self.words, starts, self.categories[there], counts[there], self.lengths)


def chosen_languages(path: str, kind: str, number: int, least: int) -> list[str]:
    """The largest of a kind, with at least so many bytes."""
    table = ds.dataset(path).to_table(columns={"lang": pc.field("lang"), "size": pc.binary_length(pc.field("text"))})
    sizes = table.group_by("lang").aggregate([("size", "sum")]).to_pylist()
    fitting = sorted(
        ((row["size_sum"], row["lang"]) for row in sizes if (row["lang"] in CODE) == (kind == "code")), reverse=True
    )
    return [lang for size, lang in fitting if size >= least and lang != "und"][:number]


def counted_strips(path: str, langs: Sequence[str], unit: Unit, cache: Path) -> list[pa.Table]:
    """For each language the counts of its pre-tokens by strip: `strip`, `pretoken`, `count`."""
    tables = []
    for lang in langs:
        kept = cache / f"{Path(path).stem}-{unit}" / f"{lang}.parquet"
        if not kept.exists():
            rows = ds.dataset(path).to_table(columns=["id", "text"], filter=pc.field("lang") == lang)
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(".part")
            pq.write_table(_strips(rows, unit), part, compression="zstd")
            part.replace(kept)
        tables.append(pq.read_table(kept))
    return tables


def _strips(rows: pa.Table, unit: Unit) -> pa.Table:
    texts: list[list[str]] = [[] for _ in EDGES[1:]]
    for batch in rows.to_batches(1000):
        for name, text in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True):
            for strip, part in parts_of(name, text, unit):
                texts[strip].append(part)
    tables = []
    for strip, parts in enumerate(texts):
        words, counts = count(pa.array(parts, pa.large_string()), np.ones(len(parts), np.int64), cutting("gpt2"))
        columns = {"strip": pa.repeat(pa.scalar(strip, pa.int8()), len(words)), "pretoken": words, "count": counts}
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def parts_of(name: str, text: str, unit: Unit) -> list[tuple[int, str]]:
    r"""What of a document lies in which strip; its lines in one strip are one text again.

    >>> [strip for strip, _ in parts_of("x", "one\ntwo\nthree", "line")]
    [2, 7, 9]
    """
    seed = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
    if unit == "document":
        return [(strip_of(seed / 2**64), text)]
    lines = text.splitlines(keepends=True)
    strips = np.searchsorted(EDGES, np.random.Generator(np.random.PCG64(seed)).random(len(lines)), "right") - 1
    found: dict[int, list[str]] = {}
    for strip, line in zip(strips.tolist(), lines, strict=True):
        found.setdefault(strip, []).append(line)
    return [(strip, "".join(lines)) for strip, lines in sorted(found.items())]


def strip_of(place: float) -> int:
    """The strip that a place lies in.

    >>> strip_of(0.0), strip_of(0.3), strip_of(0.5), strip_of(0.999)
    (0, 6, 7, 13)
    """
    return int(np.searchsorted(EDGES, place, "right")) - 1


def strips_for(share: float, *, from_above: bool) -> list[int]:
    """The strips that make up a share of the text.

    >>> strips_for(0.5, from_above=True), strips_for(2**-7, from_above=False)
    ([7, 8, 9, 10, 11, 12, 13], [0])
    """
    edges = 1 - EDGES[::-1] if from_above else EDGES
    number = int(np.searchsorted(edges, share))
    if number == len(edges) or edges[number] != share or share == 0:
        msg = f"a share of {share} is none of 1, 1/2, 1/4, ... 1/{2**HALVINGS}"
        raise ValueError(msg)
    strips = list(range(number))
    return [len(EDGES) - 2 - strip for strip in reversed(strips)] if from_above else strips


def sampled(tables: Sequence[pa.Table], share: float, most: float, *, from_above: bool) -> Sample:
    """The counts of a share of each category, halved as often as it takes to have at most so many bytes."""
    words, counts, groups = [], [], []
    for place, table in enumerate(tables):
        part = _at_most(table, share, most, from_above=from_above)
        words += part["pretoken"].chunks
        counts.append(part["count"].to_numpy())
        groups.append(np.full(part.num_rows, place, np.int32))
    summed = add_up(pa.concat_arrays(words), np.concatenate(counts), np.concatenate(groups))
    coded = summed.words.dictionary_encode()
    distinct = coded.dictionary.cast(pa.large_binary())
    starts = np.searchsorted(coded.indices.to_numpy(), np.arange(len(distinct) + 1))
    lengths = pc.binary_length(distinct).to_numpy().astype(np.int64)
    return Sample(distinct, starts, summed.groups.astype(np.int16), summed.counts, lengths)


def _at_most(table: pa.Table, share: float, most: float, *, from_above: bool) -> pa.Table:
    while True:
        strips = pa.array(strips_for(share, from_above=from_above), pa.int8())
        part = table.filter(pc.is_in(table["strip"], strips))
        if pc.sum(pc.multiply(pc.binary_length(part["pretoken"]), part["count"])).as_py() <= most:
            return part
        share /= 2


def dispersion(first: Sample, second: Sample, number: int) -> Floats:
    """How much more two samples differ, in each category, than words would that come by chance; those differ by 1.

    The mean, over the 1000 most frequent pre-tokens, of the squared difference from what both together let expect, as
    a share of the variance of Poisson counts. Noise is that of a text so many times smaller.
    """
    place = pc.index_in(second.words, first.words).fill_null(-1).to_numpy()
    sizes = [sample.by_category(np.ones(len(sample.words)), number) for sample in (first, second)]
    shares, found = sizes[0] / (sizes[0] + sizes[1]), np.zeros(number)
    for category, share in enumerate(shares.tolist()):
        counts = np.zeros((2, len(first.words)))
        for row, sample, number_of in ((0, first, np.arange(len(first.words))), (1, second, place)):
            words = number_of[sample.word]
            chosen = (sample.categories == category) & (words >= 0)
            counts[row, words[chosen]] = sample.counts[chosen]
        both = counts.sum(0)
        top = np.argsort(-both, kind="stable")[:1000]
        variance = both * share * (1 - share)
        found[category] = np.mean((counts[0] - both * share)[top] ** 2 / np.maximum(variance[top], 1e-9))
    return found
