"""Mixture inference as a step and as a command: shares come back, and what cannot be explained is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from operators import mixtures
from operators.base import DataError, RecipeError, RunError
from operators.infer_mixture import InferMixture
from operators.mixture_intervals import MixtureIntervals
from operators.mixture_program import Limits
from operators.rank_files import rank_lines
from operators.tokenizer_files import from_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from pipeline.cli import main
from tests.operators.harness import Engine, corpus, run

WORDS = {
    "birds": "wren robin heron stork raven crane finch swift eagle gull",
    "stones": "quartz slate marble flint basalt jade opal onyx agate gneiss",
    "tools": "hammer chisel spanner pliers wrench drill lathe anvil vise awl",
}
WEIGHTS = {"birds": 5, "stones": 2, "tools": 1}


def texts(kind: str, number: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    words = WORDS[kind].split()
    chances = random.dirichlet(np.ones(len(words)))
    return [" ".join(random.choice(words, 20, p=chances)) for _ in range(number)]


def table(repeated: bool) -> pa.Table:
    """100 documents of each kind, by the weights where they are to count so often."""
    rows = [(kind, text) for seed, kind in enumerate(WORDS) for text in texts(kind, 100, seed)]
    found = corpus([text for _, text in rows]).append_column("kind", pa.array([kind for kind, _ in rows]))
    if not repeated:
        return found
    return found.append_column("repeat", pa.array([WEIGHTS[kind] for kind, _ in rows], pa.int32()))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    step = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(1000,))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(run(step, [table(repeated=True)]).artifacts["train"].read("tokenizer.json"))
    return str(path)


def inferred(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.artifacts["solve"].read("mixture.json"))
    return found


def test_the_shares_of_the_training_text_come_back(tokenizer: str) -> None:
    rows = table(repeated=False)
    found = inferred(run(InferMixture(tokenizer=tokenizer, by="kind", tolerance_ppm=0.001), [rows]))
    sizes = {kind: WEIGHTS[kind] * sum(map(len, texts(kind, 100, seed))) for seed, kind in enumerate(WORDS)}
    shares = {kind: entry["bytes"] for kind, entry in found["categories"].items()}
    assert shares == pytest.approx({kind: size / sum(sizes.values()) for kind, size in sizes.items()}, abs=1e-6)
    assert found["explains"]
    assert found["violations"] == []
    assert found["merges"]["missing"] == 0
    assert found["by"] == "kind"
    assert sum(entry["pairs"] for entry in found["categories"].values()) == pytest.approx(1)


def width(found: dict[str, Any]) -> float:
    """Of the ranges of all categories."""
    return float(sum(entry["range"][1] - entry["range"][0] for entry in found["categories"].values()))


def test_intervals_hold_the_share_and_are_narrow_where_merges_are_many(tokenizer: str) -> None:
    rows = table(repeated=False)
    given = {"tokenizer": tokenizer, "by": "kind", "range": 0.01, "bootstrap": 8, "tolerance_ppm": 20}
    step = InferMixture.model_validate(given)
    found = inferred(run(step, [rows]))
    assert found == inferred(run(step, [rows]))
    for name, entry in found["categories"].items():
        low, high = entry["range"]
        assert 0 <= low <= entry["bytes"] <= high <= 1, name
        assert high - low < 0.05
        assert entry["bootstrap"] == pytest.approx([entry["bytes"]] * 2, abs=1e-12)  # as no merge is out of order
    few = inferred(run(step.model_copy(update={"merges": 2}), [rows]))
    assert width(few) > 5 * width(found)
    without = inferred(run(InferMixture(tokenizer=tokenizer, by="kind"), [rows]))
    assert not {"range", "bootstrap"} & without["categories"]["birds"].keys()


@pytest.mark.parametrize("merges", [5, 30_000])
def test_each_interval_is_the_same_with_the_other_and_without(tokenizer: str, merges: int) -> None:
    rows = table(repeated=False)
    given = {"range": 0.01, "bootstrap": 4}
    step = InferMixture(tokenizer=tokenizer, by="kind", merges=merges, tolerance_ppm=50)
    both = inferred(run(step.model_copy(update=given), [rows]))
    for key, value in given.items():
        alone = inferred(run(step.model_copy(update={key: value}), [rows]))
        for name, entry in alone["categories"].items():
            assert entry[key] == pytest.approx(both["categories"][name][key], abs=1e-9), name
        assert alone["determined"] == both["determined"]  # also where only a bootstrap was asked for


def test_intervals_are_those_of_the_level_that_was_finished(tokenizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A level that was given up leaves rows behind that the solution before it violates."""
    rows = table(repeated=False)
    without = rows.filter(pa.array([kind != "birds" for kind in rows["kind"].to_pylist()]))
    whole = inferred(run(InferMixture(tokenizer=tokenizer, by="kind", tolerance_ppm=200, range=0), [without]))
    enough = whole["program"]["iterations"] + 1
    monkeypatch.setattr("operators.mixture_solving.Limits", lambda: Limits(iterations=enough))
    engine = run(InferMixture(tokenizer=tokenizer, by="kind", tolerance_ppm=1, range=0), [without])
    found = inferred(engine)
    assert found["tolerance_ppm"] == 200
    assert found["categories"] == whole["categories"]
    assert found["categories"]["tools"]["range"]
    assert any("solved to 200 ppm" in line for line in json.loads(engine.artifacts["solve"].read("_warnings.json")))


def test_intervals_that_take_too_long_are_left_out_and_that_is_said(
    tokenizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object) -> None:
        raise RuntimeError("not solved within 5 simplex iterations")

    monkeypatch.setattr(MixtureIntervals, "resampled", too_long)
    engine = run(InferMixture(tokenizer=tokenizer, by="kind", bootstrap=3), [table(repeated=False)])
    assert "bootstrap" not in inferred(engine)["categories"]["birds"]
    assert json.loads(engine.artifacts["solve"].read("_warnings.json")) == [
        "there are no intervals: one of them was not solved within 5 simplex iterations"
    ]


def test_what_the_categories_lack_is_named(tokenizer: str) -> None:
    rows = table(repeated=False)
    without = rows.filter(pa.array([kind != "birds" for kind in rows["kind"].to_pylist()]))
    engine = run(InferMixture(tokenizer=tokenizer, by="kind"), [without])
    found = inferred(engine)
    assert not found["explains"]
    assert {"merge", "pair"} == set(found["missing"][0])
    assert any("far earlier than any mixture" in violation["says"] for violation in found["violations"])
    assert "stand in no category" in json.loads(engine.artifacts["solve"].read("_warnings.json"))[0]


def warned(engine: Engine) -> list[str]:
    """What the step warns of."""
    artifact = engine.artifacts["solve"]
    found: list[str] = json.loads(artifact.read("_warnings.json"))
    return found


@pytest.mark.parametrize("merges", [1, 5])
def test_few_merges_explain_well_and_do_not_determine_the_shares(tokenizer: str, merges: int) -> None:
    engine = run(InferMixture(tokenizer=tokenizer, by="kind", merges=merges), [table(repeated=False)])
    found = inferred(engine)
    assert (found["fit"], found["determined"]) == ("well", False)
    assert found["verdict"].startswith("the merges do not determine the shares: mixtures about as good have from")
    assert warned(engine) == [found["verdict"]]
    assert not {"range"} & found["categories"]["birds"].keys()  # nobody asked


def test_equal_categories_are_said_to_be_open_and_many_merges_to_determine_others(tokenizer: str) -> None:
    rows = table(repeated=False)
    assert inferred(run(InferMixture(tokenizer=tokenizer, by="kind"), [rows]))["determined"]
    kinds = [f"birds {place % 2}" if kind == "birds" else kind for place, kind in enumerate(rows["kind"].to_pylist())]
    text = [texts("birds", 1, 0)[0] if kind.startswith("birds") else text
            for kind, text in zip(kinds, rows["text"].to_pylist(), strict=True)]  # fmt: skip
    twice = corpus(text).append_column("kind", pa.array(kinds))
    found = inferred(run(InferMixture(tokenizer=tokenizer, by="kind"), [twice]))
    assert found["determined"] is False
    assert "of 'birds" in found["verdict"]


def test_one_category_is_nothing_to_infer(tokenizer: str) -> None:
    rows = table(repeated=False).filter(pa.array([kind == "birds" for kind in table(False)["kind"].to_pylist()]))
    engine = run(InferMixture(tokenizer=tokenizer, by="kind"), [rows])
    assert "there is one category, so there is nothing to infer" in warned(engine)[0]


def test_merges_may_be_skipped(tokenizer: str) -> None:
    rows = table(repeated=False)
    whole = inferred(run(InferMixture(tokenizer=tokenizer, by="kind"), [rows]))
    tail = inferred(run(InferMixture(tokenizer=tokenizer, by="kind", skip=5), [rows]))
    assert tail["merges"]["used"] == whole["merges"]["used"] - 5
    shares = [entry["bytes"] for entry in tail["categories"].values()]
    assert shares == pytest.approx([entry["bytes"] for entry in whole["categories"].values()], abs=0.05)
    late = InferMixture(tokenizer=tokenizer, by="kind", skip=10_000)
    with pytest.raises(RecipeError, match="10000 are skipped"):
        late.check()
    with pytest.raises(RunError, match="none is left to infer"):  # as of a step's tokenizer, known late
        run(late, [rows])


def test_documents_without_a_category_are_one(tokenizer: str) -> None:
    rows = table(repeated=False)
    kinds = [None if kind == "tools" else kind for kind in rows["kind"].to_pylist()]
    rows = rows.set_column(rows.schema.get_field_index("kind"), "kind", pa.array(kinds, pa.string()))
    engine = run(InferMixture(tokenizer=tokenizer, by="kind"), [rows])
    found = inferred(engine)
    assert set(found["categories"]) == {"birds", "stones", "null"}
    size = found["categories"]["null"]["text_bytes"]
    assert f"{size:,} bytes of text have no 'kind': they are the category 'null'" in warned(engine)
    named = rows.set_column(
        rows.schema.get_field_index("kind"), "kind", pa.array(["null" if kind == "birds" else kind for kind in kinds])
    )
    (said,) = [line for line in warned(run(InferMixture(tokenizer=tokenizer, by="kind"), [named])) if "have no" in line]
    assert said.startswith(f"{size:,} bytes of text have no 'kind'")
    assert said.endswith("they are the category 'null', together with what has the kind 'null'")


def test_rows_that_were_left_out_are_told_of(
    tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [*table(repeated=False).select(["text", "kind"]).to_pylist(), *[{"text": "", "kind": "gone"}] * 3]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["infer", tokenizer, "--data", "a.jsonl", "--by", "kind", "--workers", "1"]
    said = "3 of 303 rows of input 'data' were left out (3 empty_text)"
    gone = "no text is left of kind 'gone', so the table does not have it"
    assert main([*command, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["warnings"][:2] == [gone, said]
    assert main(command) == 0
    assert f"warning: {gone}\nwarning: {said}\n" in capfd.readouterr().err


def warned_of(tokenizer: str, capfd: pytest.CaptureFixture[str], by: str, *data: str) -> list[str]:
    """What the command warns of, but for the verdict."""
    given = [part for path in data for part in ("--data", path)]
    assert main(["infer", tokenizer, *given, "--by", by, "--workers", "1", "--json"]) == 0
    return [line for line in json.loads(capfd.readouterr().out)["warnings"] if not line.startswith("step ")]


@pytest.mark.parametrize(
    ("write", "name"), [(pq.write_table, "a.parquet"), (feather.write_feather, "a.feather")], ids=["parquet", "arrow"]
)
def test_a_category_that_is_no_string_is_named_too(
    write: Callable[[pa.Table, str], None], name: str, tokenizer: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    rows = table(repeated=False).select(["text"])
    number = pa.array([*(place % 2 for place in range(rows.num_rows)), 1, 7, 8, None], pa.int32())
    texts = [*rows["text"].to_pylist(), "", " ", None, ""]
    write(pa.table({"text": texts, "level": number}), name)
    gone, said = warned_of(tokenizer, capfd, "level", name)
    assert gone == "no text is left of level '7', '8', 'null', so the table does not have it"
    assert said == "4 of 304 rows of input 'data' were left out (3 empty_text, 1 null_text)"


def test_categories_whose_json_lines_are_all_unusable_are_named(
    tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = table(repeated=False).select(["text", "kind"]).to_pylist() * 3  # The first 64 kB say that all have an id.
    rows: list[dict[str, Any]] = [{"id": str(place), **row} for place, row in enumerate(good)]
    rows += [
        {"id": "a", "kind": "null text", "text": None},
        {"id": "b", "kind": "number", "text": 7},
        {"id": "c", "kind": "no text"},
        {"id": None, "kind": "null id", "text": "there"},
        {"id": "e", "kind": "empty", "text": ""},
        {"id": "f", "kind": "surrogate", "text": "\ud800"},
        {"id": "g", "kind": "large", "text": "x" * 70_000_000},
        {"id": "h", "text": 7},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    content += b'{"id": "i", "kind": "bytes", "text": "\xff"}\n["no object"]\nno JSON\n'
    (tmp_path / "a.jsonl").write_bytes(content)
    gone = warned_of(tokenizer, capfd, "kind", "a.jsonl")[0]
    names = ["bytes", "empty", "large", "no text", "null", "null id", "null text", "number", "surrogate"]
    assert gone == f"no text is left of kind {mixtures.some_of(names)}, so the table does not have it"


def test_an_input_without_a_document_and_a_category_whose_ids_are_taken_are_named(
    tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds, texts = (table(repeated=False)[name].to_pylist() for name in ("kind", "text"))
    ids = [place % 200 for place in range(len(kinds))]
    rows = [{"id": i, "kind": kind, "text": text} for i, kind, text in zip(ids, kinds, texts, strict=True)]
    (tmp_path / "a#1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.txt").write_text(" \n")
    (tmp_path / "c.jsonl").write_text("no JSON\n")
    gone, said = warned_of(tokenizer, capfd, "kind", "a#1.jsonl")
    assert gone == "no text is left of kind 'tools', so the table does not have it"
    assert said.startswith("100 of 300 rows were left out: earlier rows have their ids, for instance '")
    assert warned_of(tokenizer, capfd, "source", "web=a#1.jsonl", "empty=b.txt", "broken=c.jsonl")[0] == (
        "no text is left of source 'broken', 'empty', so the table does not have it"
    )


def test_an_output_that_is_a_file_is_refused_as_by_run(
    tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "wren robin"}) + "\n")
    for out in ("a.jsonl", "a.jsonl/below"):
        assert main(["infer", tokenizer, "--data", "a.jsonl", "--by", "source", "--out", out]) == 2
        said = capfd.readouterr().err
        assert f"vocabmill: --out: {out!r}: " in said
        assert "a.jsonl' is a file, not a directory; choose another place" in said


def test_an_inference_replaces_only_its_own_output(
    tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = table(repeated=False).select(["text", "kind"]).to_pylist()
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["infer", tokenizer, "--data", "a.jsonl", "--by", "kind", "--workers", "1", "--out"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "report.html").write_text("mine")
    assert main([*command, "notes"]) == 2
    assert "vocabmill: --out: 'notes': it already holds a 'report.html'" in capfd.readouterr().err
    assert (tmp_path / "notes" / "report.html").read_text() == "mine"
    recipe = {"name": "demo", "seed": 0, "inputs": [{"name": "a", "path": "a.jsonl"}],
              "steps": [{"kind": "exact_dedup"}], "outputs": {"path": "demo"}}  # fmt: skip
    (tmp_path / "demo.yaml").write_text(json.dumps(recipe))
    assert main(["run", "demo.yaml", "--workers", "1"]) == 0
    before = (tmp_path / "demo" / "manifest.json").read_bytes()
    capfd.readouterr()
    assert main([*command, "demo"]) == 2
    assert "--out: 'demo' holds the output of another recipe ('demo')" in capfd.readouterr().err
    assert (tmp_path / "demo" / "manifest.json").read_bytes() == before
    assert main([*command, "mine"]) == main([*command, "mine", "--merges", "50"]) == 0
    assert json.loads((tmp_path / "mine/artifacts/infer_mixture/mixture.json").read_bytes())["merges"]["used"] == 50


def test_a_category_without_pairs_is_refused(tokenizer: str) -> None:
    rows = pa.concat_tables([table(repeated=False), corpus(["a"]).append_column("kind", pa.array(["empty"]))])
    with pytest.raises(DataError, match="kind 'empty': no text there"):
        run(InferMixture(tokenizer=tokenizer, by="kind"), [rows])


def test_the_command_says_the_same(
    tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = table(repeated=False)
    for kind in WORDS:
        some = [
            text for name, text in zip(rows["kind"].to_pylist(), rows["text"].to_pylist(), strict=True) if name == kind
        ]
        (tmp_path / f"{kind}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
    data = [part for kind in WORDS for part in ("--data", f"{kind}={kind}.jsonl")]
    ranks = tmp_path / "ranks.tiktoken"
    ranks.write_bytes(rank_lines(from_tokenizer_json(Path(tokenizer).read_bytes()).ids))
    command = ["infer", str(ranks), "--pretokenizer", "gpt2", *data, "--workers", "1"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)  # and nothing else, from the solver neither
    assert found["categories"]["birds"]["bytes"] == pytest.approx(5 / 8, abs=0.05)
    assert set(found["seconds"]) == {"count", "replay", "solve"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "birds.jsonl",
        "ranks.tiktoken",
        "stones.jsonl",
        "tools.jsonl",
    ]
    assert main([*command, "--out", "out", "--range", "0.01", "--bootstrap", "2"]) == 0
    head, first = capfd.readouterr().out.splitlines()[:2]
    assert head.split() == ["category", "bytes", "pairs", "range", "bootstrap"]
    assert "birds" in first
    assert (tmp_path / "out" / "report.html").exists()
    assert main(["infer", str(ranks), *data]) == 2
    assert "name its pretokenizer" in capfd.readouterr().err


def test_a_pretokenizer_that_cuts_what_was_merged_is_doubted(tmp_path: Path) -> None:
    """Trained on whole texts, and cut at words: merges across spaces stand in none."""
    rows = table(repeated=False)
    step = TrainTokenizer(pretokenizer="custom", pattern=r"[\s\S]+", vocab_sizes=(400,))
    ranks = tmp_path / "ranks.tiktoken"
    content = run(step, [rows]).artifacts["train"].read("tokenizer.json")
    ranks.write_bytes(rank_lines(from_tokenizer_json(content).ids))
    for pretokenizer, doubted in (("gpt2", True), ("custom", False)):
        pattern = r"[\s\S]+" if pretokenizer == "custom" else ""
        given = {"tokenizer": str(ranks), "by": "kind", "pretokenizer": pretokenizer, "pattern": pattern}
        engine = run(InferMixture.model_validate({**given, "tolerance_ppm": 200}), [rows])
        cut = inferred(engine)["merges"]["cut"]
        assert (cut > 10) is doubted
        assert not doubted or any(line.startswith(f"{cut} of ") and "is it the one" in line for line in warned(engine))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--range", "20"], "vocabmill: --range: expected at most 10, not 20.0"),
        (["--skip", "-1"], "vocabmill: --skip: expected at least 0, not -1"),
        (["--tolerance-ppm", "0"], "vocabmill: --tolerance-ppm: expected more than 0, not 0.0"),
        (
            ["--bootstrap", "1"],
            "vocabmill: --bootstrap: one resample has no interval: expected 0 for none, or at least 2",
        ),
        (["--data", "m\u00fc=a.jsonl"], "vocabmill: --data m\u00fc=a.jsonl: its name: expected a letter or digit"),
        (["--data", "my-web.old=absent.jsonl"], "inputs.my-web.old: absent.jsonl: no such file"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_given(
    given: list[str], says: str, tokenizer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a b"}) + "\n")
    assert main(["infer", tokenizer, "--data", "a.jsonl", *given, "--workers", "1"]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert "steps[0]" not in said
