"""A file with an n-gram model, at any fsspec URL, known by its digest; a local one is used where it lies.

What a step was planned with is what it works with: a file that has changed since is refused.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from operators.base import RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def digest(path: str) -> str:
    """The sha256 of the file, in hex. Raises RecipeError where it cannot be read."""
    import fsspec

    try:
        fs, place = fsspec.core.url_to_fs(path)
        return _digest(path, fs.ukey(place))
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"model {path!r} cannot be read ({reason}): expected a step of the recipe, or a model.ngram"
        raise RecipeError(msg) from error


def content(path: str, sha256: str) -> bytes | NDArray[np.uint8]:
    """The file's bytes, which are those of the digest, or a map of them."""
    import fsspec
    import numpy as np

    found = digest(path)
    if found != sha256:
        msg = f"model {path!r} has sha256 {found}, and had {sha256} when the run began: start the run again"
        raise RecipeError(msg)
    if Path(path).is_file():
        return np.memmap(path, np.uint8, "r")
    with fsspec.open(path, "rb") as file:
        read: bytes = file.read()
    return read


@lru_cache(maxsize=8)
def _digest(path: str, _state: str) -> str:
    """Of the file's bytes; `_state` changes with it."""
    import fsspec

    found = hashlib.sha256()
    with fsspec.open(path, "rb") as file:
        while block := file.read(1 << 24):
            found.update(block)
    return found.hexdigest()
