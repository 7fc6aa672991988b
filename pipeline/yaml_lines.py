"""YAML 1.2's booleans, no duplicate keys, and the line of every value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from operators.base import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Loader(yaml.SafeLoader):
    """A safe loader that reads `no` as the language Norwegian, not as false."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class Lines:
    """The line (1-based) of every place in a YAML document, by its path of keys and indices."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str | int, ...], int] = {(): 1}

    def note(self, place: tuple[str | int, ...], line: int) -> None:
        """Remember a place's line."""
        self._lines[place] = line

    def of(self, place: Sequence[str | int]) -> int:
        """The line of a place, or of the nearest one around it."""
        known = tuple(place)
        while known not in self._lines:
            known = known[:-1]
        return self._lines[known]


def load_yaml(text: str, path: str) -> tuple[Any, Lines]:
    """The document and its lines; RecipeError for broken YAML and for a key that stands twice."""
    lines = Lines()
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise RecipeError(f"{path}:1: the file is empty; a recipe needs name, inputs, steps and outputs")
        _walk(node, (), lines, path)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RecipeError(f"{path}:{line}: this is no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}:1: this is no YAML: {error}") from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, place: tuple[str | int, ...], lines: Lines, path: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines.note((*place, index), item.start_mark.line + 1)
            _walk(item, (*place, index), lines, path)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in seen:
                raise RecipeError(
                    f"{path}:{line}: the key {name!r} stands here and on line {seen[name]}; remove one of them"
                )
            seen[name] = line
            lines.note((*place, name), line)
            _walk(value, (*place, name), lines, path)
