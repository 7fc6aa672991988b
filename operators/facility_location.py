"""Choose the documents that stand best for all others: every document is as well served as by its nearest chosen one.

Facility location: f(S) = sum over all documents i of max over chosen j of cos(i, j), negative cosines as 0. The greedy
choice reaches 1 - 1/e of the best at least, in practice far more; by bytes it is made once by gain and once by gain per
byte, passing over what does not fit, and the better reaches half of that at least (Leskovec et al. 2007, CELF). As in
INGENIOUS (Renduchintala et al. 2023, arXiv:2305.06677) it is made in partitions by chance, so that the work grows with
documents * partition_size and not with documents^2. Deviations: the greedy choice is exact (INGENIOUS looks at some
candidates for each pick), and it is what is kept; `draw: sampled` keeps, as INGENIOUS does, a sample with
probabilities in proportion to 1 + g + g^2 / 2, g the gain in a greedy order of the whole partition, over
`temperature`. docs/subsets.md has the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.importance_draw import gumbel
from operators.subset_stages import UNIT, Choice, Gains, Longs, fitting
from operators.subsets import SubsetStep
from operators.vectors import Singles

if TYPE_CHECKING:
    from operators.kernels.subsets import Chosen

STEPS: Final = 512
"""Products are divided by it, so that they fit into 16 bits: a cosine is then known to 0.00003."""

_BLOCK: Final = 512

Draw = Literal["greedy", "sampled"]


class FacilityLocation(SubsetStep):
    """Choose documents so that every document is near a chosen one (facility location, as INGENIOUS); drop the others.

    The choice is made in partitions by chance. Rejects by `not_selected`, and by `no_vector` what has none.
    """

    kind: Literal["facility_location"] = "facility_location"
    draw: Draw = Field(
        default="greedy", description="greedy: the best; sampled: by chance, in proportion to 1 + g + g^2/2 of gains g"
    )
    temperature: float | None = Field(
        default=None, gt=0, description="of sampled: gains are divided by it (1 if left out)"
    )

    @model_validator(mode="after")
    def _heats_something(self) -> Self:
        if self.draw == "greedy" and self.temperature is not None:
            msg = f"temperature is {self.temperature} and does nothing with draw: greedy: leave it out"
            raise ValueError(msg)
        return self

    @override
    def choice(self, *, by_bytes: bool) -> Choice:
        return Locate(name="choose", by_bytes=by_bytes, draw=self.draw, temperature=self.temperature or 1.0)


class Locate(Choice):
    """The choice in each partition."""

    draw: Draw
    temperature: float

    @override
    def choose(self, vectors: Singles, rows: pa.Table, sizes: Longs, budget: int, seed: int) -> Chosen:
        from operators.kernels.subsets import Chosen, facility_location

        similar = similarities(vectors)
        if self.draw == "greedy":
            return facility_location(similar, sizes, budget)
        found = facility_location(similar, np.ones_like(sizes), sizes.size)
        gains = self.shown(found.gains) / self.temperature
        sums = np.array([math.log(1 + gain + gain * gain / 2) for gain in gains.tolist()])
        sums += gumbel(rows["id"].take(pa.array(found.order)), seed, purpose="facility_location")
        drawn = np.lexsort((found.order, -sums))
        drawn = drawn[fitting(sizes[found.order[drawn]], budget)]
        return Chosen(found.order[drawn], found.gains[drawn])

    @override
    def shown(self, gains: Gains) -> npt.NDArray[np.float64]:
        return gains * STEPS / UNIT


def similarities(vectors: Singles) -> npt.NDArray[np.int16]:
    """The products of all vectors with all, negative ones as 0, in steps: int16, (rows, rows)."""
    found = np.empty((vectors.shape[0], vectors.shape[0]), np.int16)
    for start in range(0, vectors.shape[0], _BLOCK):
        products = vectors[start : start + _BLOCK] @ vectors.T
        np.maximum(products, 0, out=products)
        products *= np.float32(1 / STEPS)
        found[start : start + _BLOCK] = products  # cut off, not rounded
    return found
