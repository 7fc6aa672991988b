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
    texts = (column.fill_null("") if column.null_count else column).cast(pa.large_string()).combine_chunks()
    return joined_bytes(pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts)
