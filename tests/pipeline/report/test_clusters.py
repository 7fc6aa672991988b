import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.operators.test_cluster import topics
from tests.pipeline.engine import Mill

STEP = {"kind": "cluster", "name": "topics", "column": "vector", "clusters": 12}


def test_the_page_has_the_clusters_and_a_map_without_scripts(tmp_path: Path) -> None:
    table = topics()
    table = table.set_column(1, "text", pa.array([f"<b>{text}" for text in table["text"].to_pylist()]))
    (tmp_path / "in").mkdir()
    pq.write_table(table.drop_columns(["source"]), tmp_path / "in" / "a.parquet")
    inputs = [{"name": "docs", "path": f"{tmp_path}/in/*.parquet", "columns": {"id": "id"}}]
    mill = Mill(tmp_path)
    ran = mill.run([STEP], inputs=inputs)
    page = (ran.out / "report.html").read_text(encoding="utf-8")
    found = json.loads((ran.version / "artifacts/topics/map.json").read_text(encoding="utf-8"))
    assert page.count("<circle") == len(found["points"]) == 59
    assert page.count('<circle class="hue-0"') > 0
    assert "<title>" in page
    assert "&lt;b&gt;The and" in page
    assert "<b>The" not in page
    assert "<script" not in page
    assert "Clusters by size" in page
    numbers = ran.corpus["topics_cluster"].drop_null().to_numpy()
    assert np.unique(numbers).size == 12
    mixed = mill.run([STEP, {"kind": "mix", "by": "topics_cluster", "temperature": 2.0}], inputs=inputs, out="out2")
    assert (
        len(json.loads((mixed.version / "artifacts/mix/mixture.json").read_text(encoding="utf-8"))["categories"]) == 13
    )
