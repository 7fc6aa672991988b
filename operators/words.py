r"""Words and punctuation marks of a text: the splitter behind `variant: standard`, in every script.

Each code point is in one of eight classes, from its Unicode properties alone: see `operators/word_classes.py`, which
has them in a table of its own, so that words change with no library.

Spaces separate words and belong to none; every other code point belongs to exactly one word, in order:

1. A word is a run of lower, upper, letter, digit and extend. Some marks stay inside it where a letter or digit
   follows: `_` and `@` always; `.` unless it stands between lower and upper (a sentence that ends without a space); an
   apostrophe (' or U+2019) or U+00B7 between letters; `,` `:` `/` between digits.
2. If such a word is longer than its ending 's 'm 'd 're 've 'll n't (either case and apostrophe), the ending is a word.
3. An ideograph, a run of `.`, a run of `-`, and any other symbol are words of their own, with the extends that follow.

Rule 3 has no dictionary: Chinese, Japanese and Thai words are characters here, one to a word. Against spaCy's English
tokens, which the reference uses, the differences are listed in docs/rules.md. Price: 20 MB/s; `operators/scans.py`
gives the same words of a whole table much faster.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from operators.word_classes import (
    DIGIT,
    EXTEND,
    IDEOGRAPH,
    LETTER,
    LOWER,
    SPACE,
    SYMBOL,
    UPPER,
    code_point_classes,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

_LETTERS: Final = frozenset({LOWER, UPPER, LETTER})
_ALPHANUMERIC: Final = _LETTERS | {DIGIT}
_WORD: Final = _ALPHANUMERIC | {EXTEND}
_STAND_INS: Final = " \u0301\u4e00aA\u05d00\u2600"
"""One character of each class, in the order of the classes."""
_ENDINGS: Final = frozenset({"'s", "'m", "'d", "'re", "'ve", "'ll", "n't"})
_APOSTROPHES: Final = ("'", "\u2019")


def _code_points(ranges: str) -> frozenset[str]:
    """The characters of space-separated hexadecimal code points and ranges.

    >>> sorted(_code_points("41 43-44"))
    ['A', 'C', 'D']
    """
    characters: set[str] = set()
    for item in ranges.split():
        low, _, high = item.partition("-")
        characters.update(map(chr, range(int(low, 16), int(high or low, 16) + 1)))
    return frozenset(characters)


PUNCTUATION: Final = _code_points(
    "0-8 B-1F 21-2F 3A-40 5B-60 7B-9F AB B4 BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001-3002 3008-300D "
    "3010-3011 FF01 FF05 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF5E"
)
"""129 characters that the reference takes for punctuation: 66 marks (one a full-width digit), 63 controls."""

TERMINAL_PUNCTUATION: Final = _code_points(
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6 "
    "17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 "
    "2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB "
    "FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 "
    "111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 "
    "1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 "
    "16B37-16B38 16B44 16E98 1BC9F 1DA88"
)
"""159 characters that end a sentence. A fixed list: the Unicode property of that name grows with each version."""

PUNCTUATION_SET: Final = PUNCTUATION | TERMINAL_PUNCTUATION
"""281 characters: a word made only of these is a symbol, not a word of the text."""


def split_words(text: str) -> list[str]:
    r"""The words of a text, in order: what `split_words_slowly` defines, by one regular expression.

    >>> split_words("It's 3.14, isn't it? (See v1.2 at me@x.org...)")
    ['It', "'s", '3.14', ',', 'is', "n't", 'it', '?', '(', 'See', 'v1.2', 'at', 'me@x.org', '...', ')']
    >>> split_words("\u4f60\u597d well-known") == ["\u4f60", "\u597d", "well", "-", "known"]
    True
    >>> split_words(" ")
    []
    """
    if text.isascii():
        words: list[str] = _pattern(0x80).findall(text)
    elif len(text.encode("utf-16-le", "surrogatepass")) == 2 * len(text):
        words = _pattern(0x10000).findall(text)
    else:
        words = [text[match.start() : match.end()] for match in _pattern(0x10000).finditer(_in_first_plane(text))]
    if any(mark in text for mark in _APOSTROPHES):
        return _split_endings(words)
    return words


def split_words_slowly(text: str) -> list[str]:
    """The words of a text, in order, by the rules of this module's header, one code point after the other.

    >>> split_words_slowly("Stop.Then go: don't")
    ['Stop', '.', 'Then', 'go', ':', 'do', "n't"]
    """
    classes = code_point_classes()
    kinds = [classes[ord(character)] for character in text]
    words: list[str] = []
    start = 0
    while start < len(text):
        end = _end_of_word(text, kinds, start)
        if kinds[start] != SPACE:
            words.extend(_split_ending(text[start:end]))
        start = end
    return words


def _end_of_word(text: str, kinds: Sequence[int], start: int) -> int:
    end = start + 1
    if kinds[start] in _WORD:
        while end < len(text) and (kinds[end] in _WORD or _joins(text, kinds, end)):
            end += 1
    elif kinds[start] != SPACE:
        while text[start] in ".-" and text[end : end + 1] == text[start]:
            end += 1
        while end < len(text) and kinds[end] == EXTEND:
            end += 1
    return end


def _joins(text: str, kinds: Sequence[int], at: int) -> bool:
    """Whether the mark at a position inside or after a word continues it (rule 1)."""
    before, mark, after = kinds[at - 1], text[at], kinds[at + 1] if at + 1 < len(kinds) else SPACE
    if mark in "_@":
        return after in _ALPHANUMERIC
    if mark == ".":
        return after in _ALPHANUMERIC and not (before == LOWER and after == UPPER)
    if mark in _APOSTROPHES or mark == "\u00b7":
        return before in (_LETTERS | {EXTEND}) and after in _LETTERS
    return mark in ",:/" and before == DIGIT == after


def _split_endings(words: Sequence[str]) -> list[str]:
    parts: list[str] = []
    for word in words:
        # Most words are too short or all letters: this test keeps the loop near the cost of a copy.
        if len(word) < 3 or word.isalnum():
            parts.append(word)
        else:
            parts.extend(_split_ending(word))
    return parts


def _split_ending(word: str) -> tuple[str, ...]:
    """A word and its English ending apart (rule 2), or the word."""
    for length in (2, 3):
        ending = word[-length:].replace("\u2019", "'").lower()
        if ending in _ENDINGS and len(word) > length:
            return word[:-length], word[-length:]
    return (word,)


@cache
def _pattern(limit: int) -> re.Pattern[str]:
    """Rules 1 and 3 for texts of code points below a limit.

    It is built for the standard library's `re`, from the class table: that takes milliseconds once, and is then three
    times as fast as `regex` with properties. Above the first plane `re` would try range after range.
    """
    import re

    table = code_point_classes(limit)

    def any_of(*kinds: int) -> str:
        runs = re.finditer(b"[%s]+" % b"".join(rb"\x%02x" % kind for kind in kinds), table)
        ranges = "".join(rf"\u{run.start():04x}-\u{run.end() - 1:04x}" for run in runs)
        return f"[{ranges}]" if ranges else r"[^\s\S]"

    alphanumeric, letter, digit = any_of(*_ALPHANUMERIC), any_of(*_LETTERS), any_of(DIGIT)
    joint = (
        rf"(?:[@_](?={alphanumeric})"
        rf"|(?:(?<!{any_of(LOWER)})\.|\.(?!{any_of(UPPER)}))(?={alphanumeric})"
        rf"|(?<={any_of(*_LETTERS, EXTEND)})['\u2019\u00B7](?={letter})"
        rf"|(?<={digit})[,:/](?={digit}))"
    )
    word = any_of(*_WORD)
    return re.compile(rf"{word}+(?:{joint}{word}+)*|(?:\.+|-+|{any_of(IDEOGRAPH, SYMBOL)}){any_of(EXTEND)}*")


def _in_first_plane(text: str) -> str:
    """The text with each code point above the first plane replaced by one of its class: the same words begin and end.

    >>> _in_first_plane("x\U0001d7d8") # a mathematical digit
    'x0'
    """
    import re

    classes = code_point_classes()
    return re.sub("[\U00010000-\U0010ffff]", lambda match: _STAND_INS[classes[ord(match[0])]], text)
