"""Numbers and names as the page shows them: rounded for people, and safe inside HTML."""

from __future__ import annotations

import html
import math
import re
from typing import Final

DASH: Final = "\u2013"
MINUS: Final = "\u2212"
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def text(value: object) -> str:
    r"""Any value as HTML text or attribute: nothing in it is markup, hidden, or turns the line around.

    Control characters, invisible marks, direction marks and lone surrogates are written out; tabs and line ends stay.

    >>> text('<b title="x">'), text("a\x00\u202eb")
    ('&lt;b title=&quot;x&quot;&gt;', 'a\u2400[U+202E]b')
    """
    return html.escape(_HIDDEN.sub(_written_out, str(value)))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"


def clipped(value: object, length: int = 80) -> str:
    """As `text`, but the middle of a long name is left out.

    >>> clipped("a" * 50 + "b" * 50, 9)
    'aaaa\u2026bbbb'
    """
    name = str(value)
    if len(name) > length:
        half = (length - 1) // 2
        name = f"{name[:half]}\u2026{name[-half:]}"
    return text(name)


def count(number: float) -> str:
    """A whole number with all its digits.

    >>> count(4636), count(-1200)
    ('4,636', '\u22121,200')
    """
    return f"{round(number):,}".replace("-", MINUS)


def short(number: float) -> str:
    """A whole number, rounded to three digits from ten million on.

    >>> short(1_234_567), short(12_345_678), short(45_600_000_000)
    ('1,234,567', '12.3 M', '45.6 B')
    """
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if number >= max(unit, 1e7) * (1 - 5e-4):
            return f"{_three(number / unit)} {name}"
    return count(number)


def size(num_bytes: float) -> str:
    """Bytes in powers of 1000, three digits.

    >>> size(0), size(999), size(37_927_974), size(999_950_000), size(-2_610_000)
    ('0 B', '999 B', '37.9 MB', '1.00 GB', '\u22122.61 MB')
    """
    if num_bytes < 0:
        return MINUS + size(-num_bytes)
    exponent = 0
    value = float(num_bytes)
    while value >= 999.5 and exponent < len(_SIZES) - 1:
        value /= 1000
        exponent += 1
    return f"{_three(value) if exponent else round(value)} {_SIZES[exponent]}"


def _three(value: float) -> str:
    """Three significant digits of a number of at least 1.

    >>> _three(1.5), _three(99.96), _three(1234.0)
    ('1.50', '100', '1,234')
    """
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """A percentage that says 0 or 100 only where it is exactly that.

    >>> share(1, 3), share(0, 5), share(5, 5), share(1, 10**6), share(10**6 - 1, 10**6), share(0, 0)
    ('33.3 %', '0 %', '100 %', '<0.1 %', '>99.9 %', '\u2013')
    """
    if not whole:
        return DASH
    percent = 100 * part / whole
    if part == 0 or part == whole:
        return f"{percent:.0f} %"
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.95 <= percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %".replace("-", MINUS)


def duration(seconds: float) -> str:
    """A time span in at most two units.

    >>> duration(0.0047), duration(7.805), duration(70), duration(7500), duration(200_000)
    ('5 ms', '7.8 s', '1 min 10 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, below, low in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name}" + (f" {rest} {low}" if rest else "")
    return f"{whole} s"


def number(value: float) -> str:
    """A score or a threshold: four significant digits, no needless zeros.

    >>> number(50.0), number(0.8), number(100000), number(0.67543859), number(1e-9), number(-2.5)
    ('50', '0.8', '100,000', '0.6754', '1e-09', '\u22122.5')
    """
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e12:
        return count(value)
    shown = f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    return shown.replace("-", MINUS) if "e" not in shown else shown


def plural(amount: int, noun: str, many: str = "") -> str:
    """A count with its noun.

    >>> plural(1, "document"), plural(2, "document"), plural(0, "entry", "entries")
    ('1 document', '2 documents', '0 entries')
    """
    return f"{count(amount)} {noun if amount == 1 else many or noun + 's'}"
