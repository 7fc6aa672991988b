"""Bits per byte of held-out text, the one loss that compares vocabularies; and what new rows do to logits.

    bits per byte = sum over tokens of -ln p(token | what stands before it in its segment) / (bytes * ln 2)

The loss of a token says little across vocabularies: tokens are longer or shorter. Segments are resampled with
replacement for intervals, the same ones for both sides of a difference (paired bootstrap), as segments differ far more
than methods do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError
from operators.transplant.language_model import LanguageModel, as_tensor, one_thread

if TYPE_CHECKING:
    import torch

Table = NDArray[np.float32]
Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

RESAMPLES: Final = 2000
_POSITIONS: Final = 512
"""Positions whose logits are held at a time: 100 MB for a vocabulary of 50,000."""


@dataclass(frozen=True)
class Tables:
    """What reads tokens and what predicts them; None where one does both (tied)."""

    reads: Table
    output: Table | None = None

    @property
    def predicts(self) -> Table:
        """The table that predicts tokens."""
        return self.reads if self.output is None else self.output


@dataclass(frozen=True)
class Reading:
    """What a model made of segments; arrays have a value for each segment."""

    nats: NDArray[np.float64]
    num_bytes: NDArray[np.int64]
    tokens: int
    new_tokens: int
    """Tokens whose rows were made, as targets."""
    new_nats: float
    won_by_new: int
    """Positions at which the largest logit of a new row exceeds that of every shared row."""
    mean_state: Table
    """(dimension,)"""

    @property
    def bits_per_byte(self) -> float:
        """Over all segments."""
        return float(self.nats.sum() / self.num_bytes.sum() / math.log(2))

    @property
    def dominance(self) -> float:
        """The share of positions that a new row wins."""
        return self.won_by_new / max(self.tokens, 1)

    def about(self, seed: int) -> dict[str, Any]:
        """For people: bits per byte with a 95 % interval, and what new and shared tokens cost."""
        shared_tokens = self.tokens - self.new_tokens
        about = {
            "bits_per_byte": round(self.bits_per_byte, 5),
            "interval": interval(self.nats, self.num_bytes, seed),
            "tokens": self.tokens,
            "bytes_per_token": round(float(self.num_bytes.sum()) / max(self.tokens, 1), 4),
            "nats_per_shared_token": round((float(self.nats.sum()) - self.new_nats) / max(shared_tokens, 1), 4),
        }
        if self.new_tokens:
            about["new_tokens"] = round(self.new_tokens / self.tokens, 5)
            about["nats_per_new_token"] = round(self.new_nats / self.new_tokens, 4)
            about["won_by_new"] = round(self.dominance, 5)
        return about


def read(
    model: LanguageModel, tables: Tables, texts: Sequence[Ids], num_bytes: Sequence[int], is_new: Flags | None = None
) -> Reading:
    """Run segments through a model with these tables.

    Args:
        model: the body.
        tables: float32, a row for each id.
        texts: token ids of each segment.
        num_bytes: of each segment.
        is_new: which rows were made and not copied; None: none.
    """
    import torch

    reads, predicts = (as_tensor(table) for table in (tables.reads, tables.predicts))
    start = as_tensor(model.start)
    new = torch.from_numpy(np.zeros(len(predicts), bool) if is_new is None else is_new)
    nats, won, new_tokens, new_nats = [], 0, 0, 0.0
    total = torch.zeros(predicts.shape[1], dtype=torch.float64)
    with one_thread(), torch.inference_mode():
        for ids in map(torch.from_numpy, texts):
            states = model.run(reads, start, ids)
            nats_of, wins = losses(model, states, predicts, ids, new)
            total += states.sum(0, dtype=torch.float64)
            nats.append(float(nats_of.sum()))
            new_nats += float(nats_of[new[ids]].sum())
            new_tokens += int(new[ids].sum())
            won += wins
    tokens = sum(map(len, texts))
    mean = (total / max(tokens, 1)).numpy().astype(np.float32)
    return Reading(np.array(nats), np.array(num_bytes, np.int64), tokens, new_tokens, new_nats, won, mean)


def refuse_dominance(reading: Reading, most: float, method: str) -> None:
    """DataError where new rows win more positions than they should: the tables would ruin the model."""
    if reading.dominance > most:
        msg = (
            f"method {method}: at {reading.dominance:.1%} of {reading.tokens} positions a made row wins over every "
            f"copied one, and {most:.1%} is allowed: such rows take what others should predict. Choose another method "
            "(one whose rows are means, as focus_subword or subword), or calibrate: true"
        )
        raise DataError(msg)


def interval(nats: NDArray[np.float64], num_bytes: NDArray[np.int64], seed: int) -> tuple[float, float]:
    """The 95 % interval of bits per byte over resamples of the segments."""
    drawn = _drawn(len(nats), seed)
    return _ends(nats[drawn].sum(1) / num_bytes[drawn].sum(1) / math.log(2))


def difference(one: Reading, other: Reading, seed: int) -> dict[str, Any]:
    """Bits per byte of one less those of the other, of the same segments, with a 95 % interval (paired bootstrap).

    Raises ValueError where the segments are not the same.
    """
    if not np.array_equal(one.num_bytes, other.num_bytes):
        raise ValueError("the two were read on other segments")
    per = (one.nats - other.nats) / math.log(2)
    drawn = _drawn(len(per), seed)
    ends = _ends(per[drawn].sum(1) / one.num_bytes[drawn].sum(1))
    return {"bits_per_byte": round(float(per.sum() / one.num_bytes.sum()), 5), "interval": ends}


def losses(
    model: LanguageModel, states: torch.Tensor, predicts: torch.Tensor, ids: torch.Tensor, new: torch.Tensor
) -> tuple[torch.Tensor, int]:
    """The loss of every token in nats, and at how many positions a new row wins."""
    import torch

    found, won = [], 0
    for begin in range(0, len(ids), _POSITIONS):
        part = slice(begin, begin + _POSITIONS)
        logits = model.scaled(states[part] @ predicts.T)
        found.append(torch.nn.functional.cross_entropy(logits, ids[part], reduction="none").double())
        won += int(new[logits.argmax(1)].sum())
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64), won


def _drawn(count: int, seed: int) -> Ids:
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975)).round(5).tolist()
    return low, high
