"""The values of a key in lines of JSON, also of lines that are no good document: for naming what was left out.

The reader of documents refuses a line before it has columns, as one whose text is null or a number, whose id is missing
or which is too large. Here the one key is asked for, whatever the others hold.
"""

from __future__ import annotations

import codecs
import json
from typing import Any, Final

import orjson
import pyarrow as pa

from operators.hashing import as_labels
from operators.mixtures import NULL
from pipeline.readers.streams import TruncatedError, read_lines

LONGEST: Final = 1 << 28
"""Bytes of a line that is looked into."""


def json_labels(url: str, key: str) -> set[str]:
    """The key's values as categories are named; a missing or null one is `null`, and a list or an object is none."""
    found: set[Any] = set()
    try:
        for number, line in enumerate(read_lines(url, LONGEST)):
            row = _object(line.content if number else line.content.removeprefix(codecs.BOM_UTF8))
            if row is not None and not isinstance(value := row.get(key), dict | list):
                found.add((type(value), value))
    except TruncatedError:  # What comes after the damage no one can read.
        pass
    return {_label(value) for _, value in found}


def _object(content: bytes) -> dict[str, Any] | None:
    """The object of a line; one with bad bytes or half a surrogate pair too, with U+FFFD or "?" in their place."""
    try:
        row = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(content.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    return row if isinstance(row, dict) else None


def _label(value: str | float | None) -> str:
    """As a column of such values is named.

    >>> [_label(value) for value in ("de", 7, 0.5, True, None, "")]
    ['de', '7', '0.5', 'true', 'null', 'null']
    """
    if value is None:
        return NULL
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() or NULL
    try:
        column = pa.chunked_array([pa.array([value])])
    except (pa.ArrowInvalid, OverflowError):  # An integer beyond 64 bits.
        return str(value)
    return str(as_labels(column)[0].as_py())
