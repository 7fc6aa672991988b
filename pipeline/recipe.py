"""What a person writes, validated: YAML with line numbers in every error, and a closed set of keys.

Reading a recipe imports no heavy library: `vocabmill check` answers in a second.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from operators import OPERATORS, AnyOperator
from operators.base import Operator, RecipeError
from pipeline.yaml_lines import Lines, load_yaml

FORMATS = ("parquet", "arrow", "jsonl", "text", "code", "hf", "warc", "wet")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_ONE_OF_OURS: TypeAdapter[Operator] = TypeAdapter(AnyOperator)
_KINDS = {str(operator.model_fields["kind"].default): operator for operator in OPERATORS}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ColumnMap(_Strict):
    """How an input's columns become ours."""

    text: str = Field(default="text", description="the column that holds the document")
    id: str = Field(default="", description="a column with an id that is unique within the input")
    rename: dict[str, str] = Field(default_factory=dict, description="old name -> new name")
    keep: tuple[str, ...] | Literal["all"] = Field(default="all", description="further columns to keep, by new name")


class Input(_Strict):
    """Files that become documents."""

    name: str = Field(pattern=NAME, description="becomes the column `source` unless the input has one")
    path: str | tuple[str, ...] = Field(description="fsspec URLs, directories or globs")
    format: Literal["parquet", "arrow", "jsonl", "text", "code", "hf", "warc", "wet", "auto"] = "auto"
    columns: ColumnMap = ColumnMap()
    labels: dict[str, str | int | float | bool] = Field(default_factory=dict, description="constant columns")
    role: Literal["corpus", "reference"] = "corpus"
    on_bad_row: Literal["quarantine", "fail"] = "quarantine"
    max_document_mb: float = Field(default=50, gt=0, le=1900)
    documents: Literal["file", "line"] = Field(default="file", description="for text: a document per file or per line")

    @property
    def entries(self) -> tuple[str, ...]:
        """The paths, one or several."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @model_validator(mode="after")
    def _has_a_path(self) -> Input:
        if not self.entries or not all(self.entries):
            raise PydanticCustomError("path", "names no file: give a path, a glob or a list of them")
        return self


class Output(_Strict):
    """Where the result goes."""

    path: str = Field(min_length=1)
    shard_mb: float = Field(default=64, gt=0, le=1024, description="text per shard")


def _parse_step(value: object) -> Operator:
    """One step: ours by its kind, or a stranger's by "package.module:Class"."""
    if isinstance(value, Operator):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("step", "a step is a mapping with a `kind`, such as `- kind: exact_dedup`")
    kind = value.get("kind")
    if isinstance(kind, str) and ":" in kind:
        return _import_operator(kind).model_validate({k: v for k, v in value.items() if k != "kind"})
    if not isinstance(kind, str) or kind not in _KINDS:
        raise PydanticCustomError(
            "kind",
            "{kind} is no operator; there are {known}, or write 'package.module:Class' for one of yours",
            {"kind": repr(kind), "known": ", ".join(sorted(_KINDS))},
        )
    return _ONE_OF_OURS.validate_python(value)


def _import_operator(kind: str) -> type[Operator]:
    module, _, name = kind.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PydanticCustomError(
            "kind", "cannot import {kind}: {error}", {"kind": repr(kind), "error": str(error)}
        ) from error
    if not (isinstance(found, type) and issubclass(found, Operator)):
        raise PydanticCustomError("kind", "{kind} is no subclass of operators.base.Operator", {"kind": repr(kind)})
    return found


Step = Annotated[SerializeAsAny[Operator], BeforeValidator(_parse_step)]


class Recipe(_Strict):
    """One YAML file: inputs, a flat list of steps, outputs."""

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=2**63)
    inputs: tuple[Input, ...] = Field(min_length=1)
    exclude_ids: str = Field(default="", description="a file with one document id a line: those are left out")
    steps: tuple[Step, ...] = ()
    outputs: Output

    @model_validator(mode="after")
    def _names_are_unique(self) -> Recipe:
        for what, names in (("input", [i.name for i in self.inputs]), ("step", [s.label for s in self.steps])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise PydanticCustomError(
                    "unique",
                    "two {what}s are called {name}; give one of them another `name`",
                    {"what": what, "name": repr(twice[0])},
                )
        if not any(i.role == "corpus" for i in self.inputs):
            raise PydanticCustomError("inputs", "every input is a reference; at least one must have `role: corpus`")
        if {"ingest", "exclude_ids"} & {s.label for s in self.steps}:
            raise PydanticCustomError(
                "unique", "no step may be called 'ingest' or 'exclude_ids': dropped/ uses those names"
            )
        return self


def load_recipe(path: str, settings: tuple[str, ...] = ()) -> Recipe:
    """Read and validate a recipe file; `settings` are "steps.<name>.<field>=value" (the value is YAML)."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path!r}: {error}") from error
    content, lines = load_yaml(text, path)
    if not isinstance(content, dict):
        raise RecipeError(
            f"{path}:1: a recipe is a mapping with name, inputs, steps and outputs; this is {content!r:.60}"
        )
    for setting in settings:
        _apply(content, setting)
    return validate_recipe(content, path, lines)


def validate_recipe(content: dict[str, Any], path: str, lines: Lines) -> Recipe:
    """Validate what YAML gave; every fault in one RecipeError, each with file, line and field."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        faults = [_describe(fault, path, lines) for fault in error.errors(include_url=False)]
        raise RecipeError("\n".join(dict.fromkeys(faults))) from error


def _describe(fault: Any, path: str, lines: Lines) -> str:
    place = [
        part
        for part in fault["loc"]
        if not (isinstance(part, str) and (part in _KINDS or part.startswith(("function-", "tuple["))))
    ]
    while place and place[-1] in ("str", "int", "float", "bool", "literal['all']"):
        place.pop()
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    line = lines.of(place)
    message = {
        "extra_forbidden": "unknown key",
        "missing": "missing",
    }.get(fault["type"], str(fault["msg"]))
    given = fault.get("input")
    shown = (
        f", not {given!r:.80}"
        if fault["type"] not in ("missing", "extra_forbidden", "kind", "unique") and not isinstance(given, dict | list)
        else ""
    )
    return f"{path}:{line}: {where or 'recipe'}: {message}{shown}"


def _apply(content: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise RecipeError(f"--set takes steps.<name>.<field>=value (or seed=7, outputs.path=...), not {setting!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {setting!r}: the value is no YAML: {error}") from error
    place: Any = content
    for depth, part in enumerate(parts[:-1]):
        if isinstance(place, list):
            named = [
                item for item in place if isinstance(item, dict) and (item.get("name") or item.get("kind")) == part
            ]
            if not named:
                known = [str(item.get("name") or item.get("kind")) for item in place if isinstance(item, dict)]
                raise RecipeError(
                    f"--set {setting!r}: {'.'.join(parts[:depth])} has no {part!r}; there are {', '.join(known)}"
                )
            place = named[0]
        else:
            place = place.setdefault(part, {})
        if not isinstance(place, dict | list):
            raise RecipeError(f"--set {setting!r}: {'.'.join(parts[: depth + 1])} holds {place!r}, which has no fields")
    if isinstance(place, list):
        raise RecipeError(
            f"--set {setting!r}: name the {parts[-2]} entry and its field, such as {parts[-2]}.NAME.FIELD=value"
        )
    place[parts[-1]] = value
