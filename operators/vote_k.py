"""Choose the documents that most others have near them, and spread the choice: fast vote-k.

After Su et al. 2022 (arXiv:2209.01975), there for the choice of examples to annotate: each document votes for its
nearest `neighbours`, and its vote counts 1 / `discount`^c where c of them are chosen already; the document of the most
votes is chosen next, and votes no more. Deviations: in partitions by chance; they are counted however many of a
voter's are chosen, down to 1e-308; the second part of vote-k, which asks a language model how sure it is, is not here.
docs/subsets.md has the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.subset_stages import Choice, Gains, Longs
from operators.subsets import SubsetStep
from operators.vectors import Singles

if TYPE_CHECKING:
    from operators.kernels.subsets import Chosen


class VoteK(SubsetStep):
    """Choose documents that many others have among their nearest, and that share few with each other (fast vote-k).

    The choice is made in partitions by chance. Rejects by `not_selected`, and by `no_vector` what has none.
    """

    kind: Literal["vote_k"] = "vote_k"
    neighbours: int = Field(default=150, ge=1, le=1000, description="documents that each votes for")
    discount: int = Field(default=10, ge=2, le=1000, description="a vote is divided by it for each of them chosen")

    @override
    def choice(self, *, by_bytes: bool) -> Choice:
        return Vote(name="choose", by_bytes=by_bytes, neighbours=self.neighbours, discount=self.discount)


class Vote(Choice):
    """The choice in each partition."""

    neighbours: int
    discount: int

    @override
    def choose(self, vectors: Singles, rows: pa.Table, sizes: Longs, budget: int, seed: int) -> Chosen:
        from operators.kernels.subsets import vote_k
        from operators.neighbours import neighbours

        return vote_k(neighbours(vectors, self.neighbours).items, sizes, budget, self.discount)

    @override
    def shown(self, gains: Gains) -> npt.NDArray[np.float64]:
        return gains.astype(np.float64)
