r"""The Unicode class of every code point, as the regex engine inside the installed `tokenizers` sees it.

An exported tokenizer cuts text with that engine, so its idea of a letter is the one to count by: Unicode versions
differ in which code points are letters, and a pre-token cut otherwise is a word that the tokenizer never meets. For the
versions of `tokenizers` in `PINNED` the answer lies beside this file, in `unicode_classes.txt`, written by
`python -m operators.unicode_classes`; any other version is asked (0.2 s per process). The table's digest belongs in the
identity of what was counted with it.
"""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

CODE_POINTS: Final = 0x110000
CLASSES: Final = ("Lu", "Ll", "Lt", "Lm", "Lo", "M", "Nd", "Nl", "No", "P", "S", "space")
"""Disjoint; a class's number is its place, from 1."""

OTHER: Final = "other"
"""Class 0, everything else: controls, formats, private and unassigned code points."""

PINNED: Final = {"0.23.3": "db269cc215ce0ffecaa312eca9c2209868909caeebbe7ad872bd181180506ed1"}
"""Versions of `tokenizers` whose answer is the one in the file -> its `class_table_digest`."""

_FILE: Final = Path(__file__).with_suffix(".txt")

# Planes 4 to 13 are unassigned and planes 15 and 16 private: all of them class 0.
_PLANES: Final = (0, 1, 2, 3, 14)


@cache
def class_table() -> NDArray[np.uint8]:
    r"""For every code point the number of its class.

    >>> [(OTHER, *CLASSES)[class_table()[ord(character)]] for character in "aZ7! \x00"]
    ['Ll', 'Lu', 'Nd', 'P', 'space', 'other']
    """
    starts, classes = _stored_runs() if version("tokenizers") in PINNED else engine_runs()
    table = np.repeat(classes, np.diff(np.append(starts, CODE_POINTS)))
    table.flags.writeable = False
    return table


@cache
def class_table_digest() -> str:
    """sha256 (hex) of the table with the names of its classes."""
    return PINNED.get(version("tokenizers")) or table_digest(class_table())


def table_digest(table: NDArray[np.uint8]) -> str:
    """sha256 (hex) of a class table with the names of its classes."""
    return hashlib.sha256(repr(CLASSES).encode() + table.tobytes()).hexdigest()


def engine_runs() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each run of code points of one class begins, rising from 0, and its class, as the engine answers now."""
    points = [point for plane in _PLANES for point in range(plane << 16, (plane + 1) << 16) if not _is_surrogate(point)]
    starts = _runs("".join(map(chr, points)))
    firsts = "".join(chr(points[start]) for start in starts)
    run_classes = np.zeros(len(starts), np.uint8)
    for number, name in enumerate(CLASSES, start=1):
        run_classes[_members(firsts, name)] = number
    table = np.zeros(CODE_POINTS, np.uint8)
    table[points] = np.repeat(run_classes, np.diff([*starts, len(points)]))
    begins = np.flatnonzero(np.diff(table, prepend=np.uint8(255)))
    return begins, table[begins]


def _stored_runs() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    numbers = np.array(_FILE.read_text().split(), np.int64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1].astype(np.uint8)


def member_pattern(name: str) -> str:
    r"""A class in the syntax of the regex engine.

    >>> member_pattern("Lu"), member_pattern("space")
    ('\\p{Lu}', '\\s')
    """
    return r"\s" if name == "space" else rf"\p{{{name}}}"


def _is_surrogate(point: int) -> bool:
    return 0xD800 <= point < 0xE000


def _runs(characters: str) -> list[int]:
    """Where each run of characters of one class begins; between them lies class 0, in runs of its own."""
    from tokenizers import Regex, pre_tokenizers

    pattern = "|".join(f"{member_pattern(name)}+" for name in CLASSES)
    pieces = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(characters)
    return [start for _, (start, _) in pieces]


def _members(characters: str, name: str) -> NDArray[np.bool_]:
    from tokenizers import Regex, pre_tokenizers

    member = np.ones(len(characters), bool)
    for _, (start, end) in pre_tokenizers.Split(Regex(member_pattern(name)), "removed").pre_tokenize_str(characters):
        member[start:end] = False
    return member


if __name__ == "__main__":
    rows = zip(*engine_runs(), strict=True)
    _FILE.write_text("".join(f"{start} {number}\n" for start, number in rows))
