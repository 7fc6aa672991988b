r"""Phone numbers, bank accounts (IBAN) and payment cards in bytes: finders of `mask_pii`.

- A phone number has 8 to 15 digits after `+` (10 to 13 without separators); or the North American form (NNN) NNN-NNNN,
  NNN-NNN-NNNN, NNN.NNN.NNNN with no 0 or 1 in front of a group; or 7 to 15 digits behind a word such as `tel`, `phone`,
  `mobile`, `fax`. The numbers 555-01NN, which are kept for fiction, stay, and so does a date.
- An IBAN has a country's code, that country's length (registry of SWIFT) and a remainder of 1 modulo 97 (ISO 13616);
  spaces may stand between any of its characters.
- A card has 14 to 16 digits, in one piece or in its groups, the first digits of a known network, and a valid check
  digit (Luhn, ISO 7812). The numbers that payment systems publish for tests stay.

ISBN, dates, decimals and identifiers fail one of these: tests/operators/test_mask_pii.py has a list. One in ten of
long numbers passes Luhn: an identifier of 16 digits that begins like a card may be taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from operators.passages import AROUND, Found, Passage

# Repetitions are bounded: `re` remembers every turn of one, and a text may be nothing but digits.
_MORE: Final = rb"(?:[ ./()-]{0,3}[0-9])"
_INTERNATIONAL: Final = re.compile(rb"(?<![\w+])\+[1-9]%b{7,14}(?!%b)" % (_MORE, _MORE))
_AMERICAN: Final = re.compile(
    rb"(?<![\w.+/-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}(?!\w|[./-][0-9])"
)
_FIRST: Final = re.compile(rb"(?<![\w.,$/-])\(?(?=[0-9])")
_AFTER_WORD: Final = re.compile(rb"\(?[0-9]%b{6,14}(?!\w|%b)" % (_MORE, _MORE))
_WORD_BEFORE: Final = re.compile(
    rb"\b(?:tel|tele|telephone|phone|phones|ph|fax|mobile|mob|cell|call|whatsapp|sms|telefon|telefono|tel\xc3\xa9fono"
    rb"|t\xc3\xa9l|t\xc3\xa9l\xc3\xa9phone|telefoon|handy|mobil)(?: (?:no|number|us|at))?[\s.:#=\"']*$",
    re.I,
)
_DATE: Final = re.compile(rb"[12][0-9]{3}([./-])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([./-])[01]?[0-9]\2[12][0-9]{3}")
_FICTION: Final = re.compile(rb"1?[2-9][0-9]{2}55501[0-9]{2}")

_COUNTRY: Final = re.compile(rb"(?<![0-9A-Za-z])([A-Z]{2})[0-9]{2}")
_LENGTHS: Final = {
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "FK", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "TL", "SO"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "EG", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
SAMPLE_IBANS: Final = ("GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606")

_CARD: Final = re.compile(
    rb"(?<![\w.+$-])(?:[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5}|[0-9]{14,16})"
    rb"(?!\w|[.-][0-9])"
)
_NETWORK: Final = re.compile(
    r"4[0-9]{15}|(?:5[1-5]|2[2-7]|35|6[05])[0-9]{14}|64[4-9][0-9]{13}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
)
SAMPLE_CARDS: Final = ("4111111111111111", "4242424242424242", "5555555555554444", "378282246310005")


def phones(place: Passage) -> Iterator[Found]:
    """The phone numbers in a run of digits, spaces and `()+-./`; one may come twice, in different shapes."""
    content, start, stop, _ = place
    matches = [*_INTERNATIONAL.finditer(content, start, stop), *_AMERICAN.finditer(content, start, stop)]
    first = _FIRST.search(content, start, min(stop, start + AROUND))
    if first and (behind := _AFTER_WORD.match(content, first.start(), stop)):  # behind a word is only the first one
        matches.append(behind)
    for match in matches:
        digits = re.sub(rb"[^0-9]", b"", match[0])
        if _is_phone(content, match, digits) and not _FICTION.fullmatch(digits):
            yield Found(match.start(), match.end(), digits.decode())


def _is_phone(content: bytes, match: re.Match[bytes], digits: bytes) -> bool:
    if match.re is _INTERNATIONAL:
        is_grouped = len(digits) + 1 < len(match[0])
        return is_grouped or 10 <= len(digits) <= 13
    if match.re is _AMERICAN:
        return True
    before = content[max(0, match.start() - 24) : match.start()]
    return bool(_WORD_BEFORE.search(before)) and not _DATE.match(match[0])


def ibans(place: Passage) -> Iterator[Found]:
    """The accounts in a run of capitals, digits and spaces."""
    for match in _COUNTRY.finditer(place.content, place.start, place.stop):
        length = _LENGTHS.get(match[1].decode())
        if not length:
            continue
        rest = re.compile(rb"(?: ?[0-9A-Z]){%d}(?![0-9A-Za-z])" % (length - 4)).match(place.content, match.end())
        if rest:
            number = (match[0] + rest[0]).decode().replace(" ", "")
            value = int("".join(str(int(character, 36)) for character in number[4:] + number[:4]))
            if value % 97 == 1 and number not in SAMPLE_IBANS:
                yield Found(match.start(), rest.end(), number)


def cards(place: Passage) -> Iterator[Found]:
    """The payment cards in a run of digits, spaces and `()+-./`."""
    for match in _CARD.finditer(place.content, place.start, place.stop):
        digits = re.sub(rb"[ -]", b"", match[0]).decode()
        if _NETWORK.fullmatch(digits) and is_luhn(digits) and digits not in SAMPLE_CARDS:
            yield Found(match.start(), match.end(), digits)


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others.

    >>> is_luhn("79927398713"), is_luhn("79927398710")
    (True, False)
    """
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
