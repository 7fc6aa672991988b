from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Regex, pre_tokenizers

from operators import unicode_classes
from operators.unicode_classes import (
    CLASSES,
    CODE_POINTS,
    PINNED,
    class_table,
    class_table_digest,
    engine_runs,
    member_pattern,
    table_digest,
)

LOCK = Path(__file__).parents[2] / "requirements.lock"


def test_the_stored_table_is_what_the_locked_engine_answers() -> None:
    assert any(f"tokenizers=={pinned}\n" in LOCK.read_text() for pinned in PINNED)
    starts, classes = engine_runs()
    asked = np.repeat(classes, np.diff(np.append(starts, CODE_POINTS)))
    assert np.array_equal(asked, class_table())
    assert table_digest(asked) == PINNED[version("tokenizers")]


def test_another_version_of_the_engine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = np.array([0, 65]), np.array([0, 1], np.uint8)
    monkeypatch.setattr(unicode_classes, "PINNED", {})
    monkeypatch.setattr(unicode_classes, "engine_runs", lambda: asked)
    table = class_table.__wrapped__()
    assert (table[64], table[65], table[CODE_POINTS - 1]) == (0, 1, 1)
    monkeypatch.setattr(unicode_classes, "class_table", lambda: table)
    assert class_table_digest.__wrapped__() == table_digest(table)


def test_there_are_as_many_of_each_class_as_in_unicode_16() -> None:
    numbers = np.bincount(class_table(), minlength=len(CLASSES) + 1)
    counts = dict(zip(CLASSES, numbers[1:].tolist(), strict=True))
    assert sum(counts[name] for name in ("Lu", "Ll", "Lt", "Lm", "Lo")) == 141_028
    assert sum(counts[name] for name in ("Nd", "Nl", "No")) == 1_911
    assert (counts["Lu"], counts["M"], counts["space"]) == (1_858, 2_501, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CLASSES, "L", "N"])
def test_classes_are_right_for_every_code_point(name: str) -> None:
    points = [point for point in range(CODE_POINTS) if not 0xD800 <= point < 0xE000]
    split = pre_tokenizers.Split(Regex(member_pattern(name)), "removed", invert=True)
    members = [piece for piece, _ in split.pre_tokenize_str("".join(map(chr, points)))]
    numbers = [number for number, known in enumerate(CLASSES, 1) if known.startswith(name)]
    assert [ord(c) for piece in members for c in piece] == np.flatnonzero(np.isin(class_table(), numbers)).tolist()


def test_the_table_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        class_table()[65] = 0
