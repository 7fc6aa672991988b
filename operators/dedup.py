"""What every step that keeps one document of several shares: who is wanted, and the gates that stop a wipe-out.

Deduplication is where corpora lose whole sources without a word: one template, one mirror or one wrong threshold is
enough. So besides the share of all rows, that of each single source is held to a limit, and the run fails with the
source's name before anything is published. The limit does not look at sources of fewer than 100 rows: a handful of
documents that a larger source also has is what deduplication is for.
"""

from __future__ import annotations

from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Composite, Context, Judge
from operators.survivors import repeated

GATES = frozenset({"name", "audit", "max_drop_ratio", "max_source_drop_ratio"})
"""Parameters that never change which document survives."""


class Dedup(Composite):
    """A step that drops all but one of several documents."""

    priority: tuple[str, ...] = Field(default=(), description="sources, most wanted first; others come after them")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")
    max_source_drop_ratio: float = Field(
        default=0.99,
        gt=0,
        le=1,
        description="the run fails if a larger share of one source of at least 100 rows is dropped",
    )

    inert: ClassVar[frozenset[str]] = GATES

    @model_validator(mode="after")
    def _priority_names_once(self) -> Self:
        if twice := repeated(self.priority):
            msg = f"priority names {twice!r} twice; expected every source once: remove one"
            raise ValueError(msg)
        return self

    def doubts(self) -> tuple[str, ...]:
        """What a person should think over, in sentences; nothing that is wrong. `check` and the run show it."""
        return ()

    def gates(self) -> dict[str, bool | float]:
        """What the judging stage is told besides its own parameters."""
        return {
            "audit": self.audit,
            "max_drop_ratio": self.max_drop_ratio,
            "max_source_drop_ratio": self.max_source_drop_ratio,
        }


class SourceGated(Judge):
    """A judge that fails the run where it drops too much of one source."""

    max_source_drop_ratio: float = Field(default=0.99, gt=0, le=1)

    inert: ClassVar[frozenset[str]] = GATES

    @override
    def source_limit(self) -> float:
        return self.max_source_drop_ratio


class Lost(SourceGated):
    """Reject, by the rule `rejects`, the rows to which the fold `of` gave a survivor.

    The fold's rows hold `survivor: string` and, for a step that is `scored`, `survivor_similarity: double`, which also
    becomes the column `similarity`; without it a document equals its survivor.
    """

    rejects: str
    of: str
    scored: bool = False

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def joins(self) -> str:
        return self.of

    @override
    def adds(self) -> Columns:
        return {"similarity": pa.float64()} if self.scored else {}

    @override
    def bind(self, context: Context) -> BatchFn:
        if not self.scored:
            return lambda rows: rows.select([])
        return lambda rows: rows.select(["survivor_similarity"]).rename_columns(["similarity"])

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        survivor = rows["survivor"]
        lost = pc.is_valid(survivor)
        # pa.scalar would import pandas, 0.15 s of every command.
        similarity = rows["similarity"] if self.scored else pc.if_else(lost, 1.0, pa.nulls(1, pa.float64())[0])
        rule = pc.if_else(lost, self.rejects, pa.nulls(1, pa.string())[0])
        return pa.table({RULE: rule, "survivor": survivor, "similarity": similarity})
