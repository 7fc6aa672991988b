"""A dry run projects what the whole run then shows, from a part of the input, and leaves nothing behind."""

import gzip
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RunError
from operators.embedding.forms import written
from pipeline.dry_run import project
from pipeline.executors.local import LocalExecutor
from pipeline.projection import reading, sampling
from pipeline.projection.flow import spread
from pipeline.projection.machine import Machine, WorkerStart
from pipeline.projection.reading import read_inputs
from pipeline.projection.result import Projection, StepLine
from pipeline.projection.sampling import draw_sample
from pipeline.projection.slices import Slicer, draw
from pipeline.readers.base import InputFile, ReadOptions
from pipeline.recipe import Recipe
from tests.pipeline.engine import Json, Mill

ROOT = Path(__file__).parents[2]
FILTER = {"kind": "gopher_quality", "name": "quality", "min_words": 20, "min_alpha_ratio": 0.5, "min_stop_words": 1}
TRAIN = {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [600]}
WORDS = [hashlib.sha256(str(number).encode()).hexdigest()[: 2 + number % 9] for number in range(3000)]


def texts_of(number: int, seed: int = 1) -> list[str]:
    """Random sentences, of which a tenth is too short, a fifth repeats another and a tenth nearly does."""
    chance = random.Random(seed)
    found: list[str] = []
    for place in range(number):
        kind = chance.random()
        if kind < 0.1:
            text = f"short {place}"
        elif kind < 0.3 and found:
            text = chance.choice(found)
        elif kind < 0.4 and found:
            text = f"{chance.choice(found)} and then {place}"
        else:
            picked = [WORDS[int(len(WORDS) * chance.random() ** 3)] for _ in range(chance.randint(25, 150))]
            text = f"{' the '.join(picked)} {place}"
        found.append(text)
    return found


def rows_with(texts: list[str]) -> list[Json]:
    return [{"name": f"n{place}", "text": text, "group": "ab"[place % 2]} for place, text in enumerate(texts)]


@pytest.fixture(scope="module")
def started() -> tuple[float, int]:
    """What a worker's start costs, measured once."""
    with WorkerStart() as start:
        return start.result()


@pytest.fixture(autouse=True)
def _start_once(started: tuple[float, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts no interpreter for every projection; the test of the command starts its own."""

    class Started:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing was started."""

        def result(self) -> tuple[float, int]:
            return started

    monkeypatch.setattr("pipeline.dry_run.WorkerStart", Started)


@pytest.fixture
def corpus(mill: Mill) -> Mill:
    """A thousand documents in eight files."""
    rows = rows_with(texts_of(1000))
    for number in range(8):
        mill.jsonl(f"part{number}", rows[number::8])
    return mill


def dry(recipe: Recipe, docs: int = 300, workers: int = 1) -> Projection:
    return project(recipe, LocalExecutor(workers), docs, quiet=True)


def step_of(projection: Projection, name: str) -> StepLine:
    return next(step for step in projection.steps if step.name == name)


def within(projected: float, shown: float, factor: float) -> bool:
    return shown / factor <= projected <= shown * factor


RECIPES: dict[str, list[Json]] = {
    "filters": [FILTER],
    "audit": [{**FILTER, "audit": True}, {"kind": "exact_dedup", "audit": True}],
    "deduplication": [{"kind": "exact_dedup"}, {"kind": "minhash_dedup"}],
    "exact only": [{"kind": "exact_dedup", "normalise": "whitespace_case"}, {"kind": "corpus_stats"}],
    "everything": [FILTER, {"kind": "exact_dedup"}, {"kind": "minhash_dedup"}, {"kind": "sample", "docs": 200}, TRAIN],
}


def test_what_lines_a_whole_corpus_repeats_is_a_guess_from_a_part_of_it(corpus: Mill) -> None:
    recipe = corpus.recipe([{"kind": "line_dedup"}, FILTER], shard_mb=0.1)
    assert {step.certainty for step in dry(recipe).steps} == {"guess"}
    assert {step.certainty for step in dry(recipe, docs=100_000).steps} == {"sure"}


@pytest.mark.parametrize("name", RECIPES)
def test_rows_and_bytes_come_out_as_projected(corpus: Mill, name: str) -> None:
    projection = dry(corpus.recipe(RECIPES[name], shard_mb=0.1))
    ran = corpus.run(RECIPES[name], shard_mb=0.1)
    assert 150 < projection.sampled < 450
    assert within(projection.totals.rows_kept, ran.summary["rows"]["kept"], 1.15)
    for step in projection.steps:
        shown = ran.steps[step.name]
        assert within(step.rows_out, shown["rows_out"], 1.15), step.name
        assert within(step.bytes_out, shown["bytes_out"], 1.25), step.name
        assert step.rows_low <= step.rows_out <= step.rows_high
        assert step.rows_in - step.rows_out == pytest.approx(sum(step.dropped.values()), abs=3)


@pytest.mark.slow
def test_time_comes_out_within_a_factor_of_two(mill: Mill) -> None:
    rows = rows_with(texts_of(20_000))
    for number in range(8):
        mill.jsonl(f"part{number}", rows[number::8])
    mill.run([*RECIPES["everything"]], shard_mb=2, out="first", work="warm")
    ratios = []
    for attempt in range(3):
        projection = dry(mill.recipe(RECIPES["everything"], shard_mb=2), docs=2000)
        shown = mill.run(RECIPES["everything"], shard_mb=2, out=f"o{attempt}", work=f"w{attempt}").summary["seconds"]
        ratios.append((projection.totals.seconds - projection.totals.start_seconds) / shown)
    assert any(within(ratio, 1, 2) for ratio in ratios), ratios  # other jobs may come and go between the two


def test_a_sample_of_everything_is_exact_and_sure(corpus: Mill) -> None:
    steps: list[Json] = [FILTER, {"kind": "exact_dedup"}, {"kind": "minhash_dedup"}]
    projection = dry(corpus.recipe(steps), docs=5000)
    ran = corpus.run(steps, shard_mb=0.2)
    for step in projection.steps:
        assert (step.rows_out, step.rows_low, step.rows_high) == (ran.steps[step.name]["rows_out"],) * 3
        assert step.dropped == ran.steps[step.name]["dropped"]
        assert step.certainty == "sure"


def test_nothing_is_left_behind(corpus: Mill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = sorted(corpus.home.rglob("*"))
    dry(corpus.recipe([FILTER]))
    assert sorted(corpus.home.rglob("*")) == before


def test_the_same_seed_draws_the_same_sample_and_another_another(corpus: Mill) -> None:
    def rows(seed: int) -> list[Any]:
        steps = dry(corpus.recipe([{"kind": "exact_dedup"}], seed=seed)).steps
        return [(step.rows_out, step.rows_low, step.bytes_out, step.dropped) for step in steps]

    assert rows(7) == rows(7)
    assert rows(7) != rows(8)


def test_all_copies_of_a_document_are_in_the_sample_or_none(corpus: Mill) -> None:
    recipe = corpus.recipe([{"kind": "exact_dedup"}])
    inside = [
        text for s in draw_sample(recipe, 200).inputs for b in s.blocks for text in b.documents["text"].to_pylist()
    ]
    everywhere = texts_of(1000)
    assert 100 < len(inside) < 300
    assert {text: inside.count(text) for text in inside} == {text: everywhere.count(text) for text in inside}


def test_every_input_is_drawn_from_in_proportion_and_small_ones_at_least_a_little(mill: Mill) -> None:
    mill.jsonl("many", rows_with(texts_of(900)), folder="many")
    mill.jsonl("some", rows_with(texts_of(300)), folder="some")
    mill.jsonl("few", rows_with(texts_of(40)), folder="few")
    inputs = [{"name": name, "path": f"{{home}}/{name}/*.jsonl"} for name in ("many", "some", "few")]
    many, some, few = (sampled.num_documents for sampled in draw_sample(mill.recipe([], inputs=inputs), 400).inputs)
    assert many == pytest.approx(3 * some, rel=0.35)
    assert few >= 20


def test_long_documents_make_a_smaller_sample_which_says_so(mill: Mill) -> None:
    mill.jsonl("long", ({"text": f"{place} " + "word " * 10_000} for place in range(100)))
    projection = dry(mill.recipe([FILTER]), docs=100)
    assert projection.sampled < 60
    assert "fewer than asked" in projection.to_text()


# --- large inputs ---


@pytest.fixture
def large(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> Mill:
    """Three formats, of which only a part fits the budget of reading."""
    monkeypatch.setattr(reading, "READ_BYTES", 150_000)
    monkeypatch.setattr(reading, "LEAST_ROWS", 8)
    rows = rows_with(texts_of(1200))
    mill.jsonl("plain", rows[:400], folder="plain")
    (mill.home / "packed").mkdir()
    with gzip.open(mill.home / "packed/p.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows[400:800])
    (mill.home / "parquet").mkdir()
    for number in range(4):
        table = pa.Table.from_pylist(rows[800 + 100 * number : 900 + 100 * number])
        pq.write_table(table, mill.home / f"parquet/{number}.parquet", row_group_size=20)
    return mill


LARGE = [{"name": name, "path": f"{{home}}/{name}/*"} for name in ("plain", "packed", "parquet")]


def test_of_large_inputs_a_part_is_read_and_their_size_told_from_it(large: Mill) -> None:
    found = read_inputs(large.recipe([], inputs=LARGE), 300)
    for part in found:
        assert part.num_documents < 320
        assert within(part.num_documents / part.row_share, 400, 1.3), part.entry.name
        assert within(part.num_bytes / part.share, sum(len(t) for t in texts_of(1200)) / 3, 1.4), part.entry.name
    assert "heads only of 1 " in reading.describe(found[1])


def test_copies_outside_of_what_was_read_are_extrapolated_and_not_called_sure(large: Mill) -> None:
    steps: list[Json] = [{"kind": "exact_dedup"}]
    projection = dry(large.recipe(steps, inputs=LARGE), docs=400)
    shown = large.run(steps, inputs=LARGE).steps["exact_dedup"]
    step = step_of(projection, "exact_dedup")
    assert step.certainty != "sure"
    assert "extrapolated" in step.reason
    assert within(step.rows_out, shown["rows_out"], 1.3)
    dropped = step.rows_in - step.rows_out
    assert within(dropped, shown["rows_in"] - shown["rows_out"], 2)


def test_of_many_files_some_are_read(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_FILES", 40)
    (mill.home / "texts").mkdir()
    for place, text in enumerate(texts_of(200)):
        (mill.home / f"texts/{place}.txt").write_text(text)
    projection = dry(mill.recipe([FILTER], inputs=[{"name": "texts", "path": "{home}/texts", "format": "text"}]))
    assert projection.sampled <= 40
    assert projection.totals.rows_read == 200
    assert projection.totals.bytes_read == pytest.approx(sum(len(text) for text in texts_of(200)), rel=0.02)


@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=8),
    number=st.integers(1, 40),
    limit=st.integers(1, 900),
    seed=st.integers(0, 99),
)
def test_slices_are_spread_by_size_and_never_overlap(sizes: list[int], number: int, limit: int, seed: int) -> None:
    files = [InputFile(f"{place}.jsonl", f"{place}.jsonl", size) for place, size in enumerate(sizes)]
    drawn = draw(files, sizes, number, seed)
    assert len(drawn) == number
    step = sum(max(size, 1) for size in sizes) / number
    for index, size in enumerate(sizes):
        assert abs(sum(chosen == index for chosen, _ in drawn) - max(size, 1) / step) < 1.001
    slicer = Slicer(ReadOptions(), limit)
    pieces = sorted(
        {slicer.enter(files[index], "jsonl", place) for index, place in drawn}, key=lambda p: (p.file.path, p.start)
    )
    for one, next_ in pairwise(pieces):
        assert one.file != next_.file or (one.stop is not None and one.stop <= next_.start)


@given(share=st.floats(0, 0.99), factor=st.floats(0.01, 1000))
def test_more_documents_of_the_same_kind_hold_more_copies(share: float, factor: float) -> None:
    assert 0 <= spread(share, factor) < 1
    assert spread(share, 1) == share
    assert (spread(share, factor) - share) * (factor - 1) >= -1e-6


# --- what each kind of step comes to ---


def test_a_draw_follows_from_its_parameters(corpus: Mill) -> None:
    def kept(**parameters: object) -> int:
        return step_of(dry(corpus.recipe([{"kind": "sample", **parameters}]), docs=200), "sample").rows_out

    assert kept(docs=321) == 321
    assert kept(docs=100, by="group") == 200
    assert kept(docs=100_000) == 1000
    assert kept(fraction=0.25) == 250
    total = sum(len(text) for text in texts_of(1000))
    assert kept(bytes=total // 2) == pytest.approx(500, rel=0.1)


def test_copies_thin_out_with_a_draw_before_them(corpus: Mill) -> None:
    steps: list[Json] = [{"kind": "sample", "docs": 250}, {"kind": "exact_dedup"}]
    step = step_of(dry(corpus.recipe(steps), docs=500), "exact_dedup")
    shown = corpus.run(steps, shard_mb=0.2).steps["exact_dedup"]
    assert step.rows_in == 250
    assert within(step.rows_in - step.rows_out, shown["rows_in"] - shown["rows_out"], 2)


SETS = [1] * 400 + [2] * 60 + [5] * 20 + [30] * 4 + [160]


@pytest.fixture
def in_sets(mill: Mill) -> Mill:
    """900 documents in sets of up to 160, which share a column and nearly their vectors, but no text."""
    chance = np.random.default_rng(4)
    label = chance.permutation(np.repeat(np.arange(len(SETS)), SETS))
    vectors = chance.normal(size=(len(SETS), 64))[label] + 0.02 * chance.normal(size=(label.size, 64))
    rows = [
        {"id": f"d{place}", "text": f"{WORDS[place]} {place}", "site": f"s{label[place]}"}
        for place in range(label.size)
    ]
    mill.jsonl("sets", rows)
    (mill.home / "vectors").mkdir()
    column = written(vectors.astype(np.float32), "float32")
    table = pa.table({"id": [row["id"] for row in rows], "embedding": column})
    pq.write_table(table, mill.home / "vectors/part-00000.parquet")
    return mill


@pytest.mark.parametrize("name", ["semantic_dedup", "exact_dedup"])
def test_copies_that_were_drawn_one_by_one_are_projected_by_the_sizes_of_their_sets(in_sets: Mill, name: str) -> None:
    semantic = {"kind": "semantic_dedup", "vectors": str(in_sets.home / "vectors")}
    step: Json = semantic if name == "semantic_dedup" else {"kind": "exact_dedup", "column": "site"}
    steps: list[Json] = [{"kind": "minhash_dedup"}, step]
    inputs = [{**in_sets.inputs[0], "columns": {"id": "id"}}]
    shown = in_sets.run(steps, inputs=inputs).steps[name]
    assert (shown["rows_in"], shown["rows_out"]) == (sum(SETS), len(SETS))
    line = step_of(dry(in_sets.recipe(steps, inputs=inputs), docs=250), name)
    assert line.certainty == "guess"
    assert "the sizes of their sets are estimated" in line.reason
    assert within(line.rows_out, len(SETS), 1.2)
    assert line.rows_low <= len(SETS) <= line.rows_high
    line = step_of(dry(in_sets.recipe(steps, inputs=inputs), docs=1000), name)
    assert (line.rows_out, line.certainty) == (len(SETS), "sure")


def test_a_broken_gate_is_a_warning(corpus: Mill) -> None:
    strict = {**FILTER, "min_words": 260, "max_drop_ratio": 0.5}
    projection = dry(corpus.recipe([strict, {"kind": "corpus_stats"}]))
    assert any(
        "'quality' would drop" in warning and "whole run would fail" in warning for warning in projection.warnings
    )
    assert "warning: step 'quality'" in projection.to_text()


def test_a_step_that_drops_everything_ends_the_projection_and_nothing_else(corpus: Mill) -> None:
    impossible = {**FILTER, "min_words": 100_000, "max_words": 200_000}
    projection = dry(corpus.recipe([impossible, {"kind": "minhash_dedup"}, TRAIN]))
    assert projection.totals.rows_kept == 0
    assert any("no document of the sample is left" in warning for warning in projection.warnings)


def test_bad_rows_are_projected_and_a_strict_input_warned_of(corpus: Mill) -> None:
    path = corpus.home / "in/part0.jsonl"
    path.write_text("no json\n" * 50 + path.read_text())
    strict = [{"name": "docs", "path": "{home}/in/*.jsonl", "on_bad_row": "fail"}]
    projection = dry(corpus.recipe([FILTER], inputs=strict))
    assert projection.totals.rows_quarantined == 50
    assert projection.totals.rows_read == 1050
    assert any("part0.jsonl:1" in warning and "on_bad_row: fail" in warning for warning in projection.warnings)


def test_repeated_ids_are_counted_exactly_where_all_is_read(mill: Mill) -> None:
    mill.jsonl("ids", ({"name": f"n{place % 90}", "text": f"text {place}"} for place in range(100)))
    inputs = [{"name": "docs", "path": "{home}/in/*.jsonl", "columns": {"id": "name"}}]
    projection = dry(mill.recipe([], inputs=inputs), docs=20)
    assert projection.inputs[0].quarantined == {"duplicate_id": 10}
    assert projection.totals.rows_kept == 90


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_column_of_ids_names_the_documents_as_in_the_run(mill: Mill, form: str) -> None:
    rows = [{"id": f"n{place % 90}", "text": text} for place, text in enumerate(texts_of(100))]
    path = mill.jsonl("ids", rows)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path.with_suffix(".parquet"))
        path.unlink()
    recipe = mill.recipe([FILTER], inputs=[{"name": "docs", "path": f"{{home}}/in/*.{form}"}])
    projection = dry(recipe, docs=1000)
    ran = mill.run([FILTER], inputs=[{"name": "docs", "path": f"{{home}}/in/*.{form}"}])
    assert projection.totals.rows_quarantined == ran.summary["rows"]["quarantined"] == 10
    assert projection.totals.rows_kept == ran.summary["rows"]["kept"]


@pytest.mark.usefixtures("toys")
def test_an_operator_of_somebody_else_is_projected_but_not_called_sure(corpus: Mill) -> None:
    steps: list[Json] = [
        {"kind": "toys:Length", "name": "long", "min_chars": 200},
        {"kind": "toys:Words", "name": "words"},
    ]
    projection = dry(corpus.recipe(steps))
    shown = corpus.run(steps, shard_mb=0.2).steps
    assert within(step_of(projection, "long").rows_out, shown["long"]["rows_out"], 1.15)
    assert step_of(projection, "long").certainty == "sure"
    assert step_of(projection, "words").certainty == "guess"


@pytest.mark.usefixtures("toys")
def test_rewritten_text_counts_with_its_new_length(corpus: Mill) -> None:
    steps: list[Json] = [{"kind": "toys:Shout", "name": "shout", "suffix": "!" * 500}]
    projection = dry(corpus.recipe(steps))
    shown = corpus.run(steps, shard_mb=0.2).steps
    assert within(step_of(projection, "shout").bytes_out, shown["shout"]["bytes_out"], 1.1)


def test_counts_that_grow_slower_than_the_corpus_are_told_apart(corpus: Mill) -> None:
    projection = dry(corpus.recipe([TRAIN]))
    power = float(step_of(projection, "train_tokenizer").reason.rpartition("^")[2])
    assert 0.1 < power < 0.95


def test_more_workers_take_less_time_and_more_memory(corpus: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.dry_run.Machine.now", lambda _: Machine(cores=8, load=0.0, crowding=1.0))
    recipe = corpus.recipe([{"kind": "gopher_repetition"}], shard_mb=0.05)
    one, four = (dry(recipe, workers=workers).totals for workers in (1, 4))
    assert four.seconds - four.start_seconds < one.seconds - one.start_seconds
    assert four.peak_memory_mb > 2 * one.peak_memory_mb


def test_processes_that_compete_are_slower_than_one_alone() -> None:
    assert Machine.now(1).crowding == 1
    assert 1 <= Machine.now(2).crowding <= 2
    cores = Machine.now(1).cores
    assert Machine.now(4 * cores).crowding > 1.5


def test_the_command_prints_json_and_nothing_else_and_imports_no_ray(corpus: Mill) -> None:
    path = corpus.home / "recipe.json.yaml"
    path.write_text(json.dumps(corpus.recipe([FILTER]).model_dump(mode="json")))
    code = (
        "import sys; from pipeline.cli import main; status = main(sys.argv[1:]); "
        "assert 'ray' not in sys.modules; sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "dry-run", str(path), "--docs", "100", "--json", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert {"recipe", "inputs", "steps", "totals", "stages", "sample", "warnings"} <= set(found)
    assert found["steps"][0]["certainty"] in ("sure", "rough", "guess")
    assert found["totals"]["rows_read"] == 1000


def test_a_reference_that_was_cut_is_warned_of(corpus: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "REFERENCE_SHARE", 0.1)
    corpus.jsonl("known", rows_with(texts_of(300, seed=2)), folder="reference")
    known = {"name": "known", "path": "{home}/reference/*.jsonl", "role": "reference"}
    projection = dry(corpus.recipe([FILTER], inputs=[*corpus.inputs, known]))
    assert any("reference 'known'" in warning for warning in projection.warnings)
    assert projection.totals.rows_read == 1000


def test_only_a_dry_run_that_finds_no_documents_for_a_class_advises_more_of_them(corpus: Mill) -> None:
    only = {"column": "source", "in": ["nowhere"]}
    recipe = corpus.recipe(
        [{"kind": "train_classifier", "positive": only, "negative": {"column": "source", "in": ["a"]}}]
    )
    with pytest.raises(
        RunError, match=r"no document to train on.*name other documents \(of a sample.*--docs draws more\)"
    ):
        dry(recipe)


SEVERAL = {"kind": "facility_location", "vectors": {"ngrams": 1, "dim": 32}, "partition_size": 500}
LIKE = {"kind": "importance_resample", "name": "like", "target": "known", "min_tokens": 10, "buckets": 500}
BUDGETS: dict[str, Json] = {
    "mix, bytes": {"kind": "mix", "by": "group", "temperature": 2, "budget": 100_000},
    "mix, docs": {"kind": "mix", "by": "group", "weights": {"a": 1, "b": 3}, "unit": "docs", "budget": 150},
    "mix, a small group": {"kind": "mix", "by": "group", "weights": {"a": 1, "b": 9}, "unit": "docs", "budget": 800},
    "mix, no budget": {"kind": "mix", "by": "group", "weights": {"a": 1, "b": 3}},
    "importance, docs": {**LIKE, "select": {"docs": 200}},
    "importance, bytes": {**LIKE, "select": {"bytes": 100_000}},
    "importance, fraction": {**LIKE, "select": {"fraction": 0.2}},
    "importance, beside": {**LIKE, "target": {"column": "group", "in": ["a"]}, "select": {"docs": 200}},
    "subset, docs": {**SEVERAL, "select": {"docs": 40}},
    "subset, bytes": {**SEVERAL, "select": {"bytes": 100_000}},
}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_is_projected_as_the_run_keeps_it(corpus: Mill, name: str) -> None:
    corpus.jsonl("wanted", rows_with(texts_of(30, seed=2)), folder="reference")
    known = {"name": "known", "path": "{home}/reference/*.jsonl", "role": "reference"}
    inputs = [*corpus.inputs, known] if BUDGETS[name].get("target") == "known" else corpus.inputs
    projection = dry(corpus.recipe([BUDGETS[name]], inputs=inputs, shard_mb=1))
    (step,) = projection.steps
    ((_, shown),) = corpus.run([BUDGETS[name]], inputs=inputs, shard_mb=1).steps.items()
    assert within(step.rows_out, shown["rows_out"], 1.2) or step.certainty == "guess"
    assert within(step.bytes_out, shown["bytes_out"], 1.2)
    assert (step.certainty == "guess") == (name in ("importance, bytes", "subset, bytes"))
    assert step.rows_in - step.rows_out == pytest.approx(sum(step.dropped.values()), abs=3)
    assert "keeps every row" not in step.reason
    assert (step.certainty == "sure") <= ("docs" in name and "mix" not in name)


def test_a_budget_that_is_more_than_there_is_takes_all_and_one_that_all_documents_were_run_for_is_exact(
    corpus: Mill,
) -> None:
    (step,) = dry(corpus.recipe([{**SEVERAL, "select": {"docs": 5000}}])).steps
    assert step.rows_out == step.rows_in == 1000
    assert "takes all" in step.reason
    (step,) = dry(corpus.recipe([BUDGETS["mix, bytes"]]), docs=5000).steps
    assert step.rows_out == corpus.run([BUDGETS["mix, bytes"]], shard_mb=1).steps["mix"]["rows_out"]
