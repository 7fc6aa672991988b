"""Counts add up in any order, and survive JSON."""

import json
import math
import random

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger import EXAMPLES, NodeCounts, count_by_source
from pipeline.score_counts import score_buckets
from pipeline.verdicts import examples_of, trace_of

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(st.none() | st.floats() | st.sampled_from([0.0, -0.0, 1.0, -1.5])))
def test_every_finite_score_lies_in_a_bucket_within_a_thirty_second(values: list[float | None]) -> None:
    buckets = score_buckets(pa.chunked_array([pa.array(values, pa.float64())]))
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert sum(buckets.values()) == len(finite)
    edges = sorted(map(float, buckets))
    for value in (min(max(value, -1e300), 1e300) for value in finite):  # Beyond that all share the last bucket.
        edge = max(edge for edge in edges if edge <= value)
        assert value - edge <= abs(value) / 32 + 5e-324


@given(st.lists(FINITE), st.lists(FINITE))
def test_buckets_of_parts_add_up_to_the_whole(left: list[float], right: list[float]) -> None:
    def of(values: list[float]) -> dict[str, int]:
        return dict(score_buckets(pa.chunked_array([pa.array(values, pa.float64())])))

    added = NodeCounts(scores={"s": score_buckets(pa.chunked_array([pa.array(left, pa.float64())]))})
    added.add(NodeCounts(scores={"s": score_buckets(pa.chunked_array([pa.array(right, pa.float64())]))}))
    assert dict(added.scores["s"]) == of(left + right)


def test_integers_have_buckets_too() -> None:
    assert score_buckets(pa.chunked_array([pa.array([3, 3, None, 100], pa.int64())])) == {"3.0": 2, "100.0": 1}


@st.composite
def counts(draw: st.DrawFn) -> NodeCounts:
    """What one shard may report."""
    number = st.integers(0, 1000)
    found = NodeCounts(draw(number), draw(number), draw(number), draw(number))
    found.dropped.update(draw(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9))))
    found.audited.update(draw(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9))))
    found.sources = draw(st.dictionaries(st.sampled_from("xy"), st.lists(number, min_size=2, max_size=2)))
    names = draw(st.lists(st.text("0123456789abcdef", min_size=1, max_size=4), max_size=6, unique=True))
    found.examples = {"a": [{"order": name[::-1], "id": name} for name in names]} if names else {}
    return found


@given(st.lists(counts(), max_size=5), st.randoms())
def test_shards_add_up_in_any_order_and_grouping(parts: list[NodeCounts], order: random.Random) -> None:
    def total(shards: list[NodeCounts]) -> dict[str, object]:
        whole = NodeCounts()
        for shard in shards:
            whole.add(NodeCounts.from_json(json.loads(json.dumps(shard.to_json()))))
        return whole.to_json()

    wanted = total(parts)
    shuffled = list(parts)
    order.shuffle(shuffled)
    found = total(shuffled)
    for content in (wanted, found):  # An id lies in one shard only: of two with the same, either may be shown.
        content["examples"] = {rule: len(list) for rule, list in dict(content["examples"]).items()}  # type: ignore[call-overload]  # noqa: A001
        content["sources"] = dict(sorted(dict(content["sources"]).items()))  # type: ignore[call-overload]
    assert found == wanted


@given(counts())
def test_counts_survive_json(found: NodeCounts) -> None:
    assert NodeCounts.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_rows_are_counted_by_source() -> None:
    sources = pa.chunked_array([["b", "a"], ["a"]])
    assert count_by_source(sources, pa.chunked_array([[True, False, True]])) == {"a": [2, 1], "b": [1, 1]}


def test_examples_do_not_depend_on_how_rows_were_sharded() -> None:
    def traced(ids: list[str]) -> NodeCounts:
        import numpy as np

        size = len(ids)
        text = pa.array(ids, pa.large_string())
        rows = pa.table(
            {
                "id": ids,
                "source": ["s"] * size,
                "text": text,
                "_path": ids,
                "_position": pa.array(range(size), pa.int64()),
            }
        )
        empty = {name: pa.nulls(size, pa.float64()) for name in ("value", "threshold", "similarity")}
        verdict = pa.table({"rule": ["r"] * size, **empty, "survivor": pa.nulls(size, pa.string()), "detail": ids})
        return NodeCounts(examples=examples_of(trace_of(0, np.arange(size, dtype=np.int32), rows, verdict)))

    ids = [f"d{number}" for number in range(40)]
    whole = traced(ids)
    for cut in (1, 13, 39):
        parts = traced(ids[:cut])
        parts.add(traced(ids[cut:]))
        assert parts.examples == whole.examples
    assert len(whole.examples["r"]) == EXAMPLES
