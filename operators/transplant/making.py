"""From two vocabularies to W and to tables by any method, those too that need a file or the tables themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.transplant.alignment import of_languages
from operators.transplant.auxiliary import Auxiliary
from operators.transplant.choice import Choice
from operators.transplant.imported import WordPairs, of_pairs, read_rows
from operators.transplant.methods import Pair, halves, weights_of
from operators.transplant.pieces import Cutter
from operators.transplant.ridge import Ridge, mapped, prepared
from operators.transplant.rules import new_rows
from operators.transplant.weights import IMPORTED, RIDGE, Floats, Weights, apply, rerouted


@dataclass(frozen=True)
class Made:
    """W, and what a table needs besides."""

    weights: Weights
    ridge: Ridge | None = None
    rows: str = ""
    """A file of rows for what is not copied."""

    def table(self, old: Floats, name: str) -> Floats:
        """The new table: float32[new, d]; `name` is what the file of rows calls it, `embed` or `lm_head`."""
        made = apply(self.weights, old)
        if self.ridge is not None:
            return mapped(self.ridge, old, made)
        if self.rows:
            given = read_rows(self.rows, name, made.shape)
            if given is not None:
                made[self.weights.route == IMPORTED] = given[self.weights.route == IMPORTED]
        return made


@dataclass(frozen=True)
class Maker:
    """A method with all that it looks at: for a whole pair of vocabularies, and for one with tokens hidden."""

    choice: Choice
    source_json: bytes
    target_json: bytes
    auxiliary: Auxiliary | None = None
    old_auxiliary: Auxiliary | None = None
    """Vectors of the old tokens, from text of their own language."""
    pairs: WordPairs | None = None
    rows: str = ""

    def made(self, pair: Pair) -> Made:
        """W for a pair of vocabularies."""
        method = self.choice.method
        if method == "ridge":
            assert self.auxiliary is not None
            ridge = prepared(pair, self.source_json, self.auxiliary, self.choice)
            whole = weights_of(self.choice._replace(method="focus_subword"), pair, self.auxiliary)
            return Made(rerouted(whole, ridge.rows, RIDGE) if ridge.known else whole, ridge)
        if method == "rows":
            pieces = weights_of(self.choice._replace(method="subword"), pair)
            text = np.array([row for row in new_rows(pieces) if pair.target.forms[row]], np.int64)
            return Made(rerouted(pieces, text, IMPORTED), rows=self.rows)
        if method == "pairs":
            pieces = weights_of(self.choice._replace(method="subword"), pair)
            assert self.pairs is not None
            new = Cutter(self.target_json)
            return Made(of_pairs(pieces, self.pairs, (pair.source, Cutter(self.source_json)), (pair.target, new)))
        if self.old_auxiliary is not None:
            return Made(self._aligned(pair))
        return Made(weights_of(self.choice, pair, self.auxiliary))

    def _aligned(self, pair: Pair) -> Weights:
        """WECHSEL over old tokens, whose vectors a dictionary turns into the space of the new ones."""
        assert self.pairs is not None
        assert self.old_auxiliary is not None
        assert self.auxiliary is not None
        pieces = weights_of(self.choice._replace(method="subword"), pair)
        old, new = Cutter(self.source_json), Cutter(self.target_json)
        near = of_languages(pieces, self.pairs, (old, self.old_auxiliary), (new, self.auxiliary))
        return near if self.choice.method == "wechsel" else halves(pieces, near, self.choice.share)
