"""Two excerpts with the words marked that one has and the other lacks."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

from pipeline.report.wording import text

LONGEST: Final = 600
"""Code points of a text that are compared and shown."""
_WORDS: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff]"  # scripts without spaces: by the character
    r"|[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff]+|\s+|[^\w\s]"
)


def marked(one: str, other: str) -> tuple[str, str]:
    """Both texts as HTML, what differs in `<mark>`.

    Where an excerpt ends earlier only because the other has something more before, what is left over is not marked.

    >>> marked("the red house", "the blue house")
    ('the <mark>red</mark> house', 'the <mark>blue</mark> house')
    """
    first, second = (_WORDS.findall(given[:LONGEST]) for given in (one, other))
    cut = (len(one) >= LONGEST, len(other) >= LONGEST)
    # Where the excerpt is cut, so may be its last word.
    rests = [words.pop() if is_cut else "" for words, is_cut in zip((first, second), cut, strict=True)]
    # White space matches nearly everywhere: as an anchor it would cost most of the time and say nothing.
    steps = SequenceMatcher(str.isspace, first, second, autojunk=False).get_opcodes()
    left, right = [], []
    for number, (what, a, b, c, d) in enumerate(steps):
        is_last = number == len(steps) - 1
        left.append(_piece(first[a:b], differs=what != "equal" and not (is_last and what == "delete" and cut[1])))
        right.append(_piece(second[c:d], differs=what != "equal" and not (is_last and what == "insert" and cut[0])))
    return "".join([*left, text(rests[0])]), "".join([*right, text(rests[1])])


def _piece(words: list[str], *, differs: bool) -> str:
    """Words as HTML. White space at the ends of a difference is left unmarked: it would draw a mark without a word."""
    joined = "".join(words)
    inner = joined.strip()
    if not differs or not inner:
        return text(joined)
    before, _, after = joined.partition(inner)
    return f"{text(before)}<mark>{text(inner)}</mark>{text(after)}"
