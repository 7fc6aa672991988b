"""Documents as vectors of small integers: hashed n-grams of the text, or a column of vectors that the rows have.

A vector is brought to the length `SCALE` and its components are rounded: a cosine is then off by less than 0.001, and
whatever is added up of the products of two vectors stays below 2^24, so it is exact even in float32. So no similarity
depends on the library that multiplies, on its threads, or on how rows were batched.

Of a text, n-grams are hashed as `importance_resample` hashes them, into 16,384 buckets; a bucket weighs (1 + log of how
many n-grams of the document are in it) * (1 + log((1 + documents) / (1 + documents that have any in it))), and has one
component with a sign of its own (feature hashing; Weinberger et al. 2009, arXiv:0902.2206). What two documents have in
common is kept on average; in 512 dimensions a cosine is off by 0.04 (its standard deviation).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, DataError, Fold, Map, Outputs, RecipeError
from operators.drawing import sizes
from operators.groups import joined, summed
from operators.hashing import mix64
from operators.text_buffers import joined_binary, one_array

SCALE: Final = 4000
"""The length of a vector before it is rounded; after it at most 4096, up to `MAX_DIM` dimensions."""
MAX_DIM: Final = 8192
VECTOR: Final = "_vector"
"""The step's own column: a vector's int16 components as bytes, null where a document has none."""
BUCKETS: Final = 1 << 14

_DAMPED: Final = 1024
_ROWS: Final = 4096
"""Documents that are made vectors of at once."""
_COUNTS: Final = pa.schema([("bucket", pa.int64()), ("count", pa.int64())])

Shorts = npt.NDArray[np.int16]
Singles = npt.NDArray[np.float32]


class HashedNgrams(BaseModel):
    """Vectors of the text: hashed counts of n-grams, weighted by how rare they are.

    >>> HashedNgrams().dim
    512
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ngrams: int = Field(default=1, ge=1, le=8, description="longest n-grams, in tokens")
    dim: int = Field(default=512, ge=8, le=MAX_DIM, description="dimensions of a vector")


class DocumentCounts(Fold):
    """In how many documents each bucket has an n-gram, and how many documents there are (bucket -1): `_documents`."""

    ngrams: int

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.ngram_features import count_documents
        from operators.text_buffers import column_bytes

        def partial(rows: pa.Table) -> pa.Table:
            counts = count_documents(*column_bytes(rows["text"]), self.ngrams, BUCKETS)
            bucket = np.flatnonzero(counts)
            return pa.table([np.append(bucket, -1), np.append(counts[bucket], rows.num_rows)], schema=_COUNTS)

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "bucket")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_documents": state.sort_by("bucket")}


class TextVectors(Map):
    """The vectors of texts, and the texts' bytes."""

    ngrams: int
    dim: int

    @override
    def uses(self) -> tuple[str, ...]:
        return ("documents",)

    @override
    def adds(self) -> Columns:
        return {VECTOR: pa.large_binary(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.ngram_features import sketches
        from operators.text_buffers import column_bytes

        weight = weights_of(context.artifacts["documents"].table("_documents"))
        place, sign = components(self.dim)
        damped = damping()

        def apply(rows: pa.Table) -> pa.Table:
            def found(texts: pa.Table) -> Singles:
                return sketches(*column_bytes(texts["text"]), self.ngrams, place, weight * sign, damped, self.dim)

            packed = [_packed(*_rounded(found(part))) for part in _parts(rows)]
            return pa.table({VECTOR: pa.chunked_array(packed, pa.large_binary()), "_bytes": sizes(rows)})

        return apply


class GivenVectors(Map):
    """The vectors that a column holds, and the texts' bytes."""

    column: str

    @override
    def needs(self) -> Columns:
        return {self.column: pa.null(), **TEXT}

    @override
    def adds(self) -> Columns:
        return {VECTOR: pa.large_binary(), "_bytes": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            packed = [self._of(part) for part in _parts(rows)]
            return pa.table({VECTOR: pa.chunked_array(packed, pa.large_binary()), "_bytes": sizes(rows)})

        return apply

    def _of(self, rows: pa.Table) -> pa.Array:
        return packed_lists(one_array(rows[self.column]), rows["id"], self.column, zeros=False)


def packed_lists(lists: pa.Array, ids: pa.ChunkedArray, name: str, *, zeros: bool) -> pa.Array:
    """Vectors in fixed-size lists as the column `VECTOR` has them; a null has none.

    Lists of uint8 hold a bit for each component, set where it is above 0; of other types the numbers themselves.

    Args:
        lists: the vectors.
        ids: of their documents, for errors.
        name: of the column, for errors.
        zeros: whether a vector of zeros stands for none.

    Raises DataError where a number is not finite or missing, and where all are 0 unless `zeros`.
    """
    given = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False))
    dense = numbers_of(lists.take(pa.array(given)))
    some, status = _rounded(dense)
    for row, said in ((given[place], status[place]) for place in np.flatnonzero(status)):
        if said == 1 or not zeros:
            what = "a number that is not finite, or none" if said == 1 else "nothing but zeros, which has no direction"
            msg = f"{name!r} of document {ids[int(row)].as_py()!r} holds {what}: expected a vector or null"
            raise DataError(msg)
    whole = np.zeros((len(lists), dense.shape[1]), np.int16)
    whole[given] = some
    missing = np.ones(len(lists), np.int8)
    missing[given] = status != 0
    return _packed(whole, missing)


def numbers_of(lists: pa.Array) -> Singles:
    """Vectors in fixed-size lists without nulls, (rows, dim): the numbers, of uint8 each bit as 1 or -1.

    A number that is missing is NaN; a row without any bit is zeros.

    >>> numbers_of(pa.array([[129], [0]], pa.list_(pa.uint8(), 1))).astype(int).tolist()
    [[1, -1, -1, -1, -1, -1, -1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
    """
    values = lists.flatten()
    shape = len(lists), lists.type.list_size
    if pa.types.is_floating(values.type):
        return _singles(values.fill_null(math.nan).to_numpy().reshape(shape))
    vectors: npt.NDArray[np.integer[Any]] = values.to_numpy(zero_copy_only=False).reshape(shape)
    if not pa.types.is_uint8(values.type):
        return vectors.astype(np.float32)
    bits = np.unpackbits(vectors.astype(np.uint8), axis=1).astype(np.float32)
    found: Singles = (2 * bits - 1) * bits.any(axis=1, keepdims=True)
    return found


def refuse_column(columns: Columns, name: str) -> None:
    """RecipeError where a column is there and does not hold vectors.

    >>> refuse_column({"v": pa.list_(pa.float64())}, "v")
    Traceback (most recent call last):
        ...
    operators.base.RecipeError: the column 'v' is list<item: double>: expected vectors, a fixed_size_list of 1 to \
8192 numbers of type halffloat, float or double
    """
    kind = columns.get(name)
    if kind is None:
        return
    is_list = pa.types.is_fixed_size_list(kind) and 1 <= kind.list_size <= MAX_DIM
    if not is_list or not pa.types.is_floating(kind.value_type):
        expected = f"vectors, a fixed_size_list of 1 to {MAX_DIM} numbers of type halffloat, float or double"
        msg = f"the column {name!r} is {kind}: expected {expected}"
        raise RecipeError(msg)


def components(dim: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each bucket the component that it is added to, and its sign.

    >>> place, sign = components(8)
    >>> sorted(set(place.tolist())), sorted(set(sign.tolist()))
    ([0, 1, 2, 3, 4, 5, 6, 7], [-1.0, 1.0])
    """
    mixed = mix64(np.arange(1, BUCKETS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    place = (mixed >> np.uint64(32)) * np.uint64(dim) >> np.uint64(32)
    return place.astype(np.int64), np.where(mixed & np.uint64(1), 1.0, -1.0)


def damping() -> npt.NDArray[np.float64]:
    """1 + log of 1, 2, ... n-grams in a bucket; more than 1,024 are as 1,024."""
    return np.array([1 + math.log(count) for count in range(1, _DAMPED + 1)])


def weights_of(documents: pa.Table) -> npt.NDArray[np.float64]:
    """For each bucket 1 + log((1 + documents) / (1 + documents that have an n-gram in it)).

    >>> counts = pa.table({"bucket": [-1, 0, 5], "count": [9, 9, 1]})
    >>> weights_of(counts)[[0, 5, 7]].round(4).tolist()
    [1.0, 2.6094, 3.3026]
    """
    count = np.zeros(BUCKETS + 1, np.int64)  # that of -1 comes last
    count[documents["bucket"].to_numpy()] = documents["count"].to_numpy()
    return np.array([1 + math.log((1 + int(count[-1])) / (1 + had)) for had in count[:-1].tolist()])


def unpacked(column: pa.ChunkedArray) -> Singles:
    """The vectors (rows, dim) of a column without nulls, as float32, which holds all their components exactly."""
    data, offsets = joined_binary(joined(column))
    lengths = np.unique(np.diff(offsets)).tolist()
    if len(lengths) > 1:
        msg = (
            f"vectors of {' and '.join(str(length // 2) for length in lengths)} dimensions: expected all of one length"
        )
        raise DataError(msg)
    width = lengths[0] // 2 if lengths else 0
    return data.view("<i2").reshape(len(column), width).astype(np.float32)


def _singles(vectors: npt.NDArray[np.floating[Any]]) -> Singles:
    """Vectors in float32; doubles times a power of two that keeps them within its range, as only directions count."""
    if vectors.dtype != np.float64:
        return vectors.astype(np.float32)
    largest = np.abs(vectors).max(axis=1)
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1]
    scaled: Singles = np.ldexp(vectors, -exponent[:, None]).astype(np.float32)
    return scaled


def _parts(rows: pa.Table) -> list[pa.Table]:
    return [rows.slice(start, _ROWS) for start in range(0, rows.num_rows, _ROWS)]


def _rounded(vectors: Singles) -> tuple[Shorts, npt.NDArray[np.int8]]:
    from operators.kernels.subsets import quantised

    return quantised(np.ascontiguousarray(vectors), SCALE)


def packed_rows(vectors: Shorts) -> pa.Array:
    """Vectors as a column without nulls; `unpacked` gives them back."""
    return _packed(vectors, np.zeros(vectors.shape[0], np.int8))


def _packed(vectors: Shorts, missing: npt.NDArray[np.int8]) -> pa.Array:
    """Vectors as a column, null where missing."""
    there = missing == 0
    offsets = np.concatenate([[0], np.cumsum(there * (2 * vectors.shape[1]))]).astype(np.int64)
    mask = pa.py_buffer(np.packbits(there, bitorder="little").tobytes())
    data = pa.py_buffer(vectors[there].astype("<i2").tobytes())
    return pa.Array.from_buffers(pa.large_binary(), there.size, [mask, pa.py_buffer(offsets), data])
