"""Snapshots: complete before they are public, whole files, found through one pointer, none for nothing new."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import RunError
from pipeline import publish
from pipeline.corpus import View
from pipeline.publish import DROPPED_SCHEMA, corpus_parts
from pipeline.session import rebuild_report
from pipeline.storage import Store
from tests.pipeline.engine import Json, Mill, check_sums

pytestmark = pytest.mark.usefixtures("toys")

STEPS: list[Json] = [
    {"kind": "toys:Length", "name": "length", "min_chars": 300},
    {"kind": "toys:Words", "name": "words"},
]


def view(size: int) -> View:
    """A view of so many bytes."""
    return View("s", "d", 1, 1, size, "")


def test_small_views_share_a_part_and_every_view_lies_in_one() -> None:
    sizes = [60, 60, 30, 5, 200, 1, 1]
    parts = corpus_parts([view(size) for size in sizes], 100)
    assert [[v.num_bytes for v in part.views] for part in parts] == [[60], [60, 30, 5], [200], [1, 1]]  # type: ignore[union-attr]
    assert [part.name for part in parts] == [f"corpus/part-{n:05d}.parquet" for n in range(4)]


def test_a_corpus_without_views_still_has_a_part() -> None:
    (part,) = corpus_parts([], 100)
    assert part.name == "corpus/part-00000.parquet"


def test_a_reader_sees_the_old_snapshot_or_the_new_one(flawed: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    old = flawed.run(STEPS)
    before = (flawed.home / "out" / "manifest.json").read_bytes()

    def fails(*_: object) -> None:
        raise RunError("stopped right before the pointer moves")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_link", fails)
        with pytest.raises(RunError, match="pointer"):
            flawed.run([STEPS[0]])
    assert (flawed.home / "out" / "manifest.json").read_bytes() == before
    assert pq.read_table(flawed.home / "out" / "corpus").num_rows == old.corpus.num_rows
    new = flawed.run([STEPS[0]])
    assert new.manifest["version"] != old.manifest["version"]
    assert list((flawed.home / "out" / "artifacts").iterdir()) == []


def test_a_snapshot_that_lost_a_file_is_written_again(flawed: Mill) -> None:
    first = flawed.run(STEPS)
    (first.version / "corpus" / "part-00000.parquet").unlink()
    (first.version / "dropped" / "part-00000.parquet").write_bytes(b"cut")
    again = flawed.run(STEPS)
    assert again.computed == {}
    assert again.bytes == flawed.run(STEPS, out="out2", work="work2").bytes
    check_sums(again)


def test_the_same_result_under_another_recipe_name_is_a_snapshot_of_its_own(flawed: Mill) -> None:
    first = flawed.run(STEPS)
    second = flawed.run(STEPS, name="other")
    assert second.computed == {}
    assert second.bytes == first.bytes
    assert {path.name for path in (flawed.home / "out" / ".versions").glob("*/")} == {
        first.version.name,
        second.version.name,
    }


def test_dropped_has_the_promised_columns_and_origins(flawed: Mill) -> None:
    flawed.jsonl("bad", [{"text": None}])
    ran = flawed.run(STEPS)
    assert ran.dropped.schema.remove_metadata() == DROPPED_SCHEMA
    rows = ran.dropped.to_pylist()
    by_rule = {row["rule"]: row for row in rows}
    bad, short = by_rule["null_text"], by_rule["too_short"]
    assert (bad["step"], bad["id"], bad["origin"]) == ("ingest", None, "bad.jsonl:1")
    assert (short["step"], short["threshold"]) == ("length", 300.0)
    assert short["value"] < 300
    path, _, offset = short["origin"].partition("@")
    with (flawed.home / "in" / path).open("rb") as file:
        file.seek(int(offset))
        assert json.loads(file.readline())["text"].startswith(short["excerpt"])


def test_bad_rows_of_a_reference_are_traced_and_counted_apart(flawed: Mill) -> None:
    flawed.jsonl("r", [{"text": "the"}, {"text": None}], "ref")
    inputs = [*flawed.inputs, {"name": "ref", "path": "{home}/ref/*.jsonl", "role": "reference"}]
    ran = flawed.run([{"kind": "toys:Unknown", "reference": "ref"}], inputs=inputs)
    assert ran.manifest["rows"]["quarantined"] == 0
    assert {entry["name"]: entry["quarantined"] for entry in ran.manifest["inputs"]} == {
        "docs": {},
        "ref": {"null_text": 1},
    }
    (traced,) = [row for row in ran.dropped.to_pylist() if row["step"] == "ingest"]
    assert (traced["source"], traced["origin"]) == ("ref", "r.jsonl:2")


def test_many_dropped_rows_lie_in_several_parts(flawed: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = flawed.run(STEPS)
    monkeypatch.setattr(publish, "DROPPED_ROWS", 3)
    parted = flawed.run(STEPS, out="out2", work="work2")
    assert len(list((parted.version / "dropped").iterdir())) > 2
    assert parted.dropped.equals(whole.dropped)
    check_sums(parted)


def test_the_manifest_tells_what_was_kept(flawed: Mill) -> None:
    kept = flawed.run(STEPS).manifest["kept"]
    ran = flawed.run(STEPS)
    texts = ran.corpus["text"].to_pylist()
    assert kept["by_source"] == {"docs": [len(texts), sum(len(text.encode()) for text in texts)]}
    assert sum(kept["lengths"].values()) == len(texts)


@pytest.mark.parametrize(
    ("langs", "kind", "expected"),
    [
        ([["de"], None], pa.list_(pa.string()), {}),
        ([{"code": "de"}, None], pa.struct([("code", pa.string())]), {}),
        ([[("de", 1.0)], None], pa.map_(pa.string(), pa.float64()), {}),
        ([b"\xff", None], pa.binary(), {}),
        ([b"de", b"en"], pa.binary(2), {}),
        ([7, None], pa.int64(), {"7": 1, "None": 1}),
        (["de", None], pa.large_string(), {"de": 1, "None": 1}),
    ],
)
def test_a_language_column_of_any_type_is_published(
    mill: Mill, langs: list[object], kind: pa.DataType, expected: dict[str, int]
) -> None:
    table = pa.table({"text": ["one text", "another text"], "lang": pa.array(langs, kind)})
    pq.write_table(table, mill.home / "in.parquet")
    mill.inputs = [{"name": "web", "path": "{home}/in.parquet"}]
    steps: list[Json] = [
        {"kind": "length"}, {"kind": "exact_dedup"}, {"kind": "corpus_stats"},
        {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [257]},
    ]  # fmt: skip
    ran = mill.run(steps)
    assert {name: rows for name, (rows, _) in ran.manifest["kept"]["by_lang"].items()} == expected
    assert ran.corpus["lang"].to_pylist() == table["lang"].to_pylist()


def test_a_report_can_be_made_again(flawed: Mill) -> None:
    ran = flawed.run(STEPS)
    report = ran.out / "report.html"
    before = report.read_bytes()
    (ran.version / "report.html").write_bytes(b"")
    assert Path(rebuild_report(str(ran.out))).read_bytes() == before


def test_nothing_but_the_public_names_lies_in_the_output(flawed: Mill) -> None:
    ran = flawed.run(STEPS)
    names = {path.name for path in ran.out.iterdir()}
    assert names == {".versions", ".current", "corpus", "dropped", "artifacts", "manifest.json", "report.html"}


def test_the_summary_has_the_promised_keys(flawed: Mill) -> None:
    summary: dict[str, Any] = flawed.run(STEPS).summary
    assert {"status", "out", "report", "steps", "artifacts", "seconds", "peak_rss_mb"} <= set(summary)
    assert summary["artifacts"] == {"words": ["artifacts/words/total.json", "artifacts/words/words.parquet"]}
    assert Store(summary["out"]).exists("report.html")
