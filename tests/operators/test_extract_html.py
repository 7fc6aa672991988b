import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RecipeError
from operators.extract_html import ExtractHtml
from tests.operators.clean_up import clean, hold, one, texts

WORDS = "The herring came in before dawn, and the harbour was busy & loud. "
PAGE = (
    "\ufeff <?xml version='1.0'?><!-- made by <html> hand -->\n<!DOCTYPE html><html><head><title>T</title>"
    "<style>p {color: red}</style><script>var page = '<p>no</p>';</script></head><body>"
    "<nav><ul><li><a href='/'>Home</a></li><li>About</li></ul></nav><article><h1>Boats</h1>"
    f"<p>{WORDS.replace('&', '&amp;') * 5}<a href='https://x.example/y'>See more</a></p>"
    "<ul><li>one</li><li>two</li></ul><pre>  code\n   more</pre><img src='b.png' alt='A boat'></article>"
    "<aside class='sidebar'>Adverts</aside><footer>&copy; 2020</footer></body></html>"
)
SHORT = "<html><body><nav>Menu</nav><article><p>Boats.</p></article></body></html>"


def test_a_page_becomes_its_main_content() -> None:
    (row,) = clean(ExtractHtml(), PAGE)
    assert row["method"] == "main"
    assert row["removed_bytes"] == len(PAGE.encode()) - len(row["text"].encode()) > 300
    assert row["text"].startswith("Boats\n\nThe herring came in before dawn, and the harbour was busy & loud.")
    assert "  code\n   more" in row["text"]
    for gone in ("Home", "Adverts", "2020", "color", "var page", "A boat", "x.example", "<"):
        assert gone not in row["text"], gone


def test_all_text_links_and_descriptions_on_wish() -> None:
    everything = one(ExtractHtml(main_content=False, alt_texts=True, links=True), PAGE)
    for there in ("Home", "Adverts", "2020", "A boat", "https://x.example/y", "\u2022 one"):
        assert there in everything, there
    assert "\u2022" not in one(ExtractHtml(main_content=False, lists=False), PAGE)
    assert "Adverts" not in one(ExtractHtml(main_content=False, skip=("aside.sidebar",)), PAGE)


def test_hidden_text_and_form_fields_are_as_the_page_on_it_says() -> None:
    page = "<html><body><p>a</p><p hidden>b</p><p style='display:none'>c</p><textarea>d</textarea></body></html>"
    assert one(ExtractHtml(), page) == "a\n\nb\n\nc"
    assert one(ExtractHtml(skip=("[hidden]", "[style*='display:none']")), page) == "a"
    assert "[ d ]" in one(ExtractHtml(form_fields=True), page)


def test_too_little_main_content_gives_all_text() -> None:
    assert clean(ExtractHtml(), SHORT) == [{"text": "Menu\n\nBoats.", "method": "all", "removed_bytes": 61}]
    assert one(ExtractHtml(min_chars=0), SHORT) == "Boats."


@pytest.mark.parametrize(
    ("text", "document", "markup"),
    [
        ("a < b && c > d", False, False),
        ("In HTML a page begins with <html>.", False, False),
        ("# Markdown\n\n<div>\n\nwith a tag\n</div>\n", False, False),
        ("<p>one</p><p>two</p><p>three</p>", False, True),
        ("text <b>bold</b>, <i>italic</i> and a <a href=x>link</a>", False, True),
        ("&lt;html&gt;", False, False),
        ("<HTML lang=en>x", True, True),
        ("\n<!-- a --> <!-- b --><!doctype  HTML>x", True, True),
        ("<body>x", True, True),
        ("<bodyguard>x", False, False),
        ("", False, False),
    ],
)
def test_what_is_html(text: str, document: bool, markup: bool) -> None:
    def method(detect: str) -> object:
        return clean(ExtractHtml.model_validate({"detect": detect, "min_chars": 0}), text)[0]["method"]

    assert [method(detect) is not None for detect in ("document", "markup", "all")] == [document, markup, True]


@given(st.sampled_from(["", "<html>", "<body><p>", PAGE[:300]]), texts, st.sampled_from(["", "</p>", PAGE]))
def test_any_text_goes_in_and_what_is_no_page_stays(before: str, text: str, after: str) -> None:
    page = before + text + after
    (row,) = clean(ExtractHtml(), page)
    assert row["text"] == page or row["method"] is not None
    assert one(ExtractHtml(), row["text"]) == row["text"] or row["text"].lstrip().startswith("<")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "unit", ["<div><b>", "<DIV\n class=a>", "<p><i>", "<table>", "<ul><li>", "<!--", "<a href=", "&amp"]
)
def test_no_page_takes_for_ever(unit: str) -> None:
    clean(ExtractHtml(min_chars=0), "<html><body>" + unit * 20_000)


def test_deep_pages_give_all_their_text() -> None:
    for depth, method in ((250, "main"), (260, "all")):
        page = "<html><body><article>" + "<div>" * depth + "deep &#xD800;" + "</div>" * depth
        assert clean(ExtractHtml(min_chars=0), page)[0]["method"] == method


def test_it_keeps_its_promises() -> None:
    hold(ExtractHtml())
    hold(ExtractHtml(detect="all", main_content=False))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError):
        ExtractHtml(min_chars=-1)
    with pytest.raises(RecipeError, match="no CSS selector"):
        ExtractHtml(skip=("a[",)).check()
