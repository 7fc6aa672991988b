"""The gate on single sources: no source goes without a word, however small its share of the corpus."""

from typing import Any

import pytest

from operators.base import RunError
from tests.pipeline.engine import Mill

STEPS: list[dict[str, Any]] = [
    {"kind": "exact_dedup"},
    {"kind": "minhash_dedup"},
    {"kind": "line_dedup", "min_documents": 2},
    {"kind": "substring_dedup"},
]
each_step = pytest.mark.parametrize("step", STEPS, ids=[step["kind"] for step in STEPS])


def mirror(mill: Mill, size: int) -> None:
    """A source of 400 different documents, and one of `size` that are all in it."""
    texts = [" ".join(f"word{number}of{part}" for part in range(30)) for number in range(400)]
    mill.jsonl("original", [{"text": text, "source": "books"} for text in texts])
    mill.jsonl("mirror", [{"text": text, "source": "mirror"} for text in texts[:size]])


@each_step
def test_a_source_that_would_go_fails_the_run_and_is_named(mill: Mill, step: dict[str, Any]) -> None:
    mirror(mill, 100)
    kind = step["kind"]
    told = f"{kind}' drops 100 of the 100 documents of source 'mirror' .100.0%.*0.99.*steps.{kind}.audit=true.*priority"
    with pytest.raises(RunError, match=told):
        mill.run([{**step, "priority": ["books"]}])
    assert not (mill.home / "out" / "corpus").exists()


@each_step
@pytest.mark.parametrize("fields", [{"max_source_drop_ratio": 1.0}, {"audit": True}, {"priority": ["mirror"]}])
def test_the_gate_opens_where_it_is_raised_where_nothing_goes_and_where_the_source_comes_first(
    mill: Mill, step: dict[str, Any], fields: dict[str, Any]
) -> None:
    mirror(mill, 100)
    ran = mill.run([{"priority": ["books"], **step, **fields}])
    assert ran.manifest["rows"]["kept"] == (500 if "audit" in fields else 400)
    assert mill.run([{"priority": ["books"], **step, **fields, "max_source_drop_ratio": 1.0}]).computed == {}


@each_step
def test_a_handful_of_documents_may_all_be_duplicates(mill: Mill, step: dict[str, Any]) -> None:
    mirror(mill, 99)
    assert mill.run([{**step, "priority": ["books"]}]).manifest["rows"]["kept"] == 400


def test_of_a_single_source_nothing_is_said_of_priority_and_no_share_is_rounded_to_all(mill: Mill) -> None:
    mill.jsonl("one", [{"text": "the same", "source": "s"} for _ in range(3000)] + [{"text": "another", "source": "s"}])
    told = r"drops 2999 of the 3001 documents of source 's' \(99\.9%\).*then change the step, or raise"
    with pytest.raises(RunError, match=told):
        mill.run([{"kind": "exact_dedup", "max_drop_ratio": 1.0}])
