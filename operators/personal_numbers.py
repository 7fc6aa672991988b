r"""Phone numbers, bank accounts (IBAN) and payment cards in bytes: finders of `mask_pii`.

- A phone number has 8 to 15 digits after `+` (10 to 13 without separators); or 8 to 14 after `00` with a gap behind the
  country's code; or the North American form (NNN) NNN-NNNN, NNN-NNN-NNNN, NNN.NNN.NNNN with no 0 or 1 in front of a
  group; or 7 to 15 digits behind a word such as `tel`, `phone`, `mobile`, `fax`, also in other languages and scripts.
  The numbers 555-01NN, which are kept for fiction, stay, and so does a date.
- An IBAN has a country's code, that country's length (registry of SWIFT) and a remainder of 1 modulo 97 (ISO 13616);
  one space or hyphen may stand between any two of its characters. In lower case, where a hexadecimal dump looks like
  one, all behind the check digits but the first four characters are digits.
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
_GAP: Final = rb"(?:[ -]|\xc2\xa0|\xe2\x80[\x87\x89\x91\xaf])"  # also no-break spaces, thin space, no-break hyphen
_MORE: Final = rb"(?:(?:%b|[./()]){0,3}[0-9])" % _GAP
_ABROAD: Final = re.compile(
    rb"(?<![\w.,+$/-])(?<![0-9] )(?<![0-9]\xc2\xa0)00[2-9][0-9]{1,2}(?:%b|[()]){1,2}[0-9]"
    rb"(?:(?:%b|[()]){0,2}[0-9]){5,10}(?!\w|[./-][0-9])" % (_GAP, _GAP)
)
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
_FOREIGN_WORD_BEFORE: Final = re.compile(
    "(?i:(?:電話|电话|手机|手機|传真|傳真|携帯|ファックス|ファクス|テレ|热线|熱線)(?:番号|号码|號碼|号|號)?"
    "|(?:전화|휴대폰|휴대전화|핸드폰|연락처|팩스)(?:번호)?|โทร(?:ศัพท์)?|โทรสาร"
    "|\\b(?:тел|телефон|телефону|моб|мобильный|факс|τηλ|τηλέφωνο|κινητό|טלפון|טל|נייד|פקס|هاتف|تلفون|الهاتف|جوال|موبايل|تلفن"
    "|điện thoại|फ़ोन|फोन|मोबाइल))[\\s.:#=\"'\uff1a(\uff08]*$"
)
_DATE: Final = re.compile(rb"[12][0-9]{3}([./-])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([./-])[01]?[0-9]\2[12][0-9]{3}")
_FICTION: Final = re.compile(rb"1?[2-9][0-9]{2}55501[0-9]{2}")

_COUNTRY: Final = re.compile(rb"(?<![0-9A-Za-z])(?:([A-Z]{2})|([a-z]{2}))[0-9]{2}")
_LENGTHS: Final = {
    "NO": 15,
    "BE": 16,
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "FK", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "TL", "SO"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    "LC": 32,
    "RU": 33,
}
SAMPLE_IBANS: Final = ("GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606")

_CARD: Final = re.compile(
    rb"(?<![\w.+$-])(?:[0-9]{4}(%b)[0-9]{4}\1[0-9]{4}\1[0-9]{4}|3[0-9]{3}(%b)[0-9]{6}\2[0-9]{4,5}|[0-9]{14,16})"
    rb"(?!\w|[.-][0-9])" % (_GAP, _GAP)
)
_NETWORK: Final = re.compile(
    r"4[0-9]{15}|(?:5[1-5]|2[2-7]|35|6[05])[0-9]{14}|64[4-9][0-9]{13}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
)
SAMPLE_CARDS: Final = ("4111111111111111", "4242424242424242", "5555555555554444", "378282246310005")
"""What stand-ins are chosen from."""
_TEST_CARDS: Final = frozenset(
    (
        *SAMPLE_CARDS,
        *("4012888888881881", "5500005555555559", "5105105105105100", "5500000000000004", "6011111111111117"),
        *("6011000990139424", "3530111333300000", "3566002020360505", "30569309025904", "38520000023237"),
        *("4000056655665556", "2223003122003222", "340000000000009", "30000000000004"),
    )
)


def phones(place: Passage) -> Iterator[Found]:
    """The phone numbers in a run of digits, spaces and `()+-./`; one may come twice, in different shapes."""
    content, start, stop, _ = place
    shapes = (_INTERNATIONAL, _ABROAD, _AMERICAN)
    matches = [match for shape in shapes for match in shape.finditer(content, start, stop)]
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
        return not _DATE.match(match[0], 1) and (is_grouped or 10 <= len(digits) <= 13)
    if match.re is _ABROAD:
        return any(len(group) != 4 for group in re.findall(rb"[0-9]+", match[0]))  # else a dump or a long number
    if match.re is not _AFTER_WORD:
        return True
    before = content[max(0, match.start() - 40) : match.start()]
    is_named = _WORD_BEFORE.search(before) or (
        not before.isascii() and _FOREIGN_WORD_BEFORE.search(before.decode(errors="ignore"))
    )
    return bool(is_named) and not _DATE.match(match[0])


def ibans(place: Passage) -> Iterator[Found]:
    """The accounts in a run of letters, digits, spaces and hyphens."""
    for match in _COUNTRY.finditer(place.content, place.start, place.stop):
        length = _LENGTHS.get(match[0][:2].decode().upper())
        if not length:
            continue
        letters = rb"A-Z" if match[1] else rb"a-z"
        rest = re.compile(rb"(?:%b?[0-9%b]){%d}(?![0-9A-Za-z])" % (_GAP, letters, length - 4)).match(
            place.content, match.end()
        )
        if rest:
            number = re.sub(rb"[^0-9A-Za-z]", b"", match[0] + rest[0]).decode()
            is_bare = bool(match[1]) or number[8:].isdigit()
            value = int("".join(str(int(character, 36)) for character in number[4:] + number[:4]))
            if is_bare and value % 97 == 1 and number.upper() not in SAMPLE_IBANS:
                yield Found(match.start(), rest.end(), number.upper())


def cards(place: Passage) -> Iterator[Found]:
    """The payment cards in a run of digits, spaces and `()+-./`."""
    for match in _CARD.finditer(place.content, place.start, place.stop):
        digits = re.sub(rb"[^0-9]", b"", match[0]).decode()
        if _NETWORK.fullmatch(digits) and is_luhn(digits) and digits not in _TEST_CARDS:
            yield Found(match.start(), match.end(), digits)


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others.

    >>> is_luhn("79927398713"), is_luhn("79927398710")
    (True, False)
    """
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
