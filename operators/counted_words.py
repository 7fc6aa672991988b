"""Counted pre-tokens brought to one form: distinct, in the order of their bytes, none too long, each counted once.

What is trained on them cannot depend on the order of the rows or on how equal words were spread over them.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.groups import summed

Counts = NDArray[np.int64]

MOST: Final = 2**62
"""More bytes of text than this cannot be counted: sums stay below 2^63 with it."""


class CountedWords(NamedTuple):
    """Distinct words, none of them empty, in rising order."""

    words: pa.LargeBinaryArray
    counts: Counts
    """At least 1 each."""


def counted_words(words: pa.LargeBinaryArray, counts: NDArray[Any], longest: int) -> CountedWords:
    """Add up equal words, leave out what counts nothing, and cut long words into parts, each counted as a word.

    Args:
        words: pre-tokens, not null.
        counts: how often each occurs, at least 0.
        longest: in bytes, at least 1; a longer word is cut after every so many bytes, the last part is shorter.

    Raises ValueError where counts are negative or fewer than words, a word is null, or the text is beyond 2^62 bytes.

    >>> counted_words(pa.array([b"b", b"abc", b"b"]), np.array([1, 2, 1]), 2).words.to_pylist()
    [b'ab', b'b', b'c']
    """
    words, counts = words.cast(pa.large_binary()), np.asarray(counts, np.int64)
    _check(words, counts)
    lengths = pc.binary_length(words).to_numpy(zero_copy_only=False)
    used = (counts > 0) & (lengths > 0)
    long = used & (lengths > longest)
    short = pa.table({"word": words.filter(pa.array(used & ~long)), "count": counts[used & ~long]})
    parts = _parts(words.filter(pa.array(long)).to_pylist(), counts[long].tolist(), longest)
    rows = summed(pa.concat_tables([short, parts]), "word").sort_by("word")
    distinct = pa.concat_arrays([pa.array([], pa.large_binary()), *rows["word"].chunks])
    return CountedWords(distinct, rows["count"].to_numpy())


def _parts(words: list[bytes], counts: list[int], longest: int) -> pa.Table:
    cut = [
        (word[start : start + longest], count)
        for word, count in zip(words, counts, strict=True)
        for start in range(0, len(word), longest)
    ]
    parts, numbers = [part for part, _ in cut], [count for _, count in cut]
    return pa.table({"word": pa.array(parts, pa.large_binary()), "count": pa.array(numbers, pa.int64())})


def _check(words: pa.LargeBinaryArray, counts: Counts) -> None:
    if len(words) != len(counts) or words.null_count:
        msg = f"expected a count for each word and no null: {len(words)} words, {words.null_count} null, {len(counts)}"
        raise ValueError(msg)
    if len(counts) and int(counts.min()) < 0:
        msg = f"counts must be at least 0, the smallest is {int(counts.min())}"
        raise ValueError(msg)
    # In floats first, as a sum of integers could wrap around unseen.
    size = float(np.dot(counts.astype(np.float64), pc.binary_length(words).to_numpy(zero_copy_only=False)))
    if size >= MOST:
        msg = f"the words stand for {size:.3g} bytes of text, more than {MOST:,}: divide the counts"
        raise ValueError(msg)
