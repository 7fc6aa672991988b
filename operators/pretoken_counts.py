"""Count the pre-tokens of a corpus: one integer for each distinct piece of text, exact, in 64 bits.

The table is all that training reads of the corpus, and other steps can read it too: a step that counts in the same way
over the same rows finds it under its key and counts nothing. Nothing is pruned here, so it grows with the corpus like
n^0.6 and is exchanged by pre-token. Documents are never cut. Price: `kernels/pretokenize.py`.

Text is cut by a published pattern or by one of your own, and further at `boundaries`. Which code points are letters is
asked of the installed `tokenizers`; a digest of the answer is part of the counts' identity.
"""

import logging
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Outputs
from operators.document_weights import WeightedTexts, weights_of
from operators.hashing import as_labels, refuse_formless
from operators.pretokenizers import Choice, Cutting, Digits, cutting
from operators.text_buffers import one_text_array

GROUP = "group"
"""string: the group that a count belongs to, where there are groups; "" for rows without one."""

_log = logging.getLogger(__name__)


class PretokenCounts(WeightedTexts):
    """How often each pre-token occurs: `pretoken: large_binary`, `count: int64`, sorted within a partition.

    With `group_by` a third column `group: string`, and a row for every pre-token and group.
    """

    pretokenizer: Choice
    digits: Digits = "pattern"
    pattern: str = ""
    boundaries: str = ""
    group_by: str = ""
    reference: str = ""
    """The reference input to count instead of the rows."""

    revision: ClassVar[int] = 2  # a row whose `repeat` is null counts once
    key: ClassVar[str] = "pretoken"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {**TEXT, **{name: pa.null() for name in (self.boundaries, self.group_by) if name}}

    @override
    def source(self) -> str:
        return f"input:{self.reference}" if self.reference else ""

    @override
    def refuse(self, columns: Columns) -> None:
        """RecipeError where the values of `group_by` have no text to group by, or `repeat` is no count."""
        super().refuse(columns)
        refuse_formless(columns, [self.group_by] if self.group_by else [])

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.pretokenize import is_scanned

        how = cutting(self.pretokenizer, self.digits, self.pattern)
        if not is_scanned(how):
            _log.warning("pattern %r is beyond our scanner: the regex engine cuts 4 MB/s a core, a 25th", self.pattern)

        return lambda rows: by_group(rows, self.group_by, lambda some: _count(some, how, self.boundaries))

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        """The sums, sorted by pre-token and group."""
        return _summed(state)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"counts": self.merge(state)}


def by_group(rows: pa.Table, column: str, count: BatchFn) -> pa.Table:
    """The counts of the rows of each value of a column, with that value; without a column, of all rows."""
    if not column:
        return count(rows)
    labels = pc.fill_null(as_labels(rows[column]), "")
    groups = pc.unique(labels).sort().to_pylist() or [""]
    return pa.concat_tables(_in_group(count(rows.filter(pc.equal(labels, group))), group) for group in groups)


def _summed(counts: pa.Table) -> pa.Table:
    """Each pre-token (in each group) once, sorted."""
    from operators.kernels.count_tables import add_up

    names, groups = pa.array([], pa.string()), None
    if GROUP in counts.column_names:
        labels = counts[GROUP].combine_chunks()
        names = pc.unique(labels).sort()
        groups = pc.index_in(labels, names).to_numpy()
    words = pa.concat_arrays([pa.array([], pa.large_binary()), *counts["pretoken"].cast(pa.large_binary()).chunks])
    added = add_up(words, counts["count"].to_numpy(), groups)
    summed = pa.table({"pretoken": added.words, "count": added.counts})
    return summed if groups is None else summed.append_column(GROUP, names.take(pa.array(added.groups)))


def total_counts(counts: pa.Table) -> pa.Table:
    """The counts of each pre-token over all groups, in any order.

    >>> total_counts(pa.table({"pretoken": [b"a", b"a"], "count": [1, 2], "group": ["x", "y"]})).to_pylist()
    [{'pretoken': b'a', 'count': 3}]
    """
    if GROUP not in counts.column_names:
        return counts
    return _summed(counts.drop_columns([GROUP]))


def _count(rows: pa.Table, how: Cutting, boundaries: str) -> pa.Table:
    from operators.boundaries import cut_places
    from operators.kernels.pretokenize import count

    texts = one_text_array(rows["text"])
    cuts = cut_places(texts, rows[boundaries], rows["id"]) if boundaries else None
    pretokens, totals = count(texts, weights_of(rows), how, cuts)
    return pa.table({"pretoken": pretokens, "count": pa.array(totals, pa.int64())})


def _in_group(counts: pa.Table, group: str) -> pa.Table:
    return counts.append_column(GROUP, pa.repeat(pa.scalar(group, pa.string()), counts.num_rows))
