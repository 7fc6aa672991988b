"""How much of each group a mixture asks for, in whole numbers of its unit; and the file that says what came of it.

Shares are exact fractions of the numbers given, so nothing here depends on the order of groups or on rounding.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import NamedTuple

from operators.base import RecipeError, RunError

FILE = "mixture.json"
NULL = "null"
"""The name of the group of rows without a value."""

_SHOWN = 5


class Mixture(NamedTuple):
    """What a `mixture.json` says: the column that its groups are values of ("": unknown), and their shares of bytes."""

    by: str
    shares: dict[str, float]


class Asked(NamedTuple):
    """What is asked of each group: its share of the whole, and how much of the unit that is."""

    shares: dict[str, Fraction]
    amounts: dict[str, int]
    budget: int


def tempered(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Weights (p / the largest p)^(1/t) for groups with shares p: 1 keeps the proportions, larger is flatter.

    The largest has the weight 1 at any temperature, so a small one cannot take all of them below what a float holds.

    >>> tempered({"de": 900, "fr": 100}, 2.0)
    {'de': 1.0, 'fr': 0.3333333333333333}
    >>> tempered({"de": 900, "fr": 100}, 0.0005)
    {'de': 1.0, 'fr': 0.0}
    """
    largest = max(sizes.values(), default=0)
    return {name: (sizes[name] / largest) ** (1 / temperature) if sizes[name] else 0.0 for name in sorted(sizes)}


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


def read_mixture(content: bytes, where: str) -> Mixture:
    """A `mixture.json`. Raises RecipeError where it is none.

    >>> read_mixture(b'{"by": "lang", "categories": {"de": {"bytes": 1.0}}}', "m.json")
    Mixture(by='lang', shares={'de': 1.0})
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        line = f", from line {error.lineno} on" if isinstance(error, json.JSONDecodeError) else ""
        raise _no_mixture(where, f"it is no JSON{line}") from error
    categories = found.get("categories") if isinstance(found, dict) else None
    if not isinstance(categories, dict):
        raise _no_mixture(where, "it has no mapping `categories`")
    shares = {}
    for name, entry in categories.items():
        share = entry.get("bytes") if isinstance(entry, dict) else None
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise _no_mixture(where, f"its category {name!r} has no number `bytes`")
        if not 0 <= share <= sys.float_info.max:
            msg = f"from: {where!r} gives {name!r} the share {share:g}: expected a number that is not negative"
            raise RecipeError(msg)
        shares[name] = float(share)
    if not any(shares.values()):
        raise RecipeError(f"from: {where!r} has no share above 0")
    by = found.get("by")
    return Mixture(by if isinstance(by, str) else "", shares)


def refuse_strangers(sizes: Mapping[str, int], by: str, mixture: Mixture) -> None:
    """RunError where a mixture has none of the groups that are there: it is of something else.

    >>> refuse_strangers({"de": 1}, "lang", Mixture("kind", {"news": 0.5, "web": 0.5}))
    Traceback (most recent call last):
        ...
    operators.base.RunError: mix: the mixture is of 'kind' ('news', 'web'), and has none of the groups of 'lang' \
('de'): mix by the column that it is of, or name another mixture
    """
    if not sizes or in_common(sizes, by, mixture):
        return
    of = f"of {mixture.by!r} " if mixture.by else "of "
    msg = (
        f"mix: the mixture is {of}({some_of(mixture.shares)}), and has none of the groups of {by!r} ({some_of(sizes)})"
    )
    raise RunError(f"{msg}: mix by the column that it is of, or name another mixture")


def in_common(sizes: Mapping[str, int], by: str, mixture: Mixture) -> list[str]:
    """The groups that a mixture has too; of another column's mixture not those of rows without a value."""
    return sorted(set(sizes) & set(mixture.shares) - ({NULL} if mixture.by not in ("", by) else set()))


def some_of(names: Collection[str]) -> str:
    """The first of them, and how many more there are.

    >>> some_of({"de", "en"}), some_of("abcdefg")
    ("'de', 'en'", "'a', 'b', 'c', 'd', 'e' and 2 more")
    """
    shown = ", ".join(map(repr, sorted(names)[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _no_mixture(where: str, why: str) -> RecipeError:
    expected = "expected {by: column, categories: {name: {bytes: share}}}"
    return RecipeError(f"from: {where!r} is no {FILE}: {why}; {expected}")
