import json
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import drawing
from operators.base import WARNINGS
from operators.hashing import Words, row_hash
from operators.sample import Sample
from tests.operators.harness import Engine, corpus, deal, run

PLACES = drawing.places
DOCUMENTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["de", "fr", None])), max_size=60)


def crowded(rows: pa.Table, seed: int, lot: str) -> Words:
    """Places that leave most documents in few buckets, many at the very same place."""
    hashes = PLACES(rows, seed, lot)
    return ((hashes & np.uint64(3)) << np.uint64(48)) | (hashes >> np.uint64(62))


def documents(sizes: list[tuple[int, str | None]]) -> pa.Table:
    labels = pa.array([label for _, label in sizes], pa.string())
    return corpus(["x" * size for size, _ in sizes]).append_column("lang", labels)


def drawn_by_sorting(table: pa.Table, operator: Sample, seed: int) -> set[str]:
    """The oracle: sort each group whole, and take from the front."""
    places = drawing.places(table, seed, f"sample-{operator.stream}").tolist()
    queues = defaultdict(list)
    for row, place in zip(table.to_pylist(), places, strict=True):
        queues[row[operator.by] if operator.by else ""].append((place, row["id"], len(row["text"])))
    chosen: set[str] = set()
    for queue in queues.values():
        left = operator.docs or operator.bytes or 0
        for _, name, size in sorted(queue):
            left -= 1 if operator.docs else size
            if left < 0:
                break
            chosen.add(name)
    return chosen


@pytest.mark.parametrize("places", [PLACES, crowded], ids=["places", "crowded places"])
@given(
    DOCUMENTS,
    st.sampled_from(["docs", "bytes"]),
    st.integers(1, 40),
    st.sampled_from(["", "lang"]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_a_budget_draws_what_sorting_the_corpus_would(
    places: object, rows: list[tuple[int, str | None]], unit: str, budget: int, by: str, shards: int, shuffle: int
) -> None:
    table, operator = documents(rows), Sample.model_validate({unit: budget, "by": by})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "places", places)
        engine = run(operator, deal(table, shards, shuffle), shuffle=shuffle, seed=shuffle, batch_rows=7)
        assert engine.kept_ids == drawn_by_sorting(table, operator, shuffle)
        assert_the_artifact_counts_what_was_drawn(engine, by)


def assert_the_artifact_counts_what_was_drawn(engine: Engine, by: str) -> None:
    draw = engine.artifacts["ranking"].table("draw").to_pylist()
    kept = engine.kept.to_pylist()
    for group in draw:
        mine = [len(row["text"]) for row in kept if not by or row[by] == group["group"]]
        assert (group["docs"], group["bytes"]) == (len(mine), sum(mine))
    assert sum(group["docs_available"] for group in draw) == engine.kept.num_rows + engine.dropped.num_rows


def test_exactly_so_many_documents_are_kept() -> None:
    table = documents([(3, "de")] * 900 + [(3, "fr")] * 100 + [(3, None)] * 5)
    assert len(run(Sample(docs=123), [table]).kept_ids) == 123
    each = run(Sample(docs=50, by="lang"), [table]).kept["lang"].value_counts().to_pylist()
    assert {count["values"]: count["counts"] for count in each} == {"de": 50, "fr": 50, None: 5}


def test_bytes_stay_within_the_budget_and_the_next_document_would_not_fit() -> None:
    rng = np.random.default_rng(5)
    table = documents([(int(size), "de") for size in rng.integers(0, 400, 500)])
    engine = run(Sample(bytes=30_000), deal(table, 3))
    size = sum(map(len, engine.kept["text"].to_pylist()))
    queue = sorted((row_hash(name, 7, "sample-0"), name) for name in table["id"].to_pylist())
    following = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))[
        queue[len(engine.kept_ids)][1]
    ]
    assert size <= 30_000 < size + len(following)


def test_a_fraction_is_met_within_five_standard_deviations() -> None:
    table = documents([(1, "de")] * 20_000)
    for fraction in (0.01, 0.5, 0.9):
        kept = len(run(Sample(fraction=fraction), [table]).kept_ids)
        assert abs(kept - 20_000 * fraction) < 5 * (20_000 * fraction * (1 - fraction)) ** 0.5
    assert len(run(Sample(fraction=1), [table]).kept_ids) == 20_000


def test_a_smaller_draw_is_part_of_a_larger_one_and_streams_are_independent() -> None:
    table = documents([(1, "de")] * 2000)
    small, large = (run(Sample(docs=docs), [table]).kept_ids for docs in (500, 1000))
    other = run(Sample(docs=1000, stream=1), [table]).kept_ids
    assert small < large
    assert abs(len(large & other) - 500) < 5 * 250**0.5
    assert run(Sample(docs=500), [table], seed=8).kept_ids != small


@given(st.integers(1, 6), st.integers(0, 99))
def test_a_fraction_does_not_depend_on_shards(shards: int, shuffle: int) -> None:
    table = documents([(1, "de")] * 200)
    dealt = run(Sample(fraction=0.3), deal(table, shards, shuffle), batch_rows=11)
    assert dealt.kept_ids == run(Sample(fraction=0.3), [table]).kept_ids


def test_no_column_is_left_behind_and_the_rule_is_named() -> None:
    engine = run(Sample(docs=1), [documents([(1, "de")] * 3)])
    assert engine.kept.column_names == ["id", "text", "source", "lang"]
    assert engine.dropped["rule"].to_pylist() == ["not_sampled"] * 2


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({}, "none of them"), ({"docs": 5, "fraction": 0.5}, "docs=5, fraction=0.5")],
    ids=["none", "two"],
)
def test_not_exactly_one_size_is_refused_with_what_was_given(sizes: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=f"exactly one of docs, bytes, fraction; got {said}"):
        Sample.model_validate(sizes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"docs": 100}, ["asked for 100 docs, drew 4: there are no more"]),
        ({"docs": 4}, []),
        ({"bytes": 30}, ["asked for 30 bytes, drew 20: the next document does not fit"]),
        ({"docs": 2, "by": "lang"}, ["lang None: asked for 2 docs, drew 1: there are no more"]),
    ],
)
def test_a_budget_that_is_not_met_is_warned_of(given: dict[str, object], said: list[str]) -> None:
    engine = run(Sample.model_validate(given), deal(documents([(20, "de"), (20, "de"), (20, "de"), (20, None)]), 1))
    ranking = engine.artifacts["ranking"]
    assert json.loads(ranking.read(WARNINGS) if WARNINGS in ranking.files else "[]") == said  # type: ignore[attr-defined]


def test_many_groups_that_have_too_little_are_counted() -> None:
    table = documents([(5, f"l{n:02}") for n in range(20)])
    said = json.loads(run(Sample(docs=2, by="lang"), deal(table, 1)).artifacts["ranking"].read(WARNINGS))
    assert [len(said), said[-1]] == [9, "12 more groups have less than was asked of them"]
