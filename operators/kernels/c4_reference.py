r"""C4's rules line by line, in plain Python: what `c4.py` must equal. The order is that of datatrove 0.10.1.

A line is one of `str.splitlines`, stripped; its words are those of `str.split`. A citation is a pair of square brackets
with nothing or decimal digits inside, `[edit]` or `[citation needed]`.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

CITATION: Final = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
ENDS: Final = (".", "?", "!", '"', "'")
POLICIES: Final = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


class Settings(NamedTuple):
    """Which rules apply, as `c4_quality` has them."""

    terminal_punctuation: bool = True
    remove_citations: bool = True
    min_words_per_line: int = 3
    max_word_chars: int = 1000
    lorem_ipsum: bool = True
    curly_bracket: bool = True
    javascript: bool = True
    policy: bool = True


class Cleaned(NamedTuple):
    """The lines that stay (None where a line rejects the document, for `reason`), and how many with words went why."""

    lines: list[str] | None
    reason: str
    long_word_lines: int
    unterminated_lines: int
    short_lines: int
    javascript_lines: int
    policy_lines: int


def cleaned(text: str, settings: Settings) -> Cleaned:
    r"""One document, line by line.

    >>> cleaned("Too short.\nUse [1]JavaScript now, please.\n We saw it.[2]", Settings()).lines
    ['We saw it.']
    """
    kept: list[str] = []
    gone = {"long": 0, "end": 0, "short": 0, "javascript": 0, "policy": 0}
    for raw in text.splitlines():
        line, words = raw.strip(), raw.split()
        why = "long" if any(len(word) > settings.max_word_chars for word in words) else ""
        if not why:
            line = CITATION.sub("", line) if settings.remove_citations else line
            why = _why(line, len(words), settings)
        if why in ("lorem_ipsum", "curly_bracket"):
            return Cleaned(None, why, 0, 0, 0, 0, 0)
        if not why:
            kept.append(line)
        elif words:
            gone[why] += 1
    return Cleaned(kept, "", *gone.values())


def _why(line: str, num_words: int, settings: Settings) -> str:
    lower = line.lower()
    if settings.terminal_punctuation and (not line.endswith(ENDS) or line.endswith("...")):
        return "end"
    if num_words < settings.min_words_per_line:
        return "short"
    if settings.lorem_ipsum and "lorem ipsum" in lower:
        return "lorem_ipsum"
    if settings.javascript and "javascript" in lower:
        return "javascript"
    if settings.curly_bracket and "{" in line:
        return "curly_bracket"
    return "policy" if settings.policy and any(policy in lower for policy in POLICIES) else ""


def sentences(lines: list[str], count: Callable[[str], int]) -> int:
    """Of all lines together."""
    return sum(map(count, lines))


def joined(lines: list[str]) -> str:
    """The text that lines make."""
    return "\n".join(lines).strip()
