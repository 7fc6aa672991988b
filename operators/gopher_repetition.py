"""Drop documents that repeat themselves, by paragraphs, lines and word n-grams (Gopher, Rae et al. 2021, table A1).

The decisions are those of datatrove 0.10 in its order: with `variant: datatrove-0.10` document by document on spaCy's
words (`pip install 'vocabmill[parity]'`), with `standard` on those of `operators/words.py`; see docs/rules.md. All
shares of characters are of the raw text's length in code points, so that two of them may exceed 1: n-grams that overlap
are counted as often as they occur. A document without text is dropped as `empty_text`.

Price: 53 to 74 MB a CPU-second besides the words, which one scan finds for all steps (`operators/scans.py`).
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Judge, Rule
from operators.scans import Scan, hash_seeds, kernel_table
from operators.text_buffers import column_bytes
from operators.word_variant import WordVariant

TOP: Final = (2, 3, 4)
REPEATED: Final = (5, 6, 7, 8, 9, 10)

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


def _share(default: float, what: str) -> float:
    """A threshold: the largest share that passes."""
    bound: float = Field(default=default, ge=0, description=f"largest share {what}")
    return bound


class GopherRepetition(WordVariant, Judge):
    """Judge a document by its repeated paragraphs, lines and word n-grams."""

    kind: Literal["gopher_repetition"] = "gopher_repetition"
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
    def adds(self) -> Columns:
        return {score: pa.int64() if score == "num_chars" else pa.float64() for score, _ in _SCORES}

    @override
    def rules(self) -> tuple[Rule, ...]:
        empty = Rule("empty_text", "num_chars", low=1)
        return empty, *(Rule(rule, score, high=getattr(self, f"max_{score}")) for score, rule in _SCORES[1:])

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            judged = np.array(self.only.holds(rows), bool)
            texts = rows["text"] if judged.all() else rows["text"].filter(pa.array(judged))
            scan = self.scan(texts)
            values = np.zeros((len(judged), len(_SCORES)))
            values[judged] = repetition_scores(texts, scan)
            columns = zip(self.adds().items(), values.T, strict=True)
            return pa.table({name: pa.array(column, mask=~judged).cast(kind) for (name, kind), column in columns})

        return apply


def repetition_scores(texts: pa.ChunkedArray, scan: Scan) -> NDArray[np.float64]:
    """All scores of texts, in the order of the rules (texts, scores); zeros for the empty text."""
    from operators.kernels.repetition import counted

    data, offsets = column_bytes(texts.fill_null(""))
    padded = np.concatenate([scan.word_bytes, np.zeros(8, np.uint8)])
    counts = counted(
        data, offsets, scan.token_starts, scan.tokens, padded, scan.word_starts, scan.word_chars, kernel_table(),
        hash_seeds(),
    )  # fmt: skip
    paragraphs, lines, chars = counts[:, 0], counts[:, 3], scan.num_chars
    amounts = np.delete(counts, (0, 3), axis=1)
    among = np.column_stack([paragraphs, chars, lines, *[chars] * (amounts.shape[1] - 3)])
    return np.column_stack([chars, amounts / np.maximum(among, 1)])
