import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from operators.base import PART, ROWS, RecipeError, Resources
from operators.embed_documents import EmbedDocuments
from operators.embedding import forms
from operators.train_static_vectors import TrainStaticVectors
from pipeline import check
from pipeline.executors import local
from pipeline.executors.local import LocalExecutor
from tests.operators.embedding.static_models import save, table
from tests.operators.harness import corpus, run
from tests.operators.toy_encoder import Toy
from tests.pipeline.engine import Mill, Ran

TOY = "tests.operators.toy_encoder:toy"
STEP = {"kind": "embed_documents", "encoder": TOY}


def texts(name: str, count: int) -> list[dict[str, str]]:
    return [{"text": "!" if number % 10 == 3 else f"{name} {number} " * (9 * number + 1)} for number in range(count)]


def parts(ran: Ran, name: str = "embed_documents") -> list[pa.Table]:
    return [pq.read_table(path) for path in sorted((ran.version / "artifacts" / name).glob("part-*.parquet"))]


def about(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ran.version / "artifacts/embed_documents/model.json").read_text())
    return found


def test_vectors_lie_beside_the_corpus_in_its_order_a_part_for_each_shard(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    for name in "abc":
        mill.jsonl(name, texts(name, 20))
    ran = mill.run([{"kind": "length", "min_chars": 30}, STEP])
    found = parts(ran)
    assert len(found) > 1
    whole = pa.concat_tables(found)
    assert whole["id"].equals(ran.corpus["id"])
    assert whole.schema == pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float16(), 8))])
    expected = Toy().encode(ran.corpus["text"], ran.corpus["id"]).astype(np.float16)
    vectors = whole["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
    assert np.array_equal(vectors, expected)


def test_empty_texts_have_a_vector_of_zeros_and_are_counted(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", texts("a", 30))
    ran = mill.run([STEP])
    vectors = np.array(pa.concat_tables(parts(ran))["embedding"].to_pylist())
    assert (~vectors.any(axis=1)).sum() == 3
    assert {name: about(ran)[name] for name in ("encoder", "dimension", "format", "documents", "empty")} == {
        "encoder": TOY, "dimension": 8, "format": "float16", "documents": 30, "empty": 3
    }  # fmt: skip
    assert not about(ran).keys() & {"cut", "tokens", "_counts_tokens"}  # an own function does not count


def test_an_edit_embeds_only_the_shards_that_changed(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    for name in "ab":
        mill.jsonl(name, texts(name, 20))
    shards = mill.run([STEP], shard_mb=0.005).computed["embed_documents"]
    mill.jsonl("b", texts("other", 20))
    assert 0 < mill.run([STEP], shard_mb=0.005).computed["embed_documents"] < shards


def test_a_run_without_a_document_left_leaves_a_part_without_rows(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", texts("a", 3))
    ran = mill.run([{"kind": "length", "min_chars": 10**6, "max_drop_ratio": 1}, STEP])
    assert [table.num_rows for table in parts(ran)] == [0]
    assert about(ran)["documents"] == 0


def test_what_returns_to_the_rows_is_the_vectors_by_their_places() -> None:
    engine = run(EmbedDocuments(encoder=TOY), [corpus(["one", "two"]), corpus(["three"])])
    rows, part = (engine.artifacts["vectors"].table(name) for name in (ROWS, PART))
    assert rows.select(["_shard", "_row"]).to_pylist() == [
        {"_shard": s, "_row": r} for s, r in ((0, 0), (0, 1), (1, 0))
    ]
    assert rows["embedding"].equals(part["embedding"])


@pytest.mark.parametrize(
    ("form", "kind"),
    [("float32", pa.float32()), ("float16", pa.float16()), ("int8", pa.int8()), ("binary", pa.uint8())],
)
def test_forms_keep_directions(form: forms.Form, kind: pa.DataType) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(50, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = 0
    column = forms.written(vectors, form)
    assert column.type == forms.vector_type(form, 64) == pa.list_(kind, 8 if form == "binary" else 64)
    found = column.flatten().to_numpy().reshape(50, -1)
    if form == "binary":
        assert np.array_equal(np.unpackbits(found, axis=1), vectors > 0)
        return
    back = found.astype(np.float32)
    cosine = (back * vectors).sum(axis=1) / np.maximum(np.linalg.norm(back, axis=1), 1e-9)
    assert cosine[7] == 0
    assert np.delete(cosine, 7).min() > (0.9998 if form == "int8" else 0.999999)


def test_no_rows_have_a_type_too() -> None:
    assert len(forms.written(np.zeros((0, 16), np.float32), "binary")) == 0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="no multiple of 8"):
        EmbedDocuments(encoder=TOY, format="binary", dimension=12)
    with pytest.raises(RecipeError, match="cannot import"):
        EmbedDocuments(encoder="no_such_module:thing").check()


def test_dimensions_that_the_earlier_step_does_not_have_are_refused_before_the_run(tmp_path: Path) -> None:
    def refuse(trains: int, **given: Any) -> None:  # noqa: ANN401
        trained = TrainStaticVectors(tokenizer="t.json", dimension=trains)
        EmbedDocuments(encoder="static", step="tokens", **given).check_against({"tokens": trained})

    with pytest.raises(RecipeError, match=r"dimension 65: step 'tokens' trains 64 dimensions"):
        refuse(64, dimension=65)
    with pytest.raises(RecipeError, match=r"the 20 dimensions of step tokens are no multiple of 8.*dimension: 16"):
        refuse(20, format="binary")
    refuse(20, format="binary", dimension=16)
    refuse(64, dimension=64, format="binary")
    folder = save(tmp_path, {"embeddings": table(12)})
    with pytest.raises(RecipeError, match=r"the 12 dimensions of .* are no multiple of 8.*dimension: 8"):
        EmbedDocuments(encoder=folder, format="binary").check()
    EmbedDocuments(encoder=folder, format="binary", dimension=8).check()


def test_a_gpu_that_is_not_there_is_missed_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", texts("a", 5))
    monkeypatch.setattr(local, "cuda_capabilities", lambda: ())
    monkeypatch.setattr(check, "cuda_capabilities", lambda: ())
    assert any(
        "this machine has none" in line for line in check.check_recipe(mill.recipe([{**STEP, "device": "cuda"}]))
    )
    assert not any("GPU" in line for line in check.check_recipe(mill.recipe([STEP])))
    with pytest.raises(RecipeError, match=r"asks for a GPU .device: cuda., and CUDA's driver shows none"):
        mill.run([{**STEP, "device": "cuda"}])
    assert not list((tmp_path / "work").rglob("*.arrow"))
    monkeypatch.setattr(local, "cuda_capabilities", lambda: ((8, 6),))
    ran = mill.run([{**STEP, "device": "cuda"}], executor=LocalExecutor(2))
    assert about(ran)["documents"] == 5


def test_a_worker_with_the_model_and_a_gpu_is_asked_for_where_it_is_bound_alone(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", texts("a", 20))
    asked: dict[str, Resources] = {}

    class Noting(LocalExecutor):
        def refuse(self, resources: Resources) -> None:
            assert resources.gpus == 1

        def map(
            self, task: Callable[[Any], Any], items: Sequence[Any], resources: Resources, label: str
        ) -> Iterator[tuple[int, Any]]:
            asked[label] = resources
            return super().map(task, items, resources, label)

    mill.run([{**STEP, "device": "cuda"}], executor=Noting(1))
    assert asked["embed_documents"] == Resources(gpus=1, memory_mb=2048, resident=True)
    assert {(r.gpus, r.resident) for label, r in asked.items() if label != "embed_documents"} == {(0, False)}
    assert "embed_documents/vectors: finish" in asked


def test_vectors_open_without_a_copy(tmp_path: Path) -> None:
    import faiss

    mill = Mill(tmp_path)
    mill.jsonl("a", texts("a", 30))
    steps = [{**STEP, "name": form, "format": form} for form in ("float16", "float32", "binary")]
    ran = mill.run(steps, shard_mb=1)
    arrays = {}
    for form in ("float16", "float32", "binary"):
        [table] = parts(ran, form)
        column = table["embedding"].chunk(0)
        arrays[form] = column.flatten().to_numpy(zero_copy_only=True).reshape(table.num_rows, -1)
        assert arrays[form].__array_interface__["data"][0] == column.flatten().buffers()[1].address
        assert arrays[form].flags.c_contiguous
    index, bits = faiss.IndexFlatIP(8), faiss.IndexBinaryFlat(8)
    index.add(arrays["float32"])  # faiss copies what is no contiguous float32
    bits.add(arrays["binary"])
    _, nearest = index.search(arrays["float32"], 1)
    cosine = (arrays["float32"][nearest[:, 0]] * arrays["float32"]).sum(axis=1)
    assert cosine[arrays["float32"].any(axis=1)] == pytest.approx(1, abs=1e-5)
    assert bits.search(arrays["binary"], 1)[0].max() == 0
    assert arrays["float16"].dtype == np.float16
