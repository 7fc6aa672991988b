"""What an n-gram model is, in plain Python: dictionaries of counts, and one recursive formula for every probability.

Interpolated modified Kneser-Ney (Chen and Goodman, 1999, "An empirical study of smoothing techniques for language
modeling", equations 16 to 26), with the counts, discounts and pruning of kenlm's `lmplz` (Heafield et al., 2013). It
parts from it in one place: below the unigrams lies `base`, a distribution over every symbol that there could be, where
`lmplz` has the uniform one over the words that it has seen.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from typing import Final

Gram = tuple[Hashable, ...]

BEGIN: Final = "<s>"
END: Final = "</s>"
FALLBACK: Final = (Fraction(1, 2), Fraction(1), Fraction(3, 2))


class SlowModel:
    """A model of sequences of symbols, each of which ends with `END`.

    Args:
        documents: what it is trained on; none of their symbols is `BEGIN` or `END`.
        order: the longest n-grams that are counted.
        base: the probability of a symbol, or of `END`, before anything was seen.
        min_count: n-grams of three symbols or more that occur less often are forgotten; their share of a history's
            probability goes to shorter histories.
    """

    def __init__(
        self, documents: Iterable[Sequence[Hashable]], order: int, base: Callable[[Hashable], float], min_count: int = 1
    ) -> None:
        self.order, self.base = order, base
        raw: Counter[Gram] = Counter()
        for document in documents:
            padded = (BEGIN, *document, END)
            for end in range(2, len(padded) + 1):
                raw.update(padded[end - length : end] for length in range(1, min(order, end) + 1))
        self.counts = _adjusted(raw, order)
        self.discounts = [_discounts(self.counts, length) for length in range(1, order + 1)]
        self.kept = {gram for gram in raw if len(gram) <= 2 or raw[gram] >= min_count}
        self.followers: dict[Gram, list[Gram]] = defaultdict(list)
        for gram in sorted(self.counts, key=repr):
            self.followers[gram[:-1]].append(gram)

    def probability(self, symbol: Hashable, history: Gram) -> float:
        """Of a symbol, or `END`, after all of a document's symbols so far, `BEGIN` first."""
        return self._probability((*history[max(0, len(history) - self.order + 1) :], symbol))

    def bits(self, document: Sequence[Hashable]) -> list[float]:
        """What each symbol of a document costs, and its end."""
        padded = (BEGIN, *document, END)
        return [-math.log2(self.probability(padded[end], padded[:end])) for end in range(1, len(padded))]

    def _probability(self, gram: Gram) -> float:
        shorter = self._probability(gram[1:]) if gram[:-1] else self.base(gram[-1])
        followers = self.followers.get(gram[:-1])
        if not followers:
            return shorter
        total = sum(self.counts[follower] for follower in followers)
        own = self.counts[gram] - self._discount(gram) if gram in self.kept else 0
        left = total - sum(self.counts[f] - self._discount(f) for f in followers if f in self.kept)
        return float(Fraction(own, total)) + float(Fraction(left, total)) * shorter

    def _discount(self, gram: Gram) -> Fraction:
        return self.discounts[len(gram) - 1][min(self.counts[gram], 3) - 1]


def _adjusted(raw: Counter[Gram], order: int) -> dict[Gram, int]:
    """The count of the longest n-grams and of those that begin a document, else how many symbols stand before one."""
    before = Counter(gram[1:] for gram in raw if len(gram) > 1)
    return {
        gram: raw[gram] if len(gram) == order or gram[0] == BEGIN else before[gram] for gram in raw if gram != (BEGIN,)
    }


def _discounts(counts: dict[Gram, int], length: int) -> tuple[Fraction, ...]:
    """What is taken from counts of 1, of 2, and of 3 or more.

    >>> [float(taken) for taken in discounts_of(4, 2, 1, 1)]
    [0.5, 1.25, 1.0]
    >>> discounts_of(4, 0, 1, 1) == FALLBACK
    True
    """
    of = Counter(count for gram, count in counts.items() if len(gram) == length)
    return discounts_of(of[1], of[2], of[3], of[4])


def discounts_of(*having: int) -> tuple[Fraction, ...]:
    """The same from how many n-grams have the counts 1 to 4.

    Where that cannot be computed, or takes nothing or more than there is, it is `FALLBACK` (of `lmplz`, which allows
    a discount of 0; then an unseen word could have no probability).
    """
    if not all(having[:3]):
        return FALLBACK
    share = Fraction(having[0], having[0] + 2 * having[1])
    found = tuple(k - (k + 1) * share * having[k] / having[k - 1] for k in (1, 2, 3))
    return found if all(0 < taken <= k for k, taken in enumerate(found, 1)) else FALLBACK
