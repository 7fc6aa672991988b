import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.cluster import Cluster
from operators.embedding import map as maps
from operators.embedding.naming import counted, telling
from operators.words import split_words
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.test_subsets import column

TOPICS = ("bread oven flour", "river boat harbour", "code test branch")


def topics(docs: int = 60, seed: int = 2) -> pa.Table:
    """Documents about three things, with vectors around three directions; the last is empty."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 3, docs)
    vectors = np.eye(3, 6)[topic] + 0.15 * rng.normal(size=(docs, 6))
    vectors[-1] = 0
    texts = [" ".join(["The", "and", *rng.choice(TOPICS[kind].split(), 5)]) for kind in topic[:-1]]
    return corpus([*texts, ""], vector=column(vectors), topic=topic.tolist())


def clustered(table: pa.Table, shards: int = 1, **given: Any) -> Engine:  # noqa: ANN401
    how = {name: given.pop(name) for name in ("shuffle", "seed", "partitions", "batch_rows") if name in given}
    return run(Cluster.model_validate({"column": "vector", **given}), deal(table, shards, how.get("shuffle", 0)), **how)


def content(engine: Engine, stage: str, file: str) -> Any:  # noqa: ANN401
    return json.loads(engine.artifacts[stage].read(file))


def test_documents_of_one_topic_have_one_number_and_a_name() -> None:
    engine = clustered(topics(), clusters=3)
    rows = engine.kept.to_pylist()
    pairs = {(row["topic"], row["cluster"]) for row in rows if row["cluster"] is not None}
    assert len(pairs) == 3
    empty = next(row for row in rows if row["text"] == "")
    assert (empty["cluster"], empty["similarity"]) == (None, None)
    assert all(0.7 < row["similarity"] <= 1 for row in rows if row["cluster"] is not None)
    found = content(engine, "names", "clusters.json")
    assert (found["documents"], found["without_vector"]) == (59, 1)
    for topic, cluster in pairs:
        entry = found["clusters"][cluster]
        assert sorted(entry["name"].split(", ")) == sorted(TOPICS[topic].split())
        assert entry["documents"] == sum(row["cluster"] == cluster for row in rows)
        best = sorted((-row["similarity"], row["id"]) for row in rows if row["cluster"] == cluster)[:5]
        assert [near["id"] for near in entry["nearest"]] == [name for _, name in best]
        assert entry["nearest"][0]["excerpt"].startswith("The and ")


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 9), st.integers(1, 7))
def test_shards_partitions_and_the_order_of_merging_do_not_matter(
    shards: int, partitions: int, shuffle: int, clusters: int
) -> None:
    one = clustered(topics(), clusters=clusters)
    other = clustered(topics(), shards, clusters=clusters, partitions=partitions, shuffle=shuffle, batch_rows=7)
    columns = ["id", "cluster", "similarity"]
    assert one.kept.select(columns).sort_by("id").equals(other.kept.select(columns).sort_by("id"))
    for stage, file in (("names", "clusters.json"), ("points", "map.json")):
        assert one.artifacts[stage].read(file) == other.artifacts[stage].read(file)


def test_names_are_those_of_the_definition() -> None:
    table = topics()
    engine = clustered(table, 2, clusters=3)
    in_clusters: dict[int, Counter[str]] = {}
    for row in engine.kept.to_pylist():
        if row["cluster"] is not None:
            in_clusters.setdefault(row["cluster"], Counter()).update(split_words(row["text"].lower()))
    everywhere = sum(in_clusters.values(), Counter())
    average = everywhere.total() / len(in_clusters)
    spread = {
        word: sum(2 * mine[word] * everywhere.total() >= times * mine.total() for mine in in_clusters.values())
        for word, times in everywhere.items()
    }
    for entry in content(engine, "names", "clusters.json")["clusters"]:
        mine = in_clusters[entry["cluster"]]
        score = {
            word: math.sqrt(times / mine.total())
            * math.log(1 + average / everywhere[word])
            * math.log((len(in_clusters) + 1) / spread[word])
            for word, times in mine.items()
            if times * everywhere.total() > everywhere[word] * mine.total()
        }
        assert entry["words"] == sorted(score, key=lambda word: (-score[word], word))


STOPPED = {"en": "to the is and of it", "de": "der die und ist zu es", "fr": "le la et est de il"}
TOPIC = "abcd"


def test_no_cluster_is_named_by_function_words_of_any_language() -> None:
    rng = np.random.default_rng(4)
    topics = [(lang, letter) for lang in STOPPED for letter in TOPIC]
    topic, texts = rng.integers(0, len(topics), 600), []
    for lang, letter in (topics[number] for number in topic.tolist()):
        # Three words of four are function words, one of them more in each topic; the others are of a large vocabulary.
        stops = STOPPED[lang].split()
        own = [f"{lang}{letter}{chr(97 + number // 8)}{chr(97 + number % 8)}" for number in rng.integers(0, 64, 12)]
        texts.append(" ".join([*rng.choice(stops, 32), *[stops[TOPIC.index(letter)]] * 4, *own]))
    vectors = np.eye(12)[topic] + 0.05 * rng.normal(size=(600, 12))
    named = content(clustered(corpus(texts, vector=column(vectors)), clusters=12), "names", "clusters.json")
    told = {word for entry in named["clusters"] for word in entry["name"].split(", ")}
    assert len(told) > 30
    assert not told & set(" ".join(STOPPED.values()).split())


def test_letters_digits_and_endings_name_nothing_and_ideographs_do() -> None:
    rows = pa.table({"text": ["It's 12 x \u4e2d\u6587 na\u00efve \u00c4pfel"], "_cluster": pa.array([0], pa.int32())})
    assert sorted(counted(rows)["word"].to_pylist()) == ["it", "na\u00efve", "\u00e4pfel", "\u4e2d", "\u6587"]
    one = pa.table({"cluster": pa.array([0], pa.int32()), "words": [5]})
    assert telling(counted(rows), one).num_rows == 5


def test_the_map_has_a_sample_on_the_two_widest_axes() -> None:
    engine = clustered(topics(), clusters=3)
    found = content(engine, "points", "map.json")
    assert len(found["points"]) == 59
    vectors = np.array([row["vector"] for row in engine.kept.to_pylist() if row["cluster"] is not None])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    assert found["explained"] == pytest.approx(values[:2] / values.sum(), abs=2e-3)
    spread = np.var([[point["x"], point["y"]] for point in found["points"]], axis=0)
    assert spread == pytest.approx(values[:2] / 59, rel=0.01)


def test_the_map_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "POINTS", 10)
    one, other = (content(clustered(topics(), shards, clusters=2), "points", "map.json") for shards in (1, 4))
    assert len(one["points"]) == 10
    assert one == other


def test_no_documents_and_no_vectors_are_none() -> None:
    assert clustered(topics().slice(0, 0)).kept.num_rows == 0
    bare = clustered(corpus(["a", "b"], vector=column(np.zeros((2, 3)))))
    assert bare.kept["cluster"].to_pylist() == [None, None]
    assert content(bare, "names", "clusters.json")["clusters"] == []
    assert content(bare, "points", "map.json")["points"] == []
