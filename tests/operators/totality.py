"""Every operator that adds columns, over texts that break such things; `docs/totality.md` has what it gives.

`python -m tests.operators.totality` writes the page again; a test fails where it is old. An operator is found by
itself: it is left out, with the reason on the page, where it looks across documents or cannot be made without
parameters that `EXAMPLES` does not have.
"""

from __future__ import annotations

import atexit
import json
import math
import resource
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pydantic import ValidationError

from operators import OPERATORS
from operators.base import RULE, TEXT, Composite, Map, Operator, RecipeError
from tests.operators.harness import Engine, run
from tests.operators.test_language_id import fasttext_model

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "totality.md"
COMMAND: Final = "python -m tests.operators.totality"

TEXTS: Final[dict[str, str | None]] = {
    "empty": "",
    "null": None,
    "one word": "word",
    "spaces": " \t\u3000 ",
    "line ends": "\n\r\n\n",
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467\u2764\ufe0f",
    "controls": "\x00\x01\x07\x1b\x7f\x85",
    "Arabic": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645\u060c \u0643\u064a\u0641 \u0643\u0645\u061f",
    "Hebrew": "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd. \u05de\u05d4 \u05e9\u05dc\u05d5\u05de\u05da?",
    "marks": "\u0301\u0300\u20dd\u0345",
    "a joiner": "\u200d",
    "Chinese": "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u6563\u6b65\u3002",
    "Thai": "\u0e27\u0e31\u0e19\u0e19\u0e35\u0e49\u0e2d\u0e32\u0e01\u0e32\u0e28\u0e14\u0e35\u0e21\u0e32\u0e01",
    "code": "def f(x):\n    return {'a': x[0] + 1}  # TODO\n\n\nprint(f([41]))\n",
    "long line": "the story of the river " * 5_000,
}  # fmt: skip

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "ngram_perplexity": {"model": "tests/data/sentences.ngram", "max_bits_per_byte": 6},
    "script_share": {"keep": ["Latin"]},
    "url_filter": {"domains": ["word"], "soft_words": ["return", "print"], "parts": ["river"]},
    "word_list": {"words": ["word", "story of", "\u0301"]},
}
"""Parameters of operators that have none by default, or do nothing without."""

HEAD: Final = """# Totality: what every score is for texts that are none

A score is a finite number, a string, or null (`-`) where there is nothing to divide by; a null score passes. The tables
show what each operator adds with its defaults, unless said otherwise, and by which rule it would drop the text. This
page is written by `{command}`; a test fails where it is old, and another one (marked `slow`) runs
every operator over a document of 100 MB.

The texts, as JSON:

{texts}
- null: no text at all, which the engine never lets through

Without a table:

{reasons}
"""

WITH_MODEL: Final[dict[str, dict[str, Any]]] = {"classify": {"score_label": "en"}}
"""Parameters of operators that also need a `model`: here a fastText file that knows one word of each of `LANGUAGES`."""
LANGUAGES: Final = {"en": "word", "de": "story", "fr": "return"}

NAMES: Final = {str(operator.model_fields["kind"].default): operator for operator in OPERATORS}


def rows_of(texts: dict[str, str | None]) -> pa.Table:
    """The texts as documents, each with itself as `url` too."""
    column = pa.array(list(texts.values()), pa.large_string())
    source = pa.array(["docs"] * len(texts), pa.string())
    return pa.table({"id": list(texts), "text": column, "source": source, "url": column.cast(pa.string())})


def example(kind: str) -> Operator:
    """An instance that keeps all rows.

    Raises:
        ValueError: it is no matter of one text; says why.
    """
    given = dict(EXAMPLES.get(kind, {}))
    if kind in WITH_MODEL:
        given = {"model": tiny_model(), **WITH_MODEL[kind]}
    if kind == "ngram_perplexity":
        given["model"] = str(PAGE.parents[1] / given["model"])
    if "audit" in NAMES[kind].model_fields:
        given["audit"] = True
    try:
        operator = NAMES[kind].model_validate(given)
    except ValidationError as error:
        fields = ", ".join(f"`{e['loc'][0]}`" for e in error.errors() if e["loc"]) or "parameters"
        raise ValueError(f"needs {fields}") from error
    stages = operator.stages() if isinstance(operator, Composite) else (operator,)
    if not all(isinstance(stage, Map) for stage in stages):
        raise ValueError("looks across documents")
    strangers = sorted(set(operator.needs()) - {*TEXT, "url"})
    if strangers or not (operator.adds() or type(operator).__dict__.get("rewrites")):
        raise ValueError(f"reads {', '.join(strangers)}" if strangers else "adds no column")
    return operator


@cache
def tiny_model() -> str:
    """The path of a model that lasts as long as the process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "tiny.bin"
    path.write_bytes(fasttext_model(LANGUAGES))
    return str(path)


def values(operator: Operator, rows: pa.Table, batch_rows: int = 1 << 20) -> dict[str, list[Any]]:
    """What it adds, by column; `verdict` the rule that would drop a row; `new text` where it rewrites.

    Raises:
        RecipeError: a model is not here.
    """
    engine: Engine = run(operator, [rows], batch_rows=batch_rows)
    found = {name: engine.kept[name].to_pylist() for name in operator.adds() if name[0] != "_"}
    rules = (
        dict(zip(engine.dropped["id"].to_pylist(), engine.dropped[RULE].to_pylist(), strict=True))
        if (engine.dropped_parts)
        else {}
    )
    if engine.dropped_parts:
        found["verdict"] = [rules.get(name) for name in rows["id"].to_pylist()]
    if not engine.kept["text"].equals(rows["text"]):
        pairs = zip(rows["text"].to_pylist(), engine.kept["text"].to_pylist(), strict=True)
        found["new text"] = ["(the same)" if new == (old or "") else new for old, new in pairs]
    return found


def shown(value: object) -> str:
    """A value in a cell."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        text = json.dumps(value if len(value) <= 24 else f"{value[:24]}...")[1:-1].replace("|", "\\|")
        return text or "(empty)"
    return json.dumps(value, default=str)


def is_total(value: object) -> bool:
    """Null, or neither infinite nor no number; in lists and structures too."""
    if isinstance(value, list | dict):
        return all(map(is_total, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def section(kind: str) -> str:
    """An operator's part of the page.

    Raises:
        ValueError: it is left out.
        RecipeError: a model is not here.
    """
    operator = example(kind)
    given = EXAMPLES.get(kind) or WITH_MODEL.get(kind)
    model = f", and a model that knows a word of each language: `{json.dumps(LANGUAGES)}`" if kind in WITH_MODEL else ""
    lines = [f"## {kind}", "", *([f"With `{json.dumps(given)}`{model}.", ""] if given else [])]
    lines += [f"| | {' | '.join(TEXTS)} |", f"|---{'|---' * len(TEXTS)}|"]
    for name, cells in values(operator, rows_of(TEXTS)).items():
        lines.append(f"| `{name}` | {' | '.join(map(shown, cells))} |")
    return "\n".join(lines) + "\n"


def left_out() -> dict[str, str]:
    """Kind -> why the page has no table of it."""
    found = {}
    for kind in sorted(NAMES):
        try:
            example(kind)
        except ValueError as error:
            found[kind] = str(error)
    return found


def head() -> str:
    """The page up to the first table."""
    reasons = "\n".join(f"- `{kind}` {reason}" for kind, reason in left_out().items())
    texts = "\n".join(f"- {name}: `{shown(text)}`" for name, text in TEXTS.items() if text is not None)
    return HEAD.format(command=COMMAND, texts=texts, reasons=reasons)


def page() -> str:
    """The whole page; needs every model."""
    kinds = [kind for kind in sorted(NAMES) if kind not in left_out()]
    return "\n".join([head(), *map(section, kinds)])


def large_text(shape: str, num_bytes: int) -> str:
    """One document of about so many bytes: `lines` that differ, of 100,003 words; or one `word`, without an end."""
    if shape == "word":
        return "word" * (num_bytes // 4)
    line = "line {} of the text, and the word w{} in it; so it goes on from here to there.\n"
    count = num_bytes // 84
    return "".join(line.format(number, number * 2_654_435_761 % 100_003) for number in range(count))


def price(kind: str, shape: str, megabytes: int) -> dict[str, float]:
    """CPU seconds of one document of a tenth and of the whole size, the process's peak in MB; asserts totality."""
    operator = example(kind)
    values(operator, rows_of({"warm": "a text"}))
    seconds = []
    for size in (megabytes * 100_000, megabytes * 1_000_000):
        rows = rows_of({"large": large_text(shape, size)})
        begin = time.process_time()
        found = values(operator, rows)
        seconds.append(time.process_time() - begin)
        assert all(is_total(value) for column in found.values() for value in column)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tenth": seconds[0], "whole": seconds[1], "peak_mb": peak}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(price(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201
    else:
        try:
            PAGE.write_text(page(), encoding="utf-8")
        except RecipeError as error:
            sys.exit(f"the page needs every model: {error}")
