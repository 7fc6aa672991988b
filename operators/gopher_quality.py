"""Drop documents that do not read like prose, by counts of words, symbols and lines (Gopher, Rae et al. 2021, A.1.1).

The decisions are those of datatrove 0.10 in its order, with its strictness and denominators, on the words of
`operators/words.py` in place of spaCy's; docs/rules.md has the names side by side and measures the difference. Unlike
there, 0 is a real bound here, not "off", and a score that has no denominator (no words, no lines) is null and passes.

The defaults fit English prose. For other languages, confine the stop words by
`stop_words_only: {column: lang, in: [en]}`, or ask for none by `min_stop_words: 0`. For scripts without spaces, where a
word is one character, use a step of their own with `only: {column: lang, in: [ja, th, zh]}` and
`min_mean_word_chars: 1`. Price: about 10 MB/s of a core.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Final, Literal, NamedTuple, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Judge, RecipeError, Rule
from operators.conditions import Condition
from operators.words import PUNCTUATION_SET, split_words

STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")
_ELLIPSES: Final = ("...", "\u2026")
_BULLETS: Final = ("\u2022", "-")


class QualityScores(NamedTuple):
    """The scores of one document; None where there is nothing to divide by, or where a condition does not hold."""

    num_words: int | None = None
    mean_word_length: float | None = None
    hash_ratio: float | None = None
    ellipsis_ratio: float | None = None
    bullet_ratio: float | None = None
    end_ellipsis_ratio: float | None = None
    alpha_ratio: float | None = None
    stop_words: int | None = None


_SCORES: Final[Columns] = {
    name: pa.int32() if name in ("num_words", "stop_words") else pa.float64() for name in QualityScores._fields
}


def without_symbols(words: Sequence[str]) -> list[str]:
    """The words that have a character outside PUNCTUATION_SET.

    >>> without_symbols(["well", "-", "3.14", "...", "C++"])
    ['well', '3.14', 'C++']
    """
    # No letter is in the set, so `isalpha` alone decides for most words.
    return [word for word in words if word.isalpha() or not PUNCTUATION_SET.issuperset(word)]


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
    return sum(word.isalpha() or any(map(str.isalpha, word)) for word in words) / len(words) if words else None


def num_stop_words(words: Collection[str], stop_words: Collection[str]) -> int:
    """How many different stop words occur, case-sensitive.

    >>> num_stop_words(["the", "The", "the", "of"], STOP_WORDS)
    2
    """
    return len(set(stop_words).intersection(words))


def quality_scores(text: str, words: Sequence[str], stop_words: Collection[str]) -> QualityScores:
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


class GopherQuality(Judge):
    """Judge a document by word counts, word length, symbols, line shapes and stop words."""

    kind: Literal["gopher_quality"] = "gopher_quality"
    variant: Literal["standard"] = Field(default="standard", description="whose words: our own, for every script")
    only: Condition = Field(default=Condition(), description="rows to judge; all others pass, with null scores")
    min_words: int = Field(default=50, ge=0, description="fewest words, symbols not counted")
    max_words: int = Field(default=100_000, ge=0, description="most words, symbols not counted")
    min_mean_word_chars: float = Field(default=3, ge=0, description="least mean length of a word, in code points")
    max_mean_word_chars: float = Field(default=10, ge=0, description="greatest mean length of a word, in code points")
    max_hash_ratio: float = Field(default=0.1, ge=0, description="most `#` per word; more than 1 is possible")
    max_ellipsis_ratio: float = Field(default=0.1, ge=0, description="most ellipses per word; more than 1 is possible")
    max_bullet_ratio: float = Field(default=0.9, ge=0, le=1, description="largest share of lines that begin as a list")
    max_end_ellipsis_ratio: float = Field(default=0.3, ge=0, le=1, description="largest share of lines ending in `...`")
    min_alpha_ratio: float = Field(default=0.8, ge=0, le=1, description="least share of words and marks with a letter")
    min_stop_words: int = Field(default=2, ge=0, description="fewest different stop words; 0 asks for none")
    stop_words: tuple[str, ...] = Field(default=STOP_WORDS, description="words that prose has, case-sensitive")
    stop_words_only: Condition = Field(
        default=Condition(), description="rows that need stop words; name your English rows in a mixed corpus"
    )

    verdict_only: ClassVar[frozenset[str]] = frozenset(
        {
            "min_words",
            "max_words",
            "min_mean_word_chars",
            "max_mean_word_chars",
            "max_hash_ratio",
            "max_ellipsis_ratio",
            "max_bullet_ratio",
            "max_end_ellipsis_ratio",
            "min_alpha_ratio",
            "min_stop_words",
        }
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        for least, most in (("min_words", "max_words"), ("min_mean_word_chars", "max_mean_word_chars")):
            if getattr(self, least) > getattr(self, most):
                given = f"{least} {getattr(self, least)} is above {most} {getattr(self, most)}"
                raise ValueError(f"{given}: no document could pass; lower {least} or raise {most}")
        if self.min_stop_words > len(set(self.stop_words)):
            given = f"min_stop_words is {self.min_stop_words} but stop_words has {len(set(self.stop_words))}"
            raise ValueError(f"{given} different words: no document could pass; lower it or list more words")
        return self

    def check(self) -> None:
        """Refuse stop words that the splitter never yields as one word."""
        for word in self.stop_words:
            if split_words(word) != [word]:
                parts = f"the splitter makes it {split_words(word)!r}"
                raise RecipeError(f"stop word {word!r} can never be found: {parts}; list single words")

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs(), **self.stop_words_only.needs()}

    @override
    def adds(self) -> Columns:
        return _SCORES

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("too_few_words", "num_words", low=self.min_words),
            Rule("too_many_words", "num_words", high=self.max_words),
            Rule("words_too_short", "mean_word_length", low=self.min_mean_word_chars),
            Rule("words_too_long", "mean_word_length", high=self.max_mean_word_chars),
            Rule("too_many_hashes", "hash_ratio", high=self.max_hash_ratio),
            Rule("too_many_ellipses", "ellipsis_ratio", high=self.max_ellipsis_ratio),
            Rule("too_many_bullets", "bullet_ratio", high=self.max_bullet_ratio),
            Rule("too_many_ellipsis_lines", "end_ellipsis_ratio", high=self.max_end_ellipsis_ratio),
            Rule("too_few_alphabetic_words", "alpha_ratio", low=self.min_alpha_ratio),
            Rule("too_few_stop_words", "stop_words", low=self.min_stop_words),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        def scores(text: str, is_judged: bool, needs_stop_words: bool) -> QualityScores:
            if not is_judged:
                return QualityScores()
            found = quality_scores(text, split_words(text), self.stop_words)
            return found if needs_stop_words else found._replace(stop_words=None)

        def apply(rows: pa.Table) -> pa.Table:
            conditions = self.only.holds(rows), self.stop_words_only.holds(rows)
            texts = (text or "" for text in rows["text"].to_pylist())
            found = [scores(*row) for row in zip(texts, *conditions, strict=True)]
            columns = zip(*found, strict=True) if found else [()] * len(_SCORES)
            return pa.table(
                {name: pa.array(column, kind) for (name, kind), column in zip(_SCORES.items(), columns, strict=True)}
            )

        return apply
