"""What a dry run reads of the inputs: all of what is small, evenly spread slices of what is large."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest import Spec, bad_table, document_table
from pipeline.projection.slices import COLUMNAR, Slicer, draw, is_enterable
from pipeline.readers.base import MEGABYTE, Batch, InputFile, Layout, Piece
from pipeline.readers.files import list_files
from pipeline.readers.formats import infer_format
from pipeline.readers.pieces import plan_pieces, read, read_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.recipe import Input, Recipe

READ_BYTES: Final = 64 * MEGABYTE
"""Text that is read at most, over all corpus inputs: about two seconds. Inputs that fit are read whole."""
READ_FILES: Final = 4000
SLICES: Final = 48
"""Slices of what does not fit, over all inputs."""
LEAST_SLICES: Final = 4
LEAST_ROWS: Final = 64
"""Rows of a slice that are read at least."""
PACKED_COLUMNS: Final = 2.5
"""Text per stored byte of columnar files, for budgets only: what is read tells better."""


@dataclass(frozen=True)
class Block:
    """Documents of one format and schema, with our columns, and the number of the slice that each was read in."""

    format: str
    documents: pa.Table
    slices: NDArray[np.int64]


@dataclass
class Reading:
    """What was read of one input, and how much of it that is: `covered` stored bytes, in `num_slices` slices."""

    entry: Input
    spec: Spec
    files: list[InputFile]
    layouts: list[Layout]
    """One a file, without opening it: columnar files are estimated."""
    is_whole: bool = False
    blocks: list[Block] = field(default_factory=list)
    bad: list[pa.Table] = field(default_factory=list)
    covered: float = 0.0
    num_slices: int = 0
    heads: int = 0
    seconds: float = 0.0

    @property
    def num_documents(self) -> int:
        """Good rows met."""
        return sum(block.documents.num_rows for block in self.blocks)

    @property
    def num_bytes(self) -> int:
        """Their text."""
        return sum(text_bytes(block.documents) for block in self.blocks)

    @property
    def bad_rules(self) -> Counter[str]:
        """Bad rows met, by rule."""
        return Counter(rule for table in self.bad for rule in table["rule"].to_pylist())

    @property
    def stored(self) -> int:
        """Bytes of all files as they are stored."""
        return sum(file.size for file in self.files)

    @property
    def share(self) -> float:
        """The part of the input that was read, by stored bytes."""
        if self.is_whole or not self.stored:
            return 1.0
        return min(1.0, self.covered / self.stored)

    @property
    def row_share(self) -> float:
        """The same by rows: where a file is a document, files are counted, not bytes."""
        if not self.is_whole and _one_document_each(self.entry, self.layouts):
            return min(1.0, self.num_slices / len(self.files))
        return self.share


def read_inputs(recipe: Recipe, docs: int) -> list[Reading]:
    """Read every input as far as the budget goes, in recipe order; references have a budget of their own."""
    num_corpora = sum(entry.role == "corpus" for entry in recipe.inputs)
    found = [_listed(entry, recipe, num_corpora) for entry in recipe.inputs]
    for role in ("corpus", "reference"):
        mine = [reading for reading in found if reading.entry.role == role]
        total = sum(estimate(reading) for reading in mine)
        fits = total <= READ_BYTES and sum(len(reading.files) for reading in mine) <= READ_FILES
        for reading in mine:
            share = estimate(reading) / total if total else 1.0
            small = estimate(reading) * len(mine) <= READ_BYTES and len(reading.files) * len(mine) <= READ_FILES
            reading.is_whole = fits or small
            begin = time.perf_counter()
            if reading.is_whole:
                _read_whole(reading)
            else:
                _read_slices(reading, share, docs, recipe.seed)
            reading.seconds = time.perf_counter() - begin
    return found


def estimate(reading: Reading) -> int:
    """Text of the whole input, before anything was read: for budgets."""
    return sum(layout.bytes for layout in reading.layouts)


def _listed(entry: Input, recipe: Recipe, num_corpora: int) -> Reading:
    spec = Spec.of(entry, shard_mb=recipe.outputs.shard_mb, num_corpora=num_corpora)
    files = list_files(entry.entries, None if entry.format == "auto" else entry.format)
    return Reading(entry, spec, files, [_outline(file, _kind(file, entry), spec) for file in files])


def _kind(file: InputFile, entry: Input) -> str:
    return infer_format(file) if entry.format == "auto" else entry.format


def _outline(file: InputFile, kind: str, spec: Spec) -> Layout:
    """A file's layout without opening it; columnar files by their size."""
    if kind in COLUMNAR:
        return Layout(None, int(file.size * PACKED_COLUMNS), (Piece(file, kind),))
    return plan_pieces(file, kind, spec.shard_bytes / MEGABYTE, spec.options)


def _one_document_each(entry: Input, layouts: Sequence[Layout]) -> bool:
    return entry.format not in COLUMNAR and all(layout.rows == 1 for layout in layouts)


def _read_whole(reading: Reading) -> None:
    _read_files(reading, list(range(len(reading.files))))


def _read_files(reading: Reading, chosen: Sequence[int]) -> None:
    """Read files from end to end, each a slice."""
    by_format: dict[str, list[Piece]] = {}
    for index in sorted(chosen):
        file = reading.files[index]
        kind = _kind(file, reading.entry)
        by_format.setdefault(kind, []).append(Piece(file, kind))
        reading.covered += file.size
    for kind, pieces in by_format.items():
        for batch, owners in read_many(pieces, reading.spec.options):
            _add(
                reading,
                kind,
                batch,
                [pieces[owner].file.path for owner in owners.tolist()],
                owners + reading.num_slices,
            )
        reading.num_slices += len(pieces)


def _add(reading: Reading, kind: str, batch: Batch, paths: list[str], slices: NDArray[Any]) -> None:
    if batch.bad:
        reading.bad.append(bad_table(reading.spec.source, batch.bad))
    if batch.table.num_rows:
        documents = document_table(reading.spec, batch.table, paths, batch.positions)
        reading.blocks.append(Block(kind, documents, slices.astype(np.int64)))


def _read_slices(reading: Reading, share: float, docs: int, seed: int) -> None:
    """Draw slices and read each to its part of the budget of bytes and rows; of single documents, whole files."""
    if _one_document_each(reading.entry, reading.layouts):
        mean = max(1, estimate(reading) // len(reading.files))
        wanted = max(LEAST_SLICES, int(min(READ_FILES, 2 * docs, READ_BYTES // mean) * share))
        _read_files(reading, list({index for index, _ in draw(reading.files, [1] * len(reading.files), wanted, seed)}))
        return
    num = max(LEAST_SLICES, round(SLICES * share))
    slicer = Slicer(reading.spec.options, int(READ_BYTES * share / num))
    rows = max(LEAST_ROWS, 8 * int(docs * share) // num)
    chosen: Counter[Piece] = Counter()
    for index, place in draw(reading.files, [file.size for file in reading.files], num, seed):
        file = reading.files[index]
        chosen[slicer.enter(file, _kind(file, reading.entry), place)] += 1
    for piece in sorted(chosen, key=lambda piece: (piece.file.path, piece.start)):
        reading.heads += not is_enterable(piece.file, piece.format)
        _read_slice(reading, slicer, piece, slicer.limit * chosen[piece], rows * chosen[piece])


def _read_slice(reading: Reading, slicer: Slicer, piece: Piece, limit: int, rows: int) -> None:
    """Read a piece until it gave `limit` bytes of text or `rows` rows, or to its file's end."""
    size = num = met = 0
    last, finished = -1, True
    for whole in read(piece, reading.spec.options):
        batch = _cut(whole, limit - size, rows - num)
        num, met = num + batch.table.num_rows, met + batch.table.num_rows + len(batch.bad)
        if batch.table.num_rows:
            size, last = size + text_bytes(batch.table), int(batch.positions[-1])
        count = batch.table.num_rows
        _add(reading, piece.format, batch, [piece.file.path] * count, np.full(count, reading.num_slices))
        if batch.table.num_rows < whole.table.num_rows or size >= limit or num >= rows:
            finished = False
            break
    reading.num_slices += 1
    reading.covered += slicer.extent(piece) if finished else slicer.covered(piece, met, size, last)


def _cut(batch: Batch, limit: int, rows: int) -> Batch:
    """The first rows of a batch, at least one, that fit."""
    if not batch.table.num_rows:
        return batch
    ends = np.cumsum(pc.binary_length(batch.table["text"]).to_numpy())
    keep = max(1, min(rows, int(np.searchsorted(ends, limit, side="right")), batch.table.num_rows))
    if keep == batch.table.num_rows:
        return batch
    positions = batch.positions[:keep]
    return Batch(
        batch.table.slice(0, keep), positions, tuple(row for row in batch.bad if row.position <= positions[-1])
    )


def text_bytes(table: pa.Table) -> int:
    """Bytes of text in a table of documents."""
    return int(pc.sum(pc.binary_length(table["text"])).as_py() or 0)


def describe(reading: Reading) -> str:
    """What was read of an input, in words."""
    if reading.is_whole:
        return "read whole"
    words = f"{reading.row_share:.2%} read in {reading.num_slices} slice{'s' if reading.num_slices > 1 else ''}"
    return f"{words}, heads only of {reading.heads} compressed or archived files" if reading.heads else words
