"""Counts a judge's scores in one shard: their distribution, and what other thresholds than its own would drop.

Vectorised over the rows; a loop in Python runs over scores, bounds and groups alone. It takes 34 ms for 14
scores of 15,000 documents in 40 languages.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.kept_shares import count_edges
from pipeline.ladder import ladder
from pipeline.ledger import EXCERPT_CHARS
from pipeline.thresholds import GROUPS, NEAREST, Bound, Explored, Groups, Side, Tally, nearest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from operators.base import Rule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FURTHEST: Final = 1e300
"""Scores further from zero are counted there."""
_DENSE: Final = 1 << 16
"""Up to so many possible buckets are counted in an array, without sorting."""


class Grouping(NamedTuple):
    """A shard's largest groups by name, and for each row its group's place; `len(names)` for no or another group."""

    names: list[str]
    places: Ints


class Codes(NamedTuple):
    """The coarse buckets of some rows: the lower edges of those that occur, and each row's place among them."""

    edges: list[str]
    places: Ints


@dataclass(frozen=True)
class Judged:
    """A shard's rows before a judge's verdict: `id`, `source`, `text`, and `lang` where they have one."""

    table: pa.Table
    shows_text: bool = True
    most_groups: int = GROUPS

    @cached_property
    def sizes(self) -> Ints:
        """Bytes of text of each row."""
        return np.asarray(pc.binary_length(self.table["text"]).to_numpy(), np.int64)

    @cached_property
    def groupings(self) -> dict[str, Grouping]:
        """By language, where the rows have one, and by source."""
        names = [name for name in ("lang", "source") if name in self.table.column_names]
        return {name: group(self.table[name], self.most_groups) for name in names}

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """The hash of every id: asked for only where many documents have one score."""
        return np.array(_hashes(self.table["id"].to_pylist()), np.uint64)

    def example(self, row: int, value: float) -> dict[str, Any]:
        """A row as the report may show it."""
        excerpt = None
        if self.shows_text:
            excerpt = pc.utf8_slice_codeunits(self.table["text"].slice(row, 1), 0, EXCERPT_CHARS)[0].as_py()
        named = {name: self.table[name][row].as_py() for name in ("id", "source")}
        lang = self.table["lang"][row].as_py() if "lang" in self.table.column_names else None
        (order,) = _hashes([named["id"]])
        return {**named, "lang": lang, "value": value, "order": f"{order:016x}", "excerpt": excerpt}


def _hashes(ids: list[str | None]) -> list[int]:
    """xxh3_64 of ids; xxhash is not imported with this module."""
    from xxhash import xxh3_64_intdigest

    return [xxh3_64_intdigest(str(identity).encode()) for identity in ids]


def explore(
    judged: Judged, scores: Mapping[str, pa.ChunkedArray], rules: Sequence[Rule]
) -> tuple[dict[str, Counter[str]], Explored]:
    """The scores' distributions as `score_buckets` has them, and all else that is counted of them and their rules."""
    found = Explored()
    values = {name: numbers(column) for name, column in scores.items()}
    buckets: dict[str, Counter[str]] = {}
    for name, column in values.items():
        is_finite = np.isfinite(column)
        codes = _codes(column[is_finite])
        buckets[name] = Counter(_named(*_summed(codes)))
        found.score_bytes[name] = _named(*_summed(codes, judged.sizes[is_finite]))
        coarse = _coarse(codes)
        found.spreads[name] = {
            by: _spread(coarse, grouping.places[is_finite], grouping.names)
            for by, grouping in judged.groupings.items()
            if len(codes)
        }
    for rule in rules:
        if rule.score not in values:
            continue
        whole = pa.types.is_integer(scores[rule.score].type)
        sides: tuple[tuple[Side, float | None], ...] = (("low", rule.low), ("high", rule.high))
        for side, value in sides:
            if value is not None:
                tried = ladder(value, whole=whole)
                found.bounds.append(_bound(judged, values[rule.score], rule, side, float(value), tried))
    return buckets, found


def score_buckets(column: pa.ChunkedArray) -> Counter[str]:
    """A score's distribution in buckets of 1/32 relative width: lower edge (as text) -> rows. Nulls and NaN left out.

    >>> score_buckets(pa.chunked_array([[0.5, 0.5, 100.0, None]]))
    Counter({'0.5': 2, '100.0': 1})
    """
    values = numbers(column)
    codes, rows = _summed(_codes(values[np.isfinite(values)]))
    return Counter(_named(codes, rows))


def numbers(column: pa.ChunkedArray) -> Floats:
    """A numeric column, nulls as NaN."""
    found: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    return found


def is_score(column: pa.ChunkedArray) -> bool:
    """Whether a column holds numbers that can be counted by value."""
    return bool(pa.types.is_floating(column.type) or pa.types.is_integer(column.type))


def group(column: pa.ChunkedArray, most: int = GROUPS) -> Grouping:
    """The column's largest values by rows, then by name."""
    found = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    names = found.dictionary.to_pylist()
    codes: Ints = np.asarray(found.indices.fill_null(len(names)).to_numpy(zero_copy_only=False), np.int64)
    rows = np.bincount(codes, minlength=len(names) + 1)
    ranked = sorted(range(len(names)), key=lambda place: (-rows[place], names[place]))[:most]
    places = np.full(len(names) + 1, len(ranked), np.int64)
    places[ranked] = np.arange(len(ranked))
    return Grouping([names[place] for place in ranked], places[codes])


def _codes(values: Floats) -> Ints:
    """A finite value's bucket: 256 for each power of two, and within it the first six bits of the mantissa, signed."""
    mantissa, exponent = np.frexp(np.clip(values, -FURTHEST, FURTHEST))
    codes: Ints = exponent.astype(np.int64) * 256 + np.floor(mantissa * 64).astype(np.int64) + 128
    return codes


@lru_cache(maxsize=4096)
def _edge(code: int) -> float:
    """The lower edge of a bucket.

    >>> _edge(int(_codes(np.array([0.51]))[0])), _edge(int(_codes(np.array([-3.0]))[0]))
    (0.5, -3.0)
    """
    return math.ldexp((code & 255) - 128, (code >> 8) - 6)


def _summed(codes: Ints, weights: Ints | None = None) -> tuple[Ints, Ints]:
    """The codes that occur, and their rows; with weights the sums of those."""
    if not len(codes):
        return codes, codes
    low, high = int(codes.min()), int(codes.max())
    if high - low >= _DENSE:
        found, places = np.unique(codes, return_inverse=True)
        return found, _bincount(places.ravel(), weights, len(found))
    rows = np.bincount(codes - low)
    found = np.flatnonzero(rows)
    sums = rows if weights is None else _bincount(codes - low, weights, len(rows))
    return found + low, sums[found]


def _bincount(places: Ints, weights: Ints | None, length: int) -> Ints:
    """Sums by place. They are whole and below 2**53, so that floats hold them exactly."""
    sums: Ints = np.bincount(places, weights, minlength=length).astype(np.int64)
    return sums


def _named(codes: Iterable[int], counts: Iterable[int]) -> dict[str, int]:
    """By lower edge. Tiny numbers have fewer bits, so that two buckets may have one edge."""
    found: dict[str, int] = {}
    for code, count in zip(codes, counts, strict=True):
        edge = repr(_edge(int(code)))
        found[edge] = found.get(edge, 0) + int(count)
    return found


def _coarse(codes: Ints) -> Codes:
    """Four buckets for each power of two."""
    coarse = codes >> 3
    seen, _ = _summed(coarse)
    edges = [repr(_edge(int(code) << 3)) for code in seen]
    if not len(seen) or seen[-1] - seen[0] >= _DENSE:
        return Codes(edges, np.searchsorted(seen, coarse))
    place_of = np.zeros(int(seen[-1] - seen[0]) + 1, np.int64)
    place_of[seen - seen[0]] = np.arange(len(seen))
    return Codes(edges, place_of[coarse - seen[0]])


def _spread(coarse: Codes, places: Ints, names: list[str]) -> dict[str, dict[str, int]]:
    """For each group documents by coarse bucket."""
    width = len(coarse.edges)
    table = np.bincount(places * width + coarse.places, minlength=(len(names) + 1) * width).reshape(-1, width)
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    groups, columns = np.nonzero(table[: len(names)])
    for place, column, rows in zip(groups.tolist(), columns.tolist(), table[groups, columns].tolist(), strict=True):
        buckets, edge = found[names[place]], coarse.edges[column]
        buckets[edge] = buckets.get(edge, 0) + rows
    return {name: buckets for name, buckets in found.items() if buckets}


def _bound(judged: Judged, values: Floats, rule: Rule, side: Side, value: float, tried: tuple[float, ...]) -> Bound:
    """What each threshold drops of the documents that have the score."""
    has_score = ~np.isnan(values)
    scored = values[has_score]
    # How many of the thresholds the score has passed: those after it drop it, or those before. For a handful of them
    # comparing with each takes a tenth of the time of a binary search.
    passed = np.zeros(len(scored), np.int64)
    for threshold in tried:
        passed += scored >= threshold if side == "low" else scored > threshold
    sizes, nobody = judged.sizes[has_score], np.zeros(len(passed), np.int64)
    (total,) = _tallies(passed, sizes, nobody, 1, len(tried), side)
    groups: Groups = {}
    for by, grouping in judged.groupings.items():
        found = _tallies(passed, sizes, grouping.places[has_score], len(grouping.names), len(tried), side)
        groups[by] = {name: tally for name, tally in zip(grouping.names, found, strict=True) if tally.documents}
    is_finite = np.isfinite(scored)
    edges = count_edges(scored[is_finite] if side == "low" else -scored[is_finite], sizes[is_finite])
    nearest = _nearest(judged, values, side, value)
    return Bound(rule.name, rule.score, side, value, tried, total, groups, nearest, edges)


def _tallies(passed: Ints, sizes: Ints, places: Ints, num_groups: int, num_tried: int, side: Side) -> list[Tally]:
    """For each group its documents and bytes, and what each threshold drops of them."""
    width = num_tried + 1
    flat = places * width + passed
    found = []
    for weights in (None, sizes):
        cells = _bincount(flat, weights, (num_groups + 1) * width).reshape(-1, width)[:num_groups]
        total = cells.sum(1, keepdims=True)
        up_to = cells.cumsum(1)[:, :num_tried]
        found.append(np.concatenate([total, up_to if side == "low" else total - up_to], 1))
    return [Tally(counts) for counts in np.stack(found, 1)]


def _nearest(judged: Judged, values: Floats, side: Side, bound: float) -> dict[str, list[dict[str, Any]]]:
    """The documents next to the bound that it drops, and that it keeps."""
    is_finite = np.isfinite(values)
    drops = values < bound if side == "low" else values > bound
    found = {}
    for where, mask in (("dropped", drops & is_finite), ("kept", ~drops & is_finite)):
        rows = _closest(judged, np.flatnonzero(mask), values, bound)
        found[where] = nearest_of((judged.example(int(row), float(values[row])) for row in rows), bound)
    return found


def _closest(judged: Judged, rows: Ints, values: Floats, bound: float) -> Ints:
    """A few rows that hold the closest by distance, then hash; only ids with one hash may make them more."""
    if len(rows) <= NEAREST:
        return rows
    away = np.abs(values[rows] - bound)
    last = np.partition(away, NEAREST - 1)[NEAREST - 1]
    tied = rows[away == last]
    if len(tied) > NEAREST:
        hashes = judged.hashes[tied]
        tied = tied[hashes <= np.partition(hashes, NEAREST - 1)[NEAREST - 1]]
    return np.concatenate([rows[away < last], tied])
