"""Find documents that hold evaluation items: exact n-grams of words, every hit traced to its item.

A test set that lies in the training text measures memory. Its items are reference inputs, an item a row; a document
and an item share an n-gram if the same `ngram` words follow each other in both, without regard to case, punctuation
and white space (`operators/evaluation_items.py`). An item of fewer words, but `min_words` or more, is one n-gram.

13 words are GPT-3's choice (Brown et al. 2020, arXiv:2005.14165, appendix C), for which one n-gram is enough, as with
`max_hits: 0` and the other bounds null. PaLM (arXiv:2204.02311, section 8) calls an item contaminated by 70 % of its
8-grams: `ngram: 8, max_contained: 0.7`. One n-gram may be a stock phrase, so what drops here by default is a document
that holds more than half of an item, or consists of items by more than half. docs/decontamination.md compares.

Price: 69 to 78 MB/s of a core, the scan of words included, which other steps share. A worker holds the n-grams of all
items. `operators/evaluation_hits.py` holds the stages that judge.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import Columns, Composite, Fold, Map, Repeat
from operators.evaluation_hits import (
    SCORES,
    Bounds,
    FrequentNgrams,
    HitSummary,
    ItemHits,
    ItemScores,
    ItemVerdict,
    stage_names,
)
from operators.evaluation_items import EvaluationItems


class Decontaminate(Composite):
    """Judge a document by the n-grams of words that it shares with evaluation items.

    `contained` is the largest share of one item's n-grams that the document holds, `overlap` the share of its words
    inside such n-grams, `hits` the number of distinct ones. The artifact has every document and item that share one in
    `hits/`, and for each reference in `summary.json` how many items are in the text.
    """

    kind: Literal["decontaminate"] = "decontaminate"
    references: tuple[str, ...] = Field(min_length=1, description="inputs with role: reference; a row is an item")
    ngram: int = Field(default=13, ge=1, le=100, description="words of an n-gram")
    min_words: int = Field(
        default=8, ge=1, description="an item of fewer words than ngram, but so many, is one n-gram; a shorter one none"
    )
    max_items: int | None = Field(
        default=100, ge=1, description="an n-gram that more items of one reference have is a template, and ignored"
    )
    ignore_frequent: int | None = Field(
        default=None,
        ge=1,
        description="an n-gram that more documents hold is a stock phrase, and ignored; needs a pass",
    )
    max_contained: float | None = Field(
        default=0.5, ge=0, le=1, description="a larger share of one item's n-grams drops a document"
    )
    max_overlap: float | None = Field(
        default=0.5, ge=0, le=1, description="a larger share of its words in n-grams of items drops a document"
    )
    max_hits: int | None = Field(default=None, ge=0, description="more distinct n-grams of items drop a document")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=0.99, gt=0, le=1, description="the run fails if a larger share is dropped")

    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(set(self.references)) < len(self.references):
            msg = f"references {', '.join(self.references)}: one is named twice"
            raise ValueError(msg)
        if self.min_words > self.ngram:
            msg = f"min_words {self.min_words} is more than ngram {self.ngram}: an item of {self.ngram} words has one"
            raise ValueError(msg)
        return self

    @override
    def adds(self) -> Columns:
        return SCORES

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        how = self.model_dump(include={"references", "ngram", "min_words", "max_items", "ignore_frequent"})
        judging = self.model_dump(include={*Bounds.verdict_only})
        items = zip(stage_names(self.references), self.references, strict=True)
        return (
            *(EvaluationItems(name=name, reference=reference) for name, reference in items),
            *(() if self.ignore_frequent is None else (FrequentNgrams(name="frequent", **how),)),
            ItemScores(name="scores", **how),
            ItemHits(name="found", references=self.references),
            HitSummary(name="summary", **how, **judging),
            ItemVerdict(name="verdict", audit=self.audit, max_drop_ratio=self.max_drop_ratio, **judging),
        )
