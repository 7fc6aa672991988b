r"""Lengths of a text and scripts of its letters, in plain Python: what `measures.py` must equal.

A word is a run between white space, as `str.split` sees it. A line ends with "\n" or "\r\n", which is no part of its
length; the last line may have no end.
"""

from collections import Counter
from collections.abc import Collection

from operators.kernels.lines_reference import lines as line_places
from operators.scripts import script_table


def lengths(text: str) -> tuple[int, int, int, int, int]:
    r"""Code points, words, lines, code points in the lines, code points of the longest line.

    >>> lengths("one two\r\n\nthree")
    (15, 3, 3, 12, 7)
    """
    content = text.encode()
    lines = [len(content[start:stop].decode()) for start, stop, _ in line_places(content)]
    return len(text), len(text.split()), len(lines), sum(lines), max(lines, default=0)


def scripts(text: str, wanted: Collection[int]) -> tuple[int, int, int, int, int]:
    """Letters, wanted letters, number and letters of the commonest script, different scripts.

    >>> scripts("1 + 1", [])
    (0, 0, 0, 0, 0)
    """
    counts = Counter(int(script_table()[ord(character)]) for character in text)
    del counts[0]
    top = min(counts, key=lambda script: (-counts[script], script), default=0)
    return counts.total(), sum(counts[script] for script in wanted), top, counts[top], len(counts)
