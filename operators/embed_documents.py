"""Make a vector of every document, for deduplication by meaning, for choosing by diversity, and for search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import Composite, Fold, Map, Operator, RecipeError, Repeat
from operators.embedding import forms
from operators.embedding.encoders import STATIC, EncoderChoice
from operators.embedding.makers import digest_of, maker_of
from operators.embedding.stages import ModelFile, Vectors
from operators.scorers import is_scorer
from operators.train_static_vectors import TrainStaticVectors


class EmbedDocuments(EncoderChoice, Composite):
    """Write a vector of unit length for each document, as `id` and `embedding`; the corpus goes on unchanged.

    The files `part-00000.parquet` and so on have the documents in the corpus's order. `model.json` says which encoder
    made them and how. A document without any token has a vector of zeros, and is counted there.
    """

    kind: Literal["embed_documents"] = "embed_documents"
    format: forms.Form = Field(
        default="float16", description="of a component; int8 is scaled row by row, binary has one bit, set above 0"
    )

    inert: ClassVar[frozenset[str]] = Composite.inert | {"encoder"}

    @model_validator(mode="after")
    def _step_of_static(self) -> Self:
        if (self.encoder == STATIC) != bool(self.step):
            msg = f"encoder {self.encoder!r} and step {self.step!r}: static goes with a train_static_vectors step"
            raise ValueError(f"{msg}, and nothing else does; a trained model's folder goes without a step")
        return self

    @model_validator(mode="after")
    def _whole_bytes(self) -> Self:
        if self.format == "binary" and self.dimension % 8:
            msg = f"dimension {self.dimension} is no multiple of 8, as format: binary needs it"
            raise ValueError(msg)
        return self

    @override
    def models(self) -> Mapping[str, str]:
        return maker_of(self.encoder).digests(self)

    @override
    def imports(self) -> tuple[str, ...]:
        return (self.encoder.partition(":")[0],) if is_scorer(self.encoder) else ()

    @override
    def check(self) -> None:
        """RecipeError where the encoder cannot be had, or cannot do what is asked of it."""
        maker = maker_of(self.encoder)
        maker.check(self)
        if self.format == "binary" and not self.dimension and not self.step and not is_scorer(self.encoder):
            settled = maker.settled(self).get("dimension")
            _refuse_bits(settled if isinstance(settled, int) else maker.open(self, {}).dimension, self.encoder)

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where the step leaves no static model, or one of too few dimensions."""
        step = earlier.get(self.step)
        if step is not None and not isinstance(step, TrainStaticVectors) and ":" not in step.what:
            msg = f"step: {self.step!r} is of kind {step.what}, which leaves no vectors of tokens"
            raise RecipeError(f"{msg}: name a train_static_vectors step")
        if not isinstance(step, TrainStaticVectors):
            return
        if self.dimension > step.dimension:
            msg = f"dimension {self.dimension}: step {self.step!r} trains {step.dimension} dimensions, and no more"
            raise RecipeError(f"{msg}: lower it or leave it out")
        if self.format == "binary" and not self.dimension:
            _refuse_bits(step.dimension, f"step {self.step}")

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        settled = maker_of(self.encoder).settled(self)
        how = {**self.model_dump(include={*EncoderChoice.model_fields, "format"}), **settled}
        vectors = Vectors(name="vectors", digest=digest_of(self), **how)
        return vectors, ModelFile(name="model", encoder=self.encoder, format=self.format)


def _refuse_bits(dimension: int, made_by: str) -> None:
    if dimension % 8:
        msg = f"the {dimension} dimensions of {made_by} are no multiple of 8, as format: binary needs it"
        raise RecipeError(f"{msg}: set dimension: {dimension // 8 * 8}" if dimension > 8 else f"{msg}: take another")
