"""N-gram models of text: the symbols of a text, what an unknown word costs, and the file that a model lies in.

`unit: word` sees the words of `operators/words.py` without the white space between them. Every byte string has a
probability as a word: below the unigrams lies a model of the bytes of a word, trained on the distinct words of the
reference, and the end of a document is the empty word. So probabilities add up to one over everything that could be
written, no two models disagree on what can be, and their bits may be compared and mixed. `unit: byte` sees every byte,
white space with the others; there a uniform distribution lies below the unigrams.

The file: 16 bytes `vocabmill.ngrams`, the header's length (uint64), the header (JSON), then arrays, little-endian and
each at a multiple of 64 bytes, so that they can be used where they lie. The header has `version`, `unit`, `order`, the
`sha256` of all that follows it, of every array its `dtype`, `shape` and `offset` from the header's end, and in `about`
what the model was made of. `kernels/ngrams.py` says what is in `unigrams` and `table`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from operators.kernels.ngram_training import train
from operators.kernels.ngrams import (
    BEGIN,
    END,
    FIRST,
    FREE,
    Floats,
    Grams,
    Ints,
    Longs,
    Names,
    indexed,
    looked_up,
    symbol_bits,
)
from operators.ngram_sources import MAGIC, VERSION, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

Unit = Literal["word", "byte"]

SPELLING_ORDER: Final = 5
NUM_BYTE_SYMBOLS: Final = FIRST + 256
BYTE_SYMBOLS: Final = np.arange(FIRST, NUM_BYTE_SYMBOLS, dtype=np.int32)
_ALIGNMENT: Final = 64
_NO_COST: Final = np.empty(0)


class Texts(NamedTuple):
    """Tokens of documents, and what each token is: its bytes."""

    tokens: Ints  # of all documents, one after the other: numbers of kinds
    starts: Longs  # where each document begins, and the end of the last
    kinds: NDArray[np.uint8]  # bytes of the distinct tokens, one after the other
    kind_starts: Longs

    def lengths(self, unit: Unit) -> Longs:
        """What each kind counts for where bits are divided by bytes: a word's space or line end counts with it."""
        return np.diff(self.kind_starts) + (unit == "word")


class Model(NamedTuple):
    """A model of text; `names` and `spelling` are None with `unit: byte`."""

    unit: Unit
    grams: Grams
    about: Mapping[str, Any]
    names: Names | None = None
    spelling: Grams | None = None

    def bits(self, texts: Texts) -> Floats:
        """What each token costs in bits, and after each document's its end; finite and not negative."""
        if self.names is None or self.spelling is None:
            return symbol_bits(self.grams, texts.tokens, texts.starts, BYTE_SYMBOLS, _NO_COST)
        numbers = looked_up(self.names, texts.kinds, texts.kind_starts)
        unknown = np.flatnonzero(numbers < 0)
        cost = np.zeros(numbers.size)
        cost[unknown] = spelled(self.spelling, *_chosen(texts.kinds, texts.kind_starts, unknown)) - self.grams.rest
        symbols = np.where(numbers < 0, -1, numbers + FIRST).astype(np.int32)
        return symbol_bits(self.grams, texts.tokens, texts.starts, symbols, cost)


def texts_of(column: pa.ChunkedArray, unit: Unit) -> Texts:
    """The tokens of texts; a null has none."""
    from operators.text_buffers import column_bytes

    if unit == "byte":
        data, starts = column_bytes(column)
        return Texts(data.astype(np.int32), starts, np.arange(256, dtype=np.uint8), np.arange(257, dtype=np.int64))
    from operators.scans import scan_texts

    scan = scan_texts(column, "standard")
    return Texts(scan.tokens, scan.token_starts, scan.word_bytes, scan.word_starts)


def spelled(spelling: Grams, data: NDArray[np.uint8], starts: Longs) -> Floats:
    """What each byte string costs as a word, in bits, its end with it."""
    bits = symbol_bits(spelling, data.astype(np.int32), starts, BYTE_SYMBOLS, _NO_COST)
    return np.add.reduceat(bits, starts[:-1] + np.arange(starts.size - 1)) if starts.size > 1 else np.zeros(0)


def _chosen(data: NDArray[np.uint8], starts: Longs, numbers: Longs) -> tuple[NDArray[np.uint8], Longs]:
    """The byte strings of some numbers, one after the other."""
    import pyarrow as pa

    from operators.text_buffers import joined_binary

    buffers = [None, pa.py_buffer(np.ascontiguousarray(starts)), pa.py_buffer(np.ascontiguousarray(data))]
    strings = pa.Array.from_buffers(pa.large_binary(), starts.size - 1, buffers)
    return joined_binary(strings.take(pa.array(numbers, pa.int64())))


def train_model(texts: Texts, unit: Unit, order: int, min_count: int) -> Model:
    """A model of documents; it depends on their tokens and their order, not on how the kinds are numbered."""
    about: dict[str, Any] = {"documents": int(np.count_nonzero(np.diff(texts.starts))), "tokens": texts.tokens.size}
    if unit == "byte":
        base = np.zeros(NUM_BYTE_SYMBOLS)
        base[END:] = 1 / 257
        grams = train(texts.tokens + np.int32(FIRST), texts.starts, base.size, order, base, min_count)
        return Model(unit, grams, about | {"ngrams": _num_grams(grams)})
    by_count = _numbered(texts)
    names = indexed(*_chosen(texts.kinds, texts.kind_starts, by_count))
    spelling = _spelling(names)
    costs = np.append(
        spelled(spelling, names.data, names.starts), spelled(spelling, names.data[:0], np.zeros(2, np.int64))
    )
    base = np.zeros(FIRST + by_count.size)
    base[FIRST:], base[END] = np.exp2(-np.minimum(costs[:-1], 1000)), np.exp2(-costs[-1])
    symbols = np.full(texts.kind_starts.size - 1, BEGIN, np.int32)
    symbols[by_count] = np.arange(FIRST, base.size)
    grams = train(symbols[texts.tokens], texts.starts, base.size, order, base, min_count)
    return Model(unit, grams, about | {"words": by_count.size, "ngrams": _num_grams(grams)}, names, spelling)


def _numbered(texts: Texts) -> Longs:
    """The kinds that occur, the most frequent first; of equally frequent ones that which occurs first."""
    counts = np.bincount(texts.tokens, minlength=texts.kind_starts.size - 1)
    first = np.zeros(counts.size, np.int64)
    first[texts.tokens[::-1]] = np.arange(texts.tokens.size - 1, -1, -1)
    there = np.flatnonzero(counts)
    return there[np.lexsort((first[there], -counts[there]))]


def _spelling(names: Names) -> Grams:
    """The model of a word's bytes: every distinct word is one document."""
    base = np.zeros(NUM_BYTE_SYMBOLS)
    base[END:] = 1 / 257
    return train(names.data.astype(np.int32) + np.int32(FIRST), names.starts, base.size, SPELLING_ORDER, base)


def _num_grams(grams: Grams) -> int:
    return int(np.count_nonzero(grams.table[:, 0] != FREE))


def to_bytes(model: Model) -> bytes:
    """The model's file."""
    arrays: dict[str, NDArray[Any]] = {"unigrams": model.grams.unigrams, "table": model.grams.table}
    rests = {"rest": model.grams.rest}
    if model.names is not None and model.spelling is not None:
        arrays |= {"names": model.names.data, "name_starts": model.names.starts, "name_slots": model.names.slots}
        arrays |= {"spelling_unigrams": model.spelling.unigrams, "spelling_table": model.spelling.table}
        rests |= {"spelling_rest": model.spelling.rest}
    body, places = bytearray(), {}
    for name, array in arrays.items():
        body += bytes(-len(body) % _ALIGNMENT)
        places[name] = {"dtype": array.dtype.newbyteorder("<").str, "shape": array.shape, "offset": len(body)}
        body += array.tobytes()
    header = {
        "version": VERSION, "unit": model.unit, "order": model.grams.order, **rests, "about": dict(model.about),
        "sha256": hashlib.sha256(body).hexdigest(), "arrays": places,
    }  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + len(MAGIC) + 8) % _ALIGNMENT)
    return b"".join((MAGIC, struct.pack("<Q", len(text)), text, body))


def from_buffer(content: bytes | NDArray[np.uint8], name: str) -> Model:
    """The model of a file's content, which stays in use. Raises RecipeError where it is none, or damaged."""
    header, body = parts(content, name)
    arrays = {
        of: np.frombuffer(body, place["dtype"], int(np.prod(place["shape"])), place["offset"]).reshape(place["shape"])
        for of, place in header["arrays"].items()
    }
    grams = Grams(header["order"], arrays["unigrams"], arrays["table"], header["rest"])
    if header["unit"] == "byte":
        return Model("byte", grams, header["about"])
    names = Names(arrays["names"], arrays["name_starts"], arrays["name_slots"])
    tables = arrays["spelling_unigrams"], arrays["spelling_table"]
    return Model("word", grams, header["about"], names, Grams(SPELLING_ORDER, *tables, header["spelling_rest"]))
