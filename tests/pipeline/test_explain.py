import hashlib
from pathlib import Path

import pytest

from pipeline.executors.local import LocalExecutor
from pipeline.explain import explain
from pipeline.recipe import Recipe
from pipeline.session import run_recipe

GOLDEN = Path(__file__).resolve().parent.parent / "data" / "plans"
STEPS = (
    {"kind": "exact_dedup", "name": "exact"},
    {"kind": "minhash_dedup", "name": "near", "audit": True},
    {"kind": "sample", "name": "few", "docs": 5},
    {"kind": "train_tokenizer", "name": "tok", "pretokenizer": "gpt2", "vocab_sizes": [260]},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("web", "books"):
        lines = [f'{{"text": "{name} has the text number {number % 7} and some more words"}}\n' for number in range(9)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    return tmp_path


def recipe_of(*steps: object, **more: object) -> Recipe:
    inputs: list[dict[str, object]]
    inputs = [{"name": name, "path": f"{name}.jsonl", "columns": {"keep": []}} for name in ("web", "books")]
    return Recipe.model_validate({"name": "r", "inputs": inputs, "steps": steps, "outputs": {"path": "out"}, **more})


def run(recipe: Recipe, until: str = "") -> None:
    run_recipe(recipe, LocalExecutor(1), work_dir="work", until=until, quiet=True)


def stage_texts(text: str) -> list[str]:
    """The text of each stage; the title first."""
    return text.split("\n\n")


def contents(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_plan_reads_as_it_did(folder: Path) -> None:
    assert f"{explain(recipe_of(*STEPS), 'work')}\n" == (GOLDEN / "all.txt").read_text("utf-8")


def test_a_plan_of_the_steps_that_cut_texts_reads_as_it_did(folder: Path) -> None:
    steps = {"kind": "line_dedup", "name": "lines"}, {"kind": "paragraph_dedup", "name": "notices", "audit": True}
    assert f"{explain(recipe_of(*steps), 'work')}\n" == (GOLDEN / "lines.txt").read_text("utf-8")


def test_explaining_writes_nothing(folder: Path) -> None:
    recipe = recipe_of(*STEPS)
    before = contents(folder)
    explain(recipe, "work")
    assert contents(folder) == before
    run(recipe, "exact")
    (folder / "web.jsonl").touch()
    before = contents(folder)
    explain(recipe, "work")
    assert contents(folder) == before


def test_before_the_first_run_nothing_is_known_beyond_ingest(folder: Path) -> None:
    _, ingest, *stages = stage_texts(explain(recipe_of(*STEPS), "work"))
    assert ingest.count("to do") == 2
    assert all("not known before stage 1 has run" in stage for stage in stages)


def test_a_stopped_run_is_done_up_to_where_it_stopped(folder: Path) -> None:
    recipe = recipe_of(*STEPS)
    run(recipe, "exact")
    _, ingest, first, chosen, shown, summary, verdict, stars, *_, publish = stage_texts(explain(recipe, "work"))
    assert ingest.count("1 task done") == 2
    assert "exact/groups: finish: 1 task done" in first
    assert all("not known" not in stage for stage in (chosen, shown, summary, verdict))
    assert stars.endswith("near/stars: 0 of 1 task done")
    assert publish.endswith("not known before stage 7 has run")


def test_a_published_run_is_done_and_an_edit_shows_what_it_changes(folder: Path) -> None:
    run(recipe_of(*STEPS))
    done = explain(recipe_of(*STEPS), "work")
    assert "not known" not in done
    assert " of " not in "".join(line for line in done.split("\n") if line.endswith("done"))
    assert stage_texts(done)[-1].endswith("is published")
    edited = explain(recipe_of(*STEPS[:2], {**STEPS[2], "docs": 4}, STEPS[3]), "work")
    (changed,) = [stage for stage in stage_texts(edited) if "0 of " in stage]
    assert changed.startswith("stage 13: rows: near, few")
    assert "is to be written" in stage_texts(explain(recipe_of(*STEPS), "work", "elsewhere"))[-1]


def test_a_new_file_leaves_the_rest_of_the_ingest_done(folder: Path) -> None:
    recipe = recipe_of(STEPS[0])
    run(recipe)
    (folder / "web.jsonl").write_text('{"text": "quite new"}\n')
    _, ingest, *_ = stage_texts(explain(recipe, "work"))
    assert "web: 1 file, 22 bytes, jsonl; 0 of 1 task done" in ingest
    assert "; 1 task done" in ingest


def test_a_gate_that_would_fail_is_told_at_its_stage(folder: Path) -> None:
    passing = recipe_of({**STEPS[0], "max_drop_ratio": 1.0})
    run(passing)
    failing = explain(recipe_of({**STEPS[0], "max_drop_ratio": 0.01}), "work")
    assert "fails: step 'exact' drops 4 of 18 documents" in failing
    assert "not known before stage 6 has run" in failing


def test_the_seed_changes_only_what_draws(folder: Path) -> None:
    def prints(seed: int) -> dict[str, str]:
        lines = explain(recipe_of(*STEPS[:3], seed=seed), "work").split("\n")
        return {line.split(":")[0].strip(): line[-12:] for line in lines if ": fold, " in line or ": judge" in line}

    one, two = prints(1), prints(2)
    assert {name for name in one if one[name] != two[name]} == {"few/histogram", "few/ranking", "few/draw"}
