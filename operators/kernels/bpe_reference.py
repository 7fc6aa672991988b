"""BPE merges in plain Python, counted anew for every merge: what `bpe.py` must equal. Fit for a few kilobytes.

It keeps the whole rule: an equal string gets its id again, and a listed pair that stands in the text is merged at once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from operators.byte_alphabet import byte_ids, bytes_in_id_order

Pair = tuple[int, int]


def train(
    words: Iterable[tuple[bytes, int]], num_tokens: int, min_frequency: int = 0, max_token_length: int = 2**31 - 1
) -> list[Pair]:
    """The merges as (left id, right id) in order; arguments and order as in `bpe.train`.

    >>> train([(b"aab", 1), (b"ab", 5)], 258)
    [(64, 65), (64, 256)]
    """
    byte_id = byte_ids().tolist()
    pieces = [([byte_id[byte] for byte in word], count) for word, count in words]
    tokens = [bytes([byte]) for byte in bytes_in_id_order()]
    return list(learn(pieces, tokens, num_tokens, min_frequency, max_token_length))


def learn(
    pieces: list[tuple[list[int], int]],
    tokens: Sequence[bytes],
    num_tokens: int,
    min_frequency: int = 0,
    max_token_length: int = 2**31 - 1,
    initial: Sequence[Pair] = (),
    max_words: int = 0,
    forbidden: Sequence[bytes] = (),
    max_chars: int = 0,
    never: Collection[bytes] = (),
) -> dict[Pair, int]:
    """Merge the pieces in place; all merges in order, each with its count when it was first merged."""
    strings = list(tokens)
    for left, right in initial:
        _id_of(strings[left] + strings[right], strings)
    merges = dict.fromkeys(initial, 0)
    while True:
        totals: Counter[Pair] = Counter()
        for piece, count in pieces:
            for pair in pairwise(piece):
                totals[pair] += count
        listed = [pair for pair in merges if pair in totals]
        legal = [
            (-total, pair)
            for pair, total in totals.items()
            if total >= max(1, min_frequency)
            and strings[pair[0]] + strings[pair[1]] not in never
            and _is_allowed(strings[pair[0]] + strings[pair[1]], max_token_length, max_words, forbidden, max_chars)
        ]
        if not listed and (len(strings) >= num_tokens or not legal):
            return merges
        pair = listed[0] if listed else min(legal)[1]
        merges[pair] = merges.get(pair, 0) or totals[pair]
        new = _id_of(strings[pair[0]] + strings[pair[1]], strings)
        for piece, _ in pieces:
            _merge(piece, pair, new)


def _is_allowed(
    string: bytes, max_token_length: int, max_words: int, forbidden: Sequence[bytes], max_chars: int
) -> bool:
    num_chars = len([byte for byte in string if not 0x80 <= byte < 0xC0])
    num_words = len([part for part in string.split(b" ") if part])
    is_short = len(string) <= max_token_length and (not max_words or num_words <= max_words)
    is_short = is_short and (not max_chars or num_chars <= max_chars)
    return is_short and not any(part in string for part in forbidden)


def _id_of(string: bytes, strings: list[bytes]) -> int:
    """The string's id, which is the next one where it is no token yet."""
    if string not in strings:
        strings.append(string)
    return strings.index(string)


def _merge(piece: list[int], pair: Pair, new: int) -> None:
    """Merge a pair in one piece, from left to right."""
    place = 0
    while place + 1 < len(piece):
        if (piece[place], piece[place + 1]) == pair:
            piece[place : place + 2] = [new]
        place += 1
