"""A column that a later step adds is not there for an earlier one that would take it."""

import json

from tests.pipeline.engine import Json, Mill

TRAIN: Json = {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [260]}
MIX: Json = {"kind": "mix", "by": "rank", "temperature": 1.0, "max_epochs": 2}


def documents(mill: Mill, *steps: Json) -> list[Json]:
    """What was trained on, by source and language."""
    ran = mill.run(list(steps), out=f"out-{'-'.join(step['kind'] for step in steps)}")
    found: Json = json.loads((ran.out / "artifacts/train_tokenizer/training.json").read_bytes())
    return list(found["corpus"]["by"])


def test_what_is_trained_before_a_mixture_counts_every_document_once(mill: Mill) -> None:
    mill.jsonl("a", ({"text": f"some text {number}", "rank": f"{number % 2}"} for number in range(20)))
    alone = documents(mill, TRAIN)
    assert sum(entry["documents"] for entry in alone) == 20
    assert documents(mill, TRAIN, MIX) == alone


def test_what_is_trained_before_languages_are_known_does_not_know_them(mill: Mill) -> None:
    mill.jsonl("a", ({"text": f"some English text {number}"} for number in range(20)))
    language: Json = {"kind": "language_id", "min_score": 0}
    assert documents(mill, TRAIN, language) == documents(mill, TRAIN)
    assert documents(mill, language, TRAIN)[0]["lang"] == "en"
