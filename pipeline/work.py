"""Tasks whose results lie on storage: find what is there, run the rest, keep a record."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from operators.base import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.executors.base import Executor
    from pipeline.plan import Node
    from pipeline.progress import Progress
    from pipeline.vault import Vault

Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result")

PLAIN: Final = Resources()
"""What a task needs that calls no operator: a CPU."""


class StoredTask(Protocol[Item]):
    """A task that commits its result under a name made of what the result depends on."""

    def name_of(self, item: Item, /) -> str:
        """Where the result's descriptor lies: nothing else may decide the result. "" if unknown beforehand."""

    def __call__(self, item: Item, /) -> dict[str, Any]:
        """Compute, commit and return the descriptor."""


@dataclass
class StageRecord:
    """What happened to one set of tasks: how many there were, how many were not found done, and what they cost."""

    label: str
    tasks: int
    computed: int
    seconds: float


@dataclass
class Work:
    """Where results lie, who computes them, who watches, and what was done so far."""

    store: Vault
    executor: Executor
    progress: Progress
    records: list[StageRecord] = field(default_factory=list)

    def find_or_run(
        self,
        task: StoredTask[Item],
        items: Sequence[Item],
        label: str,
        *,
        size_of: Callable[[Item], int] | None = None,
        wants: Resources = PLAIN,
        as_found: Callable[[dict[str, Any]], None] | None = None,
    ) -> list[dict[str, Any]]:
        """Descriptors in the order of the items: those that storage has, and the rest from the executor.

        `as_found` may correct a descriptor that was there already, for what holds only where it was computed.
        """
        begin = time.monotonic()
        results: list[dict[str, Any] | None] = [self._find(task.name_of(item)) for item in items]
        todo = [index for index, result in enumerate(results) if result is None]
        for result in results:
            if as_found is not None and result is not None:
                as_found(result)
        with self.progress.stage(label, len(items), reused=len(items) - len(todo)) as stage:
            for place, result in self.executor.map(task, [items[i] for i in todo], wants, label):
                results[todo[place]] = result
                stage.advance(size_of(items[todo[place]]) if size_of else 0)
        self.records.append(StageRecord(label, len(items), len(todo), time.monotonic() - begin))
        return [result for result in results if result is not None]

    def run_all(self, task: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
        """Results, in order, of a task that remembers by itself what it did, or need not."""
        results: dict[int, Result] = {}
        with self.progress.stage(label, len(items)) as stage:
            for index, result in self.executor.map(task, items, PLAIN, label):
                results[index] = result
                stage.advance()
        return [results[index] for index in range(len(items))]

    def _find(self, name: str) -> dict[str, Any] | None:
        return self.store.find(name) if name else None


def most(nodes: tuple[Node, ...]) -> Resources:
    """The most that any of the operators in a task asks for."""
    wanted = [node.operator.wants() for node in nodes] or [Resources()]
    return Resources(
        max(r.cpus for r in wanted),
        max(r.gpus for r in wanted),
        max(r.memory_mb for r in wanted),
        any(r.resident for r in wanted),
    )
