"""SuperBPE by the counted route in plain Python: what `superwords.py` must equal. Fit for a few kilobytes."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from operators.byte_alphabet import bytes_in_id_order
from operators.encode import Merge, apply_merges
from operators.engine_spans import pieces
from operators.kernels import bpe_reference

Run = tuple[bytes, ...]
Weighted = Iterable[tuple[str, int]]
"""Documents, and how often each counts."""


def train(
    texts: Weighted,
    patterns: tuple[tuple[str, ...], tuple[str, ...]],
    num_first: int,
    num_second: int,
    max_words: int = 0,
    forbidden: Sequence[bytes] = (),
) -> list[Merge]:
    """All merges in order: the first, within pieces of the first patterns, and the second, within those of the second.

    >>> train([("a b a b a b", 1)], ((" ?[a-z]",), ("x",)), 1, 2)
    [(b' ', b'b'), (b'a', b' b'), (b' ', b'a b')]
    """
    texts = list(texts)
    counts: Counter[bytes] = Counter()
    for text, weight in texts:
        for piece in pieces(text, patterns[0]) if weight else []:
            counts[piece.encode()] += weight
    tokens = [bytes([byte]) for byte in bytes_in_id_order()]
    first = _by_string(bpe_reference.train(counts.items(), 256 + num_first), tokens)
    excluded = {token for token in tokens if not is_eligible(token, max_words, forbidden)}
    place = {token: number for number, token in enumerate(tokens)}
    runs = [([place[t] for t in run], count) for run, count in count_runs(texts, patterns[1], first, excluded).items()]
    learned = bpe_reference.learn(runs, tokens, len(tokens) + num_second, max_words=max_words, forbidden=forbidden)
    return [*first, *_by_string(learned, tokens)]


def is_eligible(token: bytes, max_words: int, forbidden: Sequence[bytes]) -> bool:
    """Whether the rules allow a longer token that holds this one."""
    num_words = len([part for part in token.split(b" ") if part])
    return (not max_words or num_words <= max_words) and not any(part in token for part in forbidden)


def count_runs(
    texts: Weighted, patterns: tuple[str, ...], merges: Sequence[Merge], excluded: Collection[bytes] = ()
) -> Counter[Run]:
    """How often each run of two and more eligible tokens occurs.

    >>> count_runs([("ab,ab", 2)], ("x",), [(b"a", b"b")], {b","})
    Counter()
    >>> count_runs([("ab,ab", 2)], ("x",), [(b"a", b"b")])
    Counter({(b'ab', b',', b'ab'): 2})
    """
    priorities = {merge: place for place, merge in enumerate(merges)}
    counts: Counter[Run] = Counter()
    for text, weight in texts:
        for chunk in pieces(text, patterns) if weight else []:
            for is_out, run in groupby(apply_merges(chunk.encode(), priorities), lambda token: token in excluded):
                found = tuple(run)
                if not is_out and len(found) > 1:
                    counts[found] += weight
    return counts


def _by_string(pairs: Iterable[tuple[int, int]], tokens: list[bytes]) -> list[Merge]:
    """Merges as pairs of strings; `tokens` grows by what they make."""
    merges = []
    for left, right in pairs:
        merges.append((tokens[left], tokens[right]))
        if tokens[left] + tokens[right] not in tokens:
            tokens.append(tokens[left] + tokens[right])
    return merges
