r"""How many sentences a line has: by our own rule, and as spaCy's sentencizer counts, which the reference uses.

`standard`: a sentence ends with a terminal mark (`TERMINAL_PUNCTUATION`), and the next one begins with the first
character after it that is neither white space nor punctuation (category P): closing quotes and brackets belong to the
sentence that they close, and marks at the end of a line begin nothing. A line has at least one. Of full stops, these
alone are marks: one before white space, a closing quote or bracket, or the end, unless a single letter stands before it
(`J. Smith`, `U.S.`, `e.g.`); and one between a small and a capital letter (`world.No`). Dots in a row are no mark.

`datatrove-0.10`: the same on spaCy's tokens. A token that is one of 128 terminal marks ends a sentence, and the next
token begins that is no mark and not punctuation throughout. White space other than one space is a token, and so begins
one where the last has ended.

The two differ where spaCy knows abbreviations (`Mr.`), units and addresses, and where it takes the stop in `etc.,` for
the end of a sentence. Both take neither `...` nor the stop after an initial for a mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from operators import normal_text
from operators.normal_text import normal_table
from operators.unicode_classes import CLASSES, class_table
from operators.words import TERMINAL_PUNCTUATION

KIND: Final = 15
"""The bits of an entry of `sentence_table` that hold the class of `unicode_classes`."""
MARK: Final = 16
CLOSER: Final = 32
WHITE: Final = 64
"""White space for Python's `str.split` and `str.strip`: a few controls more than the class has."""
UPPER: Final = CLASSES.index("Lu") + 1
LOWER: Final = CLASSES.index("Ll") + 1
LAST_LETTER: Final = CLASSES.index("Lo") + 1
DIGIT: Final = CLASSES.index("Nd") + 1
PUNCTUATION: Final = CLASSES.index("P") + 1
SPACE: Final = CLASSES.index("space") + 1

CLOSERS: Final = frozenset("\"')]}\u2019\u201d\u00bb\u203a\u3009\u300b\u300d\u300f\u3011\uff09")

SPACY_MARKS: Final = TERMINAL_PUNCTUATION - frozenset(
    "\u061d\u061e\u0837\u0839\u083d\u083e\u17d4\u17d5\u17d6\u17d9\u17da\u1b7d\u1b7e\u2e53\u2e54\U00010f55\U00010f56"
    "\U00010f57\U00010f58\U00010f59\U00010f86\U00010f87\U00010f88\U00010f89\U00011944\U00011946\U00011ef7\U00011ef8"
    "\U00011f43\U00011f44\U00016e98"
)
"""The marks of the sentencizer of spaCy 3.8.18."""


@cache
def sentence_table() -> NDArray[np.uint8]:
    """For every code point its class, with the flags `MARK`, `CLOSER` and `WHITE`; read-only.

    >>> bool(sentence_table()[ord("!")] & MARK), bool(sentence_table()[ord(")")] & CLOSER)
    (True, True)
    """
    table = class_table().copy()
    table[[ord(mark) for mark in TERMINAL_PUNCTUATION]] |= MARK
    table[[ord(closer) for closer in CLOSERS]] |= CLOSER
    table[normal_table() & normal_text.SPACE != 0] |= WHITE
    table.flags.writeable = False
    return table


def num_sentences(line: str) -> int:
    """The sentences of a line by `standard`, one character after the other.

    >>> [num_sentences(line) for line in ("", "One. Two!", "J. Smith paid 3.50 (net.) He left...", "world.No")]
    [1, 2, 2, 2]
    """
    table = sentence_table()
    kinds = [int(table[ord(character)]) for character in line]
    count, ended = 1, False
    for place, kind in enumerate(kinds):
        if kind & MARK:
            ended = ended or line[place] != "." or _is_full_stop(line, kinds, place)
        elif ended and kind & KIND not in (SPACE, PUNCTUATION):
            count, ended = count + 1, False
    return count


def _is_full_stop(line: str, kinds: Sequence[int], place: int) -> bool:
    before, after = line[place - 1 : place], line[place + 1 : place + 2]
    if "." in (before, after):
        return False
    left = kinds[place - 1] & KIND if before else 0
    if not after or kinds[place + 1] & KIND == SPACE or kinds[place + 1] & CLOSER:
        is_single = place < 2 or not (1 <= kinds[place - 2] & KIND <= LAST_LETTER or kinds[place - 2] & KIND == DIGIT)
        return not (1 <= left <= LAST_LETTER and is_single)
    return left == LOWER and kinds[place + 1] & KIND == UPPER


def num_token_sentences(tokens: Iterable[str]) -> int:
    r"""The sentences of a line by the reference's rule, from its tokens, white space that is a token among them.

    >>> num_token_sentences(["Hello", "world", ".", ")", "No", "!", "  "]), num_token_sentences([])
    (3, 1)
    """
    count, ended = 1, False
    for token in tokens:
        turns = token_turns([token])
        count, ended = count + turns[ended], bool(turns[2 + ended])
    return count


def token_turns(tokens: Iterable[str]) -> tuple[int, int, int, int]:
    """What tokens do to a count: sentences begun and whether one has ended, if none had ended before, and if one had.

    In the order: begun if none had, begun if one had, ended if none had, ended if one had.

    >>> token_turns(["yes", "!"]), token_turns([")"])
    ((0, 1, 1, 1), (0, 0, 0, 1))
    """
    begun, ended = [0, 0], [0, 1]
    for token in tokens:
        if token in SPACY_MARKS:
            ended = [1, 1]
        elif not _is_punctuation(token):
            begun, ended = [begun[0] + ended[0], begun[1] + ended[1]], [0, 0]
    return begun[0], begun[1], ended[0], ended[1]


def _is_punctuation(token: str) -> bool:
    """As spaCy asks the running Python, whose Unicode version decides here."""
    return all(unicodedata.category(character)[0] == "P" for character in token)
