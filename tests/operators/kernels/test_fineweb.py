import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from operators.kernels.fineweb import measure
from operators.kernels.fineweb_reference import measures
from operators.sentences import sentence_table
from operators.text_buffers import joined_bytes

PIECES = ["\n", "\n", "\n\n", " ", "\t", "\x1c", "\x85", "\xa0", "\u2028", "\u3000", "\r", "a", "bc", "long words here"]
MARKS = [".", "!", "\u3002", "\U0001da88", "\u2024", '"', "\u00e9", "\u4e2d", "\U0001f600", "\0"]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES + MARKS), max_size=20).map("".join) | st.text(), max_size=4)


@given(TEXTS, st.integers(0, 20))
@example(["one\none\n one\none \n\n\n"], 3)
@example(["a\na", "a\na", "", "\n \n"], 0)
@example(["x" * 9 + "\n" + "x" * 9 + "\n" + "x" * 8 + "y"], 9)
def test_measures_are_those_of_the_reference(texts: list[str], short_line_chars: int) -> None:
    data, offsets = joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    found = measure(data, offsets, short_line_chars, sentence_table())
    assert found.tolist() == [list(measures(text, short_line_chars)) for text in texts]


def test_copies_are_found_among_many_lines() -> None:
    lines = [f"line {number % 3_000}" for number in range(10_000)]
    data, offsets = joined_bytes(pa.array(["\n".join(lines), "\n".join(lines[:3_000])], pa.large_string()))
    assert measure(data, offsets, 9, sentence_table()).tolist() == [
        list(measures("\n".join(lines), 9)),
        list(measures("\n".join(lines[:3_000]), 9)),
    ]
