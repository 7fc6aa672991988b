"""What an input's files say about themselves before any document is read: how many, how large, which columns.

Parquet, Arrow and saved datasets carry their schema. JSON lines do not: the first 64 kB of a few files, or the first
object where it is longer, tell which keys to expect, so their schema stays open. Of many files a few are looked at,
evenly spread over the sorted paths; what they did not tell is found when the run reads the rest.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from operators.base import DataError, RecipeError
from pipeline.readers.base import InputFile, ReadOptions
from pipeline.readers.columns import final_name, plain_type, plan_columns, wrong_id
from pipeline.readers.formats import infer_format
from pipeline.readers.schema import TypeClashError, unify, unify_types
from pipeline.readers.storage import is_local
from pipeline.wording import count_of, size_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pipeline.readers.streams import Line
    from pipeline.recipe import Input

LOOK_AT: Final = 32
"""Files of a format whose schema is read."""
HEAD_BYTES: Final = 64_000
SEARCHED_BYTES: Final = 1 << 28
"""Of a file of JSON lines whose head holds no object; beyond, the run says what is there."""
_PATH: Final = {"path": pa.string()}
_FIXED: Final = {
    "text": _PATH,
    "code": {**_PATH, "language": pa.string()},
    "warc": {"url": pa.string(), "warc_date": pa.string(), "record_id": pa.string()},
    "wet": {"url": pa.string(), "warc_date": pa.string(), "record_id": pa.string()},
}
"""Columns that a reader makes besides the text."""
_JSON_TYPES: Final = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
Columns = dict[str, pa.DataType]


@dataclass(frozen=True)
class Header:
    """An input before it is read. `columns` have their final names; `is_open`: there may be more of them.

    `has_ids`: every file looked at has a column called `id`, JSON lines in every object looked at, and the recipe names
    no other.
    """

    name: str
    files: int
    bytes: int
    formats: tuple[str, ...]
    columns: Columns
    is_open: bool
    notes: tuple[str, ...] = ()
    has_ids: bool = False
    listing: tuple[InputFile, ...] = field(default=(), repr=False)

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.name}: {count_of(self.files, 'file')}, {size_text(self.bytes)}, {' and '.join(self.formats)}"


def read_header(entry: Input) -> Header:
    """List an input's files and learn their columns.

    Raises:
        RecipeError: nothing is found or can be read, or the files do not have what the recipe says.
    """
    from pipeline.ingest import Spec

    files = _listed(entry)
    options = Spec.of(entry, shard_mb=1, num_corpora=1).options
    by_format: dict[str, list[InputFile]] = {}
    for file in files:
        by_format.setdefault(infer_format(file) if entry.format == "auto" else entry.format, []).append(file)
    if options.documents == "line" and "text" not in by_format:
        raise RecipeError(f"`documents: line` is for text files; these are {' and '.join(sorted(by_format))}")
    found = [_Found(kind, options, some) for kind, some in sorted(by_format.items())]
    named = [pair for each in found for pair in each.schemas]
    columns = {column.name: column.type for column in unify(named)}
    may_have_more = any(each.may_have_more for each in found)
    if may_have_more and options.keep is not None:
        columns.update({name: pa.null() for name in options.keep if name not in columns})
    notes = [note for each in found for note in each.notes]
    notes += _unused(entry, options, {name for each in found for name in each.names}, may_have_more=may_have_more)
    _refuse_labels(entry, columns)
    columns.update({name: _JSON_TYPES[type(value)] for name, value in entry.labels.items()})
    is_open = may_have_more and options.keep is None
    size = sum(file.size for file in files)
    is_free = not options.id and "id" not in options.rename
    has_ids = is_free and any("id" in each.names for each in found) and all(each.has_ids for each in found)
    if has_ids:
        notes.append("the column 'id' holds the documents' ids")
    return Header(
        entry.name,
        len(files),
        size,
        tuple(sorted(by_format)),
        columns,
        is_open,
        tuple(notes),
        has_ids,
        tuple(files),
    )


def _listed(entry: Input) -> list[InputFile]:
    from pipeline.readers.files import list_files

    try:
        return list_files(entry.entries, None if entry.format == "auto" else entry.format)
    except RecipeError as error:
        unexpanded = [path for path in entry.entries if "$" in path]
        if unexpanded:
            raise DataError(f"{error}; environment variables such as in {unexpanded[0]!r} are not expanded") from error
        if "no such file" in str(error) and any(is_local(path) and not path.startswith("/") for path in entry.entries):
            raise DataError(f"{error}; a relative path begins where vocabmill was started") from error
        raise
    except Exception as error:  # A remote file system's package raises errors of its own.
        raise DataError(f"{', '.join(entry.entries)}: cannot be listed: {type(error).__name__}: {error}") from error


class _Found:
    """What the files of one format told."""

    def __init__(self, kind: str, options: ReadOptions, files: list[InputFile]) -> None:
        self.kind = kind
        self.options = options
        self.names: set[str] = set()
        self.has_ids = True
        self.schemas: list[tuple[str, pa.Schema]] = []
        self.notes: list[str] = []
        looked = spread(files, 1 if kind in _FIXED else LOOK_AT)
        self.may_have_more = kind == "jsonl" or (kind not in _FIXED and len(looked) < len(files))
        damaged: list[str] = []
        for file in looked:
            try:
                self._note(file, _file_schema(file, kind, options))
            except _DamagedError as error:
                damaged.append(f"{file.path} ({error})")
        if damaged and not self.schemas:
            raise DataError(f"no file can be read as {kind}: {'; '.join(damaged[:3])}; check `format`")
        self.notes += [f"{path} is damaged: what cannot be read becomes a bad row" for path in damaged]
        if kind == "jsonl" and self.names:
            _require(looked[0], self.names, options, "no object looked at has")

    def _note(self, file: InputFile, schema: pa.Schema) -> None:
        columns = {column.name: column.type for column in schema}
        self.names.update(columns)
        if columns or self.kind != "jsonl":  # Lines of which none is an object tell nothing.
            self.has_ids &= "id" in columns and (self.kind != "jsonl" or not schema.field("id").nullable)
        names = list(columns)
        if self.kind == "jsonl":
            final = {name: chosen for name in names if (chosen := final_name(name, self.options)) is not None}
        else:
            _require(file, names, self.options, "the file has no column")
            final = plan_columns(names, file, self.options)
        for name, new in final.items():
            _refuse_type(file, name, new, columns[name])
        fields = [(new, plain_type(columns[name])) for name, new in final.items()]
        self.schemas.append((file.path, pa.schema(fields)))


class _DamagedError(Exception):
    """The file's structure is damaged."""


def _require(file: InputFile, names: Collection[str], options: ReadOptions, problem: str) -> None:
    """Refuse files that lack the text or the id column."""
    for option, needed in (("text", options.text), ("id", options.id)):
        if needed and needed not in names:
            advice = f"name the right one with `columns: {{{option}: NAME}}`"
            raise DataError(f"{file.path}: {problem} {needed!r}, only {', '.join(sorted(names)[:30])}; {advice}")


def spread(files: Sequence[InputFile], count: int) -> list[InputFile]:
    """At most `count` files, the first and the last among them, evenly apart."""
    if len(files) <= count:
        return list(files)
    step = (len(files) - 1) / max(count - 1, 1)
    return [files[round(index * step)] for index in range(count)]


def _file_schema(file: InputFile, kind: str, options: ReadOptions) -> pa.Schema:
    """A file's columns under its own names."""
    if kind in _FIXED:
        return pa.schema({options.text: pa.string(), **_FIXED[kind]})
    return _jsonl_head(file, options.max_bytes) if kind == "jsonl" else _stored_schema(file, kind)


def _stored_schema(file: InputFile, kind: str) -> pa.Schema:
    from pipeline.readers.arrow import data_files
    from pipeline.readers.parquet import is_damage
    from pipeline.readers.storage import open_file

    url = data_files(file)[0] if file.url.endswith("/") else file.url
    with open_file(url) as stream:
        source = pa.PythonFile(stream, "r")
        try:
            if kind == "parquet":
                import pyarrow.parquet as pq

                return pq.ParquetFile(source).schema_arrow
            is_file = source.read(6) == b"ARROW1"
            source.seek(0)
            return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source).schema
        except Exception as error:
            if not is_damage(error):
                raise
            raise _DamagedError(str(error)) from error


def _jsonl_head(file: InputFile, max_bytes: int) -> pa.Schema:
    """The keys of the first objects; a type is null where it is null so far, not always the same, or of no one type.

    `id` is not nullable where every object has one.
    """
    columns: Columns = {}
    without_id = False
    for row in _head_objects(file, max_bytes):
        without_id |= row.get("id") is None
        for name, value in row.items():
            try:
                columns[name] = unify_types(columns.get(name, pa.null()), _json_type(value))
            except TypeClashError:
                columns[name] = pa.null()
    return pa.schema([pa.field(name, kind, nullable=name != "id" or without_id) for name, kind in columns.items()])


def _json_type(value: object) -> pa.DataType:
    """Nested types too: a step that cannot read them is refused before the files are read."""
    if not isinstance(value, dict | list):
        return _JSON_TYPES.get(type(value), pa.null())
    try:
        return plain_type(pa.infer_type([value]))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # If it is wrong, the run says where.
        return pa.null()


def _head_objects(file: InputFile, max_bytes: int) -> Iterator[dict[str, Any]]:
    """The objects that end in the file's first `HEAD_BYTES`; the first one however long it is, or far behind.

    A line of more than `max_bytes`, or that holds no object, becomes a bad row: the run says where it is.
    """
    import orjson

    from pipeline.readers.jsonl import _refuse_document

    found = False
    for number, line in enumerate(_head_lines(file, max_bytes)):
        if line.position + line.size >= (HEAD_BYTES if found else SEARCHED_BYTES):
            return
        if number == 0:
            _refuse_document(line, file)
        if line.size > max_bytes:
            continue
        try:
            row = orjson.loads(line.content.removeprefix(codecs.BOM_UTF8) if number == 0 else line.content)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            found = True
            yield row


def _head_lines(file: InputFile, max_bytes: int) -> Iterator[Line]:
    """The lines that are not empty, up to where a damaged file breaks off."""
    from pipeline.readers.streams import TruncatedError, read_lines

    found = False
    try:
        for line in read_lines(file.url, max_bytes):
            found = True
            if line.content.strip():
                yield line
    except TruncatedError as error:
        if not found:
            raise _DamagedError(error.detail) from error


def _refuse_type(file: InputFile, name: str, new: str, kind: pa.DataType) -> None:
    kind = plain_type(kind)
    is_text = kind in (pa.string(), pa.binary(), pa.null())
    if new == "text" and not is_text:
        raise DataError(
            f"{file.path}: the text column {name!r} is {kind}; expected strings; choose another with `columns.text`"
        )
    if new == "id" and not (is_text or pa.types.is_integer(kind)):
        raise DataError(f"{file.path}: {wrong_id(name, kind)}")


def _refuse_labels(entry: Input, columns: Columns) -> None:
    for label in entry.labels:
        if label in ("id", "text", "source"):
            raise RecipeError(f"labels: no label may be called {label!r}; `source` comes from the input's name")
        if label in columns:
            raise RecipeError(
                f"labels: {label!r} is already a column of the files; give the label another name, or the column with "
                f"`columns: {{rename: {{{label}: file_{label}}}}}`"
            )
    for name in (*columns, *entry.labels):
        if name in ("_path", "_position", "_row", "_shard"):
            raise RecipeError(f"the column {name!r} has a name that the engine uses; rename it with `columns.rename`")


def _unused(entry: Input, options: ReadOptions, names: set[str], *, may_have_more: bool) -> list[str]:
    """Notes on what has no effect; an error where it is certain to be a mistake."""
    finals = {final_name(name, options) for name in names}
    missing = [f"columns.rename: no file has a column {old!r}" for old in options.rename if old not in names]
    missing += [f"columns.keep: no file has a column {name!r}" for name in options.keep or () if name not in finals]
    if missing and not may_have_more:
        raise RecipeError(f"{missing[0]}; the files have {', '.join(sorted(names))}")
    return [f"{problem}, so far as looked at" for problem in missing]
