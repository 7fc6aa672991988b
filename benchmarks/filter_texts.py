"""Broken and odd texts made of real ones, so that every reason of every filter occurs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

STOP_WORDS: Final = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
PHRASES: Final = ("lorem ipsum dolor is here.", "We use cookies on this site.", "Please enable JavaScript.", "a { b c.")
ODD: Final = (
    "",
    " ",
    "\n\n",
    "word",
    "[1] [2] [3]",
    "x:) ) and x:) y. " * 9,
    "IS_ALPHA is one. IS_ALPHA it is.",
    "\u2028a b c.",
    "the words of that and to be. " * 20_001,
    "a\u00a0b c d.  ) e. [2]\u00a0",
    "U\u017fe coo\u212aies and use coo\u212aies now. " * 3,
)

Lines = list[str]
Maker = Callable[["Pieces", int], Lines]


class Pieces:
    """Lines and words to draw from, always the same for the same texts."""

    def __init__(self, texts: list[str]) -> None:
        self.chance = random.Random(7)
        self.lines = [line for text in texts for line in text.split("\n") if line.strip()]
        self.words = [word for line in self.lines for word in line.split()]
        self.prose = [word for word in self.words if word.isalpha() and word not in STOP_WORDS]

    def some_lines(self, size: int) -> Lines:
        """Lines of different documents."""
        return self.chance.choices(self.lines, k=size)

    def some_words(self, size: int, prose: bool = True) -> str:
        """Words of different documents; if `prose`, of letters alone and no stop words."""
        return " ".join(self.chance.choices(self.prose if prose else self.words, k=size))

    def repeated(self, size: int) -> Lines:
        """Prose in which a phrase of 5 to 12 words comes back."""
        phrase = self.some_words(self.chance.randint(5, 12))
        between = self.chance.randint(20, 60)
        return [f"{self.some_words(between)} the {phrase} of {self.some_words(3)}." for _ in range(2 + size // 12)]


MAKERS: Final[tuple[Maker, ...]] = (
    lambda pieces, size: pieces.some_lines(size),
    lambda pieces, size: [f"- {line}" for line in pieces.some_lines(size)],
    lambda pieces, size: [f"{line}..." for line in pieces.some_lines(size)],
    lambda pieces, size: pieces.some_lines(size // 3 + 1) * 3,
    lambda pieces, size: [pieces.some_words(60, prose=False) + "." for _ in range(size)],
    lambda pieces, size: ["\n".join([line, "", line, ""]) for line in pieces.some_lines(size // 5 + 1)],
    lambda pieces, size: [
        f"{line}\n" for line in [*pieces.some_lines(size), *[pieces.some_words(90)] * (1 + size // 20)]
    ],
    lambda pieces, size: (
        [f"{word} {size}" for word in pieces.some_words(9 + size).split()] + [pieces.some_words(60)] * 2
    ),
    lambda pieces, size: [f"{line} \u2026 [3]" for line in pieces.some_lines(size)],
    lambda pieces, size: [f"{pieces.some_words(size % 7 + 3)} # the of" for _ in range(size + 9)],
    lambda pieces, size: [f"{line}." for line in pieces.some_lines(size)] + pieces.chance.sample(PHRASES, 2),
    lambda pieces, size: [pieces.some_words(12) + "." for _ in range(size)],
    lambda pieces, size: [
        " ".join(pieces.chance.choices(["of", "to", "it", "is", "a", "b", "I", "1", "42", "7", "!"], k=12))
        for _ in range(size)
    ],
    lambda pieces, size: ["".join(pieces.chance.choices(pieces.prose, k=8)) + " it." for _ in range(size)],
    Pieces.repeated,
    Pieces.repeated,
    Pieces.repeated,
)


def pieces_of(texts: list[str], count: int) -> list[str]:
    """About so many texts: halves, single lines, drawn lines and words in many shapes, and some odd ones by hand."""
    some = random.Random(7).sample([text[:6000] for text in texts], min(count, len(texts)))
    pieces = Pieces(some)
    made = [text[: len(text) // 2] for text in some[: count // 5]] + pieces.some_lines(count // 5)
    for number in range(3 * count // 5):
        made.append("\n".join(MAKERS[number % len(MAKERS)](pieces, pieces.chance.randint(1, 40))))
    return [*made, *ODD]
