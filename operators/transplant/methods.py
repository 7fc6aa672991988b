"""Every method of making new rows, as one function from two vocabularies to W. docs/transplant.md compares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.transplant.auxiliary import Auxiliary
from operators.transplant.choice import SHARE, Choice, Method
from operators.transplant.matching import Matches, match
from operators.transplant.pieces import Cutter, without
from operators.transplant.rules import copies, new_rows, normal, subwords, with_variants
from operators.transplant.similar import Rule, of_anchors
from operators.transplant.vocabularies import TokenForms, read_forms
from operators.transplant.weights import ABSENT, MIXED, SUBWORD, Weights, mixed


class Pair(NamedTuple):
    """An old and a new vocabulary, and what no method can do without."""

    source: TokenForms
    target: TokenForms
    matches: Matches
    pieces: list[list[int]]
    """Of each new token, the old ids that the old tokenizer makes of its bytes."""


def pair_of(source_json: bytes, target_json: bytes, special_ids: Mapping[str, int] | None = None) -> Pair:
    """Read both tokenizers; `special_ids` are the old ones by role, as the model's configuration names them."""
    source, target = read_forms(source_json, special_ids), read_forms(target_json)
    return Pair(source, target, match(source, target), Cutter(source_json).cut(target))


def held_out(pair: Pair, source_json: bytes, tokens: NDArray[np.int32]) -> Pair:
    """The pair as it would be if these new ids, shared in truth, were not: neither matched nor pieces of others.

    The old tokenizer is robbed of them and of every merge of or into one, so that pieces are honest.
    """
    old, route = pair.matches.old.copy(), pair.matches.route.copy()
    gone = set(old[tokens].tolist())
    hidden = np.isin(old, list(gone))
    old[hidden], route[hidden] = -1, ABSENT
    pieces = Cutter(without(source_json, gone)).cut(pair.target)
    return Pair(pair.source.lacking(gone), pair.target, Matches(old, route), pieces)


def weights_of(choice: Choice, pair: Pair, auxiliary: Auxiliary | None = None) -> Weights:
    """W by a method. Raises DataError where no token of text is shared, RecipeError where vectors are needed."""
    base = copies(pair.source, pair.target, pair.matches)
    if choice.method == "mean":
        return base
    if choice.method == "normal":
        return normal(base, choice.seed)
    pieces = subwords(base, pair.source, pair.pieces, choice.pieces)
    if choice.method == "subword":
        return pieces
    if choice.method == "variant_subword":
        return with_variants(pieces, pair.source, pair.target)
    if auxiliary is None:
        msg = f"method {choice.method!r} compares auxiliary vectors: give text to train them on, or a donor"
        raise RecipeError(msg)
    rule = rule_of(choice.method)
    near = of_anchors(pieces, pair.matches, auxiliary, rule, choice.temperature)
    return near if choice.method == rule else halves(pieces, near, choice.share)


def rule_of(method: Method) -> Rule:
    """The rule that a method turns cosines into weights by."""
    return next(rule for rule in get_args(Rule) if method.startswith(rule))


def halves(pieces: Weights, near: Weights, share: float = SHARE) -> Weights:
    """Rows that are `share` of what lies near and else of their pieces; where there is only one, all of that."""
    new = np.zeros(pieces.shape[0], bool)
    new[new_rows(pieces)] = True
    both = new & (pieces.route == SUBWORD) & (near.route != pieces.route)
    shares = np.where(both, share, np.where(new, 1.0, 0.0))
    return mixed(pieces, near, shares, np.where(both, MIXED, near.route).astype(np.uint8))
