"""What holds for every operator: one entry in `CASES` for each, and the real engine."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from operators import OPERATORS
from operators.base import Composite, Judge
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import Recipe
from tests.pipeline.engine import Mill, check_sums, rows_of

TOKENIZER = str(Path(__file__).resolve().parents[1] / "data" / "tokenizer.json")
"""300 tokens, the last one special, trained on German and French sentences that are in `engine.py`."""
NGRAMS = str(Path(__file__).resolve().parents[1] / "data" / "sentences.ngram")
"""A model of the German sentences that are in `engine.py`."""

ENCODER = "tests.operators.toy_encoder:toy"
CLASSIFIER = str(Path(__file__).resolve().parents[1] / "data" / "classifier.bin")
"""Random numbers for five words and their pairs, and the labels `hq` and `cc`; see `fasttext_files.py`."""

CAUSAL_MODEL = str(Path(__file__).resolve().parents[1] / "data" / "causal_model")
"""A table of random numbers for a vocabulary of five merges; see `tests/operators/transplant/models.py`."""

CASES: dict[str, tuple[dict[str, Any], ...]] = {
    "audit_mixture": ({"step": "trained", "by": "kind"}, {"step": "trained", "by": "kind", "range": 0.1}),
    "c4_quality": ({"min_sentences": 1}, {"terminal_punctuation": False, "min_sentences": 2, "min_long_paragraphs": 1}),
    "classify": (
        {"model": CLASSIFIER, "min_score": 0.4},
        {"model": CLASSIFIER, "keep_share": 0.4, "by": "source"},
    ),
    "cluster": ({"step": "embed", "clusters": 3},),
    "concordance_score": (
        {"ladder": ["tests.operators.losses:of_letters", NGRAMS, "tests.operators.losses:of_length"], "min_score": 0.4},
        {"ladder": [NGRAMS, "tests.operators.losses:of_length"]},
    ),
    "corpus_stats": ({"by": ["source"]},),
    "decontaminate": (
        {"references": ["items"]},
        {"references": ["one", "two"], "ngram": 5, "min_words": 5, "ignore_frequent": 40},
    ),
    "embed_documents": ({"encoder": ENCODER}, {"encoder": ENCODER, "format": "binary"}),
    "exact_dedup": ({}, {"column": "rank"}),
    "facility_location": (
        {"select": {"docs": 9}, "vectors": {"dim": 32}, "partition_size": 20},
        {"select": {"bytes": 9000}, "vectors": {"ngrams": 2, "dim": 64}, "draw": "sampled", "temperature": 2},
    ),
    "fineweb_quality": ({"max_char_dup_ratio": 0.1, "max_list_ratio": 0.5},),
    "extract_html": ({"detect": "all", "min_chars": 20},),
    "fix_unicode": ({}, {"normal_form": "NFKC", "straight_quotes": True}),
    "gopher_quality": ({"min_words": 20, "min_alpha_ratio": 0.6, "min_stop_words": 1},),
    "gopher_repetition": ({},),
    "ideal": ({"select": {"docs": 9}, "vectors": {"dim": 32}, "partition_size": 20},),
    "importance_resample": (
        {"target": {"column": "kind", "in": ["prose"]}, "select": {"docs": 9}, "min_tokens": 20},
        {
            "target": {"column": "kind", "in": ["prose"]},
            "select": {"bytes": 9000},
            "hash": "sha256",
            "normalise": "document",
            "buckets": 500,
            "min_tokens": 5,
        },
        {
            "target": [{"column": "kind", "in": ["prose"]}],
            "select": {"docs": 9},
            "buckets": 500,
            "min_tokens": 5,
        },
    ),
    "infer_mixture": (
        {"tokenizer": TOKENIZER, "by": "source"},
        {"tokenizer": TOKENIZER, "by": "kind", "range": 0.1, "bootstrap": 3},
    ),
    "init_embeddings": (
        {"model": CAUSAL_MODEL, "tokenizer": TOKENIZER, "min_count": 2, "dim": 8},
        {"model": CAUSAL_MODEL, "tokenizer": TOKENIZER, "method": "subword"},
    ),
    "k_center": ({"select": {"docs": 9}, "vectors": {"dim": 32}, "partition_size": 20},),
    "lang_per_line": ({"min_line_chars": 12, "min_share": 0.9, "keep": ["de", "en"]},),
    "language_id": ({"keep": ["en", "de"], "min_score": 0.5},),
    "length_buckets": (
        {"tokenizer": TOKENIZER, "min_length": 4, "max_length": 64, "end_token": "<|end|>"},
        {"tokenizer": TOKENIZER, "min_length": 8, "max_length": 8, "next_token": True},
    ),
    "length": ({"min_chars": 200, "max_line_chars": 5000}, {"min_words": 40, "max_lines": 30}),
    "line_dedup": ({"min_documents": 2}, {"min_documents": 2, "keep": "none", "normalise": "whitespace_case"}),
    "line_rules": ({},),
    "mask_pii": ({}, {"replace_by": "stand_in", "kinds": ["email", "ip"], "variant": "datatrove-0.10"}),
    "minhash_dedup": (
        {"threshold": 0.7},
        {"verify": "none", "bands": 14, "rows": 8, "keep_signatures": True},
        {"verify": "containment", "unit": "character", "ngram": 12},
    ),
    "mix": (
        {"by": "source", "temperature": 2.0, "budget": 9000, "max_epochs": 2},
        {"by": "source", "unimax": True, "budget": 9000},
    ),
    "ngram_perplexity": (
        {"model": NGRAMS, "head": 0.4, "middle": 0.3, "share_of": "bytes", "by": "source", "keep": ["head", "middle"]},
        {"model": NGRAMS, "against_model": NGRAMS, "max_bits_per_byte": 4.5},
    ),
    "normalise_white_space": ({"max_blank_lines": 0, "indentation": "remove"},),
    "paragraph_dedup": ({"min_documents": 2},),
    "remove_control_characters": ({}, {"only": {"column": "source", "in": ["docs"]}, "joiners": True}),
    "remove_lines": ({"patterns": ["^#"], "citation_marks": "remove"},),
    "romanise": ({"max_chars": 40},),
    "sample": ({"docs": 17}, {"bytes": 9000, "by": "source"}, {"fraction": 0.5}),
    "script_share": ({"keep": ["Greek"], "min_share": 0.1},),
    "semantic_dedup": (
        {"step": "embed", "epsilon": 0.01, "clusters": 3},
        {"step": "embed", "keep_share": 0.5, "keep": "longest"},
    ),
    "substring_dedup": ({"min_bytes": 40, "min_left_bytes": 30},),
    "train_classifier": (
        {"positive": {"column": "kind", "in": ["prose"]}, "dim": 4, "buckets": 50},
        {"positive": {"column": "kind", "in": ["prose"]}, "max_documents": 9, "word_ngrams": 1, "dim": 4},
    ),
    "train_ngram_model": ({"order": 3, "max_mb": 0.01}, {"unit": "byte", "order": 6}),
    "train_static_vectors": (
        {"tokenizer": TOKENIZER, "dimension": 8, "segment_tokens": 32},
        {"tokenizer": TOKENIZER, "dimension": 4, "segment_tokens": 8, "max_segments": 50},
    ),
    "train_tokenizer": (
        {"pretokenizer": "gpt2", "vocab_sizes": [260, 400], "special_tokens": ["<end>"]},
        {"algorithm": "unigram", "pretokenizer": "cl100k", "vocab_sizes": [300, 400], "reserved": 1},
        {"algorithm": "wordpiece", "pretokenizer": "cl100k", "vocab_sizes": [560, 600], "group_by": "source"},
        {"extend": TOKENIZER, "pretokenizer": "cl100k", "vocab_sizes": [301, 350], "special_tokens": ["<|end|>"]},
        {"algorithm": "superbpe", "pretokenizer": "superbpe", "vocab_sizes": [320, 400], "transition": 300},
    ),
    "url_filter": ({"column": "id", "parts": ["7f", "3a"], "hard_words": ["never"]},),
    "vote_k": ({"select": {"docs": 9}, "vectors": {"dim": 32}, "partition_size": 20, "neighbours": 5},),
    "word_list": (
        {"words": ["again", "list of things", "und"], "max_hits": 1, "keep_share": 0.2},
        {"lists": {"docs": ["item number", "statement"]}, "lang_column": "source", "max_per_1000_words": 8},
    ),
    "trim_tokenizer": ({"tokenizer": TOKENIZER, "min_count": 2},),
}
"""Kind -> parameters under which a judging operator drops something and keeps something of the flawed texts."""

BEFORE: dict[str, dict[str, Any]] = {
    "audit_mixture": {
        "kind": "train_tokenizer", "name": "trained", "pretokenizer": "gpt2", "vocab_sizes": [400], "group_by": "kind",
    },
    "cluster": {"kind": "embed_documents", "name": "embed", "encoder": ENCODER},
    "semantic_dedup": {"kind": "embed_documents", "name": "embed", "encoder": ENCODER},
}  # fmt: skip
"""Kind -> a step without which it is nothing."""

KINDS = {str(operator.model_fields["kind"].default): operator for operator in OPERATORS}
STEPS = [{"kind": kind, "name": "tested", **case} for kind, cases in CASES.items() for case in cases]
each_step = pytest.mark.parametrize("step", STEPS, ids=[json.dumps(step)[9:60] for step in STEPS])


def steps_to(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The step, after one that it needs."""
    return [BEFORE[step["kind"]], step] if step["kind"] in BEFORE else [step]


def judges(step: dict[str, Any]) -> bool:
    """Whether the operator drops rows."""
    operator = KINDS[step["kind"]].model_validate(step)
    stages = operator.stages() if isinstance(operator, Composite) else (operator,)
    return any(isinstance(stage, Judge) for stage in stages)


def test_every_operator_is_held_to_the_standing_properties() -> None:
    assert sorted(CASES) == sorted(KINDS)


@each_step
def test_the_sums_hold_and_a_judge_both_drops_and_keeps(step: dict[str, Any], flawed: Mill) -> None:
    flawed.jsonl("bad", [{"text": None}, {"text": " "}, {"text": "a good one, if a short one"}, {"txt": "x"}])
    ran = flawed.run(steps_to(step))
    check_sums(ran)
    rows = ran.manifest["rows"]
    assert rows["quarantined"] == 3
    assert (rows["dropped"] > 0) == judges(step)
    assert rows["kept"] > 0


@each_step
def test_bytes_do_not_depend_on_workers_or_on_the_order_of_the_files(
    step: dict[str, Any], flawed: Mill, two_workers: LocalExecutor
) -> None:
    one = flawed.run(steps_to(step))
    two = flawed.run(steps_to(step), out="out2", work="work2", executor=two_workers)
    paths = sorted(str(path) for path in (flawed.home / "in").iterdir())
    listed = [{"name": "docs", "path": paths[::-1]}]
    turned = flawed.run(steps_to(step), out="out3", work="work3", inputs=listed)
    assert len(one.bytes) >= 2
    assert one.bytes == two.bytes == turned.bytes


@each_step
def test_another_shard_size_gives_the_same_rows_and_artifacts(step: dict[str, Any], flawed: Mill) -> None:
    small = flawed.run(steps_to(step), shard_mb=0.004)
    large = flawed.run(steps_to(step), shard_mb=0.03, out="out2", work="work2")
    assert small.manifest["inputs"][0]["shards"] > large.manifest["inputs"][0]["shards"]
    assert rows_of(small.corpus) == rows_of(large.corpus)
    assert rows_of(small.dropped) == rows_of(large.dropped)
    assert small.artifacts == large.artifacts


@pytest.mark.parametrize("step", [s for s in STEPS if judges(s)], ids=[json.dumps(s)[9:60] for s in STEPS if judges(s)])
def test_audit_keeps_all_rows_and_records_the_verdict(step: dict[str, Any], flawed: Mill) -> None:
    strict = flawed.run(steps_to(step))
    audit = flawed.run(steps_to({**step, "audit": True}), out="out2")
    assert audit.corpus.num_rows == audit.manifest["rows"]["read"]
    verdicts = dict(zip(audit.corpus["id"].to_pylist(), audit.corpus["tested_verdict"].to_pylist(), strict=True))
    dropped = dict(zip(strict.dropped["id"].to_pylist(), strict.dropped["rule"].to_pylist(), strict=True))
    assert {i: rule for i, rule in verdicts.items() if rule is not None} == dropped
    assert audit.steps["tested"]["audited"] == strict.steps["tested"]["dropped"]
    assert audit.steps["tested"]["rows_computed"] == 0


@each_step
def test_a_second_run_computes_nothing_and_publishes_nothing(step: dict[str, Any], flawed: Mill) -> None:
    first = flawed.run(steps_to(step))
    before = stamps(first.out)
    again = flawed.run(steps_to(step))
    assert again.computed == {}
    assert stamps(again.out) == before
    assert again.summary["rows"] == first.summary["rows"]


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of everything below the output but the lock."""
    return {
        str(path.relative_to(out)): (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in out.rglob("*")
        if path.name not in ("lock", ".versions", out.name)
    }


@each_step
def test_a_recipe_survives_json(step: dict[str, Any], mill: Mill) -> None:
    recipe = mill.recipe(steps_to(step))
    again = Recipe.model_validate(json.loads(recipe.model_dump_json()))
    assert again == recipe
    assert [s.identity() for s in again.steps] == [s.identity() for s in recipe.steps]


@each_step
def test_operators_and_their_stages_survive_pickle(step: dict[str, Any], mill: Mill) -> None:
    *_, operator = mill.recipe(steps_to(step)).steps
    copy = pickle.loads(pickle.dumps(operator))
    assert copy == operator
    if isinstance(operator, Composite):
        assert isinstance(copy, Composite)
        assert copy.stages() == operator.stages()
