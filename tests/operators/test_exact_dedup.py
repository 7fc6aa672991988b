import pickle
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RecipeError
from operators.exact_dedup import ExactDedup
from tests.operators.harness import corpus, deal, run

DOCUMENTS = st.lists(st.tuples(st.sampled_from(["", "a", "b", "aa", "A", " a "]), st.sampled_from("xyz")), max_size=25)


def survivors_by_dictionary(rows: list[dict[str, str]], priority: tuple[str, ...]) -> dict[str, str]:
    """The oracle: each removed id -> its survivor's id."""
    sets = defaultdict(list)
    for row in rows:
        place = priority.index(row["source"]) if row["source"] in priority else len(priority)
        sets[row["text"]].append((place, -len(row["text"].encode()), row["id"]))
    return {name: min(same)[2] for same in sets.values() for *_, name in same if name != min(same)[2]}


@given(DOCUMENTS, st.permutations("xyz"), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_it_removes_what_a_dictionary_would_however_the_work_is_cut(
    documents: list[tuple[str, str]], order: list[str], shards: int, partitions: int, shuffle: int
) -> None:
    table = corpus([text for text, _ in documents]).set_column(
        2, "source", pa.array([s for _, s in documents], pa.string())
    )
    operator = ExactDedup(priority=tuple(order[:2]))
    engine = run(operator, deal(table, shards, shuffle), partitions=partitions, shuffle=shuffle, batch_rows=3)
    removed = {row["id"]: row["survivor"] for row in engine.dropped.to_pylist()}
    assert removed == survivors_by_dictionary(table.to_pylist(), operator.priority)
    assert engine.kept_ids == set(table["id"].to_pylist()) - set(removed)


def test_the_survivor_has_priority_then_length_then_the_smaller_id() -> None:
    table = corpus({"b": "x  y", "a": "x y", "c": "x y", "d": "X Y"})
    assert run(ExactDedup(normalise="whitespace_case"), [table]).kept_ids == {"b"}
    assert run(ExactDedup(), [table]).kept_ids == {"a", "b", "d"}
    ranked = table.set_column(2, "source", pa.array(["web", "web", "books", None], pa.string()))
    assert run(ExactDedup(normalise="whitespace_case", priority=("books",)), [ranked]).kept_ids == {"c"}


def test_a_verdict_names_rule_survivor_and_similarity() -> None:
    engine = run(ExactDedup(), [corpus(["same", "same"])])
    expected = {"shard": 0, "id": "d0001", "rule": "duplicate", "survivor": "d0000", "similarity": 1.0}
    assert engine.dropped.to_pylist() == [expected]


def test_audit_removes_nothing() -> None:
    engine = run(ExactDedup(audit=True), [corpus(["same", "same"])])
    assert (len(engine.kept_ids), engine.dropped.num_rows) == (2, 1)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (pa.array([1, 2, 1, None, None]), {"d0000", "d0001", "d0003", "d0004"}),
        (pa.array([b"\xff", b"\xff", b"", None, b"\0"]), {"d0000", "d0002", "d0003", "d0004"}),
        (pa.array([b"ab", b"ab", b"ba", b"ab", None], pa.binary(2)), {"d0000", "d0002", "d0004"}),
        (pa.array(["u", "v", "u", "u", None]).dictionary_encode(), {"d0000", "d0001", "d0004"}),
    ],
    ids=["numbers", "binary", "fixed binary", "dictionary"],
)
def test_any_flat_column_can_decide_and_null_equals_nothing(values: pa.Array, kept: set[str]) -> None:
    table = corpus(["p"] * 5).append_column("key", values)
    assert run(ExactDedup(column="key"), [table.slice(0, 2), table.slice(2)]).kept_ids == kept


def test_a_nested_column_is_refused_with_its_type() -> None:
    table = corpus(["p"]).append_column("key", pa.array([[1]]))
    with pytest.raises(RecipeError, match="list<"):
        run(ExactDedup(column="key"), [table])


def test_a_priority_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="'web' twice"):
        ExactDedup(priority=("web", "books", "web"))


def test_the_state_is_small_whatever_the_length_of_the_text() -> None:
    fold = ExactDedup().stages()[0]
    table = corpus([f"{number} " * 5000 for number in range(50)]).append_column("_row", pa.array(range(50), pa.int32()))
    state = fold.bind(None)(table)  # type: ignore[arg-type, union-attr]
    assert state.nbytes < 80 * table.num_rows


def test_it_survives_pickle_and_json() -> None:
    operator = ExactDedup(normalise="whitespace_case", priority=("a", "b"))
    assert pickle.loads(pickle.dumps(operator)) == operator
    assert ExactDedup.model_validate_json(operator.model_dump_json()) == operator
