"""Unique ids and the block list, as operators."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RecipeError
from pipeline.identities import ExcludeIds, UniqueIds
from tests.operators.harness import deal, run

IDS = st.lists(st.sampled_from("abcdef"), max_size=30)


def documents(ids: list[str]) -> pa.Table:
    """Documents with those ids, in that order, over two files."""
    size = len(ids)
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "text": pa.array(ids, pa.large_string()),
            "source": pa.array(["s"] * size, pa.string()),
            "_path": pa.array([f"f{n * 2 // max(size, 1)}" for n in range(size)], pa.string()),
            "_position": pa.array(range(size), pa.int64()),
        }
    )


@given(IDS, st.integers(1, 4), st.integers(1, 8), st.integers(0, 99))
def test_the_first_row_with_an_id_stays_whatever_the_layout(
    ids: list[str], shards: int, partitions: int, shuffle: int
) -> None:
    engine = run(
        UniqueIds(name="ingest", formats=(("s", "jsonl", "file"),)),
        deal(documents(ids), shards, shuffle),
        partitions=partitions,
        shuffle=shuffle,
    )
    first = {name: place for place, name in reversed(list(enumerate(ids)))}
    kept = dict(zip(engine.kept["id"].to_pylist(), engine.kept["_position"].to_pylist(), strict=True))
    assert kept == first
    assert engine.kept.num_rows == len(first)
    rows = engine.dropped.to_pylist() if len(ids) > len(first) else []
    assert sorted(row["id"] for row in rows) == sorted(set_minus(ids, list(first)))
    for row in rows:
        place = first[row["id"]]
        assert row["rule"] == "duplicate_id"
        assert json.loads(row["detail"]) == {"first": f"f{place * 2 // len(ids)}@{place}"}


def test_the_first_row_is_named_as_its_own_input_s_format_has_it() -> None:
    formats = (("rows", "parquet", "file"), ("s", "auto", "file"))
    table = documents(["rows/a", "rows/a", "s/a", "s/a"])
    table = table.set_column(3, "_path", pa.array(["x", "x", "y.jsonl.gz", "y.jsonl.gz"]))
    engine = run(UniqueIds(name="ingest", formats=formats), [table])
    assert [json.loads(row["detail"])["first"] for row in engine.dropped.to_pylist()] == ["x#0", "y.jsonl.gz@2"]


def set_minus(ids: list[str], once: list[str]) -> list[str]:
    """The ids that are left when each has been taken once."""
    left = list(ids)
    for name in once:
        left.remove(name)
    return left


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_block_list_takes_lines_as_any_system_writes_them(ending: str, mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "block.txt"
    path.write_bytes(mark + ending.join(["b", " d ", "", "nobody", "caf\u00e9"]).encode())
    engine = run(ExcludeIds.from_file(str(path)), [documents(["a", "b", "c", "d", "caf\u00e9"])])
    assert engine.kept_ids == {"a", "c"}
    assert set(engine.dropped["rule"].to_pylist()) == {"excluded_id"}


def test_an_empty_block_list_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "block.txt"
    path.write_bytes(b"")
    engine = run(ExcludeIds.from_file(str(path)), [documents(["a", "b"])])
    assert engine.kept_ids == {"a", "b"}


def test_a_block_list_s_identity_is_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_bytes(b"a\n")
    other.write_bytes(b"a\n")
    assert ExcludeIds.from_file(str(one)).identity() == ExcludeIds.from_file(str(other)).identity()
    before = ExcludeIds.from_file(str(one))
    one.write_bytes(b"b\n")
    assert ExcludeIds.from_file(str(one)).identity() != before.identity()


def test_a_block_list_that_changes_under_a_run_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "block.txt"
    path.write_bytes(b"once\n")
    operator = ExcludeIds.from_file(str(path))
    path.write_bytes(b"twice\n")
    with pytest.raises(RecipeError, match="changed while the run read it"):
        run(operator, [documents(["a"])])
