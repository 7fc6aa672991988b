import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import DataError
from pipeline.readers.base import Batch, InputFile, Piece, ReadOptions
from pipeline.readers.files import list_files
from pipeline.readers.formats import infer_format
from pipeline.readers.pieces import plan_pieces, read


def write_ipc(table: pa.Table, path: Path, make: Callable[[object, pa.Schema], object]) -> None:
    with path.open("wb") as sink, make(sink, table.schema) as writer:  # type: ignore[attr-defined]
        writer.write_table(table, max_chunksize=10)


def save(table: pa.Table, folder: Path, kind: str) -> InputFile:
    path = folder / f"x.{kind}"
    match kind:
        case "parquet":
            pq.write_table(table, path, row_group_size=10)
        case "feather":
            feather.write_feather(table, str(path), chunksize=10)
        case "arrow":
            write_ipc(table, path, pa.ipc.new_file)
        case "stream.arrow":
            write_ipc(table, path, pa.ipc.new_stream)
        case "hf":
            datasets.Dataset(table).save_to_disk(path, num_shards=2 if table.num_rows > 1 else 1)
            datasets.disable_progress_bars()
    (file,) = list_files((str(path),), None)
    return file


KINDS = ["parquet", "feather", "arrow", "stream.arrow", "hf"]


def read_all(file: InputFile, options: ReadOptions | None = None) -> list[Batch]:
    return list(read(Piece(file, infer_format(file)), options or ReadOptions()))


def rows(batches: list[Batch]) -> list[dict[str, object]]:
    return [row for batch in batches if batch.table.num_columns for row in batch.table.to_pylist()]


def positions(batches: list[Batch]) -> list[int]:
    return [int(position) for batch in batches for position in batch.positions]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_row_numbers_come_back(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": [f"row {n}" for n in range(37)], "n": list(range(37))})
    file = save(table, tmp_path, kind)
    batches = read_all(file)
    assert batches[0].table.schema == pa.schema({"text": pa.large_string(), "n": pa.int64()})
    assert rows(batches) == table.to_pylist()
    assert positions(batches) == list(range(37))


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_hold_every_row_once_and_cut_at_blocks(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": [f"row {n} " * 20 for n in range(55)]})
    file = save(table, tmp_path, kind)
    layout = plan_pieces(file, infer_format(file), 0.003)
    assert layout.rows == 55
    assert len(layout.pieces) > 1
    assert layout.bytes > 5000
    batches = [batch for piece in layout.pieces for batch in read(piece, ReadOptions())]
    assert rows(batches) == table.to_pylist()
    assert positions(batches) == list(range(55))
    assert len(plan_pieces(file, infer_format(file), 64).pieces) == 1


@given(st.lists(st.integers(0, 37), min_size=0, max_size=5))
def test_any_row_ranges_give_the_same_rows(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    table = pa.table({"text": [f"row {n}" for n in range(37)]})
    folder = tmp_path_factory.mktemp("ranges")
    bounds = [0, *sorted(cuts), None]
    for kind in ("parquet", "stream.arrow"):
        file = save(table, folder, kind)
        pieces = [Piece(file, infer_format(file), a or 0, b) for a, b in pairwise(bounds)]
        batches = [batch for piece in pieces for batch in read(piece, ReadOptions())]
        assert rows(batches) == table.to_pylist()
        assert positions(batches) == list(range(37))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_odd_types_become_plain_ones(tmp_path: Path, kind: str) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", "b"]).dictionary_encode(),
            "large": pa.array(["x", None], pa.large_string()),
            "view": pa.array(["x", None], pa.string_view()),
            "coded": pa.array(["x", None]).dictionary_encode(),
            "lists": pa.array([["x"], None], pa.large_list(pa.large_string())),
            "nested": pa.array([{"k": "x"}, None], pa.struct([("k", pa.large_string())])),
            "fixed": pa.array([b"ab", None], pa.binary(2)),
        }
    )
    (batch,) = read_all(save(table, tmp_path, kind))
    assert [field.type for field in batch.table.schema] == [
        pa.large_string(), pa.string(), pa.string(), pa.string(), pa.list_(pa.string()),
        pa.struct([("k", pa.string())]), pa.binary(),
    ]  # fmt: skip
    assert batch.table.to_pylist()[0] == {
        "text": "a", "large": "x", "view": "x", "coded": "x", "lists": ["x"], "nested": {"k": "x"}, "fixed": b"ab",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_a_text_column_of_views_or_extensions_is_read(tmp_path: Path, kind: str) -> None:
    for column in (
        pa.array(["a"], pa.string_view()),
        pa.array([b"a"], pa.binary()),
        pa.array(["a"], pa.large_string()),
    ):
        (batch,) = read_all(save(pa.table({"text": column}), tmp_path, kind))
        assert batch.table["text"].to_pylist() == ["a"]


def utf8(values: list[bytes | None], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.binary() if kind == pa.string() else pa.large_binary()).view(kind)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("string", [pa.string(), pa.large_string()])
def test_bad_rows_are_named_and_the_others_stay(tmp_path: Path, kind: str, string: pa.DataType) -> None:
    good = utf8([b"x"] * 7, string)
    table = pa.table(
        {
            "text": utf8([b"fine", b"\xff\xfe", None, b"", "\u2003\n".encode(), b"long" * 500, b"end"], string),
            "url": utf8([b"u", b"u", b"u", b"u", b"u", b"u", b"\xff"], string),
            "tags": pa.ListArray.from_arrays(pa.array(range(8), pa.int32()), good),
            "id": ["1", "2", "3", "4", "5", "6", None],
        }
    )
    batches = read_all(save(table, tmp_path, kind), ReadOptions(id="id", max_document_mb=0.001))
    assert [row["text"] for row in rows(batches)] == ["fine"]
    assert positions(batches) == [0]
    found = [(row.rule, row.origin) for batch in batches for row in batch.bad]
    name = f"x.{kind}"
    assert found == [
        ("invalid_utf8", f"{name}#1"),
        ("null_text", f"{name}#2"),
        ("empty_text", f"{name}#3"),
        ("empty_text", f"{name}#4"),
        ("too_large", f"{name}#5"),
        ("invalid_utf8", f"{name}#6"),
    ]
    details = [row.detail for batch in batches for row in batch.bad]
    assert details[0].startswith("byte 0")
    assert "'url'" in details[5]
    assert all(len(row.excerpt) <= 200 for batch in batches for row in batch.bad)


def test_invalid_utf8_inside_a_nested_column_is_found_in_its_row(tmp_path: Path) -> None:
    words = utf8([b"a", b"\xff", b"c"], pa.string())
    table = pa.table(
        {
            "text": ["one", "two", "three"],
            "tags": pa.ListArray.from_arrays([0, 1, 2, 3], words),
            "meta": pa.StructArray.from_arrays([words], names=["k"]),
        }
    )
    (batch,) = read_all(save(table, tmp_path, "parquet"))
    assert batch.table["text"].to_pylist() == ["one", "three"]
    assert [(row.position, row.excerpt) for row in batch.bad] == [(1, "two")]
    batch.table.validate(full=True)


def test_missing_columns_and_wrong_types_name_what_the_file_has(tmp_path: Path) -> None:
    file = save(pa.table({"body": ["a"], "n": [1.5]}), tmp_path, "parquet")
    with pytest.raises(DataError, match=r"x\.parquet: no column 'text'; the file has body, n"):
        read_all(file)
    with pytest.raises(DataError, match=r"text column 'n' is double"):
        read_all(file, ReadOptions(text="n"))
    with pytest.raises(DataError, match=r"id column 'n' is double"):
        read_all(file, ReadOptions(text="body", id="n"))


def test_only_needed_columns_are_read_and_renamed(tmp_path: Path) -> None:
    file = save(pa.table({"content": ["a"], "url": [7], "lang": ["de"], "n": [1]}), tmp_path, "parquet")
    options = ReadOptions(text="content", id="url", rename={"lang": "label"}, keep=("label",))
    assert rows(read_all(file, options)) == [{"text": "a", "id": "7", "label": "de"}]


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow", "stream.arrow"])
def test_a_file_without_its_end_or_of_garbage_is_one_bad_row(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": [f"row {n}" * 50 for n in range(100)]})
    file = save(table, tmp_path, kind)
    content = Path(file.url).read_bytes()
    for damaged in (content[: len(content) // 2], b"garbage" * 100, b""):
        Path(file.url).write_bytes(damaged)
        layout = plan_pieces(file, infer_format(file), 64)
        assert layout.rows is None
        batches = [batch for piece in layout.pieces for batch in read(piece, ReadOptions())]
        (row,) = (row for batch in batches for row in batch.bad)
        found = rows(batches)
        assert row.rule == ("unreadable_rows" if found else "unreadable_file")
        assert found == table.to_pylist()[: len(found)]
        if kind == "stream.arrow" and damaged:
            assert bool(found) == (damaged[:1] != b"g")


def test_a_damaged_row_group_costs_only_its_own_rows(tmp_path: Path) -> None:
    table = pa.table({"text": [f"{n} some text {n * n}" for n in range(40)]})
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, row_group_size=10, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = column.data_page_offset + 40
    content[start : start + 60] = b"\xff" * 60
    path.write_bytes(content)
    batches = read_all(InputFile(str(path), "x.parquet", len(content)))
    assert positions(batches) == [*range(10), *range(20, 40)]
    (row,) = (row for batch in batches for row in batch.bad)
    assert (row.rule, row.origin) == ("unreadable_rows", "x.parquet#10")
    assert "rows 10 to 19" in row.detail


def test_a_failing_disk_is_not_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(pa.table({"text": ["a"]}), tmp_path, "parquet")

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(OSError, match="Input/output"):
        read_all(file)


def test_a_saved_dataset_with_a_row_selection_apart_is_refused(tmp_path: Path) -> None:
    file = save(pa.table({"text": ["a", "b"]}), tmp_path, "hf")
    state = Path(file.url) / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"_indices_data_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(DataError, match="flatten_indices"):
        read_all(file)
    state.write_text("{}")
    with pytest.raises(DataError, match="save_to_disk"):
        read_all(file)


def test_batches_stay_bounded_whatever_the_blocks(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 100_000 for _ in range(300)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=300, use_dictionary=False)
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), table.schema) as writer:
        writer.write_table(table)
    for name in ("x.parquet", "x.arrow"):
        sizes = [batch.table.nbytes for batch in read_all(InputFile(str(tmp_path / name), name, 0))]
        assert sum(sizes) >= 30_000_000
        assert max(sizes) < 9_000_000
