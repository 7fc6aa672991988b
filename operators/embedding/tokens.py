"""Texts as the tokens that a transformer reads, cut into chunks.

The library in Rust encodes many texts at once and lets go of Python's lock meanwhile, so that a thread keeps ahead of
the device. A long text of which only a beginning is read is cut before a white space, to six characters a token, where
that changes no token before the cut: where the tokenizer splits at white space first. Where the beginning gave fewer
tokens than are read, a longer one is taken, at last all of it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.embedding.chunks import Longs, spread
from operators.embedding.static_files import unknown_id
from operators.transplant.vocabularies import steps

CHARS: Final = 6
"""Characters of a text that are encoded for a token that is read."""
_TEXTS, _BYTES = 256, 4 << 20
"""Texts that are encoded at once, and their bytes: an encoding in the library takes some 100 bytes a token."""
_GROWS: Final = 4
_SPLITTERS: Final = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})

Ints = NDArray[np.int32]


class Encoded(NamedTuple):
    """The chunks of some texts: tokens with special ones and the prompt, one chunk after the other."""

    tokens: Ints
    length: Longs
    document: Longs
    own: Longs
    """A chunk's tokens of the document itself."""
    is_cut: NDArray[np.bool_]
    """Of each document whether some of its tokens are in no chunk."""


class Tokeniser:
    """Encodes texts for a model that reads at most `cap` tokens, special ones counted."""

    def __init__(
        self, file: Path, cap: int, most: int, prompt: str = "", *, lower: bool = False, from_end: bool = False
    ) -> None:
        """RecipeError where the file is no tokenizer, or `cap` leaves no room beside special tokens and prompt."""
        from tokenizers import Tokenizer

        content = file.read_bytes()
        try:
            self._engine = Tokenizer.from_buffer(content)
        except Exception as error:  # The library raises its own kind of Exception.
            raise RecipeError(f"{file} is no tokenizer: {error}") from error
        self._engine.no_truncation()
        self._engine.no_padding()
        self._most, self._prompt, self._lower, self._from_end = most, prompt, lower, from_end
        self._head, self._tail = self._special()
        # A space at the prompt's end may become part of the text's first token.
        self._put_before = np.array(self._ids([prompt.rstrip()])[0] if prompt else [], np.int32)
        self.room = cap - self._head.size - self._tail.size - self._put_before.size
        self._unknown = unknown_id(content)
        self.cuts = most == 1 and not from_end and splits_at_spaces(json.loads(content))
        if self.room < 1:
            msg = f"max_tokens {cap} leaves no room for a text beside {cap - self.room} tokens of prompt and special"
            raise RecipeError(f"{msg} ones: raise it, or shorten the prompt")

    def __call__(self, texts: pa.ChunkedArray) -> Encoded:
        """The chunks of texts; a text of white space alone, or without a token that is known, has none."""
        parts = [self._some(texts.slice(start, count).to_pylist()) for start, count in _groups(texts)]
        sizes = np.array([own.size for part in parts for own, _ in part], np.int64)
        chunks = spread(sizes, self.room, self._most)
        flat = [own for part in parts for own, _ in part]
        pieces: list[Ints] = []
        for document, start, length in zip(*(column.tolist() for column in chunks), strict=True):
            pieces += (self._head, self._put_before, flat[document][start : start + length], self._tail)
        added = self._head.size + self._put_before.size + self._tail.size
        read = np.bincount(chunks.document, chunks.length, len(texts)).astype(np.int64)
        goes_on = np.array([more for part in parts for _, more in part], bool)
        tokens = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
        return Encoded(tokens, chunks.length + added, chunks.document, chunks.length, goes_on | (read < sizes))

    def _some(self, texts: list[str | None]) -> list[tuple[Ints, bool]]:
        """For each text its tokens, as many as are read of it, and whether there are more."""
        given = [text.lower() if self._lower else text for text in (text or "" for text in texts)]
        found = [np.zeros(0, np.int32)] * len(given)
        is_whole = [True] * len(given)
        todo = [place for place, text in enumerate(given) if text.strip()]
        chars = CHARS * self.room
        while todo:
            ends = [self._end(given[place], chars) for place in todo]
            ids = self._ids([self._prompt + given[place][:end] for place, end in zip(todo, ends, strict=True)])
            again = []
            for place, end, own in zip(todo, ends, ids, strict=True):
                found[place] = np.array(self._without_prompt(own), np.int32)
                is_whole[place] = end == len(given[place])
                if not is_whole[place] and found[place].size < self.room:
                    again.append(place)
            todo, chars = again, _GROWS * chars
        return [self._read(own, whole) for own, whole in zip(found, is_whole, strict=True)]

    def _read(self, own: Ints, whole: bool) -> tuple[Ints, bool]:
        if own.size and (own == self._unknown).all():
            return own[:0], not whole  # else all texts of strange letters would be one
        if self._most > 1 or own.size <= self.room:
            return own, not whole
        return (own[-self.room :] if self._from_end else own[: self.room]), True

    def _end(self, text: str, chars: int) -> int:
        """Where a text may be cut, at or before `chars`: before a space or line feed that follows another character."""
        if not self.cuts or len(text) <= chars:
            return len(text)
        end = max(text.rfind(" ", 0, chars), text.rfind("\n", 0, chars))
        while end > 0 and text[end - 1].isspace():
            end -= 1
        return end if end > 0 else len(text)

    def _without_prompt(self, ids: list[int]) -> list[int]:
        """The tokens after those of the prompt."""
        first, rest = ids[: self._put_before.size], ids[self._put_before.size :]
        if first != self._put_before.tolist():
            msg = f"prompt {self._prompt!r} is other tokens before a text than by itself: let it end with a space"
            raise RecipeError(msg)
        return rest

    def _ids(self, texts: list[str]) -> list[list[int]]:
        encodings: list[Any] = self._engine.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _special(self) -> tuple[Ints, Ints]:
        """The special tokens before and after every text."""
        [bare], whole = self._ids(["a"]), self._engine.encode("a", add_special_tokens=True).ids
        starts = [start for start in range(len(whole)) if whole[start : start + len(bare)] == bare]
        if not starts:
            raise RecipeError("the tokenizer puts special tokens into the midst of a text: this is not supported")
        start = starts[0]
        return np.array(whole[:start], np.int32), np.array(whole[start + len(bare) :], np.int32)


def _groups(texts: pa.ChunkedArray) -> list[tuple[int, int]]:
    """Stretches (start, texts) of at most so many texts and bytes, or of one text."""
    sizes = pc.binary_length(texts.cast(pa.large_string())).fill_null(0).to_numpy().tolist()
    starts, inside = [0] if sizes else [], 0
    for place, size in enumerate(sizes):
        if place > starts[-1] and (place - starts[-1] == _TEXTS or inside + size > _BYTES):
            starts.append(place)
            inside = 0
        inside += size
    return [(start, end - start) for start, end in pairwise([*starts, len(sizes)])]


def splits_at_spaces(tokenizer: dict[str, Any]) -> bool:
    """Whether no token of a `tokenizer.json` depends on what follows the next white space.

    >>> splits_at_spaces({"pre_tokenizer": {"type": "BertPreTokenizer"}})
    True
    >>> splits_at_spaces({"pre_tokenizer": {"type": "Metaspace", "split": False}})
    False
    """
    added = tokenizer.get("added_tokens") or ()
    if any(not token["content"] or any(char.isspace() for char in token["content"]) for token in added):
        return False
    return any(_splits(step) for step in steps(tokenizer.get("pre_tokenizer")))


def _splits(step: dict[str, Any]) -> bool:
    match step.get("type"):
        case "Metaspace":
            return step.get("split", True) is True
        case "ByteLevel":
            return step.get("use_regex", True) is True
        case kind:
            return kind in _SPLITTERS
