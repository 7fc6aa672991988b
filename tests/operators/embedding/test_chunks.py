import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.embedding.chunks import batches, longest_first, padding_efficiency, spread, windows

SIZES = st.lists(st.integers(0, 60), max_size=12)


@given(SIZES, st.integers(1, 9), st.integers(1, 5))
def test_chunks_are_spread_over_a_document_and_no_token_is_in_two(sizes: list[int], room: int, most: int) -> None:
    chunks = spread(np.array(sizes, np.int64), room, most)
    for document, size in enumerate(sizes):
        mine = chunks.document == document
        starts, lengths = chunks.start[mine], chunks.length[mine]
        covered = [place for s, n in zip(starts.tolist(), lengths.tolist(), strict=True) for place in range(s, s + n)]
        assert len(set(covered)) == len(covered) == min(size, room * most)
        assert starts.size == min(most, -(-size // room))
        if size:
            assert covered[0] == 0
        if size > most * room:
            assert (lengths == room).all()
            assert most == 1 or covered[-1] == size - 1
            assert most < 3 or np.ptp(np.diff(starts)) <= 1


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_a_batch_is_closed_before_its_padded_tokens_exceed_the_budget(lengths: list[int], budget: int) -> None:
    falling = np.array(sorted(lengths, reverse=True), np.int64)
    expected, rest = list[list[int]](), falling.tolist()
    while rest:
        batch = [rest.pop(0)]
        while rest and batch[0] * (len(batch) + 1) <= budget:
            batch.append(rest.pop(0))
        expected.append(batch)
    assert [falling[batch].tolist() for batch in batches(falling, budget)] == expected
    padded = sum(batch[0] * len(batch) for batch in expected)
    assert padding_efficiency(falling, budget) == (sum(lengths) / padded if padded else 1.0)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_packed_batches_count_tokens_alone(lengths: list[int], budget: int) -> None:
    falling = np.array(sorted(lengths, reverse=True), np.int64)
    found = list(batches(falling, budget, packed=True))
    assert np.concatenate([falling[batch] for batch in found]).tolist() == falling.tolist() if found else not lengths
    sums = [falling[batch].sum() for batch in found]
    assert all(total <= budget or batch.stop - batch.start == 1 for total, batch in zip(sums, found, strict=True))
    nexts = [falling[batch.start] for batch in found[1:]]
    assert all(total + following > budget for total, following in zip(sums, nexts, strict=False))


def test_real_lengths_are_padded_by_less_than_a_hundredth() -> None:
    rng = np.random.default_rng(3)
    for cap in (256, 512):  # lengths of texts are about log-normal
        lengths = np.minimum(rng.lognormal(6.2, 1.3, 2000).astype(np.int64) + 2, cap)
        order = longest_first(lengths, np.arange(lengths.size))
        assert padding_efficiency(lengths[order], 2048) >= 0.99
        assert padding_efficiency(lengths, 2048) < 0.9


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=20))
def test_the_order_is_by_length_then_by_the_tie(pairs: list[tuple[int, int]]) -> None:
    order = longest_first(*(np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1)))
    assert order.tolist() == sorted(range(len(pairs)), key=lambda place: (-pairs[place][0], pairs[place][1], place))


@given(st.integers(0, 500), st.integers(1, 60))
def test_windows_are_about_equal(rows: int, most: int) -> None:
    sizes = [window.stop - window.start for window in windows(rows, most)]
    assert sum(sizes) == rows
    assert not sizes or (max(sizes) <= most and max(sizes) - min(sizes) <= 1)
