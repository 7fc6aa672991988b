"""Apply merges to one piece of text at a time, in plain Python: what encoding means, and fit for a few thousand pieces.

A piece starts as single bytes. While two neighbours are a merge, the earliest merge in the list is applied at its
first place. That is how `tokenizers` encodes a pre-token; `kernels/encode.py` does it fast and is tested against this.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from operators.base import RecipeError

Merge = tuple[bytes, bytes]
"""The two tokens that become one."""


def apply_merges(piece: bytes, priorities: Mapping[Merge, int]) -> list[bytes]:
    """The tokens of a piece, by merges with their places in the list.

    >>> apply_merges(b"abab", {(b"b", b"a"): 0, (b"a", b"ba"): 1})
    [b'aba', b'b']
    >>> apply_merges(b"", {})
    []
    """
    return apply_to_tokens([piece[place : place + 1] for place in range(len(piece))], priorities)


def apply_to_tokens(tokens: Iterable[bytes], priorities: Mapping[Merge, int]) -> list[bytes]:
    """As `apply_merges`, of a piece that is in tokens already.

    >>> apply_to_tokens([b"ab", b"c", b"ab"], {(b"a", b"b"): 0, (b"c", b"ab"): 1})
    [b'ab', b'cab']
    """
    return _apply(list(tokens), lambda left, right: priorities.get((left, right)))


def apply_ranks(piece: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """The tokens of a piece, by ranks: two neighbours merge where their bytes, joined, are a token of any origin.

    That is how `tiktoken` encodes a piece that is no token as a whole.

    >>> apply_ranks(b"abab", {b"ba": 0, b"aba": 1})
    [b'aba', b'b']
    """
    tokens = [piece[place : place + 1] for place in range(len(piece))]
    return _apply(tokens, lambda left, right: ranks.get(left + right))


def merges_for(tokens: Iterable[bytes], existing: Sequence[Merge]) -> list[Merge]:
    """Merges to put after the existing ones, so that each of these tokens, as a whole piece, is encoded as one.

    What holds then, for every piece of text:

    - It goes through the existing merges first, untouched; the new ones only join tokens of that result. So no piece
      gets more tokens, every old border that is not joined stays, and whatever was one token still is.
    - Each of the required tokens is one token, whichever others were added after it: all merges of its own come
      before those, so they have done their work first.

    It holds if merging reaches every token that `existing` makes, as after training (else see `vocabulary.reach`):
    then what a new merge makes is no part of an existing one. A token in n parts costs n - 1 merges at most, and as
    many ids; fewer where it begins like one before it. A term inside a longer piece, or one that the pattern cuts, may
    still be several tokens: ask for it as it stands in text, with and without a space before it.

    Raises RecipeError where a token is empty.

    >>> merges_for([b"abc", b"abcd"], [(b"b", b"c")])
    [(b'a', b'bc'), (b'abc', b'd')]
    """
    priorities = {merge: place for place, merge in enumerate(existing)}
    for token in tokens:
        if not token:
            msg = "a required token is empty: expected at least one byte in each"
            raise RecipeError(msg)
        while len(parts := apply_merges(token, priorities)) > 1:
            priorities[parts[0], parts[1]] = len(priorities)
    return list(priorities)[len(existing) :]


def with_required(
    tokens: Sequence[bytes], learned: Sequence[Merge], num_merges: int, first: Sequence[Merge] = ()
) -> list[Merge]:
    """As many learned merges as there is room for, from the first, and then those that the required tokens need.

    There are `num_merges` in all, or fewer where `learned` is shorter or one more would not fit. Raises RecipeError
    where the required tokens alone need more. Merges of `first` come before all these, and are not among the result.

    >>> with_required([b"xyz"], [(b"a", b"b"), (b"b", b"c")], 3)
    [(b'a', b'b'), (b'x', b'y'), (b'xy', b'z')]
    """
    kept = min(len(learned), num_merges)
    while kept + len(extra := merges_for(tokens, [*first, *learned[:kept]])) > num_merges:
        if not kept:
            msg = (
                f"{len(tokens)} required tokens need {len(extra)} merges of their own, and there is room for "
                f"{num_merges}: ask for fewer or for a larger vocabulary"
            )
            raise RecipeError(msg)
        kept = max(0, num_merges - len(extra))
    while kept < len(learned):
        more = merges_for(tokens, [*first, *learned[: kept + 1]])
        if kept + 1 + len(more) > num_merges:
            break
        kept, extra = kept + 1, more
    return [*learned[:kept], *extra]


def _apply(parts: list[bytes], priority: Callable[[bytes, bytes], int | None]) -> list[bytes]:
    while True:
        found = [priority(left, right) for left, right in pairwise(parts)]
        possible = [(rank, place) for place, rank in enumerate(found) if rank is not None]
        if not possible:
            return parts
        _, place = min(possible)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
