"""A byte-level BPE vocabulary as all file formats share it: tokens as bytes with ids, merges in order, and the rest.

Readers of every format make a `Vocabulary`, writers take one. What a vocabulary does to a piece of text is decided by
its *live* merges: at most one for each token, the pair that the token's own bytes are last in when they are encoded
alone. Proof: where two neighbours merge into token t, no merge has crossed the borders of t's bytes before, and each
merge inside was the first choice inside as well; so the inside went through what t's bytes alone go through, and two
parts there means that pair. Any other merge that a file lists for t is never applied. This holds for merges by list
(`tokenizers`) and by rank (`tiktoken`) alike.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.byte_alphabet import bytes_in_id_order, to_bytes
from operators.encode import Merge

if TYPE_CHECKING:
    from operators.kernels.encode import MergeTable

Numbers = NDArray[np.int64]

MAX_ID: Final = 2**31 - 2
NORMALIZERS: Final = ("", "NFC", "NFD", "NFKC", "NFKD")
BYTES: Final = tuple(bytes([value]) for value in range(256))
RESERVED: Final = "<|reserved_{}|>"


@dataclass(frozen=True)
class AddedToken:
    """A token that is looked for in the text before anything else; the flags are those of `tokenizers`."""

    content: str
    id: int
    special: bool = True
    normalized: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """Tokens, merges and what else decides an encoding. Made by a reader or by `from_merges`.

    Raises RecipeError where it could not encode every text or would not be one thing: a byte without a token, an id
    or a merge given twice, a merge of or into something that is no token.
    """

    ids: Mapping[bytes, int]
    """The id of every token, in rising order; ids may have gaps. The added tokens are not among them."""
    merges: Sequence[Merge]
    """In the order of their priority."""
    patterns: tuple[str, ...]
    """Regexes in the syntax of `tokenizers`: each cuts the pieces that the one before it left."""
    added: tuple[AddedToken, ...] = ()
    whole_first: bool = False
    """Whether a piece that is a token is not merged at all (`ignore_merges` in `tokenizers`; `tiktoken` does so)."""
    normalizer: str = ""
    """The Unicode normal form that text is brought to first; "" for none."""

    def __post_init__(self) -> None:
        _check_ids(self)
        _check_added(self)
        _check_merges(self)

    @cached_property
    def tokens(self) -> list[bytes]:
        """All tokens but the added ones, by rising id."""
        return list(self.ids)

    @property
    def next_id(self) -> int:
        """One more than the largest id."""
        return max(max(self.ids.values()), *(token.id for token in self.added), 255) + 1


class Reach(NamedTuple):
    """What merging can do in a vocabulary."""

    merges: list[Merge]
    """Those that are ever applied, in order."""
    unreachable: list[bytes]
    """The tokens that their own bytes do not merge to; without `whole_first` nothing is ever encoded as one alone."""


def from_merges(
    merges: Iterable[Merge],
    patterns: tuple[str, ...],
    special_tokens: Iterable[str] = (),
    *,
    whole_first: bool = False,
) -> Vocabulary:
    """A vocabulary with our ids: the 256 bytes as in `byte_alphabet`, a token per merge, the special tokens last.

    >>> from_merges([(b"a", b"b")], ("[a-z]+",), ["<|end|>"]).ids[b"ab"]
    256
    """
    merges = tuple(merges)
    ids = {bytes([value]): place for place, value in enumerate(bytes_in_id_order())}
    for left, right in merges:
        ids.setdefault(left + right, len(ids))
    added = tuple(AddedToken(content, len(ids) + place) for place, content in enumerate(special_tokens))
    return Vocabulary(ids, merges, patterns, added, whole_first)


def reach(vocabulary: Vocabulary) -> Reach:
    """The merges that are ever applied, and the tokens that merging does not reach. 0.9 s for 200,000 tokens.

    >>> double = from_merges([(b"a", b"a"), (b"aa", b"a"), (b"a", b"aa")], ())
    >>> reach(double).merges
    [(b'a', b'a'), (b'aa', b'a')]
    """
    from operators.kernels.encode import last_merges

    last = last_merges(pa.array(vocabulary.tokens, pa.large_binary()), merge_table(vocabulary))
    left, right, result = merge_numbers(vocabulary.tokens, vocabulary.merges).T
    live = (last.left[result] == left) & (last.right[result] == right)
    merges = [merge for merge, is_live in zip(vocabulary.merges, live.tolist(), strict=True) if is_live]
    return Reach(merges, [vocabulary.tokens[number] for number in np.flatnonzero(last.parts != 1).tolist()])


def merge_table(vocabulary: Vocabulary) -> "MergeTable":
    """The merges for `kernels/encode.py`, between tokens by their place in `tokens`."""
    from operators.kernels import encode

    left, right, result = merge_numbers(vocabulary.tokens, vocabulary.merges).T
    numbers = _numbers(vocabulary.tokens)
    return encode.merge_table(left, right, np.arange(len(left)), result, np.array([numbers[byte] for byte in BYTES]))


def encode_pieces(vocabulary: Vocabulary, pieces: pa.LargeBinaryArray) -> pa.LargeListArray:
    """The ids of every piece, as lists of int32; pieces are pre-tokens, never null, and hold no added token.

    >>> encode_pieces(from_merges([(b"!", b"!")], ()), pa.array([b"!!!", b""])).to_pylist()
    [[256, 0], []]
    """
    return PieceEncoder(vocabulary)(pieces)


class PieceEncoder:
    """`encode_pieces` for many arrays of pieces: what it needs of the vocabulary is made once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._table = merge_table(vocabulary)
        self._ids = pa.array(vocabulary.ids.values(), pa.int32())
        self._tokens = pa.array(vocabulary.tokens, pa.large_binary()) if vocabulary.whole_first else None

    def __call__(self, pieces: pa.LargeBinaryArray) -> pa.LargeListArray:
        """The ids of every piece."""
        from operators.kernels.encode import encode

        pieces = pieces.cast(pa.large_binary())
        lists = encode(pieces, self._table)
        lists = pa.LargeListArray.from_arrays(lists.offsets, self._ids.take(lists.values))
        if self._tokens is None:
            return lists
        whole = self._ids.take(pc.index_in(pieces, self._tokens))
        alone = pa.LargeListArray.from_arrays(pa.array(np.arange(len(pieces) + 1)), whole)
        return pc.if_else(whole.is_valid(), alone, lists)


def trim(vocabulary: Vocabulary, used: Iterable[int]) -> tuple[Vocabulary, dict[int, int]]:
    """Cut a vocabulary to the ids that a corpus uses; bytes, added tokens, and what a kept token is merged from stay.

    A piece of text of which every token is kept is encoded as before, with the new ids: a kept token brings all
    merges that made it, the merges left keep their order, and at each step of the piece the merge that was the first
    choice is still there, while none came in.

    Args:
        vocabulary: any.
        used: ids to keep.

    Returns:
        The vocabulary, its ids from 0 in the order of the old ones and added tokens last; and new id by old id.

    Raises:
        RecipeError: `used` holds an id that the vocabulary has not.
    """
    merges = reach(vocabulary).merges
    kept = {vocabulary.tokens[place] for place in _places(vocabulary, used)}.union(BYTES)
    parts_of = {left + right: (left, right) for left, right in merges}
    waiting = list(kept)
    while waiting:
        missing = set(parts_of.get(waiting.pop(), ())) - kept
        kept |= missing
        waiting.extend(missing)
    tokens = [token for token in vocabulary.tokens if token in kept]
    added = sorted(vocabulary.added, key=lambda token: token.id)
    old_ids = [*(vocabulary.ids[token] for token in tokens), *(token.id for token in added)]
    trimmed = replace(
        vocabulary,
        ids={token: number for number, token in enumerate(tokens)},
        merges=tuple(merge for merge in merges if merge[0] + merge[1] in kept),
        added=tuple(replace(token, id=len(tokens) + place) for place, token in enumerate(added)),
    )
    return trimmed, {old: new for new, old in enumerate(old_ids)}


def as_tokens(names: Iterable[str]) -> tuple[bytes, ...]:
    """The tokens that a tokenizer.json would write as these names of added ones: no text may be learned as one.

    >>> as_tokens(["<|end|>", "\u0120the", "two words"])
    (b'<|end|>', b' the')
    """
    found = (to_bytes(name) for name in names)
    return tuple(token for token in found if token)


def reserve(vocabulary: Vocabulary, count: int) -> Vocabulary:
    """Add special tokens without a meaning yet, `<|reserved_0|>` and so on, after all others.

    A tokenizer that needs another special token later gives it the id of one of these, and no model changes its size.
    Names that the vocabulary has already are passed over.
    """
    taken = {token.content for token in vocabulary.added}
    names = [name for name in map(RESERVED.format, range(count + len(taken))) if name not in taken]
    slots = tuple(AddedToken(name, vocabulary.next_id + place) for place, name in enumerate(names[:count]))
    return replace(vocabulary, added=(*vocabulary.added, *slots))


def merge_numbers(tokens: Iterable[bytes], merges: Iterable[Merge]) -> Numbers:
    """int64 (merges, 3): left token, right token and result of every merge, by their places in `tokens`.

    >>> merge_numbers([b"a", b"b", b"ab"], [(b"a", b"b")]).tolist()
    [[0, 1, 2]]
    """
    numbers = _numbers(tokens)
    rows = [(numbers[left], numbers[right], numbers[left + right]) for left, right in merges]
    return np.array(rows, np.int64).reshape(-1, 3)


def _numbers(tokens: Iterable[bytes]) -> dict[bytes, int]:
    return {token: number for number, token in enumerate(tokens)}


def _places(vocabulary: Vocabulary, used: Iterable[int]) -> list[int]:
    """The places in `tokens` of the ids in use, those of added tokens left out."""
    place_of = {number: place for place, number in enumerate(vocabulary.ids.values())}
    added = {token.id for token in vocabulary.added}
    wanted = sorted(set(used) - added)
    unknown = [number for number in wanted if number not in place_of]
    if unknown:
        msg = (
            f"id {unknown[0]} is not in the vocabulary of {len(place_of)} tokens and {len(added)} added ones: "
            "count the ids with the tokenizer that is trimmed"
        )
        raise RecipeError(msg)
    return [place_of[number] for number in wanted]


def _check_ids(vocabulary: Vocabulary) -> None:
    numbers = list(vocabulary.ids.values())
    missing = [byte for byte in BYTES if byte not in vocabulary.ids]
    if missing:
        msg = (
            f"the vocabulary has no token for byte {missing[0].hex()} and {len(missing) - 1} others: a byte-level "
            "vocabulary needs all 256, or some text could not be encoded"
        )
        raise RecipeError(msg)
    if b"" in vocabulary.ids:
        msg = f"token {vocabulary.ids[b'']} is empty: a token needs at least one byte"
        raise RecipeError(msg)
    for earlier, later in pairwise(numbers):
        if later <= earlier:
            msg = f"token id {later} comes after {earlier}: expected every id once, in rising order"
            raise RecipeError(msg)
    if numbers[0] < 0 or numbers[-1] > MAX_ID:
        msg = f"token ids go from {numbers[0]} to {numbers[-1]}: expected 0 to {MAX_ID}"
        raise RecipeError(msg)


def _check_added(vocabulary: Vocabulary) -> None:
    if vocabulary.normalizer not in NORMALIZERS:
        msg = f"normalizer {vocabulary.normalizer!r}: expected one of {NORMALIZERS}"
        raise RecipeError(msg)
    _check_unique([token.content for token in vocabulary.added], "string")
    _check_unique([token.id for token in vocabulary.added], "id")
    taken = set(vocabulary.ids.values())
    for token in vocabulary.added:
        # A tokenizer.json has one table of strings, in which bytes are written as characters.
        same = to_bytes(token.content)
        if token.id in taken or not 0 <= token.id <= MAX_ID:
            msg = f"added token {token.content!r} has id {token.id}, which is out of range or another token's"
            raise RecipeError(msg)
        if not token.content or (same is not None and same in vocabulary.ids):
            msg = (
                f"special token {token.content!r} is also token {vocabulary.ids.get(same or b'')} of the vocabulary, "
                "and one string has one id: give it a name that text does not hold, such as '<|name|>'"
            )
            raise RecipeError(msg)


def _check_merges(vocabulary: Vocabulary) -> None:
    ids = vocabulary.ids
    for place, (left, right) in enumerate(vocabulary.merges):
        lacking = [token for token in (left, right, left + right) if token not in ids]
        if lacking:
            msg = f"merge {place} of {left!r} and {right!r}: {lacking[0]!r} is not in the vocabulary"
            raise RecipeError(msg)
    _check_unique(vocabulary.merges, "merge")


def _check_unique(values: Collection[object], what: str) -> None:
    if len(set(values)) == len(values):
        return
    seen: set[object] = set()
    for value in values:
        if value in seen:
            msg = f"{what} {value!r} is given twice: expected it once"
            raise RecipeError(msg)
        seen.add(value)
