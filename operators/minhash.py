"""MinHash signatures: what they are, slowly; and the same for many documents at once.

Scheme (fixed; a change is another `revision`): the text is lower-cased and its white space collapsed; units are its
space-separated words or its code points; a shingle is `ngram` units in a row as they stand in that text; its hash h is
XXH64 with seed 0 of its UTF-8; value k of a signature is the minimum over all shingles of
((a_k h + b_k) mod 2**64) >> 32, with a_k (odd) and b_k from the SplitMix64 sequence. The share of equal values
estimates the Jaccard similarity J of two sets of shingles, standard deviation sqrt(J (1 - J) / k). A document of fewer
than `ngram` units has no signature: it resembles nothing.

Price: 448 bytes a signature of 112 values. The reference does about 2 MB of text a second, the kernel about 40, of
which normalising in Python is most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from operators.hashing import Words, collapse, mix64

Unit = Literal["word", "character"]
Signatures = npt.NDArray[np.uint32]

GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
BATCH_CHARS: Final = 8_000_000
"""Texts are normalised so many characters at a time, to bound what is held twice."""


def shingles(text: str, ngram: int, unit: Unit) -> list[str]:
    """The shingles of a text, repeats included.

    >>> shingles("To be  or not", 3, "word")
    ['to be or', 'be or not']
    >>> shingles("abc", 4, "character")
    []
    """
    normal = collapse(text)
    if unit == "character":
        return [normal[first : first + ngram] for first in range(len(normal) - ngram + 1)]
    words = normal.split(" ") if normal else []
    return [" ".join(words[first : first + ngram]) for first in range(len(words) - ngram + 1)]


def permutations(size: int) -> tuple[Words, Words]:
    """The multipliers (odd) and increments of the first `size` permutations."""
    steps = np.arange(1, 2 * size + 1, dtype=np.uint64)
    numbers = mix64(steps * GOLDEN)
    return numbers[0::2] | np.uint64(1), numbers[1::2].copy()


def slow_signature(text: str, ngram: int, unit: Unit, size: int) -> Signatures | None:
    """The reference: the signature of one text, None where it is too short to have one."""
    import xxhash

    hashes = [xxhash.xxh64_intdigest(shingle.encode()) for shingle in shingles(text, ngram, unit)]
    if not hashes:
        return None
    multipliers, increments = permutations(size)
    permuted = np.array(hashes, np.uint64)[:, None] * multipliers + increments
    values: Signatures = (permuted >> np.uint64(32)).astype(np.uint32).min(axis=0)
    return values


def signatures(texts: Sequence[str], ngram: int, unit: Unit, size: int) -> tuple[Signatures, npt.NDArray[np.bool_]]:
    """Signatures of many texts (texts, size), and which texts have one; equal to `slow_signature` of each."""
    from operators.kernels import minhash

    multipliers, increments = permutations(size)
    values, signed = np.zeros((len(texts), size), np.uint32), np.zeros(len(texts), bool)
    for low, high in _batches(texts):
        normal = [collapse(text).encode() for text in texts[low:high]]
        offsets = np.zeros(high - low + 1, np.int64)
        np.cumsum([len(text) for text in normal], out=offsets[1:])
        data = np.frombuffer(b"".join(normal), np.uint8)
        values[low:high], signed[low:high] = minhash.signatures(
            data, offsets, ngram, unit == "word", multipliers, increments
        )
    return values, signed


def band_keys(values: Signatures, bands: int, rows: int) -> Words:
    """The keys (texts, bands) by which texts meet: a hash of the band's number and its `rows` values."""
    keys = np.empty((values.shape[0], bands), np.uint64)
    for band in range(bands):
        key = np.full(values.shape[0], band + 1, np.uint64)
        for row in range(band * rows, (band + 1) * rows):
            key = mix64(key * GOLDEN + values[:, row])
        keys[:, band] = key
    return keys


def meeting_probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that two texts share a band.

    >>> round(meeting_probability(0.8, bands=14, rows=8), 3)
    0.924
    """
    return 1 - (1 - similarity**rows) ** bands


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    low, held = 0, 0
    for index, text in enumerate(texts):
        held += len(text)
        if held >= BATCH_CHARS:
            yield low, index + 1
            low, held = index + 1, 0
    if low < len(texts):
        yield low, len(texts)
