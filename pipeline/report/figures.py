"""Figures as SVG: pure functions of numbers. Colours are classes, so that the page's theme decides them.

Bars and bands stretch with the page (`preserveAspectRatio="none"`) and hold no text; histograms keep their shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from pipeline.report.bins import Axis, Bin
from pipeline.report.wording import number, text

BAR: Final = 1000
LEAST: Final = 3
"""In thousandths of a bar: what is not nothing is never drawn thinner."""
WIDTH, TOP, FLOOR, HEIGHT = 320, 20, 104, 124
MARGIN: Final = 6


class Segment(NamedTuple):
    """A part of a bar: its value and the class that colours it."""

    value: float
    kind: str


class Cut(NamedTuple):
    """A threshold in a histogram: what lies below it, or above it, is dropped."""

    value: float
    below: bool


def bar(segments: Sequence[Segment], whole: float, label: str, *, mark: float | None = None) -> str:
    """A horizontal bar of parts; an empty label hides it from those who hear the page, beside text that says the same.

    `mark` draws a line at that share of the whole.

    >>> bar([Segment(1, "kept")], 2, "").count("<rect"), 'width="500"' in bar([Segment(1, "kept")], 2, "")
    (1, True)
    """
    rects, left = [], 0.0
    for segment in segments:
        if segment.value <= 0 or whole <= 0:
            continue
        width = min(max(BAR * segment.value / whole, LEAST), BAR - left)
        if width > 0:
            rects.append(f'<rect class="{segment.kind}" x="{_short(left)}" width="{_short(width)}" height="10"/>')
        left += width
    if mark is not None:
        rects.append(f'<path class="cut" vector-effect="non-scaling-stroke" d="M{_short(BAR * min(mark, 1))} 0V10"/>')
    return f'<svg class="bar" viewBox="0 0 {BAR} 10" preserveAspectRatio="none" {_spoken(label)}>{"".join(rects)}</svg>'


def band(docs: tuple[float, float], size: tuple[float, float], would_keep: float | None, label: str) -> str:
    """One step of the funnel: documents to the left of the middle, bytes to the right, from before to after the step.

    The four numbers are shares of the whole run. `would_keep` draws what an audited step would have left.
    """
    parts = [_half(docs, -1, "docs"), _half(size, 1, "size")]
    if would_keep is not None:
        edge = _short(100 - 100 * would_keep)
        parts.append(f'<path class="would" vector-effect="non-scaling-stroke" d="M{edge} 0V100"/>')
    return f'<svg class="band" viewBox="0 0 200 100" preserveAspectRatio="none" {_spoken(label)}>{"".join(parts)}</svg>'


def flare(docs: float, size: float) -> str:
    """What is left of both halves, opened to the whole width: the funnel goes on at a larger scale."""
    left, right = _short(100 - 100 * docs), _short(100 + 100 * size)
    path = f'<path class="flare" d="M{left} 0H{right}L200 100H0Z"/>'
    return f'<svg class="band" viewBox="0 0 200 100" preserveAspectRatio="none" aria-hidden="true">{path}</svg>'


def _half(shares: tuple[float, float], side: int, kind: str) -> str:
    """What stays narrows from the first share to the second; the wedge that it leaves is what was dropped."""
    before, after = (100 * share for share in shares)
    if 0 < before - after < 0.5:
        after = max(before - 0.5, 0)
    outer, inner = (_short(100 + side * width) for width in (before, after))
    curve = f"C{outer} 55 {inner} 45 {inner} 100"
    lost = f'<path class="lost" d="M{outer} 0{curve}H{outer}Z"/>' if after < before else ""
    return f'{lost}<path class="{kind}" d="M100 0H{outer}{curve}H100Z"/>'


def histogram(bins: Sequence[Bin], axis: Axis, cuts: Sequence[Cut], label: str, *, kind: str = "lost") -> str:
    """Rows by score; beyond a threshold the ground is shaded and the columns take the colour of what is dropped."""
    most = max((bin_.rows for bin_ in bins), default=0)
    shown = [cut for cut in cuts if axis.holds(cut.value)]
    parts = [_shade(cut, axis, kind) for cut in _outermost(shown)]
    for bin_ in bins:
        parts += _columns(bin_, axis, shown, most, kind)
    parts.append(f'<path class="axis" d="M{MARGIN} {FLOOR}H{WIDTH - MARGIN}"/>')
    parts += [_tick(axis, value, name) for value, name in axis.ticks()]
    parts += [_line(cut, axis) for cut in shown]
    return f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" {_spoken(label)}>{"".join(parts)}</svg>'


def curve(points: Sequence[tuple[float, float]], threshold: float, label: str) -> str:
    """A share from 0 to 1 by a value from 0 to 1, with what lies at the threshold or above it shaded."""
    axis = Axis(0.0, 1.0)
    cut = Cut(threshold, below=False)
    parts = [_shade(cut, axis, "lost"), *_frame(axis), _drawn(points, axis), _line(cut, axis)]
    return f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" {_spoken(label)}>{"".join(parts)}</svg>'


def plot(points: Sequence[tuple[float, float]], label: str, *, has_diagonal: bool = False) -> str:
    """A share from 0 to 1 by another, point after point; with a diagonal the points are dots beside it."""
    axis = Axis(0.0, 1.0)
    parts = _frame(axis)
    if has_diagonal:
        parts.append(
            f'<path class="grid" d="M{_short(_x(axis, 0))} {_short(_y(0))}L{_short(_x(axis, 1))} {_short(_y(1))}"/>'
        )
        dots = ((_short(_x(axis, x)), _short(_y(y))) for x, y in points)
        parts += [f'<circle class="docs" cx="{x}" cy="{y}" r="3.2"/>' for x, y in dots]
    if len(points) > 1:
        parts.append(_drawn(points, axis))
    return f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" {_spoken(label)}>{"".join(parts)}</svg>'


def _drawn(points: Sequence[tuple[float, float]], axis: Axis) -> str:
    line = "L".join(f"{_short(_x(axis, x))} {_short(_y(y))}" for x, y in points)
    return f'<path class="curve" d="M{line}"/>'


def _frame(axis: Axis) -> list[str]:
    """The axes of a share by a value, with lines at a half and at one."""
    parts = []
    for part, name in ((0.5, "50 %"), (1.0, "100 %")):
        y = _y(part)
        parts.append(f'<path class="grid" d="M{MARGIN} {_short(y)}H{WIDTH - MARGIN}"/>')
        parts.append(f'<text x="{MARGIN}" y="{_short(y + 11)}">{name}</text>')
    parts.append(f'<path class="axis" d="M{MARGIN} {FLOOR}H{WIDTH - MARGIN}"/>')
    return parts + [_tick(axis, value, name) for value, name in axis.ticks()]


def strip(points: Sequence[float], axis: Axis, cuts: Sequence[Cut], *, kind: str = "lost") -> str:
    """Five quantiles of a score on one line, thin from the first to the last, thick between the second and fourth.

    Drawn in strokes, whose widths the style sheet has: a page holds hundreds of them. Hidden from those who hear the
    page, as the table that it stands in says how many rows there are and are kept.
    """
    first, low, middle, high, last = (_short(BAR * axis.place(point)) for point in points)
    parts = []
    for cut in _outermost([cut for cut in cuts if axis.holds(cut.value)]):
        edge = _short(BAR * axis.place(cut.value))
        span = f"M0 8H{edge}" if cut.below else f"M{edge} 8H{BAR}"
        parts.append(f'<path class="shade {kind}" d="{span}"/><path class="cut" d="M{edge} 0V16"/>')
    parts.append(f'<path d="M{first} 8H{last}"/><path class="box" d="M{low} 8H{high}"/>')
    parts.append(f'<path class="median" d="M{middle} 3V13"/>')
    return f'<svg class="strip" viewBox="0 0 {BAR} 16" preserveAspectRatio="none" {_spoken("")}>{"".join(parts)}</svg>'


def _y(share: float) -> float:
    """Where a share stands between the floor and the top."""
    return FLOOR - (FLOOR - TOP - 4) * min(max(share, 0.0), 1.0)


def _x(axis: Axis, value: float) -> float:
    return MARGIN + (WIDTH - 2 * MARGIN) * axis.place(value)


def _outermost(cuts: Sequence[Cut]) -> list[Cut]:
    """Of several thresholds on one side, the one that drops most; what it shades holds the others' shade."""
    below = max((cut for cut in cuts if cut.below), default=None)
    above = min((cut for cut in cuts if not cut.below), default=None)
    return [cut for cut in (below, above) if cut is not None]


def _shade(cut: Cut, axis: Axis, kind: str) -> str:
    edge = _x(axis, cut.value)
    left, right = (MARGIN, edge) if cut.below else (edge, WIDTH - MARGIN)
    width, height = _short(right - left), FLOOR - TOP
    return f'<rect class="shade {kind}" x="{_short(left)}" y="{TOP}" width="{width}" height="{height}"/>'


def _columns(bin_: Bin, axis: Axis, cuts: Sequence[Cut], most: float, kind: str) -> list[str]:
    """One column, or its parts where a threshold runs through it."""
    if bin_.rows <= 0:
        return []
    height = max((FLOOR - TOP - 4) * bin_.rows / most, 1.2)
    inside = sorted(cut.value for cut in cuts if bin_.low < cut.value < bin_.high)
    edges = [bin_.low, *inside, bin_.high]
    parts = []
    for low, high in pairwise(edges):
        middle = (low + high) / 2
        dropped = any(middle < cut.value if cut.below else middle > cut.value for cut in cuts)
        left, right = _x(axis, low), _x(axis, high)
        if high == bin_.high:
            right -= 0.8
        parts.append(
            f'<rect class="{kind if dropped else "docs"}" x="{_short(left)}" y="{_short(FLOOR - height)}" '
            f'width="{_short(max(right - left, 0.8))}" height="{_short(height)}"/>'
        )
    return parts


def _line(cut: Cut, axis: Axis) -> str:
    x = _x(axis, cut.value)
    anchor = "start" if x < 40 else "end" if x > WIDTH - 40 else "middle"
    return (
        f'<path class="cut" d="M{_short(x)} {TOP - 4}V{FLOOR}"/>'
        f'<text class="cut" x="{_short(x)}" y="{TOP - 7}" text-anchor="{anchor}">{text(number(cut.value))}</text>'
    )


def _tick(axis: Axis, value: float, name: str) -> str:
    x = _x(axis, value)
    anchor = "start" if x < 14 else "end" if x > WIDTH - 22 else "middle"
    return (
        f'<path class="axis" d="M{_short(x)} {FLOOR}v4"/>'
        f'<text x="{_short(x)}" y="{HEIGHT - 5}" text-anchor="{anchor}">{text(name)}</text>'
    )


def _spoken(label: str) -> str:
    return f'role="img" aria-label="{text(label)}"' if label else 'aria-hidden="true"'


def _short(value: float) -> str:
    """A coordinate with at most two decimals.

    >>> _short(1.0), _short(0.256), _short(-0.001)
    ('1', '0.26', '0')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown
