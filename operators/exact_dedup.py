"""Remove all but one of the documents with the same content.

Each document becomes a 128-bit digest and what decides who stays: about 70 bytes of state for a document of any length,
exchanged by digest, so no worker sees more than its partition. Near-duplicates are `minhash_dedup`'s work.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, BatchFn, Columns, Context, Fold, Map, Outputs, Repeat
from operators.dedup import Dedup, Lost
from operators.duplicate_summary import summary_stages
from operators.hashing import Normalisation, content_digests, refuse_formless
from operators.survivors import best_first, candidate_needs, candidates


class ExactDedup(Dedup):
    """Keep one document of every set with equal content; the others are dropped by the rule `duplicate`.

    The survivor is the one whose source comes first in `priority`, then the longest text, then the smallest id. A row
    whose column is null equals no other row and is kept. `whitespace_case` compares after lower-casing and collapsing
    white space to single spaces.
    """

    kind: Literal["exact_dedup"] = "exact_dedup"
    column: str = Field(default="text", min_length=1, description="the column whose equality makes a duplicate")
    normalise: Normalisation = "none"

    @override
    def needs(self) -> Columns:
        return _needs(self.column, self.priority)

    def refuse(self, columns: Columns) -> None:
        """RecipeError where the column's content cannot be compared."""
        refuse_formless(columns, [self.column], allow_binary=self.normalise == "none")

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        groups = EqualContent(name="groups", column=self.column, normalise=self.normalise, priority=self.priority)
        shown = summary_stages("groups", "_clusters", reads_text=False)
        return groups, *shown, Lost(name="verdict", rejects="duplicate", of="groups", **self.gates())


class EqualContent(Fold):
    """Rows by the digest of one column, to `_rows`: for every document that is not its set's survivor, the survivor.

    `_clusters` has all documents of every set of more than one, in the form of `clusters` of `minhash_dedup`.
    """

    column: str
    normalise: Normalisation
    priority: tuple[str, ...]

    revision: ClassVar[int] = 2  # `whitespace_case` compares by the pinned normal form, not by Python's
    key: ClassVar[str] = "digest"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return _needs(self.column, self.priority)

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            given = rows.filter(pc.is_valid(rows[self.column]))
            digests = content_digests(given[self.column], self.normalise)
            state = candidates(given, self.priority)
            state = state.append_column("digest", pa.array(digests[:, 0]))
            return state.append_column("digest_rest", pa.array(digests[:, 1]))

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        found = equals(state)
        lost = found.filter(pc.equal(found["status"], "removed"))
        rows = lost.select([SHARD, ROW, "survivor_id"]).rename_columns([SHARD, ROW, "survivor"])
        order = [("cluster_id", "ascending"), ("id", "ascending")]
        return {ROWS: rows, "_clusters": found.drop_columns([SHARD, ROW]).sort_by(order)}


def equals(state: pa.Table) -> pa.Table:
    """Every row whose digest another row has: `_shard, _row, id, cluster_id, survivor_id, similarity, status`."""
    digest, rest = state["digest"].to_numpy(), state["digest_rest"].to_numpy()
    order = np.lexsort((rest, digest))
    follows = _equals_predecessor(digest[order], rest[order])
    # Most documents are unique: only the others are worth the sort by id.
    shared = follows | np.append(follows[1:], np.zeros(min(1, follows.size), bool))
    ranked = best_first(state.take(pa.array(order[shared])), "digest", "digest_rest")
    lost = _equals_predecessor(ranked["digest"].to_numpy(), ranked["digest_rest"].to_numpy())
    survivor = ranked["id"].take(pa.array(np.maximum.accumulate(np.where(lost, 0, np.arange(lost.size)))))
    return pa.table(
        {
            **{name: ranked[name] for name in (SHARD, ROW, "id")},
            "cluster_id": survivor,
            "survivor_id": survivor,
            "similarity": np.ones(lost.size),
            "status": pa.array(["survivor", "removed"]).take(pa.array(lost.astype(np.int8))),
        }
    )


def _needs(column: str, priority: tuple[str, ...]) -> Columns:
    return {column: pa.null(), **candidate_needs(priority)}


def _equals_predecessor(digest: npt.NDArray[np.uint64], rest: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    equal = np.zeros(digest.size, bool)
    equal[1:] = (digest[1:] == digest[:-1]) & (rest[1:] == rest[:-1])
    return equal
