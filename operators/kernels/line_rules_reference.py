r"""RefinedWeb's line rules as DCLM has them, in plain Python: what `line_rules.py` must equal.

Rules are applied one after the other to the whole document, which is split at line feeds and, but after `short`,
stripped of white space again; so a first line that was indented may break a later rule.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

COUNTER: Final = re.compile(
    r"\W*\d[\d,.]*[kmb]?\s+"
    r"(likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers)\W*"
)
PHRASES: Final = (
    re.compile(r"\s?items in cart", re.IGNORECASE),
    re.compile(r"\s?read more...\Z", re.IGNORECASE),
    re.compile(r"\Asign-in\s?", re.IGNORECASE),
)


class Counts(NamedTuple):
    """Lines that went by each rule; phrases taken out; words before and after."""

    uppercase: int
    digits: int
    counters: int
    short: int
    phrase_lines: int
    phrases: int
    words_before: int
    words_after: int


def cleaned(
    text: str, max_uppercase: float, max_digits: float, min_words: int, max_phrase_words: int
) -> tuple[str, Counts]:
    r"""The text without what the rules take, and how much that was.

    >>> cleaned("Home\nOne line of prose. Read more...\n3 likes", 0.5, 0.999999, 2, 10)[0]
    'One line of prose.'
    """
    rules: tuple[Callable[[str], bool], ...] = (
        lambda line: sum(map(str.isupper, line)) / len(line) > max_uppercase,
        lambda line: sum(map(str.isdigit, line)) / len(line) > max_digits,
        lambda line: bool(COUNTER.fullmatch(line.lower())),
        lambda line: len(line.split()) < min_words,
    )
    left, gone = text, [0, 0, 0, 0]
    for number, goes in enumerate(rules):
        lines = left.split("\n")
        kept = [line for line in lines if not line or not goes(line)]
        gone[number] = len(lines) - len(kept)
        left = "\n".join(kept) if number == 3 else "\n".join(kept).strip()
    phrase_lines = phrases = 0
    for phrase in PHRASES:
        kept = []
        for line in left.split("\n"):
            new, found = phrase.subn("", line) if len(line.split()) <= max_phrase_words else (line, 0)
            phrases += found
            if line and not new.strip():
                phrase_lines += 1
            else:
                kept.append(new)
        left = "\n".join(kept).strip()
    uppercase, digits, counters, short = gone
    counts = Counts(uppercase, digits, counters, short, phrase_lines, phrases, num_words(text), num_words(left))
    return left, counts


def num_words(text: str) -> int:
    """Words between the white space that fastText knows which begin with a letter or number.

    >>> num_words("It's 3 - (no)"), num_words("a\u00a0b")
    (2, 1)
    """
    return sum(word[:1].isalnum() for word in re.split("[ \t\n\v\f\r\0]", text))
