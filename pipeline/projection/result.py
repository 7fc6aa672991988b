"""What a dry run says: numbers for programs, a table and warnings for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Certainty = Literal["sure", "rough", "guess"]
ORDER: Final[tuple[Certainty, ...]] = ("sure", "rough", "guess")


@dataclass(frozen=True)
class InputLine:
    """An input: what it holds in all, how much was read, how many documents the sample has of it."""

    name: str
    role: str
    files: int
    documents: int
    bytes: int
    share_read: float
    how: str
    sampled_documents: int
    sampled_bytes: int
    quarantined: dict[str, int]


@dataclass(frozen=True)
class StepLine:
    """A step of the whole run. `rows_low` to `rows_high` holds `rows_out` with 95 %; `seconds` adds up all workers'."""

    name: str
    kind: str
    rows_in: int
    rows_out: int
    rows_low: int
    rows_high: int
    bytes_in: int
    bytes_out: int
    dropped: dict[str, int]
    flagged: dict[str, int]
    seconds: float
    certainty: Certainty
    reason: str

    @property
    def share(self) -> float:
        """Rows out per row in."""
        return self.rows_out / self.rows_in if self.rows_in else 1.0


@dataclass(frozen=True)
class Totals:
    """The whole run. `seconds` is by the clock; `bytes_` are of text, `_mb` are MB (10^6) of memory or disk."""

    rows_read: int
    rows_quarantined: int
    rows_dropped: int
    rows_kept: int
    bytes_read: int
    bytes_kept: int
    seconds: float
    start_seconds: float
    workers: int
    peak_memory_mb: float
    work_dir_mb: float
    out_mb: float


@dataclass(frozen=True)
class Projection:
    """The projection of a recipe's whole run from a dry run on a sample."""

    recipe: str
    inputs: tuple[InputLine, ...]
    steps: tuple[StepLine, ...]
    totals: Totals
    stages: tuple[tuple[str, float], ...]
    drawn: str
    warnings: tuple[str, ...]
    took_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        content = asdict(self)
        for line, step in zip(content["steps"], self.steps, strict=True):
            line["share"] = round(step.share, 6)
            line["seconds"] = round(step.seconds, 3)
        content["stages"] = [{"label": label, "seconds": round(seconds, 3)} for label, seconds in self.stages]
        content["sample"] = {
            "documents": self.sampled,
            "bytes": sum(i.sampled_bytes for i in self.inputs),
            "drawn": self.drawn,
        }
        del content["drawn"]
        return content

    @property
    def sampled(self) -> int:
        """Documents of the corpus inputs that went through the plan."""
        return sum(line.sampled_documents for line in self.inputs if line.role == "corpus")

    def to_text(self) -> str:
        """A table of the steps, the totals, the warnings."""
        lines = [
            f"Dry run of {self.recipe!r}: {self.sampled:,} of about {count_of(self.totals.rows_read, 'document')} "
            f"in {self.took_seconds:.1f} s. Projected for the whole run:",
            "",
            *self._table(),
            "",
            *self._closing(),
        ]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        head = ("step", "rows kept", "share", "text", "work", "", "why")
        rows = [("read", f"{self.totals.rows_read:,}", "", size_text(self.totals.bytes_read), "", "", self._reading())]
        bad = self.totals.rows_quarantined
        if bad:
            kept = self.totals.rows_read - bad
            rules: dict[str, int] = {}
            for line in self.inputs:
                for rule, count in line.quarantined.items():
                    rules[rule] = rules.get(rule, 0) + count
            rows.append(
                (
                    "bad rows",
                    f"{kept:,}",
                    f"{kept / self.totals.rows_read:.1%}",
                    "",
                    "",
                    "",
                    f"quarantined: {counts_text(rules)}",
                )
            )
        for step in self.steps:
            why = "; ".join(filter(None, (_losses(step), step.reason)))
            rows.append(
                (
                    step.name,
                    f"{step.rows_out:,}",
                    f"{step.share:.1%}",
                    size_text(step.bytes_out),
                    time_text(step.seconds),
                    step.certainty,
                    why,
                )
            )
        return columns_text([head, *rows], right={1, 2, 3, 4})

    def _reading(self) -> str:
        if all(line.share_read == 1 for line in self.inputs):
            return "all inputs were read whole"
        return "; ".join(f"{line.name}: {line.how}" for line in self.inputs)

    def _closing(self) -> list[str]:
        totals = self.totals
        return [
            f"{count_of(totals.rows_kept, 'document')} kept ({size_text(totals.bytes_kept)} of text), "
            f"{totals.rows_dropped:,} dropped, {totals.rows_quarantined:,} quarantined",
            f"about {time_text(totals.seconds)} with {totals.workers} worker{'s' if totals.workers > 1 else ''} "
            f"({time_text(totals.start_seconds)} of it to start), {totals.peak_memory_mb:,.0f} MB of memory, "
            f"{totals.work_dir_mb:,.0f} MB in the work directory, {totals.out_mb:,.0f} MB of output",
            f"sample: {count_of(self.sampled, 'document')}, {size_text(sum(i.sampled_bytes for i in self.inputs))}; "
            f"{self.drawn}",
        ]


def _losses(step: StepLine) -> str:
    flagged = f"audit only: {counts_text(step.flagged)}" if step.flagged else ""
    return ", ".join(filter(None, (counts_text(step.dropped), flagged)))


def counts_text(counts: dict[str, int], most: int = 3) -> str:
    """The largest counts in words.

    >>> counts_text({"too_short": 5, "duplicate": 1200})
    'duplicate 1,200, too_short 5'
    """
    order = sorted(counts.items(), key=lambda item: -item[1])
    words = [f"{rule} {count:,}" for rule, count in order[:most]]
    rest = len(order) - most
    return ", ".join([*words, f"{rest} more rules"] if rest > 0 else words)


def size_text(size: float) -> str:
    """Bytes in a unit that leaves two or three digits.

    >>> size_text(31_971_919), size_text(512), size_text(2.5e12)
    ('32 MB', '512 B', '2.5 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if size >= 9.95 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.0f} TB" if size >= 9.95 else f"{size:.1f} TB"


def time_text(seconds: float) -> str:
    """A duration in the unit that people use for it.

    >>> [time_text(s) for s in (0.04, 8.2, 300, 7300)]
    ['0.0 s', '8.2 s', '5.0 min', '2.0 h']
    """
    if seconds < 99.5:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def columns_text(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Rows as aligned columns, two spaces apart; those in `right` flush right.

    >>> columns_text([("a", "1"), ("bc", "10")], right={1})
    ['a    1', 'bc  10']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(w) if column in right else cell.ljust(w)
            for column, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
