"""The stages of `embed_documents`: vectors shard by shard, and what the whole came to."""

from __future__ import annotations

import json
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import PART, ROW, BatchFn, Context, Fold, Outputs, Resources, TableFold
from operators.embedding import forms
from operators.embedding.encoders import EncoderChoice, open_encoder

FILE: Final = "model.json"
EMBEDDING: Final = "embedding"
COUNTS: Final = "_counts"
_COUNTED: Final = ("documents", "empty")
_ABOUT: Final = "_about"
_EMPTY: Final = "_empty"
_SCHEMA: Final = pa.schema([(_ABOUT, pa.large_string()), *((name, pa.int64()) for name in _COUNTED)])


class Vectors(EncoderChoice, Fold):
    """A vector for each document, in parts as the shards: table `part` with `id` and `embedding`.

    What returns to the rows where a later stage joins them is the state: `embedding`, and columns of its own.
    """

    format: forms.Form
    digest: str
    trained: str = ""
    """The stage before that trained the encoder."""

    per_shard: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = Fold.inert | {"encoder"}  # its digest decides, wherever it lies

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.trained,) if self.trained else ()

    @override
    def wants(self) -> Resources:
        return Resources(gpus=float(self.device == "cuda"), memory_mb=2048, resident=True)

    @override
    def bind(self, context: Context) -> BatchFn:
        encoder = open_encoder(self, context.artifacts)
        about = json.dumps(encoder.describe(), sort_keys=True)

        def apply(rows: pa.Table) -> pa.Table:
            vectors = encoder.encode(rows["text"], rows["id"])
            said = pa.array([about][: rows.num_rows], pa.large_string())  # once a shard, in its first row
            nothing = pa.nulls(rows.num_rows - len(said), said.type)
            return pa.table(
                {
                    ROW: rows[ROW],
                    "id": rows["id"].cast(pa.string()),
                    EMBEDDING: forms.written(vectors, self.format),
                    _EMPTY: pa.array(~vectors.any(axis=1)),
                    _ABOUT: pa.chunked_array([said, nothing]),
                }
            )

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        counts = [state[_ABOUT].drop_null().to_pylist()[:1] or [None], [state.num_rows], [_sum(state[_EMPTY])]]
        return {PART: state.select(["id", EMBEDDING]), COUNTS: pa.table(counts, schema=_SCHEMA)}


class ModelFile(TableFold):
    """`model.json`: which encoder made the vectors and how, their form, and how many documents have none."""

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
        content = {"encoder": self.encoder, **described, "format": self.format, **counts}
        return {FILE: json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"}


def _sum(column: pa.ChunkedArray) -> int:
    return int(np.sum(column.to_numpy(), dtype=np.int64))
