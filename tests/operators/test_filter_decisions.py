"""The variant `datatrove-0.10` of the four filters: datatrove 0.10.1's decisions on texts of our own, without either.

`tests/data/filter_decisions.json` has them, and what spaCy 3.8.18 says of the texts' chunks; after a change of the
texts `python benchmarks/filters_parity.py --golden tests/data/filter_decisions.json` writes it again (it needs the
extra `parity`).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators import reference_words, scans
from operators.base import Operator
from operators.c4_quality import C4Quality
from operators.fineweb_quality import FinewebQuality
from operators.gopher_quality import GopherQuality
from operators.gopher_repetition import GopherRepetition
from tests.operators.harness import corpus, run
from tests.operators.odd_prose import TEXTS

SAID: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "filter_decisions.json").read_text(encoding="utf-8")
)
VARIANT = {"variant": "datatrove-0.10"}
FILTERS: dict[str, Operator] = {
    "gopher_quality": GopherQuality.model_validate(VARIANT),
    "gopher_repetition": GopherRepetition.model_validate(VARIANT),
    "c4_quality": C4Quality.model_validate(VARIANT),
    "c4_quality_fineweb": C4Quality.model_validate({**VARIANT, "terminal_punctuation": False}),
    "fineweb_quality": FinewebQuality.model_validate(VARIANT),
}


@pytest.fixture(autouse=True)
def spacy_as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What spaCy said; a chunk that it was not asked for is an error."""

    def edges(chunks: list[str]) -> tuple[Any, Any]:
        masks = np.array([SAID["spacy_edges"][chunk] for chunk in chunks], np.uint64).reshape(-1, 2)
        return masks[:, 0], masks[:, 1]

    monkeypatch.setattr(reference_words, "spacy_words", lambda chunks: [SAID["spacy_words"][c] for c in chunks])
    monkeypatch.setattr(reference_words, "spacy_edges", edges)
    monkeypatch.setattr(reference_words, "spacy_text_words", SAID["spacy_text_words"].__getitem__)
    monkeypatch.setattr(reference_words, "spacy_tokens", SAID["spacy_tokens"].__getitem__)
    monkeypatch.setattr(scans, "_remembered", ())


@pytest.mark.parametrize("name", FILTERS)
def test_decisions_are_those_of_datatrove(name: str) -> None:
    engine = run(FILTERS[name], [corpus(TEXTS)])
    dropped = dict(zip(engine.dropped["id"].to_pylist(), engine.dropped["rule"].to_pylist(), strict=True))
    ids = corpus(TEXTS)["id"].to_pylist()
    assert [dropped.get(id_, "") for id_ in ids] == SAID["decisions"][name]
    if f"{name}_text" in SAID["decisions"]:
        before = dict(zip(ids, TEXTS, strict=True))
        after = before | dict(zip(engine.kept["id"].to_pylist(), engine.kept["text"].to_pylist(), strict=True))
        assert list(after.values()) == SAID["decisions"][f"{name}_text"]


def test_many_rules_decide_somewhere() -> None:
    reasons = {name: set(SAID["decisions"][name]) - {""} for name in FILTERS}
    assert {name: len(found) for name, found in reasons.items()} == {
        "gopher_quality": 9,
        "gopher_repetition": 8,
        "c4_quality": 3,
        "c4_quality_fineweb": 3,
        "fineweb_quality": 5,
    }
    assert SAID["spacy_text_words"]  # a text in which chunks meet is cut as a whole
