import json
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import WARNINGS, Context, RunError
from operators.classify import ClassScores
from operators.hashing import row_hash
from operators.train_classifier import TrainClassifier
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_fasttext_training import TOPICS

SMALL: dict[str, Any] = {"dim": 8, "buckets": 200, "held_out": 0.3}


def texts(topic: int, count: int) -> list[str]:
    """Documents of one topic, of several lines."""
    random = np.random.default_rng(topic)
    words = TOPICS[topic].split()
    return ["\n".join(" ".join(random.choice(words, 5)) for _ in range(3)) for _ in range(count)]


def rows(counts: tuple[int, int] = (150, 120)) -> pa.Table:
    """Documents of both topics, told apart by a column."""
    topics = [topic for topic, count in enumerate(counts) for _ in range(count)]
    documents = [text for topic, count in enumerate(counts) for text in texts(topic, count)]
    return corpus(documents, topic=pa.array([["farm", "bank"][topic] for topic in topics], pa.string()))


def by_column(table: pa.Table | None = None, **parameters: object) -> Engine:
    """A classifier of the rows of one topic against all others."""
    given = {"positive": {"column": "topic", "in": ["farm"]}, **SMALL, **parameters}
    return run(TrainClassifier.model_validate(given), [rows() if table is None else table])


def metrics(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.artifacts["train"].read("metrics.json"))
    return found


def published(engine: Engine) -> dict[str, bytes]:
    return {name: engine.artifacts["train"].read(name) for name in ("model.bin", "metrics.json")}


def test_the_library_loads_the_model_and_tells_the_classes_apart(tmp_path: Path) -> None:
    engine = by_column()
    (tmp_path / "model.bin").write_bytes(engine.artifacts["train"].read("model.bin"))
    model = fasttext.load_model(str(tmp_path / "model.bin"))
    assert model.predict(TOPICS[0])[0] == ("__label__hq",)
    assert model.predict(TOPICS[1])[0] == ("__label__cc",)
    found = metrics(engine)
    assert found["held_out"]["auc"] > 0.99
    assert found["training"]["final_loss"] < found["training"]["loss_by_epoch"][0]


def test_a_threshold_of_the_metrics_cuts_the_scores_of_classify() -> None:
    engine = by_column(held_out=0.99, max_documents=200)
    scores = ClassScores(model="train").bind(Context(7, engine.artifacts))(rows())["score"].to_numpy()
    held = np.array([row_hash(f"d{n:04}", 7, "train_classifier held out") < 0.99 * 2**64 for n in range(270)])
    topics = np.array(rows()["topic"].to_pylist())
    found = metrics(engine)["held_out"]
    for entry in found["kept_shares"]:
        negatives = scores[held & (topics == "bank")]
        assert (negatives >= entry["threshold"]).sum() == round(entry["kept"] * negatives.size)
    assert sum(entry["documents"] for entry in found["calibration"]) == held.sum()


def test_the_rows_stay_as_they_are() -> None:
    table = rows()
    assert by_column(table).kept.equals(table)


FARM = {"column": "topic", "in": ["farm"]}


@pytest.mark.parametrize(
    ("classes", "counts"),
    [
        ({"positive": "farms", "negative": "banks"}, (60, 50)),
        ({"positive": ["farms", "more"], "negative": ["banks"]}, (80, 50)),
        ({"positive": "farms"}, (60, 270)),
        ({"positive": "farms", "negative": {"column": "topic", "in": ["bank"]}}, (60, 120)),
        ({"positive": FARM, "negative": "banks"}, (150, 50)),
        ({"positive": FARM}, (150, 120)),
        ({"positive": FARM, "negative": {"column": "topic", "in": ["farm", "bank"]}}, (150, 120)),
    ],
)
def test_classes_may_be_inputs_in_any_mix_with_rows(classes: dict[str, Any], counts: tuple[int, int]) -> None:
    farms, banks = corpus(texts(0, 60)), corpus(texts(1, 50))
    inputs = {"farms": [farms], "banks": [banks], "more": [corpus(texts(0, 20))]}
    operator = TrainClassifier.model_validate({**SMALL, **classes})
    found = metrics(run(operator, [rows()], references=inputs))["classes"]
    for name, count in zip(("positive", "negative"), counts, strict=True):
        assert sum(found[name][part]["documents"] for part in ("training", "held_out")) == count
        assert sum(source["used"] for source in found[name]["sources"]) == count


def test_documents_are_drawn_by_the_hash_of_their_ids() -> None:
    found = metrics(by_column(max_documents=40))["classes"]["positive"]
    assert found["sources"] == [
        {
            "from": "rows whose topic is farm",
            "documents": 150,
            "bytes": sum(len(text.encode()) for text in texts(0, 150)),
            "used": 40,
        }
    ]
    ids = sorted((f"d{number:04}" for number in range(150)), key=lambda i: row_hash(i, 7, "train_classifier draw "))
    held = [i for i in ids[:40] if row_hash(i, 7, "train_classifier held out") < 0.3 * 2**64]
    assert found["held_out"]["documents"] == len(held)
    assert found["training"]["documents"] == 40 - len(held)


@settings(max_examples=8)
@given(seed=st.integers(0, 99), shards=st.integers(1, 6))
def test_layout_and_merge_order_do_not_change_a_byte(seed: int, shards: int) -> None:
    given = {"positive": {"column": "topic", "in": ["farm"]}, "max_documents": 60, **SMALL}
    operator = TrainClassifier.model_validate(given)
    other = run(operator, deal(rows(), shards, seed), shuffle=seed)
    assert published(other) == published(by_column(max_documents=60))


def test_another_seed_gives_another_model() -> None:
    operator = TrainClassifier.model_validate({"positive": {"column": "topic", "in": ["farm"]}, **SMALL})
    one, other = (run(operator, [rows()], seed=seed) for seed in (1, 2))
    assert published(one)["model.bin"] != published(other)["model.bin"]


@pytest.mark.parametrize("topic", ["farm", "bank"])
def test_a_class_without_documents_fails_in_words(topic: str) -> None:
    counts = (0, 30) if topic == "farm" else (30, 0)
    side = "positive" if topic == "farm" else "negative"
    with pytest.raises(RunError, match=f"the {side} class has no document to train on: nothing in rows whose topic is"):
        by_column(rows(counts))


def test_too_rare_words_and_too_high_rates_fail_in_words() -> None:
    with pytest.raises(RunError, match="min_count 100000: no word"):
        by_column(min_count=100_000)
    with pytest.raises(RunError, match="choose a smaller learning_rate"):
        by_column(learning_rate=100, epochs=50)


def test_lopsided_classes_and_few_held_out_documents_are_told() -> None:
    told = json.loads(by_column(rows((300, 12)), held_out=0.1).artifacts["train"].read(WARNINGS))
    assert "scores lean to the larger class" in told[0]
    assert "documents were held out" in told[1]


def test_nothing_held_out_measures_nothing() -> None:
    held = metrics(by_column(held_out=0))["held_out"]
    assert (held["documents"], held["auc"], held["curve"], held["calibration_error"]) == (0, None, [], None)


def test_presets_are_the_published_settings_and_can_be_overridden() -> None:
    dclm, preselect = (TrainClassifier(positive=("a",), preset=name) for name in ("dclm", "preselect"))
    assert (dclm.epochs, dclm.word_ngrams, dclm.learning_rate, dclm.dim, dclm.min_count) == (5, 2, 0.1, 100, 1)
    assert (preselect.epochs, preselect.word_ngrams) == (3, 2)
    assert TrainClassifier(positive=("a",), preset="preselect", epochs=7).epochs == 7
    assert TrainClassifier.model_validate_json(preselect.model_dump_json()) == preselect


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"positive": []}, "positive names nothing"),
        ({"positive": {}}, "positive names nothing"),
        ({"positive": "a", "negative": "a"}, "'a' is empty or given twice"),
        ({"positive": "a", "labels": ["x y", "z"]}, "two different names without white space"),
        ({"positive": "a", "labels": ["x", "x"]}, "two different names"),
        ({"positive": "a", "min_letters": 5, "max_letters": 3}, "min_letters 5 is more than max_letters 3"),
        ({"positive": "a", "preset": "gpt"}, "'dclm' or 'preselect'"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainClassifier.model_validate(given)
