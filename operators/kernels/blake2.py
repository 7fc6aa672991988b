"""BLAKE2b with 128 bits (RFC 7693, no key) of many pieces of one buffer: 16 bytes each, equal to `hashlib.blake2b`'s.

A call of `hashlib` costs half a microsecond, more than the hash of a line. Price on one core: 170 ns for a piece of up
to 128 bytes, 0.7 GB/s for long ones; those go to `hashlib`, which is a little faster there.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

import hashlib
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

LONG: Final = 2048
"""Bytes from which a piece goes to `hashlib`."""

_BLOCK: Final = 128
_HEAD: Final = np.uint64(0x01010010)  # 16 bytes of digest, no key, one leaf
_START: Final = np.frombuffer(
    bytes.fromhex(
        "08c9bcf367e6096a 3ba7ca8485ae67bb 2bf894fe72f36e3c f1361d5f3af54fa5"
        "d182e6ad7f520e51 1f6c3e2b8c68059b 6bbd41fbabd9831f 79217e1319cde05b"
    ),
    "<u8",
).astype(np.uint64)
_PERMUTATIONS: Final = [
    *("0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d"),
    *("2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0"),
]
_SIGMA: Final = np.array([[int(d, 16) for d in row] for row in [*_PERMUTATIONS, *_PERMUTATIONS[:2]]], np.int64)


def digests(data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Two little-endian words for each piece `data[start:stop]`: shape (pieces, 2)."""
    found = np.empty((starts.size, 2), np.uint64)
    long = np.flatnonzero(stops - starts >= LONG)
    _short_digests(data, starts, stops, found)
    view = data.data
    for place in long.tolist():
        piece = view[starts[place] : stops[place]]
        found[place] = np.frombuffer(hashlib.blake2b(piece, digest_size=16).digest(), "<u8")
    return found


@njit(inline="always")
def _rotated(word, bits):
    return (word >> np.uint64(bits)) | (word << np.uint64(64 - bits))


@njit(inline="always")
def _mixed(a, b, c, d, x, y):
    a = a + b + x
    d = _rotated(d ^ a, 32)
    c = c + d
    b = _rotated(b ^ c, 24)
    a = a + b + y
    d = _rotated(d ^ a, 16)
    c = c + d
    b = _rotated(b ^ c, 63)
    return a, b, c, d


@njit(cache=True, nogil=True)
def _compress(h, m, count, last):
    """RFC 7693, section 3.2: the function F, with the state in registers."""
    v0, v1, v2, v3, v4, v5, v6, v7 = h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
    v8, v9, v10, v11 = _START[0], _START[1], _START[2], _START[3]
    v12, v13, v14, v15 = _START[4] ^ np.uint64(count), _START[5], _START[6], _START[7]
    if last:
        v14 = ~v14
    for turn in range(12):
        s = _SIGMA[turn]
        v0, v4, v8, v12 = _mixed(v0, v4, v8, v12, m[s[0]], m[s[1]])
        v1, v5, v9, v13 = _mixed(v1, v5, v9, v13, m[s[2]], m[s[3]])
        v2, v6, v10, v14 = _mixed(v2, v6, v10, v14, m[s[4]], m[s[5]])
        v3, v7, v11, v15 = _mixed(v3, v7, v11, v15, m[s[6]], m[s[7]])
        v0, v5, v10, v15 = _mixed(v0, v5, v10, v15, m[s[8]], m[s[9]])
        v1, v6, v11, v12 = _mixed(v1, v6, v11, v12, m[s[10]], m[s[11]])
        v2, v7, v8, v13 = _mixed(v2, v7, v8, v13, m[s[12]], m[s[13]])
        v3, v4, v9, v14 = _mixed(v3, v4, v9, v14, m[s[14]], m[s[15]])
    h[0] ^= v0 ^ v8
    h[1] ^= v1 ^ v9
    h[2] ^= v2 ^ v10
    h[3] ^= v3 ^ v11
    h[4] ^= v4 ^ v12
    h[5] ^= v5 ^ v13
    h[6] ^= v6 ^ v14
    h[7] ^= v7 ^ v15


@njit(cache=True, nogil=True)
def _short_digests(data, starts, stops, found):
    """Fill the digests of the pieces below LONG bytes."""
    h, m = np.empty(8, np.uint64), np.empty(16, np.uint64)
    block = m.view(np.uint8)
    for piece in range(starts.size):
        start, stop = starts[piece], stops[piece]
        if stop - start >= LONG:
            continue
        h[:] = _START
        h[0] ^= _HEAD
        at = start
        while True:
            size = min(stop - at, _BLOCK)
            if size < _BLOCK:
                m[:] = np.uint64(0)
            block[:size] = data[at : at + size]
            at += size
            _compress(h, m, at - start, at == stop)
            if at == stop:
                break
        found[piece, 0], found[piece, 1] = h[0], h[1]
