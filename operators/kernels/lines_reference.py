r"""What a line and a paragraph are, in plain Python: what `lines.py` must equal.

A line ends with "\n" or "\r\n", which belongs to it; the last line of a text may have no end. Its content is the line
without its end. A paragraph is a run of lines that are not blank, and the blank lines after it belong to it; blank
lines at the beginning of a text belong to none. Its content goes from its first line to the content of its last one.
Blank is a line of ASCII white space alone. All places are in bytes.
"""

from collections.abc import Callable, Collection
from itertools import groupby

from operators.unicode_classes import class_table

WHITE: bytes = b" \t\n\v\f\r"
Unit = tuple[int, int, int]


def lines(text: bytes) -> list[Unit]:
    r"""(start, end of the content, end) of every line.

    >>> lines(b"a\n\r\nbc")
    [(0, 1, 2), (2, 2, 4), (4, 6, 6)]
    """
    found, at = [], 0
    for line in text.split(b"\n"):
        end = min(at + len(line) + 1, len(text))
        if at < len(text):
            is_crlf = end > at + len(line) and line.endswith(b"\r")
            found.append((at, at + len(line) - is_crlf, end))
        at = end
    return found


def paragraphs(text: bytes) -> list[Unit]:
    r"""(start, end of the content, end) of every paragraph.

    >>> paragraphs(b"\na\nb\n \n\nc")
    [(1, 4, 8), (8, 9, 9)]
    """
    found: list[Unit] = []
    for is_blank, run in groupby(lines(text), lambda line: not text[line[0] : line[1]].strip(WHITE)):
        some = list(run)
        if not is_blank:
            found.append((some[0][0], some[-1][1], some[-1][2]))
        elif found:
            found[-1] = (*found[-1][:2], some[-1][2])
    return found


def may_go(content: bytes, min_chars: int) -> bool:
    """Whether a line or paragraph may be removed at all: long enough, and with a letter.

    >>> may_go(b"  ab ", 2), may_go(b" a   ", 2), may_go(b"----", 2)
    (True, False, False)
    """
    kept = content.strip(WHITE).decode()
    return len(kept) >= min_chars and any(1 <= class_table()[ord(character)] <= 5 for character in kept)


def cut(text: bytes, units: list[Unit], gone: Collection[Unit]) -> bytes:
    """The text without the units that are gone; every other byte stays as and where it is."""
    out, at = b"", 0
    for unit in units:
        if unit in gone:
            out, at = out + text[at : unit[0]], unit[2]
    return out + text[at:]


SPLIT: dict[str, Callable[[bytes], list[Unit]]] = {"line": lines, "paragraph": paragraphs}
