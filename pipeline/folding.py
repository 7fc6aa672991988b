"""Drives a fold from partial states to its outputs: exchange or merge tree, finish, rows back to their shards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline.artifacts import StoredOutputs
from pipeline.exchange import State, num_partitions, partition_range
from pipeline.reduce import GatherItem, GatherTask, MergeItem, MergeTask, join_parts
from pipeline.work import most

if TYPE_CHECKING:
    from operators.base import Fold, Resources
    from pipeline.plan import Node
    from pipeline.work import Work

FAN_IN: Final = 16
"""States merged by one task of a merge tree."""
GATHER_SHARDS: Final = 64
"""Shards whose rows one task collects."""


def reduce_fold(
    work: Work, node: Node, fold: Fold, states: list[State], shards: list[int], used: dict[str, StoredOutputs]
) -> StoredOutputs:
    """Merge a fold's states and finish them. `shards` numbers the shard that each state came from."""
    if fold.per_shard:
        each = [MergeItem((state,), (shard,), part=shard) for state, shard in zip(states, shards, strict=True)]
        return replace(join_parts(_finish(work, node, each, used), partitioned=True), rows=states)
    if fold.key:
        count = num_partitions(states)
        items = [MergeItem(tuple(states), tuple(shards), *partition_range(part, count), part) for part in range(count)]
        if fold.partitioned:
            return join_parts(_finish(work, node, items, used), partitioned=True)
        if count > 1:
            states, shards = _merge(work, node, items, used), [0] * count
    else:
        while len(states) > FAN_IN:
            starts = range(0, len(states), FAN_IN)
            items = [MergeItem(tuple(states[s : s + FAN_IN]), tuple(shards[s : s + FAN_IN])) for s in starts]
            states, shards = _merge(work, node, items, used), [0] * len(items)
    return join_parts(_finish(work, node, [MergeItem(tuple(states), tuple(shards))], used), partitioned=False)


def gather_rows(work: Work, node: Node, states: list[State], num_shards: int) -> dict[int, State]:
    """A slice of the fold's rows for every shard that has any."""
    task = GatherTask(work.store.root, tuple(states))
    starts = range(0, num_shards, GATHER_SHARDS)
    items = [GatherItem(first, min(first + GATHER_SHARDS, num_shards)) for first in starts]
    results = work.find_or_run(task, items, f"{node.name}: back to rows")
    return {int(number): State(**state) for result in results for number, state in result.items()}


def _merge(work: Work, node: Node, items: list[MergeItem], used: dict[str, StoredOutputs]) -> list[State]:
    task = MergeTask(work.store.root, node, used, finish=False)
    found = work.find_or_run(task, items, f"{node.name}: merge", size_of=_size, wants=_to_merge(node))
    return [State(**state) for state in found]


def _finish(work: Work, node: Node, items: list[MergeItem], used: dict[str, StoredOutputs]) -> list[StoredOutputs]:
    task = MergeTask(work.store.root, node, used, finish=True)
    found = work.find_or_run(task, items, f"{node.name}: finish", size_of=_size, wants=_to_merge(node))
    return [StoredOutputs.from_json(outputs) for outputs in found]


def _to_merge(node: Node) -> Resources:
    """What merging and finishing needs: no model is bound there, so neither a device nor a worker that keeps it."""
    return replace(most((node,)), gpus=0, resident=False)


def _size(item: MergeItem) -> int:
    return sum(state.bytes for state in item.states)
