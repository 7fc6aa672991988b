import pyarrow as pa
import pytest

from operators.base import DataError
from operators.boundaries import cut_places

TEXTS = pa.array(["ab", "", "\uac00\ub098 c"], pa.large_string())
IDS = pa.array(["x", "y", "z"])


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.uint8())])
def test_offsets_count_bytes_from_each_documents_beginning(kind: pa.DataType) -> None:
    assert cut_places(TEXTS, pa.array([[1], [], [7, 3, 3]], kind), IDS).tolist() == [1, 5, 9]


def test_null_lists_and_the_ends_of_a_document_cut_nothing() -> None:
    assert cut_places(TEXTS, pa.array([None, [0], [0, 8]], pa.list_(pa.int32())), IDS).tolist() == []
    assert cut_places(TEXTS, pa.nulls(3), IDS).tolist() == []


def test_slices_and_chunks_are_read_where_they_lie() -> None:
    boundaries = pa.array([[1], [], [3]], pa.list_(pa.int32()))
    assert cut_places(TEXTS.slice(2), boundaries.slice(2), IDS.slice(2)).tolist() == [3]
    chunked = pa.chunked_array([boundaries.slice(0, 1), boundaries.slice(1)])
    assert cut_places(TEXTS, chunked, IDS).tolist() == [1, 5]


@pytest.mark.parametrize(
    ("boundaries", "complaint"),
    [
        ([[3], [], []], "document 'x' has offset 3, outside its text of 2 bytes"),
        ([[-1], [], []], "document 'x' has offset -1, outside"),
        ([[], [1], []], "document 'y' has offset 1, outside its text of 0 bytes"),
        ([[], [], [4]], "document 'z' has offset 4, inside a character of 8 bytes"),
        ([[None], [], []], "1 offsets are null"),
    ],
)
def test_wrong_offsets_are_named(boundaries: list[list[int]], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        cut_places(TEXTS, pa.array(boundaries, pa.list_(pa.int32())), IDS)


def test_another_type_of_column_is_refused() -> None:
    with pytest.raises(DataError, match="the column holds string: expected a list of integers"):
        cut_places(TEXTS, pa.array(["a", "b", "c"]), IDS)
