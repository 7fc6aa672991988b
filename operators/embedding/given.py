"""Vectors that a step finds: made by an earlier step, in a column, or in a directory; as integers of 16 bits.

Wherever they come from, the step sees them as `operators.vectors` makes them: rounded to integers at one length, so
that every product of two is exact, whatever multiplies. A null, or a vector of zeros as a text without tokens has, is
no vector.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import BatchFn, Columns, Composite, Context, Fold, Map, Operator, RecipeError, Repeat
from operators.embed_documents import EmbedDocuments
from operators.embedding.stages import EMBEDDING
from operators.embedding.stored import StoredVectors
from operators.text_buffers import one_array
from operators.vectors import VECTOR, packed_lists, refuse_column


class OverVectors(Composite):
    """A step over vectors; its parameters say where they are: exactly one of three."""

    step: str = Field(default="", description="an earlier step of kind embed_documents, whose vectors are taken")
    column: str = Field(default="", description="a column of vectors, in place of a step")
    vectors: str = Field(
        default="", description="a directory of Parquet files with `id` and `embedding`, in place of a step"
    )

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        given = [name for name in ("step", "column", "vectors") if getattr(self, name)]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            msg = f"expected one of step (of kind embed_documents), column and vectors (a directory), but got {said}"
            raise ValueError(msg)
        return self

    def vector_stage(self) -> Map:
        """The stage `vectors`, which adds `VECTOR`."""
        if self.step:
            return JoinedVectors(name="vectors", step=self.step)
        if self.column:
            return ColumnVectors(name="vectors", column=self.column)
        stored = StoredVectors(self.vectors)
        return DirectoryVectors(name="vectors", path=self.vectors, digest=stored.digest())

    def vector_columns(self) -> Columns:
        """The columns that it reads."""
        return {self.column: pa.null()} if self.column else {}

    @override
    def models(self) -> Mapping[str, str]:
        """The digests of a directory's files. RecipeError where they are no vectors."""
        return {"vectors": StoredVectors(self.vectors).digest()} if self.vectors else {}

    @override
    def refuse(self, columns: Columns) -> None:
        """RecipeError where the column does not hold vectors."""
        if self.column:
            refuse_column(columns, self.column)

    @override
    def stages_in(self, inputs: Collection[str], earlier: Mapping[str, Operator]) -> tuple[Map | Fold | Repeat, ...]:
        """See `Composite.stages_in`. RecipeError where the step is not there, or makes no vectors."""
        refuse_step(self.step, earlier)
        return self.stages()


def refuse_step(step: str, earlier: Mapping[str, Operator]) -> None:
    """RecipeError where a step is named that is not there, or makes no vectors."""
    if not step:
        return
    found = earlier.get(step)
    if found is None:
        raise RecipeError(f"there is no earlier step {step!r}; expected one of kind embed_documents")
    if not isinstance(found, EmbedDocuments):
        raise RecipeError(f"step {step!r} is of kind {found.what}; expected embed_documents, which makes vectors")


class _Vectors(Map):
    @override
    def needs(self) -> Columns:
        return {}

    @override
    def adds(self) -> Columns:
        return {VECTOR: pa.large_binary()}


class JoinedVectors(_Vectors):
    """The vectors that an earlier step made."""

    step: str

    inert: ClassVar[frozenset[str]] = Map.inert | {"step"}

    @override
    def joins(self) -> str:
        return f"{self.step}/vectors"

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            return pa.table({VECTOR: packed_lists(one_array(rows[EMBEDDING]), rows["id"], EMBEDDING, zeros=True)})

        return apply


class ColumnVectors(_Vectors):
    """The vectors that a column holds."""

    column: str

    @override
    def needs(self) -> Columns:
        return {self.column: pa.null()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            return pa.table({VECTOR: packed_lists(one_array(rows[self.column]), rows["id"], self.column, zeros=True)})

        return apply


class DirectoryVectors(_Vectors):
    """The vectors that files hold, found by id."""

    path: str
    digest: str

    inert: ClassVar[frozenset[str]] = Map.inert | {"path"}

    @override
    def bind(self, context: Context) -> BatchFn:
        stored = StoredVectors(self.path)

        def apply(rows: pa.Table) -> pa.Table:
            return pa.table({VECTOR: packed_lists(stored.of(rows["id"]), rows["id"], EMBEDDING, zeros=True)})

        return apply
