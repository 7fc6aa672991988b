"""Choose the documents from which most others are reached: influence in a graph of neighbours.

IDEAL (Zhang et al. 2023, arXiv:2310.10873), there for the choice of examples to annotate: each document has an edge to
its nearest `neighbours` j, which is there with probability cos(i, j) / sum of their cosines (negative ones as 0); the
influence of a choice is how many documents are reached from it, on average over `samples` draws of the edges; what
adds most influence is chosen next. Deviations: in partitions by chance; the same draws serve all documents and all
steps, so that the greedy choice is exact for them and reaches 1 - 1/e of the best (the paper draws anew); an edge's
chance is a hash of the recipe's seed, both ids and the draw; the first is chosen by influence too, where the published
code takes the largest out-degree, which is the same for all. docs/subsets.md has the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.hashing import MASK, Words, mix64
from operators.subset_stages import Choice, Gains, Longs
from operators.subset_summary import Summary
from operators.subsets import SubsetStep
from operators.vectors import Singles

if TYPE_CHECKING:
    from operators.kernels.subsets import Chosen
    from operators.neighbours import Neighbours


_GAMMA: Final = 0x9E3779B97F4A7C15
_BITS: Final = np.uint64(36)


class Ideal(SubsetStep):
    """Choose documents from which most others are reached along edges to nearest neighbours (IDEAL); drop the others.

    The choice is made in partitions by chance. Rejects by `not_selected`, and by `no_vector` what has none.
    """

    kind: Literal["ideal"] = "ideal"
    neighbours: int = Field(default=10, ge=1, le=1000, description="documents to which each has an edge")
    samples: int = Field(default=10, ge=1, le=64, description="draws of the edges over which influence is averaged")

    @override
    def choice(self, *, by_bytes: bool) -> Choice:
        return Spread(name="choose", by_bytes=by_bytes, neighbours=self.neighbours, samples=self.samples)

    @override
    def summary(self, **asked: Any) -> Summary:
        return Summary(name="summary", total="reached_docs", divisor=self.samples, **asked)


class Spread(Choice):
    """The choice in each partition."""

    neighbours: int
    samples: int

    @override
    def choose(self, vectors: Singles, rows: pa.Table, sizes: Longs, budget: int, seed: int) -> Chosen:
        from operators.kernels.subsets import influence
        from operators.neighbours import neighbours

        near = neighbours(vectors, self.neighbours)
        live = drawn_edges(near, rows["place"].to_numpy(), self.samples)
        return influence(near.items, live, self.samples, sizes, budget)

    @override
    def shown(self, gains: Gains) -> npt.NDArray[np.float64]:
        return gains / self.samples


def drawn_edges(near: Neighbours, place: Words, samples: int) -> Words:
    """For each edge the draws in which it is there, as bits; `place` are hashes of seed and id."""
    weight = np.maximum(near.products, 0).astype(np.uint64)
    total = weight.sum(axis=1, keepdims=True)
    edge = mix64(mix64(place)[:, None] ^ place[near.items])
    live = np.zeros(weight.shape, np.uint64)
    for sample in range(samples):
        chance = mix64(edge + np.uint64((sample + 1) * _GAMMA & MASK)) >> _BITS
        # chance / 2^28 < weight / total, in products below 2^63: a weight is 2^24 at most, and there are 1,000
        live |= (chance * total < weight << (np.uint64(64) - _BITS)).astype(np.uint64) << np.uint64(sample)
    return live
