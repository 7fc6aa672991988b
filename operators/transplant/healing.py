"""A few steps of training for the new rows alone, off unless asked for: only rows that a batch holds are touched.

With a full softmax every row is a wrong answer at every position and gets a tiny gradient; Adam makes a full step of
it, and rows that nobody has seen walk away: after 24 such steps made tokens cost more nats than before, and the text
0.10 bits per byte more than when such rows stay (docs/transplant.md). So a row that does not stand in the batch, as a
token read or predicted, stays as it is, and its moments wait with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from operators.transplant.bits_per_byte import Flags, Ids, Tables
from operators.transplant.language_model import LanguageModel, as_tensor, one_thread

if TYPE_CHECKING:
    import torch

TOKENS: Final = 1024
"""Tokens of a batch, at least."""
_DECAY: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8


def heal(
    model: LanguageModel, tables: Tables, is_new: Flags, texts: Sequence[Ids], steps: int, rate: float
) -> tuple[Tables, list[float]]:
    """Tables whose new rows were trained, and the loss of every step in nats a token.

    Args:
        model: the body, which stays as it is.
        tables: before.
        is_new: the rows that may change.
        texts: taken in order, around and around, so many in a batch that they hold `TOKENS`.
        steps: batches.
        rate: of Adam.
    """
    import torch

    leaves = [
        torch.from_numpy(table.copy()).requires_grad_() for table in (tables.reads, tables.output) if table is not None
    ]
    movers = [_RowAdam(leaf, torch.from_numpy(is_new), rate) for leaf in leaves]
    drawn, losses = batches(texts), []
    with one_thread():
        for _ in range(steps):
            batch = next(drawn)
            losses.append(backward(model, leaves, batch))
            read, predicted = torch.cat([ids[:-1] for ids in batch]), torch.cat(batch)
            present = [torch.cat((read, predicted))] if len(leaves) == 1 else [read, predicted]
            for mover, ids in zip(movers, present, strict=True):
                mover.step(ids)
    healed = [leaf.detach().numpy() for leaf in leaves]
    return Tables(*healed), losses


def backward(model: LanguageModel, leaves: list[torch.Tensor], batch: list[torch.Tensor]) -> float:
    """Gradients of a batch's mean loss, and that loss."""
    import torch

    tokens, total = sum(map(len, batch)), 0.0
    start = as_tensor(model.start)
    for ids in batch:
        logits = model.scaled(model.run(leaves[0], start, ids) @ leaves[-1].T)
        loss = torch.nn.functional.cross_entropy(logits, ids, reduction="sum") / tokens
        loss.backward()
        total += float(loss.detach())
    return total


def batches(texts: Sequence[Ids]) -> Iterator[list[torch.Tensor]]:
    """Texts in order, around and around, in batches of at least `TOKENS`."""
    import torch

    place = 0
    while True:
        batch: list[torch.Tensor] = []
        while sum(map(len, batch)) < TOKENS:
            batch.append(torch.from_numpy(texts[place % len(texts)]))
            place += 1
        yield batch


class _RowAdam:
    """Adam whose moments and steps belong to a row, and move when it is in the batch."""

    def __init__(self, leaf: torch.Tensor, may_move: torch.Tensor, rate: float) -> None:
        import torch

        self._leaf, self._may_move, self._rate = leaf, may_move, rate
        self._first, self._second = torch.zeros_like(leaf), torch.zeros_like(leaf)
        self._steps = torch.zeros(len(leaf), 1)

    def step(self, present: torch.Tensor) -> None:
        import torch

        with torch.no_grad():
            rows = torch.unique(present)
            rows = rows[self._may_move[rows]]
            gradient = self._leaf.grad[rows]
            self._steps[rows] += 1
            self._first[rows] = _DECAY[0] * self._first[rows] + (1 - _DECAY[0]) * gradient
            self._second[rows] = _DECAY[1] * self._second[rows] + (1 - _DECAY[1]) * gradient**2
            first = self._first[rows] / (1 - _DECAY[0] ** self._steps[rows])
            second = self._second[rows] / (1 - _DECAY[1] ** self._steps[rows])
            self._leaf[rows] -= self._rate * first / (second.sqrt() + _EPSILON)
            self._leaf.grad = None
