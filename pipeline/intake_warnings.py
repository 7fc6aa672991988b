"""What to say of rows that became no document: bad ones, and those whose id an earlier row has.

Every corpus has a few of them, which the manifest counts. A warning is due where they are more than a few: then a
setting may be wrong, such as an `id` that is the same in all rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from operators.base import Judge
from pipeline.identities import DUPLICATE_ID
from pipeline.plan import INGEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.ledger import NodeCounts
    from pipeline.run import Runner

FEW: Final = 1 / 200
"""The share of an input's rows that may be left out without a warning."""


def left_out(runner: Runner) -> list[str]:
    """How many rows of a run were left out, and why, where they are more than a few: by input, then repeated ids."""
    said = []
    for record in runner.inputs:
        if _is_many(record.quarantined.total(), record.rows_read):
            causes = ", ".join(f"{number:,} {cause}" for cause, number in sorted(record.quarantined.items()))
            some = f"{record.quarantined.total():,} of {record.rows_read:,} rows of input {record.name!r}"
            said.append(f"{some} were left out ({causes})")
    corpora = {entry.name for entry in runner.recipe.inputs if entry.role == "corpus"}
    read = sum(record.rows_read for record in runner.inputs if record.name in corpora)
    repeated = num_repeated(runner)
    if _is_many(repeated, read):
        (example, *_) = [each for counts in _of_ids(runner) for each in counts.examples.get(DUPLICATE_ID, [])]
        which = (
            "was left out: an earlier row has its id" if repeated == 1 else "were left out: earlier rows have their ids"
        )
        said.append(
            f"{repeated:,} of {read:,} rows {which}, for instance {example['id']!r} of source {example['source']!r}; "
            "let the column of ids be one that differs in all rows"
        )
    return said


def num_repeated(runner: Runner) -> int:
    """The rows that were left out because an earlier one has their id."""
    return sum(counts.dropped.total() for counts in _of_ids(runner))


def _of_ids(runner: Runner) -> Iterable[NodeCounts]:
    nodes = [runner.plan.nodes[name] for name in runner.counts]
    return [runner.counts[node.name] for node in nodes if node.step == INGEST and isinstance(node.operator, Judge)]


def _is_many(number: int, rows: int) -> bool:
    return number > FEW * rows
