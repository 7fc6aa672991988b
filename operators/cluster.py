"""Number the documents by the clusters of their vectors, name the clusters, and draw a map of them.

The stages: `vectors` (as integers), `counts` and `centres` (k-means on a sample: `operators.embedding.clustering`),
`assign` (the columns), `sizes`, `words`, `nearest` and `names` (`clusters.json`), `points` (`map.json`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Map, Repeat
from operators.embedding.clustering import MOST, Auto, Centres, Counts, cosines, lengths, placed
from operators.embedding.given import OverVectors
from operators.embedding.map import Points
from operators.embedding.naming import CLUSTER, NEAR, Names, Nearest, Sizes, Words
from operators.vectors import VECTOR, unpacked


class Cluster(OverVectors):
    """Give each document the number of its cluster, by k-means of the vectors, and its cosine to the centre.

    Both are null where a document has no vector. Clusters are numbered from 0, about the largest first. `clusters.json`
    has for each its size, telling words (class-based TF-IDF) and nearest documents; the report draws a map.
    Later steps may go by the number, as `mix` does with `by: <step>_cluster`. docs/semantic.md has the rest.
    """

    kind: Literal["cluster"] = "cluster"
    clusters: Annotated[int, Field(ge=1, le=MOST)] | Auto = Field(
        default="auto", description="how many; auto: the square root of the documents, 8,192 at most"
    )

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.vector_columns()}

    @override
    def adds(self) -> Columns:
        return {"cluster": pa.int32(), "similarity": pa.float64()}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return (
            self.vector_stage(),
            Counts(name="counts", clusters=self.clusters),
            Centres(name="centres"),
            Assign(name="assign"),
            Sizes(name="sizes"),
            Words(name="words"),
            Nearest(name="nearest"),
            Points(name="points"),
            Names(name="names"),
        )


class Assign(Map):
    """The cluster of each document with a vector, and its cosine to the centre; once more for the stages after it."""

    @override
    def needs(self) -> Columns:
        return {VECTOR: pa.large_binary()}

    @override
    def uses(self) -> tuple[str, ...]:
        return ("centres",)

    @override
    def adds(self) -> Columns:
        return {"cluster": pa.int32(), "similarity": pa.float64(), CLUSTER: pa.int32(), NEAR: pa.float64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        centres = unpacked(context.artifacts["centres"].table("_centres")[VECTOR])
        squares = lengths(centres)

        def apply(rows: pa.Table) -> pa.Table:
            there = rows[VECTOR].is_valid().to_numpy()
            cluster, near = np.zeros(there.size, np.int32), np.zeros(there.size)
            if there.any():
                vectors = unpacked(rows[VECTOR].filter(pa.array(there)))
                found = placed(vectors, centres)
                cluster[there] = found.clusters[:, 0]
                near[there] = cosines(found.products[:, 0], lengths(vectors), squares[found.clusters[:, 0]])
            number, cosine = (pa.array(values, mask=~there) for values in (cluster, near))
            return pa.table({"cluster": number, "similarity": cosine, CLUSTER: number, NEAR: cosine})

        return apply
