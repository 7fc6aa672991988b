r"""E-mail addresses around an at sign: the finder of `mask_pii` by its own rules.

The local part is the whole run before the sign, so that nothing of an address is left beside its mask: ASCII atoms (RFC
5322), letters of alphabets that write spaces (Latin, Greek, Cyrillic, Hebrew, Arabic, Indic and others; RFC 6531),
characters without width, one or two dots in a row, and `@` itself (`jane@firm@mail.de`). Every other character ends it:
Han, kana, Hangul and Thai, which stand beside an address without a space, and three dots or more. It begins with a
letter or digit. At most 64 bytes, the domain 255 (RFC 5321).

A domain has at least two labels. The last has at least two letters and is no suffix of a file (`icon@2x.png`), and is
in letters beyond Latin only if the label before it is: so `me@mail.ru.` may be followed by a Russian word. The label
before it has a letter (`lib@1.2.tgz`), `}` does not stand before the sign, and neither `(` (code) nor, after `git`, `:`
follows. Domains that RFC 2606 reserves for examples stay. Names in Han, kana, Hangul or Thai on
either side are not found.
"""

from __future__ import annotations

import re
from typing import Final

from operators.passages import Found

_LATIN: Final = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f\u1e00-\u1eff"
_OTHER: Final = (
    r"\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u0481\u048a-\u0556\u0561-\u0587\u05d0-\u05ea\u0620-\u0669"
    r"\u066e-\u06d3\u06d5-\u06fc\u0900-\u0963\u0966-\u096f\u0971-\u0df3\u10a0-\u10fa\u10fc-\u10ff"
)
_HIDDEN: Final = r"\u00ad\u200b-\u200d\u2060\ufeff"
_LETTER: Final = rf"[0-9{_LATIN}{_OTHER}]"
_MEMBER: Final = re.compile(rf"[0-9{_LATIN}{_OTHER}{_HIDDEN}!#$%&'*+/=?^_`{{|}}~@-]")
_FIRST: Final = re.compile(rf"[0-9_{_LATIN}{_OTHER}]")
_LABEL: Final = re.compile(rf"{_LETTER}(?:[0-9{_LATIN}{_OTHER}{_HIDDEN}-]*{_LETTER})?")
_DOT: Final = re.compile(rf"[{_HIDDEN}]*\.[{_HIDDEN}]*(?={_LETTER})")
_TOP: Final = re.compile(
    rf"[Xx][Nn]--[A-Za-z0-9-]+|[{_LATIN}{_HIDDEN}]{{2,24}}(?![0-9-])|[{_OTHER}]{{2,24}}(?![0-9A-Za-z-])"
)
_FOREIGN: Final = re.compile(rf"[{_OTHER}]")
_WIDTHLESS: Final = re.compile(rf"[{_HIDDEN}]")
_SUFFIXES: Final = frozenset(
    (
        *(
            "png",
            "jpg",
            "jpeg",
            "gif",
            "svg",
            "webp",
            "bmp",
            "ico",
            "css",
            "js",
            "mjs",
            "ts",
            "map",
            "json",
            "html",
            "htm",
        ),
        *("php", "py", "rb", "rs", "go", "md", "txt", "pdf", "zip", "gz", "tgz"),
    )
)
_RESERVED: Final = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost)$", re.I)
_MAX_LOCAL, _MAX_DOMAIN = 64, 255
_REACH: Final = 3 * _MAX_LOCAL


def email(content: bytes, at: int, low: int) -> Found | None:
    """The address around the usual or full-width at sign at a place, not beginning before `low`; None if there is none.

    >>> email(b"mail me@x.org!", 7, 0)
    Found(start=5, stop=13, name='me@x.org')
    >>> email(b"icon@2x.png", 4, 0) is None
    True
    """
    width = 1 if content[at] == 0x40 else 3
    domain = _domain(content[at + width : at + width + 2 * _MAX_DOMAIN].decode(errors="ignore"))
    if not domain:
        return None
    local = _local_part(content[max(low, at - _REACH) : at].decode(errors="ignore"))
    start, stop = at - len(local.encode()), at + width + len(domain.encode())
    after = content[stop : stop + 1]
    if not 0 < at - start <= _MAX_LOCAL or local.endswith("}"):  # `${password}@host.org`
        return None
    if after == b"(" or (after == b":" and local in ("git", "hg", "svn")):
        return None
    while content[stop : stop + 1] == b"@":  # jane@firm.org@firm.org
        again = _domain(content[stop + 1 : stop + 1 + 2 * _MAX_DOMAIN].decode(errors="ignore"))
        if not again:
            break
        stop += 1 + len(again.encode())
    return Found(start, stop, _WIDTHLESS.sub("", f"{local}@{domain}".lower()))


def _local_part(before: str) -> str:
    """The end of a text that can be the local part of an address; "" if none."""
    start = len(before)
    while start and (before[start - 1] == "." or _MEMBER.match(before, start - 1)):
        if before.endswith("...", 0, start):
            break
        start -= 1
    first = _FIRST.search(before, start)
    return before[first.start() :] if first else ""


def _domain(after: str) -> str:
    """The domain that a text begins with; "" if none."""
    labels: list[re.Match[str]] = []
    start = 0
    while label := _LABEL.match(after, start):
        labels.append(label)
        dot = _DOT.match(after, label.end())
        if not dot:
            break
        start = dot.end()
    while len(labels) > 1 and _FOREIGN.match(labels[-1][0]) and not _FOREIGN.search(labels[-2][0]):
        labels.pop()
    if len(labels) < 2 or not (top := _TOP.match(after, labels[-1].start(), labels[-1].end())):
        return ""
    name = _WIDTHLESS.sub("", after[: top.end()])
    is_file = _WIDTHLESS.sub("", top[0]).lower() in _SUFFIXES
    if is_file or len(after[: top.end()].encode()) > _MAX_DOMAIN or _RESERVED.search(name):
        return ""
    return after[: top.end()] if re.search(r"[^0-9\W_]", labels[-2][0]) else ""
