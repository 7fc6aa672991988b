"""Score documents with a fastText classifier, and keep those above a bound, or the best share of all bytes.

As DCLM does (Li et al. 2024, arXiv:2406.11794, section 4.4): the document is one line, line feeds as spaces, its score
the probability of the wanted label, and what is kept the best tenth of the corpus. The model is `train_classifier`'s or
any other fastText model; inference is that of `language_id`: within 1e-5 of the library's for paragraphs, 8e-5 on long
files of code, 1.8e-4 on a line of 5 MB, since the library's float32 sums drift with the length (docs/measurements.md).

Scores are published as multiples of 2**-20, so that `keep_share` can count them: its state has one row for each
different score, at most a million a group, and its bound is exact whatever the shards. Documents whose scores are equal
are treated alike, so what is kept is at least the share asked for. A document of which the model knows no part has no
score and passes, and does not count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import (
    RULE,
    WARNINGS,
    BatchFn,
    Columns,
    Composite,
    Context,
    Fold,
    Judge,
    Map,
    Operator,
    Outputs,
    RecipeError,
    Repeat,
    Rule,
)
from operators.classifier_training import METRICS, MODEL
from operators.fasttext_model import FasttextModel, file_digest, model_of, read_model
from operators.hashing import refuse_formless
from operators.score_buckets import GroupVerdict, Percentiles
from operators.text_buffers import one_text_array
from operators.train_classifier import TrainClassifier

STEPS: Final = 1 << 20
MISSED: Final = 0.1
"""A run warns where more than this part of `keep_share` is kept beyond it."""
_STEP_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class ClassScores(Map):
    """The probability of one label."""

    model: str
    sha256: str = ""
    """Of the file; "" where `model` is a step."""
    score_label: str = ""
    ranked: bool = False
    """Whether later stages want the score as an integer, less being better, and the text's size."""

    inert: ClassVar[frozenset[str]] = Map.inert | {"model"}  # its digest decides, wherever it comes from

    @override
    def uses(self) -> tuple[str, ...]:
        return () if self.sha256 else (self.model,)

    @override
    def adds(self) -> Columns:
        return {"score": pa.float64(), **({"_score": pa.int64(), "_bytes": pa.int64()} if self.ranked else {})}

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.predictor import Predictor

        model = self._read(context)
        label = chosen(self.score_label or self._positive(context), model.dictionary.labels, self.model)
        predict = Predictor(model)

        def apply(rows: pa.Table) -> pa.Table:
            texts = one_text_array(rows["text"])
            found = predict.probabilities(texts, label).astype(np.float64)
            unknown = found == 0  # the library adds 1e-5 to every probability
            steps = np.rint(np.minimum(found, 1) * STEPS)
            columns = {"score": pa.array(steps / STEPS, mask=unknown)}
            if self.ranked:
                columns["_score"] = pa.array(-steps.astype(np.int64), mask=unknown)
                columns["_bytes"] = pc.binary_length(texts).cast(pa.int64())
            return pa.table(columns)

        return apply

    def _read(self, context: Context) -> FasttextModel:
        if not self.sha256:
            return model_of(context.artifacts[self.model].read(MODEL), self.model)
        if file_digest(Path(self.model)) != self.sha256:
            msg = f"model {self.model!r} has changed since the run began: start the run again"
            raise RecipeError(msg)
        return read_model(Path(self.model))

    def _positive(self, context: Context) -> str:
        """What the step that trained the model calls its positive class."""
        if self.sha256:
            return ""
        classes: dict[str, dict[str, str]] = json.loads(context.artifacts[self.model].read(METRICS))["classes"]
        return classes["positive"]["label"]


class _Bounded(Judge):
    min_score: float | None = None

    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_score"})
    hidden_as: ClassVar[str] = ""

    @override
    def rules(self) -> tuple[Rule, ...]:
        if self.min_score is None:
            return ()
        return (Rule("score_too_low", f"{self.hidden_as}score", low=self.min_score),)


class JudgedClassScores(ClassScores, _Bounded):
    """Scores, and a bound for them."""

    inert: ClassVar[frozenset[str]] = _Bounded.inert | ClassScores.inert


class KeptEnds(Percentiles):
    """Where the share to keep ends; warns where it is missed."""

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        found = super().finish(state, context)
        said = json.loads(found["percentiles.json"])["groups"]
        lines = [line for group in said if (line := self._missed(group))]
        return {**found, **({WARNINGS: json.dumps(lines).encode()} if lines else {})}

    def _missed(self, group: Mapping[str, Any]) -> str:
        sizes = {name: bucket["bytes"] for name, bucket in group["buckets"].items()}
        share = sizes["head"] / max(sum(sizes.values()), 1)
        if share <= self.head * (1 + MISSED):
            return ""
        where = f" of {self.by} {group['group']!r}" if self.by else ""
        return (
            f"keep_share {self.head:g} keeps {share:.1%} of the bytes{where}: "
            f"a large document, or many with the same score {group['last_score']['head']:g}, lie where the share ends"
        )


class KeptShare(_Bounded, GroupVerdict):
    """A bound for the score, then the score at which the share to keep ends in the document's group."""

    hidden_as: ClassVar[str] = "_shown_"

    @override
    def adds(self) -> Columns:
        return {"_shown_score": pa.float64(), "_least": pa.float64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        bounds = self.bounds(context)

        def published(scores: pa.ChunkedArray) -> pa.ChunkedArray:
            return pc.divide(scores.cast(pa.float64()), -float(STEPS))

        def apply(rows: pa.Table) -> pa.Table:
            least = self.ends(rows, bounds)["head"]
            return pa.table({"_shown_score": published(rows["_score"]), "_least": published(least)})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        found = super().judge(rows)
        below = pc.and_(pc.fill_null(pc.less(rows["_shown_score"], rows["_least"]), False), pc.is_null(found[RULE]))
        ruled = {RULE: pa.scalar("below_kept_share"), "value": rows["_shown_score"], "threshold": rows["_least"]}
        return pa.table({name: pc.if_else(below, given, found[name]) for name, given in ruled.items()})


class Classify(Composite):
    """Judge a document by the probability of a fastText classifier's label.

    `keep_share` keeps the documents with the highest scores that together have that share of all bytes that reach the
    step, or of those of each group. `score_too_low` is looked at first.
    """

    kind: Literal["classify"] = "classify"
    model: str = Field(min_length=1, description="a train_classifier step, or the path of a fastText .bin or .ftz")
    score_label: str = Field(
        default="", description="whose probability is the score; empty: the step's positive one, or hq"
    )
    min_score: float | None = Field(default=None, ge=0, le=1, description="a lower score drops a document")
    keep_share: float | None = Field(default=None, gt=0, le=1, description="share of all bytes to keep, the best")
    by: str = Field(default="", description="with keep_share: column whose values each keep that share, as `lang`")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")

    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio", "model"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.by and self.keep_share is None:
            msg = f"by {self.by!r} says whose shares are kept: give keep_share, or leave it out"
            raise ValueError(msg)
        return self

    @override
    def adds(self) -> Columns:
        return {"score": pa.float64()}

    @override
    def models(self) -> Mapping[str, str]:
        return {} if _is_step(self.model) else {"model": file_digest(Path(self.model))}

    def check(self) -> None:
        """RecipeError where a file is no fastText model, is damaged, or has no such label."""
        if not _is_step(self.model):
            chosen(self.score_label, _labels(self.model, file_digest(Path(self.model))), self.model)

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where the step leaves no classifier, or one without the label."""
        step = earlier.get(self.model)
        if isinstance(step, TrainClassifier):
            if self.score_label:
                chosen(self.score_label, step.labels, self.model)
        elif step is not None and ":" not in step.what:  # what a class of another package leaves, it knows
            msg = f"model: step {self.model!r} is of kind {step.what}, which leaves no classifier"
            raise RecipeError(f"{msg}: name a train_classifier step")

    @override
    def refuse(self, columns: Columns) -> None:
        """RecipeError where the values of `by` have no text to group by."""
        refuse_formless(columns, [self.by] if self.by else [])

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        scoring = {"model": self.model, "score_label": self.score_label}
        scoring["sha256"] = "" if _is_step(self.model) else file_digest(Path(self.model))
        judging = self.model_dump(include={"min_score", "audit", "max_drop_ratio"})
        if self.keep_share is None:
            if self.min_score is None:
                return (ClassScores(name="scores", **scoring),)
            return (JudgedClassScores(name="scores", **scoring, **judging),)
        ends = {"head": self.keep_share, "middle": 0.0, "share_of": "bytes", "by": self.by}
        return (
            ClassScores(name="scores", ranked=True, **scoring),
            KeptEnds.model_validate({"name": "percentiles", "steps": STEPS, "sign": -1, **ends}),
            KeptShare(name="verdict", by=self.by, **judging),
        )


def chosen(label: str, known: tuple[str, ...], model: str) -> str:
    """The label asked for, or the one that is wanted by its name. Raises RecipeError where the model has none such.

    >>> chosen("", ("cc", "hq"), "m.bin"), chosen("spam", ("ham", "spam"), "m.bin")
    ('hq', 'spam')
    """
    if (label or "hq") in known:
        return label or "hq"
    asked = f"knows no label {label!r}" if label else "has no label 'hq', so which is wanted must be said"
    msg = f"score_label: the model {model!r} {asked}; expected one of: {' '.join(sorted(known)[:20])}"
    raise RecipeError(msg)


@lru_cache(maxsize=8)
def _labels(path: str, _sha256: str) -> tuple[str, ...]:
    """Of a model whose matrices were looked at too."""
    return read_model(Path(path)).dictionary.labels


def _is_step(name: str) -> bool:
    return bool(_STEP_NAME.fullmatch(name))
