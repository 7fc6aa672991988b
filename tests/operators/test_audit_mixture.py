"""The audit of a training: what was inferred beside what went in, and a warning where they differ."""

import json
from pathlib import Path
from typing import Any

import pytest

from operators.audit_mixture import AuditMixture
from operators.base import RecipeError
from operators.mixture_comparison import complaint
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from pipeline.report.inferences import inferred
from pipeline.report.reading import facts_of
from tests.operators.test_infer_mixture import WEIGHTS, WORDS, table, texts
from tests.pipeline.engine import Mill, Ran

TRAIN = {"kind": "train_tokenizer", "name": "made", "pretokenizer": "gpt2", "vocab_sizes": [1000], "group_by": "kind"}
AUDIT = {"kind": "audit_mixture", "step": "made", "by": "kind", "tolerance_ppm": 0.001}
SIZES = {kind: sum(map(len, texts(kind, 100, seed))) for seed, kind in enumerate(WORDS)}


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    """100 documents of each kind."""
    made = Mill(tmp_path)
    made.jsonl("texts", table(repeated=False).select(["text", "kind"]).to_pylist())
    return made


def mixture(ran: Ran) -> dict[str, Any]:
    """What the audit left."""
    found: dict[str, Any] = json.loads((ran.out / "artifacts/audit_mixture/mixture.json").read_text())
    return found


def test_what_was_inferred_is_what_was_trained_on_also_where_documents_count_several_times(mill: Mill) -> None:
    mix = {"kind": "mix", "by": "kind", "weights": WEIGHTS, "budget": 80_000, "max_epochs": 20}
    ran = mill.run([mix, TRAIN, AUDIT])
    found = mixture(ran)
    drawn = json.loads((ran.out / "artifacts/mix/mixture.json").read_text())["categories"]
    whole = sum(entry["drawn"] for entry in drawn.values())
    for name, entry in found["categories"].items():
        assert entry["trained"] == pytest.approx(drawn[name]["drawn"] / whole, abs=1e-12)
        assert entry["bytes"] == pytest.approx(entry["trained"], abs=1e-5)
    audit = found["audit"]
    assert audit["largest_difference"] < 0.001
    assert audit["fits"]
    assert not [line for line in ran.summary["warnings"] if "audit_mixture" in line]
    assert "was trained on these shares to within" in page(ran)


def test_a_training_on_other_shares_than_the_rows_have_is_audited_by_its_own(mill: Mill) -> None:
    """The rows that reach the audit are fewer than those that were trained on: their shares do not matter."""
    fewer = {"kind": "mix", "by": "kind", "weights": {"birds": 1, "stones": 1, "tools": 3}, "budget": 8_000}
    found = mixture(mill.run([TRAIN, fewer, {**AUDIT, "tolerance_ppm": 200}]))
    whole = sum(SIZES.values())
    trained = {name: entry["trained"] for name, entry in found["categories"].items()}
    assert trained == pytest.approx({name: size / whole for name, size in SIZES.items()}, abs=1e-12)


def test_few_merges_leave_the_shares_open_and_the_run_says_so(mill: Mill) -> None:
    ran = mill.run([{**TRAIN, "vocab_sizes": [258]}, {**AUDIT, "max_difference": 0.01}])
    audit = mixture(ran)["audit"]
    assert audit["largest_difference"] > 0.01
    assert audit["fits"]
    (warning,) = [line for line in map(str, ran.summary["warnings"]) if "percentage points" in line]
    assert "trained on by up to" in warning
    assert "few merges leave the shares open" in warning
    assert "is too much. What it was trained on fits its merges as well" in page(ran)


def test_a_category_that_no_row_has_any_more_was_trained_on_all_the_same(mill: Mill) -> None:
    without = {"kind": "mix", "by": "kind", "weights": {"birds": 1, "stones": 1}, "others": "drop"}
    found = mixture(mill.run([TRAIN, without, {**AUDIT, "tolerance_ppm": 200}]))
    entry = found["categories"]["tools"]
    assert entry["bytes"] == 0
    assert entry["trained"] == pytest.approx(SIZES["tools"] / sum(SIZES.values()))
    assert not found["audit"]["fits"]


def page(ran: Ran) -> str:
    """The report's words on the audit."""
    run = facts_of(ran.manifest, lambda name: (ran.version / name).read_bytes())
    (step,) = [step for step in run.steps if step.kind == "audit_mixture"]
    return inferred(step, mixture(ran))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "does not count its text by 'kind': give it group_by: kind"),
        ({"algorithm": "parity_bpe", "group_by": "kind"}, "not in order of frequency"),
        ({"algorithm": "wordpiece", "group_by": "kind", "vocab_sizes": (600,)}, "wordpiece"),
    ],
)
def test_a_training_that_cannot_be_audited_is_refused(given: dict[str, Any], says: str) -> None:
    step = TrainTokenizer.model_validate({"pretokenizer": "gpt2", "vocab_sizes": (300,), **given})
    with pytest.raises(RecipeError, match=says):
        AuditMixture(step="made", by="kind").check_against({"made": step})


def test_the_merges_of_an_extended_tokenizer_are_counted_for_who_does_not_skip_them(mill: Mill) -> None:
    base = mill.run([{**TRAIN, "vocab_sizes": [270]}], out="base").version / "artifacts/made"
    given = {"pretokenizer": TRAIN["pretokenizer"], "vocab_sizes": (300,), "extend": str(base), "group_by": "kind"}
    step = TrainTokenizer.model_validate(given)
    with pytest.raises(RecipeError, match=r"skip: step 'made' goes on from .*, whose merges come first: .* skip: 14$"):
        AuditMixture(step="made", by="kind").check_against({"made": step})
    AuditMixture(step="made", by="kind", skip=14).check_against({"made": step})


def test_what_is_no_training_is_refused() -> None:
    with pytest.raises(RecipeError, match="trains nothing"):
        AuditMixture(step="made", by="lang").check_against({"made": TrimTokenizer(step="other")})
    with pytest.raises(RecipeError, match="leaves no tokenizer"):
        AuditMixture(step="made", by="lang").check_against({"made": AuditMixture(step="made", by="lang")})
    AuditMixture(step="made", by="lang").check_against(
        {"made": TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,))}
    )


def test_rounding_is_no_difference() -> None:
    entry = {"bytes": 0.5, "trained": 0.5 + 1e-14}
    audit = {"largest_difference": 1e-12, "max_difference": 0, "category": "a", "fits": True}
    found = {"audit": audit, "categories": {"a": entry}, "by": "kind"}
    assert complaint(found, "made") == ""
    assert "more than 0" in complaint({**found, "audit": {**audit, "largest_difference": 1e-8}}, "made")
