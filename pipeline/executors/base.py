"""What runs tasks: one method. Tasks read from and write to storage and return small descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from operators.base import Resources

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs one picklable function over items, anywhere, in any order."""

    workers: int

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resources: Resources, label: str
    ) -> Iterator[tuple[int, Result]]:
        """Yield (index of the item, result) as tasks finish. The first failure ends the iteration with its error.

        Every task is safe to run twice; `label` is what a person reads on a dashboard.
        """

    def refuse(self, resources: Resources) -> None:
        """RecipeError, before anything runs, where it is sure that no task will ever have these."""

    def close(self) -> None:
        """Stop all workers, also in the middle of a task."""
