"""Which thresholds are tried beside a bound: round numbers, from the bound alone, so that all shards try the same.

`kept_shares.py` adds those that the scores suggest.
"""

from __future__ import annotations

import math
from typing import Final

SHARES: Final = (0.01, 0.05, *(step / 20 for step in range(2, 20)), 0.99, 1.0)
SERIES: Final = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
STEPS: Final = (1, 3, 5)
"""How many round numbers below and above its bound the tried thresholds lie."""
WHOLE: Final = 10
"""Below this, the thresholds of a whole number are its neighbours."""


def ladder(bound: float, *, whole: bool = False) -> tuple[float, ...]:
    """The thresholds to try: the bound and up to three round numbers on either side, ascending.

    >>> ladder(0.65), ladder(2, whole=True)
    ((0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0))
    >>> ladder(50)
    (15.0, 25.0, 40.0, 50.0, 60.0, 100.0, 150.0)
    """
    bound = float(bound)
    if bound < 0:
        return tuple(0.0 - value for value in reversed(ladder(-bound, whole=whole)))
    if whole and bound < WHOLE:
        near = [float(value) for value in range(math.ceil(bound) - 3, math.floor(bound) + 4)]
        return _with(bound, [value for value in near if value >= 0])
    if bound == 0:
        return (-0.5, -0.3, -0.1, 0.0, 0.1, 0.3, 0.5)
    scale = SHARES if SHARES[0] <= bound <= 1 else _decades(bound)
    below = [value for value in reversed(scale) if value < bound]
    above = [value for value in scale if value > bound]
    picked = [side[step - 1] for side in (below, above) for step in STEPS if step <= len(side)]
    return _with(bound, [float(round(value)) if whole else value for value in picked])


def _with(bound: float, values: list[float]) -> tuple[float, ...]:
    return tuple(sorted({bound, *values}))


def _decades(bound: float) -> tuple[float, ...]:
    """Round numbers of the decade of the bound and of those beside it."""
    power = math.floor(math.log10(bound))
    return tuple(float(f"{base}e{exponent}") for exponent in range(power - 1, power + 2) for base in SERIES)
