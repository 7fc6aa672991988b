r"""The reference's words: its normal form of a text for MinHash, cut by spaCy's English tokenizer.

What datatrove 0.10.1 does, in this order: lower case; every run of decimal digits, with one of `. ,` U+060C U+066B
U+2396 U+2397 U+2398 inside, becomes `0`; its punctuation marks become spaces; white space is collapsed; accents go
(canonical decomposition without category Mn). Its words are spaCy's tokens, stripped, empty ones left out.

Needs the optional extra `parity` (spaCy 3.8.18). Price: 0.6 MB of text a second, shingles included.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from operators.base import RecipeError
from operators.words import PUNCTUATION

_NUMBER: Final = r"\p{Nd}+(?:[.,\u060C\u066B\u2396\u2397\u2398]\p{Nd}+)?"
_SPACE: Final = re.compile(r"\s+")
_TO_SPACE: Final = str.maketrans(dict.fromkeys(PUNCTUATION, " "))


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
    english = _english()
    with english.memory_zone():  # else spaCy keeps every word that it ever saw
        stripped = [token.text.strip() for token in english.tokenizer(datatrove_normal(text))]
    return [word for word in stripped if word]


def require_tokenizer() -> None:
    """RecipeError where spaCy is not installed. Looks for it and imports nothing."""
    if find_spec("spacy") is None:
        raise RecipeError("the words of datatrove need spaCy, which is not installed: pip install 'vocabmill[parity]'")


@cache
def _english() -> Any:  # noqa: ANN401 - spaCy ships no types and is not always installed
    require_tokenizer()
    import spacy

    return spacy.blank("en")
