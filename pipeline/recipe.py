"""What a person writes, validated: YAML with line numbers in every error, and a closed set of keys.

Reading a recipe imports no heavy library: `vocabmill check` answers in a second.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

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
from pipeline.faults import Source, close_to, describe
from pipeline.settings import apply_setting
from pipeline.yaml_lines import load_yaml

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_ONE_OF_OURS: TypeAdapter[Operator] = TypeAdapter(AnyOperator)
KINDS: Final = {str(operator.model_fields["kind"].default): operator for operator in OPERATORS}
RESERVED: Final = frozenset({"ingest", "exclude_ids"})
"""Names of what the engine itself drops rows by."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ColumnMap(_Strict):
    """How an input's columns become ours."""

    text: str = Field(default="text", description="the column that holds the document")
    id: str = Field(
        default="",
        description="a column with an id that is unique within the input; `id` is used by itself",
    )
    rename: dict[str, str] = Field(default_factory=dict, description="old name -> new name")
    keep: tuple[str, ...] | Literal["all"] = Field(default="all", description="further columns to keep, by new name")


class Input(_Strict):
    """Files that become documents."""

    name: str = Field(pattern=NAME, description="becomes the column `source` unless the input has one")
    path: str | tuple[str, ...] = Field(description="fsspec URLs, directories or globs")
    format: Literal["parquet", "arrow", "jsonl", "text", "code", "hf", "warc", "wet", "auto"] = Field(
        default="auto", description="what the files hold; `auto` tells it from their names"
    )
    columns: ColumnMap = Field(default=ColumnMap(), description="how the files' columns become documents")
    labels: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="constant columns: name -> value"
    )
    role: Literal["corpus", "reference"] = Field(
        default="corpus", description="a reference is read by the steps that name it and never flows through"
    )
    on_bad_row: Literal["quarantine", "fail"] = Field(
        default="quarantine", description="what cannot become a document goes to dropped/, or fails the run"
    )
    max_document_mb: float = Field(default=50, gt=0, le=1900, description="a longer document is a bad row")
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

    path: str = Field(min_length=1, description="a directory, on this machine or as an fsspec URL")
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
    if not isinstance(kind, str) or kind not in KINDS:
        problem = "a step needs a `kind`; `vocabmill operators` lists them all" if kind is None else unknown_kind(kind)
        raise PydanticCustomError("kind", "{problem}", {"problem": problem})
    return _ONE_OF_OURS.validate_python(value)


def unknown_kind(kind: object) -> str:
    """What to say where no operator has this kind."""
    own = "one of your own is written 'package.module:Class'"
    match = close_to(str(kind), sorted(KINDS))
    known = "`vocabmill operators` lists them all" if match else f"the operators are {', '.join(sorted(KINDS))}"
    return f"no operator is called {kind!r}{match or ';'} {known}; {own}"


def _import_operator(kind: str) -> type[Operator]:
    module, _, name = kind.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # A stranger's module may raise anything while it is imported.
        problem = (
            f"cannot import {kind!r}: {type(error).__name__}: {error}; expected 'package.module:Class' of an installed "
            "package or of a folder on PYTHONPATH"
        )
        raise PydanticCustomError("kind", "{problem}", {"problem": problem}) from error
    if not (isinstance(found, type) and issubclass(found, Operator)):
        problem = f"{kind!r} is no operator: expected a class derived from operators.base.Map, Judge, Fold or Composite"
        raise PydanticCustomError("kind", "{problem}", {"problem": problem})
    return found


def _model_of_step(content: object) -> type[Operator] | None:
    kind = content.get("kind") if isinstance(content, dict) else None
    if isinstance(kind, str) and ":" in kind:
        try:
            return _import_operator(kind)
        except PydanticCustomError:
            return None
    return KINDS.get(kind) if isinstance(kind, str) else None


Step = Annotated[SerializeAsAny[Operator], BeforeValidator(_parse_step)]


class Recipe(_Strict):
    """One YAML file: inputs, a flat list of steps, outputs."""

    name: str = Field(pattern=NAME, description="names the run and its snapshots")
    seed: int = Field(default=0, ge=0, lt=2**63, description="decides every draw, together with a document's id")
    inputs: tuple[Input, ...] = Field(min_length=1, description="where documents come from, in order")
    exclude_ids: str = Field(default="", description="a file with one document id a line: those are left out")
    steps: tuple[Step, ...] = Field(default=(), description="operators, run in order")
    outputs: Output = Field(description="where the result goes")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Recipe:
        """Names are unique, none is the engine's, and there is a corpus."""
        for what, names in (("input", [i.name for i in self.inputs]), ("step", [s.label for s in self.steps])):
            for index, name in enumerate(names):
                if name in names[:index]:
                    problem = f"{what}s[{names.index(name)}] is called {name!r} too; give one of them another `name`"
                    raise _fault(problem, f"{what}s", index)
        for index, step in enumerate(self.steps):
            if step.label in RESERVED:
                problem = f"no step may be called {step.label!r}: dropped/ uses that name; give it another `name`"
                raise _fault(problem, "steps", index)
        if not any(i.role == "corpus" for i in self.inputs):
            raise _fault("every input is a reference; at least one must have `role: corpus`", "inputs")
        return self


def _fault(problem: str, *place: str | int) -> PydanticCustomError:
    """An error of the whole recipe that is about one place in it."""
    return PydanticCustomError("recipe", "{problem}", {"problem": problem, "place": place})


def load_recipe(path: str, settings: tuple[str, ...] = ()) -> Recipe:
    """Read and validate a recipe file; `settings` are "steps.<name>.<field>=value" (the value is YAML)."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path!r}: {error.strerror}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"cannot read the recipe {path!r}: it is no UTF-8 text ({error.reason})") from error
    content, lines = load_yaml(text, path)
    if not isinstance(content, dict):
        found = "a list" if isinstance(content, list) else repr(content)
        raise RecipeError(
            f"{path}:1: a recipe is a mapping with the keys name, inputs, steps and outputs, not {found:.60}"
        )
    places = {apply_setting(content, setting): setting for setting in settings}
    return validate_recipe(content, Source(path, content, lines, places))


def validate_recipe(content: dict[str, Any], source: Source) -> Recipe:
    """Validate what YAML gave; every fault in one RecipeError, each with file, line and field."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(describe(error, source, Recipe, _model_of_step)) from error
