r"""FineWeb's measures of a text's lines, in plain Python: what `fineweb.py` must equal.

A line lies between line feeds and is not stripped; one of white space alone (`str.isspace`) is no line.
"""

from typing import NamedTuple

from operators.words import TERMINAL_PUNCTUATION


class Measures(NamedTuple):
    """Counts of one text: lines, those that end with a terminal mark, short ones; code points of copies and of all.

    `copied_chars` are of each line that came before in the same text; `chars` are all but the line feeds.
    """

    lines: int
    terminated_lines: int
    short_lines: int
    copied_chars: int
    chars: int
    line_feeds: int


def measures(text: str, short_line_chars: int) -> Measures:
    r"""Of one text.

    >>> measures("One line.\n \nTwo\nTwo", 5)
    Measures(lines=3, terminated_lines=1, short_lines=2, copied_chars=3, chars=16, line_feeds=3)
    """
    lines = [line for line in text.split("\n") if line.strip()]
    seen: set[str] = set()
    copied = 0
    for line in lines:
        copied += len(line) if line in seen else 0
        seen.add(line)
    terminated = sum(line[-1] in TERMINAL_PUNCTUATION for line in lines)
    short = sum(len(line) <= short_line_chars for line in lines)
    line_feeds = text.count("\n")
    return Measures(len(lines), terminated, short, copied, len(text) - line_feeds, line_feeds)
