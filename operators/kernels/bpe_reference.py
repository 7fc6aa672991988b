"""Byte-level BPE merges in plain Python: what `bpe.py` must equal, merge by merge. Fit for a few kilobytes.

It keeps the whole rule of `tokenizers`, also that an equal string re-uses its id, of which `bpe.py` proves that it
never comes to that over single bytes.
"""

from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
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
    pieces = [([byte_id[byte] for byte in word], count) for word, count in words if count]
    strings = [bytes([byte]) for byte in bytes_in_id_order()]
    totals: Counter[Pair] = Counter()
    queue: list[tuple[int, Pair, list[int]]] = []
    first = [(pair, 1, index) for index, (piece, _) in enumerate(pieces) for pair in pairwise(piece)]
    _update(first, pieces, totals, queue)
    merges: list[Pair] = []
    while len(strings) < num_tokens and queue:
        negative, pair, where = heappop(queue)
        if -negative != totals[pair]:
            _queue(queue, totals, pair, where)
            continue
        if -negative < max(1, min_frequency):
            break
        merges.append(pair)
        joined = strings[pair[0]] + strings[pair[1]]
        if joined not in strings:
            strings.append(joined)
        new = strings.index(joined)
        changes = [
            (other, sign, index)
            for index in where
            for other, sign in _merge(pieces[index][0], pair, new, strings, max_token_length)
        ]
        _update(changes, pieces, totals, queue)
    return merges


def _update(
    changes: Iterable[tuple[Pair, int, int]],
    pieces: list[tuple[list[int], int]],
    totals: Counter[Pair],
    queue: list[tuple[int, Pair, list[int]]],
) -> None:
    """Apply changes (pair, sign, word) to the totals, then queue the pairs that came with the words they came in."""
    gained: dict[Pair, dict[int, None]] = {}
    for pair, sign, index in changes:
        totals[pair] += sign * pieces[index][1]
        if sign > 0:
            gained.setdefault(pair, {})[index] = None
    for pair, owners in gained.items():
        _queue(queue, totals, pair, list(owners))


def _queue(queue: list[tuple[int, Pair, list[int]]], totals: Counter[Pair], pair: Pair, where: list[int]) -> None:
    if totals[pair] > 0:
        heappush(queue, (-totals[pair], pair, where))


def _merge(
    piece: list[int], pair: Pair, new: int, strings: list[bytes], max_token_length: int
) -> list[tuple[Pair, int]]:
    """Merge a pair in one word, from left to right, and list the pairs that came (+1) and went (-1)."""
    changes: list[tuple[Pair, int]] = []
    place = 0
    while place + 1 < len(piece):
        if (piece[place], piece[place + 1]) == pair:
            piece[place : place + 2] = [new]
            neighbours = [(piece[place - 1], pair[0], piece[place - 1], new)] if place else []
            if place + 1 < len(piece):
                neighbours.append((pair[1], piece[place + 1], new, piece[place + 1]))
            for old_left, old_right, left, right in neighbours:
                changes.append(((old_left, old_right), -1))
                if len(strings[left]) + len(strings[right]) <= max_token_length:
                    changes.append(((left, right), 1))
        place += 1
    return changes
