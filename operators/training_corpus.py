"""What a tokenizer is trained on, in two numbers for each source and language: documents, and bytes of text."""

import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs
from operators.hashing import as_labels, has_text
from operators.pretoken_counts import REPEAT

FILE: Final = "_corpus.json"

_KEYS: Final = ("source", "lang")


class TrainingCorpus(Fold):
    """Documents and bytes by `source` and by `lang`, where the rows have them; a document counts `repeat` times."""

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def takes(self) -> Columns:
        return {**dict.fromkeys(_KEYS, pa.null()), REPEAT: pa.int32()}

    @override
    def bind(self, context: Context) -> BatchFn:
        return _state

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        summed = state.group_by(list(_KEYS), use_threads=False).aggregate([("documents", "sum"), ("bytes", "sum")])
        return summed.rename_columns([*_KEYS, "documents", "bytes"])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        merged = self.merge(state).sort_by([(name, "ascending") for name in _KEYS])
        return {FILE: json.dumps(described(merged)).encode()}


def corpus_of(context: Context, stage: str = "corpus") -> dict[str, Any]:
    """What the stage of an earlier `TrainingCorpus` found."""
    content: dict[str, Any] = json.loads(context.artifacts[stage].read(FILE))
    return content


def described(state: pa.Table) -> dict[str, Any]:
    """Totals, and the rows of a merged state as they go into `training.json`."""
    return {
        "documents": pc.sum(state["documents"]).as_py() or 0,
        "bytes": pc.sum(state["bytes"]).as_py() or 0,
        "by": state.to_pylist(),
    }


def _state(rows: pa.Table) -> pa.Table:
    repeat = pa.array([1] * rows.num_rows, pa.int64())
    if REPEAT in rows.column_names:
        repeat = pc.fill_null(rows[REPEAT].cast(pa.int64()), 0)
    sizes = pc.binary_length(rows["text"]).cast(pa.int64())
    table = pa.table(
        {
            **{name: _labels(rows, name) for name in _KEYS},
            "documents": repeat,
            "bytes": pc.multiply(sizes, repeat),
        }
    )
    return TrainingCorpus(name="").merge(table)


def _labels(rows: pa.Table, name: str) -> pa.Array:
    if name not in rows.column_names or not has_text(rows.schema.field(name).type):
        return pa.nulls(rows.num_rows, pa.string())
    return as_labels(rows[name])
