import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import WARNINGS, DataError, RecipeError
from operators.embedding import clustering
from operators.embedding.clustering import COSINE_UNIT, LEVELS, automatic, placed, spherical_k_means
from operators.embedding.near_pairs import near_pairs
from operators.embedding.shares import masks_of
from operators.embedding.survival import settle
from operators.kernels import near_vectors_reference as slow
from operators.semantic_dedup import SemanticDedup
from operators.vectors import SCALE, packed_rows
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.test_subsets import column
from tests.pipeline.engine import Mill

STEP = {"kind": "semantic_dedup", "name": "near"}
EMBED = {"kind": "embed_documents", "encoder": "tests.operators.toy_encoder:toy", "name": "embed"}


def crowd(docs: int = 120, dim: int = 6, seed: int = 1, spread: float = 0.25) -> pa.Table:
    """Documents around ten directions, of texts of any length, some twice."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(10, dim))[rng.integers(0, 10, docs)] + spread * rng.normal(size=(docs, dim))
    vectors[docs // 2 : docs // 2 + docs // 10] = vectors[: docs // 10]
    texts = ["x" * int(length) for length in rng.integers(1, 20, docs)]
    return corpus(texts, vector=column(vectors))


def whole(vectors: Any) -> list[list[int]]:  # noqa: ANN401
    """Vectors as integers, by NumPy."""
    found = np.array(vectors, np.float32).astype(np.float64)
    rounded: list[list[int]] = (
        np.rint(found * (SCALE / np.linalg.norm(found, axis=1, keepdims=True))).astype(int).tolist()
    )
    return rounded


def dedup(table: pa.Table, shards: int = 1, **given: Any) -> Engine:  # noqa: ANN401
    how = {name: given.pop(name) for name in ("shuffle", "seed", "partitions", "batch_rows") if name in given}
    operator = SemanticDedup.model_validate({"column": "vector", **given})
    return run(operator, deal(table, shards, how.get("shuffle", 0)), **how)


def survivors(engine: Engine) -> dict[str, tuple[str, float]]:
    """Who each document went for, and how near it was."""
    rows = engine.dropped.to_pylist()
    assert {row["rule"] for row in rows} <= {"semantic_duplicate"}
    return {row["id"]: (row["survivor"], row["similarity"]) for row in rows}


def expected(table: pa.Table, threshold: float) -> dict[str, tuple[str, float]]:
    """The greedy choice over all pairs, longest first."""
    rows = sorted(table.to_pylist(), key=lambda row: (-len(row["text"]), row["id"]))
    vectors = whole([row["vector"] for row in rows])
    found = slow.survivors(vectors, threshold)
    return {
        rows[item]["id"]: (rows[best]["id"], slow.cosine(vectors[item], vectors[best]))
        for item, best in enumerate(found)
        if item != best
    }


@settings(max_examples=40)
@given(st.integers(1, 70), st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.8]), st.integers(0, 5))
def test_with_one_cluster_it_is_the_greedy_choice_over_all_pairs(docs: int, epsilon: float, seed: int) -> None:
    table = crowd(docs, seed=seed)
    found = survivors(dedup(table, epsilon=epsilon, clusters=1, keep="longest"))
    assert found == expected(table, 1 - epsilon)


@example(shards=1, partitions=2, clusters=3, shuffle=3, keep="hard")  # a claimant is known only a round later
@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(0, 9), st.sampled_from(["hard", "longest"]))
def test_shards_partitions_and_the_order_of_merging_do_not_matter(
    shards: int, partitions: int, clusters: int, shuffle: int, keep: str
) -> None:
    how: dict[str, Any] = {"epsilon": 0.05, "clusters": clusters, "keep": keep}
    one = dedup(crowd(), **how)
    other = dedup(crowd(), shards, **how, partitions=partitions, shuffle=shuffle)
    assert survivors(one) == survivors(other)
    assert one.artifacts["totals"].read("semantic.json") == other.artifacts["totals"].read("semantic.json")
    clusters_of = [e.artifacts["sets"].table("clusters").sort_by("id") for e in (one, other)]
    assert clusters_of[0].equals(clusters_of[1])


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 20), st.sampled_from(["hard", "easy", "longest"]))
def test_what_goes_is_near_what_stays_in_any_number_of_clusters(
    clusters: int, probes: int, seed: int, keep: str
) -> None:
    table = crowd(seed=seed)
    engine = dedup(table, epsilon=0.03, clusters=clusters, probes=probes, keep=keep, seed=seed)
    vectors = dict(zip(table["id"].to_pylist(), whole(table["vector"].to_pylist()), strict=True))
    for gone, (survivor, similarity) in survivors(engine).items():
        assert survivor in engine.kept_ids
        assert similarity == slow.cosine(vectors[gone], vectors[survivor]) >= 0.97


def test_with_all_clusters_probed_all_pairs_are_compared() -> None:
    table = crowd()
    assert survivors(dedup(table, epsilon=0.05, clusters=7, probes=7, keep="longest")) == expected(table, 0.95)


def test_planted_duplicates_collapse_to_one() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=(30, 24))
    vectors = np.repeat(base, 4, axis=0) + 0.01 * rng.normal(size=(120, 24))
    table = corpus([f"text {number}" for number in range(120)], vector=column(vectors))
    engine = dedup(table, epsilon=0.05)
    assert sorted(int(name[1:]) // 4 for name in engine.kept_ids) == list(range(30))


def test_of_a_chain_the_ends_stay() -> None:
    angles = np.deg2rad([0, 15, 30])  # neighbours are near, the ends are not
    table = corpus({"a": "xxx", "b": "xx", "c": "x"}, vector=column(np.stack([np.cos(angles), np.sin(angles)], axis=1)))
    for clusters in (1, 3):
        engine = dedup(table, epsilon=0.05, keep="longest", clusters=clusters)
        assert engine.kept_ids == {"a", "c"}


def test_epsilon_0_removes_only_what_is_equal() -> None:
    vectors = np.array([[1, 0, 0], [1, 0.001, 0], [0, 1, 0], [2, 0, 0]], np.float64)
    table = corpus(["one", "two", "three", "four four"], vector=column(vectors))
    assert survivors(dedup(table, epsilon=0, keep="longest")) == {"d0000": ("d0003", 1.0)}


def test_documents_without_a_vector_stay() -> None:
    vectors = np.array([[1, 0], [0, 0], [0, 0], [1, 0]], np.float64)
    table = corpus(["a", "", "", "b"], vector=column(vectors, [True, True, False, False]))
    engine = dedup(table, epsilon=1)
    assert engine.kept.num_rows == 4
    assert json.loads(engine.artifacts["totals"].read("semantic.json"))["without_vector"] == 3
    none = dedup(corpus(["a", "b"], vector=column(np.zeros((2, 3)))), epsilon=1)
    assert none.kept.num_rows == 2
    assert b"none of the 2 documents has a vector" in none.artifacts["counts"].read(WARNINGS)


def test_no_documents_are_none() -> None:
    assert dedup(crowd().slice(0, 0)).kept.num_rows == 0


def test_a_vector_that_is_not_finite_is_an_error() -> None:
    table = corpus(["a", "b"], vector=column(np.array([[1, 0], [np.nan, 1]])))
    with pytest.raises(DataError, match=r"'vector' of document 'd0001' holds a number that is not finite"):
        dedup(table)


def test_the_order_is_priority_then_what_keep_says_then_the_id() -> None:
    angles = np.deg2rad([0, 2, 4, 10])
    vectors = column(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    table = corpus({"d": "x", "c": "x", "b": "x", "a": "xx"}, vector=vectors)
    table = table.set_column(2, "source", pa.array(["web", "books", "web", "web"]))
    one: dict[str, Any] = {"epsilon": 0.05, "clusters": 1}
    assert dedup(table, keep="hard", **one).kept_ids == {"a"}  # the centre is at 4 degrees
    assert dedup(table, keep="easy", **one).kept_ids == {"b"}
    assert dedup(table, keep="longest", **one).kept_ids == {"a"}
    assert dedup(table, keep="longest", priority=("books",), **one).kept_ids == {"c"}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_share_is_kept_by_the_first_of_4096_thresholds_that_keeps_enough(share: float) -> None:
    table = crowd(200, dim=4)
    engine = dedup(table, 2, keep_share=share, clusters=1, keep="longest")
    found = json.loads(engine.artifacts["totals"].read("semantic.json"))
    level = round(found["threshold"] * COSINE_UNIT)
    kept = {at: 200 - len(expected(table, at / COSINE_UNIT)) for at in (level - 1, level)}
    assert found["kept"] == kept[level] >= 200 * share > kept[level - 1]
    assert survivors(engine) == expected(table, level / COSINE_UNIT)


def test_a_share_that_cannot_be_kept_is_said() -> None:
    table = corpus(["a", "b", "c", "d"], vector=column(np.ones((4, 3))))
    engine = dedup(table, keep_share=0.5)
    assert engine.kept.num_rows == 1
    assert b"of 4 documents with a vector only 0.250 are not of one" in engine.artifacts["fine"].read(WARNINGS)
    apart = dedup(corpus(["a", "b", "c"], vector=column(np.eye(3))), keep_share=0.1)
    assert b"of 3 documents with a vector 1.000 have no cosine above 0" in apart.artifacts["fine"].read(WARNINGS)


def test_a_share_is_of_the_documents_that_have_a_vector() -> None:
    whole, part = crowd(100, dim=4), crowd(100, dim=4)
    bare = corpus({f"bare{number}": "x" for number in range(200)}, vector=column(np.zeros((200, 4))))
    mixed = dedup(pa.concat_tables([part, bare]), keep_share=0.6, clusters=1, keep="longest")
    assert survivors(mixed) == survivors(dedup(whole, keep_share=0.6, clusters=1, keep="longest"))
    assert b"200 of the 300 documents have no vector" in mixed.artifacts["counts"].read(WARNINGS)
    assert mixed.kept.num_rows == pytest.approx(260, abs=2)


def test_the_only_document_stays_and_nothing_is_said() -> None:
    engine = dedup(corpus(["a"], vector=column(np.ones((1, 3)))), keep_share=0.1)
    assert engine.kept.num_rows == 1
    with pytest.raises(KeyError):
        engine.artifacts["fine"].read(WARNINGS)


def test_documents_whose_beginnings_alone_were_read_are_told_of(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "one licence for all " * 2 + f"text {number} " * 9} for number in range(20)])
    tokenizer = str(Path(__file__).resolve().parents[1] / "data" / "tokenizer.json")
    trained = {"kind": "train_static_vectors", "name": "tokens", "tokenizer": tokenizer, "dimension": 4}
    embed = {"kind": "embed_documents", "name": "embed", "encoder": "static", "step": "tokens", "max_tokens": 8}
    near = {**STEP, "max_drop_ratio": 1}
    said = "20 of 20 documents were compared by their beginnings alone"
    by_step = mill.run([{**trained, "segment_tokens": 16}, embed, {**near, "step": "embed"}])
    assert any(said in line and "on step 'embed'" in line for line in by_step.summary["warnings"])
    vectors = str(by_step.version / "artifacts" / "embed")
    by_path = mill.run([{**near, "vectors": vectors}], out="out2", work="work2")
    assert any(said in line and "where the vectors are made" in line for line in by_path.summary["warnings"])
    whole = mill.run([{**trained, "segment_tokens": 16}, {**embed, "max_tokens": 0}, {**near, "step": "embed"}])
    assert not any("beginnings" in line for line in whole.summary["warnings"])


def packed(vectors: Any) -> pa.ChunkedArray:  # noqa: ANN401
    return pa.chunked_array([packed_rows(np.array(whole(vectors), np.int16))])


@pytest.mark.parametrize(("block", "across"), [(1, 1), (4, 7), (16, 3), (1024, 8192)])
def test_blocks_are_compared_with_all_before_them(block: int, across: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operators.embedding.near_pairs.BLOCK", block)
    monkeypatch.setattr("operators.embedding.near_pairs.ACROSS", across)
    monkeypatch.setattr("operators.embedding.shares.BLOCK", block)
    monkeypatch.setattr("operators.embedding.shares.ACROSS", across)
    vectors = np.array(crowd(60)["vector"].to_pylist())
    near = near_pairs(packed(vectors), 0.9)
    assert set(zip(near.earlier.tolist(), near.later.tolist(), strict=True)) == slow.claims(whole(vectors), 0.9)
    masks = masks_of(packed(vectors), 3600, 7)
    for bit in range(0, LEVELS, 9):
        stays = [
            item == best for item, best in enumerate(slow.survivors(whole(vectors), (3600 + 7 * bit) / COSINE_UNIT))
        ]
        assert (masks >> np.uint64(bit) & np.uint64(1)).astype(bool).tolist() == stays


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30), st.integers(1, 4))
def test_claims_are_settled_in_rounds_as_in_one_go(pairs: list[tuple[int, int]], parts: int) -> None:
    claims = [(one, other) for one, other in pairs if one < other]
    nodes = sorted({node for claim in claims for node in claim})
    stays: dict[int, bool] = {}
    for node in nodes:
        stays[node] = not any(stays[one] for one, other in claims if other == node)
    assert _settled_in_parts(claims, nodes, parts) == {node: int(stays[node]) for node in nodes}


def _settled_in_parts(claims: Sequence[tuple[int, int]], nodes: Sequence[int], parts: int) -> dict[int, int]:
    """Rounds over nodes dealt to parts: each part sees its own nodes' claims and what was known before the round."""
    known = dict.fromkeys(nodes, -1)
    while True:
        found: dict[int, int] = {}
        for part in range(parts):
            mine = np.array([node for node in nodes if node % parts == part], np.int64)
            here = [claim for claim in claims if claim[1] in mine]
            claimant, claimed = (np.array([claim[end] for claim in here], np.int64) for end in (0, 1))
            status = np.array([known[one] for one in claimant.tolist()], np.int8)
            settled = settle(mine, np.searchsorted(mine, claimed), claimant, status)
            found.update(zip(mine.tolist(), settled.tolist(), strict=True))
        if found == known or -1 not in found.values():
            return found
        known = found


def test_clusters_are_the_nearest_of_centres_that_are_means() -> None:
    rng = np.random.default_rng(5)
    middle = np.eye(4)[rng.integers(0, 4, 200)]
    vectors = np.array(whole(middle + 0.1 * rng.normal(size=(200, 4))), np.float32)
    centres, sizes = spherical_k_means(vectors, 4)
    assert sizes.sum() == 200
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)
    nearest = placed(vectors, centres).clusters[:, 0]
    assert len(set(zip(nearest.tolist(), middle.argmax(axis=1).tolist(), strict=True))) == 4
    assert np.allclose(np.linalg.norm(centres, axis=1), SCALE, atol=2)
    few, _ = spherical_k_means(vectors[:2].repeat(5, axis=0), 9)
    assert few.shape[0] == 2
    assert automatic(100) == 10


def test_an_empty_cluster_takes_what_is_farthest() -> None:
    vectors = np.array(whole([[1, 0], [1, 0.1], [0, 1]]), np.float32)
    nearest, centres = np.array([0, 0, 0]), vectors[:2]
    moved = clustering._moved(vectors, centres, nearest, (vectors @ vectors[0]).astype(np.int64))
    assert moved[1].tolist() == vectors[2].tolist()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"one of step .* but got none"):
        SemanticDedup()
    with pytest.raises(ValidationError, match="but got step and column"):
        SemanticDedup(step="a", column="b")
    with pytest.raises(ValidationError, match="expected one of them"):
        SemanticDedup(column="v", epsilon=0.1, keep_share=0.5)
    with pytest.raises(RecipeError, match="there is no directory"):
        SemanticDedup(vectors=str(tmp_path / "nowhere")).models()
    with pytest.raises(RecipeError, match=r"holds no \*\.parquet"):
        SemanticDedup(vectors=str(tmp_path)).models()
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(RecipeError, match="is no Parquet file"):
        SemanticDedup(vectors=str(tmp_path)).models()
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(RecipeError, match="has no column 'embedding'"):
        SemanticDedup(vectors=str(tmp_path)).models()
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), tmp_path / "a.parquet")
    with pytest.raises(RecipeError, match="expected a fixed_size_list"):
        SemanticDedup(vectors=str(tmp_path)).models()
    for name, dim in (("a", 3), ("b", 4)):
        pq.write_table(pa.table({"id": ["a"], "embedding": column(np.ones((1, dim)))}), tmp_path / f"{name}.parquet")
    with pytest.raises(RecipeError, match="expected one type in all"):
        SemanticDedup(vectors=str(tmp_path)).models()


def test_a_step_must_make_vectors(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "a text"}])
    with pytest.raises(RecipeError, match="there is no earlier step 'embed'"):
        mill.run([{**STEP, "step": "embed"}])
    with pytest.raises(RecipeError, match="is of kind length; expected embed_documents"):
        mill.run([{"kind": "length", "name": "embed", "min_chars": 1}, {**STEP, "step": "embed"}])


@pytest.mark.parametrize("form", ["float16", "float32", "int8", "binary"])
def test_vectors_of_a_step_and_of_its_directory_give_the_same(tmp_path: Path, form: str) -> None:
    mill = Mill(tmp_path)
    for name in "abc":
        mill.jsonl(name, [{"text": f"{name} {number % 7} " * (number % 5 + 1)} for number in range(20)])
    embed = {**EMBED, "format": form}
    by_step = mill.run([embed, {"kind": "length", "min_chars": 5}, {**STEP, "step": "embed"}], shard_mb=0.0005)
    vectors = str(by_step.version / "artifacts" / "embed")
    rows = mill.run(
        [{"kind": "length", "min_chars": 5}, {**STEP, "vectors": vectors}], out="out2", work="work2", shard_mb=0.001
    )
    near = [ran.dropped.filter(pa.compute.equal(ran.dropped["step"], "near")) for ran in (by_step, rows)]
    assert near[0].num_rows > 0
    assert near[0].sort_by("id").equals(near[1].sort_by("id"))
