"""Remove documents that say nearly what one that stays says: by the cosines of their vectors, inside clusters.

SemDeDup (Abbas et al. 2023, arXiv:2303.09540) orders the documents of each cluster of a k-means and drops one where
any before it is near, dropped ones too: so a chain of small steps goes as a whole, and what goes need not resemble
anything that stays. Here a document is compared with what stays. Further deviations: a document is also compared in
the clusters that are next nearest to it, `probes` in all; the cosine has to reach 1 - epsilon, not to exceed it; large
clusters are compared in full, in blocks; and all is done in integers, so that no run differs from another.

The stages: `vectors` (as integers), `counts` and `centres` (k-means on a sample), `members` (exchanged by cluster),
with `keep_share` `coarse` and `fine` (the threshold), `claims` and their settlement, `sets`, and the verdict.
`operators/embedding/` has them. Price, n documents in k clusters: n k products for finding the nearest ones, at most
n^2 probes^2 / k for comparing; the vectors are written and exchanged `probes` times.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import Columns, Fold, Map, Repeat
from operators.dedup import Dedup, Lost
from operators.duplicate_summary import summary_stages
from operators.embedding.clustering import MOST, Auto, Centres, Counts
from operators.embedding.doubts import of_beginnings
from operators.embedding.duplicate_sets import Sets, Totals
from operators.embedding.given import OverVectors
from operators.embedding.shares import Levels
from operators.embedding.stored import StoredVectors
from operators.embedding.survival import Claims, Keep, Members, settled
from operators.survivors import candidate_needs

EPSILON = 0.05


class SemanticDedup(OverVectors, Dedup):
    """Keep one document of those whose vectors are near each other; the others go by the rule `semantic_duplicate`.

    A document goes where its cosine to one that stays is at least 1 - `epsilon`. Documents stay in the order of
    `priority`, then `keep`, then the smallest id. Documents without a vector, as empty texts are, resemble nothing and
    stay. `artifacts/<step>/clusters/` is that of `minhash_dedup`; `semantic.json` says what was compared.
    docs/semantic.md tells how to choose.
    """

    kind: Literal["semantic_dedup"] = "semantic_dedup"
    epsilon: float | None = Field(
        default=None, ge=0, le=1, description=f"largest 1 - cosine at which one goes; 0: equal vectors ({EPSILON})"
    )
    keep_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="in place of epsilon, which is found: the share to keep of documents with a vector",
    )
    keep: Keep = Field(
        default="hard", description="hard: far from its cluster's centre first; easy: near first; longest: longest text"
    )
    clusters: Annotated[int, Field(ge=1, le=MOST)] | Auto = Field(
        default="auto", description="of the k-means; auto: the square root of the documents, 8,192 at most"
    )
    probes: int = Field(
        default=2, ge=1, le=16, description="clusters in which a document is compared, its nearest ones"
    )

    seeded: ClassVar[bool] = True

    @model_validator(mode="after")
    def _finds_or_is_told(self) -> Self:
        if self.epsilon is not None and self.keep_share is not None:
            msg = f"epsilon {self.epsilon} and keep_share {self.keep_share} are given; expected one of them"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return {**candidate_needs(self.priority), **self.vector_columns()}

    @override
    def adds(self) -> Columns:
        return {"similarity": pa.float64()}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        share = self.keep_share
        threshold = None if share is not None else 1 - (EPSILON if self.epsilon is None else self.epsilon)
        levels: tuple[Fold, ...] = ()
        if share is not None:
            levels = (Levels(name="coarse", share=share), Levels(name="fine", share=share, after="coarse"))
        return (
            self.vector_stage(),
            Counts(name="counts", clusters=self.clusters),
            Centres(name="centres"),
            Members(name="members", keep=self.keep, probes=self.probes, priority=self.priority),
            *levels,
            Claims(name="claims", threshold=threshold),
            settled("claims"),
            Sets(name="sets"),
            Totals(name="totals", threshold=threshold, share=share, probes=self.probes, **self._made()),
            *summary_stages("sets", "clusters", reads_text=True, rows="claims"),
            Lost(name="verdict", rejects="semantic_duplicate", of="claims", scored=True, **self.gates()),
        )

    def _made(self) -> dict[str, Any]:
        """What tells how much of the documents the vectors are of."""
        if not self.vectors:
            return {"step": self.step}
        model = StoredVectors(self.vectors).model()
        return {name: model[name] for name in ("documents", "cut") if of_beginnings(model, "")}
