r"""The reference's words: spaCy's English tokens, of a text as it is and of its normal form for MinHash.

What datatrove 0.10.1 does for MinHash, in this order: lower case; every run of decimal digits, with one of `. ,` U+060C
U+066B U+2396 U+2397 U+2398 inside, becomes `0`; its punctuation marks become spaces; white space is collapsed; accents
go (canonical decomposition without category Mn). Its words are spaCy's tokens, stripped, empty ones left out.

spaCy cuts each chunk between white space by itself, so the words of a text are those of its chunks, one after the
other, but for two things: where operators/special_cases.py says that neighbours meet, and in texts with the word
`IS_ALPHA`. On that one spaCy fails from the second time on, and datatrove then takes it out of the text everywhere,
also inside longer words. Here it does so the first time too: what a text's words are must not hang on earlier texts.

Needs the optional extra `parity` (spaCy 3.8.18). Price: 0.6 MB of text a second, shingles included; `spacy_words` cuts
60,000 different chunks of prose or code a second.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from operators.base import RecipeError
from operators.special_cases import Neighbours
from operators.words import PUNCTUATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

_NUMBER: Final = r"\p{Nd}+(?:[.,\u060C\u066B\u2396\u2397\u2398]\p{Nd}+)?"
_SPACE: Final = re.compile(r"\s+")
_TO_SPACE: Final = str.maketrans(dict.fromkeys(PUNCTUATION, " "))
_LETTERS: Final = re.compile(r"[A-Za-z]+")
BROKEN: Final = "IS_ALPHA"
"""What spaCy stumbles over."""
_AT_ONCE: Final = 5_000
"""Chunks in one of spaCy's documents."""


def datatrove_normal(text: str) -> str:
    r"""The reference's normal form.

    >>> datatrove_normal("Caf\u00e9 prices rose 3.5% on 12/05/2024")
    'cafe prices rose 0 on 0 0 0'
    """
    import regex

    text = regex.sub(_NUMBER, "0", text.lower()).translate(_TO_SPACE)
    text = _SPACE.sub(" ", text.strip())
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if unicodedata.category(character) != "Mn").strip()


def datatrove_words(text: str) -> list[str]:
    """The words of a text's normal form. RecipeError where spaCy is not installed."""
    return spacy_text_words(datatrove_normal(text))


def spacy_text_words(text: str) -> list[str]:
    """The words of a whole text. RecipeError where spaCy is not installed."""
    return [stripped for token in spacy_tokens(text) if (stripped := token.strip())]


def spacy_tokens(text: str) -> list[str]:
    """The tokens of a whole text, white space that is one among them. RecipeError where spaCy is not installed."""
    english = _english()
    with english.memory_zone():  # else spaCy keeps every word that it ever saw
        tokens = [token.text for token in english.tokenizer(text)]
    return spacy_tokens(text.replace(BROKEN, "")) if BROKEN in tokens else tokens


def spacy_words(chunks: Sequence[str]) -> list[list[str]]:
    """The words of each chunk, a piece of `str.split`, as of a text alone. RecipeError where spaCy is not installed.

    The words of a text are those of its chunks, one after the other, unless two neighbouring ones may meet by
    `spacy_edges` or the text holds `BROKEN`: then `spacy_text_words` has to cut the whole text.
    """
    special = _english().tokenizer.rules
    words = [[chunk] if chunk else [] for chunk in chunks]
    # No rule of spaCy's looks into letters alone, and they are most of a text.
    rest = [at for at, chunk in enumerate(chunks) if chunk and (chunk in special or not _LETTERS.fullmatch(chunk))]
    for start in range(0, len(rest), _AT_ONCE):
        places = rest[start : start + _AT_ONCE]
        for place, found in zip(places, _cut([chunks[place] for place in places]), strict=True):
            words[place] = found
    return words


def spacy_edges(chunks: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Two masks for each chunk: chunk a and chunk b after it may meet where `right[a] & left[b]` is not 0."""
    import numpy as np

    neighbours = _neighbours()
    right = np.array([neighbours.right(chunk) for chunk in chunks], np.uint64)
    return right, np.array([neighbours.left(chunk) for chunk in chunks], np.uint64)


def require_tokenizer() -> None:
    """RecipeError where spaCy is not installed. Looks for it and imports nothing."""
    if find_spec("spacy") is None:
        raise RecipeError("the words of datatrove need spaCy, which is not installed: pip install 'vocabmill[parity]'")


def _cut(chunks: Sequence[str]) -> Iterator[list[str]]:
    """A line feed is a token of its own and in no special case: between two chunks it keeps them apart."""
    words: list[str] = []
    english = _english()
    with english.memory_zone():
        for token in english.tokenizer("\n".join(chunks)):
            if token.text == "\n":
                yield words
                words = []
            else:
                words.append(token.text)
    yield words


@cache
def _english() -> Any:  # noqa: ANN401 - spaCy ships no types and is not always installed
    require_tokenizer()
    import spacy

    english = spacy.blank("en")
    _ = english.vocab[BROKEN]  # made outside of a memory zone it is not forgotten at a zone's end, and never missed
    return english


@cache
def _neighbours() -> Neighbours:
    """Of the special cases that spaCy looks for in its tokens: those that its rules for marks would cut."""
    from spacy.tokenizer import Tokenizer

    english = _english()
    cutter = english.tokenizer
    rules = {name: getattr(cutter, name) for name in ("prefix_search", "suffix_search", "infix_finditer", "url_match")}
    plain = Tokenizer(english.vocab, rules=None, **rules)

    def is_sought(case: str) -> bool:
        return bool(cutter.find_prefix(case) or cutter.find_infix(case) or cutter.find_suffix(case))

    cut = {case: tuple(token.text for token in plain(case)) for case in cutter.rules if is_sought(case)}
    kept = {case: tuple(token.text for token in cutter(case)) for case in cut}
    return Neighbours.of(cut, kept, frozenset(cutter.rules))
