"""A file with an n-gram model, or another, at any fsspec URL, known by its digest; a local one is used where it lies.

What a step was planned with is what it works with: a file that has changed since is refused.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from operators.base import RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION: Final = 1
MAGIC: Final = b"vocabmill.ngrams"


def check(path: str) -> None:
    """RecipeError where the file cannot be read, or holds no whole model. No kernel is loaded for it."""
    _check(path, digest(path))


@lru_cache(maxsize=8)
def _check(path: str, sha256: str) -> None:
    parts(content(path, sha256), path)


def parts(content: bytes | NDArray[np.uint8], name: str) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Header and arrays of a file's content. Raises RecipeError where it is no model, or damaged."""
    import numpy as np

    view = np.frombuffer(content, np.uint8)
    begin = len(MAGIC) + 8
    if view[: len(MAGIC)].tobytes() != MAGIC:
        msg = f"model {name!r} is no n-gram model: give a file that train_ngram_model left (model.ngram)"
        raise RecipeError(msg)
    end = begin + int(view[len(MAGIC) : begin].view("<u8")[0]) if view.size >= begin else 0
    try:
        header = json.loads(view[begin:end].tobytes())
    except ValueError:
        header = {}
    if header.get("version", VERSION) != VERSION:
        msg = f"model {name!r} has file version {header['version']!r}, and {VERSION} is known: train it again"
        raise RecipeError(msg)
    body = view[end:]
    if header.get("sha256") != hashlib.sha256(body.data).hexdigest():
        msg = f"model {name!r} is damaged: its digest is not that of its content; train it again"
        raise RecipeError(msg)
    return header, body


def digest(path: str, what: str = "model", expected: str = "a step of the recipe, or a model.ngram") -> str:
    """The sha256 of the file, in hex. Raises RecipeError where it cannot be read."""
    import fsspec

    try:
        fs, place = fsspec.core.url_to_fs(path)
        return _digest(path, fs.ukey(place))
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{what} {path!r} cannot be read ({reason}): expected {expected}"
        raise RecipeError(msg) from error


def content(path: str, sha256: str, what: str = "model") -> bytes | NDArray[np.uint8]:
    """The file's bytes, which are those of the digest, or a map of them."""
    import fsspec
    import numpy as np

    refuse_changed(path, sha256, what)
    if Path(path).is_file() and Path(path).stat().st_size:  # nothing cannot be mapped
        return np.memmap(path, np.uint8, "r")
    with fsspec.open(path, "rb") as file:
        read: bytes = file.read()
    return read


def refuse_changed(path: str, sha256: str, what: str = "model") -> None:
    """RecipeError where the file is another than that of the digest."""
    found = digest(path, what)
    if found != sha256:
        msg = f"{what} {path!r} has sha256 {found}, and had {sha256} when the run began: start the run again"
        raise RecipeError(msg)


@lru_cache(maxsize=8)
def _digest(path: str, _state: str) -> str:
    """Of the file's bytes; `_state` changes with it."""
    import fsspec

    found = hashlib.sha256()
    with fsspec.open(path, "rb") as file:
        while block := file.read(1 << 24):
            found.update(block)
    return found.hexdigest()
