"""What a step that trained a classifier made: its classes, how well it tells them apart, what its scores are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import plot
from pipeline.report.markup import Column, code, facts, fold, table
from pipeline.report.reading import Facts, Step
from pipeline.report.settings import settings
from pipeline.report.wording import count, number, plural, share, short, size, text

FILE: Final = "/metrics.json"
MOST: Final = 1000
"""Points of a curve that are drawn."""
_NAMES: Final = ("positive", "negative")
_NONE: Final = "\u2013"

Found = Mapping[str, Any]


def metrics(run: Facts, step: Step) -> Found:
    """The step's `metrics.json`; empty where it left none."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) and {"classes", "held_out", "training"} <= found.keys() else {}


def classifier(step: Step, found: Found) -> str:
    """One step: numbers, two figures, and what to choose a threshold by."""
    held = found["held_out"]
    body = facts([*_numbers(found), *settings(step, {})]) + _classes(found)
    if held.get("auc") is not None:
        pictures = _precision(held) + _calibration(held)
        body += f'<div class="histograms">{pictures}</div>{_kept(held)}{_thresholds(held)}'
    else:
        body += "<p>Nothing was measured: both classes need documents held out.</p>"
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _numbers(found: Found) -> list[tuple[str, str]]:
    held, training = found["held_out"], found["training"]
    pairs = []
    if held.get("auc") is not None:
        half = held.get("at_half", {})
        pairs = [
            ("AUC, held out", number(held["auc"])),
            (
                "Precision and recall at 0.5",
                f"{_share(half.get('precision'))} <small>and</small> {_share(half.get('recall'))}",
            ),
            ("Calibration error", number(held["calibration_error"])),
        ]
    losses = training.get("loss_by_epoch") or [0]
    pairs.append(("Loss, first and last epoch", f"{number(losses[0])} <small>\u2192</small> {number(losses[-1])}"))
    pairs.append(("Words with a vector", short(training.get("vocabulary", 0))))
    return pairs


def _classes(found: Found) -> str:
    """Where each class is from, and how its documents were used."""
    rows = []
    for name in _NAMES:
        entry = found["classes"][name]
        for source in entry["sources"]:
            label = f"{name} {code(entry['label'])}"
            rows.append([label, text(source["from"]), count(source["documents"]), count(source["used"])])
    heads = [Column("class"), Column("from"), Column("documents", True), Column("drawn", True)]
    used = [[name, *_used(found["classes"][name])] for name in _NAMES]
    parts = [Column("class")] + [Column(head, True) for head in ("trained on", "text", "held out", "text")]
    return table("Where its documents are from", heads, rows) + table("How they were used", parts, used)


def _used(entry: Found) -> list[str]:
    cells = []
    for part in ("training", "held_out"):
        cells += [count(entry[part]["documents"]), size(entry[part]["bytes"])]
    return cells


def _precision(held: Found) -> str:
    points = [(point["recall"], point["precision"]) for point in held.get("curve", ())][:MOST]
    label = f"Precision by recall over {plural(held['documents'], 'document')} held out"
    rows = [
        [share(point["recall"], 1), share(point["precision"], 1), number(point["threshold"])]
        for point in _some(held.get("curve", ()))
    ]
    columns = [Column("recall", True), Column("precision", True), Column("threshold", True)]
    note = "Share of what is kept that is positive, by the share of the positives that is kept."
    return _figure("Precision by recall", note, plot(points, label), label, columns, rows)


def _calibration(held: Found) -> str:
    bins = [entry for entry in held.get("calibration", ()) if entry["documents"]]
    points = [(entry["predicted"], entry["observed"]) for entry in bins]
    label = f"Observed share of positives by mean score in {plural(len(bins), 'bin')}"
    rows = [
        [
            f"{number(entry['low'])} to {number(entry['high'])}",
            count(entry["documents"]),
            number(entry["predicted"]),
            share(entry["observed"], 1),
        ]
        for entry in bins
    ]
    columns = [Column("score"), Column("documents", True), Column("mean score", True), Column("positive", True)]
    note = "Share of the documents with a score that is positive, by the score. On the line, scores are probabilities."
    return _figure("Calibration", note, plot(points, label, has_diagonal=True), label, columns, rows)


def _figure(
    title: str, note: str, picture: str, label: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> str:
    data = fold("as a table", table(label, columns, rows), kind="data")
    caption = f'<p class="caption">{title}</p><p class="why quiet">{note}</p>'
    return f"<figure><figcaption>{caption}</figcaption>{picture}{data}</figure>"


def _kept(held: Found) -> str:
    """Thresholds by the share of the negatives that they keep."""
    rows = [
        [_share(entry["share"]), number(entry["threshold"]), _share(entry["kept"]), _share(entry["recall"])]
        for entry in held.get("kept_shares", ())
        if entry["threshold"] is not None
    ]
    heads = ("threshold", "negatives kept", "positives kept")
    columns = [Column("of negatives"), *(Column(head, True) for head in heads)]
    return table("Thresholds that keep a share of the negatives", columns, rows)


def _thresholds(held: Found) -> str:
    names = ("kept", "precision", "recall", "f1")
    rows = [[number(entry["threshold"]), *(_share(entry[name]) for name in names)] for entry in held["thresholds"]]
    columns = [Column("threshold"), *(Column(head, True) for head in ("kept of all", "precision", "recall", "F1"))]
    return fold("By threshold", table("Precision and recall by threshold", columns, rows))


def _some(points: Sequence[Found]) -> Sequence[Found]:
    """About ten of the points, the last among them."""
    step = max(1, round(len(points) / 10))
    return points[::-1][::step][::-1]


def _share(value: float | None) -> str:
    return _NONE if value is None else share(value, 1)
