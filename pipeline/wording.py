"""Counts and sizes as people read them in lines of text."""

from pipeline.readers.base import MEGABYTE


def count_of(number: int, noun: str) -> str:
    """A count for people.

    >>> count_of(1, "step"), count_of(1200, "file")
    ('1 step', '1,200 files')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share_text(part: int, whole: int) -> str:
    """A share in per cent, rounded down: only all of it is 100 %.

    >>> share_text(49_999, 50_001), share_text(5, 5)
    ('99.9%', '100.0%')
    """
    return f"{part * 1000 // whole / 10:.1f}%"


def size_text(num_bytes: int) -> str:
    """A size with three digits or so.

    >>> size_text(10_534_000), size_text(3_400), size_text(12), size_text(1)
    ('10.5 MB', '3.4 kB', '12 bytes', '1 byte')
    """
    for unit, size in (("GB", 1_000 * MEGABYTE), ("MB", MEGABYTE), ("kB", 1_000)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return count_of(num_bytes, "byte")
