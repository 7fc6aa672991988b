"""Vectors that the rows bring are read by the steps that choose by them, through the whole engine."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import RecipeError
from tests.pipeline.engine import Mill

INPUT: dict[str, Any] = {"name": "docs", "path": "{home}/in/*.parquet"}


def write(mill: Mill, vectors: np.ndarray) -> None:
    """Documents with vectors of half precision, in two files."""
    (mill.home / "in").mkdir()
    names = [f"d{number:03}" for number in range(len(vectors))]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).ravel()), vectors.shape[1])
    table = pa.table({"id": names, "text": [f"text {name}" for name in names], "vector": column})
    for part in range(2):
        half = table.slice(part * len(vectors) // 2, len(vectors) // 2)
        pq.write_table(half, mill.home / "in" / f"{part}.parquet")


@pytest.mark.parametrize("kind", ["facility_location", "k_center", "ideal", "vote_k"])
def test_one_document_of_each_direction_is_chosen(mill: Mill, kind: str) -> None:
    directions = np.repeat(np.eye(4), 30, axis=0)
    write(mill, directions + 0.01 * np.random.default_rng(5).normal(size=(120, 4)))
    step: dict[str, Any] = {"kind": kind, "vectors": "vector", "select": {"docs": 4}}
    more = {"vote_k": {"neighbours": 10}, "ideal": {"neighbours": 29, "samples": 64}}.get(kind, {})
    ran = mill.run([{**step, **more}], inputs=[{**INPUT, "columns": {"id": "id"}}], shard_mb=0.001)
    chosen = [int(name.rpartition("/")[2][1:]) // 30 for name in ran.corpus["id"].to_pylist()]
    assert sorted(chosen) == [0, 1, 2, 3]
    assert ran.corpus.schema.field("vector").type == pa.list_(pa.float16(), 4)
    summary = json.loads((ran.out / "artifacts" / kind / "summary.json").read_text("utf-8"))
    assert summary["mean_similarity"]["chosen"] > 0.99
    assert summary["radius"]["chosen"] < 0.2


def test_a_column_that_holds_no_vectors_is_refused_before_the_run(mill: Mill) -> None:
    write(mill, np.ones((4, 3)))
    with pytest.raises(RecipeError, match="the column 'text' is large_string: expected vectors"):
        mill.run([{"kind": "k_center", "vectors": "text", "select": {"docs": 1}}], inputs=[INPUT])
