"""Every method of making new rows, as one function from two vocabularies to W. docs/transplant.md compares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from operators.transplant.matching import Matches, match
from operators.transplant.pieces import Cutter
from operators.transplant.rules import PieceShare, copies, normal, subwords, with_variants
from operators.transplant.vocabularies import TokenForms, read_forms
from operators.transplant.weights import Weights

Method = Literal["subword", "variant_subword", "mean", "normal"]


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


def weights_of(method: Method, pair: Pair, *, seed: int = 0, piece_share: PieceShare = "mean") -> Weights:
    """W by a method. Raises DataError where the vocabularies share no token of text."""
    base = copies(pair.source, pair.target, pair.matches)
    if method == "mean":
        return base
    if method == "normal":
        return normal(base, seed)
    whole = subwords(base, pair.source, pair.pieces, piece_share)
    return with_variants(whole, pair.source, pair.target) if method == "variant_subword" else whole


SHARE: Final = 0.5
"""What a mixture takes of each side; 0.3 to 0.7 measured alike."""
