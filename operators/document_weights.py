"""How often a document counts: the column `repeat`, which `mix` writes and a corpus can bring along.

The column may be of any integer type, as readers of JSON know one only. A row without a value has not been said to
count otherwise, so it counts once. A negative number is no number of times: whoever has a column of that name for
something else is told to rename it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import Columns, DataError, Fold, RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REPEAT: Final = "repeat"
"""How often a document counts; without the column every document counts once."""
MOST: Final = 2**31 - 1

_EXPECTED: Final = f"expected whole numbers from 0 to {MOST:,}"


class WeightedTexts(Fold):
    """A fold over texts that it cuts by the classes of their characters, each counted as often as `repeat` says."""

    @override
    def takes(self) -> Columns:
        return {REPEAT: pa.null()}

    @override
    def refuse(self, columns: Columns) -> None:
        """RecipeError where `repeat` is no count."""
        refuse_weights(columns)

    @override
    def models(self) -> Mapping[str, str]:
        from operators.unicode_classes import class_table_digest

        return {"unicode classes": class_table_digest()}


def weights_of(rows: pa.Table, column: str = REPEAT) -> NDArray[np.int64]:
    """How often each row counts, from 0 to 2^31 - 1. Raises DataError for any other number, naming the document.

    >>> weights_of(pa.table({"id": ["a", "b"], "repeat": pa.array([3, None], pa.int8())})).tolist()
    [3, 1]
    >>> weights_of(pa.table({"id": ["a", "b"]})).tolist()
    [1, 1]
    """
    import numpy as np

    if column not in rows.column_names:
        return np.ones(rows.num_rows, np.int64)
    found = rows[column]
    refuse_weights({column: found.type}, column)
    values = pc.fill_null(found.cast(pa.int64()) if pa.types.is_null(found.type) else found, 1).to_numpy()
    wrong = np.flatnonzero((values < 0) | (values > MOST))
    if wrong.size:
        at = int(wrong[0])
        msg = (
            f"document {rows['id'][at].as_py()!r} has {values[at]} in the column {column!r}, which says how often it "
            f"counts: {_EXPECTED}; {_remedy(column)}"
        )
        raise DataError(msg)
    weights: NDArray[np.int64] = values.astype(np.int64)
    return weights


def counting(rows: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """The rows that count at all, and how often each does.

    >>> rows, weights = counting(pa.table({"id": ["a", "b", "c"], "repeat": [2, 0, 1]}))
    >>> rows["id"].to_pylist(), weights.tolist()
    (['a', 'c'], [2, 1])
    """
    weights = weights_of(rows)
    if (weights > 0).all():
        return rows, weights
    return rows.filter(pa.array(weights > 0)), weights[weights > 0]


def refuse_weights(columns: Columns, column: str = REPEAT) -> None:
    """RecipeError where the column is there and holds no whole numbers.

    >>> refuse_weights({"repeat": pa.string()})
    Traceback (most recent call last):
        ...
    operators.base.RecipeError: the column 'repeat' is string, and says how often a document counts: expected whole \
numbers from 0 to 2,147,483,647; rename an input's column of that name (inputs: columns: rename: {repeat: other_repeat})
    """
    kind = columns.get(column, pa.null())
    if not (pa.types.is_integer(kind) or pa.types.is_null(kind)):
        msg = f"the column {column!r} is {kind}, and says how often a document counts: {_EXPECTED}; {_remedy(column)}"
        raise RecipeError(msg)


def refuse_counted(columns: Columns) -> None:
    """RecipeError where rows already say how often they count, for a step that chooses rows and would not heed it."""
    if pa.types.is_integer(columns.get(REPEAT, pa.null())):
        msg = (
            f"the rows already have a column {REPEAT!r}, whose counts this step would not heed: mix last, and once; "
            f"{_remedy(REPEAT)}"
        )
        raise RecipeError(msg)


def _remedy(column: str) -> str:
    return f"rename an input's column of that name (inputs: columns: rename: {{{column}: other_{column}}})"
