"""Read fastText models, `.bin` and `.ftz`, into arrays from which `operators/kernels/fasttext.py` predicts.

The format is that of fastText 0.9 (file version 12; 11 is read as fastText reads it, without character n-grams): the
arguments, the dictionary with the n-grams that pruning left, the input matrix and the output matrix, each dense or
product-quantised (Joulin et al. 2016, arXiv 1612.03651, section 3). Every loss of a supervised model is read.

Quantised matrices are unpacked when a model is loaded: 4 bytes a number, 3 MB for `lid.176.ftz` (50,000 rows of 16),
which is read in 25 ms. Dense ones stay where they are, in the file. Nothing is trained here.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.models import unreadable

LABEL: Final = "__label__"
SENTENCE_END: Final = b"</s>"

Loss = Literal["hierarchical_softmax", "negative_sampling", "softmax", "one_vs_all"]
Floats = NDArray[np.float32]

_MAGIC: Final = 793_712_314
_ARGUMENTS: Final = struct.Struct("<14id")
_COUNTS: Final = struct.Struct("<3i2q")
_ENTRY: Final = struct.Struct("<qb")  # after a word and its zero byte: how often it occurred, and 1 for a label
_LOSSES: Final[tuple[Loss, ...]] = ("hierarchical_softmax", "negative_sampling", "softmax", "one_vs_all")
_SUPERVISED: Final = 3
_CENTROIDS: Final = 256
_ROWS: Final = 1 << 16  # that are looked at together
_MAX_LETTERS: Final = 64  # of an n-gram; fastText's own default is 6


@dataclass(frozen=True)
class Dictionary:
    """What a model knows by name: words first, then labels."""

    words: tuple[bytes, ...]
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    kept: NDArray[np.int32] | None
    """Pairs of an n-gram's bucket and its row after the words'; None if every bucket has its own row."""


@dataclass(frozen=True)
class FasttextModel:
    """A supervised model: what it takes from a text, and what it makes of it."""

    dictionary: Dictionary
    loss: Loss
    least_letters: int
    most_letters: int
    """Of an n-gram of characters; 0: none are taken."""
    most_words: int
    """Of an n-gram of words; 1: none are taken."""
    buckets: int
    inputs: Floats
    """A row for every word, then for every bucket (if pruned: for those that are left)."""
    outputs: Floats
    """A row for every label; with hierarchical softmax the row of a node is that of its number less the labels'."""
    output_norms: Floats
    """What a row's product is multiplied with: 1, if the outputs are not quantised with their norms apart."""


def read_model(path: Path) -> FasttextModel:
    """The model of a file.

    Raises:
        RecipeError: the file cannot be read, is no fastText model, is damaged, or is one of word vectors alone.
    """
    return _read(_Reader.of(path))  # a dense matrix stays in the file, whose map goes with it


def model_of(content: bytes, name: str) -> FasttextModel:
    """As `read_model`, of a file's content; `name` is what errors call it."""
    return _read(_Reader(Path(name), content))


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hex. Raises RecipeError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecipeError(unreadable(f"model {str(path)!r}", error)) from error


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a file's model, without its matrices; errors as for `read_model`."""
    with _Reader.of(path) as reader:
        reader.arguments()
        return reader.dictionary().labels


def _read(reader: _Reader) -> FasttextModel:
    _, version, dim, _, _, _, _, most_words, loss, _, buckets, least, most, _, _ = reader.arguments()
    if buckets < 0 or dim < 1 or most > _MAX_LETTERS:
        raise reader.error(f"is damaged: {buckets} buckets, {dim} dimensions, n-grams of {most} characters")
    dictionary = reader.dictionary()
    quantised = reader.flag()
    inputs, norms = reader.matrix(quantised=quantised)
    if quantised:
        inputs *= norms[:, None]
    outputs, output_norms = reader.matrix(quantised=reader.flag() and quantised)
    most = 0 if version == 11 or not buckets else most
    model = FasttextModel(
        dictionary, _LOSSES[loss - 1], max(least, 1), most, most_words if buckets else 1, buckets,
        inputs, outputs, output_norms,
    )  # fmt: skip
    _check_sizes(model, dim, reader)
    return model


def _check_sizes(model: FasttextModel, dim: int, reader: _Reader) -> None:
    """Refuse a model whose parts do not fit: the kernels look at places without asking whether they exist."""
    known = model.dictionary
    if known.kept is None:
        rows = model.buckets if model.most_letters or model.most_words > 1 else 0
    else:
        rows = int(known.kept[:, 1].max(initial=-1)) + 1
        if known.kept.min(initial=0) < 0 or known.kept[:, 0].max(initial=-1) >= model.buckets:
            raise reader.error("is damaged: an n-gram that is kept has no bucket")
    if model.inputs.shape[1] != dim or model.inputs.shape[0] < len(known.words) + rows:
        raise reader.error(f"is damaged: inputs of {model.inputs.shape} for {len(known.words)} words and {rows} rows")
    if not known.labels or model.outputs.shape[1] != dim or model.outputs.shape[0] < len(known.labels):
        raise reader.error(f"is damaged: outputs of {model.outputs.shape} for {len(known.labels)} labels")
    steps = range(0, len(model.inputs), _ROWS)
    inputs = (model.inputs[first : first + _ROWS] for first in steps)
    if not all(np.isfinite(part).all() for part in (*inputs, model.outputs, model.output_norms)):
        raise reader.error("is damaged: a number in it is not finite")


class _Reader:
    """A place in a file, and what a model has there."""

    def __init__(self, path: Path, content: mmap.mmap | bytes) -> None:
        self._path, self._content, self._place = path, content, 0

    @classmethod
    def of(cls, path: Path) -> Self:
        try:
            with path.open("rb") as file:
                return cls(path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise RecipeError(unreadable(f"model {str(path)!r}", error)) from error
        except ValueError as error:  # an empty file has no map
            raise cls._no_model(path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._content, mmap.mmap):
            self._content.close()

    def error(self, problem: str, remedy: str = "fetch or make it again") -> RecipeError:
        return RecipeError(f"model {str(self._path)!r} {problem}; {remedy}")

    @staticmethod
    def _no_model(path: Path) -> RecipeError:
        return RecipeError(f"model {str(path)!r} is no fastText model: give a .bin or .ftz file")

    def arguments(self) -> tuple[Any, ...]:
        """The number that marks fastText's files, their version, and the arguments in fastText's order."""
        if len(self._content) < _ARGUMENTS.size:
            raise self._no_model(self._path)
        found = self._unpack(_ARGUMENTS)
        magic, version, loss, kind = found[0], found[1], found[8], found[9]
        if magic != _MAGIC:
            raise self._no_model(self._path)
        if version not in (11, 12):
            raise self.error(f"has file version {version}, and 11 and 12 are known", "make it with fastText 0.9")
        if kind != _SUPERVISED or not 1 <= loss <= len(_LOSSES):
            raise self.error("has word vectors and no labels", "give one that fastText's `supervised` made")
        return found

    def dictionary(self) -> Dictionary:
        num_entries, num_words, num_labels, _, num_kept = self._unpack(_COUNTS)
        names, counts = [], []
        for number in range(num_entries):
            end = self._content.find(b"\0", self._place)
            if end < 0:
                raise self.error("is damaged: it ends within its dictionary")
            names.append(self._content[self._place : end])
            self._place = end + 1
            count, kind = self._unpack(_ENTRY)
            if kind != int(number >= num_words):
                raise self.error("is damaged: its labels do not follow its words")
            counts.append(count)
        if num_words < 0 or num_words + num_labels != num_entries:
            raise self.error(f"is damaged: {num_entries} entries for {num_words} words and {num_labels} labels")
        kept = self._numbers(2 * num_kept, np.int32).reshape(-1, 2) if num_kept >= 0 else None
        labels = tuple(name.decode().removeprefix(LABEL) for name in names[num_words:])
        return Dictionary(tuple(names[:num_words]), labels, tuple(counts[num_words:]), kept)

    def flag(self) -> bool:
        return bool(self._unpack(struct.Struct("<?"))[0])

    def matrix(self, *, quantised: bool) -> tuple[Floats, Floats]:
        """A matrix, and the norms that its rows are still to be multiplied with."""
        has_norms = quantised and self.flag()
        num_rows, num_columns = self._unpack(struct.Struct("<2q"))
        if num_rows < 1 or num_columns < 1:
            raise self.error(f"is damaged: a matrix of {num_rows} rows of {num_columns}")
        if not quantised:
            start = self._advance(num_rows * num_columns * 4)
            values = np.frombuffer(self._content, np.float32, num_rows * num_columns, start)
            return values.reshape(num_rows, -1), np.ones(num_rows, np.float32)
        (num_codes,) = self._unpack(struct.Struct("<i"))
        values = self._unpacked(self._numbers(num_codes, np.uint8), num_rows, num_columns)
        if not has_norms:
            return values, np.ones(num_rows, np.float32)
        return values, self._unpacked(self._numbers(num_rows, np.uint8), num_rows, 1)[:, 0]

    def _unpacked(self, codes: NDArray[np.uint8], num_rows: int, num_columns: int) -> Floats:
        """The values that the codes of a product quantiser stand for; the last part of a row may be shorter."""
        dim, parts, width, last = self._unpack(struct.Struct("<4i"))
        centroids = self._numbers(dim * _CENTROIDS, np.float32)
        if dim != num_columns or (parts - 1) * width + last != dim or codes.size != num_rows * parts or parts < 1:
            raise self.error(f"is damaged: {codes.size} codes of {parts} parts for {num_rows} rows of {num_columns}")
        by_part = codes.reshape(num_rows, parts)
        values = np.empty((num_rows, dim), np.float32)
        for part in range(parts):
            first, size = part * width, width if part < parts - 1 else last
            table = centroids[first * _CENTROIDS :][: size * _CENTROIDS].reshape(_CENTROIDS, size)
            values[:, first : first + size] = table[by_part[:, part]]
        return values

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack_from(self._content, self._advance(layout.size))

    def _numbers(self, count: int, kind: type[np.generic]) -> NDArray[Any]:
        start = self._advance(count * np.dtype(kind).itemsize)
        return np.frombuffer(self._content, kind, count, start).copy() if count else np.empty(0, kind)

    def _advance(self, num_bytes: int) -> int:
        """The place before so many bytes, which are there."""
        if not 0 <= num_bytes <= len(self._content) - self._place:
            raise self.error("is damaged: it is shorter than it says")
        self._place += num_bytes
        return self._place - num_bytes


def huffman_tree(counts: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The children of every node of fastText's tree over labels, in the order of their counts, most frequent first.

    Leaves are the labels' numbers and have children -1; the root is the last node. A tie goes to the inner node.

    >>> [children.tolist() for children in huffman_tree([3, 2, 2])]
    [[-1, -1, -1, 2, 0], [-1, -1, -1, 1, 3]]
    """
    num_labels = len(counts)
    size = 2 * num_labels - 1
    weights = [*counts, *[10**15] * (num_labels - 1)]
    left, right = np.full(size, -1, np.int32), np.full(size, -1, np.int32)
    leaf, inner = num_labels - 1, num_labels
    for node in range(num_labels, size):
        chosen = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[inner]:
                chosen.append(leaf)
                leaf -= 1
            else:
                chosen.append(inner)
                inner += 1
        left[node], right[node] = chosen
        weights[node] = weights[chosen[0]] + weights[chosen[1]]
    return left, right
