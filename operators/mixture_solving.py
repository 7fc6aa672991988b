"""The stage of `infer_mixture` that solves for the mixture, and says what it could not explain.

`operators/mixture_program.py` has the program, `operators/mixture_replay.py` the counts that it is made of.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import override

from operators.base import WARNINGS, Context, DataError, Outputs, RunError, TableFold
from operators.byte_alphabet import to_characters
from operators.mixture_comparison import compared, complaint, trained_shares
from operators.mixture_intervals import MixtureIntervals
from operators.mixture_program import LEVELS, Limits, MixtureProgram, Solution, pairs_at_first
from operators.mixture_replay import ABOUT, read_changes
from operators.mixture_verdict import Range, is_trusted, verdict
from operators.mixtures import FILE

Floats = NDArray[np.float64]

INTERVAL: Final = (0.025, 0.975)
"""The quantiles that a bootstrap's interval lies between."""
CHEAP: Final = 10_000
"""Categories times rows up to which the verdict has the ranges looked at, also where nobody asks for them."""
LOOKED_AT: Final = 0.01
"""By what share the objective may be larger over these."""
CUT: Final = 0.005
"""Share of the merges that a pattern may cut, as for tokens that an author put in by hand."""
SHOWN: Final = 20
"""Violations, and missing merges, that are listed."""


class Solve(TableFold):
    """The mixture of what a replay left."""

    by: str
    tolerance_ppm: float
    within: float | None = None
    """By what share the objective may be larger over the range of each category; None: no ranges."""
    resamples: int = 0
    """Of the bootstrap over merges; 0: none."""
    trained: str = ""
    """The step that trained the tokenizer, where what was inferred is compared with its `training.json`."""
    max_difference: float = 0.0
    """In percentage points; larger ones are warned of."""

    revision: ClassVar[int] = 6  # resamples begin at the solution that was found

    @override
    def source(self) -> str:
        return "stage:replay/_merges"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("replay", self.trained) if self.trained else ("replay",)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        replayed = context.artifacts["replay"]
        about = json.loads(replayed.read(ABOUT))
        changes = read_changes(replayed, about)
        tokens = [_written(token, about["of_characters"]) for token in replayed.table("_tokens")["token"].to_pylist()]
        names, num_bytes = about["categories"], np.array(about["bytes"], np.int64)
        pairs = pairs_at_first(changes, len(names))
        empty = [repr(name) for name, number in zip(names, pairs.tolist(), strict=True) if number <= 0]
        if empty:
            msg = f"{self.by} {', '.join(empty)}: no text there has two tokens beside each other that could be merged"
            raise DataError(f"{msg}: give it more text, or leave it out")
        program = MixtureIntervals(changes, len(names), Limits())
        solutions = list(program.solve(levels_to(self.tolerance_ppm)))
        if not solutions:
            msg = f"the first level ({LEVELS[0]:g} ppm) was not finished within {program.limits}"
            raise RunError(f"{msg}: the categories do not explain this tokenizer, or their texts are too short")
        intervals, looked_at, failed = self._intervals(program, solutions, num_bytes)
        listed = replayed.table("_merges")
        merges = np.stack([listed["left"].to_numpy(), listed["right"].to_numpy()], axis=1)
        found = described(self.by, about, solutions, program, tokens, merges, looked_at)
        found["tolerance_asked_ppm"] = self.tolerance_ppm
        lines = [*warnings(found, self.tolerance_ppm), *nameless(self.by, about["without"]), *failed]
        for entry, ends in zip(found["categories"].values(), intervals, strict=True):
            entry.update(ends)
        if self.trained:
            shares = trained_shares(context.artifacts[self.trained].read("training.json"), self.by)
            found = compared(found, shares, self.max_difference, program)
            lines += [line for line in [complaint(found, self.trained)] if line]
        outputs: Outputs = {FILE: (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()}
        return {**outputs, **({WARNINGS: json.dumps(lines).encode()} if lines else {})}

    def _intervals(
        self, program: MixtureIntervals, solutions: list[Solution], num_bytes: NDArray[np.int64]
    ) -> tuple[list[dict[str, list[float]]], Floats | None, list[str]]:
        """The intervals that are asked for, the ranges that the verdict looks at, and what to warn of."""
        try:
            intervals = intervals_of(program, solutions, num_bytes, self.within, self.resamples)
        except RuntimeError as error:
            return [{} for _ in num_bytes], None, [f"there are no intervals: one of them was {error}"]
        if self.within is not None:
            return intervals, np.array([entry["range"] for entry in intervals]), []
        return intervals, quick_ranges(program, solutions, num_bytes), []


def quick_ranges(program: MixtureIntervals, solutions: list[Solution], num_bytes: NDArray[np.int64]) -> Floats | None:
    """Ranges that nobody asked for, for the verdict; None where they would take long, by the size of the program."""
    best, size = solutions[-1], len(num_bytes)
    if size == 1 or program.rounds > best.rounds or size * best.rows > CHEAP:
        return None
    try:
        return program.ranges(best, LOOKED_AT, num_bytes / program.num_pairs)
    except RuntimeError:
        return None


def levels_to(tolerance: float) -> list[float]:
    """The tolerances to solve for, one after another, down to the one that is wanted.

    >>> levels_to(3.0)
    [5000.0, 1000.0, 200.0, 50.0, 20.0, 5.0, 3.0]
    """
    return [*(level for level in LEVELS if level > tolerance), tolerance]


def byte_shares(pair_shares: Floats, num_bytes: NDArray[np.int64], num_pairs: Floats) -> Floats:
    """Shares of bytes for shares of pairs, by the bytes per pair of each category."""
    weighted = pair_shares * num_bytes / num_pairs
    shares: Floats = weighted / weighted.sum()
    return shares


def intervals_of(
    program: MixtureIntervals,
    solutions: list[Solution],
    num_bytes: NDArray[np.int64],
    within: float | None,
    resamples: int,
) -> list[dict[str, list[float]]]:
    """For each category the intervals that are asked for, by name, of its share of bytes.

    A program that was given up at a further level has rows that its last solution violates, so one is made anew that
    ends at that solution's level. Resamples begin at the solution, so they come before the ranges, which leave it.
    RuntimeError where an interval is not found within the limits.
    """
    intervals: list[dict[str, list[float]]] = [{} for _ in num_bytes]
    best = solutions[-1]
    if (within is not None or resamples) and program.rounds > best.rounds:
        program = MixtureIntervals(program.changes, len(num_bytes), program.limits)
        *_, best = program.solve([solution.tolerance for solution in solutions])
    if resamples:
        shares = [
            byte_shares(one, num_bytes, program.num_pairs) for one in program.resampled(best.tolerance, resamples)
        ]
        low, high = np.quantile(np.array(shares), INTERVAL, axis=0)
        for entry, pair in zip(intervals, np.stack([low, high], axis=1).tolist(), strict=True):
            entry["bootstrap"] = pair
    if within is not None:
        ends = program.ranges(best, within, num_bytes / program.num_pairs)
        for entry, pair in zip(intervals, ends.tolist(), strict=True):
            entry["range"] = pair
    return intervals


def described(
    by: str,
    about: dict[str, Any],
    solutions: list[Solution],
    program: MixtureProgram,
    tokens: list[str],
    listed: NDArray[np.int64],
    looked_at: Floats | None = None,
) -> dict[str, Any]:
    """What `mixture.json` says."""
    best, changes = solutions[-1], program.changes
    num_bytes = np.array(about["bytes"], np.int64)
    shares = byte_shares(best.shares, num_bytes, program.num_pairs)
    frequency = program.frequencies(best.shares)
    missing = np.flatnonzero(changes.merged < 0)
    merges = {**about["merges"], "missing": len(missing)}
    ranges = None
    if looked_at is not None:
        ends = zip(about["categories"], shares.tolist(), *looked_at.T.tolist(), strict=True)
        ranges = [Range(*entry) for entry in ends]
    return {
        "by": by,
        "tokenizer_sha256": about["tokenizer_sha256"],
        "categories": {
            name: {
                "bytes": float(shares[place]), "pairs": float(best.shares[place]),
                "text_bytes": int(num_bytes[place]), "text_pairs": int(program.num_pairs[place]),
            }
            for place, name in enumerate(about["categories"])
        },
        "tolerance_ppm": best.tolerance,
        "objective": best.objective,
        **verdict(program, solutions, len(missing), ranges).to_json(),
        "merges": merges,
        "program": {"rows": best.rows, "rounds": best.rounds, "iterations": best.iterations,
                    "levels": {f"{one.tolerance:g}": one.objective for one in solutions}},
        "violations": _violations(best, program, tokens, frequency),
        "missing": [_missing(listed[place], tokens, merges["skipped"] + int(place)) for place in missing[:SHOWN]],
    }  # fmt: skip


def warnings(found: dict[str, Any], wanted: float) -> list[str]:
    """What a person should know of a result."""
    lines = []
    if found["tolerance_ppm"] > wanted:
        lines.append(
            f"solved to {found['tolerance_ppm']:g} ppm and not to {wanted:g}: the next level takes more rows or "
            "iterations than are allowed, as the categories' texts are few or unlike those of the tokenizer"
        )
    cut, used = found["merges"].get("cut", 0), found["merges"]["used"]
    if cut > CUT * used:
        lines.append(
            f"{cut:,} of {used:,} merges make tokens that the named pretokenizer cuts, so they stand in no text: is it "
            "the one that this tokenizer was trained with?"
        )
    return [*lines, *([] if is_trusted(found) else [found["verdict"]])]


def nameless(by: str, without: dict[str, Any]) -> list[str]:
    """What to warn of where text has no value of the column.

    >>> nameless("lang", {"bytes": 1234, "shared": False})
    ["1,234 bytes of text have no 'lang': they are the category 'null'"]
    """
    if not without["bytes"]:
        return []
    shared = f", together with what has the {by} 'null'" if without["shared"] else ""
    return [f"{without['bytes']:,} bytes of text have no {by!r}: they are the category 'null'{shared}"]


def _violations(best: Solution, program: MixtureProgram, tokens: list[str], frequency: Floats) -> list[dict[str, Any]]:
    """The largest slacks in words, by size."""
    changes = program.changes
    size = np.concatenate([best.merge_slack, best.pair_slack])
    found = []
    for place in np.argsort(-size, kind="stable")[:SHOWN]:
        if size[place] <= best.tolerance:
            break
        is_merge = place < len(best.merge_slack)
        pair = changes.merged[place] if is_merge else place - len(best.merge_slack)
        left, right = (tokens[token] for token in changes.pairs[pair])
        token = left + right
        if is_merge:
            ppm = float(frequency[place])
            times = f"{(ppm + size[place]) / ppm:.3g} times as frequent" if ppm > 0 else "in the text at all"
            said = (
                f"merges `{token}` far earlier than any mixture of the categories explains: it would have to be {times}"
            )
            rank: int | None = int(place)
        else:
            merged = np.flatnonzero(changes.merged == pair)
            rank = int(merged[0]) if len(merged) else None
            when = "never" if rank is None else f"as merge {rank + 1:,}"
            said = f"merges `{token}` {when}, far later than its frequency in the categories explains"
        found.append(
            {"pair": [left, right], "merge": rank, "ppm": float(size[place]), "says": f"this tokenizer {said}"}
        )
    return found


def _missing(merge: NDArray[np.int64], tokens: list[str], rank: int) -> dict[str, Any]:
    return {"merge": rank, "pair": [tokens[token] for token in merge.tolist()]}


def _written(token: bytes, of_characters: bool) -> str:
    """A token as its tokenizer's file has it."""
    return token.decode("utf-8", "replace") if of_characters else to_characters(token)
