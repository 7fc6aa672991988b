import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import facility_location
from operators.base import WARNINGS, DataError, RecipeError
from operators.facility_location import FacilityLocation
from operators.hashing import mix64, row_hash
from operators.ideal import Ideal, drawn_edges
from operators.k_center import KCenter
from operators.kernels import subsets_reference
from operators.neighbours import Neighbours, neighbours
from operators.subset_stages import PURPOSE, UNIT, nearest, shares
from operators.subset_summary import chord
from operators.subsets import SubsetStep
from operators.vectors import SCALE, unpacked
from operators.vote_k import VoteK
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.toy_encoder import Toy
from tests.pipeline.engine import Mill, rows_of

STEPS: dict[str, type[SubsetStep]] = {
    "facility_location": FacilityLocation,
    "ideal": Ideal,
    "k_center": KCenter,
    "vote_k": VoteK,
}
EMBED = {"kind": "embed_documents", "name": "embed", "encoder": "tests.operators.toy_encoder:toy"}
each_kind = pytest.mark.parametrize("kind", sorted(STEPS))


def column(values: np.ndarray, valid: list[bool] | None = None, kind: pa.DataType | None = None) -> pa.Array:
    """Vectors as a column of lists."""
    kind = kind or pa.float32()
    flat = pa.array(values.ravel().astype(kind.to_pandas_dtype()), kind)
    mask = pa.array([not is_there for is_there in valid]) if valid else None
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=mask)


def cloud(docs: int = 60, dim: int = 8, seed: int = 1) -> pa.Table:
    """Documents with vectors around five directions, of texts of any length."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(5, dim))[rng.integers(0, 5, docs)] + 0.4 * rng.normal(size=(docs, dim))
    texts = ["x" * int(length) for length in rng.integers(1, 50, docs)]
    return corpus(texts, vector=column(vectors))


def select(table: pa.Table, kind: str = "facility_location", shards: int = 1, **given: Any) -> Engine:  # noqa: ANN401
    how = {name: given.pop(name) for name in ("shuffle", "seed", "partitions", "batch_rows") if name in given}
    if kind == "vote_k" and "partition_size" in given:
        given.setdefault("neighbours", max(given["partition_size"] // 3, 1))
    operator = STEPS[kind].model_validate({"vectors": "vector", **given})
    return run(operator, deal(table, shards, how.get("shuffle", 0)), **how)


def rounded(table: pa.Table) -> np.ndarray:
    """The vectors as integers, by NumPy."""
    found = np.array(table["vector"].to_pylist(), np.float64)
    whole: np.ndarray = np.rint(found * (SCALE / np.linalg.norm(found, axis=1, keepdims=True))).astype(np.int64)
    return whole


def by_place(table: pa.Table, seed: int = 7) -> pa.Table:
    """The rows in the order of their places."""
    order = sorted(range(table.num_rows), key=lambda row: row_hash(table["id"][row].as_py(), seed, PURPOSE))
    return table.take(pa.array(order, pa.int64()))


@given(st.sampled_from(["docs", "bytes", "fraction"]), st.integers(1, 40), st.integers(1, 60), st.integers(0, 5))
def test_facility_location_in_one_partition_is_the_greedy_choice_of_the_definition(
    unit: str, docs: int, amount: int, seed: int
) -> None:
    table = by_place(cloud(docs, seed=seed))
    select_ = {unit: amount / 60 if unit == "fraction" else amount * (20 if unit == "bytes" else 1)}
    products = rounded(table) @ rounded(table).T
    similar = np.maximum(products, 0) // facility_location.STEPS
    sizes = [len(text) if unit == "bytes" else 1 for text in table["text"].to_pylist()]
    budget = math.floor(docs * amount / 60 + 1e-6) if unit == "fraction" else next(iter(select_.values()))
    picks = subsets_reference.facility_location(similar.tolist(), sizes, int(budget))
    ids = table["id"].to_pylist()
    found = select(table, select=select_).kept.sort_by("rank")
    assert found["id"].to_pylist() == [ids[item] for item, _ in picks]
    assert found["gain"].to_pylist() == [gain * facility_location.STEPS / UNIT for _, gain in picks]
    assert found["rank"].to_pylist() == list(range(1, len(picks) + 1))
    assert found["similarity"].to_pylist() == [1.0] * len(picks)


@each_kind
def test_neither_shards_nor_batches_nor_order_change_the_choice(kind: str) -> None:
    table = cloud(200)
    wanted: dict[str, Any] = {"select": {"docs": 37}, "partition_size": 30, "audit": True}
    one = select(table, kind, **wanted)
    files = one.artifacts["summary"]
    for shards, partitions in ((2, 1), (5, 4)):
        other = select(table, kind, shards, shuffle=shards, partitions=partitions, batch_rows=7, **wanted)
        assert other.kept.sort_by("id") == one.kept.sort_by("id")
        assert other.artifacts["summary"].read("summary.json") == files.read("summary.json")
        assert other.artifacts["summary"].table("partitions") == files.table("partitions")


@each_kind
@given(st.integers(0, 70), st.integers(1, 80), st.integers(2, 40), st.sampled_from(["docs", "bytes"]))
def test_budgets_are_met_in_partitions(kind: str, docs: int, amount: int, size: int, unit: str) -> None:
    table = cloud(docs)
    amount *= 20 if unit == "bytes" else 1
    engine = select(table, kind, select={unit: amount}, partition_size=size)
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    lengths = [len(text) for text in engine.kept["text"].to_pylist()]
    assert found["chosen"] == {"docs": len(lengths), "bytes": sum(lengths)}
    assert found["partitions"] == -(-docs // size)
    parts = engine.artifacts["summary"].table("partitions")
    if unit == "docs":
        assert len(lengths) == min(amount, docs)
        for have, got in zip(parts["docs"].to_pylist(), parts["chosen_docs"].to_pylist(), strict=True):
            assert got == have or abs(got - amount * have / docs) < 1
    else:
        assert sum(lengths) <= amount
        longest = max((len(text) for text in table["text"].to_pylist()), default=0)
        assert sum(lengths) == found["candidates"]["bytes"] or sum(lengths) > amount - longest * parts.num_rows
    assert set(engine.dropped["rule"].to_pylist()) <= {"not_selected"}


def warned(engine: Engine) -> list[str]:
    """What the step warned of."""
    found = json.loads(engine.artifacts["summary"].read(WARNINGS))
    assert isinstance(found, list)
    return found


def test_a_budget_that_is_not_met_is_said() -> None:
    table = cloud(60)
    engine = select(table, select={"docs": 3000})
    assert warned(engine) == ["select: asked for 3,000 docs, chose 60: the documents have 60"]
    assert json.loads(engine.artifacts["summary"].read("summary.json"))["asked"] == {"docs": 3000}
    engine = select(corpus(["x" * 100] * 60, vector=table["vector"]), select={"bytes": 1990}, partition_size=6)
    assert warned(engine) == [
        "select: asked for 1,990 bytes, chose 1,000: no other document fits into what is left of the shares of "
        "10 partitions"
    ]
    assert "less than one" in warned(select(cloud(5), select={"fraction": 0.1}))[0]
    with pytest.raises(KeyError):
        warned(select(table, select={"docs": 6}))


def test_votes_for_all_others_are_refused_and_fewer_are_given_in_small_partitions() -> None:
    with pytest.raises(ValidationError, match=r"neighbours is 150 and partition_size 100: .* say 5,"):
        VoteK.model_validate({"select": {"docs": 1}, "partition_size": 100})
    engine = select(cloud(120), "vote_k", select={"docs": 12})
    assert "where each voted for 6;" in warned(engine)[0]
    fewer = select(cloud(120), "vote_k", select={"docs": 12}, neighbours=6)
    assert engine.kept_ids == fewer.kept_ids


@each_kind
def test_what_equals_a_chosen_document_has_a_similarity_of_one(kind: str) -> None:
    values = np.repeat(np.random.default_rng(6).normal(size=(5, 40)), 6, axis=0)
    more: dict[str, Any] = {"neighbours": 5} if kind in ("vote_k", "ideal") else {}
    engine = select(corpus(["a"] * 30, vector=column(values)), kind, select={"docs": 5}, audit=True, **more)
    similarity = engine.kept["similarity"].to_pylist()
    assert max(similarity) == 1
    if kind != "ideal":
        assert set(similarity) == {1}
        assert json.loads(engine.artifacts["summary"].read("summary.json"))["radius"]["chosen"] == 0


def test_doubles_of_any_size_are_vectors() -> None:
    values = np.random.default_rng(1).normal(size=(50, 6))
    sized = values * 10.0 ** np.random.default_rng(2).integers(-300, 300, (50, 1))
    chosen = [
        select(corpus(["a"] * 50, vector=column(some, kind=pa.float64())), select={"docs": 9}).kept_ids
        for some in (values, sized)
    ]
    assert chosen[0] == chosen[1]


@each_kind
def test_a_document_that_does_not_fit_is_passed_over(kind: str) -> None:
    """The first that each would choose: in the middle of all others, and the first by its hash."""
    vectors = np.random.default_rng(3).normal(size=(80, 8)) + 1.5
    table = by_place(corpus(["x"] * 80, vector=column(vectors)))
    middle = table.to_pylist()
    middle[0] |= {"vector": vectors.mean(axis=0).tolist(), "text": "x" * 5000}
    rows = pa.Table.from_pylist([{**row, "text": row["text"] * 9} for row in middle], table.schema)
    few: dict[str, Any] = {"neighbours": 9} if kind == "vote_k" else {}
    engine = select(rows, kind, select={"bytes": 400}, **few)
    assert engine.kept.num_rows == 44
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert found["mean_similarity"]["random"] > 0.5  # chance passes over it too


def test_by_bytes_a_document_is_chosen_for_what_it_adds_per_byte() -> None:
    """Each of ten directions has a long document and two short ones that stand for it nearly as well."""
    rng = np.random.default_rng(4)
    vectors = np.repeat(np.eye(10), 3, axis=0) + 0.05 * rng.normal(size=(30, 10))
    vectors[::3] = np.eye(10)
    texts = ["x" * (900 if number % 3 == 0 else 90) for number in range(30)]
    for kind in ("facility_location", "ideal"):
        few: dict[str, Any] = {"neighbours": 2} if kind == "ideal" else {}
        engine = select(corpus(texts, vector=column(vectors)), kind, select={"bytes": 900}, **few)
        assert [len(text) for text in engine.kept["text"].to_pylist()] == [90] * 10
        found = json.loads(engine.artifacts["summary"].read("summary.json"))
        assert found["mean_similarity"]["chosen"] > 0.95


def test_the_choice_is_far_better_than_chance_and_the_summary_says_so() -> None:
    table = cloud(300, dim=16)
    engine = select(table, select={"docs": 20}, audit=True)
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    ordered = by_place(table)
    units = rounded(ordered) / np.linalg.norm(rounded(ordered), axis=1, keepdims=True)
    cosines = units @ units.T
    rank = dict(zip(engine.kept["id"].to_pylist(), engine.kept["rank"].to_pylist(), strict=True))
    chosen = [row for row, name in enumerate(ordered["id"].to_pylist()) if rank[name]]
    for name, some in (("chosen", chosen), ("random", list(range(20)))):
        near = np.rint(cosines[:, some].max(axis=1) * UNIT)
        assert found["objective"][name] == np.maximum(near, 0).sum() / UNIT
        assert found["mean_similarity"][name] == pytest.approx(found["objective"][name] / 300)
        assert found["radius"][name] == pytest.approx(math.sqrt(2 - 2 * near.min() / UNIT))
    assert found["mean_similarity"]["chosen"] > found["mean_similarity"]["random"] + 0.02
    gains = engine.kept["gain"].drop_null()
    assert sum(gains.to_pylist()) == pytest.approx(found["objective"]["chosen"], rel=1e-3)


def test_a_sample_follows_the_gains() -> None:
    table = cloud(40)
    sampled: dict[str, Any] = {"draw": "sampled", "audit": True}
    whole = select(table, select={"fraction": 1}, audit=True).kept
    gain = dict(zip(whole["id"].to_pylist(), whole["gain"].to_pylist(), strict=True))
    best = max(gain, key=lambda name: gain[name])
    hits = 0
    for seed in range(60):
        kept = select(table, select={"docs": 4}, seed=seed, temperature=4.0, **sampled).kept
        chosen = kept.filter(kept["rank"].is_valid())
        assert chosen.num_rows == 4
        hits += best in chosen["id"].to_pylist()
    # Its share alone: the chance to be among four of forty by chance is 0.1.
    assert hits > 30


@each_kind
def test_texts_are_chosen_by_their_words(kind: str) -> None:
    rng = np.random.default_rng(2)
    topics = [[f"{topic}{word}" for word in range(30)] for topic in ("sea", "law", "tree", "code")]
    texts = [" ".join(rng.choice(topics[number % 4], 40)) for number in range(80)] + ["", " \n"]
    few: dict[str, Any] = {"neighbours": 10} if kind == "vote_k" else {}  # all others otherwise
    engine = select(corpus(texts), kind, vectors={"dim": 128}, select={"docs": 4}, **few)
    assert {text[:3] for text in engine.kept["text"].to_pylist()} == {"sea", "law", "tre", "cod"}
    rules = engine.dropped["rule"].to_pylist()
    assert (rules.count("no_vector"), rules.count("not_selected")) == (2, 76)
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert found["without_vector"] == {"docs": 2, "bytes": 2}


@each_kind
def test_nothing_to_choose_from_is_no_error(kind: str) -> None:
    assert select(cloud().slice(0, 0), kind, select={"docs": 5}).kept.num_rows == 0
    empty = select(corpus(["", ""]), kind, vectors={}, select={"docs": 5})
    assert empty.dropped["rule"].to_pylist() == ["no_vector"] * 2
    assert select(cloud(1), kind, select={"docs": 5}).kept.num_rows == 1
    assert select(cloud(5), kind, select={"fraction": 0.1}).kept.num_rows == 0


@each_kind
def test_equal_documents_are_told_apart(kind: str) -> None:
    table = corpus(["a"] * 30, vector=column(np.ones((30, 4))))
    kept = select(table, kind, select={"docs": 7}).kept
    assert sorted(kept["rank"].to_pylist()) == list(range(1, 8))


def test_a_document_without_a_vector_goes_by_a_rule_of_its_own() -> None:
    values = np.random.default_rng(1).normal(size=(6, 3))
    vector = column(values, valid=[True, True, False, True, False, True])
    engine = select(corpus(["a"] * 6, vector=vector), select={"docs": 2})
    assert engine.dropped["rule"].to_pylist().count("no_vector") == 2
    assert engine.kept.num_rows == 2
    [said] = json.loads(engine.artifacts["summary"].read("_warnings.json"))
    assert said == "2 of 6 documents have no vector and were dropped for it (no_vector)"


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_vectors_of_any_float_are_read(kind: pa.DataType) -> None:
    values = np.random.default_rng(1).normal(size=(50, 6)).astype(kind.to_pandas_dtype())
    chosen = [
        select(corpus(["a"] * 50, vector=column(values, kind=of)), select={"docs": 9}).kept_ids
        for of in (kind, pa.float64())
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("value", "said"), [(math.nan, "not finite"), (math.inf, "not finite"), (0.0, "nothing but zeros")]
)
def test_a_vector_without_a_direction_is_an_error_that_names_the_document(value: float, said: str) -> None:
    values = np.ones((4, 3))
    values[2] = value
    table = corpus({"a": "a", "b": "b", "c": "c", "d": "d"}, vector=column(values))
    with pytest.raises(DataError, match=f"'vector' of document 'c' holds .*{said}"):
        select(table, select={"docs": 2})


def test_vectors_of_several_lengths_are_an_error() -> None:
    with pytest.raises(DataError, match="vectors of 1 and 2 dimensions"):
        unpacked(pa.chunked_array([[b"12", b"1234"]], pa.large_binary()))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.int32(), 4), pa.list_(pa.float32(), 9000), pa.string()]
)
def test_a_column_without_vectors_is_refused(kind: pa.DataType) -> None:
    step = FacilityLocation.model_validate({"vectors": "v", "select": {"docs": 1}})
    with pytest.raises(RecipeError, match=r"the column 'v' is .*: expected vectors"):
        step.refuse({"v": kind})
    step.refuse({"v": pa.list_(pa.float16(), 4)})


def test_a_temperature_that_heats_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="does nothing with draw: greedy"):
        FacilityLocation.model_validate({"select": {"docs": 1}, "temperature": 2})


@given(st.integers(0, 500), st.lists(st.integers(0, 50), max_size=8))
def test_shares_add_up_and_are_off_by_less_than_one(budget: int, sizes: list[int]) -> None:
    found = shares(budget, sizes)
    total = sum(sizes)
    assert sum(found) == min(budget, total)
    assert all(0 <= got <= size for got, size in zip(found, sizes, strict=True))
    assert budget >= total or all(
        abs(got * total - budget * size) < total for got, size in zip(found, sizes, strict=True)
    )


def test_products_are_exact_whatever_multiplies() -> None:
    """Of vectors that are as long as they get and lie in one direction, in the most dimensions."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(40, 8192))
    values[1::2] = values[::2]
    whole = np.rint(values * (SCALE / np.linalg.norm(values, axis=1, keepdims=True))).astype(np.int64)
    assert (whole**2).sum(axis=1).max() <= 1 << 24
    singles = whole.astype(np.float32)
    assert (singles @ singles.T).tolist() == (whole @ whole.T).tolist()
    assert nearest(singles, np.arange(0, 40, 2)).tolist() == [UNIT] * 40


@given(st.integers(0, 30), st.integers(1, 12), st.sampled_from([1, 2, 40]), st.integers(0, 1000))
def test_neighbours_are_those_of_sorting_all(items: int, count: int, spread: int, seed: int) -> None:
    """With few distinct vectors most are equally near."""
    vectors = np.random.default_rng(seed).integers(-spread, spread, (items, 3), endpoint=True).astype(np.float32)
    products = (vectors @ vectors.T).astype(np.int64)
    found = neighbours(vectors, count)
    for item in range(items):
        others = sorted((-products[item, other], other) for other in range(items) if other != item)[:count]
        assert found.items[item].tolist() == [other for _, other in others]
        assert found.products[item].tolist() == [-product for product, _ in others]


def test_votes_and_influence_are_over_neighbours_by_sorting_all() -> None:
    table = by_place(cloud(50))
    products = rounded(table) @ rounded(table).T
    others = [sorted((-row[other], other) for other in range(50) if other != item) for item, row in enumerate(products)]
    near = [[other for _, other in some[:6]] for some in others]
    weights = np.array([[-product for product, _ in some[:6]] for some in others])
    places = [row_hash(name, 7, PURPOSE) for name in table["id"].to_pylist()]
    live = drawn_edges(Neighbours(np.array(near, np.int32), weights), np.array(places, np.uint64), 10)
    expected: dict[str, Any] = {
        "vote_k": subsets_reference.vote_k(near, [1] * 50, 12, 10),
        "ideal": subsets_reference.influence(near, live.tolist(), 10, [1] * 50, 12),
    }
    for kind, picks in expected.items():
        kept = select(table, kind, select={"docs": 12}, neighbours=6).kept.sort_by("rank")
        assert kept["id"].to_pylist() == [table["id"][item].as_py() for item, _ in picks]
        unit = {"vote_k": 1, "ideal": 10}[kind]
        assert kept["gain"].to_pylist() == [gain / unit for _, gain in picks]


def test_edges_are_there_as_often_as_their_weights_say() -> None:
    near = Neighbours(np.array([[1, 2, 3]] * 4, np.int32), np.array([[6, 3, 1], [5, 0, -5], [0, 0, -1], [1, 1, 1]]))
    rates = np.zeros((4, 3))
    for trial in range(400):
        place = mix64(np.arange(1, 5, dtype=np.uint64) + np.uint64(10 * trial))
        live = drawn_edges(near, place, 10)
        rates += np.array([[bin(bits).count("1") for bits in row] for row in live.tolist()]) / 4000
    expected = np.array([[0.6, 0.3, 0.1], [1, 0, 0], [0, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert np.abs(rates - expected).max() < 4.5 * 0.5 / math.sqrt(4000)


def test_farthest_first_is_at_most_twice_the_best_radius() -> None:
    for seed in range(5):
        table = by_place(cloud(14, dim=3, seed=seed))
        products = rounded(table) @ rounded(table).T
        best = max(products[:, some].max(axis=1).min() for some in combinations(range(14), 3))
        engine = select(table, "k_center", select={"docs": 3})
        found = json.loads(engine.artifacts["summary"].read("summary.json"))["radius"]["chosen"]
        assert found <= 2 * chord(int(best)) + 1e-3
        chosen = [table["id"].to_pylist().index(name) for name in engine.kept.sort_by("rank")["id"].to_pylist()]
        assert chosen[0] == 0
        for count in (1, 2):
            assert chosen[count] == np.argmin(products[:, chosen[:count]].max(axis=1))


def test_the_summary_of_influence_says_how_many_are_reached() -> None:
    engine = select(cloud(80), "ideal", select={"docs": 20}, partition_size=30)
    found = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert found["reached_docs"] == pytest.approx(sum(engine.kept["gain"].to_pylist()))
    assert 20 <= found["reached_docs"] <= 80


def embeddable(home: Path) -> Mill:
    """Documents of four files, of which some have no vector, and a column of what the toy encoder makes of them."""
    rng = np.random.default_rng(8)
    texts = ["".join(chr(97 + letter) for letter in rng.integers(0, 26, length)) for length in rng.integers(1, 40, 120)]
    texts[5::40] = ["!!!"] * 3
    (home / "in").mkdir()
    for part in range(4):
        some = pa.chunked_array([pa.array(texts[part::4])])
        vectors = Toy().encode(some, some)
        values = column(vectors, [any(row) for row in vectors.tolist()], pa.float16())
        pq.write_table(pa.table({"text": some, "vector": values}), home / "in" / f"{part}.parquet")
    return Mill(home, inputs=[{"name": "docs", "path": "{home}/in/*.parquet"}])


@each_kind
def test_vectors_of_a_step_choose_what_a_column_of_them_does(kind: str, tmp_path: Path) -> None:
    mill = embeddable(tmp_path)
    few = {"neighbours": 5} if kind in ("vote_k", "ideal") else {}
    choose = {"kind": kind, "name": "choose", "select": {"bytes": 700}, "partition_size": 30, **few}
    short = {"kind": "length", "min_chars": 3}  # rows go between the step and what takes its vectors
    by_step = mill.run([EMBED, short, {**choose, "step": "embed"}], shard_mb=0.001)
    by_column = mill.run([short, {**choose, "vectors": "vector"}], out="out2", work="work2", shard_mb=0.004)
    assert by_step.manifest["inputs"][0]["shards"] > by_column.manifest["inputs"][0]["shards"]
    assert 0 < by_step.corpus.num_rows < 60
    assert rows_of(by_step.corpus) == rows_of(by_column.corpus)
    assert rows_of(by_step.dropped) == rows_of(by_column.dropped)
    assert by_step.dropped["rule"].to_pylist().count("no_vector") == 3
    for name in ("choose/summary.json", "choose/partitions.parquet"):
        one, other = (ran.version / "artifacts" / name for ran in (by_step, by_column))
        assert one.read_bytes() == other.read_bytes()


def test_what_makes_no_vectors_is_refused(tmp_path: Path) -> None:
    mill = embeddable(tmp_path)
    choose = {"kind": "k_center", "select": {"docs": 9}}
    with pytest.raises(RecipeError, match="step 'k_center': there is no earlier step 'embed'; expected one of kind"):
        mill.run([{**choose, "step": "embed"}])
    with pytest.raises(RecipeError, match="step 'embed' is of kind length; expected embed_documents"):
        mill.run([{"kind": "length", "name": "embed", "min_chars": 1}, {**choose, "step": "embed"}])
    with pytest.raises(RecipeError, match=r"means a column, and there is a step of that name: .* `step: embed`"):
        mill.run([EMBED, {**choose, "vectors": "embed"}])
    with pytest.raises(ValidationError, match="step 'embed' and vectors 'vector' are given; expected one of them"):
        KCenter.model_validate({**choose, "step": "embed", "vectors": "vector"})
    again = KCenter.model_validate({**choose, "step": "embed"}).model_dump(mode="json")
    assert KCenter.model_validate(again).step == "embed"
