"""The scores of `gopher_quality`, slowly: of a text and its words, from any tokenisation.

`operators/kernels/quality.py` counts the same, which tests/operators/test_gopher_quality.py shows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from operators.gopher_quality import STOP_WORDS
from operators.word_classes import is_letter
from operators.words import PUNCTUATION_SET

_ELLIPSES: Final = ("...", "\u2026")
_BULLETS: Final = ("\u2022", "-")


class QualityScores(NamedTuple):
    """The scores of one document; None where there is nothing to divide by."""

    num_words: int
    mean_word_length: float | None
    hash_ratio: float | None
    ellipsis_ratio: float | None
    bullet_ratio: float | None
    end_ellipsis_ratio: float | None
    alpha_ratio: float | None
    stop_words: int


def without_symbols(words: Sequence[str]) -> list[str]:
    """The words that have a character outside PUNCTUATION_SET.

    >>> without_symbols(["well", "-", "3.14", "...", "C++"])
    ['well', '3.14', 'C++']
    """
    return [word for word in words if not PUNCTUATION_SET.issuperset(word)]


def mean_length(words: Sequence[str]) -> float | None:
    """Code points per word.

    >>> mean_length(["a", "bcd"]), mean_length([])
    (2.0, None)
    """
    return sum(map(len, words)) / len(words) if words else None


def symbol_ratio(text: str, symbols: Sequence[str], num_words: int) -> float | None:
    r"""Occurrences of the symbols in the text, without overlap, per word; more than 1 is possible.

    >>> symbol_ratio("# a ##", ("#",), 4), symbol_ratio("....... \u2026", ("...", "\u2026"), 2)
    (0.75, 1.5)
    >>> symbol_ratio("", ("#",), 0) is None
    True
    """
    return sum(map(text.count, symbols)) / num_words if num_words else None


def bullet_ratio(lines: Sequence[str]) -> float | None:
    """The share of lines that begin, after white space, with a bullet or a hyphen.

    >>> bullet_ratio(["- a", "  - b", "", "c"])
    0.5
    """
    return sum(line.lstrip().startswith(_BULLETS) for line in lines) / len(lines) if lines else None


def end_ellipsis_ratio(lines: Sequence[str]) -> float | None:
    r"""The share of lines that end, before white space, with an ellipsis.

    >>> end_ellipsis_ratio(["read on...", "more \u2026 ", "", "end."])
    0.5
    """
    return sum(line.rstrip().endswith(_ELLIPSES) for line in lines) / len(lines) if lines else None


def alpha_ratio(words: Sequence[str]) -> float | None:
    """The share of all words, punctuation marks among them, that have a letter.

    >>> alpha_ratio(["x1", ",", "42", "ok"])
    0.5
    """
    return sum(any(map(is_letter, word)) for word in words) / len(words) if words else None


def num_stop_words(words: Collection[str], stop_words: Collection[str]) -> int:
    """How many different stop words occur, case-sensitive.

    >>> num_stop_words(["the", "The", "the", "of"], STOP_WORDS)
    2
    """
    return len(set(stop_words).intersection(words))


def quality_scores(text: str, words: Sequence[str], stop_words: Collection[str] = STOP_WORDS) -> QualityScores:
    """All scores of a text whose words are given: from any tokenisation.

    >>> quality_scores("", [], STOP_WORDS).num_words
    0
    """
    real, lines = without_symbols(words), text.splitlines()
    return QualityScores(
        num_words=len(real),
        mean_word_length=mean_length(real),
        hash_ratio=symbol_ratio(text, ("#",), len(words)),
        ellipsis_ratio=symbol_ratio(text, _ELLIPSES, len(words)),
        bullet_ratio=bullet_ratio(lines),
        end_ellipsis_ratio=end_ellipsis_ratio(lines),
        alpha_ratio=alpha_ratio(words),
        stop_words=num_stop_words(words, stop_words),
    )
