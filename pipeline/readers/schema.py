"""Lossless reconciliation of Arrow schemas: what differs only in width becomes the wider, what clashes is an error.

The rules, applied through lists, structs and maps: null takes any other type; a missing column or field becomes null;
integers take the narrowest type that holds both; an integer beside a float becomes double (and `fit` refuses integers
beyond 2**53); strings, binaries, lists: the larger offset; timestamps, times, durations: the finer unit, where the
time zones agree; decimals: digits enough for both; a dictionary counts as its values.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from operators.base import DataError

_UNITS: Final = ("s", "ms", "us", "ns")
_WIDE_DIGITS: Final = 38
_MAX_DIGITS: Final = 76


class TypeClashError(Exception):
    """Two types that no type holds both of; the message shows them, with the path of the field inside nested ones."""


def unify(schemas: list[tuple[str, pa.Schema]]) -> pa.Schema:
    """One schema that holds the rows of all; each comes with the name of its file. Columns in order of appearance.

    Raises:
        DataError: two files give a column types that do not reconcile.
    """
    fields: dict[str, pa.DataType] = {}
    owners: dict[str, str] = {}
    for name, schema in schemas:
        for column in schema:
            known = fields.get(column.name, pa.null())
            try:
                merged = unify_types(known, column.type)
            except TypeClashError as clash:
                message = (
                    f"column {column.name!r} is {known} in {owners[column.name]} and {column.type} in {name} "
                    f"({clash}); "
                    "make the files agree, or leave the column out with `columns.keep`"
                )
                raise DataError(message) from clash
            if column.name not in fields or merged != known:
                owners[column.name] = name
            fields[column.name] = merged
    return pa.schema(list(fields.items()))


def unify_types(left: pa.DataType, right: pa.DataType, path: str = "") -> pa.DataType:
    """The type that holds both. Raises TypeClashError.

    >>> unify_types(pa.list_(pa.int8()), pa.list_(pa.float32()))
    ListType(list<item: double>)
    """
    if types.is_dictionary(left) or types.is_dictionary(right):
        return unify_types(_values(left), _values(right), path)
    if left.equals(right) or types.is_null(right):
        return left
    if types.is_null(left):
        return right
    for rule in (_numbers, _bytes, _moments, _decimals, _nested):
        merged = rule(left, right, path)
        if merged is not None:
            return merged
    message = f"{path or 'the values'}: {left} and {right}"
    raise TypeClashError(message)


def fit(table: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """The table's rows in a schema that `unify` gave; `name` is the file for the error. Refuses any loss.

    Raises:
        DataError: a value does not fit, such as an integer beyond 2**53 in a column of doubles.
    """
    columns = []
    for column in schema:
        index = table.schema.get_field_index(column.name)
        if index < 0:
            columns.append(pa.nulls(table.num_rows, column.type))
            continue
        try:
            columns.append(_fit_column(table.column(index), column.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            message = f"{name}: column {column.name!r} does not fit {column.type}: {error}"
            raise DataError(message) from error
    return pa.Table.from_arrays(columns, schema=schema)


def _fit_column(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if column.type.equals(wanted):
        return column
    return pa.chunked_array([_fit_array(chunk, wanted) for chunk in column.chunks], wanted)


def _fit_array(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A safe cast that also adds missing struct fields and takes the fields in any order."""
    if array.type.equals(wanted):
        return array
    if types.is_null(array.type):
        return pa.nulls(len(array), wanted)
    if types.is_struct(wanted):
        children = [
            _fit_array(pc.struct_field(array, [index]), field.type)
            if (index := array.type.get_field_index(field.name)) >= 0
            else pa.nulls(len(array), field.type)
            for field in wanted
        ]
        return pa.StructArray.from_arrays(children, fields=list(wanted), mask=array.is_null())
    if types.is_list(wanted) or types.is_large_list(wanted):
        plain = array.cast(pa.large_list(array.type.value_type))
        lengths = pc.fill_null(pc.list_value_length(plain), 0).to_numpy(zero_copy_only=False)
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
        kind, offset = (pa.ListArray, pa.int32()) if types.is_list(wanted) else (pa.LargeListArray, pa.int64())
        values = _fit_array(plain.flatten(), wanted.value_type)
        return kind.from_arrays(pa.array(bounds).cast(offset), values, type=wanted, mask=plain.is_null())
    return array.cast(wanted)


def _values(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if types.is_dictionary(kind) else kind


def _numbers(left: pa.DataType, right: pa.DataType, path: str) -> pa.DataType | None:
    integers = [types.is_integer(left), types.is_integer(right)]
    floats = [types.is_floating(left), types.is_floating(right)]
    if all(floats):
        return max(left, right, key=lambda kind: kind.bit_width)
    if any(integers) and any(floats):
        return pa.float64()
    if not all(integers):
        return None
    if types.is_signed_integer(left) == types.is_signed_integer(right):
        return max(left, right, key=lambda kind: kind.bit_width)
    signed, unsigned = (left, right) if types.is_signed_integer(left) else (right, left)
    width = max(signed.bit_width, 2 * unsigned.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(width)


def _bytes(left: pa.DataType, right: pa.DataType, path: str) -> pa.DataType | None:
    for is_small, is_large, is_view, small, large in (
        (types.is_string, types.is_large_string, types.is_string_view, pa.string(), pa.large_string()),
        (types.is_binary, types.is_large_binary, types.is_binary_view, pa.binary(), pa.large_binary()),
    ):
        if all(is_small(kind) or is_large(kind) or is_view(kind) for kind in (left, right)):
            return large if is_large(left) or is_large(right) else small
    return None


def _moments(left: pa.DataType, right: pa.DataType, path: str) -> pa.DataType | None:
    if types.is_date(left) and types.is_date(right):
        return pa.date64()
    if types.is_time(left) and types.is_time(right):
        unit = max(left.unit, right.unit, key=_UNITS.index)
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    for check, make in ((types.is_timestamp, _timestamp), (types.is_duration, _duration)):
        if check(left) and check(right):
            return make(left, right)
    return None


def _timestamp(left: pa.TimestampType, right: pa.TimestampType) -> pa.DataType | None:
    if left.tz != right.tz:
        return None
    return pa.timestamp(max(left.unit, right.unit, key=_UNITS.index), left.tz)


def _duration(left: pa.DurationType, right: pa.DurationType) -> pa.DataType:
    return pa.duration(max(left.unit, right.unit, key=_UNITS.index))


def _decimals(left: pa.DataType, right: pa.DataType, path: str) -> pa.DataType | None:
    if not (types.is_decimal(left) and types.is_decimal(right)):
        return None
    scale = max(left.scale, right.scale)
    digits = max(left.precision - left.scale, right.precision - right.scale) + scale
    if digits > _MAX_DIGITS:
        return None
    return pa.decimal128(digits, scale) if digits <= _WIDE_DIGITS else pa.decimal256(digits, scale)


def _nested(left: pa.DataType, right: pa.DataType, path: str) -> pa.DataType | None:
    if types.is_struct(left) and types.is_struct(right):
        return _structs(left, right, path)
    if types.is_map(left) and types.is_map(right):
        key = unify_types(left.key_type, right.key_type, f"{path}.key")
        return pa.map_(key, unify_types(left.item_type, right.item_type, f"{path}.value"))
    if _is_list(left) and _is_list(right):
        value = unify_types(left.value_type, right.value_type, f"{path}[]")
        large = types.is_large_list(left) or types.is_large_list(right)
        return pa.large_list(value) if large else pa.list_(value)
    return None


def _structs(left: pa.StructType, right: pa.StructType, path: str) -> pa.DataType:
    fields = {field.name: field.type for field in left}
    for field in right:
        fields[field.name] = unify_types(fields.get(field.name, pa.null()), field.type, f"{path}.{field.name}")
    return pa.struct(list(fields.items()))


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
