"""Where special cases meet: against the matching itself, spelled out for an alphabet of few marks."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from operators.special_cases import Neighbours

CASES = (":)", ":))", "(:", "):", "-:(", "(-)", "a.", "'a", "b'", "''", ".a.", "ab", "(:)(")
KEPT_CUT = "ab"
"""A special case that is sought and changes nothing."""


def cut(case: str) -> tuple[str, ...]:
    """As the rules for marks would cut it: every character is a token."""
    return tuple(case)


def matched(tokens: Sequence[str]) -> list[str]:
    """What the special cases make of tokens, " " among them where chunks meet: the longest first, then the first."""
    spans = [
        (len(case), start)
        for case in CASES
        for start in range(len(tokens))
        if [token for token in tokens if token != " "][start : start + len(case)] == list(case)
    ]
    marks = [token for token in tokens if token != " "]
    spaces = {len([t for t in tokens[:place] if t != " "]) for place, token in enumerate(tokens) if token == " "}
    seen: set[int] = set()
    made = {}
    for size, start in sorted(spans, key=lambda span: (-span[0], span[1])):
        if start not in seen and start + size - 1 not in seen:
            made[start] = size
        seen.update(range(start, start + size))
    words, at = [], 0
    while at < len(marks):
        size = made.get(at, 1)
        case = "".join(marks[at : at + size])
        is_whole = not any(at < space < at + size for space in spaces)
        words.extend([case] if is_whole and case != KEPT_CUT else marks[at : at + size])
        at += size
    return words


def chunk_tokens(chunk: str) -> list[str]:
    """A chunk that is a special case is looked up as it is; it is no token of any other."""
    return [chunk] if chunk in CASES and chunk != KEPT_CUT else list(chunk)


@given(st.lists(st.text(":)(-.'ab", min_size=1, max_size=6), min_size=1, max_size=4))
@example(["b:)", ")"])
@example(["b(", "-)"])
@example(["bb'", "a"])
@example(["a", "a.", "a."])
@example(["b", ".", "a."])
@example(["(", ":)", "("])
@example(["(:", ")("])
def test_chunks_that_do_not_meet_are_cut_alone(chunks: list[str]) -> None:
    edges = Neighbours.of({c: cut(c) for c in CASES}, {c: cut(c) if c == KEPT_CUT else (c,) for c in CASES}, WHOLE)
    together: list[str] = []
    for place, chunk in enumerate(chunks):
        together.extend([" "] * (place > 0) + chunk_tokens(chunk))
    alone = [word for chunk in chunks for word in matched(chunk_tokens(chunk))]
    if not any(edges.right(a) & edges.left(b) for a, b in pairwise(chunks)):
        assert matched(together) == alone


WHOLE = frozenset(CASES) - {KEPT_CUT}


def test_what_meets_is_rare() -> None:
    edges = Neighbours.of({c: cut(c) for c in CASES}, {c: cut(c) if c == KEPT_CUT else (c,) for c in CASES}, WHOLE)
    texts = ["it is a.", "(see b) and b", "a: b", "x:) fine", "no ) :) one"]
    assert not any(edges.right(a) & edges.left(b) for text in texts for a, b in pairwise(text.split()))
    assert matched(list("b:)")) == ["b", ":)"]
    assert matched([*"b:)", " ", ")"]) == ["b", ":", ")", ")"]
    assert edges.right("b:)") & edges.left(")")
