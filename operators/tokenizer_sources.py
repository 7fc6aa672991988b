"""A byte-level tokenizer that exists already, read from a file at any fsspec URL, and known by its digest.

A worker reads the file itself, as it reads inputs: on a cluster the URL must mean the same file on every machine. What
a step was planned with is what it works with: a file that has changed since is refused.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import get_args

from operators.base import RecipeError
from operators.pretokenizers import Digits, Pretokenizer, cutting
from operators.rank_files import from_ranks, read_ranks
from operators.tokenizer_files import from_tokenizer_json
from operators.vocabulary import Vocabulary


def digest(path: str) -> str:
    """The sha256 of the file, in hex. Raises RecipeError where it cannot be read."""
    return hashlib.sha256(_content(path)).hexdigest()


def read(path: str, patterns: tuple[str, ...] = (), sha256: str = "") -> Vocabulary:
    """The vocabulary in a `tokenizer.json` or a rank file.

    Args:
        path: of the file; the first says what it is: a `tokenizer.json` begins with a brace.
        patterns: what text is cut by with a rank file, which has none; () where only a `tokenizer.json` will do.
        sha256: what the file must be; "" for whatever is there.

    Raises RecipeError where it cannot be read, is another file, or is no byte-level vocabulary.
    """
    return parse(content_of(path, sha256), path, patterns)


def content_of(path: str, sha256: str = "") -> bytes:
    """The file as it is; errors as of `read`."""
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        msg = f"tokenizer {path!r} has sha256 {found}, and had {sha256} when the run began: start the run again"
        raise RecipeError(msg)
    return content


@lru_cache(maxsize=4)
def parse(content: bytes, name: str, patterns: tuple[str, ...] = ()) -> Vocabulary:
    """As `read`, from the file's content; `name` is what errors call it."""
    is_json = is_tokenizer_json(content)
    try:
        vocabulary = from_tokenizer_json(content) if is_json else from_ranks(read_ranks(content), patterns)
    except RecipeError as error:
        msg = f"tokenizer {name!r}: {error}"
        raise type(error)(msg) from error
    if not is_json and not patterns:
        msg = (
            f"tokenizer {name!r} is a rank file, which says nothing of how text is cut: name its pretokenizer beside it"
        )
        raise RecipeError(msg)
    return vocabulary


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
        return _cached(path, fs.ukey(place))
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"tokenizer {path!r} cannot be read ({reason}): expected a tokenizer.json or a rank file"
        raise RecipeError(msg) from error


@lru_cache(maxsize=4)
def _cached(path: str, _state: str) -> bytes:
    """The file's bytes; `_state` changes with it."""
    import fsspec

    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    return content
