"""Documents as token sequences of a few fixed lengths: how they are cut, and the stages of `length_buckets`."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators.base import WARNINGS, BatchFn, Context, Outputs, RecipeError, TableFold
from operators.chosen_tokenizer import Chosen
from operators.document_weights import REPEAT, WeightedTexts, counting
from operators.groups import joined, order_of, summed
from operators.text_buffers import one_text_array
from operators.text_tokens import TextEncoder, text_encoder

FILE: Final = "buckets.json"
COUNTS: Final = "_counts"
LEFT_OUT: Final = 0.2
"""The run warns where a larger share of the tokens is left out."""
SMALL_IDS: Final = 1 << 16

_COUNTED: Final = ("length", "sequences", "tokens", "repeated_sequences", "repeated_tokens", "empty_documents")
_COUNTS: Final = pa.schema([(name, pa.int64()) for name in _COUNTED])

Longs = NDArray[np.int64]


class Pieces(NamedTuple):
    """The sequences of some documents, in their order."""

    document: Longs
    offset: Longs
    """The place of a sequence's first token in its document."""
    length: Longs
    """The power of two that names its bucket; it has `extra` tokens more."""


def cut(sizes: Longs, min_length: int, max_length: int, extra: int = 0) -> Pieces:
    """Cut documents of so many tokens, from the start, always the longest sequence that the rest has room for.

    Lengths are powers of two, plus `extra`, from `min_length` to `max_length`. What is left at a document's end when
    no length fits is in no sequence.

    >>> cut(np.array([3, 23]), 4, 8)
    Pieces(document=array([1, 1, 1]), offset=array([ 0,  8, 16]), length=array([8, 8, 4]))
    """
    found = []
    rest, used = sizes.astype(np.int64), np.zeros(sizes.size, np.int64)
    length = max_length
    while length >= min_length:
        width = length + extra
        # Below the longest, a document has at most one of each: two would leave room for one that is longer.
        counts = rest // width
        document = np.repeat(np.arange(sizes.size), counts)
        within = np.arange(document.size) - np.repeat(np.cumsum(counts) - counts, counts)
        found.append((document, used[document] + within * width, np.full(document.size, length)))
        rest, used = rest - counts * width, used + counts * width
        length //= 2
    document, offset, lengths = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.lexsort((offset, document))
    return Pieces(document[order], offset[order], lengths[order])


class Decomposing(Chosen):
    """What both stages know."""

    min_length: int
    max_length: int
    next_token: bool
    end_token: str

    def encoder(self, context: Context) -> TextEncoder:
        """The tokenizer. Raises RecipeError where it has no such end token."""
        found = text_encoder(self.content(context), self.tokenizer or self.step, self.patterns)
        if self.end_token and self.end_token not in found.added:
            known = ", ".join(list(found.added)[:20]) or "none"
            msg = f"end_token {self.end_token!r} is no added token of the tokenizer: it has {known}"
            raise RecipeError(msg)
        return found

    def id_type(self, encoder: TextEncoder) -> pa.DataType:
        """Two bytes an id where they suffice."""
        return pa.uint16() if encoder.num_ids <= SMALL_IDS else pa.int32()


class Sequences(Decomposing, WeightedTexts):
    """A table for every length, `0256` and so on, sorted by document and place; and what is counted of each.

    A state has a row for each sequence, and for each document one of length 0 that says how many tokens it has, as
    `offset`, and how many of these are in no sequence.
    """

    revision: ClassVar[int] = 2  # a row whose `repeat` is null counts once
    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def bind(self, context: Context) -> BatchFn:
        encoder = self.encoder(context)
        end, kind = encoder.added.get(self.end_token), self.id_type(encoder)

        def apply(rows: pa.Table) -> pa.Table:
            rows, weights = counting(rows)
            tokens = encoder(one_text_array(rows["text"]), end)
            ids = pa.array(tokens.ids.astype(kind.to_pandas_dtype(), copy=False))
            return self._state(rows["id"].cast(pa.string()), weights, tokens.starts, ids)

        return apply

    def _state(self, ids: pa.ChunkedArray, weights: Longs, starts: Longs, tokens: pa.Array) -> pa.Table:
        sizes, extra = np.diff(starts), int(self.next_token)
        pieces = cut(sizes, self.min_length, self.max_length, extra)
        width = pieces.length + extra
        inside = np.zeros(len(tokens) + 1, np.int8)
        first = starts[pieces.document] + pieces.offset
        np.add.at(inside, first, 1)
        np.add.at(inside, first + width, -1)
        left = sizes - np.bincount(pieces.document, width, sizes.size).astype(np.int64)
        lists = pa.LargeListArray.from_arrays(
            np.append(0, np.cumsum(width)), tokens.filter(pa.array(np.cumsum(inside[:-1], dtype=np.int8) > 0))
        )
        none = pa.LargeListArray.from_arrays(np.zeros(sizes.size + 1, np.int64), tokens.slice(0, 0))
        document = np.append(pieces.document, np.arange(sizes.size))
        columns = {
            "id": joined(ids).take(pa.array(document)),
            "offset": pa.array(np.append(pieces.offset, sizes), pa.int64()),
            "length": pa.array(np.append(pieces.length, np.zeros(sizes.size, np.int64)), pa.int32()),
            "left": pa.array(np.append(np.zeros(width.size, np.int64), left), pa.int64()),
            REPEAT: pa.array(weights[document], pa.int32()),
            "tokens": pa.concat_arrays([lists, none]),
        }
        return pa.table(columns)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        tables: dict[str, bytes | pa.Buffer | pa.Table] = {}
        counts = [self._left_out(state)]
        length = self.min_length
        while length <= self.max_length:
            rows = state.filter(pc.equal(state["length"], length)).select(["id", "offset", REPEAT, "tokens"])
            rows = rows.take(pa.array(order_of(rows, "id", "offset")))
            width = length + int(self.next_token)
            tokens = pa.FixedSizeListArray.from_arrays(joined(rows["tokens"]).flatten(), width)
            tables[table_name(length)] = rows.set_column(3, "tokens", tokens)
            repeats = pc.sum(rows[REPEAT]).as_py() or 0
            counts.append([length, rows.num_rows, rows.num_rows * width, repeats, repeats * width, 0])
            length *= 2
        return {**tables, COUNTS: pa.table(list(zip(*counts, strict=True)), schema=_COUNTS)}

    def _left_out(self, state: pa.Table) -> list[int]:
        """The row of counts for length 0: documents, and the tokens that are in no sequence."""
        documents = state.filter(pc.equal(state["length"], 0))
        left, repeat = (documents[name].cast(pa.int64()).to_numpy() for name in ("left", REPEAT))
        empty = int((left == documents["offset"].to_numpy()).sum())
        return [0, left.size, int(left.sum()), int(repeat.sum()), int((left * repeat).sum()), empty]


class BucketSummary(Decomposing, TableFold):
    """What lies in the buckets: `buckets.json`."""

    revision: ClassVar[int] = 2  # `repeated_tokens` beside `tokens`

    @override
    def source(self) -> str:
        return f"stage:sequences/{COUNTS}"

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "length")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        encoder = self.encoder(context)
        left, *buckets = self.merge(state).sort_by("length").to_pylist()
        content: dict[str, Any] = {
            "tokenizer": {
                "sha256": self.digest(context),
                "ids": encoder.num_ids,
                "encoded_by": encoder.name,
                "end_token": {"token": self.end_token, "id": encoder.added[self.end_token]} if self.end_token else None,
            },
            "min_length": self.min_length,
            "max_length": self.max_length,
            "next_token": self.next_token,
            "type": str(self.id_type(encoder)),
            "documents": {
                "encoded": left["sequences"],
                "repeated": left["repeated_sequences"],
                "without_sequences": left["empty_documents"],
            },
            **{name: _tokens(name, left, buckets) for name in ("tokens", "repeated_tokens")},
            "buckets": [
                {"table": table_name(bucket["length"]), **{name: bucket[name] for name in _COUNTS.names[:-1]}}
                for bucket in buckets
            ],
        }
        said = _warnings(content["tokens"], self.min_length)
        return {FILE: json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n", **said}


def table_name(length: int) -> str:
    """The name of a length's table, so that names are in the order of lengths.

    >>> table_name(64), table_name(8192)
    ('0000064', '0008192')
    """
    return f"{length:07}"


def _tokens(name: str, left: dict[str, int], buckets: list[dict[str, int]]) -> dict[str, int]:
    inside = sum(bucket[name] for bucket in buckets)
    return {"encoded": inside + left[name], "in_sequences": inside, "left_out": left[name]}


def _warnings(tokens: dict[str, int], min_length: int) -> dict[str, bytes]:
    if tokens["left_out"] <= LEFT_OUT * tokens["encoded"]:
        return {}
    share = f"{tokens['left_out'] / tokens['encoded']:.0%}"
    said = f"{share} of the tokens are in no sequence, since min_length is {min_length}: a smaller one leaves out fewer"
    return {WARNINGS: json.dumps([said]).encode()}
