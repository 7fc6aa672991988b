"""Train an n-gram model on a reference input, or on the documents that reach the step, for `ngram_perplexity`.

A state holds documents, at most `max_mb` of them and one more: those whose hash of seed and id comes first, so which
they are depends on neither shards nor order. Counting and estimation happen in one place, in `finish`: some 8 MB of
text a second, in 22 times as much memory. docs/perplexity.md has the formulas and what was measured.
"""

from __future__ import annotations

import json
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import BatchFn, Context, DataError, Fold, Outputs, Resources
from operators.hashing import row_hashes

Unit = Literal["word", "byte"]

MODEL = "model.ngram"
_PURPOSE = "ngram_model"


class NgramTraining(Fold):
    """The parameters of a model, and the fold that trains it; it leaves the file `leaves`."""

    reference: str = Field(default="", description="input with role: reference to learn; empty: the documents here")
    unit: Unit = Field(default="word", description="word: words of every script, no white space; byte: every byte")
    order: int = Field(default=5, ge=1, le=6, description="longest n-grams, in words or bytes")
    min_count: int = Field(
        default=2,
        ge=1,
        description="n-grams of three or more that are rarer are left out of the model, as by kenlm's --prune",
    )
    max_mb: float = Field(default=64, gt=0, description="MB of text to learn, drawn by document where there is more")
    arpa: bool = Field(default=False, description="leave the model as an ARPA file too; unit: word only")

    seeded: ClassVar[bool] = True
    resources: ClassVar[Resources] = Resources(memory_mb=1536)  # what 64 MB of text take, the default of `max_mb`

    @model_validator(mode="after")
    def _of_words(self) -> Self:
        if self.arpa and self.unit != "word":
            msg = f"arpa with unit: {self.unit}: an ARPA file holds words; leave arpa out"
            raise ValueError(msg)
        return self

    @property
    def leaves(self) -> str:
        """The name of the model's file."""
        return MODEL

    @override
    def source(self) -> str:
        return f"input:{self.reference}" if self.reference else ""

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            place = row_hashes(rows["id"], context.seed, _PURPOSE)
            texts = rows["text"].cast(pa.large_string())
            return self.merge(pa.table({"place": pa.array(place), "id": rows["id"].cast(pa.string()), "text": texts}))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        """The documents before which there is less than `max_mb`: whatever is dropped here would be at the end too."""
        budget = self.max_mb * 1e6
        sizes = pc.binary_length(state["text"].cast(pa.large_binary()))
        if (pc.sum(sizes).as_py() or 0) <= budget:
            return state
        order = pc.sort_indices(state.select(["place", "id"]), [("place", "ascending"), ("id", "ascending")])
        until = np.cumsum(sizes.take(order).to_numpy())
        return state.take(order[: int(np.searchsorted(until, budget)) + 1])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.arpa import to_arpa
        from operators.ngram_model import texts_of, to_bytes, train_model

        chosen = self.merge(state).sort_by([("place", "ascending"), ("id", "ascending"), ("text", "ascending")])
        texts = texts_of(chosen["text"], self.unit)
        if not texts.tokens.size:
            of = f"input {self.reference!r}" if self.reference else "what reaches the step"
            msg = f"there is nothing to learn: {of} has {state.num_rows} documents and not one {self.unit} in them"
            raise DataError(msg)
        model = train_model(texts, self.unit, self.order, self.min_count)
        about = {"unit": self.unit, "order": self.order, "bytes": pc.sum(pc.binary_length(chosen["text"])).as_py()}
        described = json.dumps({**about, **model.about}, indent=1).encode() + b"\n"
        stem = self.leaves.removesuffix(".ngram")
        files = {self.leaves: to_bytes(model), f"{stem}.json": described}
        return {**files, f"{stem}.arpa": to_arpa(model)} if self.arpa else files


class TrainNgramModel(NgramTraining):
    """Train an n-gram model of words or bytes, by which `ngram_perplexity` scores; publishes `model.ngram`."""

    kind: Literal["train_ngram_model"] = "train_ngram_model"
