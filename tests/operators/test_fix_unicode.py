import hashlib

import ftfy
import pytest
from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES
from hypothesis import given
from hypothesis import strategies as st

from operators.fix_unicode import FixUnicode
from operators.kernels import suspects
from tests.operators.clean_up import clean, hold, one, texts

ways = st.builds(
    FixUnicode,
    mojibake=st.booleans(),
    entities=st.sampled_from(["auto", "always", "never"]),
    ligatures=st.booleans(),
    line_breaks=st.booleans(),
    controls=st.booleans(),
    widths=st.booleans(),
    straight_quotes=st.booleans(),
    normal_form=st.sampled_from(["NFC", "NFKC", "none"]),
)
known = "".join(MOJIBAKE_CATEGORIES.values()).replace("-", "")
pieces = st.one_of(
    texts,
    st.text(st.sampled_from(known + " aZ\n"), max_size=12),
    st.from_regex(BADNESS_RE),
    st.sampled_from(["&amp;", "&#233;", "&eacute;", "&lt;", "&amp;lt;", "&x;", "AT&T;", "<b>", "\n", "\x1b[31m", "oe"]),
    st.text(
        st.sampled_from("e\u0301\u0323\u1100\u1161\u11a8\u0f71\u0f72\u05b0\u05bc\u212b\ufb01\uff21\u0958"), max_size=6
    ),
    st.text("abc\u00e9\u20ac\u2019\u0434\u4e2d", max_size=8).map(lambda text: decoded_wrongly(text)),
)
messes = st.lists(pieces, max_size=5).map("".join)


def decoded_wrongly(text: str) -> str:
    return text.encode().decode("sloppy-windows-1252")


@given(ways, messes)
def test_the_text_is_what_ftfy_makes_of_it(way: FixUnicode, text: str) -> None:
    assert one(way, text) == ftfy.fix_text(text, way.config())


@given(messes)
def test_with_the_defaults_too(text: str) -> None:
    assert one(FixUnicode(), text) == ftfy.fix_text(text, FixUnicode().config())


@given(messes.map(lambda text: text.replace("\r", "").replace("\u2028", "").replace("\u0085", "")))
def test_twice_is_once_where_line_breaks_are_line_feeds(text: str) -> None:
    first = one(FixUnicode(), text)
    assert clean(FixUnicode(), first) == [{"text": first, "fixed_lines": 0, "mojibake_lines": 0}]


def test_lines_longer_than_the_limit_are_cut_where_ftfy_cuts_them() -> None:
    text = (
        "a" * (suspects.LIMIT - 1) + "\u00c3\u00a9\u00c3\u00a9 e\u0301\n" + "b" * suspects.LIMIT + "\ncaf\u00c3\u00a9"
    )
    assert one(FixUnicode(), text) == ftfy.fix_text(text, FixUnicode().config())


def test_it_keeps_its_promises() -> None:
    hold(FixUnicode())


def test_what_is_broken_is_mended_and_counted() -> None:
    text = "caf\u00c3\u00a9 &amp; th\u00e9\u2019\nof\ufb01ce\nplain\n\u2026 \uff21"
    assert clean(FixUnicode(), text) == [
        {"text": "caf\u00e9 & th\u00e9\u2019\noffice\nplain\n\u2026 \uff21", "fixed_lines": 2, "mojibake_lines": 1}
    ]
    compatible = FixUnicode(normal_form="NFKC", straight_quotes=True)
    assert one(compatible, "\u2026 \uff21 it\u2019s") == "... A it's"


def test_entities_stay_in_html() -> None:
    assert one(FixUnicode(), "a &amp; b\n<p> c &amp; d\n&amp;") == "a & b\n<p> c &amp; d\n&amp;"
    assert one(FixUnicode(entities="always"), "<p> c &amp; d\n&amp;") == "<p> c & d\n&"
    assert one(FixUnicode(entities="never"), "a &amp; b") == "a &amp; b"


def test_python_looks_at_few_lines_of_good_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftfy.badness.is_bad", pytest.fail)
    monkeypatch.setattr("ftfy.fix_and_explain", lambda line, _: pytest.fail(line))
    quoted, words = (
        "\u201cAh,\u201d he said: R&D \u2013 ",
        "caf\u00e9, c\u0153ur, \u0391\u03b8\u03ae\u03bd\u03b1, \u0434\u0430, \u4f60\u597d\uff01\n",
    )
    assert one(FixUnicode(), (quoted + words) * 10) == (quoted + words) * 10


def test_the_heuristic_is_the_one_that_the_kernel_knows() -> None:
    """Where it fails, read what changed in `ftfy.badness`, mend `_mojibake_table` and `_is_pair`, then this digest."""
    digest = hashlib.sha256(BADNESS_RE.pattern.encode()).hexdigest()
    assert digest == "9dcc0f2ac90d9ae3c85eb7b9b2c0b8a8e8126153847c2b30c91a0bb263f3b8c4"
    assert ftfy.TextFixerConfig().max_decode_length == suspects.LIMIT


def test_nel_is_an_ellipsis_unless_mojibake_stays() -> None:
    assert one(FixUnicode(), "e\x85f") == "e\u2026f"
    assert one(FixUnicode(mojibake=False), "e\x85f") == "e\nf"
