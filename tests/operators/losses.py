"""Functions of texts that stand for models in tests: no losses of anything, but pure and different."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def of_letters(texts: pa.LargeStringArray) -> pa.Array:
    """Fewer for texts with more of the letter e."""
    share = pc.divide(pc.count_substring(texts, "e").cast(pa.float64()), pc.utf8_length(texts).cast(pa.float64()))
    return pc.subtract(8.0, pc.multiply(share, 50.0))


def of_length(texts: pa.LargeStringArray) -> NDArray[np.float64]:
    """Fewer for longer texts."""
    lengths: NDArray[np.int32] = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    return np.asarray(8 / np.log2(2 + lengths), np.float64)
