"""What a document's vector is, in plain Python and double precision: fit for tests."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pooled(
    tokens: Sequence[int],
    dimension: int,
    rows: Sequence[int],
    weights: Sequence[float],
    table: Sequence[Sequence[float]],
    mean: Sequence[float],
    component: Sequence[float],
) -> list[float]:
    """The weighted mean of the tokens' rows, less the mean, less its part along the component, at unit length.

    >>> pooled([0, 1], 1, [0, 1], [1.0, 3.0], [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], [0.0, 0.0])
    [1.0]
    >>> pooled([], 1, [0], [1.0], [[1.0]], [0.5], [0.0])
    [0.0]
    """
    total = math.fsum(weights[token] for token in tokens)
    if total <= 0:
        return [0.0] * dimension
    width = len(mean)
    middle = [math.fsum(weights[t] * table[rows[t]][c] for t in tokens) / total - mean[c] for c in range(width)]
    along = math.fsum(a * b for a, b in zip(middle, component, strict=True))
    left = [a - along * b for a, b in zip(middle, component, strict=True)][:dimension]
    length = math.sqrt(math.fsum(value * value for value in left))
    return [value / length for value in left] if length > 1e-12 else [0.0] * dimension
