import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import drawing
from operators.base import RecipeError, RunError
from operators.corpus_stats import CorpusStats
from operators.mix import Mix
from operators.mixtures import unimax
from operators.pretoken_counts import PretokenCounts
from tests.operators.harness import Engine, corpus, deal, run

DOCUMENTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["de", "fr", "sw", None])), max_size=50)
WEIGHTS = st.fixed_dictionaries({name: st.integers(0, 5) for name in ("de", "fr", "sw", "null", "absent")}).filter(
    lambda weights: any(weights.values())
)


def documents(sizes: Sequence[tuple[int, str | None]]) -> pa.Table:
    labels = pa.array([label for _, label in sizes], pa.string())
    return corpus(["\u00e9" * size for size, _ in sizes]).append_column("lang", labels)


def mixture(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.artifacts["ranking"].read("mixture.json"))
    return found


def repeats(table: pa.Table, asked: dict[str, int], unit: str, max_epochs: int, seed: int) -> dict[str, int]:
    """The oracle: each group's documents in the order of their places, over and over, until one does not fit."""
    queues = defaultdict(list)
    for row, place in zip(table.to_pylist(), drawing.places(table, seed, "mix-0").tolist(), strict=True):
        size = {"docs": 1, "bytes": len(row["text"].encode()), "chars": len(row["text"])}[unit]
        queues[row["lang"] or "null"].append((place, row["id"], size))
    counts: dict[str, int] = defaultdict(int)
    for name, queue in queues.items():
        left, whole = asked.get(name, 0), sum(size for _, _, size in queue)
        for _ in range(max_epochs):
            if left <= 0:
                break
            for _, row_id, size in sorted(queue):
                if size > left or (left < whole and left == 0):
                    left = 0
                    break
                counts[row_id] += 1
                left -= size
    return dict(counts)


@settings(max_examples=50)
@given(
    DOCUMENTS, WEIGHTS, st.sampled_from(["docs", "bytes", "chars"]), st.integers(1, 300) | st.none(),
    st.integers(1, 3), st.integers(1, 4), st.integers(0, 99),
)  # fmt: skip
def test_weights_draw_what_going_through_each_group_in_order_would(
    rows: list[tuple[int, str | None]], weights: dict[str, int], unit: str, budget: int | None, max_epochs: int,
    shards: int, shuffle: int,
) -> None:  # fmt: skip
    rows = [(size + 1, label) for size, label in rows]
    given = {"weights": weights, "unit": unit, "budget": budget, "max_epochs": max_epochs}
    operator = Mix.model_validate({"by": "lang", **given})
    table = documents(rows)
    engine = run(operator, deal(table, shards, shuffle), shuffle=shuffle, batch_rows=7)
    told = mixture(engine)
    sizes: dict[str, int] = defaultdict(int)
    for size, label in rows:
        sizes[label or "null"] += {"docs": 1, "bytes": 2 * size, "chars": size}[unit]
    scarcest = min(
        ((max_epochs * sizes[name], weight) for name, weight in weights.items() if weight and sizes[name]),
        key=lambda pair: pair[0] / pair[1], default=(0, 1),
    )  # fmt: skip
    whole = sum(weights.values())
    asked = {
        name: weight * budget // whole if budget else weight * scarcest[0] // scarcest[1]
        for name, weight in weights.items()
    }
    expected = repeats(table, asked, unit, max_epochs, 7)
    kept = engine.kept.to_pylist()
    assert {row["id"]: row.get("repeat", 1) for row in kept} == expected
    by_group: dict[str, int] = defaultdict(int)
    for row in kept:
        by_group[row["lang"] or "null"] += expected[row["id"]] * len(row["text"].encode())
    for name, entry in told["categories"].items():
        assert entry["drawn"] == by_group[name]
        assert entry["bytes"] == pytest.approx(by_group[name] / max(sum(by_group.values()), 1))
        drawn = entry["drawn"] if unit == "bytes" else entry[unit]["drawn"]
        biggest = {"docs": 1, "bytes": 20, "chars": 10}[unit]
        assert min(asked[name], max_epochs * sizes[name]) - biggest < drawn <= asked[name]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**6), min_size=1), st.integers(0, 10**7),
    st.integers(1, 5), st.randoms(),
)  # fmt: skip
def test_unimax_fills_like_water(sizes: dict[str, int], budget: int, max_epochs: int, random: Random) -> None:
    amounts = unimax(sizes, budget, max_epochs)
    caps = {name: max_epochs * size for name, size in sizes.items()}
    assert sum(amounts.values()) == min(budget, sum(caps.values()))
    free = [amounts[name] for name in sizes if amounts[name] < caps[name]]
    assert max(free, default=0) - min(free, default=0) <= 1
    for name in sizes:
        assert amounts[name] <= caps[name]
        assert not free or amounts[name] <= max(free)
    names = list(sizes)
    random.shuffle(names)
    assert unimax({name: sizes[name] for name in names}, budget, max_epochs) == amounts


def test_unimax_by_hand() -> None:
    """Algorithm 1: 1,000 for four: 250 each; 10 * 4 = 40, (1000 - 40) / 3 = 320 > 50 * 4, (960 - 200) / 2 = 380."""
    sizes = {"en": 10_000, "sw": 10, "de": 5_000, "fi": 50}
    assert unimax(sizes, 1000, 4) == {"sw": 40, "fi": 200, "de": 380, "en": 380}


def test_unimax_counts_characters_and_says_what_of_the_budget_is_not_spent() -> None:
    rows = documents([(10, "de")] * 10 + [(10, "fr")] * 2)
    told = mixture(run(Mix(by="lang", unimax=True, budget=1000, max_epochs=3), [rows]))
    assert {name: entry["chars"]["drawn"] for name, entry in told["categories"].items()} == {"de": 300, "fr": 60}
    assert told["categories"]["de"]["epochs"] == 3
    assert told["unmet"] == ["the budget of 1,000 chars is asked for only to 360: groups are too small"]


def test_temperature_flattens() -> None:
    rows = documents([(1, "de")] * 90 + [(1, "fr")] * 10)
    told = mixture(run(Mix(by="lang", temperature=2.0, unit="docs", budget=12), [rows]))
    assert {name: entry["docs"]["drawn"] for name, entry in told["categories"].items()} == {"de": 9, "fr": 3}


def test_a_mixture_is_read_from_an_earlier_step_and_from_a_file(tmp_path: Path) -> None:
    rows = documents([(1, "de")] * 40 + [(1, "fr")] * 40)
    first = run(Mix(by="lang", weights={"de": 3, "fr": 1}), [rows])
    path = tmp_path / "mixture.json"
    path.write_bytes(first.artifacts["ranking"].read("mixture.json"))
    from_file = run(Mix.model_validate({"by": "lang", "from": str(path)}), [rows])
    step = Mix.model_validate({"by": "lang", "from": "first"})
    from_step = run(step, [rows], artifacts={"first": first.artifacts["ranking"]})
    assert len(first.kept_ids) == 53
    assert from_file.kept_ids == from_step.kept_ids == first.kept_ids
    path.write_text("[]")
    with pytest.raises(RecipeError, match="is no mixture"):
        Mix.model_validate({"by": "lang", "from": str(path)}).check()


def test_a_group_without_a_weight_fails_the_run_unless_it_is_to_be_dropped() -> None:
    rows = documents([(1, "de"), (1, "fr"), (1, None)])
    with pytest.raises(RunError, match="no weight for 'fr', 'null' of 'lang'"):
        run(Mix(by="lang", weights={"de": 1}), [rows])
    engine = run(Mix(by="lang", weights={"de": 1}, others="drop"), [rows])
    assert engine.kept_ids == {"d0000"}
    assert engine.dropped["rule"].to_pylist() == ["not_drawn"] * 2


def test_what_could_not_be_met_is_said() -> None:
    rows = documents([(5, "de")] * 10 + [(5, "fr")] * 2 + [(200, "sw")])
    weights = {"de": 1, "fr": 1, "sw": 1, "xx": 1}
    engine = run(Mix(by="lang", weights=weights, budget=400, max_epochs=2), [rows])
    assert mixture(engine)["unmet"] == [
        "lang 'fr': asked for 100 bytes, drew 40: there are 20, which may count 2 times at most",
        "lang 'sw': asked for 100 bytes, drew 0: the next document does not fit",
        "lang 'xx': asked for 100 bytes, drew 0: no document has it",
    ]
    assert json.loads(engine.artifacts["ranking"].read("_warnings.json")) == mixture(engine)["unmet"]


def test_counting_and_training_count_a_document_as_often_as_it_is_drawn() -> None:
    rows = documents([(3, "de")] * 10 + [(2, "fr")] * 3)
    kept = run(Mix(by="lang", weights={"de": 1, "fr": 1}, budget=60, max_epochs=4), [rows]).kept
    stats = json.loads(run(CorpusStats(repeat="repeat"), [kept]).artifacts["corpus_stats"].read("stats.json"))
    assert (stats["documents"], stats["bytes"]) == (5 + 7, 5 * 6 + 7 * 4)
    counts = run(PretokenCounts(name="counts", pretokenizer="gpt2"), [kept]).artifacts["counts"].table("counts")
    assert {row["pretoken"].decode(): row["count"] for row in counts.to_pylist()} == {"\u00e9" * 3: 5, "\u00e9" * 2: 7}


def test_a_second_mixture_is_refused() -> None:
    with pytest.raises(RecipeError, match="already have a column 'repeat'"):
        Mix(by="lang", temperature=1).refuse({"lang": pa.string(), "repeat": pa.int32()})


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({}, "got none of them"),
        ({"temperature": 1, "unimax": True, "budget": 1}, "got temperature, unimax"),
        ({"unimax": True}, "unimax shares out a budget"),
        ({"weights": {"de": -1}}, "not negative"),
        ({"weights": {"de": 0}}, "some above 0"),
        ({"from": "x", "unit": "docs"}, "shares of bytes"),
    ],
)
def test_settings_that_say_nothing_or_two_things_are_refused(given_settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Mix.model_validate({"by": "lang", **given_settings})
