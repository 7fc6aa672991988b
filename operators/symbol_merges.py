"""Byte-pair merges over any symbols, in plain Python: the rule of `kernels/bpe.py` for more symbols than 256 bytes.

The rule: take the adjacent pair with the largest total count, at equal counts the one with the smaller left id, then
the smaller right id; merge it in every word from left to right; repeat. Counting is by places, in exact integers. The
result does not depend on the order of the words. Prices are in `docs/other-models.md`.
"""

from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

Pair = tuple[int, int]


def learn_merges(
    words: Sequence[list[int]],
    counts: Sequence[int],
    num_symbols: int,
    num_merges: int,
    min_frequency: int,
    max_length: int,
) -> list[Pair]:
    """Pairs of ids in the order of merging; merge number n makes id num_symbols + n.

    Args:
        words: symbols of each word, from 0 to num_symbols - 1; the lists are merged in place.
        counts: how often each word occurs, at least 1.
        num_symbols: how many symbols there are before the first merge.
        num_merges: at most so many.
        min_frequency: a pair that occurs less often is not merged; learning stops there.
        max_length: of what a merge makes, in symbols, at least 2.

    >>> learn_merges([[0, 0, 1], [0, 1]], [1, 5], 2, 9, 0, 9)
    [(0, 1), (0, 2)]
    """
    totals, owners = _pairs(words, counts)
    queue = [(-total, pair) for pair, total in totals.items()]
    heapify(queue)
    lengths, merges = [1] * num_symbols, list[Pair]()
    while queue and len(merges) < num_merges:
        negative, pair = heappop(queue)
        if -negative != totals[pair]:
            # A pair only loses places after the step that made its newer symbol, so the queue never has too little.
            if totals[pair] > 0:
                heappush(queue, (-totals[pair], pair))
            continue
        if -negative < min_frequency:
            break
        new = num_symbols + len(merges)
        merges.append(pair)
        lengths.append(lengths[pair[0]] + lengths[pair[1]])
        made: dict[Pair, list[int]] = {}
        for index in owners.pop(pair):
            for near in _merge_and_count(words[index], counts[index], pair, new, totals):
                if lengths[near[0]] + lengths[near[1]] <= max_length:
                    made.setdefault(near, []).append(index)
        del totals[pair]
        for near, places in made.items():
            owners[near] = list(dict.fromkeys(places))
            totals[near] = sum(counts[index] for index in places)
            heappush(queue, (-totals[near], near))
    return merges


def _pairs(words: Sequence[list[int]], counts: Sequence[int]) -> tuple[dict[Pair, int], dict[Pair, list[int]]]:
    """How often each pair stands in the text, and the words that hold it."""
    totals: Counter[Pair] = Counter()
    owners: dict[Pair, dict[int, None]] = {}
    for index, word in enumerate(words):
        for pair in pairwise(word):
            totals[pair] += counts[index]
            owners.setdefault(pair, {})[index] = None
    return totals, {pair: list(indices) for pair, indices in owners.items()}


def _merge_and_count(word: list[int], count: int, pair: Pair, new: int, totals: dict[Pair, int]) -> list[Pair]:
    """Merge a pair in one word, correct the totals of the pairs that were there, and list the new ones by place."""
    for near in pairwise(word):
        if near in totals:
            totals[near] -= count
    _merge(word, pair, new)
    made = []
    for near in pairwise(word):
        if new in near:
            made.append(near)
        elif near in totals:
            totals[near] += count
    return made


def _merge(word: list[int], pair: Pair, new: int) -> None:
    place = 0
    while place + 1 < len(word):
        if (word[place], word[place + 1]) == pair:
            word[place : place + 2] = [new]
        place += 1
