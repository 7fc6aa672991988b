"""What the clean-up maps share: they rewrite the text of the rows that a condition names, and say what they changed.

A clean-up map is pure per row and total: any text goes in, null as the empty one, and the counts of what changed come
out as columns. Where its condition does not hold, the text stays as it is and the columns are null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Map
from operators.conditions import Condition
from operators.text_buffers import one_text_array

Cleaned = tuple[pa.Array, Mapping[str, pa.Array]]
"""The new texts (`large_string`), and the added columns."""
Cleaner = Callable[[pa.LargeStringArray], Cleaned]
"""From texts without nulls, in one chunk."""


class CleanUp(Map):
    """A map that rewrites texts; a leaf says by `cleaner` how."""

    only: Condition = Field(
        default=Condition(), description="rows to clean; all others stay as they are, and their columns are null"
    )

    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs()}

    def cleaner(self, context: Context) -> Cleaner:
        """The function from texts to cleaned texts; called once per worker."""
        raise NotImplementedError

    @override
    def bind(self, context: Context) -> BatchFn:
        clean = self.cleaner(context)

        def apply(rows: pa.Table) -> pa.Table:
            texts = one_text_array(rows["text"])
            held = np.array(self.only.holds(rows), bool)
            if held.all():
                new, columns = clean(texts)
                return pa.table({"text": new, **columns})
            new, columns = clean(texts.take(pa.array(np.flatnonzero(held))))
            places = pa.array(np.cumsum(held) - 1, mask=~held)
            spread = {name: column.take(places) for name, column in columns.items()}
            return pa.table({"text": pc.if_else(pa.array(held), new.take(places), texts), **spread})

        return apply


def texts_of(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.LargeStringArray:
    """An Arrow array over a buffer of UTF-8 and the places where its texts begin, with the end of the last."""
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
