"""What the steps share that choose a subset which stands for the whole corpus."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, Columns, Fold, Map, Repeat
from operators.budgets import BudgetedStep, Draw, Selection
from operators.document_weights import refuse_counted
from operators.subset_stages import Choice, Cuts, Keep
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
    partition_size: int = Field(
        default=SIZE, ge=2, le=20_000, description="documents among which one choice is made, about"
    )
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

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
        import pyarrow as pa

        return {**TEXT, **({self.vectors: pa.null()} if isinstance(self.vectors, str) else {})}

    @override
    def refuse(self, columns: Columns) -> None:
        refuse_counted(columns)
        if isinstance(self.vectors, str):
            refuse_column(columns, self.vectors)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        size = self.select
        vectors: tuple[Map | Fold, ...]
        if isinstance(self.vectors, str):
            vectors = (GivenVectors(name="vectors", column=self.vectors),)
        else:
            counts = DocumentCounts(name="documents", ngrams=self.vectors.ngrams)
            vectors = (counts, TextVectors(name="vectors", ngrams=self.vectors.ngrams, dim=self.vectors.dim))
        amount: dict[str, Any] = {"docs": size.docs, "bytes": size.bytes, "fraction": size.fraction}
        return (
            *vectors,
            Cuts(name="cuts", partition_size=self.partition_size, **amount),
            self.choice(by_bytes=size.bytes is not None),
            self.summary(**amount),
            Keep(name="keep", audit=self.audit, max_drop_ratio=self.max_drop_ratio),
        )
