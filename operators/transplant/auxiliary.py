"""Vectors in which new tokens can be compared with shared ones: trained on text, or rows of another model's table.

Every new token that has one has a vector here, shared tokens among them: that is what the methods of `similar.py` look
at. The old model's own vectors are never compared with these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.base import DataError, RunError
from operators.kernels.token_vectors import Parts, Settings, Text, fit, ngram_parts, ngrams
from operators.text_tokens import text_encoder
from operators.transplant.matching import match
from operators.transplant.vocabularies import TokenForms
from operators.transplant.weights import Floats, Marks

if TYPE_CHECKING:
    from operators.embedding.encoders import Encoder

MIN_COUNT: Final = 10
"""Rarer tokens have no row of their own (FOCUS trains with 10)."""


@dataclass(frozen=True)
class Auxiliary:
    """A vector for each new token that has one."""

    vectors: Floats
    """float32[new ids, k]; zeros where there is none."""
    has: NDArray[np.bool_]
    """Which new ids have a vector that is not zero."""
    frequent: NDArray[np.bool_]
    """Which of them may be what others are made of: rare tokens' vectors are of their n-grams alone."""
    counts: NDArray[np.int64]
    """How often each stands in the text; zeros where the vectors come from no text."""

    def unit(self) -> Floats:
        """The vectors at length 1."""
        return unit(self.vectors)


def unit(vectors: Floats) -> Floats:
    """Rows at length 1; zeros stay."""
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    found: Floats = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found


def trained(
    texts: pa.LargeStringArray,
    tokenizer_json: bytes,
    target: TokenForms,
    settings: Settings,
    min_count: int = MIN_COUNT,
) -> Auxiliary:
    """Vectors from text cut by the new tokenizer (`kernels/token_vectors.py`).

    Args:
        texts: documents in the order of training.
        tokenizer_json: the new tokenizer.
        target: its tokens.
        settings: how to train.
        min_count: what a token must occur to have a row of its own; a rarer one gets the mean of the n-grams that it
            shares with others.

    Raises RunError where no token is as frequent.
    """
    tokens = text_encoder(tokenizer_json, "target")(texts)
    counts = np.bincount(tokens.ids, minlength=len(target)).astype(np.int64)[: len(target)]
    words = np.flatnonzero((counts >= min_count) & target.is_text)
    if not words.size:
        read = f"{len(texts)} document{'' if len(texts) == 1 else 's'}"
        msg = f"no token occurs {min_count} times in {read}: give init_embeddings more text, or a smaller min_count"
        raise RunError(msg)
    number = np.full(len(target), -1, np.int32)
    number[words] = np.arange(words.size)
    spelled = number[tokens.ids]
    kept = spelled >= 0
    starts = np.concatenate([[0], np.cumsum(kept)])[tokens.starts]
    parts, rows = ngram_parts([target.forms[word] for word in words.tolist()])
    learned, _ = fit(Text(spelled[kept], starts.astype(np.int64)), parts, counts[words], settings)
    vectors = np.zeros((len(target), settings.dim), np.float32)
    vectors[words] = _means(learned, parts)
    for token in np.flatnonzero(target.is_text & (number < 0)).tolist():
        known = [rows[gram] for gram in ngrams(target.forms[token]) if gram in rows]
        if known:
            vectors[token] = learned[known].mean(axis=0, dtype=np.float64)
    return Auxiliary(vectors, _is_there(vectors), number >= 0, counts)


def of_donor(donor: TokenForms, table: Floats, target: TokenForms) -> Auxiliary:
    """The rows of another model that has (most of) the new tokens, matched in bytes; special tokens have none.

    Raises DataError where it has none of them.
    """
    matches = match(donor, target)
    tokens = matches.text()
    if not tokens.size:
        msg = "the donor's tokenizer shares no token with the new one: expected the model whose tokenizer it is"
        raise DataError(msg)
    vectors = np.zeros((len(target), table.shape[1]), np.float32)
    vectors[tokens] = table[matches.old[tokens]]
    has = _is_there(vectors)
    return Auxiliary(vectors, has, has, np.zeros(len(target), np.int64))


def joined(first: Auxiliary, second: Auxiliary, share: float = 0.5) -> Auxiliary:
    """Both side by side, so that a cosine is `1 - share` of the first's and `share` of the second's.

    A token that lacks one of the two is compared by the other alone, against tokens that have both.
    """
    parts = [one.unit() * np.float32(np.sqrt(weight)) for one, weight in ((first, 1 - share), (second, share))]
    frequent = first.frequent & second.has
    return Auxiliary(np.concatenate(parts, axis=1), first.has | second.has, frequent, first.counts)


def of_strings(encoder: Encoder, target: TokenForms) -> Auxiliary:
    """What an encoder of texts makes of each token's own text, without the space before it.

    Parts of characters have none. Such vectors mostly find the same text in another case or spacing.
    """
    tokens = np.array([number for number, form in enumerate(target.forms) if _text(form)], np.int64)
    strings = pa.chunked_array([strings_of(target, tokens.tolist())])
    names = pa.chunked_array([[str(token) for token in tokens.tolist()]], pa.string())
    found = encoder.encode(strings, names)
    vectors = np.zeros((len(target), encoder.dimension), np.float32)
    vectors[tokens] = found
    has = _is_there(vectors)
    return Auxiliary(vectors, has, has, np.zeros(len(target), np.int64))


def strings_of(target: TokenForms, tokens: Sequence[int]) -> pa.LargeStringArray:
    """The text of tokens without white space around it; "" for parts of characters."""
    return pa.array([_text(target.forms[token]) for token in tokens], pa.large_string())


def _text(form: bytes) -> str:
    try:
        return form.decode().strip()
    except UnicodeDecodeError:
        return ""


def _is_there(vectors: Floats) -> Marks:
    found: Marks = (vectors != 0).any(axis=1)
    return found


def _means(rows: Floats, parts: Parts) -> Floats:
    """The mean of each word's rows, added up in order."""
    sums = np.add.reduceat(rows[parts.rows].astype(np.float64), parts.starts[:-1], axis=0)
    means: Floats = (sums / np.diff(parts.starts)[:, None]).astype(np.float32)
    return means
