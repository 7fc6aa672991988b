"""What `importance_resample` warns of: nothing or too little to choose from, a bad choice, degenerate weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from operators.importance_ends import LADDER
from operators.importance_weights import Normalise

DEGENERATE: Final = 0.1
"""The run warns where the effective sample size is below this share of the documents chosen."""
TOLERANCE: Final = 0.01
"""By how much of what was asked a choice may miss it before the run warns; as `mix`."""

Entry = Mapping[str, Any]


def is_degenerate(entry: Entry, temperature: float) -> bool:
    """Whether chance decided next to nothing, though it was asked to and there was something to decide."""
    chosen = entry["chosen"]["docs"]
    is_choice = temperature and chosen < entry["candidates"]["docs"]
    return bool(is_choice and entry["effective_sample_size"] < DEGENERATE * chosen)


@dataclass(frozen=True)
class Wording:
    """What the sentences need to know of the step. `labels` are the names of several targets."""

    by_bytes: bool
    has_own: bool
    normalise: Normalise
    temperature: float
    labels: tuple[str, ...]

    def warnings(self, entries: Sequence[Entry]) -> list[str]:
        """Sentences about the entries of `summary.json`, one for each target."""
        if not entries[0]["candidates"]["docs"]:
            return [self._no_candidates(entries[0])]
        found = []
        for number, entry in enumerate(entries):
            target = f" target {self.labels[number]!r}" if self.labels else ""
            of, for_ = (f" {word}{target}" if target else "" for word in ("of", "for"))
            if is_degenerate(entry, self.temperature):
                found.append(self._degenerate(of, entry))
            found += [said for said in (self._unmet(for_, entry), self._farther(for_, entry)) if said]
        return found

    def _no_candidates(self, entry: Entry) -> str:
        if entry["ngrams"]["raw"]:
            return "no document has the tokens that a candidate needs (min_tokens): nothing was chosen"
        if self.has_own:
            return "every document meets the condition of a target: none is a candidate, and the step did nothing"
        return "there is no document to choose from: nothing was chosen"

    def _unmet(self, of: str, entry: Entry) -> str:
        """Why less was chosen than was asked for, by more than 1 %."""
        unit = "bytes" if self.by_bytes else "docs"
        asked, chosen, there = entry["asked"], entry["chosen"], entry["candidates"]
        if chosen["docs"] and chosen[unit] >= asked * (1 - TOLERANCE):
            return ""
        if not there["docs"]:
            why = "the targets before it left no candidate"
        elif chosen["docs"] == there["docs"]:
            why = f"that is all that the {there['docs']:,} candidates have" if self.by_bytes else "there are no more"
        else:
            why = "the next document does not fit" if asked else "its share is less than a document"
        amount = f"{chosen[unit]:,}" if chosen["docs"] else "nothing"
        return f"asked for {asked:,} {unit}{of}, chose {amount}: {why}"

    def _farther(self, of: str, entry: Entry) -> str:
        before, after = entry["kl_target_from_raw"], entry["kl_target_from_chosen"]
        if not 0 < entry["chosen"]["docs"] < entry["candidates"]["docs"] or after <= before:
            return ""
        return (
            f"what was chosen{of} is farther from the target than the corpus is (KL {before:.3g} -> {after:.3g} nats): "
            "it may be too little text to tell, or the temperature too high"
        )

    def _degenerate(self, of: str, entry: Entry) -> str:
        there, chosen = entry["candidates"]["docs"], entry["chosen"]["docs"]
        return (
            f"the weights{of} are degenerate: {there:,} candidates count as {entry['effective_sample_size']:.1f}, so "
            f"chance decides next to nothing and the highest weights are taken (normalise: {self.normalise}, "
            f"temperature: {self.temperature:g}; {self._advice(entry, chosen)})"
        )

    def _advice(self, entry: Entry, chosen: int) -> str:
        if self.normalise == "document":
            return "set normalise: chunk"
        sizes: Sequence[tuple[float, float]] = [*zip(LADDER, entry["effective_sample_sizes"].values(), strict=True)]
        enough = [(at, size) for at, size in sizes if size >= DEGENERATE * chosen and at > self.temperature]
        if not enough:
            return "the target may be too small"
        return f"temperature: {enough[0][0]:g} makes it {enough[0][1]:,.1f}"
