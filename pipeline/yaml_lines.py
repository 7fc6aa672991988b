"""YAML 1.2's booleans, no duplicate keys, and the line of every value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from operators.base import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

Place = tuple[str | int, ...]
"""Where a value stands: the keys and indices that lead to it."""

_HINTS: Final = {
    "'\\t'": "a tab stands here; YAML indents with spaces only",
    "mapping values are not allowed": "quote a value that holds ': ', or check the indentation",
    "expected <block end>": "the indentation does not fit the lines before",
    "could not find expected ':'": "a key without ': ' and a value, here or on the line before",
    "expected ',' or": "a bracket is not closed, or a comma is missing",
    "found unexpected end of stream": "a quote or a bracket is not closed",
    "but found another document": "a recipe is one document: remove the line '---'",
    "found undefined alias": "names that begin with '*' are aliases in YAML; put a glob in quotes",
    "while scanning an alias": "values that begin with '*' are aliases in YAML; put a glob in quotes",
}
"""What YAML says -> what a person does about it."""


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
    """The line (1-based) of every place in a YAML document."""

    def __init__(self) -> None:
        self._lines: dict[Place, int] = {(): 1}

    def note(self, place: Place, line: int) -> None:
        """Remember a place's line."""
        self._lines[place] = line

    def has(self, place: Sequence[str | int]) -> bool:
        """Whether the file holds the place."""
        return tuple(place) in self._lines

    def of(self, place: Sequence[str | int]) -> int:
        """The line of a place, or of the nearest one around it."""
        known = tuple(place)
        while known not in self._lines:
            known = known[:-1]
        return self._lines[known]


def load_yaml(text: str, path: str) -> tuple[Any, Lines]:
    """The document and its lines; RecipeError for broken YAML and for a key that stands twice."""
    lines = Lines()
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:  # The reader refuses control characters before there is a line.
        raise RecipeError(f"{path}: this is no YAML: {' '.join(str(error).split())}") from error
    try:
        node = loader.get_single_node()
        if node is None:
            raise RecipeError(f"{path}:1: the file is empty; a recipe needs name, inputs, steps and outputs")
        _walk(node, (), lines, path, [])
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RecipeError(f"{path}:{line}: this is no YAML: {_problem(error)}") from error
    finally:
        loader.dispose()


def parse_value(text: str) -> object:
    """One value as a recipe would hold it; raises yaml.YAMLError.

    >>> parse_value("[no, 0.5, true]")
    ['no', 0.5, True]
    """
    value: object = yaml.load(text, _Loader)  # It constructs no more than SafeLoader does.
    return value


def _problem(error: yaml.MarkedYAMLError) -> str:
    said = f"{error.context or ''}: {error.problem or ''}".strip(": ")
    hints = [hint for part, hint in _HINTS.items() if part in said]
    return f"{error.problem or error.context} ({hints[0]})" if hints else said


def _walk(node: yaml.Node, place: Place, lines: Lines, path: str, around: list[yaml.Node]) -> None:
    """Note the line of every place below a node; `around` holds the nodes that the place lies in."""
    if node in around:
        raise RecipeError(f"{path}:{lines.of(place)}: the alias here stands for what it lies in; write it out")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines.note((*place, index), item.start_mark.line + 1)
            _walk(item, (*place, index), lines, path, [*around, node])
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
            _walk(value, (*place, name), lines, path, [*around, node])
