"""Parity-aware BPE in plain Python, counted anew for every merge: what `parity_bpe.py` must equal, where it is told."""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import pairwise

from operators.byte_alphabet import byte_ids
from operators.kernels.parity_bpe import GLOBAL, Policy

Pair = tuple[int, int]
Rows = Sequence[tuple[bytes, int, int]]
"""(word, count, language)."""


def train(
    training: Rows,
    num_tokens: int,
    policy: Policy,
    development: Rows | None = None,
    min_frequency: int = 0,
    max_token_length: int = 2**31 - 1,
) -> list[tuple[Pair, int, int]]:
    """Every merge with its count in the training text and the language that chose it; arguments as in the kernel.

    >>> train([(b"ab", 9, 0), (b"cd", 5, 1)], 300, Policy(num_languages=2, ratios=(1.0, 2.0)))
    [((66, 67), 5, 1), ((64, 65), 9, 0)]
    """
    text, measured = _pieces(training), _pieces(development or [])
    lengths = _lengths(text, policy.num_languages)
    strings: list[tuple[int, ...]] = [(token,) for token in range(256)]
    recent: deque[int] = deque(maxlen=policy.window_size)
    left = set(range(policy.num_languages))
    merges: list[tuple[Pair, int, int]] = []
    while left and len(strings) < num_tokens:
        if len(merges) < policy.global_merges:
            language = GLOBAL
        else:
            now = _lengths(text if development is None else measured, policy.num_languages)
            ratios = (policy.ratios or (1.0,) * policy.num_languages) if development is None else ()
            language = _choose(now, lengths, ratios, left, recent, policy)
            recent.append(language)
        totals = _pairs(text, language)
        legal = [
            (total, strings[a], strings[b], (a, b))
            for (a, b), total in totals.items()
            if total >= max(1, min_frequency) and len(strings[a]) + len(strings[b]) <= max_token_length
        ]
        if not legal:
            left = set() if language == GLOBAL else left - {language}
            continue
        pair = max(legal)[3]
        merges.append((pair, _pairs(text, GLOBAL)[pair], language))
        strings.append(strings[pair[0]] + strings[pair[1]])
        for piece, _, _ in text + measured:
            merge(piece, pair, len(strings) - 1)
    return merges


def _choose(
    now: list[int], before: list[int], ratios: tuple[float, ...], left: set[int], recent: deque[int], policy: Policy
) -> int:
    """The worst off of those that are left, of equal ones the first; within the window if there is one."""

    def worth(language: int) -> tuple[float, int]:
        if not ratios:
            return -now[language], language
        rate = before[language] / now[language] if now[language] else float("inf")
        return rate / ratios[language], language

    order = sorted(left, key=worth)
    allowed = [
        language
        for language in order
        if not policy.window_size or recent.count(language) / policy.window_size <= policy.alpha / policy.num_languages
    ]
    return (allowed or order)[0]


def _pieces(rows: Rows) -> list[tuple[list[int], int, int]]:
    byte_id = byte_ids().tolist()
    return [([byte_id[byte] for byte in word], count, language) for word, count, language in rows]


def _lengths(pieces: list[tuple[list[int], int, int]], num_languages: int) -> list[int]:
    lengths = [0] * num_languages
    for piece, count, language in pieces:
        lengths[language] += len(piece) * count
    return lengths


def _pairs(pieces: list[tuple[list[int], int, int]], language: int) -> Counter[Pair]:
    totals: Counter[Pair] = Counter()
    for piece, count, owner in pieces:
        if language in (GLOBAL, owner):
            for pair in pairwise(piece):
                totals[pair] += count
    return totals


def merge(piece: list[int], pair: Pair, new: int) -> None:
    """Merge a pair in one piece, from left to right."""
    place = 0
    while place + 1 < len(piece):
        if (piece[place], piece[place + 1]) == pair:
            piece[place : place + 2] = [new]
        place += 1
