"""Tables tried in a model: what must be equal is, and what ruins a model is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.base import WARNINGS, DataError, RecipeError
from operators.tokenizer_files import to_tokenizer_json
from operators.transplant import language_model
from operators.transplant.bits_per_byte import Reading, Tables, difference, interval, read, refuse_dominance
from operators.transplant.building import warnings
from operators.transplant.calibration import calibrate
from operators.transplant.healing import heal
from operators.transplant.language_model import LanguageModel, start_id
from operators.transplant.model_files import Model, open_model
from operators.transplant.segments import encoded
from operators.transplant.trial import UNTRIED, Made, Texts, Trial, tried
from operators.vocabulary import trim
from tests.operators.transplant.models import ROWS, llama, table, vocabulary, write_folder, write_gguf

TEXTS = (
    "the and then, the band 1 2 3 of the hand",
    "and and the the\nand so on, in the end",
    "other words are here too",
) * 4


def reading(nats: list[float], won: int = 0) -> Reading:
    sizes = np.full(len(nats), 10, np.int64)
    return Reading(np.array(nats), sizes, 5 * len(nats), 2, 3.0, won, np.zeros(4, np.float32))


def test_bits_per_byte_and_differences_are_what_they_say() -> None:
    low, high = reading([10 * math.log(2), 20 * math.log(2)]), reading([20 * math.log(2), 30 * math.log(2)])
    assert low.bits_per_byte == pytest.approx(1.5)
    ends = interval(low.nats, low.num_bytes, 0)
    assert ends == (1.0, 2.0)
    assert difference(high, low, 0) == {"bits_per_byte": 1.0, "interval": (1.0, 1.0)}  # segment by segment the same
    with pytest.raises(ValueError, match="other segments"):
        difference(high, Reading(low.nats, low.num_bytes + 1, 1, 0, 0.0, 0, low.mean_state), 0)


def test_rows_that_win_everywhere_are_refused_by_name() -> None:
    refuse_dominance(reading([1.0] * 20, won=5), 0.05, "focus")
    with pytest.raises(DataError, match=r"method omp: at 6\.0% of 100 positions.*another method"):
        refuse_dominance(reading([1.0] * 20, won=6), 0.05, "omp")


def test_calibration_puts_made_rows_where_frequency_says() -> None:
    tables, is_new = Tables(table(40)), np.arange(40) >= 30
    counts = np.arange(40, dtype=np.int64) * 3
    state = table(1, seed=5)[0]
    after, about = calibrate(tables, is_new, counts, state)
    assert np.array_equal(after.reads[:30], tables.reads[:30])
    fit = about["fit"]
    wanted = fit["level"] + fit["slope"] * np.log(counts[30:])
    assert after.reads[30:] @ state == pytest.approx(wanted, abs=1e-3)
    moved = after.reads[30:] - tables.reads[30:]
    assert np.allclose(moved - np.outer(moved @ state / (state @ state), state), 0, atol=1e-5)  # along the state alone
    untied, _ = calibrate(Tables(tables.reads, table(40, seed=1)), is_new, counts, state)
    assert untied.reads is tables.reads
    with pytest.raises(DataError, match="0 copied tokens occur"):
        calibrate(tables, is_new, np.zeros(40, np.int64), state)


def test_without_torch_the_tables_stay_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "find_spec", lambda name: None)
    tables = Tables(table(ROWS))
    made = Made(tables, np.zeros(ROWS, bool), b"", "mean", np.ones(ROWS, bool))
    found, about = tried("nowhere", Model(table(ROWS), None, b"", {}, ""), made, Texts(TEXTS), Trial(calibrate=True), 0)
    assert found is tables
    assert about["measured"] is False
    assert about["why"].endswith(
        "bits per byte and dominance were not measured, and the tables were not calibrated or healed"
    )
    with pytest.raises(RecipeError, match="install the extra torch"):
        LanguageModel("nowhere", Model(table(ROWS), None, b"", {}, ""))


def test_a_run_warns_of_text_that_was_trained_on() -> None:
    told = json.loads(warnings({"measured": True, "is_held_out": False})[WARNINGS])
    assert "was trained on" in told[0]
    assert warnings({"measured": True, "is_held_out": True}) == warnings({}) == {}


def test_a_run_warns_that_tables_were_not_tried() -> None:
    told = json.loads(warnings({"measured": False, "why": UNTRIED})[WARNINGS])
    assert told == [f"the tables were not tried in the model: {UNTRIED}"]
    assert "PyTorch" in told[0]


def opened(tmp_path: Path, *, tied: bool = True) -> tuple[str, Model]:
    path = str(write_gguf(tmp_path / "m.gguf", llama(tied)))
    return path, open_model(path)


def nothing_new(model: Model, tables: Tables) -> Made:
    return Made(tables, np.zeros(ROWS, bool), model.tokenizer_json, "copies", np.ones(ROWS, bool))


@pytest.mark.torch
@pytest.mark.parametrize("tied", [True, False])
def test_the_same_tokenizer_gives_the_same_bits_per_byte(tmp_path: Path, tied: bool) -> None:
    path, model = opened(tmp_path, tied=tied)
    made = nothing_new(model, Tables(model.input_table, model.output_table))
    _, about = tried(path, model, made, Texts(TEXTS), Trial(), 0)
    assert about["is_held_out"] is False
    assert about["above_source"]["made"]["bits_per_byte"] == pytest.approx(0, abs=1e-6)
    assert about["readings"]["made"] == about["readings"]["source"]
    other = nothing_new(model, Tables(model.input_table, None if tied else table(ROWS, seed=9)))
    _, differs = tried(path, model, other, Texts(TEXTS), Trial(), 0)
    assert (differs["readings"]["made"] == about["readings"]["made"]) is tied  # untied: the table that predicts counts


@pytest.mark.torch
@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_and_the_folder_of_transformers_run_alike(tmp_path: Path, tied: bool) -> None:
    """The halves of a head's rows, which GGUF interleaves, come back in their order."""
    import torch
    import transformers

    path, model = opened(tmp_path, tied=tied)
    body = LanguageModel(path, model)
    body._body.save_pretrained(tmp_path / "folder")
    write_folder(tmp_path / "tokenizer", {"x": table(1)})
    (tmp_path / "folder/tokenizer.json").write_bytes((tmp_path / "tokenizer/tokenizer.json").read_bytes())
    folder = open_model(str(tmp_path / "folder"))
    assert np.array_equal(folder.predicts, model.predicts)
    ids = encoded(TEXTS, model.tokenizer_json)
    sizes = [len(text) for text in TEXTS]
    tables = Tables(model.input_table, model.output_table)
    ours = read(body, tables, ids, sizes)
    of_folder = read(LanguageModel(str(tmp_path / "folder"), folder), tables, ids, sizes)
    assert np.allclose(ours.nats, of_folder.nats, rtol=1e-6)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    whole = torch.cat((torch.tensor([start_id(model)]), torch.from_numpy(ids[0])))[None]
    loss = theirs(input_ids=whole, labels=whole).loss  # the mean over all but the first, as ours
    assert float(loss.detach()) == pytest.approx(ours.nats[0] / len(ids[0]), rel=1e-5)


@pytest.mark.torch
def test_a_trimmed_vocabulary_predicts_kept_text_as_before(tmp_path: Path) -> None:
    path, model = opened(tmp_path)
    body, known = LanguageModel(path, model), vocabulary()
    used = sorted({int(one) for ids in encoded(TEXTS, to_tokenizer_json(known)) for one in ids})
    trimmed, new_ids = trim(known, used)
    rows = model.input_table[list(new_ids)]
    old, new = encoded(TEXTS, to_tokenizer_json(known)), encoded(TEXTS, to_tokenizer_json(trimmed))
    import torch

    start = torch.from_numpy(body.start.copy())
    for one, other in zip(old, new, strict=True):
        before = body.run(torch.from_numpy(model.input_table.copy()), start, torch.from_numpy(one)).detach().numpy()
        after = body.run(torch.from_numpy(rows), start, torch.from_numpy(other)).detach().numpy()
        assert np.abs(before @ model.input_table[list(new_ids)].T - after @ rows.T).max() < 1e-5


@pytest.mark.torch
def test_made_rows_that_shout_are_refused_and_calibration_quiets_them(tmp_path: Path) -> None:
    path, model = opened(tmp_path)
    is_new = np.isin(np.arange(ROWS), [257, 258, 260, 64, 68])
    loud = np.where(is_new[:, None], 20 * table(ROWS, seed=3), model.input_table)
    made = Made(Tables(loud), is_new, model.tokenizer_json, "omp", ~is_new)
    with pytest.raises(DataError, match=r"method omp: at .* a made row wins"):
        tried(path, model, made, Texts(TEXTS), Trial(), 0)
    counts = np.ones(ROWS, np.int64) + np.arange(ROWS)
    texts, trial = Texts(TEXTS, TEXTS, counts), Trial(calibrate=True, max_dominance=1)
    _, about = tried(path, model, made, texts, trial, 0)
    assert set(about["readings"]) == {"source", "mean", "made", "calibrated"}
    assert about["readings"]["made"]["won_by_new"] > 0.05
    assert about["readings"]["made"]["new_tokens"] > 0
    levels = about["calibration"]["mean_logit"]
    assert abs(levels["after"]["made"] - levels["after"]["copied"]) < 3


@pytest.mark.torch
@pytest.mark.parametrize("repair", [{"calibrate": True}, {"heal_steps": 1, "segments": 2}])
def test_a_repair_without_text_of_the_step_is_told_in_words(tmp_path: Path, repair: dict[str, Any]) -> None:
    path, model = opened(tmp_path)
    made = nothing_new(model, Tables(model.input_table))
    with pytest.raises(DataError, match=r"no text of the step comes back .* give the step documents, or leave it out"):
        tried(path, model, made, Texts(TEXTS), Trial(**repair), 0)


@pytest.mark.torch
@pytest.mark.parametrize("tied", [True, False])
def test_healing_moves_made_rows_of_the_batch_alone(tmp_path: Path, tied: bool) -> None:
    path, model = opened(tmp_path, tied=tied)
    body, ids = LanguageModel(path, model), encoded(TEXTS, model.tokenizer_json)
    present = np.isin(np.arange(ROWS), np.concatenate(ids))
    is_new = np.arange(ROWS) % 2 == 0
    before = Tables(model.input_table, model.output_table)
    after, losses = heal(body, before, is_new, ids, 8, 0.05)
    assert losses[-1] < losses[0]
    for one, other in ((before.reads, after.reads), (before.predicts, after.predicts)):
        moved = (one != other).any(axis=1)
        assert moved.any()
        assert not (moved & ~(present & is_new)).any()


@pytest.mark.torch
def test_a_model_that_does_what_we_do_not_know_is_refused(tmp_path: Path) -> None:
    path, model = opened(tmp_path)
    odd = Model(model.input_table, None, model.tokenizer_json, {**model.config, "logit_scale": 0.5}, "")
    with pytest.raises(RecipeError, match="scales its vectors or logits in a way"):
        LanguageModel(path, odd)
