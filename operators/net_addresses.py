r"""IP addresses in bytes, by the rules of `mask_pii` and by datatrove 0.10's, and e-mail addresses by the latter.

Each reads in linear time. An e-mail address is sought around an `@` as datatrove's expression finds it; our own rules
are in `email_addresses.py`.

An IPv4 address by our rules stands alone, without leading zeros, and not behind a word such as `version`. Unless `//`
or a word such as `host` stands before it, or a port or prefix after it, one of its numbers is at least 30, and at least
100 where it begins a line of text: all else are versions and numbers of sections. Object identifiers of certificates
are none, nor is what a name of software (`_SOFTWARE`) stands before, if the first number is below 40 and no port
follows, or `released`, `or later` and the like after. `public` leaves all addresses that the registry of IANA reserves,
as do loopback, private, link-local, multicast and documentation ranges; the list is written here, so no version of
Python decides.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from operators.passages import Found, Passage

_ATOM: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-")
_WORD: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_LABEL: Final = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")

_LOOSE_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
_LOOSE_QUAD: Final = re.compile(rb"\.".join([_LOOSE_OCTET] * 4))
_LITERAL: Final = re.compile(rb"\[(?:%b\.){3}(?:%b|[A-Za-z0-9-]*[A-Za-z0-9]:)\]" % (_LOOSE_OCTET, _LOOSE_OCTET))

_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_QUAD: Final = re.compile(rb"(?<![0-9A-Za-z_.-])(?<!\xc2\xa7)%b(?![0-9A-Za-z_]|[.-][0-9])" % rb"\.".join([_OCTET] * 4))
_VERSION: Final = re.compile(
    rb"\b(?:version|versions|ver|rev|revision|release|build|firmware|section|sect|chapter|clause|oid|v)[\s:=.#\"'(]*$",
    re.I,
)
_HOST: Final = re.compile(
    rb"//$|\b(?:ip|ips|ipv4|host|hosts|address|addr|server|dns|gateway|client|ping)[\s:=\"'(]*$", re.IGNORECASE
)
_SOFTWARE: Final = re.compile(
    rb"\b(?:linux|kernel|windows|android|ios|macos|debian|ubuntu|openssl|openssh|postgres(?:ql)?|mysql|mariadb|sqlite"
    rb"|oracle|mongodb|redis|nginx|apache|httpd|tomcat|python|java|jdk|jre|php|perl|ruby|rails|node|nodejs|npm|gcc|glibc"
    rb"|clang|llvm|cmake|chrome|chromium|firefox|safari|opera|edge|docker|kubernetes|git|curl|qt|boost|ffmpeg|samba"
    rb"|wordpress|drupal|django|spring|hadoop|spark|kafka|elasticsearch)[\s/:=-]{1,3}v?$",
    re.IGNORECASE,
)
_RELEASED: Final = re.compile(
    rb"\)?,? (?:(?:was |is |has been )?released\b|release\b|beta|alpha"
    rb"|(?:and|or) (?:later|above|newer|higher|earlier|older|below))",
    re.IGNORECASE,
)
_PORT: Final = re.compile(rb"[:/][0-9]")
_OBJECT: Final = re.compile(rb"2\.5\.(?:4|29)\.|1\.[23]\.6\.1$")
_LINE_START: Final = re.compile(rb"(?:^|[\r\n])[\s/*#%;>-]*$")
_TITLE: Final = re.compile(rb"\.?[ \t]+\S")
NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_GLOBAL_V6: Final = ipaddress.ip_network("2000::/3")
_DOCUMENTED: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
)


def email_of_datatrove(content: bytes, at: int, low: int) -> Found | None:
    """The address around the `@` at a place, not beginning before `low`; None where there is none.

    >>> email_of_datatrove(b"mail me@x.org!", 7, 0)
    Found(start=5, stop=13, name='me@x.org')
    """
    start = _local_part(content, at, low)
    stop = _domain(content, at + 1)
    if stop < 0 and (literal := _LITERAL.match(content, at + 1)):
        stop = literal.end()
    return Found(start, stop, content[start:stop].decode().lower()) if start >= 0 and stop >= 0 else None


def _local_part(content: bytes, at: int, low: int) -> int:
    """Where the local part before an `@` begins, -1 where there is none."""
    start = at
    while start > low and content[start - 1] in _ATOM:
        start -= 1
        if start - 1 > low and content[start - 1] == 0x2E and content[start - 2] in _ATOM:
            start -= 1
    while start < at and (content[start] == 0x2E or not _is_boundary(content, start)):
        start += 1
    return start if start < at else -1


def _is_boundary(content: bytes, at: int) -> bool:
    before = at > 0 and (content[at - 1] in _WORD or _ends_in_letter(content[max(0, at - 4) : at]))
    return before != (content[at] in _WORD)


def _ends_in_letter(content: bytes) -> bool:
    """Whether the last character, if it is not ASCII, is one of words."""
    last = content.decode(errors="ignore")[-1:]
    return last > "\x7f" and last.isalnum()


def _domain(content: bytes, start: int) -> int:
    """Where a domain of at least two labels ends, -1 where there is none."""
    labels = 0
    while label := _LABEL.match(content, start):
        labels += 1
        stop = label.end()
        if content[stop : stop + 1] != b"." or not content[stop + 1 : stop + 2].isalnum():
            return stop if labels > 1 else -1
        start = stop + 1
    return -1


def quads(place: Passage, public: bool, by_datatrove: bool) -> Iterator[Found]:
    """The IPv4 addresses in a run of digits and dots."""
    pattern = _LOOSE_QUAD if by_datatrove else _QUAD
    for match in pattern.finditer(place.content, place.start, place.stop):
        if by_datatrove:
            try:
                address = ipaddress.ip_address(match[0].decode())
            except ValueError:  # leading zeros
                continue
            accepted = address.is_global or not public
        else:
            address = ipaddress.ip_address(match[0].decode())
            accepted = _is_asked_for(address, public) and _is_no_version(place.content, match, address)
        if accepted:
            yield Found(match.start(), match.end(), str(address))


def _is_no_version(
    content: bytes, match: re.Match[bytes], address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    before = content[max(0, match.start() - 24) : match.start()]
    if _VERSION.search(before) or _OBJECT.match(match[0]):
        return False
    has_port = _PORT.match(content, match.end())
    if not has_port and (
        _RELEASED.match(content, match.end()) or (address.packed[0] < 40 and _SOFTWARE.search(before))
    ):
        return False
    if _HOST.search(before) or has_port:
        return True
    is_heading = _LINE_START.search(before) and _TITLE.match(content, match.end())
    return max(address.packed) >= (100 if is_heading else 30)


def sixes(place: Passage, public: bool) -> Iterator[Found]:
    """The IPv6 address that a run of hexadecimal digits, colons and dots is, if it is one."""
    content, start, stop = place.content, place.start, place.stop
    while stop > start and content[stop - 1] == 0x2E:
        stop -= 1
    if content[:stop].endswith(b":") and not content[:stop].endswith(b"::"):
        stop -= 1
    if content.startswith(b":", start) and not content.startswith(b"::", start):
        start += 1
    around = content[max(0, start - 1) : start] + content[stop : stop + 1]
    if stop - start > 45 or any(byte in _WORD for byte in around):
        return
    written = content[start:stop].decode()
    try:
        address = ipaddress.IPv6Address(written)
    except ValueError:
        return
    # `a::b` and `dead::beef` are names in code.
    if len(written.partition(":")[0]) == 4 and any(map(str.isdigit, written)) and _is_asked_for(address, public):
        yield Found(start, stop, str(address))


def _is_asked_for(address: ipaddress.IPv4Address | ipaddress.IPv6Address, public: bool) -> bool:
    if any(address in network for network in _DOCUMENTED):
        return False
    if public and isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return False
    return not (public and any(address in network for network in NOT_PUBLIC))
