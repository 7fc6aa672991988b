import io
import json
import math
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import importance_draw
from operators.base import WARNINGS, DataError
from operators.importance_draw import drawn, gumbel, places
from operators.importance_resample import ImportanceResample
from operators.importance_weights import log_ratio
from operators.kernels.ngram_features_reference import buckets_of, split_tokens
from tests.operators.harness import Engine, corpus, deal, run

SEA = ["the", "boat", "the", "harbour", "a", "sail", "the", "tide", "and", "herring", "by", "the", "pier"]
LAW = ["the", "court", "a", "claim", "the", "statute", "and", "appeal", "by", "the", "clause", "of", "the", "judge"]


def prose(rng: np.random.Generator, words: list[str], count: int) -> str:
    return " ".join(words[place] for place in rng.integers(0, len(words), count))


def pool(seed: int = 3, docs: int = 60) -> tuple[pa.Table, pa.Table]:
    """Documents about the sea and about the law, by turns and of all lengths; and a target about the sea."""
    rng = np.random.default_rng(seed)
    texts = [prose(rng, (SEA, LAW)[n % 2], int(rng.integers(4, 300))) for n in range(docs)]
    target = corpus({f"t{n}": prose(rng, SEA, 80) for n in range(10)})
    return corpus(texts, topic=["sea", "law"] * (docs // 2)), target


def select(table: pa.Table, wanted: pa.Table, shards: int = 1, **given: Any) -> Engine:  # noqa: ANN401
    how = {name: given.pop(name) for name in ("shuffle", "seed", "partitions", "batch_rows") if name in given}
    operator = ImportanceResample.model_validate({"target": "wanted", "buckets": 500, "min_tokens": 10, **given})
    return run(operator, deal(table, shards, how.get("shuffle", 0)), references={"wanted": [wanted]}, **how)


def warned(engine: Engine) -> list[str]:
    """What the run tells people."""
    summary = engine.artifacts["summary"]
    found: list[str] = json.loads(summary.read(WARNINGS)) if WARNINGS in summary.files else []  # type: ignore[attr-defined]
    return found


def slow_weights(table: pa.Table, target: pa.Table, operator: ImportanceResample) -> dict[str, float]:
    """The oracle: dense vectors, as the paper has them; of what has enough tokens."""

    def vector(text: str) -> Any:  # noqa: ANN401
        return np.bincount(
            buckets_of(text, operator.ngrams, operator.buckets, operator.hash), minlength=operator.buckets
        )

    raw, wanted = (sum(vector(text) for text in some["text"].to_pylist()) for some in (table, target))
    ratio = np.log((wanted + operator.smoothing) / (wanted + operator.smoothing).sum() + 1e-8)
    ratio -= np.log(raw / raw.sum() + 1e-8)
    found = {}
    for row in table.to_pylist():
        tokens = len(split_tokens(row["text"]))
        per = {"document": 1, "token": max(tokens, 1), "chunk": max(tokens / 128, 1)}[operator.normalise]
        if tokens >= operator.min_tokens:
            found[row["id"]] = float(vector(row["text"]) @ ratio) / per
    return found


@pytest.mark.parametrize("normalise", ["document", "token", "chunk"])
@pytest.mark.parametrize("hashing", ["fast", "sha256"])
def test_weights_are_those_of_dense_vectors(normalise: str, hashing: str) -> None:
    table, target = pool()
    given: dict[str, Any] = {
        "select": {"docs": 5},
        "normalise": normalise,
        "hash": hashing,
        "smoothing": 0.5,
        "ngrams": 3,
    }
    engine = select(table, target, **given)
    operator = ImportanceResample.model_validate({"target": "wanted", "buckets": 500, "min_tokens": 10, **given})
    weights = engine.artifacts["weights"].table("weights")
    found = dict(zip(weights["id"].to_pylist(), weights["log_weight"].to_pylist(), strict=True))
    assert found == pytest.approx(slow_weights(table, target, operator), abs=1e-9)
    assert list(found) == sorted(found)


@pytest.mark.parametrize("crowded", [False, True])
@given(
    st.sampled_from(["docs", "bytes", "fraction"]),
    st.integers(0, 40),
    st.sampled_from([0.0, 1.0, 30.0]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_what_is_chosen_is_what_sorting_the_corpus_would_choose(
    crowded: bool, unit: str, size: int, temperature: float, shards: int, shuffle: int
) -> None:
    table, target = pool(shuffle % 3, 40)
    budget = {"docs": size + 1, "bytes": 400 * size + 1, "fraction": (size + 1) / 41}[unit]
    with pytest.MonkeyPatch.context() as patch:
        if crowded:  # most documents in few buckets, many at the very same place

            def few(sums: Any) -> Any:  # noqa: ANN401
                return places(np.round(sums / 8) * 8)

            patch.setattr(importance_draw, "places", few)
        engine = select(
            table,
            target,
            shards,
            select={unit: budget},
            temperature=temperature,
            shuffle=shuffle,
            seed=shuffle,
            partitions=3,
            batch_rows=7,
        )
        weights = engine.artifacts["weights"].table("weights")
        sums = weights["log_weight"].to_numpy() + temperature * gumbel(weights["id"], shuffle)
        place = importance_draw.places(sums).tolist()
    size_of = dict(zip(table["id"].to_pylist(), map(len, table["text"].to_pylist()), strict=True))
    left = math.floor(budget * len(place) + 1e-6) if unit == "fraction" else budget
    chosen = set()
    for _, name in sorted(zip(place, weights["id"].to_pylist(), strict=True)):
        left -= size_of[name] if unit == "bytes" else 1
        if left < 0:
            break
        chosen.add(name)
    assert engine.kept_ids == chosen
    found = json.loads(engine.artifacts["summary"].read("summary.json"))["chosen"]
    assert found == {"docs": len(chosen), "bytes": sum(size_of[name] for name in chosen)}


def test_the_layout_changes_no_artifact() -> None:
    table, target = pool()
    one = select(table, target, select={"docs": 9})
    for shards in (2, 5):
        other = select(table, target, shards, select={"docs": 9}, shuffle=shards)
        assert other.kept_ids == one.kept_ids
        for name in ("summary.json", "features.npz"):
            assert other.artifacts["summary"].read(name) == one.artifacts["summary"].read(name)


def test_inclusion_frequencies_are_those_of_plackett_and_luce() -> None:
    weights = np.array([3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.2, 0.1])
    exact = np.zeros(8)
    for first, second, third in permutations(range(8), 3):
        left = weights.sum() - weights[first]
        chance = weights[first] / weights.sum() * weights[second] / left * weights[third] / (left - weights[second])
        exact[[first, second, third]] += chance
    trials, names = 20_000, pa.array([f"{trial}/{item}" for trial in range(20_000) for item in range(8)])
    sums = np.log(weights) + gumbel(names, 5).reshape(trials, 8)
    found = np.bincount(np.argsort(-sums, axis=1)[:, :3].ravel(), minlength=8) / trials
    assert np.abs(found - exact).max() < 4.5 * math.sqrt(0.25 / trials)


def test_like_documents_are_chosen_and_the_divergence_falls() -> None:
    table, target = pool(docs=400)
    by_chance = select(table, target, select={"fraction": 0.3}, temperature=1e6).kept["topic"].to_pylist()
    assert by_chance.count("sea") < 0.65 * len(by_chance)
    engine = select(table, target, select={"fraction": 0.3})
    assert engine.kept["topic"].to_pylist().count("sea") > 0.85 * engine.kept.num_rows
    assert set(select(table, target, select={"fraction": 0.3}, temperature=1).kept["topic"].to_pylist()) == {"sea"}
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert found["kl_reduction"] > 0.2
    # As a check of the measure: of what was drawn by chance from the pool, there is next to no reduction.
    by_chance = select(table, table, select={"fraction": 0.3}, normalise="token")
    assert abs(json.loads(by_chance.artifacts["summary"].read("summary.json"))["kl_reduction"]) < 0.02


def test_a_labelled_part_stays_and_is_no_candidate() -> None:
    table, _ = pool()
    table = table.append_column("part", pa.array(["good" if n < 8 else "web" for n in range(60)]))
    engine = select(table, table, target={"column": "part", "in": ["good"]}, select={"docs": 5})
    assert engine.kept["part"].to_pylist().count("good") == 8
    assert engine.kept.num_rows == 13
    weighed = engine.kept.filter(pa.compute.equal(engine.kept["part"], "good"))
    assert weighed["log_weight"].null_count == 8


def test_short_documents_are_dropped_by_a_rule_of_their_own() -> None:
    table, target = pool()
    engine = select(table, target, select={"docs": 5}, min_tokens=100)
    tokens = {row["id"]: len(split_tokens(row["text"])) for row in table.to_pylist()}
    short = {name for name, count in tokens.items() if count < 100}
    dropped = engine.dropped.to_pylist()
    assert {row["id"] for row in dropped if row["rule"] == "too_few_tokens"} == short
    assert {row["rule"] for row in dropped if row["id"] not in short} == {"not_selected"}
    assert all((row["value"], row["threshold"]) == (tokens[row["id"]], 100) for row in dropped if row["id"] in short)


def test_the_effective_sample_size_is_exp_of_the_entropy_and_degenerate_weights_are_told() -> None:
    table, target = pool(docs=400)
    engine = select(table, target, select={"docs": 200}, normalise="document")
    weights = engine.artifacts["weights"].table("weights")["log_weight"].to_numpy()
    shares = np.exp(weights - weights.max())
    shares /= shares.sum()
    entropy = -sum(share * math.log(share) for share in shares if share)
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert found["effective_sample_size"] == pytest.approx(math.exp(entropy), rel=1e-6)
    assert "set normalise: chunk" in json.loads(engine.artifacts["summary"].read(WARNINGS))[0]
    mild = select(table, target, select={"docs": 50}, normalise="token")
    assert WARNINGS not in mild.artifacts["summary"].files  # type: ignore[attr-defined]


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 25.0, 1e9])
def test_the_temperature_chooses_the_effective_sample_size(temperature: float) -> None:
    table, target = pool()
    engine = select(table, target, 3, select={"docs": 30}, temperature=temperature)
    weights = engine.artifacts["weights"].table("weights")["log_weight"].to_numpy()

    def effective(at: float) -> float:
        shares = np.exp((weights - weights.max()) / at) if at else (weights == weights.max()).astype(float)
        shares = shares[shares > 0] / shares.sum()
        return math.exp(-sum(share * math.log(share) for share in shares))

    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert found["temperature"] == temperature
    assert found["effective_sample_size"] == pytest.approx(effective(temperature), rel=1e-6)
    ladder = found["effective_sample_sizes"]
    assert ladder == pytest.approx({at: effective(float(at)) for at in ladder}, rel=1e-6)
    assert any("degenerate" in line for line in warned(engine)) == (temperature in (0.3, 1.0))


def test_a_warning_names_the_temperature_that_would_do() -> None:
    table, target = pool(docs=400)
    summary = select(table, target, select={"docs": 100}, temperature=0.1).artifacts["summary"]
    said = json.loads(summary.read(WARNINGS))[0]
    found = json.loads(summary.read("summary.json"))["effective_sample_sizes"]
    at = next(at for at, size in found.items() if size >= 10)
    assert f"temperature: {at} makes it {found[at]:,.1f})" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": {"column": "topic", "in": ["sea", "law"]}, "select": {"docs": 5}}, "the step did nothing"),
        ({"select": {"docs": 5}, "min_tokens": 1000}, "the tokens that a candidate needs"),
        ({"select": {"docs": 1000}}, "asked for 1,000 docs, chose 57: there are no more"),
        ({"select": {"bytes": 10**6}}, "that is all that the 57 candidates have"),
        ({"select": {"bytes": 1}}, "asked for 1 bytes, chose nothing: the next document does not fit"),
        ({"select": {"fraction": 0.001}}, "chose nothing: its share is less than a document"),
    ],
)
def test_a_choice_that_is_none_or_not_what_was_asked_is_warned_of_and_nothing_else(
    given: dict[str, Any], said: str
) -> None:
    table, target = pool()
    assert [said in line for line in warned(select(table, target, **given, normalise="document"))] == [True]


def test_where_everything_is_asked_for_and_chosen_there_is_nothing_to_warn_of() -> None:
    table, target = pool()
    for size in ({"docs": 57}, {"fraction": 1}):
        assert warned(select(table, target, select=size, normalise="document")) == []


def test_a_choice_that_is_farther_from_the_target_than_the_corpus_is_warned_of() -> None:
    table, target = pool()
    law = corpus({f"t{n}": " ".join([*LAW, *SEA] * 9) for n in range(9)})
    (line,) = warned(select(table, law, select={"docs": 1}, temperature=0))
    assert "what was chosen is farther from the target than the corpus is (KL " in line
    assert warned(select(table, target, select={"docs": 20}, temperature=0)) == []


@pytest.mark.parametrize(("normalise", "temperature"), [("document", 1), ("chunk", 20), ("token", 0.15)])
def test_the_temperature_that_is_left_out(normalise: str, temperature: float) -> None:
    table, target = pool()
    one = select(table, target, select={"docs": 9}, normalise=normalise)
    other = select(table, target, select={"docs": 9}, normalise=normalise, temperature=temperature)
    assert one.kept_ids == other.kept_ids
    assert one.artifacts["summary"].read("summary.json") == other.artifacts["summary"].read("summary.json")


def test_the_features_are_left_as_counts() -> None:
    table, target = pool()
    engine = select(table, target, select={"docs": 5}, smoothing=2)
    with np.load(io.BytesIO(engine.artifacts["summary"].read("features.npz"))) as features:
        wanted = sum(2 * len(split_tokens(text)) - 1 for text in target["text"].to_pylist())
        assert features["target"].sum() == wanted
        assert np.array_equal(features["log_ratio"], log_ratio(features["target"], features["raw"], 2))


def test_nothing_to_choose_from_is_no_error_and_no_target_is_one() -> None:
    table, target = pool()
    assert select(table.slice(0, 0), target, select={"docs": 5}).kept.num_rows == 0
    assert select(table, target, select={"docs": 5}, min_tokens=1000).kept.num_rows == 0
    with pytest.raises(DataError, match="target is empty: input 'wanted'"):
        select(table, target.slice(0, 0), select={"docs": 5})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "", "select": {"docs": 5}}, "target is empty"),
        ({"target": {}, "select": {"docs": 5}}, "target is empty"),
        ({"target": [], "select": {"docs": 5}}, "target is empty"),
        ({"target": ["a", "b", "a"], "select": {"docs": 5}}, "'a' is named twice"),
        ({"target": ["a", "b"], "shares": [1], "select": {"docs": 5}}, "for 2 targets"),
        ({"target": ["a", "b"], "shares": [1, 0], "select": {"docs": 5}}, "a number above 0"),
        ({"target": "a", "select": {"docs": 5}, "temperature": -1}, "greater than or equal to 0"),
        ({"target": "a", "select": {}}, "none of them"),
        ({"target": "a", "select": {"docs": 5, "fraction": 0.5}}, "docs=5, fraction=0.5"),
    ],
)
def test_what_is_not_whole_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ImportanceResample.model_validate(given)


def test_places_fall_as_sums_rise() -> None:
    sums = np.array([-np.inf, -1e300, -1.5, -1e-300, -0.0, 0.0, 1e-300, 1.5, 1e300])
    found = places(sums).tolist()
    assert found == sorted(found, reverse=True)
    assert found[4] == found[5]


def test_nothing_is_drawn_where_there_is_no_last_place() -> None:
    rows = pa.table({"id": ["a"], "_weight": [1.0]})
    nothing = pa.table({"last_place": pa.array([None], pa.uint64()), "last_id": [None]})
    assert drawn(rows, [nothing], 1, 1.0).tolist() == [-1]


def test_log_weights_are_those_of_the_package() -> None:
    target = corpus(["The tide turns at the pier, and herring come in."])
    texts = [
        "Boats leave the harbour before dawn.",
        "The court heard the claim; the clause was void.",
        "\u039f\u0394\u039f\u03a3 Stra\u00dfe \u0130zmir 3.14 don't",
    ]
    given: dict[str, Any] = {
        "hash": "sha256",
        "buckets": 10_000,
        "smoothing": 0,
        "normalise": "document",
        "min_tokens": 1,
    }
    engine = select(corpus(texts), target, select={"docs": 3}, **given)
    # By data-selection 1.0.3 with nltk 3.9.1.
    expected = [-158.59491070237195, -245.4107627277637, -289.18688235265313]
    assert engine.kept.sort_by("id")["log_weight"].to_pylist() == pytest.approx(expected, abs=1e-9)
