"""What `importance_resample` found: `features.npz`, `summary.json`, and a warning where the weights are degenerate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pyarrow as pa
from typing_extensions import override

from operators.base import TEXT, WARNINGS, BatchFn, Columns, Context, Outputs
from operators.importance_draw import drawn, numbered
from operators.importance_ends import LADDER
from operators.importance_targets import COUNTS, FEATURES, NgramStage, dense, features_file
from operators.importance_weights import Normalise, divergence, log_ratio

if TYPE_CHECKING:
    from operators.importance_weights import Longs

DEGENERATE: Final = 0.1
"""The run warns where the effective sample size is below this share of the documents chosen."""


class Summary(NgramStage):
    """The n-grams of what is chosen for each target, and what the whole step found."""

    tokens: str
    smoothing: float
    normalise: Normalise
    temperature: float
    labels: tuple[str, ...] = ()
    """The names of several targets."""

    seeded: ClassVar[bool] = True

    def _names(self, stage: str) -> list[str]:
        return [numbered(stage, target) for target in range(len(self.labels) or 1)]

    @override
    def uses(self) -> tuple[str, ...]:
        return ("raw", *self._names("target"), *self._names("ranking"))

    @override
    def needs(self) -> Columns:
        return {**TEXT, **dict.fromkeys(self._names("_weight"), pa.float64())}

    @override
    def bind(self, context: Context) -> BatchFn:
        lasts = [context.artifacts[name].table("_last") for name in self._names("ranking")]

        def apply(rows: pa.Table) -> pa.Table:
            target = drawn(rows, lasts, context.seed, self.temperature)
            parts = []
            for number in range(len(lasts)):
                part = self.counted(rows.filter(pa.array(target == number)))
                parts.append(part.append_column("target", pa.array([number] * part.num_rows, pa.int64())))
            return pa.concat_tables(parts)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        import numpy as np
        import pyarrow.compute as pc

        counts = {
            name: dense(context.artifacts[name].table(COUNTS), self.buckets) for name in ("raw", *self._names("target"))
        }
        entries, targets = [], [counts[name] for name in self._names("target")]
        for number, target in enumerate(targets):
            chosen = dense(state.filter(pc.equal(state["target"], number)), self.buckets)
            last = context.artifacts[self._names("ranking")[number]].table("_last").to_pylist()[0]
            entries.append(_entry(last, target, counts["raw"], chosen))
        ratios = [log_ratio(target, counts["raw"], self.smoothing) for target in targets]
        settings = {"ngrams": self.ngrams, "buckets": self.buckets, "hash": self.hash, "tokens": self.tokens}
        several = {"names": np.array(self.labels)} if self.labels else {}
        arrays = (
            {"target": targets, "log_ratio": ratios} if self.labels else {"target": targets[0], "log_ratio": ratios[0]}
        )
        content = {"normalise": self.normalise, "temperature": self.temperature, **self._whole(entries)}
        warnings = [said for number, entry in enumerate(entries) if (said := self._degenerate(number, entry))]
        return {
            FEATURES: features_file({**arrays, "raw": counts["raw"], **several}, settings),
            "summary.json": json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n",
            **({WARNINGS: json.dumps(warnings).encode()} if warnings else {}),
        }

    def _whole(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """The entry of the one target, or sums and the entries of several."""
        if not self.labels:
            return entries[0]
        chosen = {unit: sum(entry["chosen"][unit] for entry in entries) for unit in ("docs", "bytes")}
        named = [{"target": label, **entry} for label, entry in zip(self.labels, entries, strict=True)]
        return {"candidates": entries[0]["candidates"], "chosen": chosen, "targets": named}

    def _degenerate(self, number: int, entry: dict[str, Any]) -> str:
        """What to say where chance decides next to nothing, though it was asked to."""
        effective, chosen = entry["effective_sample_size"], entry["chosen"]["docs"]
        if not self.temperature or effective >= DEGENERATE * chosen:
            return ""
        of = f" of target {self.labels[number]!r}" if self.labels else ""
        return (
            f"the weights{of} are degenerate: {entry['candidates']['docs']:,} candidates count as {effective:.1f}, so "
            f"chance decides next to nothing and the highest weights are taken (normalise: {self.normalise}, "
            f"temperature: {self.temperature:g}; {self._advice(entry, chosen)})"
        )

    def _advice(self, entry: dict[str, Any], chosen: int) -> str:
        if self.normalise == "document":
            return "set normalise: chunk"
        sizes: Sequence[tuple[float, float]] = [*zip(LADDER, entry["effective_sample_sizes"].values(), strict=True)]
        enough = [(at, size) for at, size in sizes if size >= DEGENERATE * chosen and at > self.temperature]
        if not enough:
            return "the target may be too small"
        return f"temperature: {enough[0][0]:g} makes it {enough[0][1]:,.1f}"


def _entry(last: dict[str, Any], target: Longs, raw: Longs, chosen: Longs) -> dict[str, Any]:
    """What came of one target. KL in nats."""
    before, after = divergence(target, raw), divergence(target, chosen)
    own, *ladder = last["effective"]
    return {
        "candidates": {"docs": last["docs_available"], "bytes": last["bytes_available"]},
        "asked": last["asked"],
        "chosen": {"docs": last["docs"], "bytes": last["bytes"]},
        "effective_sample_size": own,
        "effective_sample_sizes": {f"{at:g}": size for at, size in zip(LADDER, ladder, strict=True)},
        "ngrams": {"target": int(target.sum()), "raw": int(raw.sum()), "chosen": int(chosen.sum())},
        "kl_target_from_raw": before,
        "kl_target_from_chosen": after,
        "kl_reduction": before - after,
    }
