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
    texts = texts.cast(pa.large_string())  # a cast slice may begin elsewhere than the slice
    _, offset_buffer, data_buffer = texts.buffers()
    if not len(texts) or data_buffer is None:
        return np.frombuffer(b"", np.uint8), np.zeros(len(texts) + 1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    data.flags.writeable = False
    return data, offsets - offsets[0]
