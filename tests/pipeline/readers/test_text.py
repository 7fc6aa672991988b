import gzip
from pathlib import Path

import pytest

from pipeline.readers.base import Batch, InputFile, Piece, ReadOptions, origin
from pipeline.readers.pieces import plan_pieces, read, read_many


def write(folder: Path, content: bytes, name: str = "a.txt") -> InputFile:
    path = folder / Path(name).name
    path.write_bytes(content)
    return InputFile(str(path), name, len(content))


def read_one(file: InputFile, kind: str = "text", options: ReadOptions | None = None) -> Batch:
    (batch,) = read(Piece(file, kind), options or ReadOptions())
    return batch


def test_a_text_file_is_one_document_with_its_path(tmp_path: Path) -> None:
    batch = read_one(write(tmp_path, "\ufeffcaf\u00e9\r\nline".encode(), "web/a.txt"))
    assert batch.table.to_pylist() == [{"text": "caf\u00e9\r\nline", "path": "web/a.txt"}]
    assert list(batch.positions) == [0]


def test_a_code_file_has_its_language(tmp_path: Path) -> None:
    batch = read_one(write(tmp_path, b"fn main() {}", "src/main.rs"), "code")
    assert batch.table.to_pylist() == [{"text": "fn main() {}", "path": "src/main.rs", "language": "rust"}]
    unknown = read_one(write(tmp_path, b"x", "LICENSE"), "code")
    assert unknown.table["language"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "empty_text"),
        (b" \n\t", "empty_text"),
        (b"caf\xe9", "invalid_utf8"),
        ("text".encode("utf-16"), "invalid_utf8"),
        (b"x" * 3000, "too_large"),
    ],
)
def test_a_bad_text_file_is_one_bad_row(tmp_path: Path, content: bytes, rule: str) -> None:
    batch = read_one(write(tmp_path, content), options=ReadOptions(max_document_mb=0.002))
    assert batch.table.num_rows == 0
    assert [(row.rule, row.origin) for row in batch.bad] == [(rule, "a.txt")]
    assert len(batch.bad[0].excerpt) <= 200


def test_a_cut_compressed_text_is_a_bad_row(tmp_path: Path) -> None:
    packed = gzip.compress(b"some text")
    assert read_one(write(tmp_path, packed, "a.txt.gz")).table["text"].to_pylist() == ["some text"]
    batch = read_one(write(tmp_path, packed[:-4], "a.txt.gz"))
    assert [row.rule for row in batch.bad] == ["truncated_file"]


def test_lines_can_be_documents_and_their_cuts_lose_none(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfone\r\n\n  \ntwo\nbad \xff\nthree"
    file = write(tmp_path, content)
    options = ReadOptions(documents="line")
    batch = read_one(file, options=options)
    assert batch.table["text"].to_pylist() == ["one", "two", "three"]
    assert [content[p : p + 3] for p in batch.positions[1:]] == [b"two", b"thr"]
    assert [(row.rule, row.origin) for row in batch.bad] == [("invalid_utf8", "a.txt@16")]
    layout = plan_pieces(file, "text", 0.000005, options)
    assert len(layout.pieces) > 3
    pieces = [part for piece in layout.pieces for part in read(piece, options)]
    assert [text for part in pieces if part.table.num_columns for text in part.table["text"].to_pylist()] == [
        "one",
        "two",
        "three",
    ]
    assert len(plan_pieces(file, "text", 0.000005).pieces) == 1


def test_many_small_files_share_batches_and_keep_their_owners(tmp_path: Path) -> None:
    contents = [b"zero", b"", b"two", b"\xff", b"x" * 3000, b"five"]
    files = [write(tmp_path, content, f"{n}.py") for n, content in enumerate(contents)]
    options = ReadOptions(max_document_mb=0.002)
    ((batch, owners),) = read_many([Piece(file, "code") for file in files], options)
    assert batch.table["text"].to_pylist() == ["zero", "two", "five"]
    assert batch.table["path"].to_pylist() == ["0.py", "2.py", "5.py"]
    assert list(owners) == [0, 2, 5]
    assert list(batch.positions) == [0, 0, 0]
    assert [(row.origin, row.rule, row.position) for row in batch.bad] == [
        ("1.py", "empty_text", 0),
        ("3.py", "invalid_utf8", 0),
        ("4.py", "too_large", 0),
    ]


def test_many_pieces_of_lines_come_in_order_with_their_owners(tmp_path: Path) -> None:
    files = [write(tmp_path, f'{{"text": "{n}"}}\n'.encode(), f"{n}.jsonl") for n in range(3)]
    found = list(read_many([Piece(file, "jsonl") for file in files], ReadOptions()))
    assert [(batch.table["text"][0].as_py(), list(owners)) for batch, owners in found] == [
        ("0", [0]),
        ("1", [1]),
        ("2", [2]),
    ]


def test_origins_show_rows_bytes_or_the_file() -> None:
    assert origin("a.txt", "text", 16, "line") == "a.txt@16"
    assert origin("a.warc.gz", "warc", 3) == "a.warc.gz#3"
