"""The settings of a step that trained something: what it was told to do otherwise than by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from operators.train_classifier import TrainClassifier
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from operators.unigram import LONGEST_TOKEN
from operators.wordpiece import LONGEST_WORD
from pipeline.report.markup import code
from pipeline.report.reading import Step
from pipeline.report.wording import count, number, text

MOST: Final = 12
"""Entries of a list that are shown."""
SPACE: Final = "\u2423"
FIRST: Final = ("algorithm", "pretokenizer")
"""Shown whatever they are."""
ELSEWHERE: Final = frozenset(
    {"kind", "name", "vocab_sizes", "extend", "tokenizer", "step", "size", "negative", "labels"}
)
LONGEST: Final = {"unigram": LONGEST_TOKEN, "wordpiece": LONGEST_WORD}
"""Bytes that no token of an algorithm has more than, whatever `max_token_length` says."""
_OPERATORS: Final[Mapping[str, type[BaseModel]]] = {
    "train_classifier": TrainClassifier,
    "train_tokenizer": TrainTokenizer,
    "trim_tokenizer": TrimTokenizer,
}


def settings(step: Step, training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for the page: from the recipe, or from `training.json` where the recipe does not say.

    The length of a token is the one that held: an algorithm with a limit of its own always shows it.
    """
    recorded = training.get("settings")
    given = {**(recorded if isinstance(recorded, dict) else {}), **step.parameters}
    shown = {name: given[name] for name in FIRST if name in given}
    operator = _OPERATORS.get(step.kind)
    defaults = _defaults(operator) if operator else {}
    shown |= {name: _changes(given[name], defaults[name]) for name in defaults if _differs(name, given, defaults)}
    longest = LONGEST.get(str(given.get("algorithm")))
    if longest:
        shown["max_token_length"] = min(longest, given.get("max_token_length", longest))
    return [(text(name.replace("_", " ").capitalize()), _value(value)) for name, value in shown.items()]


def _defaults(operator: type[BaseModel]) -> dict[str, Any]:
    """The defaults as a manifest has them; parameters without one, and those shown elsewhere, are left out."""
    found = {name: field.get_default(call_default_factory=True) for name, field in operator.model_fields.items()}
    return {
        name: to_jsonable_python(default)
        for name, default in found.items()
        if default is not PydanticUndefined and name not in ELSEWHERE
    }


def _differs(name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    return name in given and name not in FIRST and given[name] != defaults[name]


def _changes(value: object, default: object) -> object:
    """Of a group of parameters those that were changed."""
    if isinstance(value, dict) and isinstance(default, dict):
        return {name: part for name, part in value.items() if part != default.get(name)}
    return value


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{code(name)} {_value(part)}" for name, part in value.items())
    if isinstance(value, list):
        more = f" and {count(len(value) - MOST)} more" if len(value) > MOST else ""
        return ", ".join(code(str(part).replace(" ", SPACE)) for part in value[:MOST]) + more
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return code(value)
