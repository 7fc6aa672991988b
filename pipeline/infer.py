"""`vocabmill infer`: what a tokenizer was trained on, without a recipe: one is made of the options, and run.

With an output directory the run stays, with its report and its reusable results; without one all is in a temporary
directory that goes.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from operators.base import RecipeError
from operators.mixtures import FILE, some_of
from pipeline.faults import Source
from pipeline.publish import VERSIONS
from pipeline.recipe import Recipe, validate_recipe
from pipeline.session import run_recipe
from pipeline.storage import Store
from pipeline.vanished import vanished
from pipeline.yaml_lines import load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.executors.base import Executor

NAME: Final = "infer"
"""Of the recipe that is made."""
STEP: Final = "infer_mixture"
SHOWN: Final = 5

_OF_PATHS: Final = frozenset("/\\*?[")
"""Characters that stand in paths and in no name of an input."""
_PLACE: Final = re.compile(
    r"vocabmill infer:\d+: (?:steps\[0\]\.(?P<parameter>\w+)|inputs\[(?P<input>\d+)\]\.(?P<field>\w+))"
)
"""Where a fault is, in the recipe that nobody wrote."""


@dataclass(frozen=True)
class Inferred:
    """What came of it."""

    mixture: dict[str, Any]
    """As in `mixture.json`."""
    seconds: dict[str, float]
    """Of counting, replay and solving."""
    warnings: list[str]
    report: str
    """Where the report is; "" if nothing was kept."""

    def to_json(self) -> dict[str, Any]:
        """One object: the mixture, and beside it what is not part of it."""
        return {**self.mixture, "seconds": self.seconds, "warnings": self.warnings, "report": self.report}

    def to_text(self) -> str:
        """A table of the categories, largest first, and what could not be explained."""
        categories = self.mixture["categories"]
        wide = max(8, *map(_columns, categories))
        intervals = [name for name in ("range", "bootstrap") if any(name in entry for entry in categories.values())]
        lines = ["  ".join([f"{'category':{wide}}", "  bytes", "  pairs", *(f"{name:>15}" for name in intervals)])]
        for name, entry in sorted(categories.items(), key=lambda item: (-item[1]["bytes"], item[0])):
            cells = [name + " " * (wide - _columns(name)), _percent(entry["bytes"]), _percent(entry["pairs"])]
            cells += [f"{_percent(entry[key][0])} -{_percent(entry[key][1])}" for key in intervals]
            lines.append("  ".join(cells))
        merges = self.mixture["merges"]
        lines.append(
            f"{merges['used']:,} merges, {merges['missing']:,} of them in no category; objective "
            f"{self.mixture['objective']:.1f} ppm at a tolerance of {self.mixture['tolerance_ppm']:g} ppm"
        )
        lines.append(self.mixture["verdict"])
        lines += [f"  {violation['says']}" for violation in self.mixture["violations"][:SHOWN]]
        timed = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        return "\n".join([*lines, timed, *([f"report: {self.report}"] if self.report else [])])


def infer(
    tokenizer: str, data: list[str], by: str, executor: Executor, *, out: str = "", work_dir: str = "",
    quiet: bool = False, text: str = "", **parameters: str | float | None,
) -> Inferred:  # fmt: skip
    """Infer the mixture of a tokenizer over the categories of texts.

    Args:
        tokenizer: its file.
        data: what a recipe's input may name, or the output directory of a run, whose corpus is meant; NAME=PATH names
            an input, and several inputs are categories by `source`.
        by: the column of the categories.
        executor: what the run is done with.
        out: the output directory that stays; "" for none.
        work_dir: of the run.
        quiet: whether nothing is said on the way.
        text: the column of the text; "" for `text`.
        parameters: of `infer_mixture`.

    Raises RecipeError where an option, the tokenizer or the data is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="vocabmill-infer-") as temporary:
        place = out or f"{temporary}/out"
        recipe, store = _recipe(tokenizer, data, by, place, text, parameters), Store(place)
        _refuse_other_runs(store)
        try:
            summary = run_recipe(recipe, executor, out=place, work_dir=work_dir, quiet=quiet)
        except RecipeError as error:
            raise type(error)(re.sub(r"^outputs\.path: ", "--out: ", str(error))) from error
        mixture = json.loads(store.read(f"artifacts/{STEP}/{FILE}"))
        manifest = store.read_json("manifest.json")
        gone = vanished(recipe, executor, store, by, manifest, mixture["categories"])
    report = summary["report"] if out else ""
    warnings = [*gone, *summary.get("warnings", ())]
    return Inferred(mixture, _seconds(manifest["stages"]), warnings, report)


def _refuse_other_runs(out: Store) -> None:
    """RecipeError where a directory has snapshots of another recipe: its names would lead to the inference instead."""
    others = {name.rpartition("-")[0] for name in out.names(VERSIONS)} - {"", NAME}
    if others:
        msg = f"--out: {out.root!r} holds the output of another recipe ({some_of(others)})"
        raise RecipeError(f"{msg}, which the inference would replace: choose another place")


def _recipe(
    tokenizer: str, data: list[str], by: str, out: str, text: str, parameters: Mapping[str, str | float | None]
) -> Recipe:
    inputs = []
    for number, entry in enumerate(data):
        name, equals, path = entry.partition("=")
        if not equals or not name or _OF_PATHS.intersection(name) or Path(entry).exists():
            name, path = ("data" if len(data) == 1 else f"data{number + 1}"), entry
        columns = {"columns": {"text": text}} if text else {}
        inputs.append({"name": name, "path": _corpus_of(path), **columns})
    step = {"kind": STEP, "tokenizer": tokenizer, "by": by, **parameters}
    content = {"name": NAME, "seed": 0, "inputs": inputs, "steps": [step], "outputs": {"path": out}}
    loaded, lines = load_yaml(json.dumps(content, ensure_ascii=False), "vocabmill infer")
    try:
        return validate_recipe(loaded, Source("vocabmill infer", loaded, lines))
    except RecipeError as error:
        raise RecipeError(_PLACE.sub(lambda place: _option(place, data), str(error))) from error


def _option(place: re.Match[str], data: list[str]) -> str:
    """The option that a place in the recipe was made of."""
    if place["input"] is None:
        return f"--{place['parameter'].replace('_', '-')}"
    return f"--data {data[int(place['input'])]}" + (": its name" if place["field"] == "name" else "")


def _corpus_of(path: str) -> str:
    """The corpus of a run's output directory; any other path as it is."""
    directory = Path(path)
    is_output = (directory / "manifest.json").is_file() and (directory / "corpus").is_dir()
    return str(directory / "corpus" / "*.parquet") if is_output else path


def _seconds(stages: list[dict[str, Any]]) -> dict[str, float]:
    parts = {"replay": 0.0, "solve": 0.0}
    for stage in stages:
        for part in parts:
            if f"{STEP}/{part}" in stage["label"]:
                parts[part] += stage["seconds"]
    counting = [stage["seconds"] for stage in stages if STEP in stage["label"]]
    return {"count": max(0.0, sum(counting) - sum(parts.values())), **parts}


def _columns(text: str) -> int:
    """How wide a terminal shows a text.

    >>> _columns("ab"), _columns("\u65e5\u672c"), _columns("e\u0301")
    (2, 4, 1)
    """
    shown = [letter for letter in text if unicodedata.category(letter) not in ("Mn", "Me", "Cf")]
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in shown)


def _percent(share: float) -> str:
    return f"{100 * share:6.2f}%"
