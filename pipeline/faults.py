"""What is wrong with a recipe, for people: pydantic's errors as file, line, field, value, and what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from pipeline.yaml_lines import Lines, Place

_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "string_too_short": "at least {min_length} character(s)",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "literal_error": "{expected}",
}
"""pydantic's error type -> what goes after "expected"."""

_PATTERNS: Final = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "a letter or digit, then letters, digits, '_', '.' or '-'",
    r"^([A-Za-z][A-Za-z0-9_]*)?$": "a letter, then letters, digits or '_'",
}


@dataclass(frozen=True)
class Source:
    """Where a recipe's values came from: its file, the lines, and the places that `--set` filled."""

    path: str
    content: dict[str, Any]
    lines: Lines
    settings: Mapping[Place, str] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """File and line, or the `--set` that put the value there."""
        for target, setting in self.settings.items():
            inside = place[: len(target)] == target
            created = bool(place) and target[: len(place)] == place and not self.lines.has(place)
            if inside or created:
                return f"--set {setting}"
        return f"{self.path}:{self.lines.of(place)}"


ModelOf = Callable[[object], type[BaseModel] | None]
"""The model of a step, from what the recipe says of it; None where it names no operator."""


def describe(error: ValidationError, source: Source, root: type[BaseModel], model_of_step: ModelOf) -> str:
    """All faults, a line each, in the order of the recipe."""
    found: dict[Place, list[ErrorDetails]] = {}
    for fault in error.errors(include_url=False):
        found.setdefault(_place(fault, source.content), []).append(fault)
    lines = []
    for place, faults in found.items():
        # A list whose item is wrong is also "no string", where either may stand: the item says it.
        deeper = any(len(other) > len(place) and other[: len(place)] == place for other in found)
        if deeper and all(fault["type"].endswith(("_type", "too_short")) for fault in faults):
            continue
        model = _model_at(place[:-1], source.content, root, model_of_step)
        own = _model_at(place, source.content, root, model_of_step)
        text = f"{source.where(place)}: {dotted(place) or 'recipe'}: {_message(place, faults, model, own)}"
        lines.append((source.lines.of(place), text))
    return "\n".join(text for _, text in sorted(lines))


def close_to(name: str, known: list[str]) -> str:
    """The nearest of the known names as a question to append, or nothing.

    >>> close_to("treshold", ["threshold", "bands"])
    "; did you mean 'threshold'?"
    """
    match = get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def _place(fault: ErrorDetails, content: object) -> Place:
    """The keys and indices in the recipe that a fault is about, without what pydantic adds for unions."""
    if "place" in fault.get("ctx", {}):
        return tuple(fault["ctx"]["place"])
    place: list[str | int] = []
    here = content
    for index, part in enumerate(fault["loc"]):
        is_last = index == len(fault["loc"]) - 1
        if isinstance(here, dict) and (part in here or (is_last and fault["type"] == "missing")):
            place.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            place.append(part)
            here = here[part]
    return tuple(place)


def _model_at(place: Place, content: object, root: type[BaseModel], model_of_step: ModelOf) -> type[BaseModel] | None:
    """The model that describes the mapping at a place; None where a plain value or a free mapping stands."""
    model: type[BaseModel] | None = root
    here = content
    for depth, part in enumerate(place):
        try:
            here = here[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            here = None
        if isinstance(part, int):
            model = model_of_step(here) if place[:depth] == ("steps",) else model
            continue
        known = {info.alias or name: info for name, info in model.model_fields.items()} if model else {}
        model = _inner_model(known[part].annotation) if part in known else None
    return model


def _inner_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner_model(part))), None)


def _message(
    place: Place, faults: list[ErrorDetails], model: type[BaseModel] | None, own: type[BaseModel] | None
) -> str:
    fault = faults[0]
    kind, given = fault["type"], fault.get("input")
    name = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        keys = _keys(model)
        return "unknown key" + (close_to(name, keys) or f"; the keys here are {', '.join(keys)}")
    if kind == "missing":
        return f"missing; it is needed{_description(model, name)}"
    if kind == "value_error":
        return str(fault["msg"]).removeprefix("Value error, ")
    if kind not in _EXPECTED:
        return str(fault["msg"])
    expected = " or ".join(dict.fromkeys(_expected(each) for each in faults if each["type"] in _EXPECTED))
    if kind in ("model_type", "model_attributes_type") and own is not None:
        expected += f" with the keys {', '.join(_keys(own))}"
    return f"expected {expected}, not {_shown(given, kind)}{_advice(kind, given, fault, own)}"


def _expected(fault: ErrorDetails) -> str:
    context = dict(fault.get("ctx", {}))
    context["pattern"] = _PATTERNS.get(context.get("pattern", ""), context.get("pattern"))
    text = _EXPECTED[fault["type"]].format(**context)
    if fault["type"] == "string_pattern_mismatch":
        return text.removeprefix("text that matches ") if context["pattern"] in _PATTERNS.values() else text
    return text


def _advice(kind: str, given: object, fault: ErrorDetails, own: type[BaseModel] | None) -> str:
    if kind == "string_type" and isinstance(given, bool | int | float):
        return "; put it in quotes"
    if kind == "literal_error" and isinstance(given, str):
        return close_to(given, re.findall("'([^']*)'", fault["ctx"]["expected"]))
    if kind == "tuple_type" and isinstance(given, str) and own is None:
        return f"; write [{given}]"
    return ""


def _shown(given: object, kind: str = "") -> str:
    if given is None:
        return "nothing (null)"
    if isinstance(given, dict):
        return "a mapping" if given else "an empty mapping"
    if isinstance(given, list | tuple) and given and kind in ("too_short", "too_long"):
        return str(len(given))
    if isinstance(given, list | tuple):
        return "a list" if given else "an empty list"
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _description(model: type[BaseModel] | None, name: str) -> str:
    for key, info in model.model_fields.items() if model else ():
        if (info.alias or key) == name and info.description:
            return f": {info.description}"
    return ""


def dotted(place: Place) -> str:
    """A place as a person writes it.

    >>> dotted(("steps", 0, "keep"))
    'steps[0].keep'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
