"""Train a binary fastText classifier: documents that are wanted against documents that are not.

The recipe of quality filters: DCLM (Li et al. 2024, arXiv:2406.11794, section 4.4) trains `hq` against `cc` with word
pairs, 200,000 documents each; PreSelect (Shum et al. 2025, arXiv:2503.00808) the same with 3 epochs on documents
that its ladder of models agrees on. `classify` scores a corpus with the model.

Training runs on one thread from one seed and its result is the same to the byte on any number of workers; it is the
library's own training (`kernels/fasttext_training.py`), so results compare to published ones. docs/classifiers.md shows
how to use it, and what it costs.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from typing_extensions import override

from operators.base import Composite, Fold, Map, Repeat
from operators.classifier_training import ClassifierTraining
from operators.conditions import Condition
from operators.labelled_documents import Collect, Draw

Preset = Literal["dclm", "preselect"]
PRESETS: Final[dict[Preset, dict[str, Any]]] = {"dclm": {"epochs": 5}, "preselect": {"epochs": 3}}
"""What differs from the defaults, which are fastText's own but for `word_ngrams`."""

_MOST_LETTERS: Final = 64  # that a model may have when it is read


def _listed(given: object) -> object:
    return (given,) if isinstance(given, str) else given


Class = Annotated[tuple[str, ...] | Condition, BeforeValidator(_listed)]


class TrainClassifier(Composite):
    """Train a fastText classifier on two classes of documents; publishes `model.bin` and `metrics.json`.

    A class is one or several reference inputs, or the rows for which a condition holds. The rows stay as they are.

    >>> [stage.label for stage in TrainClassifier(positive="good").stages()]
    ['positive_1_draw', 'negative_1_draw', 'positive_1', 'negative_1', 'train']
    """

    kind: Literal["train_classifier"] = "train_classifier"
    positive: Class = Field(description="what is wanted: reference inputs, or a condition on the rows")
    negative: Class = Field(
        default=Condition(), description="what is not: the same; left out: the rows that are not positive"
    )
    labels: tuple[str, ...] = Field(
        default=("hq", "cc"), min_length=2, max_length=2, description="names of the two classes in the model"
    )
    max_documents: int = Field(
        default=200_000, ge=1, description="of each class, drawn by a hash of the id; the held-out ones are among them"
    )
    held_out: float = Field(
        default=0.1, ge=0, lt=1, description="share of the documents, by a hash of the id, that measures the model"
    )
    preset: Preset = Field(default="dclm", description="whose settings to take where none are given")
    word_ngrams: int = Field(default=2, ge=1, le=8, description="longest run of words that has a vector")
    dim: int = Field(default=100, ge=1, le=4096, description="numbers in a vector")
    learning_rate: float = Field(default=0.1, gt=0, le=100, description="at the start; it falls to 0 evenly")
    epochs: int = Field(default=5, ge=1, le=10_000, description="passes over the documents; preselect: 3 unless given")
    min_count: int = Field(default=1, ge=1, description="rarer words have no vector of their own")
    buckets: int = Field(
        default=2_000_000, ge=1, le=10**8, description="vectors that n-grams share by hash; each is 4 x dim bytes"
    )
    min_letters: int = Field(default=0, ge=0, le=_MOST_LETTERS, description="shortest n-gram of characters; 0 is 1")
    max_letters: int = Field(
        default=0, ge=0, le=_MOST_LETTERS, description="longest n-gram of characters that has a vector; 0: none has"
    )
    loss: Literal["softmax", "hierarchical_softmax"] = Field(default="softmax", description="what is minimised")

    inert: ClassVar[frozenset[str]] = Composite.inert | {"preset"}  # its settings decide

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {**next((how for name, how in PRESETS.items() if name == given.get("preset")), {}), **given}

    @field_validator("labels")
    @classmethod
    def _names(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in labels if not name or any(mark.isspace() or mark == "\0" for mark in name)]
        if wrong or labels[0] == labels[1]:
            msg = f"labels {list(labels)}: expected two different names without white space"
            raise ValueError(msg)
        return labels

    @model_validator(mode="after")
    def _two_classes(self) -> TrainClassifier:
        if self.positive in ((), Condition()):
            msg = "positive names nothing: give a reference input, or a condition as {column: source, in: [wiki]}"
            raise ValueError(msg)
        names = [name for given in (self.positive, self.negative) if isinstance(given, tuple) for name in given]
        twice = [name for place, name in enumerate(names) if not name or name in names[:place]]
        if twice:
            msg = f"input {twice[0]!r} is empty or given twice: every input belongs to one class, once"
            raise ValueError(msg)
        if 0 < self.max_letters < self.min_letters:
            msg = f"min_letters {self.min_letters} is more than max_letters {self.max_letters}"
            raise ValueError(msg)
        return self

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        draws: list[Fold] = []
        collects: list[Fold] = []
        sources, described = [], []
        for name, which in (("positive", _sources(self.positive)), ("negative", self._negatives())):
            stages = [f"{name}_{number}" for number in range(1, len(which) + 1)]
            waits = tuple(f"{stage}_draw" for stage in stages)
            for stage, how in zip(stages, which, strict=True):
                shared = {**how, "max_documents": self.max_documents}
                draws.append(Draw(name=f"{stage}_draw", **shared))
                collects.append(Collect(name=stage, draws=waits, held_out=self.held_out, **shared))
            sources.append(tuple(stages))
            described.append(tuple(_description(how) for how in which))
        settings = self.model_dump(include=ClassifierTraining.model_fields.keys() - {"name"})
        train = ClassifierTraining(name="train", sources=sources, described=described, **settings)
        return (*draws, *collects, train)

    def _negatives(self) -> list[dict[str, Any]]:
        """The sources of the negative class: of the rows only those that are not positive."""
        never = self.positive if isinstance(self.positive, Condition) else Condition()
        return [{**how, "never": never} if "only" in how else how for how in _sources(self.negative)]


def _sources(given: tuple[str, ...] | Condition) -> list[dict[str, Any]]:
    if isinstance(given, Condition):
        return [{"only": given}]
    return [{"reference": name} for name in given]


def _description(how: dict[str, Any]) -> str:
    """A source in words.

    >>> _description({"only": Condition(column="source", values=("wiki", "books"))})
    'rows whose source is wiki or books'
    """
    if "reference" in how:
        return f"input {how['reference']}"
    if how["only"].column:
        return f"rows whose {how['only'].column} is {' or '.join(how['only'].values)}"
    never = how.get("never", Condition())
    return f"rows whose {never.column} is not {' or '.join(never.values)}" if never.column else "all rows"
