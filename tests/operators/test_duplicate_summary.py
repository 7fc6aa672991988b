"""The summary of duplicates against sums and sorting over all clusters at once."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.duplicate_clusters import CLOSEST, LARGEST, MEMBERS, Chosen, choose, size_bucket
from operators.duplicate_summary import GROUPS, SHOWN_CHARS, first_difference, summary
from operators.exact_dedup import ExactDedup
from operators.minhash_dedup import MinhashDedup
from tests.operators.harness import corpus, deal, run

Cluster = tuple[int, list[float]]


def table_of(clusters: list[Cluster]) -> pa.Table:
    """Rows of `clusters`: for each cluster a name and the similarities of what went."""
    rows = []
    for name, similarities in clusters:
        best = f"c{name:03}"
        status = "survivor" if similarities else "alone"
        rows.append({"id": best, "cluster_id": best, "survivor_id": best, "similarity": 1.0, "status": status})
        for place, similarity in enumerate(similarities):
            gone = {"id": f"{best}-{place:02}", "similarity": similarity, "status": "removed"}
            rows.append({"cluster_id": best, "survivor_id": best, **gone})
    names = ("id", "cluster_id", "survivor_id", "status")
    schema = pa.schema([*((name, pa.string()) for name in names), ("similarity", pa.float64())])
    return pa.Table.from_pylist(rows, schema=schema)


def slow_chosen(clusters: list[Cluster]) -> dict[str, Any]:
    """The reference: every cluster looked at, in sorted order."""
    several = [(f"c{name:03}", similarities) for name, similarities in clusters if similarities]
    ranked = [
        (name, [(name, similarity, f"{name}-{place:02}") for place, similarity in enumerate(similarities)])
        for name, similarities in several
    ]
    ranked = [(name, sorted(gone, key=lambda row: row[1:])) for name, gone in ranked]
    large = sorted(ranked, key=lambda entry: (-len(entry[1]), entry[0]))[:LARGEST]
    close = sorted(ranked, key=lambda entry: (entry[1][0][1], entry[0]))[:CLOSEST]
    sizes: dict[int, list[int]] = {}
    for _, similarities in several:
        found = sizes.setdefault(size_bucket(len(similarities) + 1), [0, 0])
        found[0] += 1
        found[1] += len(similarities) + 1
    return {
        "largest": [row for _, gone in large for row in gone[:MEMBERS]],
        "closest": [gone[0] for _, gone in close],
        "size": sizes,
        "removed": sum(len(similarities) for _, similarities in several),
    }


SIMILARITIES = st.lists(st.sampled_from([0.5, 0.55, 0.9, 1.0]), max_size=9)


@given(st.lists(SIMILARITIES, max_size=24), st.integers(1, 4), st.randoms())
def test_parts_of_clusters_in_any_order_say_what_all_clusters_say(
    similarities: list[list[float]], num_parts: int, random: Random
) -> None:
    clusters = list(enumerate(similarities))
    parts = [choose(table_of(clusters[number::num_parts])) for number in range(num_parts)]
    random.shuffle(parts)
    fold = Chosen(name="chosen", of="members/clusters")
    rows = fold.merge(pa.concat_tables([fold.merge(pa.concat_tables(parts[:2])), *parts[2:]])).to_pylist()
    expected = slow_chosen(clusters)
    for what in ("largest", "closest"):
        found = [(row["cluster_id"], row["similarity"], row["id"]) for row in rows if row["what"] == what]
        assert found == expected[what]
    sizes = {row["bucket"]: [row["clusters"], row["documents"]] for row in rows if row["what"] == "size"}
    assert sizes == expected["size"]
    assert sum(row["documents"] for row in rows if row["what"] == "similarity") == expected["removed"]
    assert all(row["documents"] == len(similarities[int(row["cluster_id"][1:])]) + 1 for row in rows if row["id"])


@given(st.text("ab ", max_size=700), st.text("ab ", max_size=700), st.text("ab ", max_size=900))
def test_both_excerpts_begin_at_the_same_place_and_show_the_first_difference(same: str, one: str, other: str) -> None:
    one, other = same + one, same + other
    start = first_difference(one, other)
    assert one[:start] == other[:start]
    if one != other:
        assert one[start : start + SHOWN_CHARS] != other[start : start + SHOWN_CHARS]


def test_the_file_stays_small_with_many_sources() -> None:
    shown = [
        {"source": f"s{number}", "lang": None, "documents": 10, "removed": number % 7, "id": None}
        for number in range(9000)
    ]
    found = summary([], shown)
    assert len(found["by_source"]["groups"]) == GROUPS
    assert found["by_source"]["others"] == 9000 - GROUPS
    listed = sum(group["documents"] for group in found["by_source"]["groups"])
    assert listed + found["by_source"]["documents"] == found["documents"] == 90_000
    assert found["by_lang"]["groups"] == []


@pytest.mark.parametrize("kind", [ExactDedup, MinhashDedup])
def test_the_file_does_not_depend_on_how_the_corpus_lies(kind: type[ExactDedup | MinhashDedup]) -> None:
    words = [f"w{number}" for number in range(50)]
    texts = [" ".join([*words[:place], *words]) for place in (0, 0, 0, 3, 3, 9, 30, 30)]
    table = corpus(texts, lang=["en", "de"] * 4)
    files = set()
    for seed, (shards, partitions) in enumerate([(1, 1), (3, 2), (8, 4)]):
        engine = run(kind(), deal(table, shards, seed), partitions=partitions, shuffle=seed)
        files.add(engine.artifacts["duplicates"].read("duplicates.json"))
    (content,) = files
    found = json.loads(content)
    assert found["documents"] == 8
    assert found["removed"] == sum(entry["removed"] for entry in found["by_lang"]["groups"]) > 0


def test_a_language_column_that_holds_no_text_is_left_alone() -> None:
    engine = run(ExactDedup(), [corpus(["a", "a", "b"], lang=[1, 2, 3])])
    assert json.loads(engine.artifacts["duplicates"].read("duplicates.json"))["by_lang"]["groups"] == []
