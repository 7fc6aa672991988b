"""Vectors of tokens, in plain NumPy: the slow reference of `token_vectors.py`, which must give the same numbers."""

import math

import numpy as np

from operators.kernels.token_vectors import Floats, Parts, Settings, Text, alias_table, kept_shares

_MASK = (1 << 64) - 1


class Random:
    """SplitMix64."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def bits(self) -> int:
        """64 random bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        return mixed ^ (mixed >> 31)

    def share(self) -> float:
        """An even number in [0, 1)."""
        return float(self.bits() >> 11) * 2.0**-53

    def below(self, bound: int) -> int:
        """An even whole number below `bound`."""
        return (self.bits() >> 32) * bound >> 32


def fit(text: Text, parts: Parts, counts: "np.ndarray[tuple[int], np.dtype[np.int64]]", settings: Settings) -> Floats:
    """The rows after training."""
    random, total = Random(settings.seed), max(settings.epochs * text.words.size, 1)
    inputs = np.array(
        [[(2 * random.share() - 1) / settings.dim for _ in range(settings.dim)] for _ in range(parts.rows.max() + 1)],
        np.float32,
    )
    outputs = np.zeros((counts.size, settings.dim), np.float32)
    shares, (own, other) = kept_shares(counts, settings.sample), alias_table(np.sqrt(counts))
    for epoch in range(settings.epochs):
        for first, last in zip(text.starts[:-1].tolist(), text.starts[1:].tolist(), strict=True):
            line = [word for word in text.words[first:last].tolist() if random.share() < shares[word]]
            for place, word in enumerate(line):
                read = epoch * text.words.size + first + place * (last - first) // len(line)
                step = np.float32(settings.learning_rate * (1 - read / total))
                reach = 1 + random.below(settings.window)
                near = line[max(0, place - reach) : place] + line[place + 1 : place + reach + 1]
                rows = [row for one in near for row in parts.rows[parts.starts[one] : parts.starts[one + 1]].tolist()]
                if not rows:
                    continue
                hidden = np.asarray(inputs[rows].mean(axis=0, dtype=np.float32), np.float32)
                gradient = np.zeros(settings.dim, np.float32)
                _learn(outputs[word], hidden, gradient, 1, step)
                for _ in range(settings.negatives):
                    drawn = random.below(counts.size)
                    drawn = drawn if random.share() < own[drawn] else int(other[drawn])
                    if drawn != word:
                        _learn(outputs[drawn], hidden, gradient, 0, step)
                for row in rows:
                    inputs[row] += gradient
    return inputs


def _learn(row: Floats, hidden: Floats, gradient: Floats, wanted: int, step: np.float32) -> None:
    """Move a row towards or away from what stands around, and note what the rows around would have."""
    product = min(max(float(row @ hidden), -8.0), 8.0)
    score = 1 / (1 + math.exp(8 - int((product + 8) * 32) / 32))
    amount = step * np.float32(wanted - score)
    gradient += amount * row
    row += amount * hidden
