r"""Compile pre-tokenization patterns to one finite automaton over classes of code points.

A backtracking engine takes the first alternative that leads to a match, not the longest. So a state here is an ordered
list of places in the pattern, best first, and a match cuts off what comes after it (Thompson's construction with
priorities, as in Pike's and Cox's engines). A match becomes known one character late, at the character after it: that
is what decides a look-ahead such as `(?!\S)`. Published patterns give 8 to 30 states; compiling takes some 10 ms.

Several patterns, one after the other, cut the pieces of the ones before. That stays one automaton where all but the
last are runs of a class, as in DeepSeek's: such a run is a region of its own, and the patterns after it see its ends as
the ends of text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.pattern_syntax import Ahead, Chars, Choice, Node, Repeat, Sequence, UnsupportedPattern, parse
from operators.unicode_classes import CLASSES, CODE_POINTS, OTHER, class_table

_MAX_STATES: Final = 4000
_MAX_SYMBOLS: Final = 250
_MATCH: Final = -1

Items = tuple[int, ...]
State = tuple[int, Items]


class Automaton(NamedTuple):
    """Tables for a scanner. Row 0 of `steps` is dead, row 1 the start; its last column is the end of the text."""

    symbols: NDArray[np.uint8]
    """For every code point, its column in `steps`."""
    steps: NDArray[np.int32]
    """Flat rows: twice the place of the next row, and 1 more if a match ends before this character."""
    regions: NDArray[np.int8]
    """For every symbol, its region: no piece goes from one into another, not even where nothing matches."""
    width: int
    """Columns a row."""


def compile_patterns(patterns: tuple[str, ...]) -> Automaton:
    """The automaton of patterns that cut text one after the other, each the pieces of those before.

    Raises UnsupportedPattern where it cannot be one, or would be a large one.
    """
    nodes = [parse(pattern) for pattern in patterns]
    sets = sorted({chars for node in nodes for chars in _sets(node)}, key=repr)
    symbols, members = _partition(sets)
    programs = [_Program(node, dict(zip(sets, members, strict=True))) for node in nodes]
    rules, regions = _regions(programs, members.shape[1])
    return _tabulate(rules, symbols, regions)


def _sets(node: Node) -> Iterator[Chars]:
    match node:
        case Chars() as chars:
            yield chars
        case Ahead(chars, _):
            yield chars
        case Repeat(part, _, _):
            yield from _sets(part)
        case Sequence(parts) | Choice(parts):
            for part in parts:
                yield from _sets(part)


def _partition(sets: list[Chars]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Code points that no set tells apart share a symbol; and for every set, which symbols it holds."""
    starts = _starts(sets)
    symbols = np.zeros(starts.size, np.int64)
    for chars in sets:
        symbols = _renumbered(2 * symbols + membership(chars, starts))
        if symbols.max() > _MAX_SYMBOLS:
            msg = f"the pattern tells more than {_MAX_SYMBOLS} kinds of characters apart"
            raise UnsupportedPattern(msg)
    examples = np.zeros(symbols.max() + 1, np.int64)
    examples[symbols] = starts
    members = np.array([membership(chars, examples) for chars in sets])
    return np.repeat(symbols.astype(np.uint8), np.diff(np.append(starts, CODE_POINTS))), members


def _starts(sets: list[Chars]) -> NDArray[np.int64]:
    """Where runs of code points begin that neither a class nor a set cuts."""
    edges = [edge for chars in sets for low, high in chars.ranges for edge in (low, high + 1)]
    starts = np.union1d(np.flatnonzero(np.diff(class_table(), prepend=np.uint8(255))), np.array(edges, np.int64))
    return starts[starts < CODE_POINTS]


def _renumbered(symbols: NDArray[np.int64]) -> NDArray[np.int64]:
    used = np.bincount(symbols) > 0
    numbers: NDArray[np.int64] = (np.cumsum(used) - 1)[symbols]
    return numbers


def membership(chars: Chars, points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these code points are in a set."""
    in_classes = np.array([name in chars.classes for name in (OTHER, *CLASSES)])
    member: NDArray[np.bool_] = in_classes[class_table()[points]]
    for low, high in chars.ranges:
        member |= (points >= low) & (points <= high)
    return member ^ chars.negated


class _Program:
    """A pattern as instructions; the first one that it tries comes first."""

    def __init__(self, node: Node, members: dict[Chars, NDArray[np.bool_]]) -> None:
        self.node = node
        self.members = members
        self.forks: dict[int, Items] = {}  # goes on at each of these, best first
        self.chars: dict[int, tuple[NDArray[np.bool_], int]] = {}  # takes one of these symbols, goes on there
        self.aheads: dict[int, tuple[NDArray[np.bool_], bool, int]] = {}  # asks about the next symbol
        self.size = 0
        self.start = self.closure([self.emit(node, _MATCH)])

    def new(self) -> int:
        self.size += 1
        return self.size - 1

    def emit(self, node: Node, after: int) -> int:
        """Instructions for a node, written from its end; gives the first of them."""
        match node:
            case Chars() as chars:
                place = self.new()
                self.chars[place] = (self.members[chars], after)
            case Ahead(chars, negated):
                place = self.new()
                self.aheads[place] = (self.members[chars], negated, after)
            case Sequence(parts):
                place = after
                for part in reversed(parts):
                    place = self.emit(part, place)
            case Choice(options):
                firsts = tuple(self.emit(option, after) for option in options)
                place = self.new()
                self.forks[place] = firsts
            case Repeat(part, least, most):
                place = self.emit_repeat(part, least, most, after)
        return place

    def emit_repeat(self, part: Node, least: int, most: int, after: int) -> int:
        place = after
        if most < 0:
            place = self.new()
            self.forks[place] = (self.emit(part, place), after)
        for _ in range(most - least):
            first = self.emit(part, place)
            place = self.new()
            self.forks[place] = (first, after)
        for _ in range(least):
            place = self.emit(part, place)
        return place

    def closure(self, places: list[int]) -> Items:
        """What is reached without a character, best first, each once; look-aheads stay undecided."""
        found: dict[int, None] = {}
        waiting = places[::-1]
        seen = set()
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            if place in self.forks:
                waiting.extend(self.forks[place][::-1])
            else:
                found[place] = None
        return tuple(found)

    def decided(self, items: Items, symbol: int) -> Items:
        """The items with their look-aheads decided by the next symbol, -1 at the end of the text."""
        while any(place in self.aheads for place in items):
            places: list[int] = []
            for place in items:
                if place not in self.aheads:
                    places.append(place)
                    continue
                member, negated, after = self.aheads[place]
                if (symbol >= 0 and bool(member[symbol])) != negated:
                    places.append(after)
            items = self.closure(places)
        return items

    def step(self, items: Items, symbol: int) -> tuple[Items, bool]:
        """What remains after a symbol, and whether a match ends before it."""
        following: list[int] = []
        for place in self.decided(items, symbol):
            if place == _MATCH:
                return self.closure(following), True
            member, after = self.chars[place]
            if symbol >= 0 and member[symbol]:
                following.append(after)
        return self.closure(following), False

    def ever_matches(self, alphabet: NDArray[np.bool_]) -> bool:
        """Whether it matches anything in some text of these symbols."""
        symbols = [*np.flatnonzero(alphabet).tolist(), -1]
        seen, waiting = {self.start}, [self.start]
        while waiting:
            items = waiting.pop()
            for symbol in symbols:
                following, matched = self.step(items, symbol)
                if matched:
                    return True
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return False


@dataclass(frozen=True)
class _Rule:
    """What cuts a region: a program that sees other symbols than these as the end of the text."""

    program: _Program
    alphabet: NDArray[np.bool_]


def _regions(programs: list[_Program], num_symbols: int) -> tuple[list[_Rule], NDArray[np.int8]]:
    """A region for each pattern: runs of the classes of all but the last, and what is left."""
    left = np.ones(num_symbols, bool)
    regions = np.zeros(num_symbols, np.int8)
    rules = []
    for number, program in enumerate(programs[:-1]):
        member, most = _class_run(program)
        alphabet = member & left
        later = [other for other in programs[number + 1 :] if other.ever_matches(alphabet)]
        if not later:
            rules.append(_Rule(program, alphabet))
        elif later == programs[-1:] and most < 0:
            rules.append(_Rule(programs[-1], alphabet))
        else:
            msg = f"pattern {number + 2} of {len(programs)} cuts the pieces of one before it further"
            raise UnsupportedPattern(msg)
        regions[alphabet] = number
        left &= ~alphabet
    regions[left] = len(rules)
    return [*rules, _Rule(programs[-1], left)], regions


def _class_run(program: _Program) -> tuple[NDArray[np.bool_], int]:
    match program.node:
        case Repeat(Chars() as chars, 1, most):
            return program.members[chars], most
        case Chars() as chars:
            return program.members[chars], 1
    msg = "of several patterns, all but the last must be runs of one class, such as '\\p{N}{1,3}'"
    raise UnsupportedPattern(msg)


def _tabulate(rules: list[_Rule], symbols: NDArray[np.uint8], regions: NDArray[np.int8]) -> Automaton:
    """Every state that can be reached, as rows."""
    width = regions.size + 1
    numbers: dict[State, int] = {}
    states: list[State] = []

    def target(state: State, symbol: int) -> int:
        rule, items = state
        inside = symbol >= 0 and rules[rule].alphabet[symbol]
        following, matched = rules[rule].program.step(items, symbol if inside else -1)
        if following and (rule, following) not in numbers:
            numbers[rule, following] = 2 + len(states)
            states.append((rule, following))
        row = numbers[rule, following] if following else 0
        return 2 * width * row + matched

    starts = [(int(region), rules[region].program.start) for region in regions]
    rows = [[0] * width, [*map(target, starts, range(width - 1)), 0]]
    for state in states:  # it grows
        rows.append([target(state, symbol) for symbol in (*range(width - 1), -1)])
        if len(states) > _MAX_STATES:
            msg = f"the pattern's automaton has more than {_MAX_STATES} states"
            raise UnsupportedPattern(msg)
    return Automaton(symbols, np.array(rows, np.int32).ravel(), regions, width)
