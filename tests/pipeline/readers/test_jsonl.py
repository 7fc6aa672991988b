import gzip
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.base import DataError
from pipeline.readers.base import BadRow, Batch, InputFile, Piece, ReadOptions
from pipeline.readers.pieces import plan_pieces, read
from pipeline.readers.streams import split_lines


def write(folder: Path, content: bytes, name: str = "a.jsonl") -> InputFile:
    path = folder / name
    path.write_bytes(content)
    return InputFile(str(path), name, len(content))


def read_all(file: InputFile, options: ReadOptions | None = None, kind: str = "jsonl") -> list[Batch]:
    return list(read(Piece(file, kind), options or ReadOptions()))


def rows(batches: list[Batch]) -> list[dict[str, object]]:
    return [row for batch in batches if batch.table.num_columns for row in batch.table.to_pylist()]


def bad(batches: list[Batch]) -> list[BadRow]:
    return [row for batch in batches for row in batch.bad]


def lines(*objects: object) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in objects)


def test_rows_come_with_text_first_named_columns_and_byte_offsets(tmp_path: Path) -> None:
    content = lines({"text": "one", "n": 1}, {"text": "two", "n": 2})
    (batch,) = read_all(write(tmp_path, content))
    assert batch.table.schema == pa.schema({"text": pa.large_string(), "n": pa.int64()})
    assert [content[p : p + 1] for p in batch.positions] == [b"{", b"{"]
    assert rows([batch]) == [{"text": "one", "n": 1}, {"text": "two", "n": 2}]


def test_every_bad_line_is_named_with_its_rule_and_line(tmp_path: Path) -> None:
    content = b"\n".join(
        [
            b'{"text": "good"}',
            b'{"text": "cut',
            b"",
            b"[1, 2]",
            b'{"text": "\xff\xfe"}',
            b'{"text": "\\ud800"}',
            b'{"other": 1}',
            b'{"text": null}',
            b'{"text": " \\n\\u3000"}',
            b'{"text": 7}',
            b'{"text": "last"}',
        ]
    )
    batches = read_all(write(tmp_path, content))
    assert [row["text"] for row in rows(batches)] == ["good", "last"]
    assert [(row.rule, row.origin) for row in bad(batches)] == [
        ("broken_json", "a.jsonl:2"),
        ("not_an_object", "a.jsonl:4"),
        ("invalid_utf8", "a.jsonl:5"),
        ("invalid_utf8", "a.jsonl:6"),
        ("missing_text", "a.jsonl:7"),
        ("null_text", "a.jsonl:8"),
        ("empty_text", "a.jsonl:9"),
        ("not_a_string", "a.jsonl:10"),
    ]
    assert "other" in bad(batches)[4].detail


def test_byte_order_mark_and_windows_line_ends_are_no_content(tmp_path: Path) -> None:
    batches = read_all(write(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}\r\n'))
    assert [row["text"] for row in rows(batches)] == ["a", "b"]
    assert not bad(batches)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_stream_gives_the_rows_before_the_cut_and_one_bad_row(tmp_path: Path, suffix: str) -> None:
    noise = [
        {"text": f"{number} " + "".join(chr(97 + (number * k) % 26) for k in range(300))} for number in range(2000)
    ]
    plain = lines(*noise)
    packed = gzip.compress(plain) if suffix == ".gz" else zstandard.ZstdCompressor().compress(plain)
    whole = read_all(write(tmp_path, packed, f"a.jsonl{suffix}"))
    assert len(rows(whole)) == 2000
    assert not bad(whole)
    batches = read_all(write(tmp_path, packed[: len(packed) * 2 // 3], f"a.jsonl{suffix}"))
    found = rows(batches)
    assert 0 < len(found) < 2000
    assert found == noise[: len(found)]
    (cut,) = bad(batches)
    assert (cut.rule, cut.origin) == ("truncated_file", f"a.jsonl{suffix}:{len(found) + 1}")


def test_concatenated_gzip_members_are_one_stream(tmp_path: Path) -> None:
    content = gzip.compress(lines({"text": "a"})) + gzip.compress(lines({"text": "b"})) + b"\0" * 512
    batches = read_all(write(tmp_path, content, "a.jsonl.gz"))
    assert [row["text"] for row in rows(batches)] == ["a", "b"]
    assert not bad(batches)


def test_concatenated_zstd_frames_are_one_stream(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compress
    batches = read_all(write(tmp_path, pack(lines({"text": "a"})) + pack(lines({"text": "b"})), "a.jsonl.zst"))
    assert [row["text"] for row in rows(batches)] == ["a", "b"]
    assert not bad(batches)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_of_no_bytes_is_a_cut_file(tmp_path: Path, suffix: str) -> None:
    (row,) = bad(read_all(write(tmp_path, b"", f"a.jsonl{suffix}")))
    assert row.rule == "truncated_file"


def test_corruption_inside_a_gzip_stream_is_a_bad_row(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines(*({"text": f"{n} {n * n * 7919}"} for n in range(20_000)))))
    packed[len(packed) // 2 :] = b"\xff" * (len(packed) - len(packed) // 2)
    batches = read_all(write(tmp_path, bytes(packed), "a.jsonl.gz"))
    assert rows(batches)
    assert [row.rule for row in bad(batches)] == ["truncated_file"]


def test_a_line_over_the_limit_is_refused_without_being_held() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"short\n"
        for _ in range(200):
            yield b"x" * (1 << 20)
        yield b"\nend\n"

    first, long, last = split_lines(chunks(), 0, 1 << 20)
    assert (first.content, last.content) == (b"short", b"end")
    assert long.size == 200 << 20
    assert len(long.content) < 2000
    assert last.position == 6 + (200 << 20) + 1


def test_a_large_line_leaves_its_start_and_size_in_the_bad_row(tmp_path: Path) -> None:
    file = write(tmp_path, lines({"text": "a"}, {"text": "b" * 5000}, {"text": "c"}))
    batches = read_all(file, ReadOptions(max_document_mb=0.002))
    assert [row["text"] for row in rows(batches)] == ["a", "c"]
    (row,) = bad(batches)
    assert (row.rule, row.origin, len(row.excerpt)) == ("too_large", "a.jsonl:2", 200)
    assert row.detail == "a line of 5,011 bytes, more than the 2,000 that `max_document_mb: 0.002` allows"


def test_columns_are_renamed_chosen_and_ids_become_strings(tmp_path: Path) -> None:
    file = write(tmp_path, lines({"content": "a", "url": "u1", "lang": "de", "n": 1}, {"content": "b", "url": 7}))
    options = ReadOptions(text="content", id="url", rename={"lang": "label"}, keep=("label",))
    assert rows(read_all(file, options)) == [
        {"text": "a", "id": "u1", "label": "de"},
        {"text": "b", "id": "7", "label": None},
    ]


@pytest.mark.parametrize(
    ("given_id", "rule"), [(None, "null_id"), ("", "null_id"), (1.5, "not_a_string"), (True, "not_a_string")]
)
def test_an_unusable_id_makes_a_bad_row(tmp_path: Path, given_id: object, rule: str) -> None:
    file = write(tmp_path, lines({"text": "a", "id": given_id}, {"text": "b", "id": "x"}))
    batches = read_all(file, ReadOptions(id="id"))
    assert [row["id"] for row in rows(batches)] == ["x"]
    assert [row.rule for row in bad(batches)] == [rule]


def test_two_columns_of_one_name_are_refused_with_the_cure(tmp_path: Path) -> None:
    file = write(tmp_path, lines({"content": "a", "text": "b"}))
    with pytest.raises(DataError, match=r"'content' and 'text'.*columns\.rename"):
        read_all(file, ReadOptions(text="content"))


def test_drifting_values_of_a_column_are_reconciled_without_loss(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        lines(
            {"text": "a", "n": 1, "s": None, "d": "2024-01-01", "o": {"x": 1}, "e": {}},
            {"text": "b", "n": 1.5, "s": "x", "d": None, "o": {"y": [1, 2.5]}, "e": {}, "new": True},
        ),
    )
    (batch,) = read_all(file)
    schema = batch.table.schema
    assert (schema.field("n").type, schema.field("s").type) == (pa.float64(), pa.string())
    assert (schema.field("d").type, schema.field("e").type) == (pa.string(), pa.null())
    assert rows([batch])[1] == {
        "text": "b", "n": 1.5, "s": "x", "d": None, "o": {"x": None, "y": [1.0, 2.5]}, "e": None, "new": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "types"),
    [
        (1990, "1990", "int64 at line 1 and string at line 3"),
        (1.5, True, "double at line 1 and bool at line 3"),
        ([1.5], [True], r"list<item: double> at line 1 and list<item: bool> at line 3"),
        ({"a": 1}, [1], "struct<a: int64> at line 1 and list<item: int64> at line 3"),
    ],
)
def test_clashing_types_name_column_file_lines_and_types(
    tmp_path: Path, first: object, second: object, types: str
) -> None:
    file = write(tmp_path, lines({"text": "a", "year": first}, {"text": "b"}, {"text": "c", "year": second}))
    with pytest.raises(DataError, match=rf"a\.jsonl: column 'year' is {types}"):
        read_all(file)


def test_an_integer_that_a_double_cannot_hold_is_refused_beside_floats(tmp_path: Path) -> None:
    file = write(tmp_path, lines({"text": "a", "n": 2**53 + 1}, {"text": "b", "n": 0.5}))
    with pytest.raises(DataError, match=r"column 'n'.*9007199254740993"):
        read_all(file)


@pytest.mark.parametrize("value", ["123456789012345678901", "-9223372036854775809", '{"m": [18446744073709551616]}'])
def test_an_integer_beyond_64_bits_is_refused_rather_than_rounded(tmp_path: Path, value: str) -> None:
    content = f'{{"text": "a", "n": null}}\n{{"text": "b", "n": {value}, "big": 1e30}}\n'.encode()
    file = write(tmp_path, content)
    with pytest.raises(DataError, match=r"a\.jsonl:2: column 'n' holds -?\d{19,}, .* in quotes, .*`columns\.keep`"):
        read_all(file)
    assert rows(read_all(file, ReadOptions(keep=("big",)))) == [{"text": "a", "big": None}, {"text": "b", "big": 1e30}]


@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**70), 2**70), st.sampled_from([2**63, 2**64 - 1, -1])), max_size=5)
)
@settings(deadline=None)
def test_integers_come_back_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, values: list[int | None]
) -> None:
    content = "".join(json.dumps({"text": "a", "n": value}) + "\n" for value in values)
    file = write(tmp_path_factory.mktemp("numbers"), content.encode())
    given_numbers = [value for value in values if value is not None]
    low, high = min(given_numbers, default=0), max(given_numbers, default=0)
    if (low >= -(2**63) and high < 2**63) or (low >= 0 and high < 2**64):
        assert [row["n"] for row in rows(read_all(file))] == values
    else:
        with pytest.raises(DataError, match=r"column 'n'"):
            read_all(file)


def test_nested_integers_beyond_int64_stay_whole_beside_small_ones(tmp_path: Path) -> None:
    deep = [{"a": [1, 2**63], "b": 1}, {"a": [], "b": -1}]
    file = write(tmp_path, lines(*({"text": "a", "deep": value} for value in deep)))
    assert [row["deep"] for row in rows(read_all(file))] == deep


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([-1, 2**63], "column 'n' is int64 at line 1 and uint64 at line 2, where it is 9223372036854775808 "),
        ([2**63, 0, -1], "column 'n' is uint64 at line 1 and int64 at line 3, where it is -1 "),
        ([0.5, 1, 2**53 + 1, 2], "a.jsonl:3: column 'n' is 9007199254740993, and no type holds that and what"),
    ],
)
def test_numbers_that_no_column_holds_name_the_line_and_the_value(
    tmp_path: Path, values: list[float], message: str
) -> None:
    file = write(tmp_path, lines(*({"text": "a", "n": value} for value in values)))
    with pytest.raises(DataError, match=re.escape(message)) as refused:
        read_all(file)
    assert "C long" not in str(refused.value)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_line_with_nan_or_an_infinity_says_that_json_has_none(tmp_path: Path, constant: str) -> None:
    content = f'{{"text": "a", "score": {constant}}}\n{{"text": "NaN"}}\n{{"text": "NaN}}\n'
    batches = read_all(write(tmp_path, content.encode()))
    assert [row["text"] for row in rows(batches)] == ["NaN"]
    first, second = bad(batches)
    assert (first.rule, second.rule) == ("broken_json", "broken_json")
    assert first.detail.startswith(f"{constant} is no JSON; write null")
    assert "is no JSON" not in second.detail


def test_integers_beyond_int64_stay_whole(tmp_path: Path) -> None:
    file = write(tmp_path, lines({"text": "a", "n": 2**64 - 1}, {"text": "b", "n": None}))
    assert rows(read_all(file))[0]["n"] == 2**64 - 1


@pytest.mark.parametrize("content", [b'[{"text": "a"}, {"text": "b"}]', b'[\n{"text": "a"}\n]', b'{\n"text": "a"\n}'])
def test_a_whole_json_document_is_refused_with_advice(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="one object a line"):
        read_all(write(tmp_path, content, "a.json"))


def test_thousands_of_different_keys_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, lines(*({"text": "a", f"key{n}": n} for n in range(3000))))
    with pytest.raises(DataError, match=r"columns\.keep"):
        read_all(file)
    assert len(rows(read_all(file, ReadOptions(keep=("key1",))))) == 3000


def test_batches_stay_bounded(tmp_path: Path) -> None:
    file = write(tmp_path, lines(*({"text": "x" * 100_000} for _ in range(300))))
    sizes = [batch.table.nbytes for batch in read_all(file)]
    assert len(sizes) > 2
    assert max(sizes) < 9_000_000


contents = st.lists(
    st.one_of(
        st.text(max_size=20).map(lambda text: json.dumps({"text": text}).encode()),
        st.just(b""),
        st.just(b"\r"),
        st.binary(max_size=8).map(lambda raw: raw.replace(b"\n", b"")),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(contents, st.booleans(), st.integers(1, 60))
def test_any_cut_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], closed: bool, piece_bytes: int
) -> None:
    content = b'{"text": "first"}\n' + b"\n".join(parts) + (b"\n" if closed else b"")
    file = write(tmp_path_factory.mktemp("cut"), content)
    layout = plan_pieces(file, "jsonl", piece_bytes / 1e6)
    assert len(layout.pieces) == max(1, -(-len(content) // piece_bytes))
    whole = read_all(file)
    pieces = [batch for piece in layout.pieces for batch in read(piece, ReadOptions())]
    assert rows(pieces) == rows(whole)
    assert [p for b in pieces for p in b.positions] == [p for b in whole for p in b.positions]
    assert [(row.position, row.rule) for row in bad(pieces)] == [(row.position, row.rule) for row in bad(whole)]


@settings(deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_how_a_stream_is_chunked_does_not_change_its_lines(content: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    chunks = [content[a:b] for a, b in pairwise(bounds)]
    found = list(split_lines(iter(chunks), 0, 1000))
    expected = content.split(b"\n")
    assert [line.content for line in found] == (expected if expected[-1] else expected[:-1])
    assert all(content[line.position : line.position + line.size] == line.content for line in found)


def test_appending_moves_no_cut_but_the_last(tmp_path: Path) -> None:
    start = lines(*({"text": f"row {n}"} for n in range(50)))
    before = plan_pieces(write(tmp_path, start), "jsonl", 0.0002).pieces
    after = plan_pieces(write(tmp_path, start + start), "jsonl", 0.0002).pieces
    assert [(p.start, p.stop) for p in after[: len(before) - 1]] == [(p.start, p.stop) for p in before[:-1]]
