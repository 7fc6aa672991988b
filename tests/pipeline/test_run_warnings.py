"""A run that succeeded says what a person should know: on the terminal, in the summary, the manifest and the report."""

import json
from pathlib import Path

import pytest

from operators.base import RunError
from pipeline import run_warnings
from pipeline.cli import main
from tests.pipeline.engine import Json, Mill

TRAIN: Json = {"kind": "train_tokenizer", "name": "tok", "pretokenizer": "gpt2"}


@pytest.fixture
def letters(mill: Mill) -> Mill:
    """Two inputs of three documents; only the first names them."""
    mill.jsonl("a", ({"id": f"{place}", "text": f"abc abc number {place}"} for place in range(3)), folder="a")
    mill.jsonl("b", ({"text": f"xyz xyz number {place}"} for place in range(3)), folder="b")
    mill.inputs = [{"name": "a", "path": "{home}/a/*.jsonl"}]
    return mill


def block(mill: Mill, *ids: str) -> str:
    path = mill.home / "block.txt"
    path.write_text("\n".join(["", *ids, ids[0]]) + "\n")
    return str(path)


def test_a_run_without_anything_odd_warns_of_nothing(letters: Mill) -> None:
    ran = letters.run([{**TRAIN, "vocab_sizes": [258]}], exclude_ids=block(letters, "1", "2"))
    assert ran.summary["rows"]["kept"] == 1
    assert ran.summary["warnings"] == ran.manifest["warnings"] == []


def test_listed_ids_that_match_nothing_are_counted_and_their_form_is_shown(letters: Mill) -> None:
    one = letters.run([], exclude_ids=block(letters, "1", "nobody", "7"))
    assert one.summary["rows"]["dropped"] == 1
    (line,) = one.summary["warnings"]
    assert "exclude_ids: 2 of 3 ids in" in line
    assert "the first of this run is '0'" in line


def test_a_second_input_that_changes_the_ids_is_named_as_the_reason(letters: Mill) -> None:
    letters.inputs = [*letters.inputs, {"name": "b", "path": "{home}/b/*.jsonl"}]
    (line,) = letters.run([], exclude_ids=block(letters, "1", "2")).summary["warnings"]
    assert "2 of 2 ids" in line
    assert "<input>/<id>" in line
    assert "'a/0'" in line
    assert letters.run([], exclude_ids=block(letters, "a/1", "a/2"), out="good").summary["warnings"] == []


def test_a_vocabulary_that_is_not_reached_is_told_also_by_a_run_that_computes_nothing(letters: Mill) -> None:
    steps = [{**TRAIN, "vocab_sizes": [257, 5000, 6000]}]
    first = letters.run(steps)
    reached = json.loads((first.version / "artifacts/tok/training.json").read_text())["tokenizers"][-1]["reached"]
    (line,) = first.summary["warnings"]
    assert line.startswith("step 'tok': ")
    assert "vocab_sizes 5,000, 6,000" in line
    assert f"{reached:,} tokens" in line
    again = letters.run(steps)
    assert again.computed.keys() <= {"publish"}
    assert again.summary["warnings"] == [line]
    assert not list(first.version.rglob("_warnings.json"))
    assert "vocab_sizes 5,000, 6,000" in (first.version / "report.html").read_text()


def test_a_corpus_that_ends_empty_is_told_with_the_step_that_emptied_it(letters: Mill) -> None:
    nobody = {"kind": "gopher_quality", "name": "strict", "min_words": 1000, "max_drop_ratio": 1}
    ran = letters.run([nobody, {**TRAIN, "vocab_sizes": [300]}])
    assert ran.summary["rows"]["kept"] == 0
    empty, small = ran.summary["warnings"]
    assert "corpus is empty" in empty
    assert empty.endswith("step 'strict' dropped the last 3")
    assert "0 bytes of text" in small


@pytest.mark.parametrize("by", ["id", "kind"])
def test_many_rows_with_one_id_are_told_of(mill: Mill, capfd: pytest.CaptureFixture[str], by: str) -> None:
    mill.jsonl("a", ({by: "note", "text": f"abc abc number {place}"} for place in range(1000)))
    columns = {} if by == "id" else {"columns": {"id": by}}
    mill.inputs = [{"name": "docs", "path": "{home}/in/*.jsonl", **columns}]
    ran = mill.run([{"kind": "length"}])
    assert ran.summary["rows"] == {"read": 1000, "kept": 1, "dropped": 0, "quarantined": 999}
    (line,) = ran.summary["warnings"]
    assert line == ran.manifest["warnings"][0]
    assert line.startswith(
        "999 of 1,000 rows were left out: earlier rows have their ids, for instance 'note' of source"
    )
    recipe = mill.recipe([{"kind": "length"}]).model_dump(mode="json")
    (mill.home / "r.yaml").write_text(json.dumps(recipe))
    assert main(["run", str(mill.home / "r.yaml"), "--workers", "1", "--work-dir", str(mill.home / "work")]) == 0
    assert f"warning: {line}" in capfd.readouterr().err


def test_a_step_that_fails_for_want_of_rows_is_not_blamed_alone(mill: Mill) -> None:
    mill.jsonl("a", ({"id": "note", "text": f"abc abc number {place}"} for place in range(100)))
    with pytest.raises(RunError, match=r"^step 'length' drops 1 of 1 .*99 of 100 rows were left out: earlier rows"):
        mill.run([{"kind": "length", "min_chars": 1000, "max_drop_ratio": 0.5}])


@pytest.mark.parametrize(("bad", "lines"), [(1, 0), (3, 1)])
def test_a_few_rows_that_are_left_out_are_counted_without_a_warning(mill: Mill, bad: int, lines: int) -> None:
    mill.jsonl("a", ({"text": "" if place < bad else f"number {place}"} for place in range(400)))
    ran = mill.run([])
    assert ran.summary["rows"]["quarantined"] == bad
    said = [f"{bad} of 400 rows of input 'docs' were left out ({bad} empty_text)"]
    assert ran.summary["warnings"] == said[:lines]


def test_bad_rows_of_a_reference_are_not_taken_for_repeated_ids(letters: Mill) -> None:
    letters.jsonl("c", [{"text": ""}, {"text": "abc"}], folder="c")
    letters.inputs = [*letters.inputs, {"name": "c", "path": "{home}/c/*.jsonl", "role": "reference"}]
    ran = letters.run([])
    assert ran.summary["warnings"] == ["1 of 2 rows of input 'c' were left out (1 empty_text)"]


def test_warnings_that_are_no_list_of_sentences_name_their_step(letters: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_warnings, "WARNINGS", "training.json")
    with pytest.raises(RunError, match=r"'tok' left a training.json"):
        letters.run([{**TRAIN, "vocab_sizes": [258]}])


def test_the_terminal_shows_them_after_the_summary_and_json_holds_them(
    letters: Mill, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(letters.home)
    recipe = letters.recipe([{**TRAIN, "vocab_sizes": [9000]}]).model_dump(mode="json")
    Path("r.yaml").write_text(json.dumps(recipe))
    assert main(["run", "r.yaml", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("warning: step 'tok': ")
    assert main(["run", "r.yaml", "--workers", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert (len(json.loads(said.out)["warnings"]), said.err) == (1, "")


def test_a_source_that_a_priority_names_and_no_document_has_is_told(letters: Mill) -> None:
    nobody = {"kind": "gopher_quality", "name": "strict", "min_words": 1000, "max_drop_ratio": 1}
    ranked = {"kind": "exact_dedup", "priority": ["a", "boks"]}
    assert letters.run([ranked]).summary["warnings"] == [
        "step 'exact_dedup': no document has the source 'boks', which its priority names"
    ]
    warnings = letters.run([nobody, ranked]).summary["warnings"]
    assert not [line for line in warnings if "'a'" in line]


def test_bands_that_miss_most_pairs_at_the_threshold_are_told_also_where_all_is_found_done(letters: Mill) -> None:
    steps = [{"kind": "minhash_dedup", "bands": 1, "rows": 512}]
    (line,) = letters.run(steps).summary["warnings"]
    assert line.startswith("step 'minhash_dedup': of the pairs at its threshold 0.8, 1 band of 512 rows compares")
    assert letters.run(steps).summary["warnings"] == [line]
