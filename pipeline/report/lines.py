"""The lines or paragraphs that took up most of what was removed: the head of the table `top` of such a step."""

from __future__ import annotations

from typing import Any, Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import Column, code, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, size, text

SHOWN: Final = 12
LARGEST: Final = 4_000_000
"""Bytes of a table that the page opens; `top` has 1,000 rows of at most 300 bytes of text."""
EXCERPT: Final = 160
COLUMNS: Final = ("excerpt", "first_id", "documents", "occurrences", "removed_bytes")


def repeated_lines(run: Facts, step: Step) -> str:
    """The table; empty where the step left none."""
    rows = _top(run, step)
    if not rows:
        return ""
    most = max(row["removed_bytes"] for row in rows)
    columns = [Column("text"), Column('<span class="unseen">bar</span>'), Column("removed", True)]
    columns += [Column("documents", True), Column("copies", True), Column("first in")]
    cells = [
        [
            f'<span class="snippet" dir="auto">{text(_shortened(str(row["excerpt"])))}</span>',
            bar([Segment(row["removed_bytes"], "would" if step.is_audited else "lost")], most, ""),
            size(row["removed_bytes"]),
            count(row["documents"]),
            count(row["occurrences"]),
            code(row["first_id"]),
        ]
        for row in rows
    ]
    return table("What took up most of the removed text", columns, cells, kind="bars top")


def _top(run: Facts, step: Step) -> list[dict[str, Any]]:
    """The first rows of `top.parquet`, which has the worst first; none where it cannot be read."""
    name = next((name for name in step.artifacts if name.endswith("/top.parquet")), "")
    if not name or run.manifest.get("files", {}).get(name, {}).get("bytes", 0) > LARGEST:
        return []
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(pa.BufferReader(run.read(name)), columns=list(COLUMNS)).slice(0, SHOWN)
    except (OSError, KeyError, ValueError):  # As `Facts.json`; Arrow's errors are ValueErrors, or OSErrors.
        return []
    rows: list[dict[str, Any]] = found.to_pylist()
    return [row for row in rows if row["removed_bytes"] > 0]


def _shortened(line: str) -> str:
    """A line without its inner layout, its end left out where it is long.

    >>> _shortened("a  b"), len(_shortened("x" * 500))
    ('a b', 160)
    """
    joined = " ".join(line.split())
    return joined if len(joined) <= EXCERPT else f"{joined[: EXCERPT - 1]}\u2026"
