import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.character_flags import character_flags
from operators.kernels import line_rules, line_rules_reference
from operators.text_buffers import joined_bytes

PIECES = [
    *("\n", "\n", "\n", "\r", " ", " ", "\t", "\x1c", "\x85", "\u3000", "\0", "_", "-", "!", ",", ".", "..."),
    *("3", "12", "\u0663", "\xb2", "\u2460", "k", "K", "\u212a", "M", "b", "a", "A", "\u216b", "\u0130", "\u0131"),
    *("likes", "liKes", "li\u212aes", "l\u0130kes", "like\u017f", "Views", "followers", " shares ", "comments!"),
    *("items in cart", "Items \u0130n cart", "item\u017f in Cart", " ITEMS IN CART", "items in", " cart"),
    *("Read more...", "read more", "READ MORE\u2026!!", "Sign-in", "s\u0131gn-in", "\u017fIGN-IN ", "sign-in"),
    *("one", "TWO", "of the", "\u6f22", "\u0301", "\U0001f600", "\U0001d7d8", "\xdf"),
]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(), max_size=4)
LIMITS = st.sampled_from([(0.5, 0.999999, 2, 10), (0.2, 0.3, 1, 2), (1.0, 1.0, 0, 0), (0.0, 0.5, 3, 4)])


def check(texts: list[str], limits: tuple[float, float, int, int]) -> None:
    data, offsets = joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    out, ends, counts = line_rules.cleaned(data, offsets, character_flags(), np.array(limits, np.float64))
    found = [out[ends[number] : ends[number + 1]].tobytes().decode() for number in range(len(texts))]
    expected = [line_rules_reference.cleaned(text, *limits) for text in texts]
    assert found == [new for new, _ in expected]
    assert counts.tolist() == [list(count) for _, count in expected]


@given(TEXTS, LIMITS)
def test_texts_and_counts_are_those_of_the_reference(texts: list[str], limits: tuple[float, float, int, int]) -> None:
    known = [text for text in texts if all(unicodedata.category(c) != "Cn" for c in text)]
    check(known, limits)


@pytest.mark.parametrize(
    "line",
    [
        "3 likes",
        "** 1,234.5K  Followers! **",
        "3\u212a\u3000LIKES",
        "3likes",
        "3 likes and",
        "3 like",
        "a 3 likes",
        "_ 3 likes",
        "3 k likes",
        "3kk likes",
        "3 likes_",
        ".3 likes",
        "\u0663,, views",
        "\xb2 views",
        "3 l\u0130kes",
        "12",
        "x items in cart  items in cart",
        " \u3000items in cart",
        "Read more...",
        "one  read more of it",
        "sign-in sign-in",
        "one two Read moreabcd",
    ],
)
def test_the_edges_of_every_pattern(line: str) -> None:
    check([line, f"prose before it\n{line}\nprose after it", f"  {line}  "], (0.5, 0.999999, 2, 10))


def test_the_flags_are_those_of_pythons_methods_for_all_that_this_python_knows() -> None:
    flags = character_flags()
    points = [p for p in range(0x110000) if unicodedata.category(chr(p)) not in ("Cn", "Cs")]
    expected = [
        c.isupper() | c.isdigit() << 1 | c.isdecimal() << 2 | (c.isalnum() or c == "_") << 3 | c.isspace() << 4
        for c in map(chr, points)
    ]
    assert flags[points].tolist() == expected
