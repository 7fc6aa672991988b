"""`--set steps.<name>.<field>=value`: one value of a recipe changed from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from operators.base import RecipeError
from pipeline.faults import dotted
from pipeline.yaml_lines import parse_value

if TYPE_CHECKING:
    from pipeline.yaml_lines import Place


def apply_setting(content: dict[str, Any], setting: str) -> Place:
    """Change the content of a recipe; returns the place that was set. In a list, entries go by name or kind.

    >>> content = {"steps": [{"kind": "sample", "docs": 5}]}
    >>> apply_setting(content, "steps.sample.docs=9"), content["steps"][0]["docs"]
    (('steps', 0, 'docs'), 9)
    """
    key, equals, text = setting.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise RecipeError(
            f"--set {setting!r}: expected KEY=VALUE, such as steps.NAME.FIELD=value, seed=7 or outputs.path=DIR"
        )
    try:
        value = parse_value(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {setting!r}: the value is no YAML: {' '.join(str(error).split())}") from error
    holder: Any = content
    place: Place = ()
    for part in parts[:-1]:
        step = _find(holder, part, place, setting) if isinstance(holder, list) else part
        place = (*place, step)
        if isinstance(holder, dict) and holder.get(part) is None:
            holder[part] = {}
        holder = holder[step]
        if not isinstance(holder, dict | list):
            raise RecipeError(f"--set {setting!r}: {dotted(place)} is {holder!r:.60}, which has no fields")
    if isinstance(holder, list):
        index = _find(holder, parts[-1], place, setting)
        shown = f"{'.'.join(parts)}.FIELD=value"
        raise RecipeError(f"--set {setting!r}: sets the whole of {dotted((*place, index))}; set its fields: {shown}")
    holder[parts[-1]] = value
    return (*place, parts[-1])


def _find(entries: list[Any], name: str, place: Place, setting: str) -> int:
    names = [str(entry.get("name") or entry.get("kind")) if isinstance(entry, dict) else "" for entry in entries]
    if name not in names:
        there = ", ".join(filter(None, names)) or "none"
        raise RecipeError(f"--set {setting!r}: {dotted(place)} has no {name!r}; there are {there}")
    return names.index(name)
