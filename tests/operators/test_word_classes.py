import re
import unicodedata
from importlib.metadata import version
from pathlib import Path

import pytest

from operators.normal_text import SPACE as WHITE
from operators.normal_text import normal_table
from operators.word_classes import (
    CODE_POINTS,
    DIGEST,
    EXTEND,
    IS_LETTER,
    SPACE,
    answered_values,
    code_point_classes,
    code_point_values,
    table_digest,
)

LOCK = Path(__file__).parents[2] / "requirements.lock"


def test_the_table_is_the_pinned_one() -> None:
    assert table_digest(code_point_values()) == DIGEST


def test_the_stored_table_is_what_the_locked_regex_answers() -> None:
    locked = re.search(r"^regex==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert locked is not None
    if version("regex") != locked[1]:
        pytest.skip(f"regex {version('regex')} is installed, the lock has {locked[1]}")
    assert answered_values() == code_point_values()


def test_letters_are_those_of_python_and_newer_ones() -> None:
    values = code_point_values()
    assert not [p for p in range(CODE_POINTS) if chr(p).isalpha() and not values[p] & IS_LETTER]
    newer = [p for p in range(CODE_POINTS) if values[p] & IS_LETTER and not chr(p).isalpha()]
    assert {unicodedata.category(chr(point)) for point in newer} <= {"Cn"}


def test_white_space_separates_words_and_letters_do_not() -> None:
    classes, values, white = code_point_classes(), code_point_values(), normal_table() & WHITE
    assert {classes[point] for point in range(CODE_POINTS) if white[point]} == {SPACE}
    assert not {SPACE, EXTEND} & {classes[point] for point in range(CODE_POINTS) if values[point] & IS_LETTER}
