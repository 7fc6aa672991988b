from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.clean_up import texts_of
from operators.kernels.rewriting import LINE_FEED, spliced, without_points
from operators.kernels.rewriting_reference import spliced as spliced_slowly
from operators.kernels.rewriting_reference import without_points as without_slowly
from operators.text_buffers import joined_bytes

ODD = st.sampled_from("ab \t\n\r\v\f\x00\u00ad\u00a0\u0085\u200b\u2028\u3000\ufeff\U0001f600\U000e0041\u0301\u05d0")
CLASSES = {"\x00": 1, "\u00ad": 2, "\u200b": 2, "\U000e0041": 2, "\u0301": 3, "\r": LINE_FEED, "\u2028": LINE_FEED}


@given(st.lists(st.text(ODD, max_size=12), max_size=4))
def test_characters_go_and_become_line_feeds_as_in_the_reference(texts: list[str]) -> None:
    table = np.zeros(0x110000, np.uint8)
    for character, kind in CLASSES.items():
        table[ord(character)] = kind
    out, ends, gone = without_points(*joined_bytes(pa.array(texts, pa.large_string())), table)
    expected = [without_slowly(text, CLASSES) for text in texts]
    assert texts_of(out, ends).to_pylist() == [text for text, _ in expected]
    assert gone.tolist() == [counts for _, counts in expected]


edits_of_a_text = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.binary(max_size=3)), max_size=3)


@given(st.lists(edits_of_a_text, max_size=4))
def test_passages_are_replaced_as_in_the_reference(plans: list[list[tuple[int, int, bytes]]]) -> None:
    texts, edits, all_edits, begin = [], [], [], 0
    for plan in plans:
        at, mine = 0, []
        for gap, length, new in plan:
            mine.append((at + gap, at + gap + length, new))
            at += gap + length
        texts.append(bytes(range(97, 97 + at + 1)))
        edits.append(mine)
        all_edits += [(begin + start, begin + stop, new) for start, stop, new in mine]
        begin += at + 1
    offsets = np.cumsum([0, *map(len, texts)])
    news = [new for _, _, new in all_edits]
    out, ends = spliced(
        np.frombuffer(b"".join(texts), np.uint8),
        offsets,
        np.array([edit[0] for edit in all_edits], np.int64),
        np.array([edit[1] for edit in all_edits], np.int64),
        np.frombuffer(b"".join(news), np.uint8),
        np.cumsum([0, *map(len, news)]),
    )
    found = [out[start:stop].tobytes() for start, stop in pairwise(ends)]
    assert found == [spliced_slowly(text, mine) for text, mine in zip(texts, edits, strict=True)]
