"""Digests over content, rows put beside rows, views."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import ROW
from pipeline.corpus import Frame, Layer, View, align, logical_digest, parquet_bytes, read_parquet
from pipeline.storage import Store, arrow_bytes

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "string": (pa.string(), st.text(max_size=5)),
    "large_string": (pa.large_string(), st.text(max_size=5)),
    "binary": (pa.binary(), st.binary(max_size=5)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "list": (pa.list_(pa.string()), st.lists(st.text(max_size=2), max_size=2)),
    "struct": (pa.struct([("a", pa.int32()), ("b", pa.string())]), st.fixed_dictionaries({"a": st.integers(0, 9)})),
    "timestamp": (pa.timestamp("us"), st.datetimes()),
    "null": (pa.null(), st.none()),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, list[Any]]:
    """A type and some values of it, nulls among them."""
    kind, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    return kind, draw(st.lists(st.none() | values, max_size=8))


def one(values: list[Any], kind: pa.DataType, name: str = "c") -> pa.Table:
    """A table of one column."""
    return pa.table({name: pa.array(values, kind)})


@given(columns(), st.lists(st.integers(0, 8), max_size=3), st.integers(0, 3))
def test_the_digest_does_not_depend_on_chunks_and_slices(
    column: tuple[pa.DataType, list[Any]], cuts: list[int], before: int
) -> None:
    kind, values = column
    whole = pa.array(values, kind)
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    chunks = [whole.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
    padded = pa.array([*values[:before], *values, *values[:1]], kind).slice(len(values[:before]), len(values))
    wanted = logical_digest(pa.table({"c": whole}))
    assert logical_digest(pa.table({"c": pa.chunked_array(chunks, kind)})) == wanted
    assert logical_digest(pa.table({"c": padded})) == wanted


@given(columns(), columns())
def test_the_digest_tells_values_nulls_types_and_order_apart(
    left: tuple[pa.DataType, list[Any]], right: tuple[pa.DataType, list[Any]]
) -> None:
    a, b = one(left[1], left[0]), one(right[1], right[0])
    alike = a.schema == b.schema and [repr(v) for v in a["c"].to_pylist()] == [repr(v) for v in b["c"].to_pylist()]
    assert (logical_digest(a) == logical_digest(b)) == alike


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (one([None], pa.string()), one([""], pa.string())),
        (one([None, 0], pa.int64()), one([0, None], pa.int64())),
        (one([1, 2], pa.int64()), one([2, 1], pa.int64())),
        (one([1], pa.int64()), one([1], pa.int32())),
        (one([0.0], pa.float64()), one([-0.0], pa.float64())),
        (one(["ab", "c"], pa.string()), one(["a", "bc"], pa.string())),
        (one(["a"], pa.string()), one(["a"], pa.string(), "d")),
        (one([], pa.string()), one([], pa.large_string())),
        (one([True, None], pa.bool_()), one([True, False], pa.bool_())),
        (pa.table({"a": ["x"], "b": ["y"]}), pa.table({"a": ["y"], "b": ["x"]})),
        (one([[1], []], pa.list_(pa.int8())), one([[], [1]], pa.list_(pa.int8()))),
    ],
)
def test_near_misses_have_other_digests(left: pa.Table, right: pa.Table) -> None:
    assert logical_digest(left) != logical_digest(right)


def test_what_lies_under_a_null_is_no_content() -> None:
    data, mask = pa.py_buffer(b"ab"), pa.py_buffer(bytes([0b01]))
    offsets = pa.py_buffer(np.array([0, 1, 2], np.int32).tobytes())
    hidden = pa.Array.from_buffers(pa.string(), 2, [mask, offsets, data])
    assert hidden.to_pylist() == ["a", None]
    assert logical_digest(pa.table({"c": hidden})) == logical_digest(one(["a", None], pa.string()))


@pytest.mark.parametrize(
    "make",
    [
        lambda values, mask: pa.LargeStringArray.from_buffers(
            3,
            pa.py_buffer(np.array([0, 1, 2, 3], np.int64).tobytes()),
            pa.py_buffer(values),
            pa.py_buffer(mask),
        ),
        lambda values, mask: pa.Array.from_buffers(pa.int8(), 3, [pa.py_buffer(mask), pa.py_buffer(values)]),
    ],
    ids=["large_string", "int8"],
)
def test_hidden_bytes_change_no_digest(make: Callable[[bytes, bytes], pa.Array]) -> None:
    one_way, other = make(b"abc", bytes([0b101])), make(b"aXc", bytes([0b101]))
    assert one_way.to_pylist() == other.to_pylist()
    assert logical_digest(pa.table({"c": one_way})) == logical_digest(pa.table({"c": other}))


@given(st.sets(st.integers(0, 30), max_size=12), st.lists(st.integers(0, 30), max_size=12, unique=True))
def test_align_finds_every_row_that_is_there(have: set[int], wanted: list[int]) -> None:
    table = pa.table(
        {ROW: pa.array(sorted(have), pa.int32()), "v": pa.array([10 * r for r in sorted(have)], pa.int64())}
    )
    found = align(table, np.array(sorted(wanted), np.int32))
    assert found["v"].to_pylist() == [10 * row if row in have else None for row in sorted(wanted)]


@st.composite
def views(draw: st.DrawFn) -> View:
    """Any view."""
    view = View(draw(st.text()), draw(st.text()), draw(st.integers(0)), draw(st.integers(0)), 7, "jsonl/file")
    for _ in range(draw(st.integers(0, 3))):
        layer = Layer(draw(st.text()), draw(st.text()))
        view = view.with_layer(layer, draw(st.dictionaries(st.text(), st.text(), max_size=3)))
    if draw(st.booleans()):
        view = view.with_selection(draw(st.text()), draw(st.text()), 3, 4)
    return view


@given(views())
def test_a_view_survives_json(view: View) -> None:
    assert View.from_json(json.loads(json.dumps(view.to_json()))) == view


def test_a_view_s_digest_names_only_the_columns_asked_for() -> None:
    view = View("s", "d", 9, 9, 100, "text/file")
    asked = [("text", "large_string"), ("a", "int64")]
    scored = view.with_layer(Layer("file", "key"), {"a": "score"})
    assert scored.digest(asked[:1]) == view.digest(asked[:1])
    assert scored.digest(asked) != view.digest(asked)
    assert scored.digest(asked) == scored.digest(asked[::-1])
    assert view.with_layer(Layer("elsewhere", "key"), {"a": "score"}).digest(asked) == scored.digest(asked)
    assert view.with_layer(Layer("file", "other"), {"a": "score"}).digest(asked) != scored.digest(asked)
    assert view.with_selection("f", "digest", 1, 1).digest(asked[:1]) != view.digest(asked[:1])


def test_a_frame_reads_absent_columns_as_nulls_and_widens_narrow_ones(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("shard.parquet", parquet_bytes(pa.table({"id": ["a", "b", "c"], "n": pa.array([1, 2, 3], pa.int32())})))
    store.write("rows.arrow", arrow_bytes(pa.table({ROW: pa.array([0, 2], pa.int32())})))
    store.write("layer.arrow", arrow_bytes(pa.table({ROW: pa.array([1, 2], pa.int32()), "s": [0.5, 0.7]})))
    schema = pa.schema([("id", pa.string()), ("n", pa.float64()), ("more", pa.string()), ("score", pa.float64())])
    view = View("shard.parquet", "d", 3, 3, 0, "").with_layer(Layer("layer.arrow", "k"), {"score": "s"})
    frame = Frame(store, view.with_selection("rows.arrow", "d", 2, 0), schema)
    table = frame.table(["id", "n", "more", "score"])
    assert table.to_pydict() == {"id": ["a", "c"], "n": [1.0, 3.0], "more": [None, None], "score": [None, 0.7]}
    assert table.schema == schema
    frame.keep(pa.array([False, True]), frame.view)
    assert frame.table(["id"]).to_pydict() == {"id": ["c"]}


def test_equal_tables_give_equal_files(tmp_path: Path) -> None:
    table = pa.table({"id": [str(n) for n in range(1000)], "x": pa.array(range(1000), pa.int64())})
    chunked = pa.concat_tables([table.slice(0, 333), table.slice(333)])
    assert parquet_bytes(chunked).equals(parquet_bytes(table))
    tagged = table.replace_schema_metadata({"written": "today"})
    assert parquet_bytes(tagged).equals(parquet_bytes(table))
    store = Store(str(tmp_path))
    store.write("t.parquet", parquet_bytes(table))
    assert read_parquet(store, "t.parquet").equals(table)
