"""What was inferred of a tokenizer's training beside what the training says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from operators.mixtures import NULL

if TYPE_CHECKING:
    from operators.mixture_program import MixtureProgram

_ROUNDING: Final = 1e-9
"""Percentage points that are no difference."""


def trained_shares(training: bytes, by: str) -> dict[str, float]:
    """The shares of bytes by category in a `training.json`, which counted by that column; rows without one are `null`.

    >>> counted = [{"lang": "de", "bytes": 3}, {"lang": None, "bytes": 1}, {"lang": "de", "bytes": 4}]
    >>> trained_shares(json.dumps({"corpus": {"by": counted}}).encode(), "lang")
    {'de': 0.875, 'null': 0.125}
    """
    sizes: dict[str, int] = {}
    for row in json.loads(training)["corpus"]["by"]:
        name = row[by] or NULL
        sizes[name] = sizes.get(name, 0) + row["bytes"]
    whole = max(sum(sizes.values()), 1)
    return {name: size / whole for name, size in sorted(sizes.items())}


def compared(found: dict[str, Any], trained: dict[str, float], most: float, program: MixtureProgram) -> dict[str, Any]:
    """`mixture.json` with what was trained on beside what was inferred, and the largest difference in percent points.

    Args:
        found: what `mixture.json` says without.
        trained: shares of bytes by category.
        most: the difference, in percentage points, up to which all is well.
        program: what the mixture was found by; it says whether the trained shares would have fitted too.
    """
    categories = {name: {**entry, "trained": trained.get(name, 0.0)} for name, entry in found["categories"].items()}
    absent = {"bytes": 0.0, "pairs": 0.0, "text_bytes": 0, "text_pairs": 0}
    categories |= {name: {**absent, "trained": trained[name]} for name in trained if name not in categories}
    difference = {name: 100 * abs(entry["bytes"] - entry["trained"]) for name, entry in categories.items()}
    largest = max(sorted(difference), key=lambda name: difference[name])
    audit = {
        "largest_difference": difference[largest],
        "category": largest,
        "max_difference": most,
        "fits": _fits(found, trained, program),
    }
    return {**found, "categories": categories, "audit": audit}


def is_near(audit: Mapping[str, Any]) -> bool:
    """Whether an `audit` says that the largest difference is as small as it may be."""
    return bool(audit["largest_difference"] <= audit["max_difference"] + _ROUNDING)


def complaint(found: dict[str, Any], step: str) -> str:
    """What to warn of where the difference is too large; empty where it is not."""
    audit = found["audit"]
    if is_near(audit):
        return ""
    entry = found["categories"][audit["category"]]
    why = ": what it was trained on fits its merges as well, so few merges leave the shares open" * audit["fits"]
    return (
        f"the shares inferred differ from those that step {step!r} was trained on by up to "
        f"{audit['largest_difference']:.3g} percentage points, more than {audit['max_difference']:g} ({found['by']} "
        f"{audit['category']!r}: {100 * entry['bytes']:.2f} % inferred, {100 * entry['trained']:.2f} % trained on){why}"
    )


def _fits(found: dict[str, Any], trained: dict[str, float], program: MixtureProgram) -> bool:
    """Whether the shares that were trained on explain every merge within the tolerance."""
    entries = found["categories"]
    if any(share and name not in entries for name, share in trained.items()):
        return False
    pairs_per_byte = [entry["text_pairs"] / entry["text_bytes"] for entry in entries.values()]
    shares = np.array([trained.get(name, 0.0) for name in entries]) * pairs_per_byte
    return bool(shares.sum()) and program.explains(shares / shares.sum(), found["tolerance_ppm"])
