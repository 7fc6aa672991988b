"""The slow definition of `near_vectors.py`, and of what is made of it: who stays among vectors in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

Vector = Sequence[int]


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of two vectors of integers, not zeros.

    >>> cosine([3, 4], [6, 8]), cosine([1, 0], [0, 5])
    (1.0, 0.0)
    """
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def survivors(vectors: Sequence[Vector], threshold: float) -> list[int]:
    """For each vector itself where it stays, else the first before it that stays and has a cosine of the threshold.

    >>> survivors([[10, 0], [9, 2], [7, 7]], 0.9)
    [0, 0, 2]
    """
    found: list[int] = []
    for item, vector in enumerate(vectors):
        staying = (earlier for earlier in range(item) if found[earlier] == earlier)
        found.append(next((s for s in staying if cosine(vector, vectors[s]) >= threshold), item))
    return found


def claims(vectors: Sequence[Vector], threshold: float) -> set[tuple[int, int]]:
    """All pairs of one that stays and a later one that does not, whose cosine reaches the threshold."""
    found = survivors(vectors, threshold)
    stays = [item for item, survivor in enumerate(found) if item == survivor]
    return {(s, o) for o in range(len(found)) for s in stays if s < o and cosine(vectors[s], vectors[o]) >= threshold}
