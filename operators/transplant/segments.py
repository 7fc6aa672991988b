"""Held-out text in segments: short runs of whole documents, the same bytes for every tokenizer that is compared.

A document gives one segment, at a place that its id decides, so that titles and licences at its head weigh no more than
the rest. Which documents are taken depends on seed and id alone, not on shards or order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import BatchFn, Context, DataError, Fold, Outputs
from operators.hashing import row_hashes

SEGMENTS: Final = "_segments"
"""The table that `HeldOutSegments` leaves: `text`."""
_SCHEMA: Final = pa.schema({"place": pa.uint64(), "id": pa.string(), "text": pa.large_string()})


class HeldOutSegments(Fold):
    """Segments of documents: of a reference input, or of the rows that reach the step."""

    reference: str = Field(default="", description="input with role: reference; empty: the documents here")
    segments: int = 60
    segment_bytes: int = 1000
    purpose: str = "segments"
    """Draws of different purposes are independent."""

    seeded: ClassVar[bool] = True

    @override
    def source(self) -> str:
        return f"input:{self.reference}" if self.reference else ""

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            places = row_hashes(rows["id"], context.seed, self.purpose)
            kept = pc.greater_equal(pc.binary_length(rows["text"]), self.segment_bytes)
            found = pa.table([pa.array(places), rows["id"].cast(pa.string()), rows["text"]], schema=_SCHEMA)
            return self.merge(found.filter(kept))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        """The first documents by their hash; whatever is dropped here would be at the end too."""
        order = pc.sort_indices(state.select(["place", "id"]), [("place", "ascending"), ("id", "ascending")])
        return state.take(order[: self.segments])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        chosen = self.merge(state)
        pairs = zip(chosen["text"].to_pylist(), chosen["place"].to_pylist(), strict=True)
        cut = [segment(text, place, self.segment_bytes) for text, place in pairs]
        cut = [text for text in cut if text]
        if len(cut) < self.segments:
            where = f"input {self.reference!r}" if self.reference else "what reaches the step"
            msg = f"{where} has {len(cut)} documents of at least {self.segment_bytes} bytes, and {self.segments} "
            raise DataError(f"{msg}segments are asked for: give more text, or ask for fewer")
        return {SEGMENTS: pa.table({"text": pa.array(cut, pa.large_string())})}


def segment(text: str, place: int, num_bytes: int) -> str:
    r"""At most `num_bytes` of a text, from the line after a place in it on, up to the end of a word.

    >>> segment("one two three", 0, 9), segment("one two\nthree four", 1, 8)
    ('one two', 'three')
    """
    content = text.encode()
    begin = place % max(len(content) - num_bytes + 1, 1)
    if begin:
        line = content.find(b"\n", begin, max(len(content) - num_bytes, begin) + 1)
        begin = line + 1 if line >= 0 else 0
    cut = content[begin : begin + num_bytes].decode(errors="ignore")
    if begin + num_bytes < len(content):
        cut = cut[: max(cut.rfind(" "), cut.rfind("\n"), 0)] or cut
    return cut


def encoded(texts: Sequence[str], tokenizer_json: bytes) -> list[NDArray[np.int64]]:
    """The ids of every text, nothing put around it; an empty array where the tokenizer does not give the text back."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = [found.ids for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    decoded = tokenizer.decode_batch(ids, skip_special_tokens=False)
    pairs = zip(texts, ids, decoded, strict=True)
    return [np.array(found if text == back else [], np.int64) for text, found, back in pairs]
