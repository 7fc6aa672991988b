import random
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import ROW, ROWS, SHARD, BatchFn, Columns, Composite, Context, Fold, Outputs, Repeat
from operators.components import components, exchanged, links_table, nodes_of, slow_components
from operators.hashing import mix64
from tests.operators.harness import Engine, run

EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40)


def fast(edges: list[tuple[int, int]]) -> dict[int, int]:
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    nodes, labels = components(pairs[:, 0], pairs[:, 1])
    return dict(zip(nodes.tolist(), labels.tolist(), strict=True))


@given(EDGES)
def test_the_kernel_equals_the_slow_reference(edges: list[tuple[int, int]]) -> None:
    assert fast(edges) == slow_components(edges)


@given(EDGES, st.randoms(use_true_random=False))
def test_neither_order_nor_direction_nor_repetition_of_links_matters(
    edges: list[tuple[int, int]], rng: random.Random
) -> None:
    turned = [edge if rng.random() < 0.5 else edge[::-1] for edge in edges * 2]
    rng.shuffle(turned)
    assert fast(turned) == fast(edges)


@given(EDGES, st.integers(0, 40))
def test_components_of_stars_are_components_of_all_links(edges: list[tuple[int, int]], cut: int) -> None:
    stars = [*fast(edges[:cut]).items(), *fast(edges[cut:]).items()]
    assert fast(stars) == fast(edges)


def test_a_long_chain_is_one_component_from_either_end() -> None:
    size = 100_000
    chain = np.arange(size)
    for left, right in ((chain[:-1], chain[1:]), (chain[:0:-1], chain[-2::-1])):
        assert not components(left, right)[1].any()


def test_random_graphs_equal_the_slow_reference() -> None:
    rng = random.Random(3)
    for nodes in (50, 500):
        edges = [(rng.randrange(nodes) << 32, rng.randrange(nodes)) for _ in range(nodes)]
        assert fast(edges) == slow_components(edges)


def test_the_kernel_equals_scipy_on_a_large_sparse_graph() -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rng = np.random.default_rng(4)
    size = 200_000
    left, right = rng.integers(0, size, (2, size // 2))
    nodes, labels = components(left, right)
    graph = coo_array((np.ones(left.size, np.int8), (left, right)), shape=(size, size))
    theirs = connected_components(graph, directed=False)[1][nodes]
    smallest = np.full(theirs.max() + 1, size)
    np.minimum.at(smallest, theirs, nodes)
    assert np.array_equal(smallest[theirs], labels)


class Graph(Fold):
    """Links that lie in the rows: what a step's first stage would leave."""

    key: ClassVar[str] = "a"
    partitioned: ClassVar[bool] = True

    def needs(self) -> Columns:
        return {"other_shard": pa.int32(), "other_row": pa.int32()}

    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select([ROW, "other_shard", "other_row"]).append_column(
            "a", pa.array(np.arange(rows.num_rows, dtype=np.uint64))
        )

    def finish(self, state: pa.Table, context: Context) -> Outputs:
        other = state.select(["other_shard", "other_row"]).rename_columns([SHARD, ROW])
        return {"_links": links_table(nodes_of(state), nodes_of(other))}


class Labelled(Composite):
    def stages(self) -> tuple[Fold | Repeat, ...]:
        return Graph(name="links"), exchanged("links")


@given(st.lists(st.integers(0, 59), min_size=60, max_size=60), st.integers(1, 8), st.integers(0, 50))
def test_labels_exchanged_over_storage_are_those_of_one_memory(
    others: list[int], partitions: int, shuffle: int
) -> None:
    shards = [
        pa.table(
            {
                "id": pa.array([f"{shard}-{row}" for row in range(20)]),
                "other_shard": pa.array([other // 20 for other in others[shard * 20 :][:20]], pa.int32()),
                "other_row": pa.array([other % 20 for other in others[shard * 20 :][:20]], pa.int32()),
            }
        )
        for shard in range(3)
    ]
    engine = run(Labelled(name="graph"), shards, partitions=partitions, shuffle=shuffle)
    number = [(place // 20 << 32) | place % 20 for place in range(60)]
    links = [(number[place], number[other]) for place, other in enumerate(others) if place != other]
    expected = {node: int(mix64(np.array([label], np.uint64))[0]) for node, label in slow_components(links).items()}
    rows = engine.artifacts["links"].table(ROWS)
    assert dict(zip(nodes_of(rows).tolist(), rows["component"].to_pylist(), strict=True)) == expected


@pytest.mark.slow
def test_a_path_takes_rounds_that_grow_with_its_logarithm() -> None:
    size = 2000
    path = pa.table(
        {
            "id": pa.array([str(row) for row in range(size)]),
            "other_shard": pa.array([0] * size, pa.int32()),
            "other_row": pa.array([min(row + 1, size - 1) for row in range(size)], pa.int32()),
        }
    )
    repeat = exchanged("links")
    short = Repeat(repeat.stages, repeat.until, max_rounds=12)
    engine = Engine([path.append_column(ROW, pa.array(range(size), pa.int32()))], partitions=64)
    engine.stage(Graph(name="links"))
    engine.stage(short)
    assert len(set(engine.artifacts["links"].table(ROWS)["component"].to_pylist())) == 1
