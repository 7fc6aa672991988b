"""The last stage of `init_embeddings`: from a model, a tokenizer and collected text to new tables and what they are.

It runs in one place. Memory: both models' tables as float32, the text, and 800 bytes for each new token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Context, Outputs
from operators.chosen_tokenizer import Chosen
from operators.groups import joined
from operators.labelled_documents import DOCUMENTS, DRAWN
from operators.tokenizer_files import tokenizer_config
from operators.transplant.choice import Choice, Method, PieceShare
from operators.transplant.weights import ROUTES, Floats, Routes, apply

if TYPE_CHECKING:
    from operators.transplant.auxiliary import Auxiliary
    from operators.transplant.methods import Pair
    from operators.transplant.model_files import Model

_SETTINGS: Final = {
    "method", "vectors", "dim", "epochs", "min_count", "temperature", "share", "pieces", "held_out", "max_documents"
}  # fmt: skip


class Building(Chosen):
    """Make W, both tables and the report."""

    model: str
    model_sha256: str
    donor: str = ""
    donor_sha256: str = ""
    method: Method
    vectors: Literal["text", "donor", ""]
    """Where auxiliary vectors come from; "" where the method looks at none."""
    dim: int
    epochs: int
    min_count: int
    temperature: float
    share: float
    pieces: PieceShare
    max_documents: int
    held_out: int

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = Chosen.inert | {"model", "donor"}  # their digests decide

    @override
    def source(self) -> str:
        return f"stage:draw/{DRAWN}"

    @override
    def uses(self) -> tuple[str, ...]:
        return (*super().uses(), "documents")

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.transplant.methods import pair_of, weights_of
        from operators.transplant.model_files import open_model, to_safetensors

        model, target_json = open_model(self.model, self.model_sha256), self.content(context)
        pair = pair_of(model.tokenizer_json, target_json, special_ids(model.config))
        texts = joined(context.artifacts["documents"].table(DOCUMENTS)["text"])
        auxiliary = self._auxiliary(pair, target_json, texts, context.seed)
        weights = weights_of(self._choice(context.seed), pair, auxiliary)
        table = apply(weights, model.input_table)
        output = None if model.output_table is None else apply(weights, model.output_table)
        about = {
            "model_sha256": model.digest,
            "tokenizer_sha256": self.digest(context),
            "settings": {"seed": context.seed, **self.model_dump(mode="json", include=_SETTINGS)},
            "ids": {"old": len(pair.source), "new": len(pair.target)},
            "width": int(table.shape[1]),
            "is_tied": output is None,
            "routes": weights.routes(),
            "mean_norms": _norms(weights.route, table),
            "text": {"documents": len(texts), "bytes": int(pc.sum(pc.binary_length(texts)).as_py() or 0)},
            "held_out": self._held_out(pair, model, auxiliary, context.seed),
        }
        return {
            "embeddings.safetensors": to_safetensors(table, output, {"model_sha256": model.digest}),
            "weights.npz": weights.content(),
            "tokenizer.json": target_json,
            "tokenizer_config.json": tokenizer_config(),
            "init_report.json": json.dumps(about, indent=1, sort_keys=True).encode() + b"\n",
        }

    def _choice(self, seed: int) -> Choice:
        return Choice(self.method, self.pieces, self.share, self.temperature, seed)

    def _auxiliary(self, pair: Pair, target_json: bytes, texts: pa.LargeStringArray, seed: int) -> Auxiliary | None:
        from operators.kernels.token_vectors import Settings
        from operators.transplant.auxiliary import of_donor, trained
        from operators.transplant.model_files import open_model
        from operators.transplant.vocabularies import read_forms

        if self.vectors == "text":
            settings = Settings(self.dim, self.epochs, seed=seed)
            return trained(texts, target_json, pair.target, settings, self.min_count)
        if self.vectors == "donor":
            donor = open_model(self.donor, self.donor_sha256)
            return of_donor(read_forms(donor.tokenizer_json), donor.input_table, pair.target)
        return None

    def _held_out(self, pair: Pair, model: Model, auxiliary: Auxiliary | None, seed: int) -> dict[str, Any]:
        """The built-in test, of the table that reads."""
        from operators.transplant.held_out import LEAST, drawn, measured, summary
        from operators.transplant.methods import held_out, weights_of

        tokens = drawn(pair, None if auxiliary is None else auxiliary.frequent, seed, self.held_out)
        if not tokens.size:
            return {"tokens": 0, "why": f"fewer than {LEAST} shared tokens could be held out"}
        hidden = held_out(pair, model.tokenizer_json, tokens)
        made = apply(weights_of(self._choice(seed), hidden, auxiliary), model.input_table)[tokens]
        return {
            "tokens": int(tokens.size),
            **summary(pair, tokens, measured(pair, tokens, made, model.input_table), seed),
        }


def special_ids(config: Mapping[str, Any]) -> dict[str, int]:
    """The ids of special tokens by role, as a model's configuration names them."""
    found = {role: config.get(f"{role}_token_id") for role in ("bos", "eos", "pad", "unk")}
    return {role: number for role, number in found.items() if type(number) is int and number >= 0}


def _norms(route: Routes, table: Floats) -> dict[str, float]:
    """The mean length of the rows of each route."""
    lengths = np.linalg.norm(table.astype(np.float64), axis=1)
    return {ROUTES[number]: round(float(lengths[route == number].mean()), 6) for number in np.unique(route).tolist()}
