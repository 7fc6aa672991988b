import gzip
import io
from pathlib import Path

import pytest
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline.readers.base import BadRow, Batch, InputFile, Piece, ReadOptions
from pipeline.readers.formats import infer_format
from pipeline.readers.pieces import read

PAGE = "<html><head><title>t</title></head><body><nav><a href=/>Home</a></nav><main><p>{}</p></main></body></html>"


def record(name: str, content: bytes, kind: WarcRecordType, content_type: str) -> bytes:
    made = WarcRecord()
    made.init_headers(kind, record_urn=b"urn:uuid:" + name.encode())
    made.headers["WARC-Target-URI"] = f"http://example.org/{name}"
    made.headers["WARC-Date"] = "2024-01-02T03:04:05Z"
    made.headers["Content-Type"] = content_type
    made.is_http = "http" in content_type
    made.set_bytes_content(content)
    out = io.BytesIO()
    made.write(out)
    return out.getvalue()


def response(
    name: str, body: bytes, head: str = "Content-Type: text/html; charset=utf-8", status: str = "200 OK"
) -> bytes:
    content = f"HTTP/1.1 {status}\r\n{head}\r\n\r\n".encode() + body
    return record(name, content, WarcRecordType.response, "application/http; msgtype=response")


def page(name: str, text: str) -> bytes:
    return response(name, PAGE.format(text).encode())


def conversion(name: str, text: bytes) -> bytes:
    return record(name, text, WarcRecordType.conversion, "text/plain")


def read_all(folder: Path, name: str, content: bytes, options: ReadOptions | None = None) -> list[Batch]:
    (folder / name).write_bytes(content)
    file = InputFile(str(folder / name), name, len(content))
    return list(read(Piece(file, infer_format(file)), options or ReadOptions()))


def texts(batches: list[Batch]) -> list[str]:
    return [text for batch in batches if batch.table.num_columns for text in batch.table["text"].to_pylist()]


def bad(batches: list[Batch]) -> list[BadRow]:
    return [row for batch in batches for row in batch.bad]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_pages_give_their_main_text_url_date_and_id(tmp_path: Path, suffix: str) -> None:
    records = [
        record("info", b"software: x\r\n", WarcRecordType.warcinfo, "application/warc-fields"),
        page("one", "The first page says hello."),
        page("two", "The second page says caf\u00e9."),
    ]
    content = b"".join(gzip.compress(part) if suffix else part for part in records)
    (batch,) = read_all(tmp_path, f"x.warc{suffix}", content)
    assert batch.table.to_pylist() == [
        {
            "text": "The first page says hello.",
            "url": "http://example.org/one",
            "warc_date": "2024-01-02T03:04:05Z",
            "record_id": "<urn:urn:uuid:one>",
        },
        batch.table.to_pylist()[1],
    ]
    assert texts([batch])[1] == "The second page says caf\u00e9."
    assert list(batch.positions) == [0, 1]
    assert not batch.bad


def test_only_successful_html_is_a_row(tmp_path: Path) -> None:
    content = b"".join(
        [
            page("one", "First."),
            response("image", b"\x89PNG", "Content-Type: image/png"),
            response("gone", PAGE.format("Not found").encode(), status="404 Not Found"),
            response("none", b"", "X: y"),
            page("two", "Second."),
        ]
    )
    (batch,) = read_all(tmp_path, "x.warc", content)
    assert texts([batch]) == ["First.", "Second."]
    assert list(batch.positions) == [0, 4]
    assert not batch.bad


def test_encodings_and_transfer_codings_are_undone(tmp_path: Path) -> None:
    body = gzip.compress(PAGE.format("Gepackt.").encode())
    chunked = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    head = "Content-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked"
    latin = PAGE.format("Gr\u00fc\u00dfe aus K\u00f6ln, sch\u00f6ne Gr\u00fc\u00dfe.").encode("latin-1")
    content = response("packed", chunked, head) + response(
        "latin", latin, "Content-Type: text/html; charset=iso-8859-1"
    )
    batches = read_all(tmp_path, "x.warc", content)
    assert texts(batches) == ["Gepackt.", "Gr\u00fc\u00dfe aus K\u00f6ln, sch\u00f6ne Gr\u00fc\u00dfe."]


def test_an_undecodable_response_and_an_empty_page_are_bad_rows(tmp_path: Path) -> None:
    head = "Content-Type: text/html\r\nContent-Encoding: gzip"
    content = response("broken", b"no gzip at all", head) + page("empty", "") + page("good", "Good text.")
    batches = read_all(tmp_path, "x.warc", content)
    assert texts(batches) == ["Good text."]
    assert [(row.rule, row.origin) for row in bad(batches)] == [
        ("broken_record", "x.warc#0"),
        ("empty_text", "x.warc#1"),
    ]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("cut", [10, 30, 150, 330])
def test_a_cut_archive_gives_the_records_before_the_cut(tmp_path: Path, suffix: str, cut: int) -> None:
    records = [page(str(n), f"Page number {n} has text.") for n in range(4)]
    if suffix:
        records = [gzip.compress(part) for part in records]
        cut //= 2
    content = b"".join(records)[: -cut - 4]
    batches = read_all(tmp_path, f"x.warc{suffix}", content)
    found = texts(batches)
    assert found == [f"Page number {n} has text." for n in range(len(found))]
    assert 2 <= len(found) <= (4 if suffix else 3)  # a gzip member may lose its checksum only
    assert [(row.rule, row.position) for row in bad(batches)] == [("truncated_file", len(found))]


def test_garbage_is_unreadable_and_garbage_after_records_costs_the_rest(tmp_path: Path) -> None:
    (row,) = bad(read_all(tmp_path, "x.warc", b"this is no archive\r\n\r\n" * 20))
    assert row.rule == "unreadable_file"
    batches = read_all(tmp_path, "x.warc", page("one", "First.") + b"garbage\r\n\r\n" + page("two", "Second."))
    assert texts(batches) == ["First."]
    assert [row.rule for row in bad(batches)] == ["unreadable_rows"]


def test_extracted_text_is_taken_as_it_stands(tmp_path: Path) -> None:
    content = b"".join(
        [
            record("info", b"x", WarcRecordType.warcinfo, "application/warc-fields"),
            conversion("a", "caf\u00e9\nline".encode()),
            conversion("b", b"\xff\xfe"),
            conversion("c", b"x" * 3000),
            conversion("d", b" "),
            conversion("e", b"end"),
        ]
    )
    batches = read_all(tmp_path, "x.warc.wet.gz", gzip.compress(content), ReadOptions(max_document_mb=0.002))
    assert texts(batches) == ["caf\u00e9\nline", "end"]
    assert [p for batch in batches for p in batch.positions] == [0, 4]
    assert [(row.rule, row.position) for row in bad(batches)] == [
        ("invalid_utf8", 1),
        ("too_large", 2),
        ("empty_text", 3),
    ]


def test_the_record_id_can_be_the_id(tmp_path: Path) -> None:
    (batch,) = read_all(tmp_path, "x.wet", conversion("a", b"text"), ReadOptions(id="record_id", keep=()))
    assert batch.table.to_pylist() == [{"text": "text", "id": "<urn:urn:uuid:a>"}]
