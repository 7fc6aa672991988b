"""Identity: what a run finds done, what it computes again, and that it never answers from something old."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.engine import Json, Mill, Ran, check_sums, flawed_texts, rows_of

pytestmark = pytest.mark.usefixtures("toys")

LENGTH: Json = {"kind": "toys:Length", "name": "length", "min_chars": 100}
WORDS: Json = {"kind": "toys:Words", "name": "words"}


def numbered(mill: Mill, files: int, rows: int = 3) -> None:
    """So many files of documents of a few hundred bytes."""
    texts = flawed_texts()
    for file in range(files):
        mill.jsonl(f"f{file:03}", ({"text": f"{file} {row} {texts[(file + row) % 24][:300]}"} for row in range(rows)))


def same_size(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file's content in place, and hide it: same size, same inode, same times of modification."""
    before = path.stat()
    content = change(path.read_bytes())
    assert len(content) == before.st_size
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_renaming_steps_computes_nothing(flawed: Mill) -> None:
    steps: list[dict[str, Any]] = [
        {"kind": "toys:Length", "min_chars": 100, "audit": True},
        {"kind": "exact_dedup"},
        {"kind": "sample", "docs": 20},
        {"kind": "toys:Words"},
    ]
    first = flawed.run([{**step, "name": f"one{place}"} for place, step in enumerate(steps)])
    second = flawed.run([{**step, "name": f"two{place}"} for place, step in enumerate(steps)])
    assert first.summary["stages"]
    assert second.computed == {}
    assert {"two0_chars", "two0_verdict"} <= set(second.corpus.column_names)
    assert second.steps["two1"]["dropped"] == first.steps["one1"]["dropped"]
    assert set(second.dropped["step"].to_pylist()) == {"two1", "two2"}
    check_sums(second)


def test_a_moved_threshold_scores_nothing_again(flawed: Mill) -> None:
    downstream = {"kind": "toys:Length", "name": "later", "unit": 2}
    first = flawed.run([{**LENGTH, "min_chars": 500}, downstream])
    rows = first.manifest["rows"]["read"]
    assert first.steps["length"]["rows_computed"] == rows
    assert first.steps["later"]["rows_computed"] == first.steps["length"]["rows_out"]
    stricter = flawed.run([{**LENGTH, "min_chars": 700}, downstream])
    assert stricter.steps["length"]["rows_out"] < first.steps["length"]["rows_out"]
    assert (stricter.steps["length"]["rows_computed"], stricter.steps["later"]["rows_computed"]) == (0, 0)
    looser = flawed.run([{**LENGTH, "min_chars": 10}, downstream])
    exposed = looser.steps["length"]["rows_out"] - first.steps["length"]["rows_out"]
    assert exposed > 0
    assert (looser.steps["length"]["rows_computed"], looser.steps["later"]["rows_computed"]) == (0, exposed)
    check_sums(looser)


@pytest.mark.parametrize(
    ("step", "moved"),
    [
        ({"kind": "gopher_quality", "min_words": 10, "min_alpha_ratio": 0.6}, {"min_words": 60}),
        ({"kind": "gopher_repetition"}, {"max_dup_line_ratio": 0.01}),
        ({"kind": "language_id", "keep": ["en", "de"]}, {"keep": ["en"], "min_score": 0.9}),
    ],
    ids=lambda part: part.get("kind", ""),
)
def test_moving_a_threshold_of_a_filter_scores_nothing_again(
    step: dict[str, Any], moved: dict[str, Any], flawed: Mill
) -> None:
    first = flawed.run([step])
    second = flawed.run([{**step, **moved}])
    (before,), (after,) = first.manifest["steps"], second.manifest["steps"]
    assert before["rows_computed"] == first.manifest["rows"]["read"]
    assert after["rows_computed"] == 0
    assert after["dropped"] != before["dropped"]


def test_what_a_parameter_changes_is_computed_again(flawed: Mill) -> None:
    flawed.run([LENGTH])
    other = flawed.run([{**LENGTH, "unit": 3}])
    assert other.steps["length"]["rows_computed"] == other.manifest["rows"]["read"]


def test_the_seed_matters_only_to_what_draws(flawed: Mill) -> None:
    steps = [LENGTH, {"kind": "toys:Dice", "name": "dice"}]
    first = flawed.run(steps)
    second = flawed.run(steps, seed=8)
    assert second.steps["length"]["rows_computed"] == 0
    assert second.steps["dice"]["rows_computed"] == second.steps["length"]["rows_out"]
    assert second.corpus["dice_number"] != first.corpus["dice_number"]


def test_changed_text_behind_the_same_size_and_time_is_seen(flawed: Mill) -> None:
    flawed.run([WORDS])
    path = flawed.home / "in" / "part2.jsonl"
    same_size(path, lambda content: content.replace(b" the ", b" THE "))
    ran = flawed.run([WORDS])
    assert any(" THE " in text for text in ran.corpus["text"].to_pylist())
    clean = flawed.run([WORDS], out="out2", work="work2")
    assert ran.bytes == clean.bytes


def test_a_changed_upstream_artifact_is_seen(flawed: Mill) -> None:
    def steps(text_from: int) -> list[dict[str, Any]]:
        return [
            {"kind": "toys:Length", "name": "length", "min_chars": text_from, "audit": False},
            {"kind": "toys:Words", "name": "words"},
            {"kind": "toys:Known", "name": "known", "vocabulary": "words"},
        ]

    flawed.run(steps(10))
    ran = flawed.run(steps(600))
    assert ran.steps["known"]["rows_computed"] == ran.steps["known"]["rows_in"]
    assert ran.bytes == flawed.run(steps(600), out="out2", work="work2").bytes


def test_a_changed_reference_is_seen(flawed: Mill) -> None:
    inputs = [
        {"name": "docs", "path": "{home}/in/*.jsonl"},
        {"name": "ref", "path": "{home}/ref/*.jsonl", "role": "reference"},
    ]
    steps = [
        {"kind": "toys:WordsOf", "name": "words", "reference": "ref"},
        {"kind": "toys:Known", "name": "known", "vocabulary": "words"},
    ]
    flawed.jsonl("r", [{"text": "the and"}], "ref")
    first = flawed.run(steps, inputs=inputs)
    same_size(flawed.home / "ref" / "r.jsonl", lambda content: content.replace(b"the", b"xyz"))
    second = flawed.run(steps, inputs=inputs)
    assert second.steps["known"]["rows_computed"] == second.manifest["rows"]["read"]
    assert second.corpus["known_known"] != first.corpus["known_known"]
    assert second.bytes == flawed.run(steps, inputs=inputs, out="out2", work="work2").bytes


def test_a_changed_model_is_seen(flawed: Mill) -> None:
    weights = flawed.home / "weights.txt"
    weights.write_text("2.0", encoding="utf-8")
    steps = [LENGTH, {"kind": "toys:Model", "name": "model", "path": str(weights)}]
    first = flawed.run(steps)
    same_size(weights, lambda _: b"3.0")
    second = flawed.run(steps)
    assert second.steps["length"]["rows_computed"] == 0
    assert second.steps["model"]["rows_computed"] == second.steps["model"]["rows_in"]
    assert second.corpus["model_score"].to_pylist() == [s / 2 * 3 for s in first.corpus["model_score"].to_pylist()]
    moved = flawed.home / "elsewhere.txt"
    shutil.move(weights, moved)
    assert flawed.run([LENGTH, {**steps[1], "path": str(moved)}]).steps["model"]["rows_computed"] == 0


def test_a_rewritten_text_is_seen_even_by_steps_that_do_not_read_it(flawed: Mill) -> None:
    """The draw depends on ids alone; what it traces and counts is made of the text that it was given."""

    def steps(suffix: str) -> list[dict[str, Any]]:
        return [
            {"kind": "toys:Shout", "name": "shout", "suffix": suffix},
            {"kind": "sample", "docs": 20},
        ]

    flawed.run(steps("!"))
    ran = flawed.run(steps(" and more!"))
    check_sums(ran)
    assert ran.bytes == flawed.run(steps(" and more!"), out="out2", work="work2").bytes


def test_moving_the_inputs_recomputes_no_shard(flawed: Mill) -> None:
    steps = [LENGTH, {"kind": "exact_dedup"}, WORDS]
    first = flawed.run(steps)
    shutil.move(flawed.home / "in", flawed.home / "moved" / "in")
    moved = flawed.run(steps, inputs=[{"name": "docs", "path": "{home}/moved/in/*.jsonl"}])
    assert set(moved.computed) == {"look at docs"}
    assert moved.bytes == first.bytes


def ingested(ran: Ran) -> int:
    """Ingest tasks that were computed."""
    return ran.computed.get("ingest docs", 0)


@pytest.mark.slow
def test_adding_one_file_to_200_recomputes_few_shards(mill: Mill) -> None:
    numbered(mill, 200)
    steps = [LENGTH, {"kind": "exact_dedup"}, {"kind": "sample", "fraction": 0.9}, WORDS]
    first = mill.run(steps, shard_mb=0.02)
    shards = first.manifest["inputs"][0]["shards"]
    assert shards > 8
    worst: dict[str, int] = {}
    for number in range(5):
        added = mill.jsonl(f"added{number}", [{"text": f"one more text of file {number}. " * 9}])
        second = mill.run(steps, shard_mb=0.02)
        print(f"one file added to 200, {shards} shards: computed {second.computed}")  # noqa: T201
        for label, count in second.computed.items():
            worst[label] = max(worst.get(label, 0), count)
        check_sums(second)
        assert second.steps["words"]["rows_computed"] < 80
        added.unlink()
        assert mill.run(steps, shard_mb=0.02).computed == {}
    assert worst["ingest docs"] <= 2
    assert worst["length + exact_dedup"] <= 2
    assert worst["exact_dedup + sample + words"] <= 2
    clean = mill.run(steps, shard_mb=0.02, out="out2", work="work2")
    assert mill.run(steps, shard_mb=0.02).bytes == clean.bytes == first.bytes


def test_removing_a_document_leaves_no_trace(mill: Mill) -> None:
    numbered(mill, 12)
    steps = [{"kind": "exact_dedup"}, WORDS, {"kind": "sample", "docs": 10}]
    mill.run(steps)
    (mill.home / "in" / "f004.jsonl").unlink()
    ran = mill.run(steps)
    assert ran.bytes == mill.run(steps, out="out2", work="work2").bytes


def test_a_wider_column_in_a_new_file_gives_what_a_fresh_run_gives(flawed: Mill) -> None:
    steps = [LENGTH, {"kind": "exact_dedup", "column": "rank"}]
    flawed.run(steps)
    flawed.jsonl("wider", [{"text": "a document whose rank is no whole number " * 5, "rank": 0.5, "more": "x"}])
    ran = flawed.run(steps)
    assert str(ran.corpus.schema.field("rank").type) == "double"
    assert ran.bytes == flawed.run(steps, out="out2", work="work2").bytes
    check_sums(ran)


def test_until_stops_before_the_next_stage_and_the_next_run_goes_on(flawed: Mill) -> None:
    from pipeline.session import run_recipe

    steps = [LENGTH, {"kind": "exact_dedup"}, WORDS]
    recipe = flawed.recipe(steps)
    out, work = str(flawed.home / "out"), str(flawed.home / "work")
    result = run_recipe(recipe, flawed.executor, out=out, work_dir=work, until="length", quiet=True)
    assert result["status"] == "stopped"
    assert not (flawed.home / "out" / "manifest.json").exists()
    again = flawed.run(steps)
    assert "ingest docs" not in again.computed
    assert again.steps["length"]["rows_computed"] == 0
    check_sums(again)


def test_old_snapshots_stay_and_the_newest_is_public(flawed: Mill) -> None:
    first = flawed.run([LENGTH])
    version = first.manifest["version"]
    second = flawed.run([{**LENGTH, "min_chars": 300}])
    assert second.manifest["version"] != version
    old = json.loads((flawed.home / "out" / version / "manifest.json").read_text(encoding="utf-8"))
    assert old["rows"]["kept"] > second.manifest["rows"]["kept"]
    back = flawed.run([LENGTH])
    assert back.manifest["version"] == version
    assert back.computed == {}
    assert rows_of(back.corpus) == rows_of(first.corpus)


def test_two_trainings_that_cut_alike_count_once(flawed: Mill) -> None:
    train = {"kind": "train_tokenizer", "pretokenizer": "gpt2"}
    first = flawed.run([{**train, "name": "small", "vocab_sizes": [300]}])
    second = flawed.run([{**train, "name": "large", "vocab_sizes": [400], "min_count": 2, "special_tokens": ["<end>"]}])
    assert first.steps["small"]["rows_computed"] > 0
    assert second.steps["large"]["rows_computed"] == 0
    counts = [{n: d for n, d in ran.bytes.items() if "/counts/" in n} for ran in (first, second)]
    assert list(counts[0].values()) == list(counts[1].values())
