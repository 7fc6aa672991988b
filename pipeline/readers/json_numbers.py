"""Numbers that JSON lines hold and a column might not: integers of any length, and NaN, which is no JSON at all.

An integer beyond 64 bits comes from the parser as the nearest double, so two of them may come out equal; such a column
is refused by name instead. Integers from 2**63 to 2**64 - 1 are read as uint64 where none beside them is negative.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import types

from pipeline.readers.schema import TypeClashError, unify_types

_INT64_LIMIT: Final = 1 << 63
_UINT64_DIGITS: Final = 20
_EITHER: Final = pa.uint32()
"""While types are put together: an integer that int64 and uint64 both hold."""


class _Literal(str):
    """An integer as it is written."""


def no_json_constants(content: bytes) -> str:
    """Which of NaN and the infinities a line holds that without them would be JSON: why it is none; else "".

    >>> no_json_constants(b'{"text": "a", "score": NaN}')
    'NaN is no JSON; write null instead (in Python, json.dumps(..., allow_nan=False) refuses it)'
    >>> no_json_constants(b'{"text": NaN')
    ''
    """
    if b"NaN" not in content and b"Infinity" not in content:
        return ""
    found: dict[str, None] = {}
    try:
        json.loads(content, parse_constant=lambda name: found.setdefault(name))
    except (ValueError, RecursionError):
        return ""
    if not found:
        return ""
    return f"{', '.join(found)} is no JSON; write null instead (in Python, json.dumps(..., allow_nan=False) refuses it)"


def may_be_rounded(array: pa.Array) -> bool:
    """Whether a double in it, at any depth, is as large as an integer that the parser rounds.

    >>> may_be_rounded(pa.array([[1.5], [2.0**64]])), may_be_rounded(pa.array([1.5, None]))
    (True, False)
    """
    if types.is_floating(array.type):
        values = array.drop_null().to_numpy(zero_copy_only=False)
        return bool((np.abs(values) >= _INT64_LIMIT).any())
    if types.is_list(array.type):
        return may_be_rounded(array.flatten())
    if types.is_struct(array.type):
        return any(may_be_rounded(part) for part in array.flatten())
    return False


def integer_beyond_64_bits(content: bytes, name: str) -> str:
    """The first one under a key of a line's object, as it is written; "" if there is none.

    >>> integer_beyond_64_bits(b'{"n": [1, 2e20, 18446744073709551616]}', "n")
    '18446744073709551616'
    >>> integer_beyond_64_bits(b'{"n": 18446744073709551615}', "n")
    ''
    """
    return _find(json.loads(content, parse_int=_Literal).get(name))


def _find(value: object) -> str:
    if isinstance(value, _Literal):
        is_short = len(value.removeprefix("-")) <= _UINT64_DIGITS
        return "" if is_short and -_INT64_LIMIT <= int(value) < 2 * _INT64_LIMIT else str(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for part in parts if (found := _find(part))), "")


def column_of(values: list[Any]) -> pa.Array:
    """A column of parsed values; those beyond int64 as uint64.

    Raises:
        pa.ArrowInvalid, pa.ArrowTypeError, OverflowError: no type holds all of them.

    >>> column_of([{"a": 1, "b": 2}, {"a": 2**63, "b": 2}]).type
    StructType(struct<a: uint64, b: int64>)
    """
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, OverflowError):
        kind: pa.DataType = pa.null()
        for value in values:
            try:
                kind = unify_types(kind, kind_of(value))
            except TypeClashError:
                break
        else:
            return pa.array(values, settled(kind))
        raise


def kind_of(value: object) -> pa.DataType:
    """A parsed value's type, to be put together with others by `unify_types` and then `settled`."""
    if isinstance(value, dict):
        return pa.struct([(key, kind_of(part)) for key, part in value.items()])
    if isinstance(value, list):
        kind: pa.DataType = pa.null()
        for part in value:
            kind = unify_types(kind, kind_of(part))
        return pa.list_(kind)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            return pa.int64()
        return _EITHER if value < _INT64_LIMIT else pa.uint64()
    return pa.infer_type([value])


def settled(kind: pa.DataType) -> pa.DataType:
    """The type to use for what `kind_of` and `unify_types` gave."""
    if kind.equals(_EITHER):
        return pa.int64()
    if types.is_struct(kind):
        return pa.struct([(part.name, settled(part.type)) for part in kind])
    return pa.list_(settled(kind.value_type)) if types.is_list(kind) else kind
