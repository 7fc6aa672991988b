"""Hashes that decide results: of a row's id for drawing, of its content for comparing, and a mixer for 64-bit numbers.

Three hashes, each for one purpose, fixed for good (another hash is another `revision` of every operator that uses it):

- `row_hashes`: XXH3-64 of the id, seeded by the recipe's seed and a purpose. Fast (about 4 M ids/s), not secret.
- `content_digests`: BLAKE2b with 128 bits. A duplicate is removed without its text being read again, so nobody may be
  able to build two texts of one hash; XXH3 would be faster and does not promise that. About 0.85 GB/s for documents;
  `whitespace_case` 0.27.
- `mix64`: the finaliser of SplitMix64, a bijection of 64-bit numbers, over whole arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Columns, RecipeError
from operators.text_buffers import joined_binary, one_array

Words = npt.NDArray[np.uint64]
Normalisation = Literal["none", "whitespace_case"]

MASK = (1 << 64) - 1


def row_hash(row_id: str, seed: int, purpose: str) -> int:
    """The hash of one id in [0, 2**64): XXH3-64 of its UTF-8 under the seed XXH3-64(`purpose`, `seed` mod 2**64).

    The purpose keeps the draws of different operators independent of each other under one seed.

    >>> row_hash("a", 7, "sample") == row_hash("a", 7, "sample")
    True
    >>> row_hash("a", 7, "sample") == row_hash("a", 7, "split")
    False
    """
    import xxhash

    return xxhash.xxh3_64_intdigest(row_id.encode(), seed=_subseed(seed, purpose))


def row_hashes(ids: pa.ChunkedArray | pa.Array, seed: int, purpose: str) -> Words:
    """`row_hash` of every id, in order."""
    import xxhash

    subseed = _subseed(seed, purpose)
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(i.encode(), seed=subseed) for i in ids.to_pylist()), np.uint64, len(ids))


def mix64(values: Words) -> Words:
    """SplitMix64's finaliser: a bijection that spreads close numbers over all 64 bits.

    >>> [hex(v) for v in mix64(np.array([0, 1], np.uint64)).tolist()]
    ['0x0', '0x5692161d100b05e5']
    """
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def content_digests(column: pa.ChunkedArray, normalise: Normalisation = "none") -> Words:
    """Two words a row: the 128-bit digest of its content, read as little-endian. A null's digest is that of no bytes.

    Strings are hashed as UTF-8, binary as it is, and any other type as the text of Arrow's cast to string.
    `whitespace_case` hashes the text's normal form (`operators/normal_text.py`) instead.
    """
    values = _as_binary(column) if normalise == "none" else _as_string(column).cast(pa.large_binary())
    digests = [np.empty((0, 2), np.uint64)]
    for chunk in values.chunks:
        data, offsets = joined_binary(chunk.fill_null(b"") if chunk.null_count else chunk)
        digests.append(piece_digests(data, offsets[:-1], offsets[1:], normalise))
    return np.concatenate(digests)


def piece_digests(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], normalise: Normalisation
) -> Words:
    """`content_digests` of the pieces `data[start:stop]`, each valid UTF-8 where it is to be normalised."""
    from operators.kernels.blake2 import digests

    if normalise == "none":
        return digests(data, starts, stops)
    from operators.kernels.collapse import collapsed
    from operators.normal_text import normal_table

    normal, offsets = collapsed(data, starts, stops, normal_table())
    normal.flags.writeable = False  # as the other buffers are: one compiled form serves all
    return digests(normal, offsets[:-1], offsets[1:])


def as_labels(column: pa.ChunkedArray) -> pa.Array:
    """A column's values as strings, for grouping by; a null stays null."""
    return one_array(_as_string(column).cast(pa.string()))


def refuse_formless(columns: Columns, names: Iterable[str], *, allow_binary: bool = False) -> None:
    """RecipeError for a column whose values have no text: nested ones, and bytes where they would have to be text.

    >>> refuse_formless({"meta": pa.list_(pa.int8())}, ["meta"])
    Traceback (most recent call last):
        ...
    operators.base.RecipeError: the column 'meta' is list<item: int8>, which has no text form; expected strings, \
numbers, booleans or dates: name another
    """
    for name in names:
        kind = columns.get(name, pa.null())
        if not has_text(kind) and not (allow_binary and _is_bytes(kind)):
            raise RecipeError(f"the column {name!r} is {_formless(kind)}")


def has_text(kind: pa.DataType) -> bool:
    """Whether values of that type can be compared and shown as text.

    >>> [has_text(kind) for kind in (pa.int8(), pa.date32(), pa.null(), pa.binary(), pa.struct([]))]
    [True, True, True, False, False]
    """
    if _is_bytes(kind):
        return False
    try:
        pc.cast(pa.nulls(0, kind), pa.large_string())
    except pa.ArrowNotImplementedError:
        return False
    return True


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _formless(kind: pa.DataType) -> str:
    return f"{kind}, which has no text form; expected strings, numbers, booleans or dates: name another"


def _subseed(seed: int, purpose: str) -> int:
    import xxhash

    return xxhash.xxh3_64_intdigest(purpose.encode(), seed=seed & MASK)


def _as_binary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary()).cast(pa.large_binary())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.large_binary())
    return _as_string(column).cast(pa.large_binary())


def _as_string(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not has_text(column.type):
        raise RecipeError(f"the column is {_formless(column.type)}")
    return pc.cast(column, pa.large_string())
