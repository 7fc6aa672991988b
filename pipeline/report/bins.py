"""From the ledger's fine buckets to the columns of a histogram, and the axis that they stand on.

The ledger counts scores in buckets of 1/32 relative width, named by their lower edge. A column takes from each bucket
the part that it covers, so that columns and buckets that do not meet give no false comb; its height may thus be broken.
What is read as numbers has no part of a document: `merge` joins whole buckets, and says where they begin and end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from pipeline.report.wording import number

MOST: Final = 36
"""Columns of a histogram."""
DECADES: Final = 2
"""A score that spans more of them stands on a logarithmic axis."""
SPAN: Final = 1e12
"""The most that a logarithmic axis spans; what is smaller stands at its lower end."""
LARGE: Final = 1e6
"""From here on a bucket says nothing about whether a score is whole, nor does it matter."""
FAR: Final = 1e100
"""Scores further from zero than this are drawn there: sums and differences of them would overflow."""
ZERO: Final = 0.06
"""The part of a logarithmic axis, at its left, that stands for zero."""


class Bin(NamedTuple):
    """Rows with a score in [low, high)."""

    low: float
    high: float
    rows: float


@dataclass(frozen=True)
class Axis:
    """Where a value stands between 0 (left) and 1 (right)."""

    low: float
    high: float
    log: bool = False
    zero: bool = False
    is_bytes: bool = False

    def place(self, value: float) -> float:
        """The value's position; what is off the scale stands at its end."""
        start = ZERO if self.zero else 0.0
        if self.log:
            if value < self.low:
                return 0.0 if value <= 0 else start
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return start + (1 - start) * min(max(part, 0.0), 1.0)

    def holds(self, value: float) -> bool:
        """Whether the value is on the scale."""
        return self.low <= value <= self.high or (self.zero and value == 0)

    def ticks(self) -> list[tuple[float, str]]:
        """Values to write under the axis."""
        if not self.log:
            return [(value, number(value)) for value in _round_values(self.low, self.high)]
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        step = max(1, math.ceil((last - first) / 5))
        powers = [10.0**power for power in range(first, last + 1, step)]
        zero = [(0.0, "0")] if self.zero else []
        return zero + [(power, _tick(power, is_bytes=self.is_bytes)) for power in powers]


def _tick(power: float, *, is_bytes: bool) -> str:
    """A power of ten, short enough to stand under an axis.

    >>> _tick(0.01, is_bytes=False), _tick(1e5, is_bytes=False), _tick(1e4, is_bytes=True)
    ('0.01', '100k', '10 kB')
    """
    if not is_bytes and power < 1e4:
        return number(power)
    place = min(int(math.log10(power) + 1e-9) // 3, 5)
    unit = (" B", " kB", " MB", " GB", " TB", " PB")[place] if is_bytes else ("", "k", "M", "B", "T", "Q")[place]
    return f"{power / 1000**place:.0f}{unit}"


def read_buckets(counts: Mapping[str, int]) -> list[Bin]:
    """The ledger's buckets, ascending; zero is a bucket without width.

    >>> read_buckets({"1.0": 2, "0.0": 5, "0.5": 1})
    [Bin(low=0.0, high=0.0, rows=5), Bin(low=0.5, high=0.515625, rows=1), Bin(low=1.0, high=1.03125, rows=2)]
    """
    found = []
    for edge, rows in counts.items():
        low = min(max(float(edge), -FAR), FAR)
        mantissa, exponent = math.frexp(low)
        # What is just above a negative power of two has the next smaller exponent.
        width = math.ldexp(1.0, exponent - 6 - (mantissa == -0.5)) if low else 0.0
        found.append(Bin(low, low + width, rows))
    return sorted(found)


def choose_axis(buckets: Sequence[Bin], bounds: Iterable[float]) -> Axis:
    """An axis for the data, stretched to a bound that is not far away."""
    low, high = buckets[0].low, max(bucket.high for bucket in buckets)
    if low >= 0 and buckets[-1].low == 1.0:
        high = 1.0  # a share: its bucket at 1 holds nothing above
    positive = [bucket.low for bucket in buckets if bucket.low > 0]
    if low >= 0 and high > 1 and positive and high / _low_end(buckets) > 10**DECADES:
        near = [bound for bound in bounds if positive[0] / 10 <= bound <= high * 10]
        lowest = max(min([positive[0], *(bound / 1.5 for bound in near)]), high / SPAN)
        return Axis(lowest, max([high, *(bound * 1.5 for bound in near)]), log=True, zero=low == 0)
    bounds = list(bounds)
    if low == high:
        return _axis_of_one(low, bounds)
    # Whether the outermost bucket lies on this or that side of a bound inside it is not known: the bound ends the axis.
    low = max([low, *(bound for bound in bounds if buckets[0].low < bound < buckets[0].high)])
    if 0 <= low < high / 2:
        low = 0.0
    if _is_whole(buckets):
        low, high = math.floor(low), max(buckets[-1].low + 1, math.floor(high))
    room = (high - low) / 10
    near = [bound for bound in bounds if low - (high - low) <= bound <= high + (high - low)]
    above = [bound + room for bound in near if bound > high - room]
    below = [bound - room for bound in near if bound < low]
    return Axis(min([low, *below]), max([high, *above]))


def _low_end(buckets: Sequence[Bin]) -> float:
    """The first percentile of what is above zero: one stray small score makes no logarithmic axis."""
    positive = [bucket for bucket in buckets if bucket.low > 0]
    least = sum(bucket.rows for bucket in positive) / 100
    passed = 0.0
    for bucket in positive:
        passed += bucket.rows
        if passed >= least:
            return bucket.low
    return positive[-1].low


def _axis_of_one(value: float, bounds: Sequence[float]) -> Axis:
    """Where every row has the same score: from there to the bounds, however far."""
    low, high = min([value, *bounds]), max([value, *bounds])
    room = (high - low) / 4 or 1.0
    return Axis(low if low == 0 else low - room, high + room)


def _is_whole(buckets: Sequence[Bin]) -> bool:
    """Whether the score seems to be a count: no bucket begins between whole numbers."""
    within = 2 <= buckets[-1].low < LARGE and buckets[0].low > -LARGE
    return within and all(bucket.low == int(bucket.low) for bucket in buckets)


def rebin(buckets: Sequence[Bin], axis: Axis, most: int = MOST) -> list[Bin]:
    """At most `most` columns of equal width on the axis; on a logarithmic one, zero has a column of its own."""
    inside = [_clipped(bucket, axis) for bucket in buckets if not (axis.log and bucket.low == 0)]
    edges = _edges(axis, inside, most)
    counts = [0.0] * (len(edges) - 1)
    for bucket in inside:
        _share_out(bucket, edges, counts)
    bins = [Bin(low, high, rows) for (low, high), rows in zip(pairwise(edges), counts, strict=True)]
    if axis.zero:
        bins.insert(0, Bin(0.0, axis.low * (1 - 1e-9), sum(bucket.rows for bucket in buckets if bucket.low == 0)))
    return bins


def merge(buckets: Sequence[Bin], axis: Axis, most: int = MOST) -> list[Bin]:
    """Whole buckets together where their middles lie in one column of `rebin`; none is empty, all rows are there.

    Scores that seem to be counts end before the next whole number, shares at 1.

    >>> merge(read_buckets({"0.0": 1, "0.96875": 2, "1.0": 3}), Axis(0.0, 1.0), 10)
    [Bin(low=0.0, high=0.0, rows=1), Bin(low=0.96875, high=1.0, rows=5)]
    """
    edges = _edges(axis, [_clipped(bucket, axis) for bucket in buckets if not (axis.log and bucket.low == 0)], most)
    is_whole = _is_whole(buckets)
    found: dict[int, Bin] = {}
    for low, high, rows in buckets:
        if is_whole:
            high = max(math.ceil(high), low + 1)
        elif low == axis.high:
            high = low
        place = -1 if axis.zero and low == 0 else bisect_right(edges, (low + high) / 2, 1, len(edges) - 1)
        have = found.get(place, Bin(low, high, 0))
        found[place] = Bin(have.low, max(have.high, high), have.rows + rows)
    return list(found.values())


def _clipped(bucket: Bin, axis: Axis) -> Bin:
    """The bucket on the axis: what is off its ends counts at them."""
    low, high = (min(max(value, axis.low), axis.high) for value in (bucket.low, bucket.high))
    return Bin(low, high, bucket.rows)


def _edges(axis: Axis, buckets: Sequence[Bin], most: int) -> list[float]:
    """Edges of the columns: none narrower than the buckets, which would leave gaps where the data has none."""
    if axis.log:
        ratio = math.log(axis.high / axis.low)
        num = max(1, int(min(most, ratio / math.log(1 + 1 / 32))))
        return [axis.low * math.exp(ratio * place / num) for place in range(num)] + [axis.high]
    span = axis.high - axis.low
    if buckets and _is_whole(buckets):
        step = math.ceil(span / most)
        return [*(axis.low + step * place for place in range(math.ceil(span / step))), axis.high]
    widest = max((bucket.high - bucket.low for bucket in buckets), default=0.0)
    num = max(1, int(min(most, span / widest + 1e-9)) if widest > 0 else most)
    return [axis.low + span * place / num for place in range(num)] + [axis.high]


def _share_out(bucket: Bin, edges: Sequence[float], counts: list[float]) -> None:
    """Add a bucket's rows to the columns that it overlaps, by the part that each covers."""
    last = len(counts) - 1
    width = bucket.high - bucket.low
    if width <= 0:
        place = next((i for i in range(last) if bucket.low < edges[i + 1]), last)
        counts[place] += bucket.rows
        return
    for place in range(last + 1):
        overlap = min(bucket.high, edges[place + 1]) - max(bucket.low, edges[place])
        if overlap > 0:
            counts[place] += bucket.rows * overlap / width


def _round_values(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten.

    >>> _round_values(0, 1), _round_values(3, 47)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [10.0, 20.0, 30.0, 40.0])
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]
