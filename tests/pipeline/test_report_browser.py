"""Looks at the report as a person does: in Chromium, on a desk and on a phone, in light and dark, offline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.page import SECTIONS, render
from tests.pipeline.browser import NAMES, Browser, chromium, find_chromium
from tests.pipeline.report.manifests import busy, manifest, nothing, small, step
from tests.pipeline.report.test_page import hostile_names

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1280
PAGES = ("small", "busy", "empty", "hostile")
OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  const isOut = box.width && box.right > document.documentElement.clientWidth + 0.5;
  return isOut && !e.closest('.scroll') && !e.closest('.unseen');
}).slice(0, 5).map(e => e.outerHTML.slice(0, 160))
"""
LOW_CONTRAST = """
(() => {
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = s => s.startsWith('color(srgb') ? s.match(/[\\d.]+/g).map((v, i) => i < 3 ? v * 255 : +v)
    : s.match(/[\\d.]+/g).map(Number);
  const over = (top, ground) => { const a = top[3] ?? 1; return [0, 1, 2].map(i => top[i] * a + ground[i] * (1 - a)); };
  const ground = e => { const layers = [];
    for (let n = e; n; n = n.parentElement) layers.push(getComputedStyle(n).backgroundColor);
    return layers.reverse().reduce((have, layer) => over(parse(layer), have), [255, 255, 255]); };
  const found = [];
  const marks = 'p, b, code, small, th, td, dt, dd, li, a, summary, span, h1, h2, h3, caption, mark';
  for (const e of document.querySelectorAll(marks)) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (e.matches('.space, .arrow, .unseen')) continue;
    const style = getComputedStyle(e), below = ground(e), ink = over(parse(style.color), below);
    const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(ratio.toFixed(2) + ' ' + e.outerHTML.slice(0, 120));
  }
  return found.slice(0, 5);
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without a network."""
    if not find_chromium():
        message = f"none of {', '.join(NAMES)} is on the PATH: install chromium to look at the report"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        found.go_offline()
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of reports on disk."""
    folder = tmp_path_factory.mktemp("reports")
    content, read = small()
    shown = {
        "small": render(content, read),
        "busy": render(busy(), nothing),
        "empty": render(manifest([step("only")], 0), nothing),
        "hostile": render(hostile_names(content), read),
    }
    for name, page in shown.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in shown}


def requests(browser: Browser) -> list[str]:
    """Every address that the page asked for."""
    sent = [event for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]


def complaints(browser: Browser) -> list[Any]:
    """What the browser's console says: errors, warnings, refused loads, exceptions."""
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event["params"] for event in browser.events if event.get("method") in kinds]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_asks_for_nothing_but_itself_and_the_console_stays_silent(
    browser: Browser, pages: dict[str, str], name: str
) -> None:
    browser.view(DESK)
    browser.open(pages[name])
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert [url for url in requests(browser) if url not in (pages[name], "data:,")] == []
    assert complaints(browser) == []


def test_a_person_sees_the_headline_and_every_step_in_the_funnel(browser: Browser, pages: dict[str, str]) -> None:
    content, _ = small()
    browser.view(DESK)
    browser.open(pages["small"])
    headline = browser.ask("document.querySelector('.claim').innerText.replace(/\\s+/g, ' ')")
    assert headline == f"1,000 documents read \u2192{content['rows']['kept']} kept {content['rows']['kept'] / 10:.1f} %"
    steps = browser.ask("[...document.querySelectorAll('.funnel h3')].map(e => e.innerText)")
    assert steps == ["Read", *(entry["name"] for entry in content["steps"]), "Kept"]


def test_the_funnels_rows_form_one_figure_without_gaps(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    boxes = "[...document.querySelectorAll('.band')].map(e => e.getBoundingClientRect())"
    edges = browser.ask(f"{boxes}.map(box => [box.top, box.bottom, box.width])")
    assert isinstance(edges, list)
    assert len(edges) == 5
    assert all(bottom >= top for (_, bottom, _), (top, _, _) in pairwise(edges))
    assert min(width for _, _, width in edges) > 300


def test_a_histogram_shows_its_threshold_and_both_sides_of_it(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    found = browser.ask("""(() => {
        const figure = [...document.querySelectorAll('figure')].find(e => e.innerText.includes('num_words'));
        const size = e => { const box = e.getBoundingClientRect(); return box.width * box.height > 0; };
        return {line: figure.querySelector('text.cut').textContent, words: figure.innerText,
            dropped: [...figure.querySelectorAll('rect.lost:not(.shade)')].filter(size).length,
            kept: [...figure.querySelectorAll('rect.docs')].filter(size).length};
    })()""")
    assert isinstance(found, dict)
    assert found["line"] == "50"
    assert "log scale" in found["words"]
    assert found["dropped"] > 3
    assert found["kept"] > 3


def test_an_example_opens_and_shows_its_text_as_text(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    closed = browser.ask("document.querySelector('.examples blockquote').checkVisibility()")
    browser.ask("document.querySelector('.rules summary').click()")
    shown = browser.ask("document.querySelector('.examples blockquote').innerText")
    assert not closed
    assert browser.ask("document.querySelector('.examples blockquote').checkVisibility()")
    assert str(shown).startswith("<script>document.title='owned'</script>")
    assert browser.ask("document.title") == "demo \u2013 vocabmill report"


def test_the_documents_next_to_a_threshold_open_and_show_both_sides(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    bound = "document.querySelector('.explorer .ladder tr:has(b)').innerText.replace(/\\s+/g, ' ')"
    assert str(browser.ask(bound)).startswith("50 ")
    closed = browser.ask("document.querySelector('.nearest blockquote').checkVisibility()")
    browser.ask("document.querySelector('.nearest summary').click()")
    titles = browser.ask("[...document.querySelector('.nearest').querySelectorAll('h4')].map(e => e.innerText)")
    assert not closed
    assert titles == ["Just below 50: dropped", "50 or just above: kept by this rule"]
    assert browser.ask("document.querySelector('.nearest blockquote').checkVisibility()")


def test_strips_stand_on_one_scale_and_numbers_on_one_edge(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    boxes = "[...document.querySelectorAll('.explorer .strips.source .strip')].map(e => e.getBoundingClientRect())"
    edges = browser.ask(f"{boxes}.map(box => [box.left, box.width])")
    assert isinstance(edges, list)
    assert len(edges) > 2
    assert all(width > 40 for _, width in edges)
    assert len({tuple(edge) for edge in edges[:2]}) == 1


def test_hostile_names_make_no_elements(browser: Browser, pages: dict[str, str]) -> None:
    browser.open(pages["hostile"])
    assert browser.ask("document.querySelectorAll('script, img, iframe, object, embed, form').length") == 0
    assert "owned" not in str(browser.ask("document.title")).split("<script>")[0]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [PHONE, 768, DESK])
def test_nothing_runs_out_of_the_window(browser: Browser, pages: dict[str, str], name: str, width: int) -> None:
    browser.view(width)
    browser.open(pages[name])
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.ask("document.documentElement.scrollWidth") == width
    assert browser.ask(OVERFLOWING) == []


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("name", ["small", "busy"])
def test_text_stands_out_from_its_ground_in_both_themes(
    browser: Browser, pages: dict[str, str], name: str, is_dark: bool
) -> None:
    browser.view(DESK, is_dark=is_dark)
    browser.open(pages[name])
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    ground = str(browser.ask("getComputedStyle(document.body).backgroundColor"))
    assert (ground == "rgb(16, 23, 29)") == is_dark
    assert browser.ask(LOW_CONTRAST) == []


def test_every_link_of_the_contents_leads_to_a_section(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    targets = browser.ask("[...document.querySelectorAll('nav a')].map(e => document.querySelector(e.hash)?.id)")
    assert targets == [anchor for anchor, _, _ in SECTIONS]


def test_headings_go_down_one_level_at_a_time(browser: Browser, pages: dict[str, str]) -> None:
    browser.open(pages["small"])
    levels = browser.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map(e => +e.tagName[1])")
    assert isinstance(levels, list)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_page_prints_dark_on_white_without_its_navigation(browser: Browser, pages: dict[str, str]) -> None:
    browser.view(DESK, is_dark=True, media="print")
    browser.open(pages["small"])
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.send("Page.printToPDF")["data"].startswith("JVBERi")


def test_a_screenshot_holds_the_colours_of_what_was_kept_and_dropped(
    browser: Browser, pages: dict[str, str], tmp_path: Path
) -> None:
    browser.view(DESK)
    browser.open(pages["small"])
    browser.screenshot(tmp_path / "page.png", height=1200)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    colours = browser.ask(
        "['.whereabouts rect.docs', '.whereabouts rect.lost-1', '.funnel .lost']"
        ".map(s => getComputedStyle(document.querySelector(s)).fill)"
    )
    assert isinstance(colours, list)
    kept, dropped, wedge = colours
    assert kept != dropped == wedge
