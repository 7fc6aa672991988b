"""Model files that operators need: known by name, found in the cache, verified against a pinned digest.

Nothing is downloaded here: an operator that finds no model says which command fetches it. The cache directory is
`$VOCABMILL_CACHE`, else `~/.cache/vocabmill`; it decides where a model is looked for and never which one is used,
because the digest is pinned.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from operators.base import RecipeError

FETCH_COMMAND: Final = "python -m pipeline.fetch models"


@dataclass(frozen=True)
class Model:
    """A model file as we know it: its size in bytes and its sha256 in hex."""

    num_bytes: int
    sha256: str


KNOWN: Final[Mapping[str, Model]] = {
    "lid.176.ftz": Model(938_013, "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"),
}


def cache_directory() -> Path:
    """`$VOCABMILL_CACHE`, else `~/.cache/vocabmill`; it need not exist."""
    chosen = os.environ.get("VOCABMILL_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "vocabmill"


def model_path(name: str) -> Path:
    """Where a known model belongs, whether or not it is there.

    >>> model_path("lid.176.ftz").parent.name
    'models'
    """
    if name not in KNOWN:
        raise RecipeError(f"unknown model {name!r}: expected one of {', '.join(sorted(KNOWN))}")
    return cache_directory() / "models" / name


def locate(name: str) -> Path:
    """The file of a known model, present and verified (once per process).

    Raises:
        RecipeError: the name is unknown, the file is missing, or its content is not the pinned one.
    """
    path = model_path(name)
    if not path.is_file():
        raise RecipeError(
            f"model file {name!r} not found: looked for {path} "
            f"(the folder is $VOCABMILL_CACHE/models, else ~/.cache/vocabmill/models); fetch it with `{FETCH_COMMAND}`"
        )
    _verify(path, KNOWN[name].sha256)
    return path


def digest(name: str) -> str:
    """The sha256 of a known model whose file is present and verified: what `Operator.models` reports."""
    locate(name)
    return KNOWN[name].sha256


def unreadable(what: str, error: OSError) -> str:
    """Why a file cannot be read, and what to do about it.

    >>> unreadable("model 'a.bin'", FileNotFoundError(2, "No such file or directory"))
    "model 'a.bin' cannot be read: No such file or directory; check the path"
    """
    remedies = {FileNotFoundError: "check the path", NotADirectoryError: "check the path"}
    remedies |= {IsADirectoryError: "give a file", PermissionError: "check its permissions"}
    remedy = remedies.get(type(error), "check the file and its disk")
    return f"{what} cannot be read: {error.strerror}; {remedy}"


@cache
def _verify(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecipeError(unreadable(f"model file {path}", error)) from error
    if found != expected:
        raise RecipeError(
            f"model file {path} has sha256 {found}, expected {expected}: "
            f"it is damaged or another model; delete it and run `{FETCH_COMMAND}`"
        )
