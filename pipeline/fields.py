"""The fields of a pydantic model as a person reads them: type, bounds, default, description; from its JSON schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from operators.base import Operator

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]
MANY_KEYS: Final = 4
"""A mapping with more is described in a table of its own."""
_PLAIN: Final = {
    "string": "string",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}
_BOUNDS: Final = {
    "exclusiveMinimum": "> {:,}",
    "minimum": ">= {:,}",
    "exclusiveMaximum": "< {:,}",
    "maximum": "<= {:,}",
    "minItems": "at least {}",
    "minLength": "not empty",
}


@dataclass(frozen=True)
class FieldFacts:
    """One field. `default` is "required" where there is none."""

    name: str
    type: str
    bounds: str
    default: str
    description: str


def facts_of(model: type[BaseModel]) -> list[FieldFacts]:
    """The fields in their order; of an operator without `kind`.

    >>> from operators.sample import Sample
    >>> fact = facts_of(Sample)[1]
    >>> fact.name, fact.type, fact.bounds, fact.default
    ('docs', 'whole number', '> 0', 'null')
    """
    whole = model.model_json_schema()
    definitions = whole.get("$defs", {})
    required = set(whole.get("required", ()))
    return [
        FieldFacts(
            name,
            _type(field, definitions),
            ", ".join(_bounds(field)),
            "required" if name in required else _default(field),
            field.get("description", ""),
        )
        for name, field in whole["properties"].items()
        if name != "kind"
    ]


def _type(field: Schema, definitions: Schema) -> str:
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        *first, last = map(str, field["enum"])
        return f"{', '.join(first)} or {last}" if first else last
    if "anyOf" in field:
        found = [_type(part, definitions) for part in field["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(found))
    if "$ref" in field:
        model = field["$ref"].rpartition("/")[2]
        keys = list(definitions[model].get("properties", {}))
        if model == Operator.__name__:
            return "step"
        return f"mapping of {', '.join(keys)}" if len(keys) <= MANY_KEYS else "mapping"
    if field.get("type") == "array":
        return f"list of {_plural(_type(field.get('items', {}), definitions))}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"mapping of names to {_plural(_type(field['additionalProperties'], definitions))}"
    return _PLAIN.get(field.get("type", ""), "step")


def _plural(noun: str) -> str:
    return f"{noun}s" if noun in ("string", "whole number", "number", "step", "mapping") else noun


def _bounds(field: Schema) -> list[str]:
    inner = [part for part in field.get("anyOf", ()) if part.get("type") != "null"]
    items = [f"each {bound}" for bound in _bounds(field["items"])] if "items" in field else []
    own = [text.format(field[key]) for key, text in _BOUNDS.items() if key in field]
    return own + items + [bound for part in inner for bound in _bounds(part)]


def _default(field: Schema) -> str:
    if "default" not in field:
        return "{}" if field.get("type") == "object" else "[]"
    return json.dumps(field["default"], ensure_ascii=False)
