"""What `importance_resample` found: `features.npz`, `summary.json`, and what to warn of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
from typing_extensions import override

from operators.base import TEXT, WARNINGS, BatchFn, Columns, Context, Outputs
from operators.importance_draw import drawn, numbered
from operators.importance_ends import LADDER
from operators.importance_targets import COUNTS, FEATURES, NgramStage, dense, features_file
from operators.importance_warnings import Wording
from operators.importance_weights import Normalise, divergence, log_ratio

if TYPE_CHECKING:
    from operators.importance_weights import Longs


class Summary(NgramStage):
    """The n-grams of what is chosen for each target, and what the whole step found."""

    tokens: str
    smoothing: float
    normalise: Normalise
    temperature: float
    labels: tuple[str, ...] = ()
    """The names of several targets."""
    by_bytes: bool = False
    has_own: bool = False
    """Whether rows of the corpus belong to a target."""

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
        warnings = self._wording().warnings(entries)
        return {
            FEATURES: features_file({**arrays, "raw": counts["raw"], **several}, settings),
            "summary.json": json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n",
            **({WARNINGS: json.dumps(warnings).encode()} if warnings else {}),
        }

    def _wording(self) -> Wording:
        return Wording(self.by_bytes, self.has_own, self.normalise, self.temperature, self.labels)

    def _whole(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """The entry of the one target, or sums and the entries of several."""
        if not self.labels:
            return entries[0]
        chosen = {unit: sum(entry["chosen"][unit] for entry in entries) for unit in ("docs", "bytes")}
        named = [{"target": label, **entry} for label, entry in zip(self.labels, entries, strict=True)]
        asked = sum(entry["asked"] for entry in entries)
        return {"candidates": entries[0]["candidates"], "asked": asked, "chosen": chosen, "targets": named}


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
