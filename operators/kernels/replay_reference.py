"""What `replay.py` computes, the slow way: every pair counted again before every merge."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

Pair = tuple[int, int]
Merge = tuple[int, int, int]


def pair_counts(
    words: Sequence[tuple[Sequence[int], Mapping[int, int]]], merges: Sequence[Merge]
) -> list[dict[Pair, Counter[int]]]:
    """For each time, before merge t and after the last, how often each pair stands in each category.

    Args:
        words: sequences of tokens, and by category how often each stands in the text.
        merges: left token, right token, and the token that they make.

    >>> [dict(counts) for counts in pair_counts([([1, 1, 2], {0: 3})], [(1, 2, 3)])]
    [{(1, 1): Counter({0: 3}), (1, 2): Counter({0: 3})}, {(1, 3): Counter({0: 3})}]
    """
    sequences = [list(symbols) for symbols, _ in words]
    found = [_counted(sequences, words)]
    for merge in merges:
        sequences = [_merged(sequence, merge) for sequence in sequences]
        found.append(_counted(sequences, words))
    return found


def _counted(
    sequences: Sequence[Sequence[int]], words: Sequence[tuple[Sequence[int], Mapping[int, int]]]
) -> dict[Pair, Counter[int]]:
    counts: dict[Pair, Counter[int]] = {}
    for sequence, (_, by_category) in zip(sequences, words, strict=True):
        for pair in pairwise(sequence if by_category else ()):
            counts.setdefault(pair, Counter()).update(by_category)
    return counts


def _merged(sequence: Sequence[int], merge: Merge) -> list[int]:
    left, right, made = merge
    merged: list[int] = []
    place = 0
    while place < len(sequence):
        if tuple(sequence[place : place + 2]) == (left, right):
            merged.append(made)
            place += 2
        else:
            merged.append(sequence[place])
            place += 1
    return merged
