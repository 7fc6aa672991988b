import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.components import components, slow_components

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
