"""Recipes of `recipes/`, over a few texts that lie where the quickstart's data does."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from operators.transplant import language_model
from pipeline.check import check_recipe
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import Recipe, load_recipe
from pipeline.session import run_recipe
from tests.operators.transplant.models import llama, write_gguf
from tests.pipeline.engine import FRENCH, GERMAN, Json, flawed_texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `data/quickstart`: manuals in two versions of which one page is the same, and code."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data" / "quickstart"
    pages = [text for text in flawed_texts() if len(text) > 600]
    manuals = {
        "django-5.0/topics": pages[:8],
        "django-5.0/ref": pages[8:14],
        "django-5.2/topics": pages[:1],
        "fastapi": pages[14:20],
    }
    for folder, texts in manuals.items():
        (data / "docs" / folder).mkdir(parents=True)
        for number, text in enumerate(texts):
            (data / "docs" / folder / f"page{number}.txt").write_text(text)
    (data / "code").mkdir()
    for path in sorted((ROOT / "operators").glob("s*.py")):
        (data / "code" / path.name).write_text(path.read_text("utf-8"))
    with gzip.open(data / "multilingual.jsonl.gz", "wt") as file:
        for number, text in enumerate([*(text[:500] for text in pages[14:24]), *[*GERMAN, *FRENCH] * 4]):
            file.write(json.dumps({"id": f"m{number}", "text": f"{text} {number}"}) + "\n")
    return tmp_path


def small(name: str, **changed: Json) -> Recipe:
    """A recipe with other parameters of some steps, by their names."""
    content = load_recipe(str(ROOT / "recipes" / f"{name}.yaml")).model_dump(mode="json")
    for step in content["steps"]:
        step.update(changed.get(step["name"] or step["kind"], {}))
    return Recipe.model_validate(content)


def ran(recipe: Recipe) -> Json:
    """The manifest's entries by step, after a check and a run in this process."""
    assert check_recipe(recipe)[-1] == "ok"
    summary = run_recipe(recipe, LocalExecutor(1), work_dir="work", quiet=True)
    return {step["name"]: step for step in summary["steps"]}


def test_the_quickstart_makes_a_vector_of_every_document(quickstart: Path) -> None:
    steps = ran(small("quickstart", tokenizer={"vocab_sizes": [300]}, token_vectors={"dimension": 16}))
    said = json.loads((quickstart / "out/quickstart/artifacts/vectors/model.json").read_text())
    assert (said["documents"], said["empty"], said["dimension"]) == (steps["vectors"]["rows_out"], 0, 16)
    assert (quickstart / "out/quickstart/artifacts/vectors/part-00000.parquet").is_file()


def test_select_takes_evaluation_text_out_and_mixes_what_is_like_the_target(quickstart: Path) -> None:
    changed: dict[str, Json] = {"tokenizer": {"vocab_sizes": [300]}, "mix": {"budget": 20_000}}
    steps = ran(small("select", like_manuals={"select": {"fraction": 0.9}}, **changed))
    assert steps["decontaminate"]["dropped"] == {"holds_evaluation_item": 1}
    assert steps["like_manuals"]["dropped"]["not_selected"] > 0
    drawn = json.loads((quickstart / "out/select/artifacts/mix/mixture.json").read_text())["categories"]
    assert set(drawn) == {"docs", "translations", "code"}
    assert sum(group["drawn"] for group in drawn.values()) <= 20_000
    assert (quickstart / "out/select/artifacts/tokenizer/tokenizer-300.json").is_file()
    written = json.loads((quickstart / "out/select/artifacts/length_buckets/buckets.json").read_text())
    assert written["documents"]["encoded"] == steps["mix"]["rows_out"]
    assert written["tokens"]["in_sequences"] > 0


def test_concordance_labels_what_a_classifier_learns_and_keeps_the_best(quickstart: Path) -> None:
    whole: dict[str, Json] = {f"order_{order}": {"min_count": 1} for order in range(1, 7)}  # of so little text
    steps = ran(small("concordance", quality={"buckets": 100, "dim": 4}, **whole))
    said = json.loads((quickstart / "out/concordance/artifacts/strength/concordance.json").read_text())
    assert said["labels"]["positive"]["docs"] >= said["labels"]["negative"]["docs"] > 0
    assert set(steps["like"]["dropped"]) == {"below_kept_share"}
    assert (quickstart / "out/concordance/artifacts/quality/model.bin").is_file()


def test_imitate_draws_in_the_shares_of_a_reference_and_the_audit_finds_them_again(quickstart: Path) -> None:
    reference = small("imitate", tokenizer={"vocab_sizes": [1000]}).model_dump(mode="json")
    reference["steps"] = [step for step in reference["steps"] if step["kind"] == "train_tokenizer"]
    first = Recipe.model_validate({**reference, "outputs": {"path": "out/quickstart"}})
    run_recipe(first, LocalExecutor(1), work_dir="work", quiet=True)
    ran(small("imitate", tokenizer={"vocab_sizes": [1000]}))
    found = quickstart / "out/imitate/artifacts"
    asked, audited = (
        json.loads((found / f"{step}/mixture.json").read_text()) for step in ("reference", "audit_mixture")
    )
    assert asked["explains"]
    for name, entry in audited["categories"].items():
        assert entry["trained"] == pytest.approx(
            asked["categories"][name]["bytes"], abs=0.05
        )  # to less than a document
        assert entry["bytes"] == pytest.approx(entry["trained"], abs=0.001)


@pytest.mark.parametrize("has_torch", [False, pytest.param(True, marks=pytest.mark.torch)])
def test_transplant_gives_a_model_a_tokenizer_of_its_own(
    quickstart: Path, monkeypatch: pytest.MonkeyPatch, has_torch: bool
) -> None:
    """With PyTorch the model reads held-out text with both tokenizers; without it the tables are made all the same."""
    if not has_torch:
        monkeypatch.setattr(language_model, "find_spec", lambda name: None)
    (quickstart / "data/models/SmolLM2").mkdir(parents=True)
    write_gguf(quickstart / "data/models/SmolLM2/SmolLM2-135M-Instruct.Q4_1.gguf", llama(tied=True))
    trial: dict[str, Any] = {"text": "held_out", "segments": 4, "segment_bytes": 300, "max_dominance": 1.0}
    model: dict[str, Any] = {"evaluate": {**trial, "calibrate": True}, "dim": 8, "epochs": 1, "min_count": 2}
    ran(small("transplant", tokenizer={"vocab_sizes": [400]}, model={**model, "held_out": 0}))
    left = quickstart / "out/transplant/artifacts/model"
    found = json.loads((left / "init_report.json").read_text())
    assert found["ids"] == {"old": 262, "new": 400}
    assert found["routes"]["exact"] >= 256
    embed = load_file(left / "embeddings.safetensors")["embed"]
    assert embed.shape == (400, 16)
    assert np.isfinite(embed).all()
    page = (quickstart / "out/transplant/report.html").read_text()
    assert "copied to the bit" in page
    assert found["trial"]["measured"] is has_torch
    if has_torch:
        assert set(found["trial"]["readings"]) == {"source", "mean", "made", "calibrated"}
        assert "Bits per byte of the same held-out text" in page
    else:
        manifest = json.loads((quickstart / "out/transplant/manifest.json").read_text())
        assert "the tables were not tried in the model: PyTorch" in str(manifest["warnings"])
        assert "Not tried in the model: PyTorch and transformers are not installed" in page
