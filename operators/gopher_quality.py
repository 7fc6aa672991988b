"""Drop documents that do not read like prose, by counts of words, symbols and lines (Gopher, Rae et al. 2021, A.1.1).

The decisions are those of datatrove 0.10 in its order, with its strictness and denominators: with `variant:
datatrove-0.10` document by document on spaCy's words (`pip install 'vocabmill[parity]'`), with `standard` on those of
`operators/words.py`; docs/rules.md has the names side by side and measures the difference. Unlike there, 0 is a real
bound here, not "off", and a score that has no denominator (no words, no lines) is null and passes.

The defaults fit English prose. For other languages, confine the stop words by
`stop_words_only: {column: lang, in: [en]}`, or ask for none by `min_stop_words: 0`. For scripts without spaces, where a
word is one character, use a step of their own with `only: {column: lang, in: [ja, th, zh]}` and
`min_mean_word_chars: 1`.

A letter is what the pinned table of `operators/word_classes.py` says, where the reference asks its Python. Price: 250
to 400 MB a CPU-second besides the words, which one scan finds for all steps (`operators/scans.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Judge, RecipeError, Rule
from operators.conditions import Condition
from operators.scans import Scan, kernel_table
from operators.text_buffers import column_bytes
from operators.word_variant import WordVariant
from operators.words import split_words

STOP_WORDS: Final = ("the", "be", "to", "of", "and", "that", "have", "with")
_NUM_COUNTS: Final = 10  # those of `kernels.quality`, which is slow to import
_SCORES: Final[Columns] = {
    "num_words": pa.int32(),
    "mean_word_length": pa.float64(),
    "hash_ratio": pa.float64(),
    "ellipsis_ratio": pa.float64(),
    "bullet_ratio": pa.float64(),
    "end_ellipsis_ratio": pa.float64(),
    "alpha_ratio": pa.float64(),
    "stop_words": pa.int32(),
}


class GopherQuality(WordVariant, Judge):
    """Judge a document by word counts, word length, symbols, line shapes and stop words."""

    revision: ClassVar[int] = 2  # letters by the pinned table: those newer than the running Python count too

    kind: Literal["gopher_quality"] = "gopher_quality"
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

    @override
    def check(self) -> None:
        """Refuse stop words that no text has as one word, and spaCy's words where it is not installed."""
        super().check()
        split = split_words
        if self.variant != "standard":
            from operators.reference_words import spacy_text_words

            split = spacy_text_words
        for word in set(self.stop_words).difference(STOP_WORDS):  # to load spaCy takes its time
            if split(word) != [word]:
                parts = f"the splitter makes it {split(word)!r}"
                raise RecipeError(f"stop word {word!r} can never be found: {parts}; list single words")

    @override
    def needs(self) -> Columns:
        return {**super().needs(), **self.stop_words_only.needs()}

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
        def apply(rows: pa.Table) -> pa.Table:
            judged, asked = (np.array(only.holds(rows), bool) for only in (self.only, self.stop_words_only))
            counts = np.zeros((len(judged), _NUM_COUNTS), np.int64)
            texts = rows["text"] if judged.all() else rows["text"].filter(pa.array(judged))
            counts[judged] = quality_counts(texts, self.scan(texts), self.stop_words)
            return _scores(counts, judged, asked)

        return apply


def quality_counts(texts: pa.ChunkedArray, scan: Scan, stop_words: Sequence[str]) -> NDArray[np.int64]:
    """What the scores are made of, for each text: the columns `kernels.quality.COUNTS`."""
    from operators.kernels.quality import coded, counted

    data, offsets = column_bytes(texts.fill_null(""))
    different = pa.array(dict.fromkeys(word.encode() for word in stop_words), pa.large_binary())
    found = pc.index_in(scan.distinct_words(), different)
    numbers = found.fill_null(-1).to_numpy().astype(np.int32)
    codes = coded(scan.word_chars, scan.word_flags, numbers)
    counts: NDArray[np.int64] = counted(
        data, offsets, scan.token_starts, scan.tokens, scan.word_chars, codes, numbers, len(different), kernel_table()
    )
    return counts


def _scores(counts: NDArray[np.int64], judged: NDArray[np.bool_], asked: NDArray[np.bool_]) -> pa.Table:
    """The scores from what was counted; null where a row is not judged, or there is nothing to divide by."""
    words, plain, plain_chars, letters, stop_words, hashes, ellipses, lines, bullets, ends = counts.T

    def share(of: NDArray[np.int64], among: NDArray[np.int64]) -> pa.Array:
        return pa.array(of / np.maximum(among, 1), pa.float64(), mask=~judged | (among == 0))

    return pa.table(
        {
            "num_words": pa.array(plain, pa.int32(), mask=~judged),
            "mean_word_length": share(plain_chars, plain),
            "hash_ratio": share(hashes, words),
            "ellipsis_ratio": share(ellipses, words),
            "bullet_ratio": share(bullets, lines),
            "end_ellipsis_ratio": share(ends, lines),
            "alpha_ratio": share(letters, words),
            "stop_words": pa.array(stop_words, pa.int32(), mask=~(judged & asked)),
        }
    )
