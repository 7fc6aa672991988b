"""Where the words of a text are not those of its chunks: special cases of spaCy's tokenizer that meet at white space.

After it has cut each chunk between white space, spaCy looks in the tokens of the whole text for its special cases
(`e.g.`, `:-)`) as its rules for marks cut them (`e.g` and `.`), the longest first, and makes each what its table says,
unless a longer one has a token of it. One whose tokens lie in two chunks is found as well: it changes nothing, since
its text has a space inside, but it keeps the other from being made: `x:)` has two tokens, `x:) )` four, as `:))` is
a special case.

So two chunks meet if one ends (or the other begins) with a special case, in part or whole, and the neighbour goes on
with what a second one needs. `Neighbours` asks for less: of the neighbour it looks at the character next to the space
alone. Texts that are cut as a whole for no reason are a matter of time; none that has to be is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Tokens = tuple[str, ...]
Masks = Mapping[str, int]
CLASSES: Final = 32
"""Of characters, for each side: the low half of a mask is about how the right chunk begins, the high one about how the
left one ends."""


@dataclass(frozen=True)
class Side:
    """One edge: `ends`, how a chunk may end for its neighbour to matter -> the classes of the neighbour's character."""

    ends: Masks
    classes: Masks
    sizes: Sequence[int] = field(default=())

    @classmethod
    def of(cls, sought: Iterable[Tokens], changed: Iterable[Tokens]) -> Side:
        """The right edge, from the special cases as they are sought, and of those the ones that change anything."""
        ends_of: dict[str, set[str]] = defaultdict(set)
        for end, following in _meetings(sought, changed):
            ends_of[following[0]].add(end)
        # Characters that follow the same ends are one class.
        profiles = sorted({frozenset(ends) for ends in ends_of.values()}, key=sorted)
        classes = {character: 1 << profiles.index(frozenset(ends)) % CLASSES for character, ends in ends_of.items()}
        masks: dict[str, int] = defaultdict(int)
        for character, ends in ends_of.items():
            for end in ends:
                masks[end] |= classes[character]
        return cls(dict(masks), classes, sorted({len(end) for end in masks}))

    def needs(self, chunk: str) -> int:
        """The classes of the neighbour's first character that matter."""
        mask = 0
        for size in self.sizes:
            mask |= self.ends.get(chunk[-size:], 0)
        return mask


@dataclass(frozen=True)
class Neighbours:
    """Both edges of a chunk as masks; `whole` are the chunks that are looked up as they are."""

    after: Side
    before: Side
    whole: frozenset[str]

    @classmethod
    def of(cls, cut: Mapping[str, Tokens], made: Mapping[str, Tokens], whole: frozenset[str]) -> Neighbours:
        """From the tokens in which each special case is sought, and those that it is made.

        >>> smileys = {":)": (":", ")"), ":))": (":", ")", ")")}
        >>> edges = Neighbours.of(smileys, {name: (name,) for name in smileys}, frozenset(smileys))
        >>> [bool(edges.right(a) & edges.left(b)) for a, b in (("x:)", ")"), ("x:)", "x"), (":)", ")"), ("x)", ")"))]
        [True, False, False, False]
        """
        sought = [tokens for tokens in cut.values() if len(tokens) > 1]
        changed = [tokens for case, tokens in cut.items() if tokens != made[case]]
        before = Side.of(map(_mirrored, sought), map(_mirrored, changed))
        return cls(Side.of(sought, changed), before, whole)

    def right(self, chunk: str) -> int:
        """The mask of a chunk before another."""
        needs = 0 if chunk in self.whole else self.after.needs(chunk)
        return needs | self.before.classes.get(chunk[-1:], 0) << CLASSES

    def left(self, chunk: str) -> int:
        """The mask of a chunk after another."""
        needs = 0 if chunk in self.whole else self.before.needs(chunk[::-1])
        return needs << CLASSES | self.after.classes.get(chunk[:1], 0)


def _meetings(sought: Iterable[Tokens], changed: Iterable[Tokens]) -> Iterator[tuple[str, str]]:
    """How a chunk ends in which a changed case lies that a sought one overlaps, and the latter's first token beyond."""
    with_suffix: dict[Tokens, list[Tokens]] = defaultdict(list)
    for case in changed:
        for start in range(len(case)):
            with_suffix[case[start:]].append(case)
    for tokens in sought:
        for size in range(1, len(tokens)):
            inside, following = tokens[:size], tokens[size]
            for shared in range(1, size + 1):
                for case in with_suffix.get(inside[:shared], ()):
                    yield "".join(case + inside[shared:]), following
            for start in range(size):  # from 1 on the chunk lies whole in the sought case, which began before it
                windows = (inside[i:j] for i in range(start, size) for j in range(i + 1, size + 1))
                if any(window in with_suffix[window] for window in windows if window in with_suffix):
                    yield "".join(inside[start:]), following


def _mirrored(tokens: Tokens) -> Tokens:
    return tuple(token[::-1] for token in reversed(tokens))
