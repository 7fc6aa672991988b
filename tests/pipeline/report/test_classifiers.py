"""What the page says of a step that trained a classifier."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from operators.classifier_metrics import measured
from operators.train_classifier import TrainClassifier
from tests.pipeline.report.manifests import HOSTILE
from tests.pipeline.report.test_trained import page_of


def said(label: str = "hq", **held: object) -> str:
    """The page of a classifier that tells its classes apart well, but not always."""
    random = np.random.default_rng(1)
    truth = np.arange(400) % 2 == 0
    scores = np.clip(truth * 0.4 + random.random(400) * 0.6, 0, 1)
    sizes = {"documents": 1800, "bytes": 5_000_000}
    classes: dict[str, Any] = {
        name: {
            "label": label,
            "sources": [{"from": f"input {name}s", "documents": 31_415, "bytes": 9, "used": 2000}],
            "training": sizes,
            "held_out": {"documents": 200, "bytes": 400_000},
        }
        for name, label in (("positive", label), ("negative", "cc"))
    }
    content = {
        "classes": classes,
        "training": {"loss_by_epoch": [0.69, 0.25], "vocabulary": 12_345},
        "held_out": {"documents": 400, **measured(scores, truth), **held},
    }
    operator = TrainClassifier.model_validate({"name": "tok", "positive": "positives", "preset": "preselect"})
    given = operator.model_dump(mode="json")
    return page_of("train_classifier", given, {"metrics.json": json.dumps(content).encode(), "model.bin": b""})


def test_the_page_shows_how_good_it_is_and_where_it_is_from() -> None:
    page = said()
    for shown in (
        "1 classifier; 2 files from 1 step.",
        "AUC, held out 0.9",
        "Loss, first and last epoch 0.69 \u2192 0.25",
        "Words with a vector 12,345",
        "Preset preselect Epochs 3",
        "positive hq input positives 31,415 2,000",
        "negative 1,800 5.00 MB 200 400 kB",
        "Precision by recall",
        "Calibration",
        "Thresholds that keep a share of the negatives",
    ):
        assert shown in page


def test_a_class_without_held_out_documents_leaves_the_figures_out() -> None:
    page = said(auc=None)
    assert "Nothing was measured" in page
    assert "Calibration" not in page


def test_a_label_is_text_whatever_it_holds() -> None:
    assert "<script>document.title=" in said(HOSTILE)  # in a page whose tags were taken out: it was none
