import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import DataError
from pipeline.readers.schema import fit, unify, unify_types


@pytest.mark.parametrize(
    ("left", "right", "both"),
    [
        (pa.null(), pa.int8(), pa.int8()),
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.uint8(), pa.uint64(), pa.uint64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.float16(), pa.float32(), pa.float32()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.string(), pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("ms", "UTC"), pa.timestamp("s", "UTC"), pa.timestamp("ms", "UTC")),
        (pa.time32("s"), pa.time64("ns"), pa.time64("ns")),
        (pa.duration("s"), pa.duration("ms"), pa.duration("ms")),
        (pa.date32(), pa.date64(), pa.date64()),
        (pa.decimal128(5, 2), pa.decimal128(6, 4), pa.decimal128(7, 4)),
        (pa.decimal128(38, 0), pa.decimal128(10, 8), pa.decimal256(46, 8)),
        (pa.list_(pa.null()), pa.list_(pa.string()), pa.list_(pa.string())),
        (pa.list_(pa.int8(), 3), pa.list_(pa.int8()), pa.list_(pa.int8())),
        (
            pa.struct([("a", pa.int8())]),
            pa.struct([("b", pa.string()), ("a", pa.int16())]),
            pa.struct([("a", pa.int16()), ("b", pa.string())]),
        ),
        (pa.map_(pa.string(), pa.int8()), pa.map_(pa.string(), pa.int64()), pa.map_(pa.string(), pa.int64())),
    ],
)
def test_types_meet_in_the_type_that_holds_both(left: pa.DataType, right: pa.DataType, both: pa.DataType) -> None:
    assert unify_types(left, right) == both
    assert unify_types(both, left) == both


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.string(), pa.int64()),
        (pa.bool_(), pa.int8()),
        (pa.string(), pa.binary()),
        (pa.uint64(), pa.int8()),
        (pa.timestamp("s"), pa.timestamp("s", "UTC")),
        (pa.timestamp("s", "Europe/Berlin"), pa.timestamp("s", "UTC")),
        (pa.date32(), pa.timestamp("s")),
        (pa.list_(pa.string()), pa.string()),
        (pa.list_(pa.string()), pa.list_(pa.int8())),
        (pa.decimal256(76, 0), pa.decimal256(76, 76)),
    ],
)
def test_a_clash_names_both_files_the_column_and_both_types(left: pa.DataType, right: pa.DataType) -> None:
    schemas = [
        ("zero.parquet", pa.schema([("x", pa.null())])),
        ("one.parquet", pa.schema([("x", left)])),
        ("two.parquet", pa.schema([("x", right)])),
    ]
    with pytest.raises(DataError) as caught:
        unify(schemas)
    for part in ("'x'", "one.parquet", "two.parquet", str(left), str(right)):
        assert part in str(caught.value)


def test_columns_keep_the_order_of_their_appearance_and_missing_ones_become_null() -> None:
    one = pa.table({"text": ["a"], "n": pa.array([1], pa.int8())})
    two = pa.table({"extra": [True], "text": ["b"]})
    schema = unify([("one", one.schema), ("two", two.schema)])
    assert schema.names == ["text", "n", "extra"]
    joined = pa.concat_tables([fit(one, schema, "one"), fit(two, schema, "two")])
    assert joined.to_pylist() == [{"text": "a", "n": 1, "extra": None}, {"text": "b", "n": None, "extra": True}]


def test_an_integer_beyond_two_to_the_53_does_not_become_a_double() -> None:
    schema = pa.schema([("n", pa.float64())])
    assert fit(pa.table({"n": [2**53]}), schema, "f")["n"].to_pylist() == [2.0**53]
    with pytest.raises(DataError, match=r"big\.jsonl: column 'n' does not fit double.*9007199254740993"):
        fit(pa.table({"n": [2**53 + 1]}), schema, "big.jsonl")


leaf = st.one_of(st.none(), st.integers(-(2**40), 2**40))
structs = st.lists(
    st.one_of(st.none(), st.fixed_dictionaries({"k": leaf}, optional={"l": st.lists(leaf, max_size=3)})), max_size=5
)


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return value


@given(structs, structs, st.integers(0, 2))
def test_fitting_nested_columns_keeps_every_value(left: list[object], right: list[object], skip: int) -> None:
    tables = [pa.table({"c": pa.array(values)}).slice(skip) for values in (left, right)]
    schema = unify([("left", tables[0].schema), ("right", tables[1].schema)])
    for table, values in zip(tables, (left, right), strict=True):
        fitted = fit(table, schema, "f")
        fitted.validate(full=True)
        assert [without_nulls(v) for v in fitted["c"].to_pylist()] == [without_nulls(v) for v in values[skip:]]
