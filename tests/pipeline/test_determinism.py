"""The same recipe over the same input gives the same bytes, whatever else differs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import folding
from pipeline.executors.local import LocalExecutor
from tests.pipeline.engine import Json, Mill, digests, flawed_texts, rows_of

ROOT = Path(__file__).parents[2]
CAUSAL_MODEL = str(ROOT / "tests" / "data" / "causal_model")
STEPS: list[Json] = [  # new ones go last: a test below takes some by their place
    {"kind": "language_id", "name": "lid", "min_score": 0.1},
    {"kind": "gopher_repetition", "audit": True},
    {"kind": "exact_dedup"},
    {"kind": "minhash_dedup", "threshold": 0.7},
    {"kind": "sample", "fraction": 0.8},
    {"kind": "corpus_stats", "by": ["source", "lang"]},
    {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [300, 350]},
    {"kind": "line_dedup", "min_documents": 2, "keep": "none"},
    {"kind": "length", "min_chars": 30},
    {"kind": "line_rules", "max_removed_share": 0.5},
    {"kind": "word_list", "words": ["statement", "the class"], "max_hits": 3, "keep_share": 0.3},
    {"kind": "script_share", "keep": ["Latin"], "scripts": {"zh": ["Han"]}, "audit": True},
    {"kind": "fix_unicode"},
    {"kind": "mask_pii", "replace_by": "stand_in"},
    {"kind": "remove_lines"},
    {"kind": "extract_html", "detect": "markup"},
    {"kind": "remove_control_characters"},
    {"kind": "normalise_white_space"},
    {"kind": "train_classifier", "positive": {"column": "lang", "in": ["en"]}, "dim": 4, "buckets": 50},
    {"kind": "train_ngram_model", "name": "pool", "order": 3},
    {"kind": "ngram_perplexity", "model": "pool", "head": 0.5, "by": "lang", "audit": True},
    {"kind": "classify", "model": "train_classifier", "keep_share": 0.8, "by": "lang", "audit": True},
    {"kind": "lang_per_line", "min_line_chars": 10, "audit": True},
    {"kind": "c4_quality", "min_sentences": 1},
    {"kind": "fineweb_quality", "audit": True},
    {"kind": "decontaminate", "references": ["items"]},
    {
        "kind": "importance_resample",
        "target": {"column": "lang", "in": ["en"]},
        "select": {"fraction": 0.7},
        "min_tokens": 5,
    },
    {
        "kind": "importance_resample",
        "name": "again",
        "target": [{"column": "lang", "in": ["en"]}, "importance_resample"],
        "select": {"fraction": 0.9},
        "min_tokens": 5,
    },
    {"kind": "train_ngram_model", "name": "weak", "order": 1, "max_mb": 0.002},
    {"kind": "concordance_score", "ladder": ["weak", "pool"], "min_score": 0.5, "audit": True},
    {"kind": "facility_location", "select": {"fraction": 0.8}, "partition_size": 20},
    {"kind": "vote_k", "select": {"fraction": 0.9}, "neighbours": 5},
    {"kind": "ideal", "select": {"fraction": 0.9}, "audit": True},
    {"kind": "k_center", "select": {"fraction": 0.9}, "partition_size": 9},
    {"kind": "embed_documents", "name": "toy", "encoder": "tests.operators.toy_encoder:toy"},
    {"kind": "k_center", "name": "by_meaning", "step": "toy", "select": {"fraction": 0.6}, "audit": True},
    {"kind": "mix", "by": "lang", "temperature": 2.0, "max_epochs": 2},
    {"kind": "length_buckets", "step": "train_tokenizer", "min_length": 8, "max_length": 32},
    {"kind": "infer_mixture", "step": "train_tokenizer", "by": "lang", "tolerance_ppm": 5},
    {"kind": "audit_mixture", "step": "train_tokenizer", "by": "lang", "tolerance_ppm": 5},
    {"kind": "init_embeddings", "step": "train_tokenizer", "model": CAUSAL_MODEL, "min_count": 2, "dim": 8},
    {"kind": "embed_documents", "encoder": "tests.operators.toy_encoder:toy"},
    {"kind": "cluster", "step": "embed_documents", "clusters": 3},
    {"kind": "semantic_dedup", "step": "embed_documents", "epsilon": 0.001, "clusters": 4},
    {"kind": "train_static_vectors", "step": "train_tokenizer", "dimension": 16, "segment_tokens": 16},
    {"kind": "embed_documents", "name": "static", "encoder": "static", "step": "train_static_vectors"},
]


def write_parts(mill: Mill, files: int) -> None:
    """The flawed texts in so many files."""
    texts = flawed_texts()
    for number in range(files):
        mill.jsonl(f"part{number:02}", ({"text": text} for text in texts[number::files]))


@pytest.mark.parametrize("shard_mb", [0.02, pytest.param(0.008, marks=pytest.mark.slow)])
def test_a_whole_recipe_gives_the_same_bytes_with_one_and_two_workers(
    shard_mb: float, flawed: Mill, two_workers: LocalExecutor
) -> None:
    one = flawed.run(STEPS, shard_mb=shard_mb)
    assert one.manifest["inputs"][0]["shards"] > 1
    two = flawed.run(STEPS, shard_mb=shard_mb, out="out2", work="work2", executor=two_workers)
    assert one.bytes == two.bytes
    assert len(one.bytes) >= 7


@pytest.mark.slow
def test_the_layout_of_shards_changes_no_row_and_no_artifact(flawed: Mill) -> None:
    runs = [
        flawed.run(STEPS, shard_mb=shard_mb, out=f"out{shard_mb}", work=f"work{shard_mb}")
        for shard_mb in (0.004, 0.012, 1)
    ]
    assert len({run.manifest["inputs"][0]["shards"] for run in runs}) == 3
    first = runs[0]
    for run in runs[1:]:
        assert rows_of(run.corpus) == rows_of(first.corpus)
        assert rows_of(run.dropped) == rows_of(first.dropped)
        assert run.artifacts == first.artifacts


@pytest.mark.slow
def test_the_shape_of_the_merge_tree_changes_nothing(flawed: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = flawed.run(STEPS, shard_mb=0.004)
    monkeypatch.setattr(folding, "FAN_IN", 2)
    monkeypatch.setattr(folding, "GATHER_SHARDS", 3)
    deep = flawed.run(STEPS, shard_mb=0.004, out="out2", work="work2")
    assert wide.bytes == deep.bytes


@pytest.mark.slow
def test_a_shared_work_directory_changes_nothing(mill: Mill) -> None:
    """Results of other recipes lie beside ours; only what has our key is ours."""
    write_parts(mill, 4)
    alone = mill.run(STEPS)
    for steps in (STEPS[2:5], STEPS[:3], [STEPS[3], STEPS[2]], [{**STEPS[4], "fraction": 0.5}, STEPS[6]]):
        mill.run(steps, out="other", work="shared")
    assert mill.run(STEPS, out="out2", work="shared").bytes == alone.bytes


@pytest.mark.slow
def test_hash_seed_directory_locale_and_time_zone_change_nothing(mill: Mill) -> None:
    write_parts(mill, 4)
    content = mill.recipe(STEPS).model_dump(mode="json")
    content["inputs"][0]["path"] = "in/*.jsonl"
    content["outputs"]["path"] = "out"
    outs = []
    for seed, zone, language in (("0", "UTC", "C"), ("12345", "Asia/Kolkata", "C.UTF-8")):
        home = mill.home / f"home{seed}"
        home.mkdir()
        (home / "in").symlink_to(mill.home / "in")
        (home / "recipe.yaml").write_text(json.dumps(content), encoding="utf-8")
        environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language}
        command = [sys.executable, "-m", "pipeline", "run", "recipe.yaml", "--workers", "1", "--json"]
        subprocess.run(command, cwd=home, env={**os.environ, **environment}, check=True, capture_output=True)
        outs.append(digests(home / "out"))
    assert outs[0] == outs[1]
    assert len(outs[0]) >= 7


def test_published_rows_come_in_the_order_of_shards_and_rows(mill: Mill) -> None:
    mill.jsonl("a", ({"text": f"text {number}", "rank": number} for number in range(100)))
    ran = mill.run([{"kind": "sample", "fraction": 0.5}], shard_mb=0.0002)
    assert ran.manifest["inputs"][0]["shards"] > 3
    ranks = ran.corpus["rank"].to_pylist()
    assert ranks == sorted(ranks)
    assert ran.corpus.schema.field("text").type == pa.large_string()
