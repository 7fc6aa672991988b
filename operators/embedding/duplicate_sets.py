"""What a semantic deduplication came to: the sets of duplicates, and `semantic.json`."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import ROW, BatchFn, Columns, Context, Fold, Outputs, TableFold
from operators.embedding.doubts import of_beginnings, warnings_file
from operators.embedding.stages import FILE
from operators.embedding.survival import threshold_of
from operators.near_duplicates import clusters_of
from operators.vectors import VECTOR

SUMMARY = "semantic.json"


class Sets(Fold):
    """A row for every document, in the form of `clusters` of `minhash_dedup`; and `_counts`."""

    key: ClassVar[str] = "set"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary()}

    @override
    def joins(self) -> str:
        return "claims"

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            ids = rows["id"].cast(pa.string())
            survivor = pc.coalesce(rows["survivor"], ids)
            similarity = pc.coalesce(rows["survivor_similarity"], 1.0)
            has = pc.is_valid(rows[VECTOR])
            return pa.table({"id": ids, "set": survivor, "similarity": similarity, "has": has, ROW: rows[ROW]})

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([("set", "ascending"), ("id", "ascending")]).combine_chunks()
        ids = pa.concat_arrays([pa.array([], pa.string()), *state["id"].chunks])
        survivor = pc.index_in(state["set"], value_set=ids).cast(pa.int64()).to_numpy()
        clusters = clusters_of(ids, survivor, state["similarity"].to_numpy())
        removed = pc.sum(pc.equal(clusters["status"], "removed")).as_py() or 0
        with_vector = pc.sum(state["has"]).as_py() or 0
        counts = pa.table({"documents": [state.num_rows], "with_vector": [with_vector], "removed": [removed]})
        return {"clusters": clusters, "_counts": counts}


class Totals(TableFold):
    """`semantic.json`: what was compared, at which threshold, and what went."""

    threshold: float | None
    share: float | None
    probes: int
    step: str = ""
    """The step that made the vectors; "" for vectors from elsewhere."""
    documents: int = 0
    cut: int = 0
    """Of a directory's documents, those whose beginnings alone were read."""

    inert: ClassVar[frozenset[str]] = TableFold.inert | {"step"}

    @override
    def source(self) -> str:
        return "stage:sets/_counts"

    @override
    def uses(self) -> tuple[str, ...]:
        made = (f"{self.step}/model",) if self.step else ()
        return ("members", *(("fine",) if self.threshold is None else ()), *made)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        found = {name: int(state[name].to_numpy().sum()) for name in state.column_names}
        sizes = context.artifacts["members"].table("_sizes")
        compared = [int(size) for size in sizes["compared"].to_pylist()]
        threshold = threshold_of(self.threshold, context)
        content: dict[str, Any] = {
            **found,
            "kept": found["documents"] - found["removed"],
            "without_vector": found["documents"] - found["with_vector"],
            "epsilon": round(1 - threshold, 9),
            "threshold": threshold,
            **({"keep_share": self.share} if self.share is not None else {}),
            "clusters": sum(docs > 0 for docs in sizes["docs"].to_pylist()),
            "probes": self.probes,
            "largest_cluster": max(compared, default=0),
            "pairs_in_clusters": sum(size * (size - 1) // 2 for size in compared),
        }
        return {SUMMARY: json.dumps(content, indent=1).encode() + b"\n", **warnings_file(self._doubts(context))}

    def _doubts(self, context: Context) -> list[str]:
        if not self.step:
            return of_beginnings({"documents": self.documents, "cut": self.cut}, "")
        return of_beginnings(json.loads(context.artifacts[f"{self.step}/model"].read(FILE)), self.step)
