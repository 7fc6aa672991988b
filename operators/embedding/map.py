"""A map of documents: their vectors on the two axes along which those of a sample differ most (PCA).

Products and sums are of integers, exact; the axes are eigenvectors in double precision, each turned so that its largest
component is positive, and coordinates are rounded to thousandths: the last digits of a library's are not seen.
"""

from __future__ import annotations

import json
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs
from operators.embedding.clustering import PURPOSE
from operators.embedding.naming import CLUSTER, excerpts
from operators.hashing import row_hashes
from operators.vectors import SCALE, VECTOR, Singles, unpacked

FILE: Final = "map.json"
POINTS: Final = 1500
"""Documents on the map."""

_DECIMALS: Final = 3


class Points(Fold):
    """The documents with the smallest hashes on a map: `map.json`."""

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {**TEXT, VECTOR: pa.large_binary(), CLUSTER: pa.int32()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            some = rows.filter(pc.is_valid(rows[CLUSTER]))
            place = row_hashes(some["id"], context.seed, PURPOSE)
            known = {"place": place, "id": some["id"].cast(pa.string()), "cluster": some[CLUSTER]}
            table = pa.table({**known, VECTOR: some[VECTOR], "row": np.arange(some.num_rows)})
            few = self.merge(table)
            return few.set_column(4, "excerpt", excerpts(some["text"].take(few["row"])))

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        order = pc.sort_indices(state.select(["place", "id"]), [("place", "ascending"), ("id", "ascending")])
        return state.take(order.slice(0, POINTS))

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = self.merge(state)
        places, shares = projected(unpacked(state[VECTOR]))
        rows = zip(*(state[name].to_pylist() for name in ("id", "cluster", "excerpt")), places.tolist(), strict=True)
        points = [
            {"id": name, "cluster": cluster, "x": x, "y": y, "excerpt": excerpt}
            for name, cluster, excerpt, (x, y) in rows
        ]
        content = {"explained": shares, "points": points}
        return {FILE: json.dumps(content, ensure_ascii=False).encode() + b"\n"}


def projected(vectors: Singles) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Coordinates (rows, 2) of vectors of integers, in units of their length, and each axis' share of the variance.

    >>> places, shares = projected(np.float32([[4000, 0], [0, 4000], [4000, 0], [0, 4000]]))
    >>> places[:, 0].tolist(), shares
    ([0.707, -0.707, 0.707, -0.707], [1.0, 0.0])
    """
    rows, dim = vectors.shape
    if not rows or not dim:
        return np.zeros((rows, 2)), [0.0, 0.0]
    exact = vectors.astype(np.float64)
    total = exact.sum(axis=0)
    spread = rows * (exact.T @ exact) - np.outer(total, total)  # integers below 2^53
    values, axes = np.linalg.eigh(spread)
    found = np.zeros((rows, 2))
    for place, axis in enumerate(axes.T[::-1][:2]):
        side = axis[np.argmax(np.abs(np.round(axis, 6)))]
        found[:, place] = np.round((exact - total / rows) @ axis * np.sign(side) / SCALE, _DECIMALS)
    whole = float(values.clip(0).sum())
    shares = [round(float(max(value, 0)) / whole, _DECIMALS) if whole else 0.0 for value in values[::-1][:2].tolist()]
    return found + 0.0, [*shares, 0.0, 0.0][:2]
