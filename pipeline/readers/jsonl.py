"""Lines of JSON objects, plain or compressed -> batches.

Dates stay strings; objects and arrays stay nested; an empty object counts as null (Arrow files cannot store a struct
without fields); an integer beyond 64 bits is refused, as a number column would round it; NaN and infinities
are no JSON.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from operators.base import DataError
from pipeline.readers.base import (
    BATCH_BAD,
    BATCH_BYTES,
    BATCH_ROWS,
    BadRow,
    Batch,
    InputFile,
    Piece,
    ReadOptions,
    excerpt,
    only_bad,
    origin,
    too_large,
)
from pipeline.readers.columns import Rows, final_name, to_batch
from pipeline.readers.json_numbers import (
    column_of,
    integer_beyond_64_bits,
    kind_of,
    may_be_rounded,
    no_json_constants,
    settled,
)
from pipeline.readers.schema import TypeClashError, unify_types
from pipeline.readers.streams import Line, TruncatedError, read_lines

_MAX_COLUMNS: Final = 2_000
_NO_TYPE: Final = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)
"""What Arrow says of values that no type holds."""


@dataclass
class _Open:
    """The batch being filled."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.objects) >= BATCH_ROWS or len(self.bad) >= BATCH_BAD


def read_jsonl(piece: Piece, options: ReadOptions) -> Iterator[Batch]:
    """The objects of the lines that start in the piece; a line that is no good document becomes a bad row."""
    file, path = piece.file, piece.file.path
    batch = _Open()
    number = 0
    lines = read_lines(file.url, options.max_bytes, piece.start, piece.stop)
    try:
        for number, line in enumerate(lines, start=1):
            if number == 1 and piece.start == 0:
                _refuse_document(line, file)
            _add(line, number, piece, options, batch)
            if batch.is_full:
                yield _close(batch, piece, options)
                batch = _Open()
    except TruncatedError as error:
        where = f"{path}:{number + 1}"
        batch.bad.append(BadRow(error.position, where, "truncated_file", "", error.detail))
    if batch.objects or batch.bad:
        yield _close(batch, piece, options)


def _refuse_document(line: Line, file: InputFile) -> None:
    """A whole JSON document instead of lines is a mistake in the recipe, not a thousand bad rows."""
    start = line.content.removeprefix(codecs.BOM_UTF8).strip()
    is_array = start.startswith(b"[") and (start == b"[" or start.startswith((b"[{", b"[ {")))
    if not is_array and start != b"{":
        return
    kind = "one JSON array" if is_array else "one JSON object spread over lines"
    message = f"{file.path}: holds {kind}; expected one object a line (convert it: jq -c '.[]' in.json > out.jsonl)"
    raise DataError(message)


def _add(line: Line, number: int, piece: Piece, options: ReadOptions, batch: _Open) -> None:
    content = line.content
    if number == 1 and piece.start == 0:
        content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        return
    if line.size > options.max_bytes:
        detail = f"a line of {too_large(line.size, options)}"
        batch.bad.append(_bad(line, number, piece, "too_large", content, detail))
        return
    try:
        row = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        detail = no_json_constants(content) or str(error)
        batch.bad.append(_bad(line, number, piece, _json_rule(content, error), content, detail))
        return
    problem = _problem(row, options)
    if problem:
        batch.bad.append(_bad(line, number, piece, problem[0], content, problem[1]))
        return
    batch.objects.append(row)
    batch.positions.append(line.position)
    batch.lines.append(number)
    batch.contents.append(content)
    batch.size += line.size


def _json_rule(content: bytes, error: orjson.JSONDecodeError) -> str:
    """Bad bytes, and escapes of half a surrogate pair, are no UTF-8 text; all else is no JSON."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    return "invalid_utf8" if "surrogate" in error.msg else "broken_json"


def _problem(row: object, options: ReadOptions) -> tuple[str, str] | None:
    if not isinstance(row, dict):
        return "not_an_object", f"the line holds a JSON {_json_type(row)}"
    text = row.get(options.text)
    if text is None:
        if options.text in row:
            return "null_text", ""
        return "missing_text", f"no key {options.text!r}; the object has {', '.join(list(row)[:20]) or 'no keys'}"
    if not isinstance(text, str):
        return "not_a_string", f"{options.text!r} is a JSON {_json_type(text)}"
    if options.id:
        given = row.get(options.id)
        if isinstance(given, int) and not isinstance(given, bool):
            row[options.id] = str(given)
        elif given is None or given == "":
            return "null_id", f"the id {options.id!r} is missing, null or empty"
        elif isinstance(given, float):
            return "not_a_string", f"the id {options.id!r} is a number with a fraction, or an integer beyond 64 bits"
        elif not isinstance(given, str):
            return "not_a_string", f"the id {options.id!r} is a JSON {_json_type(given)}"
    return None


def _json_type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _bad(line: Line, number: int, piece: Piece, rule: str, content: bytes, detail: str) -> BadRow:
    return BadRow(line.position, _where(line.position, number, piece), rule, excerpt(content), detail)


def _where(position: int, number: int, piece: Piece) -> str:
    """With the line's number where the piece starts the file, else with the line's byte offset."""
    return origin(piece.file.path, "jsonl", position) if piece.start else f"{piece.file.path}:{number}"


def _close(batch: _Open, piece: Piece, options: ReadOptions) -> Batch:
    if not batch.objects:
        return only_bad(batch.bad)
    numbers = dict(zip(batch.positions, batch.lines, strict=True))
    table = _table(batch, piece, options)
    rows = Rows(table, np.array(batch.positions, np.int64))
    closed = to_batch(rows, piece.file, options, lambda position: _where(position, numbers[position], piece))
    bad = sorted([*closed.bad, *batch.bad], key=lambda row: row.position)
    return replace(closed, bad=tuple(bad))


def _table(batch: _Open, piece: Piece, options: ReadOptions) -> pa.Table:
    names: dict[str, None] = {}
    last: tuple[str, ...] = ()
    for row in batch.objects:
        keys = tuple(row)
        if keys != last:  # mostly they are the same as the line's before
            names.update(dict.fromkeys(keys))
            last = keys
    chosen = [name for name in names if final_name(name, options) is not None]
    if len(chosen) > _MAX_COLUMNS:
        message = (
            f"{_where(batch.positions[0], batch.lines[0], piece)}: {len(chosen)} different keys from here on; at most "
            f"{_MAX_COLUMNS} columns are read; choose columns with `columns.keep`"
        )
        raise DataError(message)
    return pa.table({name: _column(name, batch, piece, options) for name in chosen})


def _column(name: str, batch: _Open, piece: Piece, options: ReadOptions) -> pa.Array:
    values = [row.get(name) for row in batch.objects]
    if name in (options.text, options.id):
        return pa.array(values, pa.large_string())
    try:
        array = column_of(values)
    except _NO_TYPE as error:
        raise _clash(name, values, batch, piece, str(error)) from error
    if _hides_bools(values, array.type):
        raise _clash(name, values, batch, piece, "a boolean among numbers")
    if may_be_rounded(array):
        _refuse_rounded(name, batch, piece)
    if _has_empty_struct(array.type):
        return pa.array([_without_empty(value) for value in values])
    return array


def _refuse_rounded(name: str, batch: _Open, piece: Piece) -> None:
    for index, content in enumerate(batch.contents):
        literal = integer_beyond_64_bits(content, name)
        if literal:
            where = _where(batch.positions[index], batch.lines[index], piece)
            raise DataError(
                f"{where}: column {name!r} holds {literal[:80]}, an integer beyond 64 bits, which would lose digits; "
                "write it in quotes, or leave the column out with `columns.keep`"
            )


def _hides_bools(values: list[Any], kind: pa.DataType) -> bool:
    """Whether booleans lie among the floats of a column: Arrow would turn them into 0.0 and 1.0 without a word."""
    if pa.types.is_floating(kind):
        return any(value is True or value is False for value in values)
    if pa.types.is_list(kind):
        return _hides_bools([item for value in values if value for item in value], kind.value_type)
    if pa.types.is_struct(kind):
        return any(_hides_bools([v.get(part.name) for v in values if v], part.type) for part in kind)
    return False


def _clash(name: str, values: list[Any], batch: _Open, piece: Piece, detail: str) -> DataError:
    """Name the first line whose value does not go with what came before, and the line that it does not go with."""
    known, owner = pa.null(), 0
    advice = "make the lines agree, or leave the column out with `columns.keep`"
    for index, value in enumerate(values):
        place = _where(batch.positions[index], batch.lines[index], piece)
        kind = pa.null()
        try:
            kind = kind_of(value)
            merged = unify_types(known, kind)
        except TypeClashError as clash:
            if kind == pa.null():
                return DataError(f"{place}: column {name!r} mixes types in one value ({clash}); {advice}")
            return DataError(
                f"{piece.file.path}: column {name!r} is {settled(known)} at {_place(owner, batch, piece)} and "
                f"{settled(kind)} at {_place(index, batch, piece)}, where it is {_shown(value)} ({clash}); {advice}"
            )
        except _NO_TYPE as error:
            return DataError(f"{place}: column {name!r} mixes types or is out of range: {error}; {advice}")
        if merged != known:
            known, owner = merged, index
    last = _first_without_type(values)
    where = _where(batch.positions[last], batch.lines[last], piece)
    return DataError(
        f"{where}: column {name!r} is {_shown(values[last])}, and no type holds that and what came before: {detail}; "
        f"{advice}"
    )


def _first_without_type(values: list[Any]) -> int:
    """The first value with which those before it make no column; what no column holds, no longer one holds."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            column_of(values[: middle + 1])
        except _NO_TYPE:
            high = middle
        else:
            low = middle + 1
    return low


def _shown(value: object) -> str:
    return orjson.dumps(value).decode()[:80]


def _place(index: int, batch: _Open, piece: Piece) -> str:
    return f"byte {batch.positions[index]}" if piece.start else f"line {batch.lines[index]}"


def _has_empty_struct(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(part.type) for part in kind)
    return bool(pa.types.is_list(kind)) and _has_empty_struct(kind.value_type)


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_empty(part) for key, part in value.items()} or None
    if isinstance(value, list):
        return [_without_empty(part) for part in value]
    return value
