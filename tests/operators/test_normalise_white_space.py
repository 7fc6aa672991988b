import regex
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels.rewriting_reference import SPACES, white_space
from operators.normalise_white_space import NormaliseWhiteSpace
from tests.operators.clean_up import clean, hold, one, texts

ways = st.builds(
    NormaliseWhiteSpace,
    collapse_spaces=st.booleans(),
    strip_line_ends=st.booleans(),
    indentation=st.sampled_from(["keep", "remove"]),
    max_blank_lines=st.integers(-1, 3),
    strip_text=st.booleans(),
    exotic_spaces=st.sampled_from(["space", "keep"]),
    tabs=st.sampled_from(["keep", "space"]),
)
lines = st.one_of(texts, st.text("a \t\n\r\u00a0\u2028", max_size=20))


def slowly(way: NormaliseWhiteSpace, text: str) -> str:
    return white_space(
        text,
        tabs=way.tabs == "keep",
        exotic=way.exotic_spaces == "space",
        collapse=way.collapse_spaces,
        indent=way.indentation == "keep",
        ends=way.strip_line_ends,
        whole=way.strip_text,
        max_blank=way.max_blank_lines,
    )


@given(ways, st.lists(lines, max_size=4))
def test_the_kernel_equals_the_reference(way: NormaliseWhiteSpace, given_texts: list[str]) -> None:
    assert [row["text"] for row in clean(way, *given_texts)] == [slowly(way, text) for text in given_texts]


@given(ways, lines)
def test_twice_is_once(way: NormaliseWhiteSpace, text: str) -> None:
    first = one(way, text)
    (again,) = clean(way, first)
    assert again == {"text": first, "replaced": 0, "removed_bytes": 0}


@given(ways, lines)
def test_nothing_but_white_space_changes(way: NormaliseWhiteSpace, text: str) -> None:
    def rest(some: str) -> str:
        return regex.sub(rf"[{SPACES}\s]", "", some)

    assert rest(one(way, text)) == rest(text)


def test_it_keeps_its_promises() -> None:
    hold(NormaliseWhiteSpace())


def test_code_stays_as_it_is() -> None:
    code = "def f(x):\n    if x:\n\treturn 1\n\n\nclass A:\n    pass\n"
    assert clean(NormaliseWhiteSpace(), code) == [{"text": code, "replaced": 0, "removed_bytes": 0}]


def test_a_page_becomes_regular() -> None:
    page = "\n\n  A\u00a0 title \r\n\r\n\r\n\r\n\r\nwords   and\u3000words\u2028end  "
    assert clean(NormaliseWhiteSpace(), page) == [
        {"text": "  A title\n\n\nwords and words\nend", "replaced": 8, "removed_bytes": 20}
    ]
    tight = NormaliseWhiteSpace(max_blank_lines=0, indentation="remove", tabs="space")
    assert one(tight, "\n a\t\tb\n\n\n\tc\n\n") == "a b\nc\n"


def test_the_spaces_are_those_of_unicode() -> None:
    assert sorted(SPACES) == [c for c in map(chr, range(0x3001)) if regex.match(r"\p{Zs}", c)]
