"""MinHash signatures: what they are, slowly; and the same for many documents at once.

Every scheme takes for value i of a signature the least priority that any shingle of the text has there, so signatures
depend on the set of shingles alone, and the signature of a union is the smaller value of both at each place. Where
priorities are random and without ties, two texts agree at a place with probability J, their shingles' Jaccard
similarity: the least element of the union is in both with that probability. The share of equal values estimates J. A
text of less than one shingle has no signature: it resembles nothing.

- `fast` (uint32): Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup 2017, section 3), cut short. With `x` the hash
  of a shingle (`operators/shingles.py`), `mix` SplitMix64's finaliser and k the size: in round 0 the shingle meets the
  place (x >> 32) k >> 32 with the priority (x mod 2**32) >> 1; in round r = 1 to 14, with y = mix(x + r `GOLDEN`), the
  place (y >> 32) k >> 32 with 2**31 + r 2**27 + ((y mod 2**32) >> 5); and last every place i, with
  y = mix(x + (15 + i) `GOLDEN`) and 2**31 + 15 2**27 + ((y mod 2**32) >> 5). What a round fills no later one changes,
  so a long text costs one step per shingle, where the others cost k. Proof of P = J: the priority of a shingle at place
  i is one and the same function of its own hash, so every order of the union's priorities there is equally likely.
  Ties: priorities of one round that only 31 or 27 bits tell apart, with m shingles at a place about m / 2**31.
- `affine32`: datasketch 2.0's of that name (uint32): value i is the least a_i f(h) + b_i mod 2**32 with f MurmurHash3's
  32-bit finaliser, h the first four bytes of SHA-1 of the shingle's bytes (`shingles.written`), little-endian, and a_i
  (odd), b_i from NumPy's RandomState(1).
- `datatrove`: datatrove 0.10.1's (uint64): the least ((a_i h + b_i) mod 2**64) mod (2**61 - 1), with h XXH64 of the
  shingle's bytes and a_i, b_i from RandomState(1). Equal to the reference with the normalisation `datatrove-0.10`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal, NamedTuple, assert_never

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from operators.hashing import MASK, Words, mix64
from operators.shingles import GOLDEN, Shingling, joined, kernel_terms, mix, shingle_hash, shingles, written

Scheme = Literal["fast", "datatrove", "affine32"]

RANDOM_ROUNDS: Final = 15
"""Rounds of `fast` in which a shingle meets one place each, before it meets every place."""
MERSENNE: Final = (1 << 61) - 1
EMPTY: Final = 0xFFFFFFFF


class Signatures(NamedTuple):
    """The signatures of some texts (texts, size), and which texts have one; the values of the others mean nothing."""

    values: npt.NDArray[np.uint32] | Words
    signed: npt.NDArray[np.bool_]


def sign(texts: pa.LargeStringArray | pa.ChunkedArray, how: Shingling, scheme: Scheme, size: int) -> Signatures:
    """The signatures of some texts, none null: uint64 for `datatrove`, uint32 for the others.

    ValueError for a size below 1.

    >>> sign(pa.array(["a b c", "a"], pa.large_string()), Shingling("word", 2), "fast", 3).signed.tolist()
    [True, False]
    """
    from operators.kernels import minhash

    if size < 1:
        msg = f"the size of a signature is {size!r}; expected at least 1"
        raise ValueError(msg)
    data, offsets = joined(texts, how)
    values = np.empty((len(texts), size), np.uint64 if scheme == "datatrove" else np.uint32)
    terms: tuple[Any, ...]
    match scheme:
        case "fast":
            none = np.empty(0, np.uint32)
            terms = *kernel_terms(how), minhash.FAST, none, none
        case "affine32":
            terms = *kernel_terms(how, "sha1"), minhash.AFFINE32, *affine32_factors(size)
        case "datatrove":
            terms = *kernel_terms(how, "xxh64"), minhash.DATATROVE, *datatrove_factors(size)
        case _:
            assert_never(scheme)
    return Signatures(values, minhash.sign(values, data, offsets, *terms))


def slow_sign(text: str, how: Shingling, scheme: Scheme, size: int) -> list[int] | None:
    """The reference: the signature of one text, None where it is too short to have one."""
    found = shingles(text, how)
    if not found:
        return None
    if scheme == "fast":
        return slow_fast({shingle_hash(shingle, how) for shingle in found}, size)
    contents = {written(shingle, how) for shingle in found}
    return slow_affine32(contents, size) if scheme == "affine32" else slow_datatrove(contents, size)


def slow_fast(hashes: set[int], size: int) -> list[int]:
    """`fast` of a set of shingle hashes, not empty: the least priority at every place, over all rounds."""
    values = [EMPTY] * size

    def meet(place: int, priority: int) -> None:
        values[place] = min(values[place], priority)

    for shingle in hashes:
        meet((shingle >> 32) * size >> 32, (shingle & EMPTY) >> 1)
        for number in range(1, RANDOM_ROUNDS):
            mixed = mix(shingle + number * GOLDEN & MASK)
            meet((mixed >> 32) * size >> 32, 1 << 31 | number << 27 | (mixed & EMPTY) >> 5)
        for place in range(size):
            mixed = mix(shingle + (RANDOM_ROUNDS + place) * GOLDEN & MASK)
            meet(place, 1 << 31 | RANDOM_ROUNDS << 27 | (mixed & EMPTY) >> 5)
    return values


def affine32_factors(size: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The factors (odd) and increments of `affine32`."""
    draw = np.random.RandomState(1)
    factors = draw.randint(0, 1 << 31, size, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, draw.randint(0, 1 << 32, size, dtype=np.uint32)


def slow_affine32(contents: set[bytes], size: int) -> list[int]:
    """`affine32` of the bytes of some shingles."""
    factors, increments = (numbers.tolist() for numbers in affine32_factors(size))
    hashes = [_finalised(int.from_bytes(hashlib.sha1(content).digest()[:4], "little")) for content in contents]
    return [min(a * h + b & EMPTY for h in hashes) for a, b in zip(factors, increments, strict=True)]


def _finalised(value: int) -> int:
    """MurmurHash3's finaliser of 32 bits."""
    value = (value ^ value >> 16) * 0x85EBCA6B & EMPTY
    value = (value ^ value >> 13) * 0xC2B2AE35 & EMPTY
    return value ^ value >> 16


def datatrove_factors(size: int) -> tuple[Words, Words]:
    """The factors and increments of `datatrove`.

    >>> datatrove_factors(4)[0].tolist()[:2]
    [775169054918279404, 1758426461858698313]
    """
    draw = np.random.RandomState(1)
    factors = draw.randint(1, MERSENNE, size, dtype=np.uint64)
    return factors, draw.randint(0, MERSENNE, size, dtype=np.uint64)


def slow_datatrove(contents: set[bytes], size: int) -> list[int]:
    """`datatrove` of the bytes of some shingles."""
    import xxhash

    factors, increments = (numbers.tolist() for numbers in datatrove_factors(size))
    hashes = [xxhash.xxh64_intdigest(content) for content in contents]
    return [min((a * h + b & MASK) % MERSENNE for h in hashes) for a, b in zip(factors, increments, strict=True)]


def band_keys(values: npt.NDArray[np.uint32] | Words, bands: int, rows: int) -> Words:
    """The keys (texts, bands) by which texts meet: a hash of the band's number and its `rows` values."""
    from operators.kernels import minhash

    keys: Words = minhash.band_keys(values, bands, rows)
    return keys


def slow_band_keys(values: npt.NDArray[np.uint32] | Words, bands: int, rows: int) -> Words:
    """The reference of `band_keys`."""
    keys = np.empty((values.shape[0], bands), np.uint64)
    for band in range(bands):
        key = np.full(values.shape[0], band + 1, np.uint64)
        for row in range(band * rows, (band + 1) * rows):
            key = mix64(key * np.uint64(GOLDEN) + values[:, row])
        keys[:, band] = key
    return keys
