"""Errors of an operator's functions, with the name of its step: a person wrote the step, and knows no function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from operators.base import RecipeError, RunError


@contextmanager
def naming(step: str, doing: str) -> Iterator[None]:
    """Say in front of an error whose it is; what nobody foresaw becomes a RunError that says what failed."""
    try:
        yield
    except RecipeError as error:
        raise named(step, error) from error
    except (RunError, MemoryError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise RunError(f"step {step!r} {doing}: {type(error).__name__}: {error}") from error


def named(step: str, error: RecipeError) -> RecipeError:
    """The error with the step's name in front, if it does not begin with that already.

    >>> named("a", named("a", RecipeError("no column")))
    RecipeError("step 'a': no column")
    """
    begin = f"step {step!r}"
    return error if str(error).startswith(begin) else type(error)(f"{begin}: {error}")
