r"""Which neighbours SentencePiece counts as a pair: the rules by which its trainer forbids pieces.

Its trainer cuts lines at spaces, and of what is left never counts a pair that would make a forbidden piece: of two
scripts, of a digit and something else, of too many characters. A pair that is never counted is never merged, so it must
not stand as a competitor either. All but the last rule are of two neighbouring characters: where they may not be one
piece, a word is two. Where a file does not say by which rules it was made, its tokens do: a rule that none of tens of
thousands breaks was one.

Deviations: marks that take the script of what is before them (Inherited) join everything, as digits do under `any`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import regex

SPACE: Final = "\u2581"
ANY: Final = -1
ALONE: Final = -2
_COMMON: Final = 0
_HAN: Final = ("Han", "Hiragana", "Katakana")
_DIGITS: Final = frozenset("0123456789")

Digits = Literal["any", "own", "alone"]
"""Digits join everything, one another only, or nothing."""


class PieceRules(NamedTuple):
    """What a piece may be."""

    by_space: bool = True
    """Whether a space only begins pieces."""
    runs_of_spaces: bool = False
    """Whether several spaces may be one piece; else each begins a word of its own."""
    by_script: bool = True
    digits: Digits = "own"
    """With `by_script`: how digits join others."""
    max_characters: int = 0
    """0: any number."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """What cuts a line into words; () for none."""
        if not self.by_space:
            return ()
        return (f"{SPACE}+[^{SPACE}]*|[^{SPACE}]+" if self.runs_of_spaces else f"{SPACE}[^{SPACE}]*|[^{SPACE}]+",)

    def classes(self, characters: Iterable[str]) -> dict[str, int]:
        """The class of each character: neighbours of one piece have the same, or one of them has ANY."""
        found = _scripts("".join(characters)) if self.by_script else dict.fromkeys(characters, ANY)
        digit = {"any": ANY, "own": found.get("0", _COMMON), "alone": ALONE}[self.digits]
        found.update((one, digit) for one in _DIGITS if one in found and (self.by_script or digit == ALONE))
        found[SPACE] = ANY
        return found


def rules_of(tokens: Iterable[str]) -> PieceRules:
    """The strictest rules that no token breaks.

    >>> rules_of(["\u2581t", "he", "42", "\u2581\u2581"])
    PieceRules(by_space=True, runs_of_spaces=True, by_script=True, digits='own', max_characters=2)
    """
    tokens = [token for token in tokens if len(token) > 1]
    alphabet = sorted({character for token in tokens for character in token})
    bare = [token.lstrip(SPACE) for token in tokens]
    strictest_first: list[tuple[bool, Digits]] = [
        (True, "alone"), (True, "own"), (True, "any"), (False, "alone"), (False, "any"),
    ]  # fmt: skip
    by_script, digits = next(
        (by_script, digits)
        for by_script, digits in strictest_first
        if not _broken(PieceRules(by_script=by_script, digits=digits).classes(alphabet), bare)
    )
    return PieceRules(
        by_space=not any(SPACE in token for token in bare),
        runs_of_spaces=any(token.startswith(2 * SPACE) for token in tokens),
        by_script=by_script,
        digits=digits,
        max_characters=max(map(len, tokens), default=0),
    )


def joined(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether characters of these classes may stand beside one another in a piece."""
    same = (left == right) | (left == ANY) | (right == ANY)
    found: NDArray[np.bool_] = same & (left != ALONE) & (right != ALONE)
    return found


def _broken(classes: dict[str, int], tokens: list[str]) -> bool:
    """Whether two neighbours in some token may not be one piece."""
    number = np.array([classes[one] for token in tokens for one in token], np.int64)
    ends = np.cumsum(np.array([len(token) for token in tokens], np.int64))
    apart = ~joined(number[:-1], number[1:])
    apart[ends[(ends > 0) & (ends < len(number))] - 1] = False
    return bool(apart.any())


def _scripts(characters: str) -> dict[str, int]:
    """The number of each character's script, with Hiragana and Katakana as Han; ANY for Inherited, 0 for Common."""
    found = dict.fromkeys(characters, _COMMON)
    for name, pattern in _patterns().items():
        number = ANY if name == "Inherited" else list(_patterns()).index("Han" if name in _HAN else name) + 1
        found.update(dict.fromkeys(pattern.findall(characters), number))
    found.update((one, list(_patterns()).index("Han") + 1) for one in "\u30fc" if one in found)
    return found


@cache
def _patterns() -> dict[str, regex.Pattern[str]]:
    import regex

    from operators.scripts import SCRIPTS

    return {name: regex.compile(rf"\p{{Script={name}}}") for name in (*SCRIPTS, "Inherited")}
