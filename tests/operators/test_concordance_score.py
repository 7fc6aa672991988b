import json
import random
import sys
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RecipeError
from operators.classifier_training import METRICS
from operators.concordance_score import ConcordanceScore
from operators.hashing import row_hash
from operators.ladder_scores import concordant
from operators.ngram_model import texts_of, to_bytes, train_model
from operators.ngram_perplexity import NgramPerplexity
from pipeline.executors.cluster import packages_of
from tests.operators.harness import Engine, corpus, deal, run
from tests.pipeline.engine import FRENCH, GERMAN, Json, Mill

TINY = str(Path(__file__).parents[1] / "data" / "sentences.ngram")
SCORERS = """
import pyarrow as pa

def numbers(texts, place):
    return pa.array([float(text.split()[place]) for text in texts.to_pylist()], pa.float64())

def first(texts):
    return numbers(texts, 0)

def second(texts):
    return numbers(texts, 1)

def third(texts):
    return numbers(texts, 2).to_numpy()

def fourth(texts):
    return numbers(texts, 3).to_pylist()

def few(texts):
    return [1.0] * (len(texts) - 1)

def nan(texts):
    return [float("nan")] * len(texts)

def words(texts):
    return ["many"] * len(texts)

def fails(texts):
    raise ZeroDivisionError("no loss")

constant = 3
"""
LADDER = tuple(f"given_scorers:{name}" for name in ("first", "second", "third", "fourth"))
LOSSES = st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=40)


@pytest.fixture(scope="module", autouse=True)
def given_scorers(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401
    """A module of functions that read a document's losses from its text."""
    folder = tmp_path_factory.mktemp("scorers")
    (folder / "given_scorers.py").write_text(SCORERS)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("given_scorers", None)


def slow_score(losses: Sequence[float]) -> float:
    """The definition: sum over i < j of 1[C_i > C_j], of all pairs."""
    size = len(losses)
    pairs = [losses[i] > losses[j] for i in range(size) for j in range(i + 1, size)]
    return sum(pairs) / (size * (size - 1) / 2)


def slow_labels(rows: Sequence[dict[str, Any]], seed: int = 7) -> list[str | None]:
    """positive where the score is 1; as many of the others negative, by score, then by the place of the id."""
    scored = [row for row in rows if row["score"] is not None]
    positive = {row["id"] for row in scored if row["score"] == 1}
    others = [row for row in scored if row["id"] not in positive]
    others.sort(key=lambda row: (row["score"], row_hash(row["id"], seed, "concordance_score"), row["id"]))
    negative = {row["id"] for row in others[: len(positive)]}
    return ["positive" if row["id"] in positive else "negative" if row["id"] in negative else None for row in rows]


def scored(step: ConcordanceScore, texts: Sequence[str], shards: int = 1, **how: Any) -> Engine:  # noqa: ANN401
    return run(step, deal(corpus(texts), shards) if shards > 1 else [corpus(texts)], **how)


@given(st.lists(st.lists(st.integers(-3, 3), min_size=5, max_size=5), max_size=20))
def test_pairs_are_counted_as_the_definition_says(losses: list[list[int]]) -> None:
    table = np.array(losses, np.int64).reshape(-1, 5).T
    assert (concordant(table) / 10).tolist() == [slow_score(row) for row in losses]


@given(LOSSES, st.integers(1, 4), st.integers(0, 3))
def test_labels_are_those_of_sorting_the_corpus(losses: list[list[int]], shards: int, shuffle: int) -> None:
    texts = [" ".join(map(str, row)) for row in losses] + [""]
    found = scored(ConcordanceScore(ladder=LADDER), texts, shards, shuffle=shuffle)
    rows = sorted(found.kept.to_pylist(), key=lambda row: row["id"])
    assert [row["score"] for row in rows] == [*(slow_score(row) for row in losses), None]
    assert [row["label"] for row in rows] == slow_labels(rows)
    for row, expected in zip(rows, losses, strict=False):
        assert [row[f"bits_{number}"] for number in range(1, 5)] == expected


def test_the_summary_says_what_was_labelled() -> None:
    texts = [*["4 3 2 1"] * 3, *["1 2 3 4"] * 2, *["1 2 2 1"] * 5, "1 1 1 1 1 1", ""]
    found = scored(ConcordanceScore(ladder=LADDER), texts)
    said = json.loads(found.artifacts["ranking"].read("concordance.json"))
    assert said["labels"] == {"positive": {"docs": 3, "bytes": 21}, "negative": {"docs": 3, "bytes": 25}}
    assert said["last_negative_score"] == 0
    assert said["scores"] == [
        {"score": 0, "docs": 3, "bytes": 25},
        {"score": pytest.approx(1 / 3), "docs": 5, "bytes": 35},
        {"score": 1, "docs": 3, "bytes": 21},
    ]
    assert said["bits_per_byte"] == [20 / 11, 24 / 11, 23 / 11, 17 / 11]


def warnings_of(texts: Sequence[str], ladder: tuple[str, ...] = LADDER) -> list[str]:
    levels = scored(ConcordanceScore(ladder=ladder), texts).artifacts["levels"]
    try:
        lines: list[str] = json.loads(levels.read("_warnings.json"))
    except KeyError:
        return []
    return lines


def test_a_run_warns_of_missing_labels_and_of_a_ladder_out_of_order() -> None:
    assert warnings_of(["4 3 2 1", "1 1 1 0"]) == []
    assert warnings_of([""]) == []
    assert warnings_of(["4 3 3 1", ""]) == [
        "of 1 documents none has all pairs of rungs in the ladder's order: nothing is labelled",
        "rung 3 needs 3.0000 bits per byte on average, just as many as rung 2, which should be weaker: "
        "order the ladder from the weakest to the strongest",
    ]
    assert warnings_of(["4 3 2 1"]) == [
        "all 1 documents have all pairs of rungs in the ladder's order: none is negative"
    ]
    (said,) = warnings_of(["4 3 2 1", "5 3 2 1", "4 3 2 2"])
    assert said.startswith("2 documents have all pairs of rungs in the ladder's order, and only 1 have not")


def test_a_lower_score_than_asked_for_drops() -> None:
    texts = ["4 3 2 1", "4 3 1 2", "1 2 3 4", ""]
    found = scored(ConcordanceScore(ladder=LADDER, min_score=5 / 6), texts)
    assert found.kept_ids == {"d0000", "d0001", "d0003"}
    (dropped,) = found.dropped.to_pylist()
    assert (dropped["rule"], dropped["value"], dropped["threshold"]) == ("below_min_score", 0, 5 / 6)
    kept = scored(ConcordanceScore(ladder=LADDER, min_score=1, audit=True), texts)
    assert kept.kept.num_rows == 4
    assert kept.dropped["id"].to_pylist() == ["d0001", "d0002"]


def models(folder: Path, unit: Any = "word") -> tuple[str, ...]:  # noqa: ANN401
    """The paths of models of order 1 to 3."""
    texts = pa.chunked_array([pa.array(GERMAN, pa.large_string())])
    paths = []
    for order in (1, 2, 3):
        path = folder / f"{unit}{order}.ngram"
        path.write_bytes(to_bytes(train_model(texts_of(texts, unit), unit, order, 1)))
        paths.append(str(path))
    return tuple(paths)


@pytest.mark.parametrize("unit", ["word", "byte"])
def test_bits_are_those_of_ngram_perplexity(unit: str, tmp_path: Path) -> None:
    texts = [*GERMAN, *FRENCH, "", " \n", "x" * 5000, "\U0001f600", "Die Stadt \u6f22"]
    paths = models(tmp_path, unit)
    found = scored(ConcordanceScore(ladder=paths), texts).kept
    for number, path in enumerate(paths, 1):
        alone = run(NgramPerplexity(model=path), [corpus(texts)]).kept["bits_per_byte"]
        assert found[f"bits_{number}"].to_pylist() == alone.to_pylist()
    has_tokens = [bool(text.strip() if unit == "word" else text) for text in texts]
    assert pc.is_valid(found["score"]).to_pylist() == has_tokens
    losses = zip(*(found[f"bits_{number}"].to_pylist() for number in (1, 2, 3)), strict=True)
    expected = [slow_score(row) if has else None for row, has in zip(losses, has_tokens, strict=True)]
    assert found["score"].to_pylist() == expected


def test_functions_and_models_stand_on_one_ladder(tmp_path: Path) -> None:
    ladder = (LADDER[0], models(tmp_path)[1], LADDER[1])
    found = scored(ConcordanceScore(ladder=ladder), ["9 0 3", " \n", "0 9 9", ""]).kept.to_pylist()
    assert [row["bits_1"] for row in found] == [9, None, 0, None]
    assert [row["bits_3"] for row in found] == [0, None, 9, None]
    assert [row["score"] for row in found] == [1, None, 0, None]


def test_what_a_function_is_known_by_changes_with_its_file(given_scorers: Path) -> None:
    step = ConcordanceScore(ladder=LADDER)
    before = step.stages()[0].identity()  # type: ignore[union-attr]
    assert before != ConcordanceScore(ladder=LADDER[::-1]).stages()[0].identity()  # type: ignore[union-attr]
    path = given_scorers / "given_scorers.py"
    path.write_text(f"{SCORERS}# another line\n")
    after = step.stages()[0].identity()  # type: ignore[union-attr]
    path.write_text(SCORERS)
    assert before != after
    assert step.stages()[0].identity() == before  # type: ignore[union-attr]


def test_a_cluster_is_given_the_modules_of_functions() -> None:
    assert packages_of([ConcordanceScore(ladder=(*LADDER, TINY, "a_step"))]) == ("given_scorers",)


def test_the_order_of_the_models_is_part_of_what_scores_are_known_by() -> None:
    one, other = (
        ConcordanceScore(ladder=ladder).stages()[0].identity()  # type: ignore[union-attr]
        for ladder in (("a", "b"), ("b", "a"))
    )
    assert one != other
    renamed = ConcordanceScore(ladder=("x", "y")).stages()[0].identity()  # type: ignore[union-attr]
    assert renamed == one


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("few", r"returned numbers of shape \(1,\) for 2 texts"),
        ("nan", "returned nan for '1 2 3 4': expected a number"),
        ("words", "returned list, which are no numbers"),
    ],
)
def test_a_function_that_returns_no_losses_is_refused(name: str, said: str) -> None:
    step = ConcordanceScore(ladder=(LADDER[0], f"given_scorers:{name}"))
    with pytest.raises(RecipeError, match=f"'given_scorers:{name}' {said}"):
        scored(step, ["1 2 3 4", "", "1 2 3 4"])


def test_a_function_that_fails_fails_the_run() -> None:
    with pytest.raises(ZeroDivisionError, match="no loss"):
        scored(ConcordanceScore(ladder=(LADDER[0], "given_scorers:fails")), ["1 2"])


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        ("no_such_module:bits", "cannot import 'no_such_module:bits': ModuleNotFoundError"),
        ("given_scorers:none", "cannot import 'given_scorers:none': AttributeError"),
        ("given_scorers:constant", "'given_scorers:constant' is int 3: expected a function"),
        ("none/model.ngram", "cannot be read"),
    ],
)
def test_a_rung_that_is_not_there_is_refused_before_data_is_read(rung: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        ConcordanceScore(ladder=(TINY, rung)).check()


@pytest.mark.parametrize(
    ("ladder", "said"),
    [
        ([], "at least 2"),
        (["a"], "at least 2"),
        (["a", ""], "is empty or there twice"),
        (["a", "b", "a"], "rung 'a' of the ladder is empty or there twice"),
        ([f"m{number}" for number in range(17)], "at most 16"),
    ],
)
def test_a_ladder_that_is_none_is_refused(ladder: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ConcordanceScore.model_validate({"ladder": ladder})


def test_models_of_two_units_are_no_ladder(tmp_path: Path) -> None:
    ladder = (models(tmp_path)[0], models(tmp_path, "byte")[1])
    with pytest.raises(RecipeError, match=r"different units \(word, byte\)"):
        scored(ConcordanceScore(ladder=ladder), ["a"])


def test_a_classifier_learns_the_labels(tmp_path: Path) -> None:
    """From text to classifier in one recipe, and the same for another layout of shards."""
    mill = Mill(tmp_path)
    good = [" ".join(some) for some in permutations(GERMAN)] * 3
    mill.jsonl("learned", [{"text": text} for text in good])
    rng = random.Random(0)
    shuffled = [" ".join(rng.sample(text.split(), len(text.split()))) for text in good]
    pool = [
        {"text": f"{text} {number}", "kind": kind}
        for kind, some in (("good", good), ("bad", shuffled))
        for number, text in enumerate(some)
    ]
    mill.jsonl("pool", pool)
    inputs: list[Json] = [
        {"name": "good", "path": str(mill.home / "in/learned.jsonl"), "role": "reference"},
        {"name": "pool", "path": str(mill.home / "in/pool.jsonl"), "columns": {"keep": ["kind"]}},
    ]
    rungs = [
        {"kind": "train_ngram_model", "name": f"m{order}", "reference": "good", "order": order} for order in (1, 2, 3)
    ]
    steps: list[Json] = [
        *rungs,
        {"kind": "concordance_score", "name": "strength", "ladder": ["m1", "m2", "m3"]},
        {
            "kind": "train_classifier", "name": "quality", "dim": 4, "buckets": 100, "held_out": 0,
            "positive": {"column": "strength_label", "in": ["positive"]},
            "negative": {"column": "strength_label", "in": ["negative"]},
        },
    ]  # fmt: skip
    ran = mill.run(steps, inputs=inputs)
    rows = ran.corpus.select(["id", "kind", "strength_label", "strength_score"]).to_pylist()
    labels = {row["id"]: row["strength_label"] for row in rows}
    counts = {label: list(labels.values()).count(label) for label in ("positive", "negative")}
    assert counts["positive"] == counts["negative"] > 5
    assert {row["kind"] for row in rows if row["strength_label"] == "negative"} == {"bad"}
    classes = json.loads((ran.out / "artifacts" / "quality" / METRICS).read_bytes())["classes"]
    assert {label: classes[label]["training"]["documents"] for label in counts} == counts
    small = mill.run(steps, inputs=inputs, shard_mb=0.002, out="out2", work="work2")
    assert small.manifest["inputs"][1]["shards"] > ran.manifest["inputs"][1]["shards"]
    assert dict(zip(*(small.corpus[name].to_pylist() for name in ("id", "strength_label")), strict=True)) == labels
