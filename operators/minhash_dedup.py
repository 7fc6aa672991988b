"""Remove documents that are nearly the same as one that stays, found by MinHash and locality-sensitive hashing.

Four stages. `bands`: documents that share a band of their signatures are linked (fold, exchanged by band key).
`components`: what is linked, directly or not, is one component. `members`: inside each component the best document
stays and takes along those whose estimated similarity to it is at least `threshold`; the rest choose again (fold,
exchanged by component). `verdict`: those that were taken along are rejected. So a component only nominates: nothing is
removed for resembling a neighbour's neighbour, and every removal names the survivor and the similarity to it.

Price: about 60 MB of text a second and core, 12 bytes of state per document and band, half a kilobyte per document
that shares a band with another. `components` is one task that holds 16 bytes for each of those documents. Electing in a
component is quadratic where its members do not resemble each other. Similarities are estimates with a standard
deviation of sqrt(J (1 - J) / (bands * rows)), 0.04 for 0.8 at the defaults; the text itself is not compared.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from operators.base import ROW, ROWS, SHARD, TEXT, BatchFn, Columns, Context, Fold, Map, Outputs, Repeat
from operators.components import Nodes, components
from operators.dedup import Dedup, Lost
from operators.hashing import Words, mix64
from operators.minhash import OldUnit, Values, band_keys, signatures
from operators.survivors import best_first, candidate_needs, candidates

ROW_BITS: Final = 32


class MinhashDedup(Dedup):
    """Keep one document of every set of near-duplicates; the others are dropped by the rule `near_duplicate`.

    Two documents of similarity s share a band with probability 1 - (1 - s**rows)**bands: at the defaults 0.05 for
    s = 0.5, half for 0.69, 0.92 for 0.8, 0.9996 for 0.9. `threshold` then decides on the estimate from all bands.
    The survivor is the one whose source comes first in `priority`, then the longest text, then the smallest id.
    Documents of fewer than `ngram` units are kept.
    """

    kind: Literal["minhash_dedup"] = "minhash_dedup"
    threshold: float = Field(
        default=0.8, gt=0, le=1, description="least estimated similarity to the survivor to remove"
    )
    bands: int = Field(default=14, ge=1, le=512, description="groups of permutations; more find more")
    rows: int = Field(default=8, ge=1, le=64, description="permutations in a band; more find only the more similar")
    ngram: int = Field(default=5, ge=1, le=100, description="units in a shingle")
    unit: OldUnit = Field(default="word", description="word: parted by white space; character: a code point")

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def adds(self) -> Columns:
        return {"similarity": pa.float64()}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        shape = {"bands": self.bands, "rows": self.rows, "ngram": self.ngram, "unit": self.unit}
        return (
            Bands(name="bands", **shape),
            Components(name="components"),
            Members(name="members", threshold=self.threshold, priority=self.priority, **shape),
            Lost(name="verdict", rejects="near_duplicate", of="members", scored=True, **self.gates()),
        )


class _Signed(Fold):
    """A fold over signatures."""

    bands: int
    rows: int
    ngram: int
    unit: OldUnit

    partitioned: ClassVar[bool] = True

    def sign(self, rows: pa.Table) -> tuple[Values, npt.NDArray[np.bool_]]:
        """The signatures of the rows' texts, and which rows have one."""
        return signatures(rows["text"].to_pylist(), self.ngram, self.unit, self.bands * self.rows)


class Bands(_Signed):
    """Link the documents that share a band: each with the first of its bucket, so a hot bucket costs no more links."""

    key: ClassVar[str] = "band"

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            values, signed = self.sign(rows)
            keys = band_keys(values[signed], self.bands, self.rows)
            row = rows[ROW].to_numpy().astype(np.int32, copy=False)[signed]
            return pa.table({"band": keys.ravel(), ROW: np.repeat(row, self.bands)})

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_edges": stars(state["band"].to_numpy(), _nodes(state))}


class Components(Fold):
    """Connected components of all links, as stars of each document to its component's first document."""

    @override
    def source(self) -> str:
        return "stage:bands/_edges"

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        nodes, labels = components(state["a"].to_numpy(), state["b"].to_numpy())
        moved = nodes != labels
        return pa.table({"a": labels[moved], "b": nodes[moved]})

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        nodes, labels = components(state["a"].to_numpy(), state["b"].to_numpy())
        shard, row = (nodes >> ROW_BITS).astype(np.int32), (nodes & ((1 << ROW_BITS) - 1)).astype(np.int32)
        # Mixed (a bijection), so that an exchange by any of its bits is even.
        return {ROWS: pa.table({SHARD: shard, ROW: row, "component": mix64(labels.astype(np.uint64))})}


class Members(_Signed):
    """Choose who stays in each component.

    Leaves `_rows`, for every document that goes its survivor and the similarity to it; and `clusters`, a row for every
    document of every component, whose `cluster_id` is the component's smallest id. A survivor's survivor is itself.
    """

    threshold: float
    priority: tuple[str, ...]

    key: ClassVar[str] = "component"

    @override
    def joins(self) -> str:
        return "components"

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            linked = rows.filter(pc.is_valid(rows["component"]))
            values, _ = self.sign(linked)
            state = candidates(linked, self.priority)
            state = state.append_column("component", linked["component"])
            return state.append_column("signature", _packed(values))

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.kernels.minhash import elect

        state = best_first(state, "component")
        values = _unpacked(state["signature"], self.bands * self.rows)
        label = state["component"].to_numpy()
        first = np.flatnonzero(np.append(True, label[1:] != label[:-1])[: label.size])
        survivor, equal = elect(values, np.append(first, label.size), self._enough())
        size = np.diff(np.append(first, label.size))
        chosen = {
            "survivor": state["id"].take(pa.array(survivor)),
            "survivor_similarity": pa.array(equal / values.shape[1]),
        }
        gone = pa.array(survivor != np.arange(label.size))
        lost = pa.table({SHARD: state[SHARD], ROW: state[ROW], **chosen}).filter(gone)
        return {ROWS: lost, "clusters": _clusters(state["id"], np.repeat(np.arange(first.size), size), chosen, gone)}

    def _enough(self) -> int:
        """The fewest equal values whose share is at least the threshold."""
        size = self.bands * self.rows
        return next(count for count in range(size + 1) if count / size >= self.threshold)


def stars(keys: Words, nodes: Nodes) -> pa.Table:
    """The links `a, b` of each set of nodes with the same key: its smallest node with every other, each link once.

    >>> stars(np.array([7, 8, 7, 7], np.uint64), np.array([3, 4, 2, 9])).to_pylist()
    [{'a': 2, 'b': 3}, {'a': 2, 'b': 9}]
    """
    order = np.lexsort((nodes, keys))
    keys, nodes = keys[order], nodes[order]
    first = np.append(True, keys[1:] != keys[:-1])[: keys.size]
    centre = nodes[np.maximum.accumulate(np.where(first, np.arange(keys.size), 0))]
    links = np.unique(np.stack([centre, nodes], axis=1)[centre != nodes], axis=0)
    return pa.table({"a": links[:, 0], "b": links[:, 1]})


def _nodes(state: pa.Table) -> Nodes:
    """A document as one number, ordered by shard, then row."""
    shard, row = state[SHARD].to_numpy().astype(np.int64), state[ROW].to_numpy().astype(np.int64)
    nodes: Nodes = (shard << ROW_BITS) | row
    return nodes


def _packed(values: Values) -> pa.Array:
    width = values.shape[1] * 4
    buffer = pa.py_buffer(values.astype("<u4", copy=False).tobytes())
    return pa.Array.from_buffers(pa.binary(width), values.shape[0], [None, buffer])


def _unpacked(column: pa.ChunkedArray, size: int) -> Values:
    packed = b"".join(column.to_pylist())
    return np.frombuffer(packed, "<u4").astype(np.uint32).reshape(-1, size)


def _clusters(
    ids: pa.ChunkedArray, component: npt.NDArray[np.int64], chosen: dict[str, pa.Array], gone: pa.Array
) -> pa.Table:
    named = pa.table({"component": component, "id": ids}).group_by("component", use_threads=False)
    smallest = named.aggregate([("id", "min")]).sort_by("component")["id_min"]
    table = pa.table(
        {
            "id": ids,
            "cluster_id": smallest.take(pa.array(component)),
            "survivor_id": chosen["survivor"],
            "similarity": chosen["survivor_similarity"],
            "status": pc.if_else(gone, "removed", "survivor"),
        }
    )
    return table.sort_by([("cluster_id", "ascending"), ("id", "ascending")])
