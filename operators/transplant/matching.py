"""Which token of an old vocabulary is the same as one of a new vocabulary: same bytes, or same role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.transplant.vocabularies import TokenForms
from operators.transplant.weights import BYTE, EXACT, SPECIAL, Routes

Ids = NDArray[np.int32]


class Matches(NamedTuple):
    """For each new id the old one that is the same token, or -1, and how it was found (0 where none was)."""

    old: Ids
    route: Routes

    def text(self) -> Ids:
        """The new ids of tokens of text that are the same as an old one: what other rows are made of."""
        return np.flatnonzero((self.route == EXACT) | (self.route == BYTE)).astype(np.int32)


def match(source: TokenForms, target: TokenForms) -> Matches:
    """Match every token of `target` with at most one of `source`.

    Text matches in bytes. Of several old tokens with the same bytes that one is taken that stands alike in a word
    (WordPiece), then what is no byte fallback, then the lowest id. A special token matches one of the same content,
    then one of the same role: what is no text in one vocabulary never matches text in the other.
    """
    old, route = np.full(len(target), -1, np.int32), np.zeros(len(target), np.uint8)
    for number, form in enumerate(target.forms):
        candidates = source.by_form.get(form, ()) if form else ()
        if candidates:
            is_inside = target.inside[number]
            chosen = min(candidates, key=lambda one: (source.inside[one] != is_inside, source.fallback[one], one))
            is_byte = target.fallback[number] or source.fallback[chosen]
            old[number], route[number] = chosen, BYTE if is_byte else EXACT
    for number, chosen in _specials(source, target):
        old[number], route[number] = chosen, SPECIAL
    return Matches(old, route)


def variants(source: TokenForms, target: TokenForms) -> list[list[int]]:
    """For each new id the old ids whose text differs in case or a leading space alone; the same text is not among them.

    Only what is whole UTF-8 has a variant, and a token of white space has none.

    >>> from operators.transplant.vocabularies import read_forms
    >>> def named(*tokens: str) -> TokenForms:
    ...     vocab = {token: number for number, token in enumerate(tokens)}
    ...     return read_forms(json.dumps({"model": {"type": "BPE", "vocab": vocab, "merges": []}}))
    >>> import json
    >>> variants(named("the", "\u2581The", "\u2581a"), named("\u2581the", "the"))
    [[0, 1], [1]]
    """
    folded: dict[str, list[int]] = {}
    for number, form in enumerate(source.forms):
        if text := _folded(form):
            folded.setdefault(text, []).append(number)
    return [
        [one for one in folded.get(_folded(form), ()) if source.forms[one] != form] if form else []
        for form in target.forms
    ]


def _folded(form: bytes) -> str:
    """A token's text without a leading space and case; "" where it is no text or white space alone."""
    try:
        text = form.decode()
    except UnicodeDecodeError:
        return ""
    return text.removeprefix(" ").casefold() if text.strip() else ""


def _specials(source: TokenForms, target: TokenForms) -> Iterator[tuple[int, int]]:
    by_content = {content: number for number, content in source.specials.items()}
    role_of = {number: role for role, number in target.roles.items()}
    for number, content in target.specials.items():
        chosen = by_content.get(content, source.roles.get(role_of.get(number, ""), -1))
        if chosen >= 0:
            yield number, chosen
