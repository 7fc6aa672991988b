r"""What a mixture is inferred from: the merges of a tokenizer of any format, in the order of its training.

A byte-level tokenizer is a `Vocabulary`. One of characters (SentencePiece's BPE and its conversions to tokenizer.json)
is made into one: the merges that put the bytes of each character of its alphabet together come first, then its own.
UTF-8 never lets bytes of two characters merge there, and the bytes of a character that is not in the alphabet, which
the tokenizer falls back to, merge to no token. So everything that reads merges of bytes reads those of characters.

The merges are those that the tokenizer's own encoding ever applies, one for each token (see `vocabulary.py`), however
many splits of a token a file lists; in the order of the ids of what they make where every part has a lower id, as
training leaves them. Merges that were put to another place by hand (runs of spaces, last in SentencePiece models whose
scores somebody changed) are so asked where they were learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from operators import character_files, tokenizer_sources
from operators.base import DataError
from operators.character_files import CharacterTokenizer, Normalise
from operators.encode import Merge
from operators.merge_lists import read_json
from operators.piece_rules import PieceRules
from operators.rank_files import merges_of_ranks, read_ranks
from operators.sentencepiece_models import read_model
from operators.tokenizer_formats import format_of
from operators.vocabulary import BYTES, Vocabulary, reach


@dataclass(frozen=True)
class MergeSource:
    """Merges, and how text came to them."""

    vocabulary: Vocabulary
    """Encodes as the tokenizer does, in tokens of bytes."""
    merges: list[Merge]
    """In the order of training: those that put characters together, then the tokenizer's."""
    assembly: int = 0
    """How many of them put characters together."""
    alphabet: frozenset[str] = frozenset()
    """Of a tokenizer of characters."""
    rules: PieceRules | None = None
    """Of a tokenizer of characters: which neighbours make a pair."""
    normalise: Normalise | None = None
    """Of a tokenizer of characters: what it makes of each text, spaces as U+2581."""
    by_line: bool = False
    """Whether texts are cut into lines first, as SentencePiece's trainer reads them."""


def read(path: str, patterns: tuple[str, ...] = ()) -> MergeSource:
    """As `tokenizer_sources.read`, of a tokenizer of bytes or of characters. Raises RecipeError where it is none."""
    return parse(tokenizer_sources.content_of(path), path, patterns)


@lru_cache(maxsize=4)
def parse(content: bytes, name: str, patterns: tuple[str, ...] = ()) -> MergeSource:
    """As `read`, from the file's content; `name` is what errors call it."""
    with tokenizer_sources.naming(name):
        form = format_of(content)
        if form == "sentencepiece":
            return of_characters(character_files.from_model(content, read_model(content)))
        if form == "tokenizer.json" and character_files.is_of_characters(whole := read_json(content, form)):
            return of_characters(character_files.from_json(whole))
        if form == "ranks":
            _refuse_gaps(read_ranks(content))
    vocabulary = tokenizer_sources.parse(content, name, patterns)
    return MergeSource(vocabulary, reach(vocabulary).merges)


def of_characters(found: CharacterTokenizer) -> MergeSource:
    """The source that a tokenizer of characters amounts to."""
    alphabet = frozenset(token for token in found.tokens if len(token) == 1)
    assembly = _assembled(sorted(alphabet))
    whole = [token for token in found.tokens if len(token) > 1 and alphabet.issuperset(token)]
    trained = _ids(assembly, whole)
    if found.merges is None:
        priority = dict(zip(found.tokens, found.priorities, strict=True))
        ids = _ids(assembly, sorted(whole, key=lambda token: -priority[token]))
        merges = merges_of_ranks(ids).merges
        order = merges if list(ids) == list(trained) else merges_of_ranks(trained).merges
    else:
        ids = trained
        listed = [(left.encode(), right.encode()) for left, right in found.merges]
        own = [pair for pair in dict.fromkeys(listed) if all(part in ids for part in (*pair, b"".join(pair)))]
        merges = [*assembly, *own]
        order = []
    added = tuple(replace(token, id=len(ids) + place) for place, token in enumerate(found.added))
    vocabulary = Vocabulary(ids, merges, found.rules.patterns, added)
    order = order or _as_trained(reach(vocabulary).merges, ids, len(assembly))
    return MergeSource(vocabulary, order, len(assembly), alphabet, found.rules, found.normalise, found.by_line)


def _assembled(alphabet: list[str]) -> list[Merge]:
    """Merges that put the bytes of each character together, from its first byte on."""
    merges: dict[Merge, None] = {}
    for character in alphabet:
        whole = character.encode()
        merges.update(dict.fromkeys((whole[:size], whole[size : size + 1]) for size in range(1, len(whole))))
    return list(merges)


def _ids(assembly: list[Merge], tokens: list[str]) -> dict[bytes, int]:
    """Ids in this order: bytes, what characters are put together from, tokens."""
    made = (*BYTES, *(left + right for left, right in assembly), *(token.encode() for token in tokens))
    return {token: number for number, token in enumerate(dict.fromkeys(made))}


def _as_trained(merges: list[Merge], ids: Mapping[bytes, int], assembly: int) -> list[Merge]:
    """By the ids of what merges make, where all parts have lower ones; else as they are listed."""
    rising = all(max(ids[left], ids[right]) < ids[left + right] for left, right in merges[assembly:])
    return sorted(merges, key=lambda merge: ids[merge[0] + merge[1]]) if rising else merges


def _refuse_gaps(ranks: Mapping[bytes, int]) -> None:
    """DataError where ranks are missing that tokens after them are made of; one that is only free does not matter."""
    gap = next((low for low, high in pairwise(ranks.values()) if high > low + 1), None)
    if gap is None:
        return
    irregular = [token for token in merges_of_ranks(ranks).irregular if ranks[token] > gap]
    if irregular:
        msg = f"rank {gap + 1} is missing, and token {irregular[0]!r} (rank {ranks[irregular[0]]}) is made of no two"
        raise DataError(f"{msg} tokens of lower ranks: expected the whole file, part of it was lost")
