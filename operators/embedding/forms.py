"""The forms in which unit vectors are written: half or single precision, 8 bits or one bit a component.

What each loses is measured in docs/embedding.md. A row of zeros (a document without tokens) stays one in every form.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Form = Literal["float16", "float32", "int8", "binary"]

_NUMBERS: Final[dict[str, pa.DataType]] = {
    "float16": pa.float16(), "float32": pa.float32(), "int8": pa.int8(), "binary": pa.uint8()
}  # fmt: skip


def vector_type(form: Form, dimension: int) -> pa.DataType:
    """The column's Arrow type: a fixed-size list, of bytes with eight components each for `binary`.

    >>> vector_type("float16", 384)
    FixedSizeListType(fixed_size_list<item: halffloat>[384])
    """
    return pa.list_(_NUMBERS[form], dimension // 8 if form == "binary" else dimension)


def written(vectors: NDArray[np.float32], form: Form) -> pa.FixedSizeListArray:
    """Vectors (rows, dimension) as a column.

    `int8` is scaled row by row to the largest component, 127: only directions keep their meaning, as cosines need no
    more. `binary` has a bit for each component, the first in a byte's highest bit, set where it is above 0.

    >>> written(np.float32([[0.6, -0.8]]), "int8").to_pylist()
    [[95, -127]]
    >>> written(np.float32([[1, -1, 1, -1, -1, -1, -1, 1]]), "binary").to_pylist()
    [[161]]
    """
    kind = vector_type(form, vectors.shape[1])
    return pa.FixedSizeListArray.from_arrays(pa.array(_numbers(vectors, form).reshape(-1), kind.value_type), type=kind)


def _numbers(vectors: NDArray[np.float32], form: Form) -> NDArray[Any]:
    match form:
        case "float16":
            return vectors.astype(np.float16)
        case "float32":
            return vectors
        case "int8":
            largest = np.abs(vectors).max(axis=1, initial=0, keepdims=True)
            return np.rint(vectors * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)
        case "binary":
            return np.packbits(vectors > 0, axis=1)
