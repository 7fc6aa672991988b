"""From a file's columns to a batch's: choose, rename, normalise, and refuse rows whose text or id is no good.

Every reader ends here, so that all formats refuse the same rows for the same reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from operators.base import DataError
from pipeline.readers.base import BadRow, Batch, InputFile, ReadOptions, excerpt, too_large

if TYPE_CHECKING:
    from numpy.typing import NDArray

Where = Callable[[int], str]
"""The origin of the row at a position."""


class Refuse(Protocol):
    """Note that a row of the batch is bad; the first reason given for a row stays."""

    def __call__(self, index: int, rule: str, content: str | bytes, detail: str = "") -> None:
        """`content` is what to show of the row."""


_HEAD: Final = 1_000


@dataclass(frozen=True)
class Rows:
    """Raw rows of a file: columns under the file's own names, and each row's position."""

    table: pa.Table
    positions: NDArray[np.int64]


def plan_columns(names: list[str], file: InputFile, options: ReadOptions) -> dict[str, str]:
    """The file's column -> its final name, in the file's order, `text` and `id` included.

    Raises:
        DataError: two columns get the same name, or the text or id column is absent.
    """
    for needed in filter(None, (options.text, options.id)):
        if needed not in names:
            message = f"{file.path}: no column {needed!r}; the file has {', '.join(names) or 'no columns'}"
            raise DataError(message)
    chosen: dict[str, str] = {}
    for name in names:
        final = final_name(name, options)
        if final is None:
            continue
        if final in chosen.values():
            other = next(old for old, new in chosen.items() if new == final)
            message = (
                f"{file.path}: columns {other!r} and {name!r} would both be named {final!r}; "
                "rename one with `columns.rename` or leave it out with `columns.keep`"
            )
            raise DataError(message)
        chosen[name] = final
    return chosen


def final_name(name: str, options: ReadOptions) -> str | None:
    """A column's final name, None if it is left out.

    >>> options = ReadOptions(text="content", id="url", rename={"lang": "label"}, keep=("label",))
    >>> [final_name(name, options) for name in ("content", "url", "lang", "score")]
    ['text', 'id', 'label', None]
    """
    if name == options.text:
        return "text"
    if name == options.id:
        return "id"
    final = options.rename.get(name, name)
    return final if options.keep is None or final in options.keep else None


def to_batch(rows: Rows, file: InputFile, options: ReadOptions, where: Where) -> Batch:
    """The good rows under their final names, the rest as bad rows."""
    chosen = plan_columns(rows.table.column_names, file, options)
    refused: dict[int, BadRow] = {}
    table = rows.table.select(list(chosen)).rename_columns(list(chosen.values())).combine_chunks()
    raw = {name: _one(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    columns = {name: column if name == "text" else _plain(column) for name, column in raw.items()}

    def refuse(index: int, rule: str, content: str | bytes, detail: str = "") -> None:
        position = int(rows.positions[index])
        refused.setdefault(index, BadRow(position, where(position), rule, excerpt(content), detail))

    text = _as_binary(columns["text"], file, options)
    if options.id:
        columns["id"] = _ids(columns["id"], file, options)
    _refuse_text(text, options, refuse)
    for name in columns:
        if name != "text":
            _refuse_invalid(name, columns[name], text, refuse)
    if options.id:
        _refuse_ids(columns["id"], text, refuse)
    return _batch(columns | {"text": text}, rows.positions, refused)


def _batch(columns: dict[str, pa.Array], positions: NDArray[np.int64], refused: dict[int, BadRow]) -> Batch:
    lost = None
    if refused:
        good = np.ones(len(positions), np.bool_)
        good[list(refused)] = False
        mask = pa.array(good)
        lost = pa.table({name: column.filter(pa.array(~good)) for name, column in columns.items() if name != "text"})
        columns = {name: column.filter(mask) for name, column in columns.items()}
        positions = positions[good]
    columns["text"] = columns["text"].view(pa.large_string())  # validated above
    return Batch(pa.table(columns), positions, tuple(refused[index] for index in sorted(refused)), lost)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without dictionaries, views, large offsets and extensions, inside nested types too.

    >>> plain_type(pa.dictionary(pa.int8(), pa.large_string()))
    DataType(string)
    """
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind]) if kind.num_fields else pa.null()
    if types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if any(check(kind) for check in (types.is_list, types.is_large_list, types.is_list_view, types.is_large_list_view)):
        return pa.list_(plain_type(kind.value_type))
    return kind


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _plain(array: pa.Array) -> pa.Array:
    wanted = plain_type(array.type)
    if array.type.equals(wanted):
        return array
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if types.is_null(wanted):
        return pa.nulls(len(array))
    if types.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    if types.is_list_view(array.type) or types.is_large_list_view(array.type):
        return pa.array(array.to_pylist(), wanted)
    return array.cast(wanted)


def _as_binary(text: pa.Array, file: InputFile, options: ReadOptions) -> pa.Array:
    if plain_type(text.type) not in (pa.string(), pa.binary(), pa.null()):
        message = f"{file.path}: the text column {options.text!r} is {text.type}; expected strings"
        raise DataError(message)
    if isinstance(text, pa.ExtensionArray):
        text = text.storage
    if types.is_dictionary(text.type):
        text = text.dictionary_decode()
    return text.cast(pa.large_binary()) if not types.is_null(text.type) else pa.nulls(len(text), pa.large_binary())


def _refuse_text(text: pa.Array, options: ReadOptions, refuse: Refuse) -> None:
    """Null, too large, not UTF-8, or without a character that is no white space (as Unicode has it).

    A row's first reason stays, so those already refused may count as blank below.
    """
    for index in _where(text.is_null()):
        refuse(index, "null_text", "")
    sizes = pc.fill_null(pc.binary_length(text), 0)
    for index in _where(pc.greater(sizes, options.max_bytes)):
        detail = too_large(sizes[index].as_py(), options)
        refuse(index, "too_large", text[index].as_buffer().slice(0, _HEAD).to_pybytes(), detail)
    strings = text.view(pa.large_string())
    invalid = _invalid_rows(strings)
    for index in invalid:
        refuse(index, "invalid_utf8", text[index].as_py(), _utf8_error(text[index].as_py()))
    if invalid:
        mask = np.zeros(len(text), np.bool_)
        mask[invalid] = True
        strings = pc.if_else(pa.array(mask), pa.scalar("", pa.large_string()), strings)
    if strings.null_count:  # what lies under a null may be anything
        strings = pc.fill_null(strings, "")
    is_blank = pc.or_(pc.equal(pc.binary_length(strings), 0), pc.utf8_is_space(strings))
    for index in _where(is_blank):
        refuse(index, "empty_text", text[index].as_py() or b"")


def _refuse_invalid(name: str, column: pa.Array, text: pa.Array, refuse: Refuse) -> None:
    for index in _invalid_rows(column):
        content = text[index].as_py() or b""
        refuse(index, "invalid_utf8", content, f"column {name!r} is not valid UTF-8")


def _invalid_rows(column: pa.Array) -> list[int]:
    """The rows whose strings, nested ones included, are not UTF-8. One pass over good columns."""
    if _is_valid(column):
        return []
    return [index for index in range(len(column)) if not _is_valid(column.take(pa.array([index])))]


def _is_valid(column: pa.Array) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _utf8_error(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start}: {error.reason}"
    return ""


def _ids(ids: pa.Array, file: InputFile, options: ReadOptions) -> pa.Array:
    kind = ids.type
    if types.is_binary(kind):
        return ids.view(pa.string())
    if types.is_string(kind) or types.is_integer(kind) or types.is_null(kind):
        return ids.cast(pa.string())
    raise DataError(f"{file.path}: {wrong_id(options.id, kind)}")


def wrong_id(name: str, kind: pa.DataType) -> str:
    """What is wrong with an id column of that type, and what to do.

    >>> wrong_id("url", pa.bool_())
    "the id column 'url' is bool; expected strings or integers: name another with `columns: {id: NAME}`"
    """
    advice = "name another with `columns: {id: NAME}`"
    if name == "id":
        advice = "make it a plain column with `columns: {rename: {id: other_id}}`; if another has ids, add `id: NAME`"
    if types.is_floating(kind):
        advice += " (integers become floats where some are null, or beyond 64 bits)"
    return f"the id column {name!r} is {kind}; expected strings or integers: {advice}"


def _refuse_ids(ids: pa.Array, text: pa.Array, refuse: Refuse) -> None:
    is_absent = pc.fill_null(pc.equal(pc.binary_length(ids), 0), True)
    for index in _where(is_absent):
        refuse(index, "null_id", text[index].as_py() or b"", "the id is null or empty")


def _where(mask: pa.Array) -> list[int]:
    return [int(index) for index in np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))]
