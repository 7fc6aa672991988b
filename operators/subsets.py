"""What the steps share that choose a subset which stands for the whole corpus."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Map, Operator, RecipeError, Repeat
from operators.budgets import BudgetedStep, Draw, Selection
from operators.document_weights import refuse_counted
from operators.drawing import sizes
from operators.embed_documents import EmbedDocuments
from operators.embedding.given import JoinedVectors, refuse_step
from operators.subset_stages import ADDED, Choice, Cuts, Keep
from operators.subset_summary import Summary
from operators.vectors import DocumentCounts, GivenVectors, HashedNgrams, TextVectors, refuse_column

SIZE: int = 5000
"""Documents in a partition, if the recipe says nothing else; INGENIOUS has 1,500 to 5,000."""


class SubsetStep(BudgetedStep):
    """A step that chooses in partitions, by the cosines of vectors."""

    select: Selection = Field(description="how much is chosen: {docs: N}, {bytes: N} or {fraction: F} of the documents")
    vectors: HashedNgrams | str = Field(
        default=HashedNgrams(), description="{ngrams: 1, dim: 512}: of the text; or the name of a column that has them"
    )
    step: str = Field(
        default="", description="in place of vectors: an earlier step of kind embed_documents, whose vectors are taken"
    )
    partition_size: int = Field(
        default=SIZE, ge=2, le=20_000, description="documents among which one choice is made, about"
    )
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        if self.step and self.vectors != HashedNgrams():
            msg = f"step {self.step!r} and vectors {self.vectors!r} are given; expected one of them"
            raise ValueError(msg)
        return self

    def choice(self, *, by_bytes: bool) -> Choice:
        """The stage `choose`."""
        raise NotImplementedError

    def summary(self, **asked: Any) -> Summary:  # noqa: ANN401
        """The stage `summary`; `asked` is how much is chosen."""
        return Summary(name="summary", **asked)

    @override
    def draws(self) -> Draw:
        return self.select.draw("choice")

    @override
    def scaled(self, factor: float) -> Self:
        return self.model_copy(update={"select": self.select.scaled(factor)})

    @override
    def needs(self) -> Columns:
        return {**TEXT, **({self.vectors: pa.null()} if isinstance(self.vectors, str) else {})}

    @override
    def adds(self) -> Columns:
        return ADDED

    @override
    def refuse(self, columns: Columns) -> None:
        refuse_counted(columns)
        if isinstance(self.vectors, str):
            refuse_column(columns, self.vectors)

    @override
    def stages_in(self, inputs: Collection[str], earlier: Mapping[str, Operator]) -> tuple[Map | Fold | Repeat, ...]:
        """See `Composite.stages_in`. RecipeError where `step` makes no vectors, or `vectors` names a step that does."""
        refuse_step(self.step, earlier)
        if isinstance(self.vectors, str) and isinstance(earlier.get(self.vectors), EmbedDocuments):
            raise RecipeError(
                f"vectors: {self.vectors!r} means a column, and there is a step of that name: to take its vectors say "
                f"`step: {self.vectors}`, to take the column give the step another name"
            )
        return self.stages()

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        size = self.select
        amount: dict[str, Any] = {"docs": size.docs, "bytes": size.bytes, "fraction": size.fraction}
        return (
            *self._vector_stages(),
            Cuts(name="cuts", partition_size=self.partition_size, **amount),
            self.choice(by_bytes=size.bytes is not None),
            self.summary(**amount),
            Keep(name="keep", audit=self.audit, max_drop_ratio=self.max_drop_ratio),
        )

    def _vector_stages(self) -> tuple[Map | Fold, ...]:
        if self.step:
            return (SizedVectors(name="vectors", step=self.step),)
        if isinstance(self.vectors, str):
            return (GivenVectors(name="vectors", column=self.vectors),)
        counts = DocumentCounts(name="documents", ngrams=self.vectors.ngrams)
        return counts, TextVectors(name="vectors", ngrams=self.vectors.ngrams, dim=self.vectors.dim)


class SizedVectors(JoinedVectors):
    """The vectors that an earlier step made, and the texts' bytes."""

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def adds(self) -> Columns:
        return {**super().adds(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        joined = super().bind(context)
        return lambda rows: joined(rows).append_column("_bytes", pa.array(sizes(rows)))
