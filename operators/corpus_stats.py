"""Count a corpus: documents, bytes, characters, words, lengths and scripts, in total and by columns.

The state holds one integer for each (breakdown, value, measure, key), so any grouping of the rows gives the same file;
shares are computed once, in `finish`. Words are runs between white space, as `str.split` sees them; a script is the
Unicode property of that name, and the characters of the scripts not listed here are counted as `Other`. Price: one
decoding and one table look-up a character, about 30 MB/s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs
from operators.document_weights import refuse_weights, weights_of
from operators.groups import summed
from operators.hashing import refuse_formless

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]

# fmt: off
SCRIPTS: Final = (
    "Common", "Inherited", "Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Syriac", "Thaana",
    "Nko", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam",
    "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian", "Hangul", "Ethiopic", "Cherokee",
    "Canadian_Aboriginal", "Khmer", "Mongolian", "Hiragana", "Katakana", "Bopomofo", "Han", "Yi", "Tifinagh",
    "Javanese", "Balinese", "Sundanese", "Ol_Chiki", "Meetei_Mayek", "Chakma", "Lisu", "Vai", "Adlam",
)
# fmt: on
"""Their positions, from 1, are what the look-up table holds; 0 is every other script."""

_SIZES: Final = ("documents", "bytes", "characters", "words")
_TOTAL: Final = ""
_CHUNK_BYTES: Final = 4_000_000  # texts looked at together: some 40 bytes of scratch for each byte
_ROW_BYTES: Final = 400  # what a row adds to that, however short
_STATE: Final = pa.schema(
    [
        pa.field("by", pa.string()),
        pa.field("value", pa.string()),
        pa.field("measure", pa.string()),
        pa.field("key", pa.string()),
        pa.field("count", pa.int64()),
    ]
)


class Measures(NamedTuple):
    """What is counted of each document: sizes, shape (documents, 4), and characters by script, (documents, scripts)."""

    sizes: Integers
    scripts: Integers


class CorpusStats(Fold):
    """Count the rows into `stats.json`; the rows stay as they are."""

    kind: Literal["corpus_stats"] = "corpus_stats"
    by: tuple[str, ...] = Field(default=("source",), description="columns to break the counts down by, each alone")
    repeat: str = Field(
        default="", description="a column of whole numbers that says how often a document counts; empty: once each"
    )

    revision: ClassVar[int] = 2  # a row whose `repeat` is null counts once

    @override
    def needs(self) -> Columns:
        further = (*self.by, self.repeat) if self.repeat else self.by
        return {**TEXT, **dict.fromkeys(further, pa.null())}

    def refuse(self, columns: Columns) -> None:
        """RecipeError where a column of `by` cannot be written into `stats.json`, or that of `repeat` is no count."""
        refuse_formless(columns, self.by)
        if self.repeat:
            refuse_weights(columns, self.repeat)

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            states = [self._state(chunk) for chunk in _chunks(rows)]
            return self.merge(pa.concat_tables([_STATE.empty_table(), *states]))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "by", "value", "measure", "key")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        groups: dict[tuple[str, str | None], dict[str, dict[str, int]]] = {}
        for row in state.select(_STATE.names).to_pylist():
            group = groups.setdefault((row["by"], row["value"]), {})
            group.setdefault(row["measure"], {})[row["key"]] = row["count"]
        stats = _described(groups.pop((_TOTAL, None), {}))
        stats["by"] = {
            column: [{"value": value, **_described(groups[column, value])} for value in _values(groups, column)]
            for column in self.by
        }
        return {"stats.json": json.dumps(stats, indent=1, ensure_ascii=False).encode() + b"\n"}

    def _state(self, rows: pa.Table) -> pa.Table:
        """Counts of one chunk of rows, one row for each that is not zero."""
        import numpy as np

        measures = measure(rows["text"].to_pylist())
        repeats = weights_of(rows, self.repeat) if self.repeat else np.ones(rows.num_rows, np.int64)
        records = list(_records(_TOTAL, [None] * rows.num_rows, measures, repeats))
        for column in dict.fromkeys(self.by):
            records += _records(column, rows[column].cast(pa.string()).to_pylist(), measures, repeats)
        columns = zip(*records, strict=True) if records else [()] * len(_STATE)
        return pa.table(dict(zip(_STATE.names, columns, strict=True)), _STATE)


def measure(texts: list[str | None]) -> Measures:
    r"""Sizes and scripts of each text: one pass over the code points of all of them.

    >>> found = measure(["two words", "", "\u0416"])
    >>> found.sizes.tolist()
    [[1, 9, 9, 2], [1, 0, 0, 0], [1, 2, 1, 1]]
    >>> int(found.scripts[2, 1 + SCRIPTS.index("Cyrillic")])
    1
    """
    import numpy as np

    present = [text or "" for text in texts]
    lengths = np.fromiter(map(len, present), np.int64, len(present))
    codes = np.frombuffer("".join(present).encode("utf-32-le", "surrogatepass"), np.uint32)
    owners = np.repeat(np.arange(len(present)), lengths)
    scripts, spaces = _tables()
    is_space = spaces[codes]
    begins = ~is_space
    begins[1:] &= is_space[:-1] | (owners[1:] != owners[:-1])
    num_bytes = 1 + (codes >= 0x80).astype(np.int8) + (codes >= 0x800) + (codes >= 0x10000)
    width = len(SCRIPTS) + 1
    counts = np.bincount(owners * width + scripts[codes], minlength=len(present) * width)
    columns = (
        np.ones(len(present), np.int64),
        _sums(num_bytes, lengths),
        lengths,
        np.bincount(owners[begins], minlength=len(present)),
    )
    return Measures(np.stack(columns, axis=1).astype(np.int64), counts.reshape(len(present), width))


def _sums(values: npt.NDArray[np.generic], lengths: Integers) -> Integers:
    """Sums of consecutive runs of the given lengths, some of which may be 0."""
    import numpy as np

    totals = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=totals[1:])
    ends = np.cumsum(lengths)
    sums: Integers = totals[ends] - totals[ends - lengths]
    return sums


@cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """For every code point its script, by position in SCRIPTS, and whether it is white space to `str.split`."""
    import numpy as np
    import regex

    scripts = np.zeros(0x110000, np.uint8)
    everything = "".join(map(chr, range(0x40000))) + "".join(map(chr, range(0xE0000, 0xE0200)))  # the rest has none
    for position, name in enumerate(SCRIPTS, start=1):
        for run in regex.finditer(rf"\p{{Script={name}}}+", everything):
            first, last = ord(everything[run.start()]), ord(everything[run.end() - 1])
            scripts[first : last + 1] = position
    spaces = np.zeros(0x110000, np.bool_)
    spaces[[code for code in range(0x10000) if chr(code).isspace()]] = True
    return scripts, spaces


def _chunks(rows: pa.Table) -> Iterator[pa.Table]:
    """Slices of the rows with about _CHUNK_BYTES of text each, and at least one row."""
    import pyarrow.compute as pc

    start = size = 0
    for position, length in enumerate(pc.binary_length(rows["text"]).to_pylist()):
        cost = (length or 0) + _ROW_BYTES
        if size and size + cost > _CHUNK_BYTES:
            yield rows.slice(start, position - start)
            start, size = position, 0
        size += cost
    if start < rows.num_rows:
        yield rows.slice(start)


def _records(
    by: str, values: list[str | None], measures: Measures, repeats: Integers
) -> Iterator[tuple[str, str | None, str, str, int]]:
    """The state's rows for one breakdown: sums over the documents of each value, times their repeats."""
    import numpy as np

    positions: dict[str | None, int] = {}
    groups = np.array([positions.setdefault(value, len(positions)) for value in values], np.int64)
    weights = repeats.astype(np.int64)
    bits = np.frexp(measures.sizes[:, 1].astype(np.float64))[1]  # of the size in bytes: exact below 2^53
    lengths = np.zeros((len(positions), 64), np.int64)
    np.add.at(lengths, (groups, bits), weights)
    for name, keys, table in (
        ("size", _SIZES, _sum_groups(measures.sizes, weights, groups)),
        ("script", ("Other", *SCRIPTS), _sum_groups(measures.scripts, weights, groups)),
        ("length", tuple(map(str, range(64))), lengths),
    ):
        for value, counts in zip(positions, table.tolist(), strict=True):
            yield from ((by, value, name, key, count) for key, count in zip(keys, counts, strict=True) if count)


def _sum_groups(counts: Integers, weights: Integers, groups: Integers) -> Integers:
    """Weighted sums of rows by group; the groups are numbered from 0 without gaps."""
    import numpy as np

    sums = np.zeros((int(groups.max()) + 1, counts.shape[1]), np.int64)
    np.add.at(sums, groups, counts * weights[:, None])
    return sums


def _values(groups: Mapping[tuple[str, str | None], object], column: str) -> list[str | None]:
    """The values of one breakdown, in order, null last."""
    return sorted((value for by, value in groups if by == column), key=lambda value: (value is None, value or ""))


def _described(counts: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """The counts of one group as the file has them: sizes, lengths by powers of two, scripts by share.

    >>> _described({"size": {"documents": 2, "bytes": 3}, "length": {"0": 1, "2": 1}})["lengths"]
    [{'from_bytes': 0, 'below_bytes': 1, 'documents': 1}, {'from_bytes': 2, 'below_bytes': 4, 'documents': 1}]
    """
    sizes, scripts = counts.get("size", {}), counts.get("script", {})
    lengths = sorted((int(bits), count) for bits, count in counts.get("length", {}).items())
    total = sum(scripts.values())
    return {
        **{name: sizes.get(name, 0) for name in _SIZES},
        "lengths": [
            {"from_bytes": 1 << bits >> 1, "below_bytes": 1 << bits, "documents": count} for bits, count in lengths
        ],
        "scripts": {
            name: {"characters": count, "share": count / total}
            for name, count in sorted(scripts.items(), key=lambda item: (-item[1], item[0]))
        },
    }
