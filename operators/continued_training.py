"""Go on training from a tokenizer that exists: its tokens keep their ids and its merges come first.

Every pre-token goes through the tokenizer as it is, and merges are learned over the sequences of its tokens. So any
byte-level vocabulary will do: bytes in any order, ids with gaps, added tokens in the middle, tokens that only a whole
piece can be. No old merge applies between two neighbours of such a sequence, nor after a new one: a token that merging
reaches stands nowhere as several (proof in `vocabulary.py`), so no new merge makes a part of an old one. Hence an
encoder, which applies the old merges before the new, does what was done here; no piece of text gets more tokens than
before. From the first merges of a training of ours it gives that training.

The strings of added tokens are learned by no merge, though longer tokens may hold them: a string has one id.

New ids begin after the largest that there is, special or not: learned merges, then special tokens that the tokenizer
has not, then reserved slots. A size counts ids from 0, gaps included, as it is the number of rows of an embedding.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators import tokenizer_sources
from operators.base import RecipeError
from operators.encode import Merge, with_required
from operators.pretoken_counts import total_counts
from operators.vocabulary import AddedToken, Vocabulary, merge_table, reach, reserve
from operators.vocabulary_training import BpeTraining, Learned, pretokens_of


class ContinuedTraining(BpeTraining):
    """Byte-pair encoding from the tokens of another tokenizer on."""

    extend: str
    """The tokenizer's file."""
    extend_sha256: str
    """Its digest, which decides, wherever the file lies."""

    inert: ClassVar[frozenset[str]] = BpeTraining.inert | {"extend"}

    @override
    def learn(self, counts: pa.Table) -> Learned:
        from operators.kernels.bpe import products, train_sequences
        from operators.kernels.encode import encode

        base, counts = self._base(), total_counts(counts)
        words, totals = pretokens_of(counts), counts["count"].to_numpy()
        if base.whole_first:  # such a piece is one token, whether or not merging comes to it
            parted = pc.invert(pc.is_in(words, pa.array(base.tokens, pa.large_binary())))
            words, totals = words.filter(parted), totals[parted.to_numpy(zero_copy_only=False)]
        lists = encode(words, merge_table(base))
        learned = train_sequences(
            lists.values.to_numpy(),
            lists.offsets.to_numpy(),
            totals,
            base.tokens,
            max(0, self.num_learned - base.next_id),
            self.min_frequency,
            self.max_token_length,
            self.veto,
        )
        strings = products(learned.merges.tolist(), base.tokens)
        merges = [(strings[left], strings[right]) for left, right in learned.merges.tolist()]
        about = {"sha256": self.extend_sha256, "tokens": len(base.ids), "added": len(base.added), "ids": base.next_id}
        return Learned(merges, learned.counts.tolist(), {"extended": about})

    @override
    @property
    def _num_added(self) -> int:
        return len(new_tokens(self._base(), self.special_tokens)) + self.reserved

    @override
    @property
    def _names(self) -> tuple[str, ...]:
        base = self._base()
        return (*(token.content for token in base.added), *new_tokens(base, self.special_tokens))

    def _base(self) -> Vocabulary:
        return tokenizer_sources.read(self.extend, self.patterns, self.extend_sha256)

    @override
    def _vocabulary(self, learned: Learned, size: int) -> Vocabulary:
        base = self._base()
        first = base.next_id
        live, room = reach(base).merges, size - first - self._num_added
        merges = _that_fit(learned.merges, base, room)
        if self.required_tokens:
            merges = with_required([token.encode() for token in self.required_tokens], learned.merges, room, live)
        ids = dict(base.ids)
        for left, right in merges:
            if left + right not in ids:
                ids[left + right] = first + len(ids) - len(base.ids)
        grown = replace(base, ids=ids, merges=(*live, *merges))
        special = enumerate(new_tokens(base, self.special_tokens), start=grown.next_id)
        added = tuple(AddedToken(content, number) for number, content in special)
        return reserve(replace(grown, added=(*base.added, *added)), self.reserved)


def new_tokens(base: Vocabulary, special_tokens: Sequence[str]) -> list[str]:
    """The special tokens that a tokenizer has not; the others keep their ids."""
    known = {token.content for token in base.added}
    return [content for content in special_tokens if content not in known]


def check_extension(
    path: str, patterns: tuple[str, ...], special_tokens: Sequence[str], reserved: int, smallest: int
) -> None:
    """RecipeError where a tokenizer cannot be extended: unreadable, cut by other patterns, or too large for a size."""
    base = tokenizer_sources.read(path, patterns)
    if base.patterns != patterns:
        known = tokenizer_sources.known_cutting(base.patterns)
        mend = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in known.items())
        msg = (
            f"extend: tokenizer {path!r} cuts text by {' then '.join(base.patterns) or 'nothing'!r}, and the recipe by "
            f"{' then '.join(patterns)!r}: {f'write {mend}' if mend else 'no pretokenizer here cuts so'}"
        )
        raise RecipeError(msg)
    num_added = len(new_tokens(base, special_tokens)) + reserved
    if smallest < base.next_id + num_added:
        msg = (
            f"extend: vocab_sizes holds {smallest}, but tokenizer {path!r} has ids up to {base.next_id - 1}, and "
            f"{num_added} special and reserved tokens are new: ask for {base.next_id + num_added} or more"
        )
        raise RecipeError(msg)


def check_required(path: str, patterns: tuple[str, ...], required_tokens: Sequence[str]) -> None:
    """RecipeError where a required token is an added one of the tokenizer: it is one token already."""
    known = {token.content for token in tokenizer_sources.read(path, patterns).added}
    both = [token for token in required_tokens if token in known]
    if both:
        msg = f"required_tokens: {both[0]!r} is an added token of {path!r}, and so one token already: leave it out"
        raise RecipeError(msg)


def _that_fit(merges: Sequence[Merge], base: Vocabulary, room: int) -> list[Merge]:
    """The first merges, up to the one whose token would be one too many; some make a token that is there."""
    known, fitting = set[bytes](), list[Merge]()
    for left, right in merges:
        token = left + right
        if token not in base.ids and token not in known:
            if len(known) == room:
                break
            known.add(token)
        fitting.append((left, right))
    return fitting
