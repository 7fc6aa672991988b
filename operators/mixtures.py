"""How much of each group a mixture asks for, in whole numbers of its unit; and the file that says what came of it.

Shares are exact fractions of the numbers given, so nothing here depends on the order of groups or on rounding.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from operators.base import RecipeError

FILE = "mixture.json"
NULL = "null"
"""The name of the group of rows without a value."""


class Asked(NamedTuple):
    """What is asked of each group: its share of the whole, and how much of the unit that is."""

    shares: dict[str, Fraction]
    amounts: dict[str, int]
    budget: int


def tempered(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Weights p^(1/t) for groups with shares p: 1 keeps the proportions, larger is flatter.

    >>> tempered({"de": 900, "fr": 100}, 2.0)
    {'de': 0.9486832980505138, 'fr': 0.31622776601683794}
    """
    whole = sum(sizes.values())
    return {name: (sizes[name] / whole) ** (1 / temperature) if sizes[name] else 0.0 for name in sorted(sizes)}


def unimax(sizes: Mapping[str, int], budget: int, max_epochs: int) -> dict[str, int]:
    """Algorithm 1 of UniMax (Chung et al. 2023) in whole numbers.

    From the smallest group up, each gets an equal part of what is left of the budget, at most `max_epochs` times its
    size. Groups that are not capped get equal amounts, but for 1 where the budget cannot be divided.

    >>> unimax({"en": 1000, "de": 100, "sw": 10}, 330, 2)
    {'sw': 20, 'de': 155, 'en': 155}
    """
    left, amounts = budget, {}
    order = sorted(sizes, key=lambda name: (sizes[name], name))
    for position, name in enumerate(order):
        amounts[name] = min(left // (len(order) - position), max_epochs * sizes[name])
        left -= amounts[name]
    return amounts


def asked_of(
    sizes: Mapping[str, int], weights: Mapping[str, float], budget: int | None, max_epochs: int, rest: float = 0
) -> Asked:
    """What weights ask of groups of these sizes; those without a weight share the weight `rest` by their sizes.

    Without a budget it is as much as the group that is scarcest for its weight allows, in `max_epochs` epochs; groups
    that are empty or absent do not count there.

    >>> asked_of({"de": 100, "fr": 30}, {"de": 1, "fr": 1}, None, 1).amounts
    {'de': 30, 'fr': 30}
    >>> asked_of({"de": 100, "fr": 30, "sw": 10}, {"de": 3}, 80, 1, rest=1).amounts
    {'de': 60, 'fr': 15, 'sw': 5}
    """
    most = Fraction(max(*weights.values(), rest))
    # Numbers that were computed, as shares read from a file, may be off by their last bit: the closest simple ratio.
    parts = {name: (Fraction(weights[name]) / most).limit_denominator(10**9) for name in sorted(weights)}
    others = {name: sizes[name] for name in sorted(sizes) if name not in weights and sizes[name]}
    remaining = (Fraction(rest) / most).limit_denominator(10**9) / max(sum(others.values()), 1)
    parts |= {name: remaining * size for name, size in others.items() if rest}
    whole = sum(parts.values()) or 1
    shares = {name: part / whole for name, part in parts.items()}
    if budget is None:
        # Not rounded here: the scarcest group is asked for to the last byte.
        limits = [max_epochs * sizes[name] / share for name, share in shares.items() if share and sizes.get(name)]
        limit = min(limits, default=Fraction(0))
        return Asked(shares, {name: math.floor(share * limit) for name, share in shares.items()}, math.floor(limit))
    return Asked(shares, {name: math.floor(share * budget) for name, share in shares.items()}, budget)


def read_shares(content: bytes, where: str) -> dict[str, float]:
    """The shares of bytes in a `mixture.json`. Raises RecipeError where it is none.

    >>> read_shares(b'{"by": "lang", "categories": {"de": {"bytes": 1.0}}}', "m.json")
    {'de': 1.0}
    """
    try:
        categories = json.loads(content)["categories"]
        shares = {str(name): float(entry["bytes"]) for name, entry in categories.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"from: {where!r} is no mixture ({error!r})"
        raise RecipeError(f"{msg}: expected {{by: column, categories: {{name: {{bytes: share}}}}}}") from error
    if not all(math.isfinite(share) and share >= 0 for share in shares.values()) or not any(shares.values()):
        msg = f"from: {where!r} has shares {shares}: expected numbers that are not negative, some above 0"
        raise RecipeError(msg)
    return shares
