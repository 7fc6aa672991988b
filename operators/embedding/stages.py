"""The stages of `embed_documents`: vectors shard by shard, and what the whole came to."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import TypeIs, override

from operators.base import PART, ROW, WARNINGS, BatchFn, Context, Fold, Outputs, RecipeError, Resources, TableFold
from operators.embedding import forms
from operators.embedding.encoders import Encoder, EncoderChoice
from operators.embedding.makers import digest_of, open_encoder
from operators.embedding.static_encoder import StaticEncoder
from operators.embedding.transformer import Embedded, TransformerEncoder

FILE: Final = "model.json"
EMBEDDING: Final = "embedding"
COUNTS: Final = "_counts"
_COUNTED: Final = ("documents", "empty", "cut", "tokens", "halved")
_ABOUT: Final = "_about"
_EMPTY, _CUT, _TOKENS, _HALVED = "_empty", "_cut", "_tokens", "_halved"
_COUNTS_TOKENS: Final = "_counts_tokens"
_SCHEMA: Final = pa.schema([(_ABOUT, pa.large_string()), *((name, pa.int64()) for name in _COUNTED)])


class Vectors(EncoderChoice, Fold):
    """A vector for each document, in parts as the shards: table `part` with `id` and `embedding`.

    What returns to the rows where a later stage joins them is the state: `embedding`, and columns of its own.
    """

    format: forms.Form
    digest: str

    revision: ClassVar[int] = 2
    per_shard: ClassVar[bool] = True
    # Digests decide, of files and of what a step left, wherever they lie and whatever the step is called.
    inert: ClassVar[frozenset[str]] = Fold.inert | {"encoder", "step"}

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.step,) if self.step else ()

    @override
    def wants(self) -> Resources:
        return Resources(gpus=float(self.device == "cuda"), memory_mb=2048, resident=True)

    @override
    def bind(self, context: Context) -> BatchFn:
        if digest_of(self) != self.digest:
            msg = (
                f"encoder {self.encoder!r} has changed since the run began, or is another one here: start the run again"
            )
            raise RecipeError(msg)
        encoder = open_encoder(self, context.artifacts)
        about = json.dumps({**encoder.describe(), _COUNTS_TOKENS: _counts(encoder)}, sort_keys=True)

        def apply(rows: pa.Table) -> pa.Table:
            found = _embedded(encoder, rows)
            said = pa.array([about][: rows.num_rows], pa.large_string())  # once a shard, in its first row
            nothing = pa.nulls(rows.num_rows - len(said), said.type)
            columns = {
                ROW: rows[ROW],
                "id": rows["id"].cast(pa.string()),
                EMBEDDING: forms.written(found.vectors, self.format),
                _EMPTY: pa.array(~found.vectors.any(axis=1)),
                _CUT: pa.array(found.is_cut),
                _TOKENS: pa.array(found.tokens.astype(np.int32)),
                _HALVED: pa.array(np.full(rows.num_rows, found.halvings, np.int8)),
                _ABOUT: pa.chunked_array([said, nothing]),
            }
            return pa.table(columns)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        sums = [[_sum(state[name])] for name in (_EMPTY, _CUT, _TOKENS)]
        about = state[_ABOUT].drop_null().to_pylist()[:1] or [None]
        halved = [int(_sum(state[_HALVED]) > 0)]
        counts = pa.table([about, [state.num_rows], *sums, halved], schema=_SCHEMA)
        return {PART: state.select(["id", EMBEDDING]), COUNTS: counts}


class ModelFile(TableFold):
    """`model.json`: which encoder made the vectors and how, their form, and how much of the documents they are of.

    `empty` documents have no token; `cut` ones have tokens in no chunk; `tokens` counts those in chunks, without
    special ones. Of an encoder that does not count, as one's own function, the last two are left out.
    """

    encoder: str
    format: forms.Form

    @override
    def source(self) -> str:
        return f"stage:vectors/{COUNTS}"

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        """All shards were told the same, those without rows nothing."""
        about = pa.array([pc.min(state[_ABOUT]).as_py()], pa.large_string())
        return pa.table([about, *([_sum(state[name])] for name in _COUNTED)], schema=_SCHEMA)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        [counts] = self.merge(state).to_pylist()
        described = json.loads(counts.pop(_ABOUT) or "{}")
        halved = counts.pop("halved")
        if not described.pop(_COUNTS_TOKENS, True):
            counts = {name: count for name, count in counts.items() if name not in ("cut", "tokens")}
        content = {"encoder": self.encoder, **described, "format": self.format, **counts}
        file = json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
        return {FILE: file, **_warnings(halved, described)}


def _embedded(encoder: Encoder, rows: pa.Table) -> Embedded:
    """Vectors of rows, with counts where the encoder has them."""
    if _counts(encoder):
        return encoder.embed(rows["text"], rows["id"])
    vectors = encoder.encode(rows["text"], rows["id"])
    return Embedded(vectors, np.zeros(rows.num_rows, np.int64), np.zeros(rows.num_rows, bool), 0)


def _counts(encoder: Encoder) -> TypeIs[TransformerEncoder | StaticEncoder]:
    return isinstance(encoder, TransformerEncoder | StaticEncoder)


def _warnings(halved: int, described: dict[str, Any]) -> dict[str, bytes]:
    if not halved:
        return {}
    budget = described.get("token_budget")
    said = (
        f"the device had no memory for batches of {budget} tokens in {halved} of the shards, which were embedded in "
        "smaller ones: their vectors agree with those of another run to a cosine of 0.9999, not to the last bit; for "
        "the same bytes in every run set a smaller token_budget"
    )
    return {WARNINGS: json.dumps([said]).encode()}


def _sum(column: pa.ChunkedArray) -> int:
    return int(np.sum(column.to_numpy(), dtype=np.int64))
