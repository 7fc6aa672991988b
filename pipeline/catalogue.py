"""What operators there are, generated from their models: for the command line, the README and docs/.

`python -m pipeline.catalogue --write README.md docs/operators.md docs/recipe.md` brings the generated parts of those
files up to date; a test fails where one is not.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from operators.base import Composite, Fold, Judge, Map, Operator, RecipeError
from pipeline.columns import public_name
from pipeline.fields import facts_of
from pipeline.recipe import KINDS, ColumnMap, Input, Output, Recipe, unknown_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

WIDTH: Final = 110


def text_table() -> str:
    """A line for each operator, for a terminal."""
    width = max(map(len, KINDS)) + 2
    lines = []
    for kind, operator in sorted(KINDS.items()):
        lines.append(
            fill(
                f"{kind:<{width}}{form(operator):<11}{sentence(operator)}", WIDTH, subsequent_indent=" " * (width + 11)
            )
        )
    return "\n".join([*lines, "", "vocabmill operators KIND says everything about one of them"])


def markdown_table() -> str:
    """The table between the README's markers."""
    rows = [
        f"| `{kind}` | {form(operator)} | {_cell(sentence(operator))} | {_cell(_added_text(operator)) or '-'} |"
        for kind, operator in sorted(KINDS.items())
    ]
    return "\n".join(["| kind | form | what it does | columns that it adds |", "|---|---|---|---|", *rows])


def describe(kind: str) -> str:
    """Everything about one operator, for a terminal.

    Raises:
        RecipeError: there is no operator of that kind.
    """
    if kind not in KINDS:
        raise RecipeError(unknown_kind(kind))
    operator = KINDS[kind]
    lines = [f"{kind} ({form(operator)})", "", prose(operator), "", "parameters"]
    for fact in facts_of(operator):
        bounds = f", {fact.bounds}" if fact.bounds else ""
        lines.append(f"  {fact.name}: {fact.type}{bounds}; {_default_text(fact.default)}")
        lines += [f"      {fact.description}"] if fact.description else []
    for title, found in (("reads", _needs(operator)), ("adds", _adds(operator))):
        lines += ["", title, *(f"  {name}: {kind_}" for name, kind_ in found.items())] if found else []
    rules = _rules(operator)
    lines += ["", "rules (with the defaults)", *(f"  {rule}" for rule in rules)] if rules else []
    return "\n".join(lines)


def markdown_reference() -> str:
    """A section for each operator."""
    return "\n\n".join(_section(kind, operator) for kind, operator in sorted(KINDS.items()))


def recipe_tables() -> str:
    """The fields of the recipe's own parts."""
    parts = (
        ("The recipe", Recipe),
        ("An entry of `inputs`", Input),
        ("`columns` of an input", ColumnMap),
        ("`outputs`", Output),
    )
    return "\n\n".join(f"### {title}\n\n{_field_table(model)}" for title, model in parts)


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "operators": markdown_table,
    "operator-reference": markdown_reference,
    "recipe-fields": recipe_tables,
}
"""What stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""


def renew(text: str) -> str:
    """A document with every generated part brought up to date."""
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        if pattern.search(text):
            content = make()
            text = pattern.sub(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)  # type: ignore[misc]
    return text


def form(operator: type[Operator]) -> str:
    """The contract that an operator fulfils.

    >>> from operators.sample import Sample
    >>> form(Sample)
    'composite'
    """
    return next(base.__name__.lower() for base in (Judge, Map, Fold, Composite) if issubclass(operator, base))


def sentence(operator: type[Operator]) -> str:
    """The first sentence of an operator's docstring."""
    first = (inspect.getdoc(operator) or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.;]) (?=[A-Z])", first)[0]


def prose(operator: type[Operator]) -> str:
    """An operator's docstring, examples left out, and its module's below: method, reference, deviations, price."""
    module = inspect.getdoc(inspect.getmodule(operator)) or ""
    paragraphs = (inspect.getdoc(operator) or "").split("\n\n") + module.split("\n\n")
    return "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.lstrip().startswith(">>>"))


def _section(kind: str, operator: type[Operator]) -> str:
    parts = [f"### {kind}", f"Form: {form(operator)}.", prose(operator), _field_table(operator)]
    for title, found in (("Reads", _needs(operator)), ("Adds", _adds(operator))):
        if found:
            parts.append(f"{title} {', '.join(f'`{name}` ({kind_})' for name, kind_ in found.items())}.")
    rules = _rules(operator)
    if rules:
        parts.append("Rules with the defaults, in order:\n\n" + "\n".join(f"- `{rule}`" for rule in rules))
    return "\n\n".join(parts)


def _field_table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{fact.name}` | {_cell(fact.type)}{f' ({_cell(fact.bounds)})' if fact.bounds else ''} "
        f"| {'required' if fact.default == 'required' else f'`{_cell(fact.default)}`'} | {_cell(fact.description)} |"
        for fact in facts_of(model)
    ]
    return "\n".join(["| field | value | default | meaning |", "|---|---|---|---|", *rows])


def _sample_of(operator: type[Operator]) -> Operator:
    """An instance with defaults. What has none is absent: only what does not depend on it can be asked."""
    return operator.model_construct()


def _needs(operator: type[Operator]) -> dict[str, Any]:
    """Columns that it reads whatever its parameters, with their types."""
    return {
        name: "any type" if pa.types.is_null(kind) else kind
        for name, kind in _ask(operator, "needs").items()
        if not name.startswith("_")
    }


def _adds(operator: type[Operator]) -> dict[str, Any]:
    """Added columns under the names that a step without a name of its own gives them."""
    label = _sample_of(operator).label
    return {
        public_name(label, _sample_of(operator), name): kind
        for name, kind in _ask(operator, "adds").items()
        if not name.startswith("_")
    }


def _ask(operator: type[Operator], question: str) -> dict[str, Any]:
    try:
        return dict(getattr(_sample_of(operator), question)())
    except AttributeError:  # It depends on a parameter without a default.
        return {}


def _rules(operator: type[Operator]) -> list[str]:
    found = []
    sample = _sample_of(operator)
    for rule in sample.rules() if isinstance(sample, Judge) else ():
        bounds = [f"{rule.score} < {rule.low:g}"] if rule.low is not None else []
        bounds += [f"{rule.score} > {rule.high:g}"] if rule.high is not None else []
        found.append(f"{rule.name}: {' or '.join(bounds)}")
    return found


def _added_text(operator: type[Operator]) -> str:
    names = [f"`{name}`" for name in _adds(operator)]
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _default_text(default: str) -> str:
    return "required" if default == "required" else f"default {default}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Bring files up to date; exit status 2 where a file has no marker."""
    parser = argparse.ArgumentParser(description="Renew the generated parts of documents.")
    parser.add_argument("--write", nargs="+", required=True, type=Path, metavar="FILE")
    for path in parser.parse_args().write:
        text = path.read_text(encoding="utf-8")
        if not any(f"<!-- {name}:begin -->" in text for name in PARTS):
            sys.stderr.write(f"{path}: no marker <!-- NAME:begin --> with one of {', '.join(PARTS)}\n")
            return 2
        path.write_text(renew(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
