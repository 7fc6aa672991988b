"""Choose documents so that none is far from all of them: the k-center problem, farthest first.

Gonzalez 1985 (doi:10.1016/0304-3975(85)90224-5): the next is the document that is farthest from all chosen ones. The
largest distance of a document to the nearest chosen one is at most twice the smallest that is possible in its
partition, where `select` has docs or a fraction; with bytes the next is the farthest that fits, and no bound holds.
Distances are chords of the unit sphere, sqrt(2 - 2 cos). Deviations: in partitions by chance; the first is the one
whose hash of seed and id is smallest. docs/subsets.md has the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from operators.subset_stages import UNIT, Choice, Gains, Longs
from operators.subsets import SubsetStep
from operators.vectors import Singles

if TYPE_CHECKING:
    from operators.kernels.subsets import Chosen

NOWHERE: Final = -UNIT
"""The product with the nearest of none: as of the opposite."""


class KCenter(SubsetStep):
    """Choose documents so that no document is far from all of them (farthest first); drop the others.

    The choice is made in partitions by chance. It takes what is odd before what is common. Rejects by `not_selected`,
    and by `no_vector` what has none.
    """

    kind: Literal["k_center"] = "k_center"

    @override
    def choice(self, *, by_bytes: bool) -> Choice:
        return Cover(name="choose", by_bytes=by_bytes)


class Cover(Choice):
    """The choice in each partition; a gain is the distance from those chosen before, the first's 2."""

    @override
    def choose(self, vectors: Singles, rows: pa.Table, sizes: Longs, budget: int, seed: int) -> Chosen:
        from operators.kernels.subsets import Chosen

        products = vectors @ vectors.T
        near = np.full(sizes.size, NOWHERE, np.float32)
        order: list[int] = []
        gains: list[int] = []
        while np.isfinite(fits := np.where(sizes <= budget, near, np.inf)).any():
            item = int(np.argmin(fits))
            budget -= int(sizes[item])
            order.append(item)
            gains.append(int(near[item]))
            np.maximum(near, products[item], out=near)
            near[item] = np.inf
        return Chosen(np.array(order, np.int64), np.array(gains, np.int64))

    @override
    def shown(self, gains: Gains) -> npt.NDArray[np.float64]:
        distances: npt.NDArray[np.float64] = np.sqrt(np.maximum(2 - 2 * gains / UNIT, 0))
        return distances
