import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from tokenizers import Tokenizer, models

from operators import tokenizer_sources
from operators.base import WARNINGS, DataError, RecipeError
from operators.byte_alphabet import to_characters
from operators.embed_documents import EmbedDocuments
from operators.embedding.static_encoder import StaticEncoder
from operators.embedding.static_files import CONFIG, TOKENIZER, WEIGHTS, read_artifact, read_folder
from operators.encode import merges_for
from operators.length import Length
from operators.merge_lists import merges_table
from operators.pretokenizers import cutting
from operators.rank_files import rank_lines
from operators.tokenizer_files import to_tokenizer_json
from operators.train_static_vectors import TrainStaticVectors
from operators.vocabulary import from_merges
from tests.operators.harness import Stored, corpus, deal, run
from tests.pipeline.engine import Mill, Ran

TOPICS = (
    b"boat sea wave sail wind", b"bread flour yeast oven salt", b"tree leaf root bark moss",
    b"king queen crown throne court", b"disk file byte cache kernel", b"goal ball pitch keeper referee",
)  # fmt: skip
SMALL: dict[str, int] = {"dimension": 8, "segment_tokens": 16}


def documents(count: int, seed: int = 0, words: int = 30) -> list[str]:
    """Words of a topic each, by turns; every topic's words are its own."""
    rng = np.random.default_rng(seed)
    topics = [topic.decode().split() for topic in TOPICS]
    return [" " + " ".join(rng.choice(topics[number % len(topics)], words)) for number in range(count)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    words = [b" " + word for topic in TOPICS for word in topic.split()]
    path.write_bytes(to_tokenizer_json(from_merges(merges_for(words, ()), (r" ?[a-z]+|[^a-z]+",))))
    return str(path)


def vectors_of(ran: Ran) -> pa.Table:
    return pa.concat_tables(map(pq.read_table, sorted((ran.version / "artifacts/embed_documents").glob("*.parquet"))))


def trained(tokenizer: str, texts: list[str], shards: int = 1, shuffle: int = 0, limit: int = 10_000) -> Stored:
    step = TrainStaticVectors(tokenizer=tokenizer, max_segments=limit, **SMALL)
    found = run(step, deal(corpus(texts), shards, 1), shuffle=shuffle).artifacts["model"]
    assert isinstance(found, Stored)
    return found


def test_documents_of_one_topic_are_near_each_other(tokenizer: str) -> None:
    encoder = StaticEncoder(read_artifact(trained(tokenizer, documents(90)), "tokens"))
    some = pa.chunked_array([pa.array(documents(24, seed=5), pa.large_string())])
    vectors = encoder.encode(some, some)
    similar = vectors @ vectors.T - 2 * np.eye(24)
    assert (similar.argmax(axis=1) % len(TOPICS) == np.arange(24) % len(TOPICS)).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


@pytest.mark.parametrize("limit", [10_000, 40])
def test_layout_and_merges_change_no_bit(tokenizer: str, limit: int) -> None:
    texts = documents(60)
    whole = trained(tokenizer, texts, limit=limit).files
    for shards, shuffle in ((3, 0), (7, 5)):
        assert trained(tokenizer, texts, shards, shuffle, limit).files == whole
    assert (json.loads(whole[CONFIG])["segments"] == limit) == (limit == 40)


def test_a_document_that_counts_twice_is_as_two(tokenizer: str) -> None:
    texts = documents(20)
    table = corpus(texts)
    twice = table.append_column("repeat", pa.array([2] * 20, pa.int32()))
    none = table.append_column("repeat", pa.array([1] * 15 + [0] * 5, pa.int32()))
    step = TrainStaticVectors(tokenizer=tokenizer, **SMALL)
    once = run(step, [corpus(texts[:15])]).artifacts["model"]
    assert run(step, [none]).artifacts["model"].read(WEIGHTS) == once.read(WEIGHTS)
    assert run(step, [twice]).artifacts["model"].read(WEIGHTS) != once.read(WEIGHTS)


def test_tokens_that_never_occur_count_for_nothing(tokenizer: str) -> None:
    encoder = StaticEncoder(read_artifact(trained(tokenizer, documents(30)), "tokens"))
    odd = pa.chunked_array([pa.array(["0123", " sea 0123"], pa.large_string())])
    found = encoder.encode(odd, odd)
    assert not found[0].any()
    assert found[1].any()


def test_few_segments_are_said(tokenizer: str) -> None:
    stored = trained(tokenizer, documents(2, words=3))
    assert "to learn 8 dimensions from" in json.loads(stored.read(WARNINGS))[0]
    assert WARNINGS not in trained(tokenizer, documents(60)).files


def test_nothing_to_learn_is_refused(tokenizer: str) -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        trained(tokenizer, ["", ""])


def test_what_it_leaves_is_a_model_in_a_folder(tmp_path: Path, tokenizer: str) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": text} for text in documents(40)])
    steps: list[dict[str, Any]] = [
        {"kind": "train_static_vectors", "name": "tokens", "tokenizer": tokenizer, **SMALL},
        {"kind": "embed_documents", "encoder": "static", "step": "tokens"},
    ]
    ran = mill.run(steps)
    folder = ran.version / "artifacts/tokens"
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, TOKENIZER, CONFIG}
    part = pa.concat_tables(
        pq.read_table(path) for path in (ran.version / "artifacts/embed_documents").glob("*.parquet")
    )
    texts = ran.corpus["text"]
    expected = StaticEncoder(read_folder(folder)).encode(texts, texts).astype(np.float16)
    assert np.array_equal(part["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 8), expected)
    said = json.loads((ran.version / "artifacts/embed_documents/model.json").read_text())
    assert (said["form"], said["dimension"], said["documents"], said["empty"]) == ("vocabmill", 8, 40, 0)
    assert said["digests"]["weights"] == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    again = mill.run([steps[0], {"kind": "embed_documents", "encoder": str(folder)}])
    assert vectors_of(again).equals(part)


def read_back(model: Stored, texts: list[str]) -> tuple[NDArray[np.float32], bytes]:
    """Vectors by the model, tokens found by its tokenizer.json; and its weights' file."""
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    return StaticEncoder(read_artifact(model, "tokens")).encode(column, column), model.read(WEIGHTS)


@pytest.mark.parametrize("form", ["ranks", "merges.txt", "merges.parquet"])
def test_of_ranks_and_merges_it_leaves_a_tokenizer_json_of_the_same_ids(tmp_path: Path, form: str) -> None:
    words = [b" " + word for topic in TOPICS for word in topic.split()]
    vocabulary = from_merges(merges_for(words, ()), cutting("gpt2").patterns)
    path, buffer = tmp_path / "given", pa.BufferOutputStream()
    pq.write_table(merges_table(vocabulary.merges), buffer)
    listed = "".join(" ".join(map(to_characters, pair)) + "\n" for pair in vocabulary.merges)
    path.write_bytes(
        {
            "ranks": rank_lines(vocabulary.ids),
            "merges.txt": b"#version: 0.2\n" + listed.encode(),
            "merges.parquet": buffer.getvalue().to_pybytes(),
        }[form]
    )
    step = TrainStaticVectors(tokenizer=str(path), pretokenizer="gpt2", **SMALL)
    step.check()
    model = run(step, [corpus(documents(60))]).artifacts["model"]
    assert isinstance(model, Stored)
    given = tokenizer_sources.read(str(path), cutting("gpt2").patterns)
    left = tokenizer_sources.parse(model.read(TOKENIZER), "left")
    assert (left.ids, left.patterns) == (given.ids, given.patterns)
    whole = tmp_path / "tokenizer.json"
    whole.write_bytes(to_tokenizer_json(given))
    texts = documents(12, seed=3)
    same = trained(str(whole), documents(60))
    vectors, weights = read_back(model, texts)
    assert vectors.any(axis=1).all()
    assert np.array_equal(vectors, read_back(same, texts)[0])
    assert (weights, model.read(TOKENIZER)) == (same.read(WEIGHTS), same.read(TOKENIZER))


def test_a_pretokenizer_beside_a_tokenizer_json_is_refused(tmp_path: Path, tokenizer: str) -> None:
    unigram = tmp_path / "unigram.json"
    unigram.write_text(Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0)).to_str())
    for path in (tokenizer, str(unigram)):
        TrainStaticVectors(tokenizer=path).check()
        with pytest.raises(RecipeError, match="says itself how text is cut: leave pretokenizer out"):
            TrainStaticVectors(tokenizer=path, pretokenizer="gpt2").check()


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "bert"}')
    with pytest.raises(RecipeError, match="cannot be read"):
        TrainStaticVectors(tokenizer=str(path)).check()


def test_steps_that_do_not_fit_are_refused(tokenizer: str) -> None:
    embed = EmbedDocuments(encoder="static", step="tokens")
    with pytest.raises(RecipeError, match="of kind length, which leaves no vectors of tokens"):
        embed.check_against({"tokens": Length()})
    embed.check_against({"tokens": TrainStaticVectors(tokenizer=tokenizer)})
    with pytest.raises(ValidationError, match="static goes with a train_static_vectors step"):
        EmbedDocuments(encoder="static")
    with pytest.raises(ValidationError, match="static goes with a train_static_vectors step"):
        EmbedDocuments(encoder="somewhere/else", step="tokens")
    with pytest.raises(RecipeError, match="leaves no tokenizer"):
        TrainStaticVectors(step="tokens").check_against({"tokens": Length()})
