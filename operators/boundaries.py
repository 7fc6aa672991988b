"""Further places to cut documents at, given as a column: where morphemes meet, for one.

Korean tokenizers such as KLUE's segment text into morphemes first and merge only inside them. Here a column says
where: for each document a list of byte offsets into its text (UTF-8), none for no cut. The pattern cuts first, on the
whole text; the boundaries then cut its pre-tokens further. What encodes later has to cut at the same places itself: a
`tokenizer.json` holds patterns, and no pattern finds morphemes.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.base import DataError
from operators.text_buffers import joined_bytes


def cut_places(texts: pa.Array, boundaries: pa.Array, ids: pa.Array) -> NDArray[np.int64]:
    """Where to cut the joined bytes of some documents, rising; cuts at a document's ends are left out.

    Args:
        texts: documents, none null.
        boundaries: a list of integers for each document, in any order; null and empty lists cut nothing.
        ids: what to call each document in an error.

    >>> cut_places(pa.array(["ab", "cde"]), pa.array([[1], [0, 2]]), pa.array(["x", "y"])).tolist()
    [1, 4]

    Raises DataError where the column holds anything else, or an offset lies outside its document or inside a character.
    """
    if isinstance(boundaries, pa.ChunkedArray):
        boundaries = boundaries.combine_chunks()
    if not _is_list_of_integers(boundaries.type):
        msg = f"boundaries: the column holds {boundaries.type}: expected a list of integers, such as list<int32>"
        raise DataError(msg)
    data, offsets = joined_bytes(texts)
    lists = boundaries.cast(pa.large_list(pa.int64()))
    counts = np.nan_to_num(lists.value_lengths().to_numpy(zero_copy_only=False)).astype(np.int64)
    given = lists.flatten()
    if given.null_count:
        msg = f"boundaries: {given.null_count} offsets are null: expected byte offsets into the document's text"
        raise DataError(msg)
    rows = np.repeat(np.arange(len(texts)), counts)
    values = given.to_numpy()
    lengths = np.diff(offsets)[rows]
    places = offsets[rows] + values
    within = (values > 0) & (values < lengths)
    outside = (values < 0) | (values > lengths)
    inside_character = within.copy()
    inside_character[within] = (data[places[within]] & 0xC0) == 0x80
    wrong = np.flatnonzero(outside | inside_character)
    if wrong.size:
        row, fault = int(rows[wrong[0]]), "inside a character" if inside_character[wrong[0]] else "outside its text"
        msg = (
            f"boundaries: document {ids[row].as_py()!r} has offset {int(values[wrong[0]])}, {fault} of "
            f"{int(lengths[wrong[0]])} bytes: give byte offsets in UTF-8, not counts of characters"
        )
        raise DataError(msg)
    return np.unique(places[within])


def _is_list_of_integers(kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return True
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_integer(kind.value_type))
