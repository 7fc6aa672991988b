"""The last stage of `train_classifier`: train on what was collected, score what was held out, write both files.

It runs in one place. Memory: the model's file (4 bytes x `dim` for each word and bucket), and three times the text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import WARNINGS, Context, Outputs, RunError, TableFold
from operators.classifier_metrics import Scores, measured
from operators.groups import joined
from operators.labelled_documents import DOCUMENTS, DRAWN

if TYPE_CHECKING:
    from operators.fasttext_writer import ModelFile
    from operators.kernels.fasttext_dictionary import Corpus
    from operators.kernels.fasttext_training import Settings

MODEL: Final = "model.bin"
METRICS: Final = "metrics.json"
CLASSES: Final = ("positive", "negative")

STEPS: Final = 1 << 20
"""Scores are multiples of one part of so many, so that a threshold of `metrics.json` cuts where it says."""

_NO_SETTINGS: Final = {"name", "sources", "described"}
_LOPSIDED: Final = 10
"""Documents of one class for each of the other; from there on it is worth a warning."""
_FEW: Final = 100
"""Documents held out of a class; fewer say little."""


class Labelled(NamedTuple):
    """Documents in the order of training; label 0 is positive."""

    texts: pa.Array
    labels: np.ndarray[Any, np.dtype[np.int32]]


class ClassifierTraining(TableFold):
    """Learn from all documents that are not held out, in the order of their hashes."""

    sources: tuple[tuple[str, ...], tuple[str, ...]]
    """Of each class the stages that collected its documents; the ones that drew are called the same, with `_draw`."""
    described: tuple[tuple[str, ...], tuple[str, ...]]
    """How the report calls them."""
    labels: tuple[str, ...]
    held_out: float
    word_ngrams: int
    dim: int
    learning_rate: float
    epochs: int
    min_count: int
    buckets: int
    min_letters: int
    max_letters: int
    loss: str

    seeded: ClassVar[bool] = True

    @override
    def source(self) -> str:
        return f"stage:{self.sources[0][0]}_draw/{DRAWN}"

    @override
    def uses(self) -> tuple[str, ...]:
        collected = [name for names in self.sources for name in names]
        return (*collected, *(f"{name}_draw" for name in collected))

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        training, held = self._documents(context)
        self._refuse_empty(training)
        settings = self._settings(context.seed)
        corpus, file, losses = self._trained(training, settings)
        scores = _scores(file, held, self.labels[0])
        known = ~np.isnan(scores)
        classes = {name: self._described(place, training, held, context) for place, name in enumerate(CLASSES)}
        metrics = {
            "classes": classes,
            "settings": {"seed": context.seed, **self.model_dump(mode="json", exclude=_NO_SETTINGS)},
            "training": {
                "tokens": corpus.num_tokens,
                "distinct_words": corpus.counts.size - 1,
                "vocabulary": len(file.model().dictionary.words),
                "loss_by_epoch": [round(loss, 6) for loss in losses],
                "final_loss": round(losses[-1], 6),
            },
            "held_out": {
                "documents": len(held.labels),
                "without_score": int((~known).sum()),
                **measured(scores[known], held.labels[known] == 0),
            },
        }
        content = json.dumps(metrics, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        lines = _warnings(classes)
        told = {WARNINGS: json.dumps(lines).encode()} if lines else {}
        return {MODEL: file.content(), METRICS: content.encode(), **told}

    def _documents(self, context: Context) -> tuple[Labelled, Labelled]:
        """Those to train on, and those held out."""
        tables = []
        for label, names in enumerate(self.sources):
            for name in names:
                table = context.artifacts[name].table(DOCUMENTS)
                tables.append(table.append_column("label", pa.array(np.full(table.num_rows, label, np.int32))))
        found = pa.concat_tables(tables)
        found = found.take(pc.sort_indices(found, [(name, "ascending") for name in ("order", "label", "id")]))
        return _labelled(found.filter(pc.invert(found["held_out"]))), _labelled(found.filter(found["held_out"]))

    def _refuse_empty(self, training: Labelled) -> None:
        for label, name in enumerate(CLASSES):
            if not (training.labels == label).any():
                where = ", ".join(self.described[label])
                msg = f"the {name} class has no document to train on: nothing in {where}; name other documents"
                raise RunError(msg)

    def _settings(self, seed: int) -> Settings:
        from operators.kernels.fasttext_training import Settings

        return Settings(
            seed=seed, **{name: getattr(self, name) for name in Settings.__dataclass_fields__.keys() - {"seed"}}
        )

    def _trained(self, training: Labelled, settings: Settings) -> tuple[Corpus, ModelFile, list[float]]:
        """The words, the model, and the mean loss of each epoch."""
        from operators.fasttext_writer import ModelFile
        from operators.kernels.fasttext_dictionary import read
        from operators.kernels.fasttext_training import fit

        corpus = read(training.texts)
        kept = corpus.kept(settings.min_count)
        if not kept.size:
            msg = f"min_count {settings.min_count}: no word of the documents is as frequent; lower it"
            raise RunError(msg)
        counts = np.bincount(training.labels, minlength=len(CLASSES))
        order = np.argsort(-counts, kind="stable")  # the more frequent label has number 0, as in the library
        file = ModelFile(
            [corpus.word(number) for number in kept.tolist()], corpus.counts[kept].tolist(),
            [self.labels[label] for label in order.tolist()], counts[order].tolist(), corpus.num_tokens, settings,
        )  # fmt: skip
        numbers = np.argsort(order).astype(np.int32)[training.labels]
        try:
            return corpus, file, fit(corpus, numbers, kept, settings, file.inputs, file.outputs)
        except FloatingPointError as error:
            msg = f"{error}; choose a smaller learning_rate"
            raise RunError(msg) from error

    def _described(self, label: int, training: Labelled, held: Labelled, context: Context) -> dict[str, Any]:
        """A class: its label, its documents and bytes, and what its sources had."""
        sources = []
        for name, described in zip(self.sources[label], self.described[label], strict=True):
            drawn = context.artifacts[f"{name}_draw"].table(DRAWN)
            sources.append(
                {
                    "from": described,
                    "documents": int(pc.sum(drawn["documents"]).as_py() or 0),
                    "bytes": int(pc.sum(drawn["bytes"]).as_py() or 0),
                    "used": context.artifacts[name].table(DOCUMENTS).num_rows,
                }
            )
        parts = {"training": _sizes(training, label), "held_out": _sizes(held, label)}
        return {"label": self.labels[label], "sources": sources, **parts}


def _labelled(rows: pa.Table) -> Labelled:
    return Labelled(joined(rows["text"]), rows["label"].to_numpy())


def _sizes(documents: Labelled, label: int) -> dict[str, int]:
    mine = documents.labels == label
    sizes = pc.binary_length(documents.texts).to_numpy(zero_copy_only=False)
    return {"documents": int(mine.sum()), "bytes": int(sizes[mine].sum())}


def _scores(file: ModelFile, held: Labelled, positive: str) -> Scores:
    """The positive label's probability as `classify` has it; NaN where no part of a text is known."""
    from operators.kernels.predictor import Predictor

    scores = Predictor(file.model()).probabilities(held.texts, positive).astype(np.float64)
    scores[scores == 0] = np.nan  # the library adds 1e-5 to every probability
    rounded: Scores = np.rint(np.minimum(scores, 1) * STEPS) / STEPS
    return rounded


def _warnings(classes: dict[str, dict[str, Any]]) -> list[str]:
    trained = {name: entry["training"]["documents"] for name, entry in classes.items()}
    few = min(trained, key=lambda name: trained[name])
    lines = []
    if max(trained.values()) >= _LOPSIDED * trained[few]:
        counts = " and ".join(f"{count:,} {name}" for name, count in trained.items())
        lines.append(
            f"{counts} documents were trained on: scores lean to the larger class, so choose thresholds by kept share, "
            "or lower max_documents"
        )
    held = {name: entry["held_out"]["documents"] for name, entry in classes.items()}
    if sum(held.values()) > 0 and min(held.values()) < _FEW:
        counts = " and ".join(f"{count:,} {name}" for name, count in held.items())
        lines.append(f"{counts} documents were held out: metrics.json says little of so few")
    return lines
