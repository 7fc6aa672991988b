import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RecipeError
from operators.boilerplate_lines import SETS
from operators.remove_lines import ALL, RemoveLines
from tests.operators.clean_up import clean, hold, one, texts

GO = {
    "citations": ["[1]", "[12] [13]", "[citation needed]", "^ a b Smith, J. (2004). Boats."],
    "edit_links": ["[edit]", "[ edit | edit source ]", "View history"],
    "read_more": ["Read more", "Read more \u00bb", "Continue reading \u2192", "click to read more...", "Lire la suite"],
    "cookies": ["This website uses cookies to improve your experience.", "Accept all cookies", "Cookie Policy",
                "We use cookies and other things. Read on.", "Wir verwenden Cookies, um ..."],
    "navigation": ["Home | About | Contact", "Home \u00bb Shop \u00bb Red shoes", "Skip to content", "Back to top",
                   "\u00ab Previous Post", "Next \u00bb", "Impressum \u00b7 Datenschutz"],
    "sharing": ["Share this:", "Share on Facebook", "Facebook Twitter LinkedIn", "1,204 likes", "12 comments | 3 likes",
                "Follow us on Twitter and Instagram"],
    "copyright": ["\u00a9 2020 Harbour Ltd.", "Copyright (c) 2010-2012 by X", "Harbour Ltd. All rights reserved.",
                  "Powered by WordPress"],
    "sign_up": ["Subscribe to our newsletter!", "Sign up now", "Advertisement", "Leave a Reply", "Enter your email"],
    "scripts": ["Please enable JavaScript to view the comments.", "JavaScript is disabled in your browser."],
}  # fmt: skip
STAY = [
    "I read more than you do.",
    "She likes cookies, and so do we.",
    "The cookies are in the oven: we use cookies of oats",
    "Home is where I wrote about contact.",
    "a | b | c",
    "| Home | About |",
    "x = a[1]",
    "// Copyright 2019 The Authors. All rights reserved.",
    " * Copyright (c) 2004 X. All rights reserved.",
    "Previous work has shown this.",
    "12 comments were made about the share price",
    "The subscriber signs up now and then.",
]


@pytest.mark.parametrize("name", ALL)
def test_each_set_takes_its_lines_and_no_other_set_does(name: str) -> None:
    for line in GO[name]:
        (row,) = clean(RemoveLines(), f"one\n  {line}\t\ntwo")
        assert (row["text"], row[f"{name}_lines"]) == ("one\ntwo", 1), line
        assert sum(count for column, count in row.items() if column.endswith("_lines")) == 1
        others = RemoveLines.model_validate({"sets": [other for other in ALL if other != name]})
        assert one(others, line) == line


def test_lines_of_text_stay() -> None:
    text = "\n".join([*STAY, ""])
    assert one(RemoveLines(), text) == text


def test_the_sets_are_those_that_have_expressions() -> None:
    assert set(ALL) == set(SETS) == set(GO)


def test_patterns_of_the_recipe_count_apart() -> None:
    way = RemoveLines(sets=(), patterns=("^Photo:", r"\bAD\b"))
    text = "photo: me\r\nA photo: you\nan ad here\n\nPHOTO: us"
    assert clean(way, text) == [{"text": "A photo: you\n\n", "patterns_lines": 3, "removed_bytes": 31}]
    assert one(RemoveLines(sets=(), patterns=("^Photo:",), ignore_case=False), text) == text


def test_long_lines_stay() -> None:
    line = "We use cookies " + "\u00e9" * 20
    assert one(RemoveLines(max_line_chars=35), line) == ""
    assert one(RemoveLines(max_line_chars=34), line) == line


def test_marks_go_on_wish() -> None:
    text = "Boats[1] are old.[12][citation needed]\n[3]\na[0] \n"
    way = RemoveLines(citation_marks="remove")
    (row,) = clean(way, text)
    assert (row["text"], row["removed_marks"]) == ("Boats are old.\n\na \n", 5)
    assert row["removed_bytes"] == len(text) - len(row["text"])


@pytest.mark.parametrize("pattern", ["(a", r"(a)\1", "(?=a)", "(?<!a)b", "a{5000}"])
def test_what_re2_does_not_read_is_refused(pattern: str) -> None:
    with pytest.raises(RecipeError, match="RE2"):
        RemoveLines(patterns=(pattern,)).check()


def test_a_catastrophic_pattern_takes_linear_time() -> None:
    def seconds(lines: int) -> float:
        begin = time.process_time()
        clean(way, ("a" * 390 + "\n") * lines)
        return time.process_time() - begin

    way = RemoveLines(patterns=("^(a+)+$b", "(a|aa)*c", "(.*a){20}x"))
    seconds(1)
    assert seconds(300) < 5  # `re` would not end within the age of the universe


def slowly(text: str) -> str:
    """Line by line, with the standard library's expressions."""
    known = [re.sub(r"\\x\{(\w+)\}", lambda match: re.escape(chr(int(match[1], 16))), each)
             for name in ALL for each in SETS[name]]  # fmt: skip
    taken = re.compile("|".join(f"(?:{each})" for each in known), re.IGNORECASE | re.ASCII)
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return "".join(line for line in lines if not taken.fullmatch(line.strip("\t\n\v\f\r ")) or line.isspace())


lines = st.lists(st.one_of(st.sampled_from([line for some in GO.values() for line in some] + STAY), texts), max_size=5)


@given(lines.map("\n".join), st.sampled_from(["", "\n", "\r\n"]))
def test_the_lines_that_go_are_those_of_a_slow_search(text: str, end: str) -> None:
    assert one(RemoveLines(), text + end) == slowly(text + end)


@given(lines.map("\n".join))
def test_twice_is_once(text: str) -> None:
    way = RemoveLines(patterns=("[0-9]",))
    assert one(way, one(way, text)) == one(way, text)


def test_it_keeps_its_promises() -> None:
    hold(RemoveLines())
    hold(RemoveLines(patterns=("word",), citation_marks="remove"))


def test_every_pattern_that_is_no_expression_is_named() -> None:
    with pytest.raises(
        RecipeError, match=r"pattern '\(' is no expression: .*; pattern '\[' is no expression: .*; expected RE2"
    ):
        RemoveLines(patterns=("(", "fine", "[")).check()
