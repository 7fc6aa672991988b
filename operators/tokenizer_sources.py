"""A byte-level tokenizer that exists already, read from a file at any fsspec URL, and known by its digest.

A worker reads the file itself, as it reads inputs: on a cluster the URL must mean the same file on every machine. What
a step was planned with is what it works with: a file that has changed since is refused.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final, get_args

from operators.base import DataError, RecipeError
from operators.merge_lists import from_merges_table, from_merges_txt
from operators.pretokenizers import Digits, Pretokenizer, cutting
from operators.rank_files import from_ranks, read_ranks
from operators.tokenizer_files import from_tokenizer_json
from operators.tokenizer_formats import EXPECTED, Format, format_of
from operators.vocabulary import Vocabulary

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def digest(path: str) -> str:
    """The sha256 of the file, in hex. Raises RecipeError where it cannot be read."""
    return hashlib.sha256(_content(path)).hexdigest()


def read(path: str, patterns: tuple[str, ...] = (), sha256: str = "") -> Vocabulary:
    """The vocabulary in a `tokenizer.json`, a rank file or a list of merges (`operators/tokenizer_formats.py`).

    Args:
        path: of the file, or of a directory that holds a tokenizer.json, as our artifacts do.
        patterns: what text is cut by where the file does not say; () where only a `tokenizer.json` will do.
        sha256: what the file must be; "" for whatever is there.

    Raises RecipeError where it cannot be read, is another file, or is no byte-level vocabulary.
    """
    return parse(content_of(path, sha256), path, patterns)


def content_of(path: str, sha256: str = "") -> bytes:
    """The file's bytes behind a byte order mark, which some editors put there; errors as of `read`."""
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        msg = f"tokenizer {path!r} has sha256 {found}, and had {sha256} when the run began: start the run again"
        raise RecipeError(msg)
    return content.removeprefix(codecs.BOM_UTF8)


@lru_cache(maxsize=4)
def parse(content: bytes, name: str, patterns: tuple[str, ...] = ()) -> Vocabulary:
    """As `read`, from the file's content; `name` is what errors call it."""
    with naming(name):
        found = format_of(content)
        vocabulary = _READERS[found](content, patterns)
        if not patterns and found in _CUT_BY_OTHERS:
            kind = _CUT_BY_OTHERS[found]
            raise RecipeError(f"it is {kind}, which says nothing of how text is cut: name its pretokenizer beside it")
        return vocabulary


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Errors of what is done within say which tokenizer it is about."""
    try:
        yield
    except RecipeError as error:
        msg = f"tokenizer {name!r}: {error}"
        raise type(error)(msg) from error


def _read_parquet(content: bytes, patterns: tuple[str, ...]) -> Vocabulary:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"it cannot be read as Parquet ({error}); {EXPECTED}"
        raise DataError(msg) from error
    return from_merges_table(table, patterns)


def _refuse_characters(_content: bytes, _patterns: tuple[str, ...]) -> Vocabulary:
    msg = "it is a SentencePiece model, whose tokens are of characters: expected a byte-level tokenizer.json or ranks"
    raise DataError(msg)


_READERS: Final[Mapping[Format, Callable[[bytes, tuple[str, ...]], Vocabulary]]] = {
    "tokenizer.json": lambda content, _: from_tokenizer_json(content),
    "ranks": lambda content, patterns: from_ranks(read_ranks(content), patterns),
    "merges.txt": from_merges_txt,
    "merges.parquet": _read_parquet,
    "sentencepiece": _refuse_characters,
}
_CUT_BY_OTHERS: Final[Mapping[Format, str]] = {
    "ranks": "a rank file", "merges.txt": "a merges.txt", "merges.parquet": "a table of merges",
}  # fmt: skip


def is_tokenizer_json(content: bytes) -> bool:
    """Whether a file is a `tokenizer.json`, and no table of ranks."""
    return content.lstrip()[:1] == b"{"


def known_cutting(patterns: tuple[str, ...]) -> Mapping[str, str]:
    """The parameters `pretokenizer`, `digits` and `pattern` that cut text by these patterns; empty if none do.

    >>> dict(known_cutting(("[a-z]+",)))
    {'pretokenizer': 'custom', 'pattern': '[a-z]+'}
    >>> dict(known_cutting(cutting("qwen2", "single").patterns))
    {'pretokenizer': 'qwen2'}
    """
    for digits in get_args(Digits):
        for name in get_args(Pretokenizer):
            if cutting(name, digits).patterns == patterns:
                return {"pretokenizer": name} | ({} if digits == "pattern" else {"digits": digits})
    return {"pretokenizer": "custom", "pattern": patterns[0]} if len(patterns) == 1 else {}


def _content(path: str) -> bytes:
    import fsspec

    try:
        fs, place = fsspec.core.url_to_fs(path)
        if fs.isdir(place):
            path, place = (f"{one.rstrip('/')}/tokenizer.json" for one in (path, place))
            if not fs.exists(place):
                hint = _instead(fs, place.removesuffix("/tokenizer.json"))
                raise IsADirectoryError(0, f"it is a directory without a tokenizer.json{hint}")
        return _cached(path, fs.ukey(place))
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"tokenizer {path!r} cannot be read ({reason}); {EXPECTED}") from error


def _instead(fs: AbstractFileSystem, directory: str) -> str:
    """What in a directory was probably meant."""
    if fs.exists(f"{directory}/merges.parquet"):
        return ": name the file merges.parquet in it, and a pretokenizer"
    found = sorted(fs.glob(f"{directory}/artifacts/*/tokenizer.json"))
    return f": as of a run, name artifacts/{found[0].split('/')[-2]} in it" if found else ""


@lru_cache(maxsize=4)
def _cached(path: str, _state: str) -> bytes:
    """The file's bytes; `_state` changes with it."""
    import fsspec

    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    return content
