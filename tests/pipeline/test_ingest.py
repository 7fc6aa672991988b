"""Files into shards: every file in one group, groups within limits, few of them moved by a file that comes or goes."""

import json
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RecipeError, RunError
from pipeline.grouping import CLOCK_TICK_NS, Inspected, InspectTask, bundles, group_files
from pipeline.grouping import inspected as as_inspected
from pipeline.ingest import IngestTask, Spec, corpus_schema, document_ids
from pipeline.readers.base import InputFile, Piece, ReadOptions
from pipeline.vault import Vault
from tests.pipeline.engine import Json, Mill, check_sums

LIMIT = 1000


def inspected(path: str, size: int, kind: str = "jsonl") -> Inspected:
    """A file as the engine sees it, cut where it is large."""
    file = InputFile(f"/in/{path}", path, size)
    cuts = range(0, max(size, 1), LIMIT)
    stops = [*cuts[1:], None]
    pieces = tuple(Piece(file, kind, start, stop) for start, stop in zip(cuts, stops, strict=True))
    return Inspected(file, f"digest of {path}", size, pieces)


FILES = st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.integers(0, 2500), max_size=60)


@given(FILES, st.randoms())
def test_every_piece_lies_in_one_group_within_the_limit(sizes: dict[str, int], order: random.Random) -> None:
    files = [inspected(path, size) for path, size in sizes.items()]
    groups = group_files(files, LIMIT)
    placed = [piece for group in groups for piece, _ in group.pieces]
    assert sorted(map(str, placed)) == sorted(str(piece) for file in files for piece in file.pieces)
    for group in groups:
        assert len(group.pieces) == 1 or sum(sizes[piece.file.path] for piece, _ in group.pieces) <= LIMIT
    order.shuffle(files)
    assert group_files(files, LIMIT) == groups


@given(FILES, st.text("abcdef", min_size=7, max_size=7), st.integers(0, 900))
def test_a_file_that_comes_changes_one_group_or_splits_it(sizes: dict[str, int], path: str, size: int) -> None:
    before = group_files([inspected(p, s) for p, s in sizes.items()], LIMIT)
    after = group_files([inspected(p, s) for p, s in {**sizes, path: size}.items()], LIMIT)
    gone = [group for group in before if group not in after]
    come = [group for group in after if group not in before]
    assert len(gone) <= 1
    assert sum(path == piece.file.path for group in come for piece, _ in group.pieces) == 1
    moved = {piece.file.path for group in gone for piece, _ in group.pieces}
    assert {piece.file.path for group in come for piece, _ in group.pieces} == moved | {path}


def test_small_files_are_packed_well() -> None:
    files = [inspected(f"f{number}", 10) for number in range(10_000)]
    groups = group_files(files, LIMIT)
    assert 100 <= len(groups) <= 200


def test_formats_never_share_a_group() -> None:
    files = [inspected(f"f{n}", 10, kind) for n, kind in enumerate(["jsonl", "text", "parquet"] * 20)]
    for group in group_files(files, LIMIT):
        assert len({piece.format for piece, _ in group.pieces}) == 1


@given(st.sets(st.text("abc", min_size=1, max_size=5), max_size=50), st.integers(1, 9))
def test_bundles_hold_every_file_once(paths: set[str], size: int) -> None:
    files = [InputFile(path, path, 1) for path in sorted(paths)]
    found = [file for bundle in bundles(files, size) for file in bundle]
    assert sorted(found, key=lambda file: file.path) == files


def test_ids_depend_on_source_path_and_position_alone() -> None:
    places = [("a", "bc", 0), ("ab", "c", 0), ("a", "bc", 1), ("b", "bc", 0)]
    ids = {place: document_ids(place[0], [place[1]], [place[2]])[0] for place in places}
    assert len(set(ids.values())) == 4
    assert document_ids("a", ["bc", "bc"], [0, 1]) == [ids["a", "bc", 0], ids["a", "bc", 1]]


NAMES = [
    "plain.jsonl", "with space.jsonl", "caf\u00e9.jsonl", "\u65e5\u672c.jsonl", "quote'\".jsonl", "per%20cent.jsonl",
    "hash#tag.jsonl", "semi;colon&and.jsonl", "back\\slash.jsonl", "new\nline.jsonl", "at@5.jsonl", "-dash.jsonl",
    "{curly}.jsonl", "colon:s.jsonl", "[square].jsonl", "star*.jsonl", "dollar$HOME.jsonl", "~tilde.jsonl",
]  # fmt: skip


def test_hostile_names_are_just_names(mill: Mill) -> None:
    folder = mill.home / "in"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_text(json.dumps({"text": f"text {number}"}) + "\n{broken\n", encoding="utf-8")
    ran = mill.run([{"kind": "sample", "fraction": 0.5}], inputs=[{"name": "docs", "path": "{home}/in"}], shard_mb=1)
    check_sums(ran)
    assert ran.manifest["rows"]["read"] == 2 * len(NAMES)
    bad = {row["origin"] for row in ran.dropped.to_pylist() if row["step"] == "ingest"}
    assert bad == {f"in/{name}:2" for name in NAMES}


def test_hostile_content_comes_through_as_it_is(mill: Mill) -> None:
    texts = [
        "\0", "a\0b", "\ufeffbom inside", "\u202eright to left", "\U0010ffff", "line\r\nline\rline\u2028line",
        "'; drop table documents; --", "<script>alert(1)</script>", "=cmd()", "\ud7ff\ue000", "e\u0301 vs \u00e9",
        "x" * 100_000, "\t tab", "{\"text\": \"json\"}",
    ]  # fmt: skip
    mill.jsonl("a", ({"text": text} for text in texts))
    pq.write_table(pa.table({"text": texts}), mill.home / "in" / "a.parquet")
    for path in ("*.jsonl", "*.parquet"):
        inputs = [{"name": "docs", "path": f"{{home}}/in/{path}"}]
        steps: list[Json] = [{"kind": "gopher_quality", "max_drop_ratio": 1.0}, {"kind": "exact_dedup"}]
        ran = mill.run(steps, inputs=inputs, out=f"out-{path[2:]}", shard_mb=1)
        check_sums(ran)
        audited = mill.run([{**steps[0], "audit": True}], inputs=inputs, shard_mb=1)
        assert audited.corpus["text"].to_pylist() == texts


def test_a_column_with_a_name_of_ours_is_refused(mill: Mill) -> None:
    mill.jsonl("a", [{"text": "x", "_path": "y"}])
    with pytest.raises(RecipeError, match="_path"):
        mill.run([])


def test_a_label_that_is_a_column_already_is_refused(mill: Mill) -> None:
    mill.jsonl("a", [{"text": "x", "domain": "y"}])
    with pytest.raises(RecipeError, match="domain"):
        mill.run([], inputs=[{"name": "docs", "path": "{home}/in/*.jsonl", "labels": {"domain": "web"}}])


def test_labels_and_sources_become_columns(mill: Mill) -> None:
    mill.jsonl("a", [{"text": "x", "source": None}, {"text": "y", "source": "theirs"}])
    mill.jsonl("b", [{"text": "z"}], "more")
    inputs = [
        {"name": "one", "path": "{home}/in/*.jsonl", "labels": {"domain": "web", "rank": 1}},
        {"name": "two", "path": "{home}/more/*.jsonl", "labels": {"domain": "code"}},
    ]
    rows = {row["text"]: row for row in mill.run([], inputs=inputs).corpus.to_pylist()}
    assert {text: (row["source"], row["domain"], row["rank"]) for text, row in rows.items()} == {
        "x": ("one", "web", 1), "y": ("theirs", "web", 1), "z": ("two", "code", None),
    }  # fmt: skip


def test_ids_of_several_inputs_are_told_apart_by_their_source(mill: Mill) -> None:
    mill.jsonl("a", [{"text": "x", "id": "7"}])
    mill.jsonl("b", [{"text": "y", "id": "7"}], "more")
    inputs = [
        {"name": name, "path": f"{{home}}/{folder}/*.jsonl", "columns": {"id": "id"}}
        for name, folder in (("one", "in"), ("two", "more"))
    ]
    assert sorted(mill.run([], inputs=inputs).corpus["id"].to_pylist()) == ["one/7", "two/7"]
    assert mill.run([], inputs=inputs[:1]).corpus["id"].to_pylist() == ["7"]


def test_documents_larger_than_a_shard_get_one_each(mill: Mill) -> None:
    mill.jsonl("a", ({"text": str(number) * 3000} for number in range(5)))
    ran = mill.run([], shard_mb=0.001)
    assert ran.manifest["inputs"][0]["shards"] == 5
    assert ran.corpus.num_rows == 5


def test_a_file_is_looked_at_only_once_its_stamp_is_older_than_a_step_of_the_clock(tmp_path: Path) -> None:
    """Else a change in the same step, of the same size, would be answered from the old digest."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "0000"}\n')
    task = InspectTask(str(tmp_path / "work"), "jsonl", 1000, ReadOptions())
    for _ in range(3):
        path.touch()
        task((InputFile(str(path), "a.jsonl", path.stat().st_size),))
        assert time.time_ns() - path.stat().st_ctime_ns >= CLOCK_TICK_NS


def test_a_file_that_changes_between_the_look_and_the_reading_is_refused(tmp_path: Path) -> None:
    """Else its new content would lie under the key of the old one, and answer for it some day."""
    path, work = tmp_path / "a.jsonl", str(tmp_path / "work")
    path.write_bytes(b'{"text": "0000"}\n')
    file = InputFile(str(path), "a.jsonl", path.stat().st_size)
    found = InspectTask(work, "jsonl", 1000, ReadOptions())((file,))["files"][0]
    (item,) = group_files([as_inspected(file, found)], LIMIT)
    task = IngestTask(work, Spec("docs", "jsonl", ReadOptions(), (), False, LIMIT))
    path.write_bytes(b'{"text": "1111"}\n')
    with pytest.raises(RunError, match=r"a\.jsonl changed while it was read"):
        task(item)
    assert not Vault(work).exists(task.name_of(item))


def test_integers_and_floats_of_one_column_unify_only_without_loss() -> None:
    import base64

    def shard(kind: pa.DataType, safe: list[str]) -> dict[str, object]:
        schema = pa.schema([("text", pa.large_string()), ("score", kind)])
        content = base64.b64encode(schema.serialize()).decode()
        return {"schema": content, "first": f"{kind}.jsonl", "float_safe": safe}

    assert corpus_schema([shard(pa.int64(), ["score"]), shard(pa.float64(), [])]).field("score").type == pa.float64()
    with pytest.raises(RecipeError, match=r"int64\.jsonl: the column 'score' holds integers beyond"):
        corpus_schema([shard(pa.int64(), []), shard(pa.float64(), [])])
