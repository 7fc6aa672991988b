"""Which of the documents that were read make the sample, so that copies come together or not at all.

A document is in the sample where a hash of its *content key* falls below the input's fraction. All documents of one key
share one fate, so a set of duplicates is seen whole or not at all, and the share of duplicates in the sample is that of
what was read, whatever the sample's size. Drawn one by one, a pair would be seen with the square of the fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

from operators.exact_dedup import ExactDedup
from operators.hashing import content_digests, mix64, row_hash, row_hashes
from operators.minhash_dedup import MinhashDedup
from operators.near_duplicates import shingling_of
from pipeline.projection.reading import Block, Reading, read_inputs, text_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.base import Operator
    from operators.minhash import Scheme
    from operators.shingles import Unit
    from pipeline.recipe import Recipe

DOCUMENT_BYTES: Final = 4_000
"""Text of the sample at most, per document that was asked for: bounds the time that long documents take."""
LEAST_DOCUMENTS: Final = 30
"""Documents of each input at least, if it has them."""
REFERENCE_SHARE: Final = 4
"""A reference's sample, as a multiple of the corpus's: what is looked up in it should be there."""

KeyKind = Literal["shingle", "text", "column", "id"]


@dataclass(frozen=True)
class KeyRule:
    """What decides which documents come together: the smallest shingle hash, the text, a column, or only the id."""

    kind: KeyKind
    column: str = ""
    ngram: int = 0
    unit: Unit = "word"
    scheme: Scheme = "fast"

    @property
    def words(self) -> str:
        """The rule, for people."""
        return {
            "shingle": "documents with the same smallest shingle hash are drawn together",
            "text": "documents with the same text are drawn together",
            "column": f"documents with the same {self.column!r} are drawn together",
            "id": "documents are drawn one by one",
        }[self.kind]


@dataclass
class Sampled:
    """One input's sample, as blocks of documents in reading order, with each document's content key."""

    reading: Reading
    rows: float
    bytes: float
    bad: dict[str, float]
    fraction: float
    blocks: list[Block]
    keys: NDArray[np.uint64]

    @property
    def name(self) -> str:
        """The input's name."""
        return self.reading.entry.name

    @property
    def is_corpus(self) -> bool:
        """Whether its documents flow through the steps."""
        return self.reading.entry.role == "corpus"

    @property
    def num_documents(self) -> int:
        """Documents in the sample."""
        return len(self.keys)

    @property
    def num_bytes(self) -> int:
        """Text in the sample."""
        return sum(text_bytes(block.documents) for block in self.blocks)

    @property
    def slices(self) -> NDArray[np.int64]:
        """The slice that each document was read in."""
        return np.concatenate([np.empty(0, np.int64), *(block.slices for block in self.blocks)])


@dataclass(frozen=True)
class Sample:
    """The sample of all inputs in recipe order, and how it was drawn."""

    inputs: tuple[Sampled, ...]
    rule: KeyRule
    is_cut: bool

    @property
    def is_everything(self) -> bool:
        """Whether every document of the corpus was run."""
        return all(sampled.fraction == 1 and sampled.reading.is_whole for sampled in self.corpora)

    @property
    def words(self) -> str:
        """How the sample was drawn, for people."""
        long = f"; documents are long, so fewer than asked: {DOCUMENT_BYTES / 1000:.0f} kB each at most on the average"
        return self.rule.words + (long if self.is_cut else "")

    @property
    def corpora(self) -> tuple[Sampled, ...]:
        """The inputs whose documents flow through the steps."""
        return tuple(sampled for sampled in self.inputs if sampled.is_corpus)

    @property
    def row_share(self) -> float:
        """The part of the corpus inputs' rows that was read."""
        total = sum(sampled.rows for sampled in self.corpora)
        return sum(sampled.rows * sampled.reading.row_share for sampled in self.corpora) / total if total else 1.0


def key_rule(steps: tuple[Operator, ...]) -> KeyRule:
    """The key that keeps together what the recipe's deduplication compares.

    >>> key_rule((ExactDedup(), MinhashDedup(ngram=3))).kind
    'shingle'
    """
    near = next((step for step in steps if isinstance(step, MinhashDedup)), None)
    if near is not None:
        return KeyRule("shingle", ngram=near.ngram, unit=near.unit, scheme=near.scheme)
    exact = next((step for step in steps if isinstance(step, ExactDedup)), None)
    if exact is not None:
        return KeyRule("text" if exact.column == "text" else "column", exact.column)
    return KeyRule("id")


def draw_sample(recipe: Recipe, docs: int) -> Sample:
    """Read the inputs and draw about `docs` documents, in proportion to the inputs' rows."""
    readings = read_inputs(recipe, docs)
    rule = key_rule(recipe.steps)
    repeated = [_drop_repeated_ids(reading) for reading in readings]
    corpora = [reading for reading in readings if reading.entry.role == "corpus"]
    total = sum(_rows(reading) for reading in corpora)
    mean = sum(reading.num_bytes for reading in corpora) / max(1, sum(reading.num_documents for reading in corpora))
    asked, docs = docs, max(1, min(docs, int(docs * DOCUMENT_BYTES / max(mean, 1.0))))
    found = []
    for reading, again in zip(readings, repeated, strict=True):
        if reading.entry.role == "corpus":
            wanted = max(LEAST_DOCUMENTS, docs * _rows(reading) / max(total, 1.0))
            found.append(_draw(reading, wanted, again, rule, recipe.seed))
        else:
            found.append(_draw(reading, REFERENCE_SHARE * docs, again, KeyRule("id"), recipe.seed))
    return Sample(tuple(found), rule, is_cut=docs < min(asked, total))


def _rows(reading: Reading) -> float:
    """Good rows of the whole input."""
    return reading.num_documents / max(reading.row_share, 1e-12)


def _drop_repeated_ids(reading: Reading) -> int:
    """Take away the rows whose id an earlier one has, where the input brings ids; returns how many."""
    reading.blocks = _joined(reading.blocks)
    if not reading.spec.options.id:
        return 0
    seen: set[str] = set()
    repeated = 0
    for place, block in enumerate(reading.blocks):
        fresh = np.array([not _seen(name, seen) for name in block.documents["id"].to_pylist()], bool)
        repeated += int((~fresh).sum())
        reading.blocks[place] = _only(block, fresh)
    return repeated


def _joined(blocks: list[Block]) -> list[Block]:
    """Neighbours of one format and schema as one block."""
    runs: list[list[Block]] = []
    for block in blocks:
        last = runs[-1][0] if runs else None
        if last is None or last.format != block.format or last.documents.schema != block.documents.schema:
            runs.append([])
        runs[-1].append(block)
    return [
        Block(
            run[0].format, pa.concat_tables([block.documents for block in run]).combine_chunks(),
            np.concatenate([block.slices for block in run]),
        )
        for run in runs
    ]  # fmt: skip


def _seen(name: str, seen: set[str]) -> bool:
    """Whether the id was met before; from now on it was."""
    known = name in seen
    seen.add(name)
    return known


def _only(block: Block, mask: NDArray[np.bool_]) -> Block:
    return Block(block.format, block.documents.filter(pa.array(mask)), block.slices[mask])


def _draw(reading: Reading, wanted: float, repeated: int, rule: KeyRule, seed: int) -> Sampled:
    fraction = min(1.0, wanted / max(1, reading.num_documents))
    blocks: list[Block] = []
    keys = [np.empty(0, np.uint64)]
    for block in reading.blocks:
        key = content_keys(block.documents, rule if fraction < 1 else KeyRule("id"), seed)
        inside = key.astype(np.float64) <= fraction * 2.0**64
        blocks.append(_only(block, inside))
        keys.append(key[inside])
    share = max(reading.row_share, 1e-12)
    bad = {name: count / share for name, count in reading.bad_rules.items()}
    if repeated:
        bad["duplicate_id"] = repeated / share
    size = reading.num_bytes / max(reading.share, 1e-12)
    return Sampled(reading, _rows(reading), size, bad, fraction, blocks, np.concatenate(keys))


def content_keys(table: pa.Table, rule: KeyRule, seed: int) -> NDArray[np.uint64]:
    """For each document a number on [0, 2**64) that documents of one content key share."""
    if rule.kind == "id" or (rule.kind == "column" and rule.column not in table.column_names):
        return row_hashes(table["id"], seed, "dry-run")
    if rule.kind == "column":
        keys = content_digests(table[rule.column])[:, 0]
    elif rule.kind == "text":
        keys = content_digests(table["text"], "whitespace_case")[:, 0]
    else:
        keys = _shingle_keys(table["text"], rule)
    return mix64(keys ^ np.uint64(row_hash("", seed, "dry-run")))


def _shingle_keys(text: pa.ChunkedArray, rule: KeyRule) -> NDArray[np.uint64]:
    """The smallest shingle hash; of texts that have no shingle, the text's."""
    from operators.shingles import shingle_sets

    hashes, offsets = shingle_sets(text, shingling_of(rule.unit, rule.ngram, rule.scheme))
    short = np.flatnonzero(offsets[:-1] == offsets[1:])
    keys = np.append(hashes, np.uint64(0))[offsets[:-1]]
    keys[short] = content_digests(text.take(pa.array(short)), "whitespace_case")[:, 0]
    return keys
