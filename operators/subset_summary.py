"""What the choice of a subset came to: how well it stands for the rest, beside chance, and what was missed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import pyarrow as pa
from typing_extensions import override

from operators.base import WARNINGS, Context, Outputs, TableFold
from operators.embedding.doubts import FEW
from operators.subset_stages import MEASURES, UNIT

TOLERANCE: Final = 0.01
"""By how much of what was asked for a choice may be below it before the run warns."""


class Summary(TableFold):
    """What was chosen, how well it stands for the rest, beside a choice by chance: `summary.json`, `partitions`.

    What was asked for and not met by more than 1 % is warned of, and more than 5 % of documents without a vector.
    """

    docs: int | None
    bytes: int | None
    fraction: float | None
    total: str = ""
    """What the sum of all gains is called, if it means something, and by what it is divided to be shown."""
    divisor: int = 1

    revision: ClassVar[int] = 2  # warns of documents without a vector

    @override
    def source(self) -> str:
        return "stage:choose/_partitions"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("cuts",)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        table = state.sort_by("partition")
        sums = {name: sum(table[name].to_pylist()) for name in table.column_names}
        least = {name: min(table[name].to_pylist(), default=0) for name in MEASURES}
        without = context.artifacts["cuts"].table("_without")
        docs = max(sums["docs"], 1)

        def both(chosen: float, by_chance: float) -> dict[str, float]:
            return {"chosen": chosen, "random": by_chance}

        summary: dict[str, Any] = {
            "asked": self.asked(),
            "candidates": {"docs": sums["docs"], "bytes": sums["bytes"]},
            "without_vector": {name: sum(without[name].to_pylist()) for name in ("docs", "bytes")},
            "chosen": {"docs": sums["chosen_docs"], "bytes": sums["chosen_bytes"]},
            "partitions": table.num_rows,
            "objective": both(sums["similarity_sum"] / UNIT, sums["random_similarity_sum"] / UNIT),
            "mean_similarity": both(sums["similarity_sum"] / UNIT / docs, sums["random_similarity_sum"] / UNIT / docs),
            "radius": both(chord(least["least_similarity"]), chord(least["random_least_similarity"])),
        }
        if self.total:
            summary[self.total] = sums["gain_sum"] / self.divisor
        shown = {name: table[name] for name in ("partition", "docs", "bytes", "chosen_docs", "chosen_bytes")}
        for name in MEASURES[:4]:
            shown[name] = pa.array(table[name].to_numpy() / UNIT)
        lines = list(self.remarks(table, summary))
        said = {WARNINGS: json.dumps(lines).encode()} if lines else {}
        return {"summary.json": json.dumps(summary, indent=1).encode() + b"\n", "partitions": pa.table(shown), **said}

    def asked(self) -> dict[str, float]:
        """The unit of what was asked for, and how much."""
        amounts = {"docs": self.docs, "bytes": self.bytes, "fraction": self.fraction}
        return {unit: amount for unit, amount in amounts.items() if amount is not None}

    def remarks(self, table: pa.Table, summary: Mapping[str, Any]) -> Iterator[str]:
        """What a person should know of the choice."""
        there, chosen, without = (summary[name] for name in ("candidates", "chosen", "without_vector"))
        documents = there["docs"] + without["docs"]
        if without["docs"] > FEW * documents:
            noun = "document" if documents == 1 else "documents"
            yield f"{without['docs']:,} of {documents:,} {noun} have no vector and were dropped for it (no_vector)"
        for unit, amount in self.asked().items():
            if unit == "fraction":
                if there["docs"] and not chosen["docs"]:
                    yield f"select: {{fraction: {amount}}} of {there['docs']:,} documents is less than one: chose none"
            elif chosen[unit] < amount * (1 - TOLERANCE):
                if there[unit] < amount:
                    why = f"the documents have {there[unit]:,}"
                else:
                    why = f"no other document fits into what is left of the shares of {table.num_rows:,} partitions"
                yield f"select: asked for {amount:,} {unit}, chose {chosen[unit]:,}: {why}"


def chord(product: float) -> float:
    """The distance of two points of the unit sphere, from the product of their vectors.

    >>> chord(UNIT), chord(0) == 2**0.5, chord(-UNIT)
    (0.0, True, 2.0)
    """
    return math.sqrt(max(2 - 2 * product / UNIT, 0.0))
