import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from operators.base import DataError, RecipeError
from operators.embedding import stored as stored_vectors
from operators.embedding.forms import Form, written
from operators.vectors import numbers_of
from pipeline.cli import main
from pipeline.search import search
from tests.operators.embedding.tiny import write_checkpoint
from tests.operators.toy_encoder import Toy
from tests.pipeline.engine import FRENCH, GERMAN, Mill

TOKENIZER = Path(__file__).resolve().parent.parent / "data" / "tokenizer.json"
TOY = "tests.operators.toy_encoder:toy"
STEP: dict[str, Any] = {"kind": "embed_documents", "name": "embed", "encoder": TOY}
TEXTS = ["aaa", "aab", "abb", "bbb", "!", "cca", "the text is\n long " * 30]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"id": f"d{number}", "text": text} for number, text in enumerate(TEXTS)])
    steps = [STEP, {"kind": "length", "min_chars": 2, "max_chars": 10**6}]
    ran = mill.run(steps, inputs=[{"name": "docs", "path": f"{tmp_path}/in/*.jsonl", "columns": {"id": "id"}}])
    return ran.out


def test_a_text_finds_what_is_nearest(out: Path) -> None:
    found = search(str(out), "aaaab", k=3)
    vector = Toy().encode(pa.chunked_array([[*TEXTS, "aaaab"]]), pa.chunked_array([[]]))
    near = vector[:-1] @ vector[-1]
    assert [hit.id for hit in found.results] == [f"d{row}" for row in np.argsort(-near)[:3]]
    assert [hit.similarity for hit in found.results] == pytest.approx(np.sort(near)[::-1][:3], abs=1e-3)
    assert (found.documents, found.dimension) == (7, 8)
    assert (found.results[0].source, found.results[0].excerpt) == ("docs", "aab")


def test_a_document_finds_others_and_long_texts_are_cut(out: Path) -> None:
    found = search(str(out), "", like="d3", k=10)
    assert {hit.id for hit in found.results} == {"d0", "d1", "d2", "d5", "d6"}  # not itself, nor what has no vector
    [long] = [hit for hit in found.results if hit.id == "d6"]
    assert long.excerpt.startswith("the text is long the")
    assert len(long.excerpt) == 100
    assert search(str(out / "artifacts" / "embed"), "", like="d3", k=10).results == found.results


def test_what_was_dropped_later_has_its_excerpt_too(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "a long text"}, {"text": "a short"}])
    out = mill.run([STEP, {"kind": "length", "min_chars": 9}]).out
    assert {hit.excerpt for hit in search(str(out), "a").results} == {"a long text", "a short"}


def test_the_command_prints_a_table_or_json(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(out), "aaaab", "--k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"similarity +id +source +text", lines[0])
    assert re.fullmatch(r" +0\.\d{4}  d1  docs    aab", lines[1])
    assert main(["search", str(out), "--like", "d0", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["results"][0].keys() == {"id", "similarity", "source", "excerpt"}
    assert main(["search", str(out)]) == 2
    assert "expected a text to look for, or --like ID" in capsys.readouterr().err


@settings(max_examples=30)
@given(
    st.integers(1, 60), st.integers(1, 70), st.integers(0, 5), st.sampled_from(["float16", "float32", "int8", "binary"])
)
def test_it_is_brute_force_whatever_the_files(
    tmp_path_factory: pytest.TempPathFactory, rows: int, k: int, seed: int, form: Form
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (rows, 16)).astype(np.float32)
    column = written(vectors, form)
    ids = [f"d{number:03}" for number in rng.permutation(rows)]
    home = tmp_path_factory.mktemp("vectors")
    for part, some in enumerate(np.array_split(np.arange(rows), 3)):
        table = pa.table({"id": pa.array(ids, pa.string()), "embedding": column}).take(pa.array(some))
        pq.write_table(table, home / f"part-{part}.parquet", row_group_size=7)
    seen = numbers_of(column).astype(np.float64)
    length = np.linalg.norm(seen, axis=1)
    first = int(np.argmax(length > 0))
    if not length[first]:
        return
    cosine = np.round(seen @ seen[first] / np.maximum(length, 1e-9) / length[first], 6)
    expected = sorted((-cosine[row], ids[row]) for row in range(rows) if row != first and length[row] > 0)[:k]
    whole = stored_vectors.ROWS_AT_ONCE
    stored_vectors.ROWS_AT_ONCE = 5  # type: ignore[misc]
    try:
        found = search(str(home), "", like=ids[first], k=k).results
    finally:
        stored_vectors.ROWS_AT_ONCE = whole  # type: ignore[misc]
    assert [hit.id for hit in found] == [name for _, name in expected]
    assert [hit.similarity for hit in found] == pytest.approx([-near for near, _ in expected], abs=2e-6)


def test_errors_say_what_is_wrong_and_what_to_do(out: Path, tmp_path: Path) -> None:
    vectors = out / "artifacts" / "embed"
    cases = [
        (str(tmp_path / "none"), "x", {}, "there is no directory"),
        (str(tmp_path / "in"), "x", {}, r"holds no \*\.parquet"),
        (str(out), "x", {"step": "other"}, "no step of that name left vectors; there are embed"),
        (str(vectors), "x", {"step": "embed"}, "is no run's output"),
        (str(out), "", {"like": "d99"}, "no document of that id"),
        (str(out), "", {"like": "d4"}, "vector is zeros"),
        (str(out), "!", {}, "no token that the encoder knows"),
        (str(out), "x", {"encoder": "no_such_module:thing"}, "cannot import"),
        (str(out), "x", {"encoder": str(tmp_path / "no-model")}, "no-model"),
        (str(out), " \n ", {}, "has no token, as it is white space alone"),
        (str(out), "", {}, "got neither, or an empty text"),
        (str(out), "x", {"like": "d1"}, "expected a text to look for, or --like ID; got the text"),
    ]
    for place, query, how, message in cases:
        with pytest.raises(RecipeError, match=message):
            search(place, query, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words", [["\udcff\udcfe"], ["--like", "d\udcff"], ["text", "--prompt", "\udcff"], ["a text that ends in \udcc3"]]
)
def test_bytes_that_are_no_utf8_are_refused(out: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(out), *words]) == 2
    assert "is no valid UTF-8: expected text in UTF-8" in capsys.readouterr().err


def test_of_an_id_that_is_there_twice_the_first_counts(tmp_path: Path) -> None:
    angles: dict[str, list[tuple[str, int | None]]] = {
        "part-0": [("d0", 0), ("twice", 80), ("none", None)],
        "part-1": [("d1", 30), ("twice", 1), ("none", 2)],
        "part-2": [("twice", 3), ("d2", 40), ("d3", 50)],
    }
    for part, rows in angles.items():
        turned = [None if angle is None else np.cos(np.radians([angle, angle - 90])).tolist() for _, angle in rows]
        vectors = pa.array(turned, pa.list_(pa.float32(), 2))
        pq.write_table(pa.table({"id": [name for name, _ in rows], "embedding": vectors}), tmp_path / f"{part}.parquet")
    for k in (1, 2, 3, 4, 5):
        found = search(str(tmp_path), "", like="d0", k=k).results
        assert [hit.id for hit in found] == ["d1", "d2", "d3", "twice"][:k]
    assert found[-1].similarity == pytest.approx(np.cos(np.radians(80)), abs=1e-6)


def test_a_run_that_did_not_end_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "failed" / ".versions").mkdir(parents=True)
    with pytest.raises(RecipeError, match=r"no finished run is in .*failed"):
        search(str(tmp_path / "failed"), "x")


def test_a_transformer_without_what_runs_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    table = pa.table({"id": ["d"], "embedding": written(np.ones((1, 32), np.float32), "float32")})
    pq.write_table(table, tmp_path / "part-00000.parquet")
    (tmp_path / "model.json").write_text(json.dumps({"encoder": str(write_checkpoint(tmp_path / "model"))}))
    with pytest.raises(RecipeError, match=r"needs torch, which is not installed: pip install 'vocabmill\[torch\]'"):
        search(str(tmp_path), "the river")


def test_a_broken_model_beside_the_vectors_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    save_file({"embeddings": np.ones((3, 4), np.float32)}, tmp_path / "old" / "model.safetensors")
    shutil.copy(TOKENIZER, tmp_path / "old" / "tokenizer.json")  # It has more tokens than that table has rows.
    (tmp_path / "vectors").mkdir()
    table = pa.table({"id": ["d"], "embedding": written(np.ones((1, 4), np.float32), "float32")})
    pq.write_table(table, tmp_path / "vectors" / "part-00000.parquet")
    (tmp_path / "vectors" / "model.json").write_text(json.dumps({"encoder": "static", "digest": "f" * 64}))
    with pytest.raises(RecipeError, match="is not beside them"):
        search(str(tmp_path / "vectors"), "text")


def test_vectors_that_do_not_fit_the_encoder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()

    def put(vectors: list[list[float]], model: dict[str, object] | None = None) -> None:
        table = pa.table(
            {
                "id": [f"d{row}" for row in range(len(vectors))],
                "embedding": written(np.array(vectors, np.float32), "float32"),
            }
        )
        pq.write_table(table, folder / "part-00000.parquet")
        if model is not None:
            (folder / "model.json").write_text(json.dumps(model))

    put([[1, 0, 0], [0, 1, 0]])
    with pytest.raises(RecipeError, match=r"has no model\.json"):
        search(str(folder), "text")
    with pytest.raises(RecipeError, match=r"vectors of 8 dimensions, but those in .* have 3"):
        search(str(folder), "text", encoder=TOY)
    put([[1, 0, 0], [0, 1, 0]], {"encoder": TOY, "digest": "f" * 64})
    with pytest.raises(RecipeError, match="is not the one that made the vectors"):
        search(str(folder), "text")
    put([[1, 0, 0], [0, 1, 0]], {"encoder": "static", "digest": "f" * 64})
    with pytest.raises(RecipeError, match="is not beside them"):
        search(str(folder), "text")
    put([[1, 0, 0], [np.nan, 1, 0]])
    for like in ("d0", "d1"):
        with pytest.raises(DataError, match=r"document 'd1' .* not finite"):
            search(str(folder), "", like=like)


def test_a_run_without_vectors_or_with_several_is_told_so(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "a text"}, {"text": "other"}])
    with pytest.raises(RecipeError, match="needs a step of kind embed_documents"):
        search(str(mill.run([]).out), "x")
    both = mill.run([STEP, {**STEP, "name": "again"}], out="out2").out
    with pytest.raises(RecipeError, match="has vectors of again, embed: say which with --step NAME"):
        search(str(both), "x")
    assert search(str(both), "x", step="again").documents == 2


def test_a_static_model_is_found_beside_the_vectors_that_it_made(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": f"{text} {number} " * 9} for number, text in enumerate([*GERMAN, *FRENCH] * 4)])
    tokenizer = str(Path(__file__).resolve().parents[1] / "data" / "tokenizer.json")
    steps: list[dict[str, Any]] = [
        {
            "kind": "train_static_vectors",
            "name": "tokens",
            "tokenizer": tokenizer,
            "dimension": 4,
            "segment_tokens": 16,
        },
        {"kind": "embed_documents", "encoder": "static", "step": "tokens"},
    ]
    ran = mill.run(steps)
    found = search(str(ran.out), f"{FRENCH[0]} 3 " * 9, k=4)
    assert all(hit.excerpt.startswith(FRENCH[0][:40]) for hit in found.results)
    vectors = tmp_path / "elsewhere"
    shutil.copytree(ran.out / "artifacts" / "embed_documents", vectors)
    with pytest.raises(RecipeError, match="is not beside them"):
        search(str(vectors), FRENCH[0])
    model = str(ran.out / "artifacts" / "tokens")
    again = search(str(vectors), f"{FRENCH[0]} 3 " * 9, k=4, encoder=model)
    assert [hit.id for hit in again.results] == [hit.id for hit in found.results]
    with pytest.raises(RecipeError, match="--prompt 'query: ' means nothing to a static encoder: leave it out"):
        search(str(ran.out), FRENCH[0], prompt="query: ")
    assert search(str(ran.out), f"{FRENCH[0]} 3 " * 9, k=4, prompt="") == found
