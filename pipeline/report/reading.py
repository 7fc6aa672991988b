"""The manifest as the page reads it: steps with their bounds, sums, and files. What is missing counts as nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pipeline.thresholds import Bound as Tried

Read = Callable[[str], bytes]
Pair = tuple[int, int]

ALIKE: Final = "minhash_dedup"
"""The kind of step that drops by the similarity of two documents: no rule over the scores of one can say so."""
SIMILARITY: Final = "similarity"
"""Its score: to the document that stays."""
LINKED: Final = "linked with a better one; similarity is an estimate"
"""What drops where `verify` is `none`."""


@dataclass(frozen=True)
class Bound:
    """A rule that drops rows whose score lies outside [low, high]; `is_inclusive`: also those at `high`.

    `note`: what drops, in words, where the score only accompanies the verdict and has no bound.
    """

    rule: str
    score: str
    low: float | None = None
    high: float | None = None
    is_inclusive: bool = False
    note: str = ""


@dataclass(frozen=True)
class Step:
    """A step of the run: what went in, what came out, and why the rest did not."""

    name: str
    kind: str
    rows_in: int
    rows_out: int
    bytes_in: int
    bytes_out: int
    seconds: float
    bytes_rewritten: int = 0
    rows_computed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    audited: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, Sequence[int]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    examples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()
    tried: tuple[Tried, ...] = ()
    spreads: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]] = field(default_factory=dict)
    score_bytes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_audited: bool = False

    @property
    def is_estimated(self) -> bool:
        """Whether it drops what is linked, without looking at the texts: similarity is estimated, and has no bound."""
        return self.parameters.get("verify") == "none"

    @property
    def num_dropped(self) -> int:
        """Rows that the step removed."""
        return sum(self.dropped.values())

    @property
    def num_audited(self) -> int:
        """Rows that the step would remove if it were not audited."""
        return sum(self.audited.values())


@dataclass(frozen=True)
class Facts:
    """What every section reads."""

    manifest: Mapping[str, Any]
    steps: tuple[Step, ...]
    read: Read

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows read, kept, dropped, quarantined."""
        found: Mapping[str, int] = self.manifest.get("rows", {})
        return {name: found.get(name, 0) for name in ("read", "kept", "dropped", "quarantined")}

    @property
    def bytes_read(self) -> int:
        """Text of the corpus inputs after ingest."""
        if self.steps:
            return self.steps[0].bytes_in
        return sum(entry.get("bytes", 0) for entry in self.manifest.get("inputs", ()))

    @property
    def bytes_kept(self) -> int:
        """Text of the published corpus."""
        return sum(size for _, size in self.kept("by_source").values())

    def kept(self, group: str) -> dict[str, Pair]:
        """Documents and bytes of the published corpus, by source or by language."""
        found = self.manifest.get("kept", {}).get(group, {})
        return {name: (rows, size) for name, (rows, size) in sorted(found.items())}

    def role(self, name: str) -> str:
        """What the input of that name is for: corpus or reference."""
        given = self.manifest.get("recipe", {}).get("inputs", ())
        return next((str(entry.get("role", "corpus")) for entry in given if entry.get("name") == name), "corpus")

    def json(self, name: str) -> object:
        """A published JSON file, or None where it cannot be read: the page then does without."""
        try:
            found: object = json.loads(self.read(name))
        except (OSError, KeyError, ValueError):
            return None
        return found


def facts_of(manifest: Mapping[str, Any], read: Read) -> Facts:
    """Bring the manifest into the page's form."""
    parameters = {}
    for given in manifest.get("recipe", {}).get("steps", ()):
        parameters[given.get("name") or given.get("kind", "")] = given
    steps = tuple(_step(entry, parameters.get(entry["name"], {})) for entry in manifest.get("steps", ()))
    return Facts(manifest, steps, read)


def _step(entry: Mapping[str, Any], parameters: Mapping[str, Any]) -> Step:
    plain = {
        name: entry.get(name, 0)
        for name in ("rows_in", "rows_out", "bytes_in", "bytes_out", "seconds", "bytes_rewritten", "rows_computed")
    }
    names = ("dropped", "audited", "sources", "scores", "examples", "spreads", "score_bytes")
    tables = {name: entry.get(name, {}) for name in names}
    stated = tuple(
        Bound(rule["name"], rule["score"], rule.get("low"), rule.get("high")) for rule in entry.get("rules", ())
    )
    step = Step(
        name=entry["name"],
        kind=entry.get("kind", ""),
        tried=tuple(Tried.from_json(tried) for tried in entry.get("thresholds", ())),
        artifacts=tuple(sorted(entry.get("artifacts", ()))),
        parameters=parameters,
        is_audited=bool(parameters.get("audit")) or bool(entry.get("audited")),
        **plain,
        **tables,
    )
    return replace(step, bounds=stated or _alike(step))


def _alike(step: Step) -> tuple[Bound, ...]:
    """The bound of a step that keeps one of several documents alike: what reaches it drops, or all that is linked.

    Of any other step without stated rules it is not known which score decided.
    """
    if step.kind != ALIKE or SIMILARITY not in step.scores:
        return ()
    rules = sorted({**step.dropped, **step.audited})
    only = rules[0] if len(rules) == 1 else ""
    if step.is_estimated:
        return (Bound(only, SIMILARITY, note=LINKED),)
    return (Bound(only, SIMILARITY, None, step.parameters.get("threshold"), is_inclusive=True),)


def top(values: Mapping[str, Pair], most: int) -> tuple[list[tuple[str, Pair]], list[tuple[str, Pair]]]:
    """The largest entries by their first number, and all others; ties by name.

    >>> top({"a": (1, 0), "b": (3, 0), "c": (3, 0)}, 1)
    ([('b', (3, 0))], [('c', (3, 0)), ('a', (1, 0))])
    """
    ranked = sorted(values.items(), key=lambda item: (-item[1][0], item[0]))
    if len(ranked) == most + 1:  # a last line for one entry would hide no more than it shows
        return ranked, []
    return ranked[:most], ranked[most:]


def total(pairs: Sequence[tuple[str, Pair]]) -> Pair:
    """The sums of both numbers.

    >>> total([("a", (1, 10)), ("b", (2, 20))])
    (3, 30)
    """
    return sum(rows for _, (rows, _) in pairs), sum(size for _, (_, size) in pairs)
