"""Documents through a transformer: windows of a shard, batches by a budget of padded tokens, chunks back to documents.

A thread encodes the next window while the device computes. Within a window chunks go by length, the longest first, so
that what does not fit into the device's memory shows at once; a budget that was too large is halved and stays so. How
chunks lie in batches depends on nothing but the texts of a shard: so do the last digits of a vector.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.base import DataError, RunError
from operators.embedding.chunks import Longs, longest_first, next_batch, windows
from operators.embedding.pooling import mean_of_chunks, unit

if TYPE_CHECKING:
    from operators.embedding.tokens import Encoded, Tokeniser

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
OnDevice = Any
"""What a backend keeps vectors in."""

WINDOW_ROWS: Final = 8192
"""Documents that are sorted by length together."""
log = logging.getLogger("vocabmill")


class DeviceMemoryError(Exception):
    """A batch does not fit into the memory of the device."""


class Forward(Protocol):
    """A loaded model on its device."""

    packed: bool
    """Whether it pads nothing, so that a batch is bounded by its tokens alone."""

    def __call__(self, tokens: Ints, lengths: Longs) -> OnDevice:
        """Unit vectors (chunks, dimension) of chunks that lie one after the other, the longest first.

        They may stay on the device. Raises DeviceMemoryError.
        """

    def fetch(self, found: Sequence[OnDevice]) -> Singles:
        """What several calls returned, joined, in this process's memory."""


class Embedded(NamedTuple):
    """Vectors of documents, and what it took."""

    vectors: Singles
    tokens: Longs
    """Of each document, those that it was made of."""
    is_cut: NDArray[np.bool_]
    """Whether it has more."""
    halvings: int
    """How often the budget has been halved so far."""


class TransformerEncoder:
    """See `operators.embedding.encoders.Encoder`; `embed` says more than `encode`."""

    def __init__(
        self, tokenise: Tokeniser, forward: Forward, budget: int, dimension: int, about: Mapping[str, object]
    ) -> None:
        self.dimension = dimension
        self.padded_tokens = 0
        self.tokens = 0
        self._tokenise, self._forward, self._about = tokenise, forward, about
        self._budget = budget
        self._halvings = 0

    def describe(self) -> dict[str, object]:
        """What `model.json` says."""
        return dict(self._about)

    def encode(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> Singles:
        """Vectors alone."""
        return self.embed(texts, ids).vectors

    def embed(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> Embedded:
        """Vectors of a shard's documents, in their order. Raises DataError where one is not finite."""
        parts = [self._window(encoded, ids.slice(*place)) for place, encoded in self._ahead(texts)]
        if not parts:
            none = np.zeros(0, np.int64)
            return Embedded(np.zeros((0, self.dimension), np.float32), none, none.astype(bool), self._halvings)
        vectors, tokens, is_cut = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Embedded(vectors, tokens, is_cut, self._halvings)

    def _ahead(self, texts: pa.ChunkedArray) -> Iterator[tuple[tuple[int, int], Encoded]]:
        """The windows as (start, rows), each with its chunks; the next one is encoded while one is worked on."""
        places = [(window.start, window.stop - window.start) for window in windows(len(texts), WINDOW_ROWS)]
        with ThreadPoolExecutor(1, "tokenise") as thread:
            coming = [thread.submit(self._tokenise, texts.slice(*place)) for place in places[:1]]
            for number, place in enumerate(places):
                encoded = coming.pop().result()
                coming = [
                    thread.submit(self._tokenise, texts.slice(*after)) for after in places[number + 1 : number + 2]
                ]
                yield place, encoded

    def _window(self, encoded: Encoded, ids: pa.ChunkedArray) -> tuple[Singles, Longs, NDArray[np.bool_]]:
        rank = pc.rank(ids.cast(pa.string()), tiebreaker="first").to_numpy(zero_copy_only=False).astype(np.int64)
        order = longest_first(encoded.length, rank[encoded.document])
        chunks = np.zeros((order.size, self.dimension), np.float32)
        chunks[order] = self._vectors(encoded, order)
        _refuse_infinite(chunks, encoded.document, ids)
        vectors = mean_of_chunks(chunks, encoded.document, encoded.own, len(ids))
        tokens = np.bincount(encoded.document, encoded.own, len(ids)).astype(np.int64)
        return vectors, tokens, encoded.is_cut

    def _vectors(self, encoded: Encoded, order: Longs) -> Singles:
        """Unit vectors of chunks in this order, of as many dimensions as are kept."""
        lengths = encoded.length[order]
        first = (np.cumsum(encoded.length) - encoded.length)[order]
        found, start = [], 0
        while start < order.size:
            end = next_batch(lengths, start, self._budget, packed=self._forward.packed)
            here = lengths[start:end]
            places = np.repeat(first[start:end] - np.cumsum(here) + here, here) + np.arange(here.sum())
            try:
                found.append(self._forward(encoded.tokens[places], here))
            except DeviceMemoryError as error:
                self._halve(int(here[0]), end - start, error)
                continue
            self.tokens += int(here.sum())
            self.padded_tokens += int(here.sum()) if self._forward.packed else int(here[0]) * here.size
            start = end
        whole = self._forward.fetch(found) if found else np.zeros((0, self.dimension), np.float32)
        return unit(whole[:, : self.dimension]) if whole.shape[1] > self.dimension else whole

    def _halve(self, longest: int, chunks: int, error: Exception) -> None:
        if chunks == 1:
            msg = f"the device has no memory for a single chunk of {longest} tokens ({error}): set a smaller max_tokens"
            raise RunError(msg) from error
        self._budget = max(1, min(self._budget, longest * chunks) // 2)
        self._halvings += 1
        log.warning("the device has no memory for %d chunks of %d tokens: %d at a time", chunks, longest, self._budget)


def _refuse_infinite(chunks: Singles, document: Longs, ids: pa.ChunkedArray) -> None:
    finite = np.isfinite(chunks).all(axis=1)
    if not finite.all():
        name = ids[int(document[np.argmin(finite)])].as_py()
        msg = f"the encoder makes a vector that is not finite of document {name!r}: try dtype float32; else its weights"
        raise DataError(f"{msg} are damaged")
