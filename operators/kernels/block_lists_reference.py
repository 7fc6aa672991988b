"""What of a list is in a text, and whether an address is listed, in plain Python: what `block_lists.py` must equal."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from operators.character_flags import WORD, character_flags
from operators.code_point_tables import POINT_MASK
from operators.normal_text import normal_table

_AUTHORITY: Final = re.compile(r"(?:[A-Za-z0-9+.-]+:)?//")


def lower(text: str) -> str:
    """A text in lower case, code point by code point, by the pinned table."""
    return "".join(chr(normal_table()[ord(character)] & POINT_MASK) for character in text)


def find_words(text: str, words: Sequence[str], *, needs_flanks: bool) -> tuple[int, int, int, int]:
    """Hits, different words among them, the number of the word that ends first (-1: none), all words of the text.

    >>> find_words("A bad, badly BAD word", ["bad", "bad word"], needs_flanks=True)
    (3, 2, 0, 5)
    """
    small = lower(text)
    hits = []
    for number, word in enumerate(words):
        start = small.find(word)
        while start >= 0:
            end = start + len(word)
            beside = [*text[max(start - 1, 0) : start], *text[end : end + 1]]
            if not needs_flanks or not any(character_flags()[ord(character)] & WORD for character in beside):
                hits.append((end, start, number))
            start = small.find(word, start + 1)
    first = min(hits)[2] if hits else -1
    return len(hits), len({number for *_, number in hits}), first, len(text.split())


def host_of(url: str) -> str:
    """An address's host in lower case, without user, port and final dots.

    >>> host_of("https://me@WWW.Example.org.:80/a@b"), host_of("example.org?x"), host_of("mailto:me")
    ('www.example.org', 'example.org', 'mailto')
    """
    netloc = re.split("[/?#]", _without_scheme(url), maxsplit=1)[0].rpartition("@")[2]
    if netloc.startswith("["):
        return ascii_lower(netloc.partition("]")[0] + ("]" if "]" in netloc else ""))
    return ascii_lower(netloc.partition(":")[0].rstrip("."))


def look_up(
    url: str,
    domains: Collection[str],
    hosts: Collection[str],
    urls: Collection[str],
    hard_words: Collection[str],
    soft_words: Collection[str],
) -> tuple[int, int, int, int, int]:
    """Whether its domain, host and whole are listed; how many different hard and soft words it has."""
    host = host_of(url)
    labels = host.split(".")
    parents = {".".join(labels[start:]) for start in range(len(labels))}
    parents = {parent for parent in parents if 0 < len(parent.encode()) <= 255}  # what the domain name system allows
    words = set(re.findall("[A-Za-z0-9]+", url))
    return (
        int(bool(parents & set(domains))),
        int(host != "" and host in hosts),
        int(url in urls or _without_scheme(url) in urls),
        len(words & set(hard_words)),
        len(words & set(soft_words)),
    )


def squashed(url: str) -> str:
    """An address without all but ASCII letters and digits, in lower case."""
    return ascii_lower(re.sub("[^A-Za-z0-9]", "", url))


def ascii_lower(text: str) -> str:
    """Its ASCII capitals in lower case, all else as it is."""
    return "".join(character.lower() if character.isascii() else character for character in text)


def _without_scheme(url: str) -> str:
    authority = _AUTHORITY.match(url)
    return url[authority.end() :] if authority else url
