"""What `decontaminate` scores, slowly: the definition that the kernels equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from operators.code_point_tables import POINT_MASK
from operators.normal_text import normal_table
from operators.word_classes import DIGIT, EXTEND, KIND_MASK, code_point_values
from operators.words import split_words

Gram = tuple[str, ...]
INVISIBLE = ("\u00ad", "\u200c", "\u200d")


class Found(NamedTuple):
    """What a document has of the items."""

    words: int
    covered: int
    """Words inside an n-gram of an item."""
    hits: int
    """Distinct n-grams of items."""
    items: dict[int, int]
    """The items of which it has n-grams, and how many distinct ones."""


def normal_words(text: str) -> list[str]:
    r"""The words that are compared.

    >>> normal_words("The U.S. (in 3,000\u00a0words): don't--STOP!")
    ['the', 'us', 'in', '3000', 'words', 'do', 'nt', 'stop']
    """
    words = ("".join(normal_character(character) for character in word) for word in split_words(text))
    return [word for word in words if word]


def normal_character(character: str) -> str:
    """Its lower case; nothing of what is not part of a word."""
    kind = code_point_values()[ord(character)] & KIND_MASK
    is_kept = EXTEND <= kind <= DIGIT and character not in INVISIBLE
    return chr(int(normal_table()[ord(character)]) & POINT_MASK) if is_kept else ""


def grams_of(words: Sequence[str], ngram: int, min_words: int) -> list[Gram]:
    """The n-grams of an item in order; of a short one the whole, of one that is too short none.

    >>> grams_of(["a", "b", "c"], 2, 2), grams_of(["a", "b"], 3, 2), grams_of(["a"], 3, 2)
    ([('a', 'b'), ('b', 'c')], [('a', 'b')], [])
    """
    length = min(ngram, len(words))
    if length < min_words:
        return []
    return [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]


def item_sets(
    references: Sequence[Sequence[str]], ngram: int, min_words: int, max_items: int | None
) -> list[set[Gram]]:
    """The n-grams of each item, references one after another, but for those that too many of one reference have."""
    sets = [[set(grams_of(normal_words(text), ngram, min_words)) for text in texts] for texts in references]
    template: set[Gram] = set()
    for some in sets:
        counts: dict[Gram, int] = {}
        for grams in some:
            for gram in grams:
                counts[gram] = counts.get(gram, 0) + 1
        template |= {gram for gram, count in counts.items() if max_items is not None and count > max_items}
    return [grams - template for some in sets for grams in some]


def found_in(text: str, items: Sequence[set[Gram]]) -> Found:
    """What a document has of items."""
    words = normal_words(text)
    wanted = set().union(*items)
    covered: set[int] = set()
    held: set[Gram] = set()
    for length in {len(gram) for gram in wanted}:
        for at in range(len(words) - length + 1):
            gram = tuple(words[at : at + length])
            if gram in wanted:
                held.add(gram)
                covered.update(range(at, at + length))
    counts = {item: len(grams & held) for item, grams in enumerate(items) if grams & held}
    return Found(len(words), len(covered), len(held), counts)
