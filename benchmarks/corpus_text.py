"""Plain text out of what packages hold: HTML and help XML, man pages, message catalogues, dictionaries, poems.

A library of `corpora.py`. Markup is stripped with regular expressions, well enough to leave prose: nothing here is a
parser, and a page that is not well-formed gives a little noise and no error.
"""

from __future__ import annotations

import gettext
import gzip
import html
import io
import json
import re
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

MESSAGES: Final = 200
"""Messages of a catalogue that make one document; a catalogue holds up to some thousand."""

POEMS: Final = 20
PARAGRAPHS: Final = 60

UNSEEN = re.compile(
    r"<!--.*?-->|<(script|style|head|nav|header|footer|aside|svg|math|info|noscript)\b[^>]*>.*?</\1>", re.S | re.I
)
PREFORMATTED = re.compile(r"(<(?:pre|screen|programlisting|code mime)\b.*?</(?:pre|screen|programlisting|code)>)", re.S)
BLOCK = re.compile(
    r"</?(?:p|div|h[1-6]|li|dt|dd|tr|td|th|br|ul|ol|dl|table|title|para|item|section|sect\d|note|steps|term|page)\b[^>]*>",
    re.I,
)
TAG = re.compile(r"<[^<>]*>")
SPACES = re.compile(r"[ \t\r\n\f]+")
BLANKS = re.compile(r"\s*\n\s*\n\s*|[ \t]+\n")
LEADING = re.compile(r"^ (?! )", re.M)
ROFF_COMMENT = re.compile(r"^[.']\s*(?:\\\"|(?:TH|de|ds|if|ie|el|ne|nr|so|tr|ft|ad|hy|nh|in|ig|mso|lf)\b).*\n?", re.M)
ROFF_REQUEST = re.compile(r"^[.']\s*[A-Za-z]{1,3}[ \t]*", re.M)
ROFF_ESCAPE = re.compile(r"\\f(?:\[\w*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,:)%]|\\\*(?:\[[^\]]*\]|\(..|.)|\\m\[\w*\]")
ENTRY = re.compile(r"^[ \t]*[\w.-]+[ \t]*=[ \t]*(\S.*)$", re.M)


def markup(data: bytes) -> Iterator[str]:
    """The visible text of an HTML, Mallard or DocBook page; preformatted text keeps its lines."""
    text = UNSEEN.sub(" ", decoded(data))
    parts = []
    for index, part in enumerate(PREFORMATTED.split(text)):
        if index % 2 == 0:
            part = BLOCK.sub("\n", SPACES.sub(" ", part))
        parts.append(html.unescape(TAG.sub("", part)))
    lines = (
        line.strip() if line.startswith(" ") and not line.startswith("  ") else line
        for line in "".join(parts).split("\n")
    )
    yield BLANKS.sub("\n", "\n".join(lines))


def man_page(data: bytes) -> Iterator[str]:
    r"""A manual page without its requests and font changes.

    >>> list(man_page(b".SH NAME\nls \\- \\fBlist\\fR files\n"))
    ['NAME\nls - list files\n']
    """
    text = ROFF_COMMENT.sub("", decoded(data))
    yield ROFF_ESCAPE.sub("", ROFF_REQUEST.sub("", text)).replace("\\-", "-").replace("\\e", "\\").replace("\\(aq", "'")


def catalogue(data: bytes) -> Iterator[str]:
    """The translated messages of a compiled catalogue (.mo), one a line; those left in English are left out."""
    try:
        messages = vars(gettext.GNUTranslations(io.BytesIO(data)))["_catalog"]
    except (OSError, UnicodeDecodeError, ValueError, IndexError):
        return
    translated = (value for key, value in messages.items() if key and isinstance(value, str) and value != key)
    yield from grouped(translated, MESSAGES)


def entries(data: bytes) -> Iterator[str]:
    """The values of Fluent and properties files."""
    yield "\n".join(value for value in ENTRY.findall(decoded(data)) if len(value) > 2)


def json_messages(data: bytes) -> Iterator[str]:
    """The messages of a JSON file of messages by key."""
    found = json.loads(data)
    yield from grouped((value for value in found.values() if isinstance(value, str)), MESSAGES)


def poems(data: bytes) -> Iterator[str]:
    """Poems with their titles, some to a document."""
    found = json.loads(data)
    if isinstance(found, list):
        with_lines = (poem for poem in found if isinstance(poem, dict) and isinstance(poem.get("paragraphs"), list))
        yield from grouped(
            ("\n".join([str(poem.get("title", "")), *map(str, poem["paragraphs"])]).strip() for poem in with_lines),
            POEMS,
        )


def articles(data: bytes) -> Iterator[str]:
    """Text cut at blank lines into documents of some paragraphs."""
    yield from grouped(decoded(data).split("\n\n"), PARAGRAPHS, "\n\n")


def plain(data: bytes) -> Iterator[str]:
    """Text as it is."""
    yield decoded(data)


def fortunes(data: bytes) -> Iterator[str]:
    """Sayings, parted by a line with a per cent sign."""
    yield decoded(data).replace("\n%\n", "\n\n")


def decoded(data: bytes) -> str:
    """UTF-8, else nothing: other encodings and binary files are left out."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if b"\0" in data[:4096]:
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def grouped(items: Iterator[str] | list[str], size: int, between: str = "\n") -> Iterator[str]:
    """Items joined, so many at a time.

    >>> list(grouped(["a", "b", "c"], 2, "+"))
    ['a+b', 'c']
    """
    group: list[str] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield between.join(group)
            group = []
    if group:
        yield between.join(group)


def fresh_lines(text: str, seen: set[bytes], min_chars: int = 24) -> str:
    """The text without those of its longer lines that were seen before, in it or in another.

    Translations leave much in English, and pages repeat what stands around them; what a reader sees twice is kept once.
    """
    kept = []
    for line in text.split("\n"):
        if len(line) >= min_chars:
            digest = blake2b(line.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest()
            if digest in seen:
                continue
            seen.add(digest)
        kept.append(line)
    return "\n".join(kept)


READERS: Final[dict[str, Callable[[bytes], Iterator[str]]]] = {
    "markup": markup,
    "man": man_page,
    "catalogue": catalogue,
    "entries": entries,
    "messages": json_messages,
    "poems": poems,
    "articles": articles,
    "plain": plain,
    "fortunes": fortunes,
}
