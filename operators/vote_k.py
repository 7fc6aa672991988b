"""Choose the documents that most others have near them, and spread the choice: fast vote-k.

After Su et al. 2022 (arXiv:2209.01975), there for the choice of examples to annotate: each document votes for its
nearest `neighbours`, and its vote counts 1 / `discount`^c where c of them are chosen already; the document of the most
votes is chosen next, and votes no more. Deviations: in partitions by chance; they are counted however many of a
voter's are chosen, down to 1e-308; the second part of vote-k, which asks a language model how sure it is, is not here.
docs/subsets.md has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.subset_stages import Choice, Gains, Longs
from operators.subset_summary import Summary
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

    @model_validator(mode="after")
    def _votes_say_something(self) -> Self:
        if self.neighbours >= self.partition_size:
            few = votes_of(self.neighbours, self.partition_size)
            msg = (
                f"neighbours is {self.neighbours} and partition_size {self.partition_size}: each document would vote "
                f"for all others; give fewer neighbours, say {few}, or larger partitions"
            )
            raise ValueError(msg)
        return self

    @override
    def choice(self, *, by_bytes: bool) -> Choice:
        return Vote(name="choose", by_bytes=by_bytes, neighbours=self.neighbours, discount=self.discount)

    @override
    def summary(self, **asked: Any) -> Summary:
        return Turnout(name="summary", neighbours=self.neighbours, **asked)


class Vote(Choice):
    """The choice in each partition; in a small one each votes for fewer."""

    neighbours: int
    discount: int

    @override
    def choose(self, vectors: Singles, rows: pa.Table, sizes: Longs, budget: int, seed: int) -> Chosen:
        from operators.kernels.subsets import vote_k
        from operators.neighbours import neighbours

        return vote_k(neighbours(vectors, votes_of(self.neighbours, sizes.size)).items, sizes, budget, self.discount)

    @override
    def shown(self, gains: Gains) -> npt.NDArray[np.float64]:
        return gains.astype(np.float64)


class Turnout(Summary):
    """Warns where partitions were too small for the votes asked for."""

    neighbours: int

    @override
    def remarks(self, table: pa.Table, summary: Mapping[str, Any]) -> Iterator[str]:
        yield from super().remarks(table, summary)
        fewest = min(table["docs"].to_pylist(), default=0)
        if fewest and votes_of(self.neighbours, fewest) < self.neighbours:
            yield (
                f"neighbours is {self.neighbours}: too many for a partition of {fewest:,} documents, where each voted "
                f"for {votes_of(self.neighbours, fewest)}; votes for more than a third of all say little"
            )


def votes_of(neighbours: int, docs: int) -> int:
    """How many each votes for among so many documents: a twentieth where `neighbours` are more than a third of them.

    A twentieth is what Su et al. have, 150 of 3,000.

    >>> votes_of(150, 450), votes_of(150, 400), votes_of(150, 3)
    (150, 20, 1)
    """
    return neighbours if 3 * neighbours <= docs else max(docs // 20, 1)
