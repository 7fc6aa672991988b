r"""What `rewriting.py` must equal, in plain Python."""

import re
from collections.abc import Mapping, Sequence

BREAKS = re.compile("\r\n|[\n\v\f\r\u0085\u2028\u2029]")
SPACES = "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


def white_space(
    text: str, *, tabs: bool, exotic: bool, collapse: bool, indent: bool, ends: bool, whole: bool, max_blank: int
) -> str:
    r"""White space made regular, line by line; the meaning of the parameters is that of `normalise_white_space`.

    >>> usual = {"tabs": True, "exotic": True, "collapse": True, "indent": True, "ends": True, "whole": True}
    >>> white_space("\n  a  b \r\n\r\n\n\u00a0\nc\r\n\n", **usual, max_blank=1)
    '  a b\n\nc\n'
    """
    if exotic:
        text = re.sub(f"[{SPACES}]", " ", text)
    if not tabs:
        text = text.replace("\t", " ")
    lines = []
    for line in BREAKS.split(text):
        content = line.lstrip(" \t")
        leading = line[: len(line) - len(content)]
        if collapse:
            content = re.sub(" +", " ", content)
        whole_line = leading * indent + content
        lines.append(whole_line.rstrip(" \t") if ends else whole_line)
    kept: list[str] = []
    blank = 0
    for line in lines[:-1]:
        blank = 0 if line.strip(" \t") else blank + 1
        if 0 <= max_blank < blank or (whole and blank and not kept):
            continue
        kept.append(line + "\n")
    last = lines[-1]
    if last.strip(" \t") or max_blank < 0 or blank < max_blank:
        kept.append(last)
    if whole:
        while kept and not kept[-1].strip(" \t\n"):
            kept.pop()
    return "".join(kept)


def without_points(text: str, classes: Mapping[str, int]) -> tuple[str, list[int]]:
    r"""The text without the characters that have a class, and how many of each went; class 255 becomes a line feed.

    >>> without_points("a\x00b\r\nc\r", {"\x00": 1, "\r": 255})
    ('ab\nc\n', [2, 1, 0, 0])
    """
    out, gone = [], [0, 0, 0, 0]
    for place, character in enumerate(text):
        kind = classes.get(character, 0)
        if kind == 0:
            out.append(character)
        elif kind == 255:
            gone[0] += 1
            out.append("" if text[place : place + 2] == "\r\n" else "\n")
        else:
            gone[kind] += 1
    return "".join(out), gone


def spliced(text: bytes, passages: Sequence[tuple[int, int, bytes]]) -> bytes:
    """The text with passages replaced.

    >>> spliced(b"abcd", [(1, 2, b"--"), (3, 4, b"")])
    b'a--c'
    """
    for start, stop, new in reversed(passages):
        text = text[:start] + new + text[stop:]
    return text
