import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import DataError, RecipeError
from pipeline.check import check_recipe
from pipeline.headers import HEAD_BYTES, LOOK_AT, read_header
from pipeline.recipe import Input, Recipe

ROOT = Path(__file__).resolve().parents[2]


def recipe_of(out: Path, *inputs: object, steps: tuple[object, ...] = ()) -> Recipe:
    return Recipe.model_validate({"name": "r", "inputs": inputs, "steps": steps, "outputs": {"path": str(out)}})


def entry(path: Path | str, **more: object) -> dict[str, object]:
    return {"name": "docs", "path": str(path), **more}


def header(path: Path | str, **more: object) -> dict[str, pa.DataType]:
    return read_header(Input.model_validate(entry(path, **more))).columns


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_the_lines_say_files_sizes_steps_and_columns(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("x" * 500)
    recipe = recipe_of(
        tmp_path / "out", entry(tmp_path / "*.txt", labels={"domain": "web"}), steps=({"kind": "exact_dedup"},)
    )
    assert check_recipe(recipe) == [
        "docs: 3 files, 1.5 kB, text",
        "1 step, 7 stages, columns: id, text, source, path, domain",
        f"output: {tmp_path / 'out'}",
        "ok",
    ]


def test_checking_writes_nothing(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"text": "a"})
    check_recipe(recipe_of(tmp_path / "out", entry(tmp_path / "a.jsonl")), work_dir=str(tmp_path / "work"))
    assert [path.name for path in tmp_path.rglob("*")] == ["a.jsonl"]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
def test_stored_schemas_are_read(tmp_path: Path, kind: str) -> None:
    table = pa.table({"text": ["a"], "score": pa.array([1], pa.int8()), "tags": [["x"]]})
    path = tmp_path / f"a.{'parquet' if kind == 'parquet' else 'arrow'}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with make(str(path), table.schema) as writer:
            writer.write_table(table)
    assert header(path) == {"text": pa.string(), "score": pa.int8(), "tags": pa.list_(pa.string())}


def test_a_saved_dataset_says_its_columns(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    table = pa.table({"text": ["a"], "stars": [5]})
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text("{}")
    assert header(folder) == {"text": pa.string(), "stars": pa.int64()}


def test_json_lines_are_peeked_into(tmp_path: Path) -> None:
    rows = [{"text": "a", "n": None, "m": 1}, {"text": "b", "n": 1, "m": 0.5, "deep": {"x": 1}}]
    found = read_header(Input.model_validate(entry(write_lines(tmp_path / "a.jsonl", *rows))))
    deep = pa.struct([("x", pa.int64())])
    assert found.columns == {"text": pa.string(), "n": pa.int64(), "m": pa.float64(), "deep": deep}
    assert found.is_open


def test_only_the_head_of_json_lines_is_read(tmp_path: Path) -> None:
    filler = [{"text": "x" * 1_000}] * (HEAD_BYTES // 1_000 + 1)
    path = write_lines(tmp_path / "a.jsonl", *filler, {"text": "y", "late": 1})
    assert set(header(path)) == {"text"}
    assert set(header(path, columns={"keep": ["late"]})) == {"text", "late"}


def test_a_long_first_line_is_read_whole(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "x" * 3 * HEAD_BYTES, "after": 1})
    assert set(header(path)) == {"text", "after"}


def test_keep_closes_the_columns_of_json_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a", "lang": "de"})
    sampled = ({"kind": "sample", "docs": 1, "by": "topic"},)
    check_recipe(recipe_of(tmp_path / "out", entry(path), steps=sampled))
    with pytest.raises(RecipeError, match="'sample' reads the column 'topic'"):
        check_recipe(recipe_of(tmp_path / "out", entry(path, columns={"keep": ["lang"]}), steps=sampled))


def test_a_column_that_json_lines_do_not_show_is_noted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a", "lang": "de"})
    for by, is_noted in (("topic", True), ("lang", False)):
        lines = check_recipe(recipe_of(tmp_path / "out", entry(path), steps=({"kind": "sample", "docs": 1, "by": by},)))
        note = (
            "  note: step 'sample' reads the column 'topic', which is not among those seen "
            "(id, lang, source, text); the run will tell whether it is there"
        )
        assert (note in lines) == is_noted
        assert lines[-1] == "ok"


def test_a_column_that_an_earlier_step_adds_is_not_noted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a"})
    steps = ({"kind": "minhash_dedup"}, {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [300]})
    assert not [line for line in check_recipe(recipe_of(tmp_path / "out", entry(path), steps=steps)) if "note" in line]


def test_code_and_text_have_the_columns_that_their_readers_make(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "a.txt").write_text("x")
    assert header(tmp_path / "a.py") == {"text": pa.string(), "path": pa.string(), "language": pa.string()}
    assert header(tmp_path / "a.txt") == {"text": pa.string(), "path": pa.string()}


def test_of_many_files_a_few_are_looked_at_and_the_schema_stays_open(tmp_path: Path) -> None:
    for number in range(LOOK_AT + 1):
        pq.write_table(pa.table({"text": ["a"]}), tmp_path / f"{number:03}.parquet")
    assert read_header(Input.model_validate(entry(tmp_path))).is_open
    (tmp_path / "000.parquet").unlink()
    assert not read_header(Input.model_validate(entry(tmp_path))).is_open


def test_a_damaged_file_is_a_note_while_others_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"inputs\.docs: no file can be read as parquet: a\.parquet"):
        check_recipe(recipe_of(tmp_path / "out", entry(tmp_path / "*.parquet")))
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "b.parquet")
    lines = check_recipe(recipe_of(tmp_path / "out", entry(tmp_path / "*.parquet")))
    assert lines[1].startswith("  note: a.parquet")
    assert lines[-1] == "ok"


def test_a_truncated_gzip_is_peeked_into_as_far_as_it_goes(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"text": "a", "lang": "de"}\n' * 90_000)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    assert set(header(tmp_path / "a.jsonl.gz")) == {"text", "lang"}


def test_what_a_mapping_names_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "number": [1.5], "lang": ["de"]}), path)
    for columns, said in (
        ({"rename": {"language": "l"}}, "columns.rename: no file has a column 'language'"),
        ({"keep": ["topic"]}, "columns.keep: no file has a column 'topic'"),
        ({"id": "key"}, "no column 'key', only lang, number, text"),
        ({"id": "number"}, "the id column 'number' is double"),
        ({"rename": {"lang": "text"}}, "columns 'text' and 'lang' would both be named 'text'"),
        ({"rename": {"lang": "_row"}}, "the column '_row' has a name that the engine uses"),
    ):
        with pytest.raises(RecipeError) as caught:
            check_recipe(recipe_of(tmp_path / "out", entry(path, columns=columns)))
        assert said in str(caught.value)


def test_a_rename_that_json_lines_may_still_hit_is_a_note(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a", "id": "x"})
    lines = check_recipe(recipe_of(tmp_path / "out", entry(path, columns={"rename": {"rare": "seldom"}})))
    assert lines[1:3] == [
        "  note: columns.rename: no file has a column 'rare', so far as looked at",
        "  note: the column 'id' holds the documents' ids",
    ]


@pytest.mark.parametrize("label", ["id", "text", "source", "lang"])
def test_a_label_may_not_take_a_columns_name(tmp_path: Path, label: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a", "lang": "de"})
    with pytest.raises(RecipeError, match=rf"inputs\.docs: labels: .*'{label}'"):
        check_recipe(recipe_of(tmp_path / "out", entry(path, labels={label: "x"})))


def test_inputs_whose_types_clash_are_both_named(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "a.jsonl", {"text": "a", "n": 1})
    two = write_lines(tmp_path / "b.jsonl", {"text": "a", "n": "one"})
    with pytest.raises(DataError, match=r"'n' is int64 in input 'docs' and string in input 'more'"):
        check_recipe(recipe_of(tmp_path / "out", entry(one), {"name": "more", "path": str(two)}))


def test_a_reference_is_checked_and_adds_no_column(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "a.jsonl", {"text": "a"})
    two = tmp_path / "b.parquet"
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), two)
    reference = {"name": "heldout", "path": str(two), "role": "reference"}
    lines = check_recipe(recipe_of(tmp_path / "out", entry(one), reference))
    assert "columns: id, text, source, and what else the inputs hold" in lines[2]
    with pytest.raises(RecipeError, match=r"inputs\.heldout: b\.parquet: the file has no column 'body'"):
        check_recipe(recipe_of(tmp_path / "out", entry(one), {**reference, "columns": {"text": "body"}}))


def test_lines_as_documents_are_for_text(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a"})
    with pytest.raises(RecipeError, match="`documents: line` is for text files; these are jsonl"):
        check_recipe(recipe_of(tmp_path / "out", entry(path, documents="line")))


def test_an_output_that_an_earlier_run_left_is_ours(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "a"})
    out = tmp_path / "out"
    (out / ".versions" / "v" / "corpus").mkdir(parents=True)
    (out / "corpus").symlink_to(".versions/v/corpus")
    assert check_recipe(recipe_of(out, entry(path)))[-1] == "ok"


def test_files_in_memory_are_listed_and_peeked_into() -> None:
    import fsspec

    with fsspec.open("memory://check/a.jsonl", "w") as file:
        file.write('{"text": "a", "lang": "de"}\n')
    assert set(header("memory://check/*.jsonl")) == {"text", "lang"}


def test_a_protocol_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nosuch://bucket/x\.jsonl"):
        check_recipe(recipe_of(tmp_path / "out", entry("nosuch://bucket/x.jsonl")))


def test_a_check_imports_nothing_heavy(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"text": "a"})
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    steps = "".join(
        f"  - kind: {kind}\n" for kind in ("exact_dedup", "minhash_dedup", "gopher_quality", "corpus_stats")
    )
    (tmp_path / "r.yaml").write_text(
        "name: r\ninputs:\n  - {name: a, path: a.jsonl}\n  - {name: b, path: a.parquet}\nsteps:\n"
        f"{steps}  - {{kind: train_tokenizer, pretokenizer: gpt2, vocab_sizes: [300]}}\noutputs: {{path: out}}\n"
    )
    code = (
        "import sys; from pipeline.cli import main; status = main(['check', 'r.yaml']); "
        "heavy = {'numba', 'pandas', 'datasets', 'tokenizers', 'ray', 'torch', 'fasttext'} & set(sys.modules); "
        "print(status, sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-2:] == ["ok", "0 []"]


def test_ids_are_taken_by_themselves_only_where_every_object_has_one(tmp_path: Path) -> None:
    full = write_lines(tmp_path / "a.jsonl", {"text": "a", "id": "x"}, {"text": "b", "id": "y"})
    assert read_header(Input.model_validate(entry(full))).has_ids
    partly = write_lines(tmp_path / "b.jsonl", {"text": "a", "id": "x"}, {"text": "b"})
    assert not read_header(Input.model_validate(entry(partly))).has_ids


@pytest.mark.parametrize("megabytes", [1, 2, 5])
def test_ids_are_taken_however_long_the_first_line_is(tmp_path: Path, megabytes: int) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "x" * megabytes * 1_000_000, "id": "x"}, {"text": "b", "id": "y"})
    found = read_header(Input.model_validate(entry(path)))
    assert found.has_ids
    assert set(found.columns) == {"text", "id"}


@pytest.mark.parametrize("first", ["", "\n\n", "no object\n", "x" * 2_000_000 + "\n"])
def test_lines_without_an_object_tell_nothing_about_ids(tmp_path: Path, first: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(first)
    assert not read_header(Input.model_validate(entry(path))).has_ids
    write_lines(tmp_path / "b.jsonl", {"text": "b", "id": "y"})
    given = entry(tmp_path / "*.jsonl", max_document_mb=1)
    assert read_header(Input.model_validate(given)).has_ids
    with path.open("a") as lines:
        lines.write('{"text": "c"}\n')
    assert not read_header(Input.model_validate(given)).has_ids


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    "step",
    [
        {"kind": "corpus_stats", "by": ["lang", "meta"]},
        {"kind": "exact_dedup", "column": "meta"},
        {"kind": "sample", "docs": 1, "by": "meta"},
    ],
)
def test_a_step_that_cannot_read_a_nested_column_names_itself_and_the_column(
    step: dict[str, object], suffix: str, tmp_path: Path
) -> None:
    rows = [{"text": "a", "lang": "en", "meta": {"x": 1}}]
    path = write_lines(tmp_path / "a.jsonl", *rows)
    if suffix == "parquet":
        path = tmp_path / "a.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    recipe = recipe_of(tmp_path / "out", entry(path), steps=({**step, "name": "odd"},))
    with pytest.raises(RecipeError, match=r"^step 'odd': the column 'meta' is struct<x: int64>, .* name another$"):
        check_recipe(recipe)


def test_bytes_may_be_compared_but_not_be_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "raw": [b"\xff"]}), tmp_path / "a.parquet")
    compared = {"kind": "exact_dedup", "column": "raw"}
    assert check_recipe(recipe_of(tmp_path / "out", entry(tmp_path / "a.parquet"), steps=(compared,)))[-1] == "ok"
    named: tuple[dict[str, object], ...] = (
        {"kind": "corpus_stats", "by": ["raw"]},
        {**compared, "normalise": "whitespace_case"},
    )
    for step in named:
        with pytest.raises(RecipeError, match="the column 'raw' is binary, which has no text form"):
            check_recipe(recipe_of(tmp_path / "out", entry(tmp_path / "a.parquet"), steps=(step,)))


@pytest.mark.parametrize("ids", [[10**20, 10**20 + 1], [1, 2.5]])
def test_ids_that_are_no_ids_come_with_both_ways_out(ids: list[float], tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *({"text": "a", "id": value, "key": "k"} for value in ids))
    with pytest.raises(DataError, match=r"'id' is double; .*`columns: {rename: {id: other_id}}`; .* add `id: NAME`"):
        header(path)
    assert header(path, columns={"id": "key", "rename": {"id": "other_id"}})["id"] == pa.string()
    assert header(path, columns={"rename": {"id": "other_id"}})["other_id"] == pa.float64()


def test_integer_ids_with_a_gap_in_parquet_are_refused_with_the_reason(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "id": [1.0, None]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="integers become floats where some are null"):
        header(tmp_path / "a.parquet")
    columns = header(tmp_path / "a.parquet", columns={"rename": {"id": "other_id"}})
    assert columns["other_id"] == pa.float64()


def notes_of(tmp_path: Path, steps: tuple[object, ...], *rows: object) -> list[str]:
    path = write_lines(tmp_path / "a.jsonl", *(rows or ({"text": "a"},)))
    lines = check_recipe(recipe_of(tmp_path / "out", entry(path), steps=steps))
    return [line for line in lines if line.startswith("  note: step")]


def test_a_source_in_a_priority_that_is_no_inputs_name_is_noted(tmp_path: Path) -> None:
    steps = ({"kind": "exact_dedup", "priority": ["docs", "dosc"]}, {"kind": "minhash_dedup", "priority": ["books"]})
    assert notes_of(tmp_path, steps) == [
        "  note: step 'exact_dedup' has 'dosc' in its priority, which is no input's name; did you mean 'docs'?",
        "  note: step 'minhash_dedup' has 'books' in its priority, which is no input's name; the inputs are docs",
    ]
    assert notes_of(tmp_path, steps, {"text": "a", "source": "books"}) == []


def test_bands_that_miss_most_pairs_at_the_threshold_are_noted(tmp_path: Path) -> None:
    (note,) = notes_of(tmp_path, ({"kind": "minhash_dedup", "bands": 1, "rows": 512},))
    assert note.startswith(
        "  note: step 'minhash_dedup': of the pairs at its threshold 0.8, 1 band of 512 rows compares"
    )
    assert (
        notes_of(tmp_path, ({"kind": "minhash_dedup"}, {"kind": "minhash_dedup", "name": "b", "threshold": 0.1})) == []
    )


def test_a_scheme_that_needs_what_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    told = r"step 'minhash_dedup': .* need spaCy, which is not installed: pip install 'vocabmill\[parity\]'"
    with pytest.raises(RecipeError, match=told):
        notes_of(tmp_path, ({"kind": "minhash_dedup", "scheme": "datatrove"},))
