import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.components import slow_components
from operators.minhash import band_keys, signatures
from operators.minhash_dedup import MinhashDedup, stars
from tests.operators.harness import Engine, corpus, deal, run

WORDS = [f"word{number}" for number in range(60)]


def family(seed: int, copies: int, changes: int) -> list[str]:
    """A text of 60 random words, and copies with some words replaced."""
    rng = random.Random(seed)
    words = [rng.choice(WORDS) for _ in range(60)]
    texts = [" ".join(words)]
    for _ in range(copies):
        changed = list(words)
        for _ in range(changes):
            changed[rng.randrange(60)] = f"new{rng.randrange(1000)}"
        texts.append(" ".join(changed))
    return texts


def clusters(engine: Engine) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = engine.artifacts["members"].table("clusters").to_pylist()
    return sorted(rows, key=lambda row: str(row["id"]))


def verdicts(engine: Engine) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = engine.dropped.drop_columns("shard").sort_by("id").to_pylist()
    return rows


def expected_clusters(table: pa.Table, operator: MinhashDedup) -> list[dict[str, object]]:
    """The oracle: all pairs for links, dictionaries for components, and a plain election."""
    rows = table.to_pylist()
    size = operator.bands * operator.rows
    values, signed = signatures([row["text"] for row in rows], operator.ngram, operator.unit, size)
    keys = band_keys(values, operator.bands, operator.rows)
    has = [index for index in range(len(rows)) if signed[index]]
    links = [(one, two) for one in has for two in has if one < two and (keys[one] == keys[two]).any()]
    label = slow_components(links)
    found = []
    for component in sorted(set(label.values())):
        left = [index for index in label if label[index] == component]
        smallest = min(rows[index]["id"] for index in left)
        while left:
            best = min(left, key=lambda index: (-len(rows[index]["text"].encode()), rows[index]["id"]))
            shares = {index: float((values[index] == values[best]).mean()) for index in left}
            taken = [index for index in left if index == best or shares[index] >= operator.threshold]
            found += [
                {
                    "id": rows[index]["id"],
                    "cluster_id": smallest,
                    "survivor_id": rows[best]["id"],
                    "similarity": shares[index],
                    "status": "survivor" if index == best else "removed",
                }
                for index in taken
            ]
            left = [index for index in left if index not in taken]
    return sorted(found, key=lambda row: str(row["id"]))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 8)), max_size=6),
    st.sampled_from([0.5, 0.8, 1.0]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_clusters_are_those_of_all_pairs_however_the_work_is_cut(
    families: list[tuple[int, int, int]], threshold: float, shards: int, partitions: int, shuffle: int
) -> None:
    texts = ["too short", "", *(text for shape in families for text in family(*shape))]
    table, operator = corpus(texts), MinhashDedup(threshold=threshold)
    engine = run(operator, deal(table, shards, shuffle), partitions=partitions, shuffle=shuffle, batch_rows=3)
    expected = expected_clusters(table, operator)
    assert clusters(engine) == expected
    removed = {row["id"]: (row["survivor_id"], row["similarity"]) for row in expected if row["status"] == "removed"}
    assert {row["id"]: (row["survivor"], row["similarity"]) for row in verdicts(engine)} == removed
    assert engine.kept_ids == set(table["id"].to_pylist()) - set(removed)


def test_near_duplicates_go_and_others_stay() -> None:
    text = " ".join(f"w{number}" for number in range(300))
    near = [text, f"{text} more", f"New {text.upper()}", text.replace("w9 ", "x  ")]
    engine = run(MinhashDedup(), [corpus([*near, *family(2, 0, 0), "a b c d", "a b c d"])])
    assert engine.kept_ids == {"d0001", "d0004", "d0005", "d0006"}
    assert {(row["rule"], row["survivor"]) for row in verdicts(engine)} == {("near_duplicate", "d0001")}


def test_every_removal_names_a_document_that_stays_and_a_similarity_at_or_above_the_threshold() -> None:
    table = corpus([text for seed in range(8) for text in family(seed, 6, 2)])
    engine = run(MinhashDedup(threshold=0.6, bands=28, rows=4), deal(table, 3), partitions=2)
    assert engine.dropped.num_rows > 5
    for row in verdicts(engine):
        assert row["survivor"] in engine.kept_ids
        assert float(str(row["similarity"])) >= 0.6


def test_nothing_goes_for_resembling_a_neighbours_neighbour() -> None:
    words = [f"w{number}" for number in range(400)]
    chain = [" ".join(words[start : start + 200]) for start in range(0, 200, 20)]
    engine = run(MinhashDedup(threshold=0.7, bands=28, rows=4), [corpus(chain)])
    rows = clusters(engine)
    assert {row["cluster_id"] for row in rows} == {"d0000"}
    assert 1 < len(engine.kept_ids) < len(chain)


def test_the_survivor_has_priority_then_length_then_the_smaller_id() -> None:
    text = family(3, 0, 0)[0]
    table = corpus({"b": f"{text} end", "a": text, "c": text})
    assert run(MinhashDedup(), [table]).kept_ids == {"b"}
    assert run(MinhashDedup(), [table.slice(1)]).kept_ids == {"a"}
    ranked = table.set_column(2, "source", pa.array(["web", "web", "books"]))
    assert run(MinhashDedup(priority=("books", "web")), [ranked]).kept_ids == {"c"}


def test_a_second_run_finds_nothing_where_all_members_met_their_survivor() -> None:
    table = corpus([text for seed in range(10) for text in family(seed, 2, 1)])
    once = run(MinhashDedup(), [table]).kept
    assert run(MinhashDedup(), [once]).kept.equals(once)


def test_kept_rows_are_unchanged_but_for_the_score() -> None:
    table = corpus(family(1, 1, 0))
    engine = run(MinhashDedup(audit=True), [table])
    assert engine.kept.drop_columns("similarity").equals(table)
    assert engine.kept["similarity"].to_pylist() == [None, 1.0]


def test_a_hot_bucket_costs_one_link_a_document() -> None:
    links = stars(np.zeros(5000, np.uint64), np.arange(5000)[::-1].copy())
    assert links.num_rows == 4999
    assert set(links["a"].to_pylist()) == {0}


def test_a_component_whose_members_all_differ_from_the_best_elects_again() -> None:
    from operators.kernels.minhash import elect

    values = np.array([[1, 1, 1], [2, 2, 2], [1, 1, 3], [2, 2, 9], [5, 5, 5]], np.uint32)
    survivor, equal = elect(values, np.array([0, 4, 5]), 2)
    assert survivor.tolist() == [0, 1, 0, 1, 4]
    assert equal.tolist() == [3, 3, 2, 2, 3]


@pytest.mark.parametrize("fields", [{"threshold": 0}, {"bands": 0}, {"unit": "line"}, {"priority": ("a", "a")}])
def test_values_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MinhashDedup.model_validate(fields)


def test_moving_the_threshold_leaves_bands_and_components_as_they_are() -> None:
    one, two = (MinhashDedup(threshold=threshold).stages() for threshold in (0.7, 0.8))
    same = [left == right for left, right in zip(one, two, strict=True)]
    assert same == [True, True, False, True]
