"""The exact near-duplicates of some documents by brute force, and how far a run of `minhash_dedup` agrees with them.

A library of `near_duplicates.py`. Nothing here estimates: every two documents that share a shingle are counted, from an
inverted index over the operator's own sets of shingles. What is owed follows from them alone:

- A removal is right if its survivor stays and is at least `threshold` similar, by the count here.
- A document is missed if it stays although one that comes before it (longer text, then smaller id) stays too and is at
  least `threshold` similar to it. One whose likes were all removed before stays rightly: nothing that resembles it is
  left. So the recall of removals is right ones over right and missed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.banding import meeting_probability
from operators.minhash import Scheme, band_keys, sign
from operators.shingles import ShingleSets, Shingling

Likeness = Literal["jaccard", "containment"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Truth(NamedTuple):
    """Pairs of documents, `one < two`, with the shingles that both have, and how many each document has."""

    one: Ints
    two: Ints
    shared: Ints
    sizes: Ints

    def jaccard(self) -> Floats:
        """Of each pair."""
        similarity: Floats = self.shared / (self.sizes[self.one] + self.sizes[self.two] - self.shared)
        return similarity


def all_pairs(sets: ShingleSets, least: float = 0.5) -> Truth:
    """Every pair of which at least one document shares the part `least` of its shingles with the other.

    >>> sets = ShingleSets(np.array([1, 2, 2, 3, 9], np.uint64), np.array([0, 2, 4, 5]))
    >>> all_pairs(sets).shared.tolist()
    [1]
    """
    documents = sets.offsets.size - 1
    sizes = np.diff(sets.offsets)
    owner = np.repeat(np.arange(documents), sizes)
    order = np.argsort(sets.hashes, kind="stable")
    _, shingle = np.unique(sets.hashes, return_inverse=True)
    begin = np.append(0, np.cumsum(np.bincount(shingle)))
    posted = owner[order]
    found: list[tuple[Ints, Ints, Ints]] = []
    for document in range(documents):
        mine = shingle[sets.offsets[document] : sets.offsets[document + 1]]
        low, count = begin[mine], begin[mine + 1] - begin[mine]
        places = np.repeat(low - np.append(0, np.cumsum(count)[:-1]), count) + np.arange(count.sum())
        shared = np.bincount(posted[places], minlength=documents)
        shared[document:] = 0
        other = np.flatnonzero(shared >= least * np.maximum(1, np.minimum(sizes, sizes[document])))
        found.append((other, np.full(other.size, document), shared[other]))
    one, two, both = (np.concatenate([rows[field] for rows in found]).astype(np.int64) for field in range(3))
    return Truth(one, two, both, sizes)


class Met(NamedTuple):
    """Which pairs share a band, and the probability that they would."""

    met: NDArray[np.bool_]
    expected: Floats


def meetings(texts: pa.LargeStringArray, how: Shingling, scheme: Scheme, banding: tuple[int, int], truth: Truth) -> Met:
    """Of every pair of the truth, with signatures of 128 values or as many as the bands need."""
    bands, rows = banding
    values = sign(texts, how, scheme, max(128, bands * rows)).values
    keys = band_keys(values, bands, rows)
    met = (keys[truth.one] == keys[truth.two]).any(axis=1)
    return Met(met, np.array([meeting_probability(value, bands, rows) for value in truth.jaccard()]))


def falls_short(found: int, expected: Floats, deviations: float = 4.0) -> bool:
    """Whether so few of the pairs were found that chance does not explain it.

    Pairs are taken for independent, which versions of one file are not quite; four standard deviations and one pair
    leave room for that.

    >>> falls_short(80, np.full(100, 0.9)), falls_short(60, np.full(100, 0.9))
    (False, True)
    """
    spread = float(np.sqrt((expected * (1 - expected)).sum()))
    return found < float(expected.sum()) - deviations * spread - 1


@dataclass(frozen=True)
class Removals:
    """What became of the documents: removed, of these rightly, and missed."""

    removed: int
    right: int
    missed: int

    @property
    def precision(self) -> float:
        """Right removals over all, 1 where there is none."""
        return self.right / self.removed if self.removed else 1.0

    @property
    def recall(self) -> float:
        """Right removals over those that were owed, 1 where none was."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


class Ranked(NamedTuple):
    """Pairs of the truth with the document that would stay first, and how similar the other one is to it."""

    better: Ints
    worse: Ints
    alike: Floats


def ranked(ids: Sequence[str], lengths: Ints, truth: Truth, likeness: Likeness) -> Ranked:
    """Of every pair of the truth: the longer text stays, then the one with the smaller id."""
    rank = np.empty(len(ids), np.int64)
    rank[sorted(range(len(ids)), key=lambda index: (-lengths[index], ids[index]))] = np.arange(len(ids))
    swapped = rank[truth.one] > rank[truth.two]
    better, worse = np.where(swapped, truth.two, truth.one), np.where(swapped, truth.one, truth.two)
    alike = truth.jaccard() if likeness == "jaccard" else truth.shared / truth.sizes[worse]
    return Ranked(better, worse, alike)


def removals(ids: Sequence[str], clusters: pa.Table, pairs: Ranked, threshold: float) -> Removals:
    """Hold the rows of `clusters` against the truth; every document must have one, and a survivor that stays."""
    place = {name: index for index, name in enumerate(ids)}
    mine = np.array([place[name] for name in clusters["id"].to_pylist()])
    assert np.array_equal(np.sort(mine), np.arange(len(ids))), "clusters does not have every document once"
    survivor = np.empty(len(ids), np.int64)
    survivor[mine] = [place[name] for name in clusters["survivor_id"].to_pylist()]
    stays = survivor == np.arange(len(ids))
    assert stays[survivor].all(), "a survivor was removed"
    enough = pairs.alike >= threshold
    better, worse = pairs.better[enough], pairs.worse[enough]
    missed = np.unique(worse[stays[better] & stays[worse]]).size
    right = np.unique(worse[survivor[worse] == better]).size
    return Removals(int((~stays).sum()), int(right), int(missed))


def left_alone(stays: NDArray[np.bool_], truth: Truth, threshold: float) -> tuple[int, int]:
    """Of a tool that names no survivors: removed documents without one like them left, and those kept beside one.

    >>> pair = Truth(np.array([0]), np.array([1]), np.array([4]), np.array([4, 4, 9]))
    >>> left_alone(np.array([True, True, False]), pair, 0.8)
    (1, 1)
    """
    like = truth.jaccard() >= threshold
    one, two = truth.one[like], truth.two[like]
    covered = np.zeros(stays.size, bool)
    covered[one[stays[two]]] = True
    covered[two[stays[one]]] = True
    doubles = np.unique(two[stays[one] & stays[two]]).size
    return int((~stays & ~covered).sum()), int(doubles)
