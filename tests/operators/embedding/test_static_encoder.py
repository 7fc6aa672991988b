import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from operators.base import RecipeError
from operators.embed_documents import EmbedDocuments
from operators.embedding.encoders import EncoderChoice
from operators.embedding.makers import open_encoder
from operators.embedding.static_encoder import StaticEncoder
from operators.embedding.static_files import is_static, read_folder
from pipeline.search import search
from tests.operators.embedding.static_models import TOKENIZER, TOKENS, save, table
from tests.pipeline.engine import Mill

TEXTS = ["ab cab", "", "b" * 50, "dead beef", "ab", "<|end|> ab"]


def encoded(folder: str, texts: list[str] = TEXTS, **choice: int) -> np.ndarray[Any, Any]:
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    return open_encoder(EncoderChoice(encoder=folder, **choice)).encode(column, column)


def by_hand(vectors: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], texts: list[str]) -> np.ndarray[Any, Any]:
    """As model2vec: weighted rows, their mean, unit length."""
    tokenizer, found = Tokenizer.from_str(TOKENIZER.decode()), []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        mean = (vectors[ids] * weights[ids, None]).sum(axis=0)
        found.append(mean / max(np.linalg.norm(mean), 1e-9))
    return np.array(found)


def test_model2vecs_form_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(-127, 127, (50, 4)).astype(np.int8)
    mapping, weights = rng.integers(0, 50, TOKENS), rng.random(TOKENS).astype(np.float32)
    folder = save(tmp_path, {"embeddings": rows, "mapping": mapping, "weights": weights})
    assert np.allclose(encoded(folder), by_hand(rows[mapping].astype(float), weights, TEXTS), atol=1e-6)
    assert open_encoder(EncoderChoice(encoder=folder)).describe()["form"] == "model2vec"


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_wordllamas_form_is_read_whatever_its_files_are_called(tmp_path: Path, kind: type[np.floating[Any]]) -> None:
    folder = save(tmp_path, {"embedding.weight": table().astype(kind)}, name="any_256.safetensors")
    (tmp_path / "tokenizer.json").rename(tmp_path / "any_tokenizer_config.json")
    assert np.allclose(encoded(folder), by_hand(table().astype(kind).astype(float), np.ones(TOKENS), TEXTS), atol=1e-6)


def test_our_form_takes_off_mean_and_component(tmp_path: Path) -> None:
    mean, component = np.array([0.1, 0, 0.2, 0], np.float32), np.array([0, 0, 0, 1], np.float32)
    tensors = {"embeddings": table(), "weights": np.ones(TOKENS, np.float32), "mean": mean, "component": component}
    found = encoded(save(tmp_path, tensors))
    assert not found[:, 3].any()
    expected = table()[Tokenizer.from_str(TOKENIZER.decode()).token_to_id("b")] - mean
    expected[3] = 0
    assert np.allclose(found[2], expected / np.linalg.norm(expected), atol=1e-6)
    assert not found[1].any()


def test_a_dimension_keeps_the_first_components_at_unit_length(tmp_path: Path) -> None:
    folder = save(tmp_path, {"embeddings": table()})
    short = encoded(folder)[:, :2]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    assert np.allclose(encoded(folder, dimension=2), short / np.where(lengths > 0, lengths, 1), atol=1e-6)
    with pytest.raises(RecipeError, match=r"dimension 9: the static model .* has 4 dimensions"):
        encoded(folder, dimension=9)


def test_max_tokens_takes_the_first_tokens(tmp_path: Path) -> None:
    folder = save(tmp_path, {"embeddings": table()})
    assert np.array_equal(encoded(folder, ["abc" * 100], max_tokens=2), encoded(folder, ["abc"]))


def test_tokens_are_counted_and_what_is_cut(tmp_path: Path) -> None:
    files = read_folder(Path(save(tmp_path, {"embeddings": table()})))
    column = pa.chunked_array([["abc", "", "ab", "ab" * 99, "cab cab"]])
    whole, short = StaticEncoder(files).embed(column, column), StaticEncoder(files, 2).embed(column, column)
    assert whole.tokens.tolist() == [2, 0, 1, 99, 5]
    assert not whole.is_cut.any()
    assert short.tokens.tolist() == [2, 0, 1, 2, 2]
    assert short.is_cut.tolist() == [False, False, False, True, True]


def test_model_json_names_the_folder_and_counts(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "abc"}, {"text": "abc abc"}])
    folder = save(tmp_path / "model", {"embeddings": table()})
    ran = mill.run([{"kind": "embed_documents", "encoder": folder, "max_tokens": 4}])
    about = json.loads((ran.version / "artifacts/embed_documents/model.json").read_text())
    assert about["encoder"] == folder
    assert [about[name] for name in ("documents", "empty", "cut", "tokens")] == [2, 0, 1, 6]
    assert [hit.id for hit in search(str(ran.out), "abc abc", k=1).results] == [ran.corpus["id"][1].as_py()]


def test_a_damaged_config_is_refused_and_a_missing_one_is_not(tmp_path: Path) -> None:
    folder = save(tmp_path, {"embeddings": table()})
    for content in ("{", "[]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(RecipeError, match=r"config\.json is no JSON .*the folder is damaged"):
            EmbedDocuments(encoder=folder).check()
    (tmp_path / "config.json").unlink()
    EmbedDocuments(encoder=folder).check()


def test_only_what_was_given_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path, {"embeddings": table()})
    with pytest.raises(RecipeError, match=r"^pooling: cls: a static encoder .*: leave it out$"):
        EmbedDocuments(encoder=folder, pooling="cls").check()
    with pytest.raises(RecipeError, match=r"^pooling: cls, dtype: float16: .*: leave both out$"):
        EmbedDocuments(encoder=folder, pooling="cls", dtype="float16").check()


def test_chunks_and_slices_change_no_bit(tmp_path: Path) -> None:
    encoder = StaticEncoder(read_folder(Path(save(tmp_path, {"embeddings": table(64)}))))
    texts = pa.array([f"abc {number} def" * (number % 37) for number in range(200)], pa.string())
    whole = encoder.encode(pa.chunked_array([texts]), pa.chunked_array([texts]))
    for cuts in ([0, 1, 150, 200], [0, 64, 64, 200]):
        parts = [texts[first:last] for first, last in pairwise(cuts)]
        assert np.array_equal(encoder.encode(pa.chunked_array(parts), pa.chunked_array(parts)), whole)
        alone = [encoder.encode(pa.chunked_array([part]), pa.chunked_array([part])) for part in parts]
        assert np.array_equal(np.concatenate(alone), whole)


def broken(**tensors: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"embeddings": table(), **tensors}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (broken(embeddings=table(rows=100)), "has vectors of 100 tokens, and its tokenizer ids up to 257: give the"),
        (
            broken(embeddings=np.where(np.arange(TOKENS)[:, None] == 5, np.nan, table())),
            r"row 5 holds .* \(1 rows do\)",
        ),
        (broken(mapping=np.arange(TOKENS) + 1), "its mapping names row 258 of 258"),
        (broken(mapping=np.arange(TOKENS) - 1), "its mapping names row"),
        (broken(weights=np.ones(3, np.float32)), "3 weights for 258 tokens"),
        (broken(weights=np.full(TOKENS, -1, np.float32)), "negative or not finite"),
        (broken(mean=np.zeros(3, np.float32)), "not as wide as its rows, 4"),
        (broken(embeddings=np.zeros(5, np.float32)), "expected a matrix"),
        (broken(embeddings=np.zeros((TOKENS, 2), bool)), "expected a matrix"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run(tmp_path: Path, tensors: dict[str, Any], said: str) -> None:
    folder = save(tmp_path, tensors)
    assert is_static(Path(folder))
    with pytest.raises(RecipeError, match=said):
        EmbedDocuments(encoder=folder).check()


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path, {"embeddings": table()})
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-9])
    with pytest.raises(RecipeError, match="no safetensors"):
        EmbedDocuments(encoder=folder).check()
    weights.write_bytes(content)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(RecipeError, match=r"has no tokenizer\.json"):
        EmbedDocuments(encoder=folder).check()
    weights.unlink()
    with pytest.raises(RecipeError, match=r"has no model\.safetensors"):
        read_folder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(RecipeError, match="a pickle can run code"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "asked",
    [{"chunks": 2}, {"pooling": "cls"}, {"dtype": "bfloat16"}, {"device": "cuda"}, {"prompt": "cpu"}],
)
def test_what_only_a_transformer_can_do_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="static encoder"):
        EmbedDocuments(encoder=save(tmp_path, {"embeddings": table()}), **asked).check()


def test_what_is_so_anyway_may_be_said(tmp_path: Path) -> None:
    folder = save(tmp_path, {"embeddings": table()})
    EmbedDocuments(encoder=folder, pooling="mean", dtype="float32", device="cpu").check()


def test_an_unknown_token_counts_for_nothing(tmp_path: Path) -> None:
    from tokenizers import models, pre_tokenizers

    words = Tokenizer(models.WordPiece({"[UNK]": 0, "to": 1, "be": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = save(tmp_path, {"embeddings": table(rows=3)}, words.to_str().encode())
    found = encoded(folder, ["to be", "to xyz be", "xyz"])
    assert np.array_equal(found[0], found[1])
    assert not found[2].any()
