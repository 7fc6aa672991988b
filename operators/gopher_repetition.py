"""Drop documents that repeat themselves, by paragraphs, lines and word n-grams (Gopher, Rae et al. 2021, table A1).

The decisions are those of datatrove 0.10 in its order, on the words of `operators/words.py` in place of spaCy's; see
docs/rules.md. All shares of characters are of the raw text's length in code points, so that two of them may exceed 1:
n-grams that overlap are counted as often as they occur. A document without text is dropped as `empty_text`.

Each rule is a plain function here; the n-gram rules have a second form that looks only at n-grams whose 64-bit
fingerprint falls into a shared bucket, then compares the strings. It gives the same numbers whatever the fingerprints
are: they only save work. Price: 3.5 MB/s of a core with tokenisation, 2 MB/s where texts have 250 bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Judge, Rule
from operators.conditions import Condition
from operators.words import split_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TOP: Final = (2, 3, 4)
REPEATED: Final = (5, 6, 7, 8, 9, 10)
_PARAGRAPHS: Final = re.compile(r"\n{2,}")
_LINES: Final = re.compile(r"\n+")
_BASE: Final = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE: Final = pow(_BASE, -1, 1 << 64)
_MAX_BUCKET_BITS: Final = 22  # 32 MB of counters: more buckets would save comparisons only in texts above 2 MB

_SCORES: Final = (
    ("num_chars", "empty_text"),
    ("dup_paragraph_ratio", "duplicate_paragraphs"),
    ("dup_paragraph_char_ratio", "duplicate_paragraph_characters"),
    ("dup_line_ratio", "duplicate_lines"),
    ("dup_line_char_ratio", "duplicate_line_characters"),
    *((f"top_{n}_gram_ratio", f"frequent_{n}_gram") for n in TOP),
    *((f"dup_{n}_gram_ratio", f"repeated_{n}_grams") for n in REPEATED),
)
"""Every score with its rule's name, in the order of the rules."""


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


class NgramIndex:
    """The n-grams of one word list that may occur twice: the fast form of the two functions above, and equal to them.

    An n-gram's fingerprint is the polynomial sum of its code points, spaces left out, modulo 2^64. Equal n-grams have
    equal fingerprints, with or without separators, so an n-gram alone in its bucket occurs once.

    >>> index = NgramIndex(list("abcabcabc"))
    >>> index.top_ngram_chars(3) == top_ngram_chars(list("abcabcabc"), 3), index.repeated_ngram_chars(3)
    (True, 6)
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Fingerprint every prefix of the words once: 16 bytes for each character."""
        self._num_words = len(words)
        self._joined = "".join(words)
        self._spaced = " ".join(words)
        self._starts = [0, *accumulate(map(len, words))]
        self._prefixes, self._inverses = _prefix_sums(words)

    def top_ngram_chars(self, n: int) -> int:
        """As the function of that name."""
        if self._num_words < n:
            return 0
        counts = Counter(ngram for _, ngram in self._shared(n, self._spaced, 1))
        best = max(counts.values(), default=1)
        if best == 1:
            return self._starts[n] + n - 1
        return best * next(len(ngram) for ngram, count in counts.items() if count == best)

    def repeated_ngram_chars(self, n: int) -> int:
        """As the function of that name."""
        seen: set[str] = set()
        chars = resume = 0
        for position, ngram in self._shared(n, self._joined, 0):
            if position < resume:
                continue
            if ngram in seen:
                chars += len(ngram)
                resume = position + n
            else:
                seen.add(ngram)
        return chars

    def _shared(self, n: int, joined: str, num_separators: int) -> Iterator[tuple[int, str]]:
        """Positions, ascending, of the n-grams that share a bucket, with the n-gram itself."""
        import numpy as np

        count = self._num_words - n + 1
        if count < 2:
            return
        fingerprints = (self._prefixes[n:] - self._prefixes[:-n]) * self._inverses[:count]
        bits = min(max(8, (count * 8).bit_length()), _MAX_BUCKET_BITS)
        buckets = (fingerprints >> np.uint64(64 - bits)).astype(np.int64)
        starts = self._starts
        for position in np.flatnonzero(np.bincount(buckets)[buckets] > 1).tolist():
            begin = starts[position] + position * num_separators
            end = starts[position + n] + (position + n - 1) * num_separators
            yield position, joined[begin:end]


def _prefix_sums(words: Sequence[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The polynomial sum of all code points before each word, and the inverse power of the base at each word."""
    import numpy as np

    joined = "".join(words)
    if " " in joined:
        words = [word.replace(" ", "") for word in words]
        joined = joined.replace(" ", "")
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    starts = np.zeros(len(words) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * _powers(_BASE, len(codes)), out=sums[1:])
    inverse = np.ones(len(words) + 1, np.uint64)
    if len(words):
        np.cumprod(_powers(_INVERSE, int(lengths.max()) + 1)[lengths], out=inverse[1:])
    return sums[starts], inverse


def _powers(base: int, count: int) -> npt.NDArray[np.uint64]:
    """The first powers of a base modulo 2^64, from the zeroth."""
    import numpy as np

    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, out=powers)


def repetition_scores(text: str, words: Sequence[str]) -> tuple[float, ...]:
    r"""All scores of a text whose words are given, in the order of the rules; zeros for the empty text.

    >>> repetition_scores("", [])[:3], repetition_scores("a\n\na\n\nb", ["a", "a", "b"])[1]
    ((0, 0.0, 0.0), 0.3333333333333333)
    """
    if not text:
        return (0, *[0.0] * (len(_SCORES) - 1))
    paragraphs, lines = _PARAGRAPHS.split(text.strip()), _LINES.split(text)
    paragraph_copies, paragraph_chars = duplicates(paragraphs)
    line_copies, line_chars = duplicates(lines)
    index = NgramIndex(words)
    return (
        len(text),
        paragraph_copies / len(paragraphs),
        paragraph_chars / len(text),
        line_copies / len(lines),
        line_chars / len(text),
        *(index.top_ngram_chars(n) / len(text) for n in TOP),
        *(index.repeated_ngram_chars(n) / len(text) for n in REPEATED),
    )


def _share(default: float, what: str) -> float:
    """A threshold: the largest share that passes."""
    bound: float = Field(default=default, ge=0, description=f"largest share {what}")
    return bound


class GopherRepetition(Judge):
    """Judge a document by its repeated paragraphs, lines and word n-grams."""

    kind: Literal["gopher_repetition"] = "gopher_repetition"
    variant: Literal["standard"] = Field(default="standard", description="whose words: our own, for every script")
    only: Condition = Field(default=Condition(), description="rows to judge; all others pass, with null scores")
    max_dup_paragraph_ratio: float = _share(0.3, "of paragraphs that are copies of an earlier one")
    max_dup_paragraph_char_ratio: float = _share(0.2, "of characters in such paragraphs")
    max_dup_line_ratio: float = _share(0.3, "of lines that are copies of an earlier one")
    max_dup_line_char_ratio: float = _share(0.2, "of characters in such lines")
    max_top_2_gram_ratio: float = _share(0.20, "of characters in the most frequent 2 words in a row")
    max_top_3_gram_ratio: float = _share(0.18, "of characters in the most frequent 3 words in a row")
    max_top_4_gram_ratio: float = _share(0.16, "of characters in the most frequent 4 words in a row")
    max_dup_5_gram_ratio: float = _share(0.15, "of characters in 5 words in a row that occurred before")
    max_dup_6_gram_ratio: float = _share(0.14, "of characters in 6 words in a row that occurred before")
    max_dup_7_gram_ratio: float = _share(0.13, "of characters in 7 words in a row that occurred before")
    max_dup_8_gram_ratio: float = _share(0.12, "of characters in 8 words in a row that occurred before")
    max_dup_9_gram_ratio: float = _share(0.11, "of characters in 9 words in a row that occurred before")
    max_dup_10_gram_ratio: float = _share(0.10, "of characters in 10 words in a row that occurred before")

    verdict_only: ClassVar[frozenset[str]] = frozenset(f"max_{score}" for score, _ in _SCORES[1:])

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs()}

    @override
    def adds(self) -> Columns:
        return {score: pa.int64() if score == "num_chars" else pa.float64() for score, _ in _SCORES}

    @override
    def rules(self) -> tuple[Rule, ...]:
        empty = Rule("empty_text", "num_chars", low=1)
        return empty, *(Rule(rule, score, high=getattr(self, f"max_{score}")) for score, rule in _SCORES[1:])

    @override
    def bind(self, context: Context) -> BatchFn:
        absent = (None,) * len(_SCORES)

        def apply(rows: pa.Table) -> pa.Table:
            texts = (text or "" for text in rows["text"].to_pylist())
            found = [
                repetition_scores(text, split_words(text)) if is_judged else absent
                for text, is_judged in zip(texts, self.only.holds(rows), strict=True)
            ]
            columns = zip(*found, strict=True) if found else [()] * len(_SCORES)
            types = self.adds().items()
            return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(types, columns, strict=True)})

        return apply
