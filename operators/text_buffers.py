"""The bytes of an Arrow array of strings, where they lie."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def joined_bytes(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts as one array of bytes, read-only, and where each begins in it, with the end of the last.

    >>> data, offsets = joined_bytes(pa.array(["ab", "c", "", "d"]).slice(1))
    >>> data.tobytes(), offsets.tolist()
    (b'cd', [0, 1, 1, 2])
    """
    return joined_binary(texts.cast(pa.large_string()))  # a cast slice may begin elsewhere than the slice


def joined_binary(values: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The same of a `large_string` or `large_binary` array as it is."""
    _, offset_buffer, data_buffer = values.buffers()
    if not len(values) or data_buffer is None:
        return np.frombuffer(b"", np.uint8), np.zeros(len(values) + 1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    data.flags.writeable = False
    return data, offsets - offsets[0]


def column_bytes(column: pa.ChunkedArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`joined_bytes` of a whole column; a null is empty.

    >>> column_bytes(pa.chunked_array([["ab"], ["c"]]))[1].tolist()
    [0, 2, 3]
    """
    return joined_binary(one_text_array(column))


def one_text_array(column: pa.ChunkedArray) -> pa.LargeStringArray:
    """A column of texts in one piece, nulls as empty texts.

    >>> one_text_array(pa.chunked_array([["a", None], ["b"]])).to_pylist()
    ['a', '', 'b']
    """
    return one_array((column.fill_null("") if column.null_count else column).cast(pa.large_string()))


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column's values in one piece; not copied where they are in one already (then it may be a slice of more).

    `combine_chunks` copies even then: of 50 MB that took a tenth of a second.
    """
    if column.num_chunks == 1:
        return column.chunk(0)
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
