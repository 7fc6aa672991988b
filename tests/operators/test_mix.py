import json
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
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
from tests.operators.harness import Engine, Stored, corpus, deal, run

DOCUMENTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["de", "fr", "sw", "null", None])), max_size=50)
WEIGHTS = st.dictionaries(st.sampled_from(["de", "fr", "sw", "null", "absent"]), st.integers(0, 5), min_size=1).filter(
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


def asked_in_fractions(
    sizes: dict[str, int], weights: dict[str, int], rest: int, budget: int | None, max_epochs: int
) -> dict[str, int]:
    """Another oracle: what of each group is asked for, dropped groups for 0."""
    unnamed = {name: size for name, size in sizes.items() if name not in weights}
    parts = {name: Fraction(weight) for name, weight in weights.items()}
    parts |= {name: Fraction(rest * size, sum(unnamed.values())) for name, size in unnamed.items()}
    whole = sum(parts.values())
    limits = [max_epochs * sizes[name] / part for name, part in parts.items() if part and sizes.get(name)]
    scale = budget / whole if budget else min(limits, default=Fraction(0))
    return {name: math.floor(part * scale) for name, part in parts.items()}


@settings(max_examples=100)
@given(
    DOCUMENTS, WEIGHTS, st.integers(1, 5) | st.none(), st.sampled_from(["docs", "bytes", "chars"]),
    st.integers(1, 300) | st.none(), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99),
)  # fmt: skip
def test_weights_draw_what_going_through_each_group_in_order_would(
    rows: list[tuple[int, str | None]], weights: dict[str, int], rest: int | None, unit: str, budget: int | None,
    max_epochs: int, shards: int, shuffle: int,
) -> None:  # fmt: skip
    rows = [(size + 1, label) for size, label in rows]
    given = {"weights": weights, "unit": unit, "budget": budget, "max_epochs": max_epochs, "rest": rest}
    operator = Mix.model_validate({"by": "lang", **given, "others": "refuse" if rest else "drop"})
    table = documents(rows)
    engine = run(operator, deal(table, shards, shuffle), shuffle=shuffle, batch_rows=7)
    told = mixture(engine)
    sizes: dict[str, int] = defaultdict(int)
    for size, label in rows:
        sizes[label or "null"] += {"docs": 1, "bytes": 2 * size, "chars": size}[unit]
    asked = asked_in_fractions(sizes, weights, rest or 0, budget, max_epochs)
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
    assert not budget or sum(asked.values()) <= budget


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
        assert not free or amounts[name] <= max(free) + 1
    names = list(sizes)
    random.shuffle(names)
    assert unimax({name: sizes[name] for name in names}, budget, max_epochs) == amounts


def algorithm_1(sizes: dict[str, int], budget: int, max_epochs: int) -> dict[str, Fraction]:
    """The paper's loop as it is written, in exact fractions: U_l for languages by rising size."""
    left, allotted = Fraction(budget), dict[str, Fraction]()
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        per_language = left / (len(sizes) - len(allotted))
        allotted[name] = per_language if per_language <= max_epochs * size else Fraction(max_epochs * size)
        left -= allotted[name]
    return allotted


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**6), min_size=1), st.integers(0, 10**7),
    st.integers(1, 5),
)  # fmt: skip
def test_unimax_is_algorithm_1_in_whole_numbers(sizes: dict[str, int], budget: int, max_epochs: int) -> None:
    amounts = unimax(sizes, budget, max_epochs)
    for name, exact in algorithm_1(sizes, budget, max_epochs).items():
        assert abs(amounts[name] - exact) < 1


@pytest.mark.parametrize(
    ("max_epochs", "expected"),
    [
        # 250 each; 10 once; (1000 - 10) / 3 = 330 > 50; (990 - 50) / 2 = 470 of each
        (1, {"sw": 10, "fi": 50, "de": 470, "en": 470}),
        # 10 * 4 = 40; (1000 - 40) / 3 = 320 > 50 * 4; (960 - 200) / 2 = 380
        (4, {"sw": 40, "fi": 200, "de": 380, "en": 380}),
        # 10 * 6 = 60; (1000 - 60) / 3 = 313 1/3 > 50 * 6; (940 - 300) / 2 = 320
        (6, {"sw": 60, "fi": 300, "de": 320, "en": 320}),
        # 10 * 25 = 250: nobody is capped
        (25, {"sw": 250, "fi": 250, "de": 250, "en": 250}),
    ],
)
def test_unimax_by_hand(max_epochs: int, expected: dict[str, int]) -> None:
    assert unimax({"en": 10_000, "sw": 10, "de": 5_000, "fi": 50}, 1000, max_epochs) == expected


def test_unimax_gives_what_another_implementation_prints() -> None:
    """The package `unimax_sampling`, its page on PyPI: characters of five languages, 250 G at most, 4 epochs."""
    sizes = {"swe": 179955884499, "fas": 184595788282, "ekk": 42541080893, "isl": 10027573389, "fao": 549707867}
    printed = {"fao": 2198831468, "isl": 40110293556, "ekk": 69230291658, "swe": 69230291659, "fas": 69230291659}
    amounts = unimax(sizes, 250_000_000_000, 4)
    assert amounts == printed
    assert [round(amount / 250e9, 6) for amount in amounts.values()] == [
        0.008795, 0.160441, 0.276921, 0.276921, 0.276921,
    ]  # fmt: skip


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


@pytest.mark.parametrize("temperature", [0.0005, 1e-9, 5e-324])
def test_the_lowest_temperatures_draw_the_largest_group(temperature: float) -> None:
    rows = documents([(1, "de")] * 50 + [(1, "fr")] * 40 + [(1, "sw")] * 10)
    kept = run(Mix(by="lang", temperature=temperature), [rows]).kept
    assert kept["lang"].to_pylist() == ["de"] * 50


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", r"is no mixture.json: it is no JSON, from line 1 on; expected \{by: column"),
        (b"\xff", "is no mixture.json: it is no JSON;"),
        (b"[]", "is no mixture.json: it has no mapping `categories`"),
        (b'{"by": "lang"}', "is no mixture.json: it has no mapping `categories`"),
        (b'{"categories": {"de": 0.5}}', "is no mixture.json: its category 'de' has no number `bytes`"),
        (b'{"categories": {"de": {"bytes": "0.5"}}}', "its category 'de' has no number `bytes`"),
        (b'{"categories": {"de": {"bytes": -1}}}', "gives 'de' the share -1: expected a number that is not negative"),
        (b'{"categories": {"de": {"bytes": NaN}}}', "gives 'de' the share nan"),
        (b'{"categories": {"de": {"bytes": 0}}}', "has no share above 0"),
        (b'{"categories": {}}', "has no share above 0"),
    ],
)
def test_a_file_that_is_no_mixture_is_refused_in_plain_words(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mixture.json"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=said) as caught:
        Mix.model_validate({"by": "lang", "from": str(path)}).check()
    assert "Error" not in str(caught.value)


def mixture_of(by: str, *groups: str) -> bytes:
    return json.dumps({"by": by, "categories": {name: {"bytes": 1 / len(groups)} for name in groups}}).encode()


@pytest.mark.parametrize("more", [{}, {"others": "drop"}, {"rest": 1}], ids=str)
def test_a_mixture_of_something_else_fails_the_run(more: dict[str, Any], tmp_path: Path) -> None:
    rows = documents([(1, "de")] * 4 + [(1, "fr")] * 4 + [(1, None)])
    path = tmp_path / "mixture.json"
    path.write_bytes(mixture_of("grp", "web", "news", "null"))
    said = r"of 'grp' \('news', 'null', 'web'\), and has none of the groups of 'lang' \('de', 'fr', 'null'\)"
    from_file = Mix.model_validate({"by": "lang", "from": str(path), **more})
    with pytest.raises(RunError, match=said):
        run(from_file, [rows])
    left = Stored({"mixture.json": path.read_bytes()})
    with pytest.raises(RunError, match=said):
        run(Mix.model_validate({"by": "lang", "from": "other", **more}), [rows], artifacts={"other": left})


def test_a_mixture_of_another_column_with_the_same_groups_is_a_warning(tmp_path: Path) -> None:
    rows = documents([(1, "de")] * 4 + [(1, "fr")] * 4)
    path = tmp_path / "mixture.json"
    for by, said in (
        ("language", ["the mixture is of 'language', and 1 of 2 groups of 'lang' are called as there"]),
        ("lang", None),
    ):
        path.write_bytes(mixture_of(by, "de", "en"))
        engine = run(Mix.model_validate({"by": "lang", "from": str(path), "others": "drop"}), [rows])
        assert engine.kept["lang"].to_pylist() == ["de"] * 4
        left = engine.artifacts["histogram"]
        assert isinstance(left, Stored)
        found = left.files.get("_warnings.json")
        assert (json.loads(found) if found else None) == said


def test_a_group_without_a_weight_fails_the_run_unless_it_is_to_be_dropped() -> None:
    rows = documents([(1, "de"), (1, "fr"), (1, None)])
    with pytest.raises(RunError, match="no weight for 'fr', 'null' of 'lang'"):
        run(Mix(by="lang", weights={"de": 1}), [rows])
    engine = run(Mix(by="lang", weights={"de": 1}, others="drop"), [rows])
    assert engine.kept_ids == {"d0000"}
    assert engine.dropped["rule"].to_pylist() == ["not_drawn"] * 2


def test_groups_without_a_weight_share_the_rest_by_their_sizes() -> None:
    rows = documents([(1, "de")] * 60 + [(1, "fr")] * 30 + [(1, "sw")] * 10)
    told = mixture(run(Mix(by="lang", weights={"de": 3}, rest=1, unit="docs", budget=40), [rows]))
    assert {name: entry["docs"]["drawn"] for name, entry in told["categories"].items()} == {"de": 30, "fr": 7, "sw": 2}
    assert [entry["share"] for entry in told["categories"].values()] == [0.75, 0.1875, 0.0625]
    without = run(Mix(by="lang", weights={"de": 0}, rest=1), [rows])
    assert without.kept["lang"].value_counts().to_pylist() == [
        {"values": "fr", "counts": 30}, {"values": "sw", "counts": 10},
    ]  # fmt: skip


def test_a_rest_that_no_group_has_leaves_the_others_their_proportions() -> None:
    rows = documents([(1, "de")] * 60 + [(1, "fr")] * 40)
    told = mixture(run(Mix(by="lang", weights={"de": 3, "fr": 1}, rest=4, unit="docs", budget=40), [rows]))
    assert {name: entry["docs"]["drawn"] for name, entry in told["categories"].items()} == {"de": 30, "fr": 10}


def test_rows_without_a_value_are_one_group_with_those_whose_value_says_so() -> None:
    rows = documents([(1, "null")] * 5 + [(1, None)] * 5 + [(1, "de")] * 10)
    engine = run(Mix(by="lang", weights={"de": 1, "null": 1}, unit="docs", budget=16), [rows])
    assert mixture(engine)["categories"]["null"]["docs"] == {"asked": 8, "available": 10, "drawn": 8}
    assert engine.kept.num_rows == 16


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
        ({"temperature": 1, "rest": 1}, "goes with weights or from"),
        ({"weights": {"de": 1}, "rest": 1, "others": "drop"}, "not with others"),
    ],
)
def test_settings_that_say_nothing_or_two_things_are_refused(given_settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Mix.model_validate({"by": "lang", **given_settings})
