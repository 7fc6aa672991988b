"""Lists of what is not wanted, given by the recipe: entries in it, or files with an entry a line.

A file is UTF-8 text, plain or gzip (`.gz`); white space around an entry does not count, nor do empty lines and lines
that begin with `#`. What decides a result is the lists' content, wherever the files lie. Entries are kept as one Arrow
array, without a Python object for each.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from operators.base import RecipeError, fingerprint

if TYPE_CHECKING:
    import pyarrow as pa


class BlockList(BaseModel):
    """Entries and files of entries. A list alone is its entries, a string alone its file.

    >>> BlockList.model_validate(["a", "b"]).entries, BlockList.model_validate("bad.txt").files
    (('a', 'b'), ('bad.txt',))
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: tuple[str, ...] = Field(default=(), description="what is listed")
    files: tuple[str, ...] = Field(default=(), description="files with an entry a line")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a recipe says
        if isinstance(given, str):
            return {"files": [given]}
        return {"entries": given} if isinstance(given, list | tuple) else given

    def __bool__(self) -> bool:
        """Whether it names anything."""
        return bool(self.entries or self.files)

    def digest(self) -> str:
        """What its content is known by.

        Raises:
            RecipeError: a file cannot be read.
        """
        return fingerprint([list(self.entries), [_digest(path, *_stamp(path)) for path in self.files]])

    def read(self, name: str) -> pa.Array:
        """All entries (`large_string`), stripped; `name` is what the recipe calls the list.

        Raises:
            RecipeError: a file cannot be read or is no UTF-8, or there is no entry.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [pa.array(self.entries, pa.large_string()), *(_lines(path) for path in self.files)]
        found = pc.utf8_trim_whitespace(pa.concat_arrays(parts))
        found = found.filter(pc.greater(pc.binary_length(found), 0))
        if not len(found):
            places = ", ".join(map(repr, self.files)) or "the recipe"
            raise RecipeError(f"{name}: no entry in {places}; list some, or leave {name} out")
        return found


def _lines(path: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        content = Path(path).read_bytes()
        text = (gzip.decompress(content) if path.endswith(".gz") else content).decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"list {path!r} is no UTF-8 at byte {error.start}; convert it") from error
    lines = pc.split_pattern(pa.array([text], pa.large_string()), "\n").values
    return lines.filter(pc.invert(pc.starts_with(lines, "#")))


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_size, found.st_mtime_ns


@cache
def _digest(path: str, size: int, changed: int) -> str:
    """Of a file's content; size and time of change tell its versions apart."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> RecipeError:
    reason = getattr(error, "strerror", None) or str(error)
    return RecipeError(f"list {path!r} cannot be read: {reason}; expected a text file with an entry a line")
