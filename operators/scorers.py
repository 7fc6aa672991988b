"""Functions of others that score texts, by import path: `package.module:function`.

Such a function gets texts, a `pyarrow.LargeStringArray` without nulls and empty texts, and returns as many numbers: a
numpy or Arrow array, or a list. It must be pure per text, as an operator must (docs/writing-operators.md). It is known
by its name, its attribute `revision` if it has one, and the digests of the file of its module and of that in which it
is defined: what those files import, and models that it reads, are not looked at.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.base import RecipeError, source_digest

Scorer = Callable[[pa.LargeStringArray], Any]

_PATH: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_scorer(name: str) -> bool:
    """Whether it can be the import path of a function.

    >>> is_scorer("my_models.small:bits"), is_scorer("s3://bucket/model.ngram"), is_scorer("pool")
    (True, False, False)
    """
    return bool(_PATH.fullmatch(name))


def scorer_at(path: str) -> Scorer:
    """The function. Raises RecipeError where there is none."""
    module, _, name = path.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), name)
    except Exception as error:  # A stranger's module may raise anything while it is imported.
        msg = (
            f"cannot import {path!r}: {type(error).__name__}: {error}; expected 'package.module:function' of an "
            "installed package or of a folder on PYTHONPATH"
        )
        raise RecipeError(msg) from error
    if not callable(found) or inspect.isclass(found):
        msg = f"{path!r} is {type(found).__name__} {found!r}: expected a function of texts, such as {module}:bits"
        raise RecipeError(msg)
    return found


def identity_of(path: str) -> str:
    """What a function is known by."""
    module, _, name = path.partition(":")
    function = scorer_at(path)
    files = (source_digest(defined) for defined in (sys.modules[module], inspect.unwrap(function)))
    return " ".join((name, str(getattr(function, "revision", 1)), *files))


def scores_of(scorer: Scorer, path: str, texts: pa.LargeStringArray, largest: float) -> NDArray[np.float64]:
    """One score a text. Raises RecipeError where they are not as many numbers, each at most `largest` from 0."""
    found = scorer(texts)
    try:
        values = np.asarray(found, np.float64)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{path!r} returned {type(found).__name__}, which are no numbers: {error}") from error
    if values.shape != (len(texts),):
        msg = f"{path!r} returned numbers of shape {values.shape} for {len(texts)} texts: expected one for each"
        raise RecipeError(msg)
    wrong = np.flatnonzero(~(np.abs(values) <= largest))
    if wrong.size:
        text = texts[int(wrong[0])].as_py()
        msg = f"{path!r} returned {values[wrong[0]]} for {text[:80]!r}: expected a number between {-largest:g} and"
        raise RecipeError(f"{msg} {largest:g}")
    return values
