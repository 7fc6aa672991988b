import math

import numpy as np
import pytest

from operators.embedding.pooling import POOLINGS, mean_of_chunks, pooled


def slowly(hidden: list[list[float]], pooling: str) -> list[float]:
    """The oracle: one chunk, without padding."""
    count, width = len(hidden), len(hidden[0])
    weights = {
        "mean": [1.0] * count,
        "cls": [1.0] + [0.0] * (count - 1),
        "last": [0.0] * (count - 1) + [1.0],
        "weighted": [float(place) for place in range(1, count + 1)],
    }[pooling]
    found = [sum(w * row[d] for w, row in zip(weights, hidden, strict=True)) for d in range(width)]
    length = math.sqrt(sum(value * value for value in found))
    return [value / length for value in found]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_looks_at_no_padding(pooling: str) -> None:
    rng = np.random.default_rng(5)
    lengths = np.array([7, 5, 1])
    hidden = rng.normal(size=(3, 7, 6))
    expected = [slowly(hidden[row, :length].tolist(), pooling) for row, length in enumerate(lengths)]
    for row, length in enumerate(lengths):
        hidden[row, length:] = 1e30
    assert pooled(hidden, lengths, pooling) == pytest.approx(np.array(expected), abs=1e-6)


def test_a_document_is_the_mean_of_its_chunks_by_their_tokens() -> None:
    rng = np.random.default_rng(6)
    chunks = rng.normal(size=(5, 8)).astype(np.float32)
    document, weight = np.array([0, 0, 2, 2, 2]), np.array([10, 3, 10, 10, 1])
    found = mean_of_chunks(chunks, document, weight, 3)
    for number in range(3):
        mine = document == number
        mean = (chunks[mine] * weight[mine, None]).sum(axis=0)
        assert found[number] == pytest.approx(mean / max(np.linalg.norm(mean), 1e-9), abs=1e-6)
    assert not found[1].any()
