"""The scores of `gopher_repetition`, slowly: of a text and its words, from any tokenisation.

`operators/kernels/repetition.py` counts the same, which tests/operators/test_gopher_repetition.py shows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from operators.kernels.repetition import REPEATED, TOP

_PARAGRAPHS: Final = re.compile(r"\n{2,}")
_LINES: Final = re.compile(r"\n+")


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts are copies of an earlier one, and the characters of these copies.

    >>> duplicates(["ab", "c", "ab", "ab"])
    (2, 4)
    """
    seen: set[str] = set()
    copies = chars = 0
    for part in parts:
        if part in seen:
            copies += 1
            chars += len(part)
        seen.add(part)
    return copies, chars


def top_ngram_chars(words: Sequence[str], n: int) -> int:
    """Characters of the most frequent n-gram (of equally frequent ones the first), times its frequency.

    An n-gram is n words joined by a space; frequency 1 counts, so a text of one n-gram is all top n-gram.

    >>> top_ngram_chars(["a", "b", "a", "b"], 2), top_ngram_chars(["to", "be"], 2), top_ngram_chars(["a"], 2)
    (6, 5, 0)
    """
    counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    if not counts:
        return 0
    ngram, count = counts.most_common(1)[0]
    return len(ngram) * count


def repeated_ngram_chars(words: Sequence[str], n: int) -> int:
    """Characters of the n-grams that occurred before, read from the left, without overlap.

    An n-gram is n words without a separator; after a repeated one the reading goes on behind it.

    >>> repeated_ngram_chars(list("abcabcabc"), 3), repeated_ngram_chars(["ab", "c", "a", "bc"], 2)
    (6, 3)
    """
    seen: set[str] = set()
    chars = position = 0
    while position <= len(words) - n:
        ngram = "".join(words[position : position + n])
        if ngram in seen:
            chars += len(ngram)
            position += n
        else:
            seen.add(ngram)
            position += 1
    return chars


def repetition_scores(text: str, words: Sequence[str]) -> tuple[float, ...]:
    r"""All scores of a text whose words are given, in the order of the rules; zeros for the empty text.

    >>> repetition_scores("", [])[:3], repetition_scores("a\n\na\n\nb", ["a", "a", "b"])[1]
    ((0, 0.0, 0.0), 0.3333333333333333)
    """
    if not text:
        return (0, *[0.0] * (4 + len(TOP) + len(REPEATED)))
    paragraphs, lines = _PARAGRAPHS.split(text.strip()), _LINES.split(text)
    paragraph_copies, paragraph_chars = duplicates(paragraphs)
    line_copies, line_chars = duplicates(lines)
    return (
        len(text),
        paragraph_copies / len(paragraphs),
        paragraph_chars / len(text),
        line_copies / len(lines),
        line_chars / len(text),
        *(top_ngram_chars(words, n) / len(text) for n in TOP),
        *(repeated_ngram_chars(words, n) / len(text) for n in REPEATED),
    )
