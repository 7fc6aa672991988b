"""What a person should know of the vectors that were compared: beginnings alone, or of few of the documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from operators.base import WARNINGS

FEW: Final = 0.05
"""Of the documents: a larger share without a vector, or read in part, is worth a warning."""


def warnings_file(lines: list[str]) -> dict[str, bytes]:
    """The file in which the engine finds what to warn of; none where there is nothing."""
    return {WARNINGS: json.dumps(lines).encode()} if lines else {}


def of_beginnings(model: Mapping[str, Any], step: str) -> list[str]:
    """A warning where the encoder read beginnings alone, by `model.json`, of more than a few documents.

    >>> of_beginnings({"documents": 300, "cut": 212, "chunks": 1}, "vectors")[0][:72]
    '212 of 300 documents were compared by their beginnings alone, so those t'
    >>> of_beginnings({"documents": 300, "cut": 212, "chunks": 4}, "vectors")
    []
    """
    documents, cut = (model.get(name) for name in ("documents", "cut"))
    if not isinstance(documents, int) or not isinstance(cut, int) or model.get("chunks", 1) != 1:
        return []
    if cut <= FEW * documents:
        return []
    remedy = "raise `max_tokens`" if "tokenised_by" in model else "set `chunks`"
    where = f"on step {step!r}" if step else "where the vectors are made"
    said = f"{cut:,} of {documents:,} documents were compared by their beginnings alone, so those that begin alike"
    return [f"{said}, as under one licence, count as duplicates: {remedy} {where}"]


def of_missing(documents: int, without: int) -> list[str]:
    """A warning where more than a few documents have no vector.

    >>> of_missing(100, 3), of_missing(1, 1)[0][:39]
    ([], 'none of the 1 document has a vector, so')
    """
    if without <= FEW * documents:
        return []
    noun = "document" if documents == 1 else "documents"
    if without == documents:
        return [f"none of the {documents:,} {noun} has a vector, so nothing was compared; are they of this corpus?"]
    said = f"{without:,} of the {documents:,} {noun} have no vector, or one of zeros, and were compared with nothing"
    return [f"{said}: are the vectors of this corpus, and their ids those of its documents?"]
