import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels import repeats
from operators.repeats import Piece, behind_sources, border_classes, is_border, slow_cut, slow_repeats, slow_trim

Ints = npt.NDArray[np.int64]
TEXT = st.lists(st.sampled_from(["a", "b", "ab ", "a\u0301", "\u6f22\u5b57", "\u0e01\u0e34", "aaaaaa", " (", "ba b"]))
TEXTS = st.lists(TEXT.map(lambda parts: "".join(parts).encode()), max_size=6)


def joined(texts: list[bytes]) -> tuple[npt.NDArray[np.uint8], Ints]:
    """The texts as the kernels take them."""
    return np.frombuffer(b"".join(texts), np.uint8), np.cumsum([0, *map(len, texts)]).astype(np.int64)


def fast_repeats(texts: list[bytes], size: int, gram: int) -> Ints:
    """What the operator does in several tasks, in one: all stretches, grouped by fingerprint."""
    data, offsets = joined(texts)
    prints, rows = repeats.stretches(data, offsets, size, gram)
    order = np.lexsort((rows[:, 1], rows[:, 0], prints))
    prints, rows = prints[order], rows[order]
    begins = offsets[rows[:, 0]]
    contexts, bounds = repeats.slices(data, begins + rows[:, 1], begins + rows[:, 2] + size)
    groups = np.append(np.flatnonzero(np.append(True, prints[1:] != prints[:-1])[: prints.size]), prints.size)
    found = repeats.repeats(contexts, bounds, groups, size)
    row, source = found[:, 0], np.searchsorted(bounds, found[:, 3], side="right") - 1
    first, last = rows[row, 1] + found[:, 1], rows[row, 1] + found[:, 2]
    place, period = rows[source, 1] + found[:, 3] - bounds[source], found[:, 4]
    own = rows[row, 0] == rows[source, 0]
    moved, left = behind_sources(np.stack([first, last, place, period], axis=1), size)
    left |= ~own
    runs = np.stack([rows[row, 0], np.where(own, moved, first), last, rows[source, 0], place, period], axis=1)[left]
    order = np.lexsort((runs[:, 1], runs[:, 0]))
    parts = repeats.whole(runs[:, [3, 4, 1, 2, 5]], runs[order][:, :3], size)
    runs = np.stack([runs[parts[:, 0], 0], parts[:, 1], parts[:, 2], runs[parts[:, 0], 3], *parts.T[3:]], axis=1)
    return repeats.pieces(runs[np.lexsort((runs[:, 1], runs[:, 0]))], size)


@given(TEXTS, st.integers(2, 14), st.data())
def test_repeats_are_those_of_the_reference(texts: list[bytes], size: int, data: st.DataObject) -> None:
    gram = data.draw(st.integers(1, size))
    found = fast_repeats(texts, size, gram)
    pieces = [[Piece(*row[1:]) for row in found.tolist() if row[0] == text] for text in range(len(texts))]
    assert pieces == slow_repeats(texts, size)


@given(TEXTS, st.integers(2, 14), st.integers(1, 14))
def test_spans_are_trimmed_and_cut_as_by_the_reference(texts: list[bytes], size: int, least: int) -> None:
    data, offsets = joined(texts)
    left = repeats.trim(data, offsets, fast_repeats(texts, size, size // 2), least, border_classes())
    kept, ends = repeats.cut(data, offsets, left)
    for number, (text, pieces) in enumerate(zip(texts, slow_repeats(texts, size), strict=True)):
        spans = slow_trim(text, pieces, least)
        rows = [(index, *piece) for index, span in enumerate(spans) for piece in span]
        assert [(row[5], *row[1:5]) for row in left.tolist() if row[0] == number] == rows
        cut = kept[ends[number] : ends[number + 1]].tobytes()
        assert cut == slow_cut(text, spans)
        assert cut.decode().encode() == cut


@given(TEXT.map("".join), st.integers(1, 12), st.data())
def test_every_window_is_in_one_stretch_and_equal_windows_in_stretches_of_one_fingerprint(
    text: str, size: int, data: st.DataObject
) -> None:
    content, gram = text.encode(), data.draw(st.integers(1, size))
    prints, rows = repeats.stretches(*joined([content]), size, gram)
    windows = [place for _, first, last, _ in rows.tolist() for place in range(first, last + 1)]
    assert windows == list(range(len(content) - size + 1))
    of_window: dict[bytes, int] = {}
    for value, (_, first, last, _) in zip(prints.tolist(), rows.tolist(), strict=True):
        for place in range(first, last + 1):
            assert of_window.setdefault(content[place : place + size], value) == value


def test_windows_of_one_hash_and_other_bytes_are_told_apart() -> None:
    """A polynomial modulo 2**64 cannot tell a Thue-Morse word of 2**11 letters from its complement."""
    word = [0]
    while len(word) < 2048:
        word += [1 - letter for letter in word]
    one, other = bytes(97 + letter for letter in word), bytes(98 - letter for letter in word)
    (first, second), _ = repeats.stretches(*joined([one, other]), 2048, 2048)
    assert first == second
    assert fast_repeats([one, other], 2048, 2048).tolist() == []
    assert len(fast_repeats([one, other, other], 2048, 2048)) == 1


def test_fingerprints_are_as_sparse_as_winnowing_promises() -> None:
    data = np.random.default_rng(3).integers(0, 256, 200_000).astype(np.uint8)
    prints, _ = repeats.stretches(data, np.array([0, data.size]), 200, 100)
    assert len(prints) == pytest.approx(2 * data.size / (200 - 100 + 2), rel=0.03)


@pytest.mark.parametrize(
    ("text", "starts", "ends"),
    [
        ("one, two", [0, 5], [0, 3, 4, 5, 8]),
        ("a\u0301b \u6f22\u5b57x", [0, 5, 8, 11], [0, 4, 5, 8, 11, 12]),
        ("\u0e01\u0e34\u0e19", [0, 6], [0, 6, 9]),
        ("", [], [0]),
    ],
    ids=["words", "marks and ideographs", "Thai vowels", "nothing"],
)
def test_borders_keep_characters_marks_and_words_together(text: str, starts: list[int], ends: list[int]) -> None:
    content = text.encode()
    places = range(len(content) + 1)
    assert [at for at in places if is_border(content, at, is_start=True)] == starts
    assert [at for at in places if is_border(content, at, is_start=False)] == ends
