r"""Read the part of regex syntax that pre-tokenization patterns are written in, as `tokenizers`' engine means it.

Read are: characters and escapes, `.`, classes with ranges and `\p{..}`, `\s`, `\d` and their negations, groups,
`(?i:..)` around plain ASCII text, alternation, the greedy quantifiers, and a look-ahead at one character, `(?!\S)`.
Everything else is refused with `UnsupportedPattern`, and whoever asked has to use the engine itself: anchors,
look-behind, back-references, lazy and possessive quantifiers, nested classes, whatever can match nothing. What is read
here means the same there; tests hold it to that on random patterns.
"""

from dataclasses import dataclass
from typing import Final

from operators.unicode_classes import CLASSES, OTHER

_PROPERTIES: Final[dict[str, tuple[str, ...]]] = {
    **{name: (name,) for name in CLASSES if name != "space"},
    "L": ("Lu", "Ll", "Lt", "Lm", "Lo"),
    "N": ("Nd", "Nl", "No"),
}
_EVERY_CLASS: Final = frozenset((OTHER, *CLASSES))
_CONTROLS: Final = {"r": "\r", "n": "\n", "t": "\t", "f": "\f", "v": "\v"}
# One character beyond ASCII is the same letter in another case as an ASCII one, for each of these.
_FOLDED: Final = {"s": "\u017f", "k": "\u212a"}
# In any case these are also one character, such as U+FB01; the engine then matches it, and we do not.
_LIGATURES: Final = ("ss", "st", "ff", "fi", "fl")
_MAX_COPIES: Final = 100


class UnsupportedPattern(Exception):
    """The pattern holds something that is not read here; another engine has to take over."""


@dataclass(frozen=True)
class Chars:
    """One character of some Unicode classes or in some ranges; if `negated`, one that is neither."""

    classes: frozenset[str] = frozenset()
    ranges: tuple[tuple[int, int], ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class Ahead:
    """The next character is one of a set; if `negated` it is none of them or there is none."""

    chars: Chars
    negated: bool


@dataclass(frozen=True)
class Sequence:
    """One after the other."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Choice:
    """The first that leads to a match."""

    options: "tuple[Node, ...]"


@dataclass(frozen=True)
class Repeat:
    """As often as possible, at least `least` times and at most `most` (-1: any number of) times."""

    part: "Node"
    least: int
    most: int


NUMERALS: Final = Chars(frozenset(_PROPERTIES["N"]))

Node = Chars | Ahead | Sequence | Choice | Repeat


def parse(pattern: str) -> Node:
    r"""The syntax tree of a pattern that never matches nothing.

    >>> parse(r"\p{Lu}[^a-c]?").parts[1].part.ranges
    ((97, 99),)

    Raises UnsupportedPattern.
    """
    reader = _Reader(pattern)
    node = reader.choice()
    if reader.rest():
        reader.refuse("an unbalanced ')'")
    if can_be_empty(node):
        reader.refuse("a way to match nothing")
    return node


def can_be_empty(node: Node) -> bool:
    """Whether it may match without taking a character."""
    match node:
        case Chars():
            return False
        case Ahead():
            return True
        case Sequence(parts):
            return all(map(can_be_empty, parts))
        case Choice(options):
            return any(map(can_be_empty, options))
        case Repeat(_, least, _):
            return least == 0


class _Reader:
    """Recursive descent over a pattern, a method for each level of it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0

    def rest(self) -> str:
        return self.pattern[self.place :]

    def refuse(self, what: str) -> None:
        msg = f"pattern {self.pattern!r} has at character {self.place} {what}"
        raise UnsupportedPattern(msg)

    def take(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.place)
        self.place += len(text) if found else 0
        return found

    def character(self) -> str:
        if not self.rest():
            self.refuse("its end, where something must follow")
        self.place += 1
        return self.pattern[self.place - 1]

    def choice(self) -> Node:
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self) -> Node:
        parts = []
        while self.rest() and self.rest()[0] not in "|)":
            parts.append(self.repeat())
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def repeat(self) -> Node:
        part = self.atom()
        if not self.rest() or self.rest()[0] not in "?*+{":
            return part
        least, most = self.quantifier()
        if can_be_empty(part):
            self.refuse("a repetition of what can match nothing")
        if self.rest() and self.rest()[0] in "?*+{":
            self.refuse("a lazy, possessive or repeated quantifier")
        return Repeat(part, least, most)

    def quantifier(self) -> tuple[int, int]:
        sign = self.character()
        if sign != "{":
            return {"?": (0, 1), "*": (0, -1), "+": (1, -1)}[sign]
        content, closed, _ = self.rest().partition("}")
        least, comma, most = content.partition(",")
        given = (least, most or least)
        if not closed or not all(number.isascii() and number.isdigit() for number in given):
            self.refuse("a '{' that is no quantifier {m}, {m,} or {m,n}")
        self.place += len(content) + 1
        bounds = int(least), int(given[1]) if most or not comma else -1
        if max(bounds) > _MAX_COPIES or bounds[1] == 0 or 0 <= bounds[1] < bounds[0]:
            self.refuse(f"bounds that fall, are 0 or above {_MAX_COPIES}")
        return bounds

    def atom(self) -> Node:
        if self.take("(?i:"):
            return self.any_case()
        for opening, negated in (("(?!", True), ("(?=", False)):
            if self.take(opening):
                return self.ahead(negated)
        if self.take("(?:") or (not self.rest().startswith("(?") and self.take("(")):
            node = self.choice()
            if not self.take(")"):
                self.refuse("no ')'")
            return node
        if self.take("["):
            return self.bracket()
        if self.take("."):
            return Chars(ranges=((10, 10),), negated=True)
        if self.rest()[0] in "()^$*+?{}]":
            self.refuse(f"{self.rest()[:3]!r}")
        return self.single()

    def ahead(self, negated: bool) -> Node:
        node = self.choice()
        if not isinstance(node, Chars) or not self.take(")"):
            self.refuse("a look-ahead at more than one character")
        assert isinstance(node, Chars)
        return Ahead(node, negated)

    def any_case(self) -> Node:
        content, closed, _ = self.rest().partition(")")
        options = content.split("|")
        plain = all(character.isalpha() or character in "' " for character in content.replace("|", ""))
        if not closed or not content.isascii() or not plain or "" in options:
            self.refuse("(?i:..) around more than plain ASCII letters")
        if any(ligature in content.lower() for ligature in _LIGATURES):
            self.refuse(f"(?i:..) around one of {_LIGATURES}, which have ligatures")
        self.place += len(content) + 1
        return Choice(tuple(Sequence(tuple(map(_any_case, option))) for option in options))

    def single(self) -> Chars:
        character = self.character()
        if character != "\\":
            return _one(character)
        return self.escape()

    def escape(self) -> Chars:
        name = self.character()
        if name in _CONTROLS:
            return _one(_CONTROLS[name])
        if name in "pP" and self.take("{"):
            content, _, _ = self.rest().partition("}")
            self.place += len(content) + 1
            if content not in _PROPERTIES:
                self.refuse(f"property {content!r}, of which only {', '.join(sorted(_PROPERTIES))} are known")
            return _in_classes(_PROPERTIES[content], name == "P")
        if name in "sSdD":
            return _in_classes(("space",) if name in "sS" else ("Nd",), name.isupper())
        if not name.isascii() or name.isalnum():
            self.refuse(f"escape \\{name}")
        return _one(name)

    def bracket(self) -> Chars:
        negated = self.take("^")
        classes: set[str] = set()
        ranges: list[tuple[int, int]] = []
        if self.rest().startswith("]"):
            self.refuse("an empty class")
        while not self.take("]"):
            if self.rest().startswith(("[", "&&", "-]")) or (ranges == [] and not classes and self.rest()[:1] == "-"):
                self.refuse("a nested class, an intersection or a '-' that is no range (write it '\\-')")
            item = self.single()
            classes |= item.classes
            ranges.extend(self.range_from(item))
        return Chars(frozenset(classes), tuple(ranges), negated)

    def range_from(self, item: Chars) -> tuple[tuple[int, int], ...]:
        if not self.rest().startswith("-"):
            return item.ranges
        self.take("-")
        last = self.single()
        if item.classes or last.classes:
            self.refuse("a range that does not go from one character to another")
        (low, _), (high, _) = item.ranges[0], last.ranges[0]
        if low > high or self.rest().startswith("-"):
            self.refuse("a range that falls or goes on")
        return ((low, high),)


def _one(character: str) -> Chars:
    return Chars(ranges=((ord(character), ord(character)),))


def _in_classes(names: tuple[str, ...], negated: bool) -> Chars:
    return Chars(frozenset(names) ^ _EVERY_CLASS if negated else frozenset(names))


def _any_case(character: str) -> Chars:
    cases = {character.lower(), character.upper(), _FOLDED.get(character.lower(), character)}
    return Chars(ranges=tuple((ord(case), ord(case)) for case in sorted(cases)))
