"""Choose the documents that are most like a target, by importance weights, without choosing the same few kinds of text.

DSIR (Xie, Santurkar, Ma, Liang 2023, arXiv:2302.03169): hashed n-grams are counted in the target and in the corpus; a
document's log weight is the sum, over its n-grams, of the log ratio of the two shares of their bucket; documents are
drawn without replacement with probabilities proportional to the weights. The draw is the Gumbel top-k: the k documents
of the highest log weight plus noise, and the noise is a hash of the recipe's seed and the id. So the result does not
depend on shards or order, and it is the best of the whole corpus: a histogram of the sums' first 24 bits finds the
bucket in which the budget ends, and only that bucket's documents are ranked.

Several targets are served in order, as the package `data-selection` does with `separate_targets`: each gets its share
of the budget, and what is chosen for one is no candidate for the next.

Deviations: the log weight may be normalised by length and divided by a temperature (on whole documents the paper's
degenerates to picking by length); the corpus is counted whole; a target that is part of the corpus is no candidate and
stays. docs/importance.md has the formulas and what was measured. Stages that count are in
`operators/importance_targets.py`, those that weigh in `importance_weights.py`, those that draw in `importance_ends.py`
and `importance_draw.py`, and the last in `importance_summary.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import TEXT, Columns, Fold, Map, Operator, RecipeError, Repeat
from operators.budgets import BudgetedStep, Draw, Selection
from operators.conditions import Condition
from operators.document_weights import refuse_counted
from operators.importance_draw import DrawImportance, KeptWeights, numbered
from operators.importance_ends import Ends, Ranking
from operators.importance_summary import Summary
from operators.importance_targets import (
    FEATURES,
    SETTINGS,
    CountNgrams,
    Hash,
    KnownCounts,
    columns_of,
    digest_of,
    read_file,
    read_target,
)
from operators.importance_weights import Normalise, Weigh

TEMPERATURES: Final[Mapping[Normalise, float]] = {"document": 1.0, "chunk": 20.0, "token": 0.15}
"""Where none is given: at 20 for a chunk of 128 tokens the weights are not degenerate (docs/importance.md)."""
STAGES: Final = ("target", "raw", "weigh", "weights", "ends", "ranking", "summary", "draw")


class Source(NamedTuple):
    """Where a target's n-grams are from: the stage that leaves them, and what people call it."""

    stage: Fold
    label: str


class ImportanceResample(BudgetedStep):
    """Choose documents that are like a target, by DSIR's importance weights of hashed n-grams; drop `not_selected`.

    A target is an input with role: reference, rows by a condition, an earlier importance_resample step, or the path of
    a features.npz that such a step left. The rows of a condition stay, and are neither candidates nor counted in the
    corpus. Of several targets `target` says for which one a row was chosen.
    """

    kind: Literal["importance_resample"] = "importance_resample"
    target: str | Condition | tuple[str | Condition, ...] = Field(
        description="input, {column: lang, in: [de]}, step, or path of a features.npz; or a list, served in order"
    )
    shares: tuple[float, ...] = Field(
        default=(), description="of several targets: a share of `select` for each; empty: by their n-grams"
    )
    select: Selection = Field(
        description="how much is chosen: {docs: N}, {bytes: N} or {fraction: F} of the candidates"
    )
    ngrams: int = Field(default=2, ge=1, le=8, description="longest n-grams, in tokens")
    buckets: int = Field(default=10_000, ge=2, le=1 << 24, description="buckets that n-grams are hashed into")
    hash: Hash = Field(default="fast", description="fast: of 64 bits; sha256: as the package data-selection")
    tokens: Literal["wordpunct"] = Field(
        default="wordpunct", description="wordpunct: runs of letters and digits, and of all else but white space"
    )
    smoothing: float = Field(default=1.0, ge=0, description="added to each bucket's count in the target")
    min_tokens: int = Field(default=100, ge=0, description="fewer tokens drop a document as too_few_tokens")
    normalise: Normalise = Field(
        default="chunk",
        description="document: the whole sum, as published; token: divided by the tokens; chunk: per 128 tokens",
    )
    temperature: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="weights are exp(log weight / temperature): 0 takes the highest, larger stays closer to the "
        "corpus; empty: 1 for document, as published, 20 for chunk, 0.15 for token",
    )
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _has_targets(self) -> Self:
        if not self._targets or any(target in ("", Condition()) for target in self._targets):
            msg = "target is empty: give an input with role: reference, {column: ..., in: [...]}, a step or a file"
            raise ValueError(msg)
        twice = [target for place, target in enumerate(self._targets) if target in self._targets[:place]]
        if twice:
            msg = f"target: {_description(twice[0])!r} is named twice"
            raise ValueError(msg)
        if self.shares and (len(self.shares) != len(self._targets) or min(self.shares) <= 0):
            msg = f"shares are {list(self.shares)} for {len(self._targets)} targets: give each a number above 0"
            raise ValueError(msg)
        return self

    @property
    def _targets(self) -> tuple[str | Condition, ...]:
        return self.target if isinstance(self.target, tuple) else (self.target,)

    @property
    def _own(self) -> tuple[Condition, ...]:
        """The conditions whose rows belong to a target."""
        return tuple(target for target in self._targets if isinstance(target, Condition))

    @override
    def draws(self) -> Draw:
        return self.select.draw("beside" if self._own else "choice")

    @override
    def scaled(self, factor: float) -> Self:
        return self.model_copy(update={"select": self.select.scaled(factor)})

    @override
    def needs(self) -> Columns:
        return {**TEXT, **columns_of(self._own)}

    @override
    def adds(self) -> Columns:
        """Of one target, if there is none yet: so the catalogue asks."""
        is_list = isinstance(getattr(self, "target", None), tuple)
        return {"log_weight": pa.float64(), "tokens": pa.int64(), **({"target": pa.string()} if is_list else {})}

    @override
    def refuse(self, columns: Columns) -> None:
        """RecipeError where rows already say how often they count."""
        refuse_counted(columns)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        names = {target for target in self._targets if isinstance(target, str) and not {".", "/"} & set(target)}
        return self.stages_in(names, {})

    @override
    def stages_in(self, inputs: Collection[str], earlier: Mapping[str, Operator]) -> tuple[Map | Fold | Repeat, ...]:
        sources = [self._source(number, target, inputs, earlier) for number, target in enumerate(self._targets)]
        several = {"labels": tuple(source.label for source in sources)} if isinstance(self.target, tuple) else {}
        grams = {name: getattr(self, name) for name in SETTINGS if name != "tokens"}
        weighing = {"smoothing": self.smoothing, "normalise": self.normalise}
        draw: dict[str, Any] = {"temperature": self.temperature}
        if self.temperature is None:
            draw = {"temperature": TEMPERATURES[self.normalise]}
        budget = {**dict(self.select), "targets": len(sources), "shares": self.shares}
        by_bytes = self.select.bytes is not None
        weigh = {"own": self._own, "targets": len(sources), "several": bool(several), "min_tokens": self.min_tokens}
        ends = [
            stage
            for number in range(len(sources))
            for stage in (
                Ends(name=numbered("ends", number), target=number, **budget, **draw),
                Ranking(name=numbered("ranking", number), target=number, by_bytes=by_bytes, **draw),
            )
        ]
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio, "min_tokens": self.min_tokens}
        return (
            *(source.stage for source in sources),
            CountNgrams(name="raw", nowhere=self._own, **grams),
            Weigh(name="weigh", **weigh, **grams, **weighing),
            KeptWeights(name="weights", **several),
            *ends,
            Summary(
                name="summary",
                tokens=self.tokens,
                by_bytes=by_bytes,
                has_own=bool(self._own),
                **draw,
                **several,
                **grams,
                **weighing,
            ),
            DrawImportance(name="draw", **draw, **several, **judged),
        )

    def _source(
        self, number: int, target: str | Condition, inputs: Collection[str], earlier: Mapping[str, Operator]
    ) -> Source:
        """The stage that leaves a target's counts. Raises RecipeError for what is no target of this step."""
        name, grams = numbered("target", number), {name: getattr(self, name) for name in SETTINGS if name != "tokens"}
        if isinstance(target, Condition):
            return Source(CountNgrams(name=name, only=target, required=True, **grams), _description(target))
        if target in inputs:
            return Source(CountNgrams(name=name, reference=target, required=True, **grams), target)
        settings = {name: getattr(self, name) for name in SETTINGS}
        known = {"name": name, "settings": tuple(settings.items())}
        if not target.isidentifier():
            sha256 = digest_of(target)
            read_target(read_file(target, sha256), settings, target)
            return Source(KnownCounts(path=target, sha256=sha256, **known), f"{FEATURES} {sha256[:12]}")
        self._check_step(target, earlier)
        return Source(KnownCounts(step=target, **known), target)

    def _check_step(self, name: str, earlier: Mapping[str, Operator]) -> None:
        step = earlier.get(name)
        if step is None:
            msg = f"target: there is no input {name!r} with `role: reference`, and no earlier step of that name"
            raise RecipeError(f"{msg}; a path has a dot or a slash, as ./{name}")
        if not isinstance(step, ImportanceResample):
            msg = f"target: step {name!r} is of kind {step.what}, which leaves no {FEATURES}"
            raise RecipeError(f"{msg}: name an importance_resample step")
        if isinstance(step.target, tuple):
            raise RecipeError(f"target: step {name!r} has {len(step.target)} targets: name a step with one")
        differing = [setting for setting in SETTINGS if getattr(step, setting) != getattr(self, setting)]
        if differing:
            theirs, ours = (", ".join(f"{name} {getattr(of, name)!r}" for name in differing) for of in (step, self))
            msg = f"target: step {name!r} counts with {theirs}, and this step with {ours}: give it the same"
            raise RecipeError(msg)
        if name.rstrip("_0123456789") in STAGES:
            raise RecipeError(f"target: step {name!r} is called like a part of this step: give it another `name`")


def _description(target: str | Condition) -> str:
    """What people call a target.

    >>> _description(Condition(column="lang", values=("de", "fr")))
    'lang: de, fr'
    """
    return f"{target.column}: {', '.join(target.values)}" if isinstance(target, Condition) else target
