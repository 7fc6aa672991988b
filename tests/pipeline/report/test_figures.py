from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from pipeline.report.bins import Axis, Bin
from pipeline.report.figures import BAR, LEAST, Cut, Segment, band, bar, flare, histogram, plot

AXIS = Axis(0, 10)
BINS = [Bin(float(n), float(n + 1), float(n)) for n in range(10)]


def elements(svg: str, tag: str, kind: str = "") -> list[ET.Element]:
    """The elements with that tag and class; parsing shows that the figure is well-formed."""
    return [found for found in ET.fromstring(svg).iter(tag) if not kind or kind in found.get("class", "").split()]


def widths(svg: str) -> list[float]:
    return [float(found.get("width", "0")) for found in elements(svg, "rect")]


def test_a_bars_parts_are_as_long_as_their_values_and_lie_end_to_end() -> None:
    svg = bar([Segment(1, "docs"), Segment(3, "lost")], 4, "one of four")
    assert widths(svg) == [250, 750]
    assert [found.get("x") for found in elements(svg, "rect")] == ["0", "250"]


def test_what_is_not_nothing_is_seen_and_what_is_nothing_is_not_drawn() -> None:
    assert widths(bar([Segment(1, "lost"), Segment(0, "docs")], 10**9, "")) == [LEAST]
    assert widths(bar([Segment(0, "lost")], 0, "")) == []


def test_a_bar_never_leaves_its_frame() -> None:
    svg = bar([Segment(999, "docs"), *[Segment(1e-3, "lost")] * 9], 1000, "")
    assert sum(widths(svg)) <= BAR


def test_a_figure_has_a_label_or_is_hidden_from_those_who_hear_the_page() -> None:
    assert ET.fromstring(bar([], 1, "a <b>")).get("aria-label") == "a <b>"
    assert ET.fromstring(bar([], 1, "a")).get("role") == "img"
    assert ET.fromstring(bar([], 1, "")).get("aria-hidden") == "true"


def test_a_band_narrows_by_what_was_dropped_and_shows_it() -> None:
    svg = band((1.0, 0.5), (0.8, 0.8), None, "step")
    assert len(elements(svg, "path", "lost")) == 1
    (docs,) = elements(svg, "path", "docs")
    assert re.findall(r"H0C0 55 50 45 50 100", docs.get("d", ""))


def test_a_tiny_drop_is_still_seen_in_the_band() -> None:
    assert elements(band((1.0, 0.999999), (1.0, 1.0), None, "step"), "path", "lost")


def test_a_band_marks_what_an_audited_step_would_have_left() -> None:
    (line,) = elements(band((1.0, 1.0), (1.0, 1.0), 0.25, "step"), "path", "would")
    assert line.get("d") == "M75 0V100"


def test_the_funnel_opens_from_what_is_left_to_the_whole_width() -> None:
    (path,) = elements(flare(0.1, 0.05), "path")
    assert path.get("d") == "M90 0H105L200 100H0Z"


@pytest.mark.parametrize("below", [True, False])
def test_columns_beyond_a_threshold_take_the_colour_of_what_is_dropped(below: bool) -> None:
    svg = histogram(BINS, AXIS, [Cut(5.0, below)], "scores")
    columns = [found for found in elements(svg, "rect") if "shade" not in found.get("class", "")]
    kinds = [found.get("class") for found in sorted(columns, key=lambda found: float(found.get("x", "0")))]
    assert kinds == (["lost"] * 4 + ["docs"] * 5 if below else ["docs"] * 4 + ["lost"] * 5)
    assert len(elements(svg, "rect", "shade")) == 1


def test_a_column_that_a_threshold_runs_through_is_drawn_in_two_parts() -> None:
    svg = histogram([Bin(0.0, 10.0, 4.0)], AXIS, [Cut(5.0, below=True)], "scores")
    assert [found.get("class") for found in elements(svg, "rect")] == ["shade lost", "lost", "docs"]


def test_of_several_thresholds_on_one_side_only_the_outermost_shades() -> None:
    svg = histogram(BINS, AXIS, [Cut(5.0, below=False), Cut(9.0, below=False), Cut(1.0, below=True)], "scores")
    assert len(elements(svg, "rect", "shade")) == 2
    assert sorted(found.text or "" for found in elements(svg, "text", "cut")) == ["1", "5", "9"]


def test_a_threshold_off_the_scale_draws_no_line() -> None:
    assert not elements(histogram(BINS, AXIS, [Cut(50.0, below=False)], "scores"), "path", "cut")


def test_a_plot_goes_through_its_points_and_marks_them_beside_a_diagonal() -> None:
    points = [(0.0, 0.0), (0.5, 1.0), (1.0, 0.5)]
    (line,) = elements(plot(points, "a"), "path", "curve")
    assert line.get("d") == "M6 104L160 24L314 64"
    assert not elements(plot(points, "a"), "circle")
    marked = plot(points, "a", has_diagonal=True)
    assert [dot.get("cx") for dot in elements(marked, "circle")] == ["6", "160", "314"]
    assert "M6 104L314 24" in [path.get("d") for path in elements(marked, "path", "grid")]
    assert not elements(plot(points[:1], "a", has_diagonal=True), "path", "curve")
