"""Texts as token ids: by our own kernels for byte-level BPE, else by `tokenizers`, with equal ids.

The fast way cuts a few MB of text into pre-tokens, encodes each distinct one once, and puts the ids together. Added
tokens that stand in the text are found as `tokenizers` finds them. What a tokenizer's post-processor would put around a
text is not added, and nothing is truncated.

Price on one core, 48,000 tokens: see docs/length-buckets.md. Memory: about ten times the text of one slice, which is
4 MB or one document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators import tokenizer_sources
from operators.base import DataError, RecipeError
from operators.chosen_tokenizer import added_patterns, cutting_of, normaliser
from operators.text_buffers import joined_bytes
from operators.vocabulary import PieceEncoder, Vocabulary

SLICE_BYTES: Final = 4 << 20

Longs = NDArray[np.int64]


class Tokens(NamedTuple):
    """The tokens of some texts, one text after another."""

    ids: NDArray[np.int32]
    starts: Longs
    """(texts + 1) Where each text begins in `ids`, with the end of the last."""


class TextEncoder(Protocol):
    """Encodes texts by one tokenizer."""

    name: str
    """What does it: `vocabmill` or `tokenizers`."""
    num_ids: int
    """One more than the largest id."""
    added: Mapping[str, int]
    """The ids of the added tokens."""

    def __call__(self, texts: pa.LargeStringArray, end: int | None = None) -> Tokens:
        """The tokens of texts, none null, and after each text the token `end`, if it is one."""


def text_encoder(content: bytes, name: str, patterns: tuple[str, ...] = ()) -> TextEncoder:
    """The encoder for a tokenizer's file.

    Args:
        content: of a `tokenizer.json`, or of a rank file.
        name: what errors call it.
        patterns: what text is cut by with a rank file.

    Raises RecipeError where it is no tokenizer.
    """
    try:
        vocabulary = tokenizer_sources.parse(content, name, patterns)
    except DataError:
        if tokenizer_sources.is_tokenizer_json(content):
            return LibraryEncoder(content, name)
        raise
    return KernelEncoder(vocabulary) if _is_plain(vocabulary) else LibraryEncoder(content, name)


class KernelEncoder:
    """By our kernels."""

    name = "vocabmill"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.num_ids = vocabulary.next_id
        self.added: Mapping[str, int] = {token.content: token.id for token in vocabulary.added}
        self._how = cutting_of(vocabulary.patterns)
        self._normalised = normaliser(vocabulary.normalizer)
        self._encode = PieceEncoder(vocabulary)
        self._found, self._cut = added_patterns(list(self.added))

    def __call__(self, texts: pa.LargeStringArray, end: int | None = None) -> Tokens:
        """The tokens of texts, none null, and after each text the token `end`, if it is one."""
        return _in_slices(texts, self._slice, end)

    def _slice(self, texts: pa.LargeStringArray) -> Tokens:
        """Texts are cut at added tokens, and the ids of these put back between what was left."""
        hit = pc.match_substring_regex(texts, self._found) if self._found else pa.array(np.zeros(len(texts), bool))
        if not pc.any(hit).as_py():
            return self._plain(texts)
        parts, after, counts = [], [], []
        for text in texts.to_pylist():
            cuts = [self.added[match.group()] for match in self._cut.finditer(text)]
            parts.extend(self._cut.split(text))
            after.extend([*cuts, -1])
            counts.append(len(cuts) + 1)
        ids, starts = self._plain(pa.array(parts, pa.large_string()))
        between = np.array(after, np.int32)
        shown = between >= 0
        ids = np.insert(ids, starts[1:][shown], between[shown])
        ends = starts[1:] + np.cumsum(shown)
        return Tokens(ids, np.append(0, ends[np.cumsum(counts) - 1]))

    def _plain(self, texts: pa.LargeStringArray) -> Tokens:
        """Texts without added tokens."""
        from operators.kernels.pretokenize import piece_ends

        texts = self._normalised(texts)
        data, offsets = joined_bytes(texts)
        if not data.size:
            return Tokens(np.empty(0, np.int32), np.zeros(len(texts) + 1, np.int64))
        ends = piece_ends(texts, self._how)
        buffers = [None, pa.py_buffer(np.append(0, ends)), pa.py_buffer(data)]
        coded = pa.Array.from_buffers(pa.large_binary(), len(ends), buffers).dictionary_encode()
        lists = self._encode(coded.dictionary)
        until = np.append(0, np.cumsum(pc.list_value_length(lists).take(coded.indices).to_numpy()))
        starts = until[np.searchsorted(ends, offsets, side="right")]
        return Tokens(lists.take(coded.indices).flatten().to_numpy(), starts)


class LibraryEncoder:
    """By `tokenizers`, for every model that it knows."""

    name = "tokenizers"

    def __init__(self, content: bytes, name: str) -> None:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(content.decode())
        except Exception as error:  # the library raises Exception itself
            msg = (
                f"tokenizer {name!r} cannot be read ({error}): expected a tokenizer.json, or ranks with a pretokenizer"
            )
            raise RecipeError(msg) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        listed: list[dict[str, Any]] = json.loads(content).get("added_tokens") or []
        self.num_ids = max(tokenizer.get_vocab().values(), default=0) + 1
        self.added: Mapping[str, int] = {token["content"]: token["id"] for token in listed}
        self._tokenizer = tokenizer

    def __call__(self, texts: pa.LargeStringArray, end: int | None = None) -> Tokens:
        """The tokens of texts, none null, and after each text the token `end`, if it is one."""
        return _in_slices(texts, self._slice, end)

    def _slice(self, texts: pa.LargeStringArray) -> Tokens:
        encoded = self._tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        ids = [np.array(encoding.ids, np.int32) for encoding in encoded]
        starts = np.append(0, np.cumsum([part.size for part in ids])).astype(np.int64)
        return Tokens(np.concatenate([np.empty(0, np.int32), *ids]), starts)


def _with_end(tokens: Tokens, end: int) -> Tokens:
    """A token put after each text.

    >>> _with_end(Tokens(np.array([5, 6], np.int32), np.array([0, 2, 2])), 9)
    Tokens(ids=array([5, 6, 9, 9], dtype=int32), starts=array([0, 3, 4]))
    """
    ids = np.insert(tokens.ids, tokens.starts[1:], np.int32(end))
    return Tokens(ids, tokens.starts + np.arange(tokens.starts.size))


def _is_plain(vocabulary: Vocabulary) -> bool:
    """Whether added tokens stand for exactly their strings, and all are looked for at once, before normalising."""
    added = vocabulary.added
    flagged = any(token.single_word or token.lstrip or token.rstrip for token in added)
    late = sum(token.normalized for token in added)
    return not flagged and (late == 0 or (late == len(added) and not vocabulary.normalizer))


def _slices(texts: pa.LargeStringArray) -> Iterator[pa.LargeStringArray]:
    """Whole texts, as many as have 4 MB together."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False), dtype=np.int64)
    start = 0
    while start < len(texts):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + SLICE_BYTES, side="right")))
        yield texts.slice(start, stop - start)
        start = stop


def _in_slices(texts: pa.LargeStringArray, encode: Callable[[pa.LargeStringArray], Tokens], end: int | None) -> Tokens:
    """Texts encoded a slice at a time."""
    parts = [encode(some) for some in _slices(texts)]
    if end is not None:
        parts = [_with_end(part, end) for part in parts]
    sizes = np.cumsum([0, *(part.ids.size for part in parts)])
    starts = [part.starts[1:] + size for part, size in zip(parts, sizes, strict=False)]
    ids = [np.empty(0, np.int32), *(part.ids for part in parts)]
    return Tokens(np.concatenate(ids), np.concatenate([np.zeros(1, np.int64), *starts]))
