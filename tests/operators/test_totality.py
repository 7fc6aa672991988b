"""Every operator's scores are null-safe and total; see `totality.py`, which also writes docs/totality.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from operators.base import RecipeError
from tests.operators import totality

KINDS = [kind for kind in sorted(totality.NAMES) if kind not in totality.left_out()]
ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = 100
PEAK_MB = 3_000
"""Of the whole process: the text itself takes 400 MB here, as Python's and as Arrow's."""


def found(kind: str, batch_rows: int = 1 << 20) -> dict[str, list[object]]:
    try:
        return totality.values(totality.example(kind), totality.rows_of(totality.TEXTS), batch_rows)
    except RecipeError as error:
        pytest.skip(f"no model: {error}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_score_of_every_text_is_finite_or_null_and_of_its_own_text(kind: str) -> None:
    together, alone = found(kind), found(kind, batch_rows=1)  # declared types are checked on the way
    assert together == alone
    assert [value for column in together.values() for value in column if not totality.is_total(value)] == []
    assert all(len(column) == len(totality.TEXTS) for column in together.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_shows_it(kind: str) -> None:
    try:
        section = totality.section(kind)
    except RecipeError as error:
        pytest.skip(f"no model: {error}")
    assert section in totality.PAGE.read_text("utf-8"), f"run: {totality.COMMAND}"


def test_the_page_says_what_it_leaves_out_and_has_no_other_table() -> None:
    page = totality.PAGE.read_text("utf-8")
    assert page.startswith(totality.head()), f"run: {totality.COMMAND}"
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == KINDS


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["lines", "word"])
def test_a_document_of_100_mb_takes_time_in_proportion_and_memory_within_bounds(shape: str, kind: str) -> None:
    command = [sys.executable, "-m", "tests.operators.totality", kind, shape, str(MEGABYTES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "RecipeError" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    price = json.loads(done.stdout)
    assert price["whole"] < 40 * max(price["tenth"], 0.1), price
    assert price["peak_mb"] < PEAK_MB, price
