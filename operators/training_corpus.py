"""What a tokenizer is trained on, in two numbers for each source and language: documents, and bytes of text."""

import json
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs
from operators.document_weights import REPEAT, refuse_weights, weights_of
from operators.groups import summed
from operators.hashing import as_labels, has_text

FILE: Final = "_corpus.json"

_KEYS: Final = ("source", "lang")
_SUMS: Final = ("documents", "bytes")


class TrainingCorpus(Fold):
    """Documents and bytes by `source`, `lang` and a column of choice, where rows have them, counted `repeat` times."""

    group_by: str = ""
    """A further column to tell apart by."""

    revision: ClassVar[int] = 2  # a row whose `repeat` is null counts once

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def takes(self) -> Columns:
        return dict.fromkeys((*self._keys, REPEAT), pa.null())

    def refuse(self, columns: Columns) -> None:
        """RecipeError where `repeat` is no count."""
        refuse_weights(columns)

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: self.merge(_state(rows, self._keys))

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, *self._keys)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        merged = self.merge(state).sort_by([(name, "ascending") for name in self._keys])
        return {FILE: json.dumps(described(merged)).encode()}

    @property
    def _keys(self) -> tuple[str, ...]:
        further = self.group_by and self.group_by not in (*_KEYS, *_SUMS)
        return (*_KEYS, self.group_by) if further else _KEYS


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


def _state(rows: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    repeat = pa.array(weights_of(rows))
    sizes = pc.binary_length(rows["text"]).cast(pa.int64())
    labels = {name: _labels(rows, name) for name in keys}
    return pa.table({**labels, "documents": repeat, "bytes": pc.multiply(sizes, repeat)})


def _labels(rows: pa.Table, name: str) -> pa.Array:
    if name not in rows.column_names or not has_text(rows.schema.field(name).type):
        return pa.nulls(rows.num_rows, pa.string())
    return as_labels(rows[name])
