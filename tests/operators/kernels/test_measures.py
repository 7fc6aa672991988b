import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.kernels import measures, measures_reference
from operators.normal_text import normal_table
from operators.scripts import SCRIPTS, script_table
from operators.text_buffers import joined_bytes

PIECES = [
    "a",
    "Word ",
    "@[`{",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\x1c",
    "\xe9",
    "\u0436",
    "\u6f22\u3042",
    "\u3000",
    "7",
    "\U0001f600",
]
TEXTS = st.lists(st.text() | st.lists(st.sampled_from(PIECES), max_size=14).map("".join), max_size=5)
LATIN = SCRIPTS.index("Latin") + 1


@given(TEXTS)
def test_lengths_are_those_of_the_reference(texts: list[str]) -> None:
    data, offsets = joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    found = measures.lengths(data, offsets, normal_table())
    assert found.tolist() == [list(measures_reference.lengths(text)) for text in texts]


@given(TEXTS, st.sets(st.integers(1, len(SCRIPTS)), max_size=3) | st.just({LATIN}))
def test_scripts_are_those_of_the_reference(texts: list[str], wanted: set[int]) -> None:
    data, offsets = joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    groups = np.zeros((2, 256), bool)
    groups[1, list(wanted)] = True
    group = np.arange(len(texts), dtype=np.int64) % 2
    found = measures.scripts(data, offsets, script_table(), LATIN, groups, group)
    expected = [measures_reference.scripts(text, wanted if number % 2 else ()) for number, text in enumerate(texts)]
    assert found.tolist() == [list(row) for row in expected]
