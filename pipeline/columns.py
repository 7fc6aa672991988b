"""The columns of rows on their way through the steps: what each reads must be there, and what it adds must be new."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from operators.base import Fold, Judge, Operator, RecipeError, Repeat

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


def check_types(step: Operator, columns: Mapping[str, pa.DataType], earlier: Mapping[str, Operator]) -> None:
    """Ask a step that has a say on earlier steps, or on types, which `uses` and `needs` cannot express."""
    with _of_step(step):
        step.check_against(earlier)
        step.refuse(dict(columns))


@contextmanager
def _of_step(step: Operator) -> Iterator[None]:
    """A RecipeError says which step it is about."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(f"step {step.label!r}: {error}") from error


def check_columns(
    step: Operator, parts: Iterable[Operator | Repeat], columns: dict[str, pa.DataType], *, open_schema: bool
) -> None:
    """Refuse a step that reads what is not there or adds what already is; then add its columns."""
    for part in parts:
        if isinstance(part, Repeat) or (isinstance(part, Fold) and part.source()):
            continue
        _check_reads(step, part, columns, open_schema=open_schema)
        if part is not step:
            with _of_step(step):
                part.refuse(dict(columns))
        added = {public_name(step.label, part, name): kind for name, kind in part.adds().items()}
        if isinstance(part, Judge) and part.audit:
            added[f"{step.label}_verdict"] = pa.string()
        for name, kind in added.items():
            if name in columns:
                if name in getattr(type(part), "bare_columns", ()):
                    raise RecipeError(
                        f"step {step.label!r} adds the column {name!r}, which is already there and takes no step's "
                        f"name: a recipe has one such step; rename an input's column of that name "
                        f"(inputs: columns: rename: {{{name}: other_{name}}})"
                    )
                raise RecipeError(
                    f"step {step.label!r} adds the column {name!r}, which is already there; rename the input's column "
                    f"(inputs: columns: rename: {{{name}: other_{name}}}) or give the step another `name`"
                )
            columns[name] = kind


def _check_reads(step: Operator, part: Operator, columns: Mapping[str, pa.DataType], *, open_schema: bool) -> None:
    """Refuse a column that is not there, or that is of another type than it is read as."""
    there = {"_path": pa.string(), "_position": pa.int64(), **columns}
    missing = [name for name in part.needs() if read_name(step.label, name, there) not in there]
    if missing and not open_schema:
        raise RecipeError(
            f"step {step.label!r} reads the column {missing[0]!r}, which neither the inputs nor an earlier step "
            f"have; there are {', '.join(columns)}"
        )
    for name, kind in {**part.needs(), **part.takes()}.items():
        have = there.get(read_name(step.label, name, there), kind)
        if not fits(have, kind):
            raise RecipeError(f"step {step.label!r} reads the column {name!r} as {kind}, but it is {have}")


def public_name(step: str, operator: Operator, name: str) -> str:
    """A column's name among all columns: the step's name goes before it, but for `lang` and `lang_score`.

    A name that begins with "_" is the step's own: its judge and its later stages see it, nobody else does.
    """
    if name in getattr(type(operator), "bare_columns", frozenset()):
        return name
    return f"_{step}{name}" if name.startswith("_") else f"{step}_{name}"


def read_name(step: str, name: str, columns: Collection[str]) -> str:
    """Under which of all names a stage finds a column that it reads: its own step's goes before any other.

    >>> read_name("near", "_signature", ["text", "_near_signature"]), read_name("near", "text", ["text"])
    ('_near_signature', 'text')
    """
    own = f"_{step}{name}"
    return own if name.startswith("_") and own in columns else name


def fits(have: pa.DataType, want: pa.DataType) -> bool:
    """Whether a column of type `have` may be read as `want` (`null` type: anything).

    >>> fits(pa.string(), pa.large_string()), fits(pa.int32(), pa.float64()), fits(pa.string(), pa.int64())
    (True, True, False)
    """
    types = pa.types
    if types.is_null(want) or have == want or types.is_null(have):
        return True
    strings = (types.is_string, types.is_large_string, types.is_string_view)
    if any(test(want) for test in strings):
        return any(test(have) for test in strings)
    if types.is_floating(want):
        return bool(types.is_floating(have) or types.is_integer(have))
    return bool(types.is_integer(want) and types.is_integer(have) and have.bit_width <= want.bit_width)
