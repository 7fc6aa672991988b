"""The documents that may be near-duplicates of each other, component by component: who stays, and what becomes of all.

A fold over the rows that joins each document's component. A linked document brings the shingles of its whole text (or,
where nothing is verified, its signature); one that is linked with nobody brings its id. Partial states are exchanged by
component, so a worker holds whole components and never the corpus.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, BatchFn, Columns, Context, Fold, Outputs, Resources
from operators.groups import starts_of
from operators.minhash import Scheme
from operators.shingles import Shingling, Unit
from operators.survivors import best_first, candidate_needs, candidates
from operators.text_buffers import joined_bytes, one_array
from operators.verification import Likeness, Places, elect

Verify = Likeness | Literal["none"]
Values = npt.NDArray[np.uint32] | npt.NDArray[np.uint64]

VALUE_BYTES: Final[dict[Scheme, int]] = {"fast": 4, "affine32": 4, "datatrove": 8}
"""Bytes of a signature's value."""
SIGNATURE: Final = "_signature"
"""The step's own column of signatures."""
STATUS: Final = ("alone", "survivor", "removed")


class Members(Fold):
    """Choose who stays in each component.

    Leaves `_rows`, for every document that goes its survivor and the similarity to it; `clusters`, a row for every
    document there is; and `_counts`, one row of sums.
    """

    unit: Unit
    ngram: int
    scheme: Scheme
    threshold: float
    verify: Verify
    priority: tuple[str, ...]
    width: int

    revision: ClassVar[int] = 2  # every sigma is one letter
    key: ClassVar[str] = "component"
    partitioned: ClassVar[bool] = True
    resources: ClassVar[Resources] = Resources(memory_mb=1024)

    @override
    def joins(self) -> str:
        return "links"

    @override
    def needs(self) -> Columns:
        signature = {SIGNATURE: pa.binary(self.width)} if self.verify == "none" else {}
        return {**candidate_needs(self.priority), **signature}

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            linked = pc.is_valid(rows["component"])
            state = candidates(rows, self.priority).append_column("linked", linked)
            keys = pc.coalesce(rows["component"], _keys_of(one_array(state["id"])))
            return state.append_column("component", keys).append_column("content", self._content(rows, linked))

        return partial

    def _content(self, rows: pa.Table, linked: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        if self.verify == "none":
            return pc.if_else(linked, rows[SIGNATURE], pa.nulls(1, pa.binary(self.width))[0])
        from operators.shingles import shingle_sets

        sets = shingle_sets(one_array(rows["text"].filter(linked)), shingling_of(self.unit, self.ngram, self.scheme))
        sizes = np.zeros(rows.num_rows + 1, np.int64)
        sizes[1:][linked.to_numpy(zero_copy_only=False)] = np.diff(sets.offsets)
        return pa.LargeListArray.from_arrays(pa.array(np.cumsum(sizes)), pa.array(sets.hashes))

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        survivor, similarity = self._elected(state)
        ids = one_array(state["id"])
        gone = pa.array(survivor != np.arange(survivor.size))
        chosen = {"survivor": ids.take(pa.array(survivor)), "survivor_similarity": pa.array(similarity)}
        lost = pa.table({SHARD: state[SHARD], ROW: state[ROW], **chosen}).filter(gone)
        clusters = clusters_of(ids, survivor, similarity)
        return {ROWS: lost, "clusters": clusters, "_counts": _counts(state, clusters)}

    def _elected(self, state: pa.Table) -> tuple[Places, npt.NDArray[np.float64]]:
        """For each row of the state its survivor's row and the similarity to it; for one that is not linked itself."""
        survivor, similarity = np.arange(state.num_rows), np.ones(state.num_rows)
        linked = np.flatnonzero(state["linked"].to_numpy())
        if not linked.size:
            return survivor, similarity
        small = state.drop_columns(["content"]).append_column("place", pa.array(survivor)).take(pa.array(linked))
        ranked = best_first(small, "component")
        place, label = ranked["place"].to_numpy(), ranked["component"].to_numpy()
        starts = np.append(np.flatnonzero(starts_of(label)), label.size)
        best, alike = self._in_components(state["content"], place, starts)
        survivor[place], similarity[place] = place[best], alike
        return survivor, similarity

    def _in_components(
        self, content: pa.ChunkedArray, place: Places, starts: Places
    ) -> tuple[Places, npt.NDArray[np.float64]]:
        if self.verify != "none":
            lists = one_array(content)
            offsets, hashes = lists.offsets.to_numpy(), lists.values.to_numpy()
            return elect(hashes, offsets[place], offsets[place + 1], starts, self.threshold, self.verify)
        values = signatures_of(content, self.scheme)
        best = np.repeat(starts[:-1], np.diff(starts))
        return best, (values[place] == values[place[best]]).mean(axis=1)


def clusters_of(ids: pa.Array, survivor: Places, similarity: npt.NDArray[np.float64]) -> pa.Table:
    """A row for every document; sorted by cluster, whose name is its smallest id, then id.

    >>> rows = clusters_of(pa.array(["c", "b", "a"]), np.array([0, 0, 2]), np.array([1.0, 0.9, 1.0])).to_pylist()
    >>> [(row["id"], row["cluster_id"], row["status"]) for row in rows]
    [('a', 'a', 'alone'), ('b', 'b', 'removed'), ('c', 'b', 'survivor')]
    """
    by_id = pc.sort_indices(ids).to_numpy().astype(np.int64)
    rank = np.empty(by_id.size, np.int64)
    rank[by_id] = np.arange(by_id.size)
    least = rank.copy()
    np.minimum.at(least, survivor, rank)
    size = np.bincount(survivor, minlength=survivor.size)
    itself = survivor == np.arange(survivor.size)
    status = np.where(itself, np.where(size > 1, 1, 0), 2)
    named = least[survivor]
    order = pa.array(np.lexsort((rank, named)))
    table = pa.table(
        {
            "id": ids,
            "cluster_id": ids.take(pa.array(by_id[named])),
            "survivor_id": ids.take(pa.array(survivor)),
            "similarity": pa.array(similarity),
            "status": pa.array(STATUS).take(pa.array(status)),
        }
    )
    return table.take(order)


def shingling_of(unit: Unit, ngram: int, scheme: Scheme) -> Shingling:
    """What two documents are compared by: the reference's own words where signatures must equal the reference's."""
    if scheme == "datatrove":
        return Shingling("word", ngram, "datatrove-0.10")
    return Shingling(unit, ngram, "standard")


def value_type(scheme: Scheme) -> str:
    """How a signature's values lie in its bytes."""
    return f"<u{VALUE_BYTES[scheme]}"


def packed(values: Values, valid: npt.NDArray[np.bool_]) -> pa.Array:
    """Signatures as a column of bytes, null where not valid."""
    width = values.shape[1] * values.itemsize
    mask = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.binary(width), valid.size, [mask, pa.py_buffer(np.ascontiguousarray(values))])


def signatures_of(column: pa.ChunkedArray, scheme: Scheme) -> Values:
    """The signatures (rows, values) that a column of bytes holds; what lies under a null is anything."""
    array = one_array(column)
    width = array.type.byte_width
    data = np.frombuffer(array.buffers()[1] or b"", np.uint8)[
        array.offset * width : (array.offset + len(array)) * width
    ]
    values: Values = data.view(value_type(scheme)).reshape(len(array), width // VALUE_BYTES[scheme])
    return values


def _keys_of(ids: pa.Array) -> pa.Array:
    from operators.hashing import mix64
    from operators.kernels.verify import fnv1a

    return pa.array(mix64(fnv1a(*joined_bytes(ids))))


def _counts(state: pa.Table, clusters: pa.Table) -> pa.Table:
    """Documents, those linked with any, their components, and the clusters of more than one with what goes of them."""
    linked = state.filter(state["linked"])
    counts = {
        "documents": state.num_rows,
        "linked": linked.num_rows,
        "components": pc.count_distinct(linked["component"]).as_py(),
        "clusters": pc.sum(pc.equal(clusters["status"], "survivor")).as_py() or 0,
        "removed": pc.sum(pc.equal(clusters["status"], "removed")).as_py() or 0,
    }
    return pa.table({name: pa.array([count], pa.int64()) for name, count in counts.items()})
