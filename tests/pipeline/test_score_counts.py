"""What other thresholds would keep is exact, adds up in any order, and is bounded."""

from __future__ import annotations

import json
import math
import random
import string
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import Rule, first_failure
from pipeline.ladder import ladder
from pipeline.ledger import NodeCounts
from pipeline.score_counts import Judged, explore, group, score_buckets
from pipeline.thresholds import GROUPS, HARDEST, LARGEST, NEAREST, Explored

SCORES = st.one_of(
    st.none(), st.floats(), st.floats(0, 1), st.sampled_from([0.0, -0.0, 0.1, 0.5, 0.65, 0.8]), st.integers(0, 90)
)
BOUNDS = st.one_of(st.sampled_from([0.65, 0.1, 50.0, 2.0, 0.0, -0.5]), st.floats(-1e6, 1e6))
ROWS = st.lists(
    st.tuples(SCORES, st.sampled_from(["en", "gl", None]), st.sampled_from("xyz"), st.text("ab", max_size=5))
)

Row = tuple[float | None, str | None, str, str]
Json = dict[str, Any]


def table_of(rows: list[Row], first: int = 0) -> pa.Table:
    """Rows as a judge's shard has them; ids go on from `first`."""
    return pa.table(
        {
            "id": [f"d{first + number}" for number in range(len(rows))],
            "source": pa.array([row[2] for row in rows], pa.string()),
            "text": pa.array([row[3] for row in rows], pa.large_string()),
            "lang": pa.array([row[1] for row in rows], pa.string()),
        }
    )


def counted(rows: list[Row], rules: tuple[Rule, ...], first: int = 0, *, shows_text: bool = True) -> Explored:
    scores = {"s": pa.chunked_array([pa.array([row[0] for row in rows], pa.float64())])}
    return explore(Judged(table_of(rows, first), shows_text=shows_text), scores, rules)[1]


def rules_for(bound: float) -> tuple[Rule, ...]:
    return Rule("too_low", "s", low=bound), Rule("too_high", "s", high=bound)


def dropped_by_rule(rows: list[Row], rule: Rule) -> tuple[int, int]:
    """Documents and bytes that the rule alone drops: by the judges' own function."""
    scores = pa.table({"s": pa.array([row[0] for row in rows], pa.float64())})
    hit = first_failure(scores, (rule,))["rule"].is_valid().to_pylist()
    return sum(hit), sum(len(row[3].encode()) for row, is_hit in zip(rows, hit, strict=True) if is_hit)


@given(ROWS, BOUNDS)
def test_what_each_threshold_drops_is_what_the_rule_drops_there(rows: list[Row], bound: float) -> None:
    scored = [row for row in rows if row[0] is not None and not math.isnan(row[0])]
    for found in counted(rows, rules_for(bound)).to_json()["thresholds"]:
        assert found["thresholds"][found["thresholds"].index(bound)] == bound
        told_apart: list[tuple[Json, list[Row]]] = [(found, scored)]
        for by, at in (("lang", 1), ("source", 2)):
            groups = found["groups"].get(by, {}).items()
            told_apart += [(tally, [row for row in scored if row[at] == name]) for name, tally in groups]
        assert len(told_apart) == 1 + len({r[1] for r in scored} - {None}) + len({r[2] for r in scored})
        for tally, mine in told_apart:
            assert (tally["documents"], tally["bytes"]) == (len(mine), sum(len(r[3]) for r in mine))
            for threshold, *dropped in zip(found["thresholds"], tally["dropped"], tally["dropped_bytes"], strict=True):
                rule = Rule(found["rule"], "s", **{found["side"]: threshold})
                assert tuple(dropped) == dropped_by_rule(mine, rule)


@given(ROWS, BOUNDS)
def test_the_nearest_are_those_of_a_sort_of_all_rows(rows: list[Row], bound: float) -> None:
    ids = table_of(rows)["id"].to_pylist()
    finite = [(abs(r[0] - bound), i, r[0]) for i, r in zip(ids, rows, strict=True) if r[0] is not None]
    finite = [entry for entry in finite if math.isfinite(entry[2])]
    for found in counted(rows, rules_for(bound)).bounds:
        for where, examples in found.nearest.items():
            is_low, drops = found.side == "low", where == "dropped"
            side = [e for e in finite if ((e[2] < bound) if is_low else (e[2] > bound)) == drops]
            assert [abs(e["value"] - bound) for e in examples] == sorted(e[0] for e in side)[:NEAREST]
            assert {e["id"] for e in examples} <= {e[1] for e in side}
            order = [(abs(e["value"] - bound), e["order"], e["id"]) for e in examples]
            assert order == sorted(order)


def test_of_many_documents_with_one_score_the_hash_of_the_id_chooses() -> None:
    rows: list[Row] = [(0.25, "en", "x", "a")] * 500
    (low, _) = counted(rows, rules_for(0.5)).bounds
    whole = sorted(Judged(table_of(rows)).hashes.tolist())[:NEAREST]
    assert [int(example["order"], 16) for example in low.nearest["dropped"]] == whole
    assert low.nearest["kept"] == []


def merged(parts: list[Explored]) -> Json:
    whole = NodeCounts()
    for part in parts:
        shard = NodeCounts(explored=part)
        whole.add(NodeCounts.from_json(json.loads(json.dumps(shard.to_json()))))
    return whole.explored.to_json()


@given(ROWS, st.lists(st.integers(0, 40), max_size=4), st.randoms())
def test_any_sharding_in_any_order_gives_the_same(rows: list[Row], cuts: list[int], order: random.Random) -> None:
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    parts = [counted(rows[low:high], rules_for(0.5), low) for low, high in pairwise(edges)]
    if not parts:
        return
    order.shuffle(parts)
    assert merged(parts) == merged([counted(rows, rules_for(0.5))])


@given(ROWS)
def test_bytes_by_bucket_have_the_buckets_of_the_documents(rows: list[Row]) -> None:
    found = counted(rows, ())
    docs = score_buckets(pa.chunked_array([pa.array([row[0] for row in rows], pa.float64())]))
    assert set(found.score_bytes["s"]) == set(docs)
    finite = [row for row in rows if row[0] is not None and math.isfinite(row[0])]
    assert sum(found.score_bytes["s"].values()) == sum(len(row[3]) for row in finite)
    spread = found.spreads["s"].get("source", {})
    assert sum(sum(buckets.values()) for buckets in spread.values()) == len(finite)


@given(st.one_of(st.floats(-1e12, 1e12), st.integers(0, 10**6)), st.booleans())
def test_a_ladder_ascends_and_holds_its_bound(bound: float, whole: bool) -> None:
    tried = ladder(bound, whole=whole)
    assert float(bound) in tried
    assert all(low < high for low, high in pairwise(tried))
    assert 2 <= len(tried) <= 7


@pytest.mark.parametrize(
    ("bound", "whole", "tried"),
    [
        (0.8, False, [0.55, 0.65, 0.75, 0.8, 0.85, 0.95, 1]),
        (50, True, [15, 25, 40, 50, 60, 100, 150]),
        (100_000, True, [30_000, 50_000, 80_000, 100_000, 120_000, 200_000, 300_000]),
        (-2.5, False, [-8, -5, -3, -2.5, -2, -1.2, -0.8]),
        (1e-5, False, [3e-6, 5e-6, 8e-6, 1e-5, 1.2e-5, 2e-5, 3e-5]),
    ],
)
def test_the_thresholds_that_are_tried_are_round(bound: float, whole: bool, tried: list[float]) -> None:
    assert ladder(bound, whole=whole) == pytest.approx(tried)


def test_a_shard_tells_only_its_largest_groups_apart_and_totals_hold_all() -> None:
    number = 40 * GROUPS
    rows: list[Row] = [
        (n / number, None, f"site{n % (2 * GROUPS) if n % 3 else 7}.example", "ab") for n in range(number)
    ]
    rules = tuple(Rule(f"rule{n}", "s", low=n / 30) for n in range(30))
    found = counted(rows, rules)
    assert all(len(bound.groups["source"]) == GROUPS for bound in found.bounds)
    assert all(bound.total.documents == number for bound in found.bounds)
    assert all("site7.example" in bound.groups["source"] for bound in found.bounds)
    assert len(found.packed()) < 400_000
    shown = found.shown()
    assert all(len(entry["groups"]["source"]) <= LARGEST + HARDEST for entry in shown["thresholds"])
    assert len(json.dumps(shown)) < 200_000


def test_many_shards_with_sources_of_their_own_stay_bounded() -> None:
    total = Explored()
    for shard in range(30):
        rows: list[Row] = [(0.5, "en", f"{shard}/{n}", "ab") for n in range(GROUPS)]
        total.add(counted([*rows, *[(0.7, "en", "common", "abc")] * 3], rules_for(0.6), shard * 1000))
    low, _ = total.bounds
    assert len(low.groups["source"]) <= 2 * 1024
    assert low.groups["source"]["common"].documents == 90
    assert low.groups["lang"]["en"].documents == low.total.documents == 30 * (GROUPS + 3)


def test_a_group_that_the_bound_hits_hard_is_shown_beside_the_largest() -> None:
    rows: list[Row] = [(0.9, name, "x", "a") for name in string.ascii_lowercase for _ in range(300)]
    rows += [(0.1 if n % 3 else 0.9, "gl", "x", "a") for n in range(120)] + [(0.1, "rare", "x", "a")] * 20
    (low, _) = counted(rows, rules_for(0.65)).shown()["thresholds"]
    names = set(low["groups"]["lang"])
    assert "gl" in names
    assert "rare" not in names
    assert len(names) == LARGEST + 1


def test_texts_that_may_not_be_shown_are_not_among_the_nearest() -> None:
    rows: list[Row] = [(0.1, "en", "x", "secret"), (0.9, "en", "x", "secret too")]
    found = counted(rows, rules_for(0.5), shows_text=False)
    examples = [example for bound in found.bounds for side in bound.nearest.values() for example in side]
    assert len(examples) == 4
    assert {example["excerpt"] for example in examples} == {None}
    assert "secret" not in json.dumps(found.to_json())


def test_groups_are_ordered_by_rows_then_name_and_null_is_none_of_them() -> None:
    found = group(pa.chunked_array([["b", "a", None], ["a", "c", "b"]]))
    assert found.names == ["a", "b", "c"]
    assert found.places.tolist() == [1, 0, 3, 0, 2, 1]


def test_numbers_that_floats_cannot_hold_are_counted_near_by() -> None:
    scores = {"s": pa.chunked_array([pa.array([2**60 + 1, 3], pa.int64())])}
    table = table_of([(None, "en", "x", "a")] * 2)
    buckets, found = explore(Judged(table), scores, (Rule("few", "s", low=4),))
    assert buckets["s"] == {"3.0": 1, repr(float(np.int64(2**60))): 1}
    assert found.bounds[0].to_json()["dropped"][found.bounds[0].thresholds.index(4.0)] == 1
