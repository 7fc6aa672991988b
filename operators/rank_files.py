r"""Rank files, as `tiktoken` reads them: a line `base64(token) rank` for every token; the rank is also the id.

`tiktoken` looks a piece up whole; if it is no token, two neighbours merge where their bytes, joined, are one, lowest
rank first, whatever two tokens they are. So a rank file says less than a list of merges, and the two encode alike
only for vocabularies that are in order. What is exact here:

- Reading: always. The merges that ranks can ever apply are one for each token at most (see `vocabulary.py`), found by
  encoding each token's bytes alone; listed by rank, with `whole_first` where some token is not reached by merging.
- Writing: if that reading, done on the ids as ranks, gives the vocabulary's own live merges in their order, and all
  tokens are reached by merging or `whole_first` is set. Then every piece of bytes is encoded alike: at each step the
  first choice among all neighbours that ranks would merge is a listed merge, and the list holds no other. `to_ranks`
  checks it and refuses otherwise. For vocabularies without `whole_first` it is also necessary: the first token that
  fails is encoded as itself by its rank and as something else by its merges.

The pattern must cut alike in both engines, too. The published ones do, and what `pattern_syntax.py` reads. Beyond that
nothing is promised: where a pattern can match nothing `tiktoken` fails, and look-behind, flags and anchors are other
things to other engines.

A rank file holds neither the pattern nor the added tokens: hand both to `tiktoken` (`tiktoken_pattern`). It finds added
tokens only where `allowed_special` allows them, and where one begins like another it may take the shorter one.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa

from operators.base import DataError, RecipeError
from operators.encode import Merge
from operators.pattern_syntax import UnsupportedPattern, parse
from operators.pretokenizers import PATTERNS, Digits, cutting
from operators.vocabulary import BYTES, AddedToken, Numbers, Vocabulary, reach

_NOT_COVERING = frozenset({"superbpe_stage2"})


class RankMerges(NamedTuple):
    """What ranks amount to."""

    merges: list[Merge]
    """The merges that they ever apply, by rank."""
    unreachable: list[bytes]
    """Tokens that only a piece as a whole can be: their own bytes merge to something else."""
    irregular: list[bytes]
    """Tokens that do not end in two parts under the ranks below their own; no training leaves any."""


def read_ranks(content: bytes) -> dict[bytes, int]:
    r"""The rank of every token of a file, by rank; an empty token is left out, as no text can hold it.

    Raises DataError with the line that is wrong.

    >>> read_ranks(b"YWI= 256\nIQ== 0\n")
    {b'!': 0, b'ab': 256}
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line:
            continue
        token, rank = _read_line(line, number)
        if not token:
            continue  # Whisper's multilingual file has one, to keep an id free
        if token in ranks:
            msg = f"line {number}: token {token!r} has rank {ranks[token]} already: expected every token once"
            raise DataError(msg)
        ranks[token] = rank
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def from_ranks(
    ranks: Mapping[bytes, int],
    patterns: tuple[str, ...],
    special_tokens: Mapping[str, int] | None = None,
) -> Vocabulary:
    """The vocabulary that encodes every piece of bytes as `tiktoken` does with these ranks.

    Args:
        ranks: by rank, as `read_ranks` gives them; all 256 bytes among them.
        patterns: a rank file has none: what its publisher says, in the syntax of `tokenizers`.
        special_tokens: id by content; their publisher's, too.
    """
    merges, unreachable, _ = merges_of_ranks(ranks)
    added = tuple(AddedToken(content, number) for content, number in (special_tokens or {}).items())
    return Vocabulary(ranks, tuple(merges), patterns, added, whole_first=bool(unreachable))


def to_ranks(vocabulary: Vocabulary) -> bytes:
    """The file, if every text would be encoded alike. Raises RecipeError with the first token that would not be."""
    reason = objection(vocabulary)
    if reason:
        msg = f"no rank file can be written: {reason}; use tokenizer.json"
        raise RecipeError(msg)
    return rank_lines(vocabulary.ids)


def rank_lines(ids: Mapping[bytes, int]) -> bytes:
    """The file of any ranks, unchecked."""
    lines = [base64.b64encode(token) + b" %d\n" % number for token, number in ids.items()]
    return b"".join(lines)


def objection(vocabulary: Vocabulary) -> str:
    """Why ranks could encode some text in another way than the vocabulary; "" if they encode all alike."""
    if vocabulary.normalizer:
        return f"text is brought to the form {vocabulary.normalizer} first, which tiktoken does not do"
    if len(vocabulary.patterns) != 1:
        return f"text is cut by {len(vocabulary.patterns)} patterns in turn, and tiktoken takes one"
    if other := _cuts_otherwise(vocabulary.patterns[0]):
        return other
    merges, unreachable = reach(vocabulary)
    if unreachable and not vocabulary.whole_first:
        return f"token {_named(unreachable[0], vocabulary)} has a rank, but its own bytes do not merge to it"
    if not unreachable and _in_order(vocabulary, merges):
        return ""
    by_rank = merges_of_ranks(vocabulary.ids).merges
    return "" if by_rank == merges else _difference(vocabulary, merges, by_rank)


def tiktoken_pattern(vocabulary: Vocabulary) -> str:
    r"""The pattern for `tiktoken.Encoding(pat_str=...)`. Raises RecipeError where there is not exactly one.

    `tiktoken` drops text that the pattern does not match, where `tokenizers` keeps it as pieces. Unless the pattern is
    a published one that matches everything, a last alternative takes the runs that are left.

    >>> from operators.vocabulary import from_merges
    >>> tiktoken_pattern(from_merges([], ("[a-z]+",)))
    '[a-z]+|(?s:(?:(?![a-z]+).)+)'
    """
    if len(vocabulary.patterns) != 1:
        msg = f"text is cut by {len(vocabulary.patterns)} patterns in turn, and tiktoken takes one; use tokenizer.json"
        raise RecipeError(msg)
    pattern = vocabulary.patterns[0]
    covering = [patterns for name, patterns in PATTERNS.items() if name not in _NOT_COVERING]
    return pattern if vocabulary.patterns in covering else f"{pattern}|(?s:(?:(?!{pattern}).)+)"


def merges_of_ranks(ranks: Mapping[bytes, int]) -> RankMerges:
    """The merges that encoding by these ranks (given in rising order) ever applies, and the tokens out of order.

    Raises DataError where a byte has no rank. 100,000 tokens take 0.5 s, 200,000 take 1.5 s.

    >>> ranks = {bytes([value]): value for value in range(256)} | {b"ab": 256, b"abc": 257, b"xyz": 258}
    >>> merges_of_ranks(ranks)
    RankMerges(merges=[(b'a', b'b'), (b'ab', b'c')], unreachable=[b'xyz'], irregular=[b'xyz'])
    """
    from operators.kernels.encode import last_merges, merge_table

    tokens = list(ranks)
    numbers = {token: number for number, token in enumerate(tokens)}
    missing = [byte for byte in BYTES if byte not in numbers]
    if missing:
        msg = f"byte {missing[0].hex()} and {len(missing) - 1} others have no rank: expected all 256 bytes"
        raise DataError(msg)
    left, right, result = _splits(tokens, numbers)
    table = merge_table(left, right, result, result, np.array([numbers[byte] for byte in BYTES]))
    pieces = pa.array(tokens, pa.large_binary())
    last = last_merges(pieces, table)
    below = last_merges(pieces, table, np.arange(len(tokens)))
    made = np.flatnonzero(last.left >= 0).tolist()
    lengths = np.array([len(token) for token in tokens])
    return RankMerges(
        [(tokens[last.left[number]], tokens[last.right[number]]) for number in made],
        [tokens[number] for number in np.flatnonzero(last.parts != 1).tolist()],
        [tokens[number] for number in np.flatnonzero((below.parts != 2) & (lengths > 1)).tolist()],
    )


def _cuts_otherwise(pattern: str) -> str:
    r"""Why `tiktoken`'s engine could cut text by a pattern in another way; "" if it cuts alike.

    >>> _cuts_otherwise(r"\s+|\S+")
    ''
    """
    if any((pattern,) == cutting(name, digits).patterns for name in PATTERNS for digits in get_args(Digits)):
        return ""
    try:
        parse(pattern)
    except UnsupportedPattern as error:
        return f"tiktoken's engine is not known to cut text alike: {error}"
    return ""


def _splits(tokens: list[bytes], numbers: dict[bytes, int]) -> tuple[Numbers, Numbers, Numbers]:
    """Every two tokens that are a token joined: left, right, and the token."""
    rows = [
        (left, right, number)
        for number, token in enumerate(tokens)
        for cut in range(1, len(token))
        if (left := numbers.get(token[:cut], -1)) >= 0 and (right := numbers.get(token[cut:], -1)) >= 0
    ]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _in_order(vocabulary: Vocabulary, merges: list[Merge]) -> bool:
    """Whether every merge comes after those that made its parts, and the ids of tokens rise with their merges.

    If so, and if merging reaches all tokens, ranks make the same merges: take the lowest token that they would make
    from other parts. Among the tokens below it both agree, so its bytes come to its two parts by ranks as well. This
    spares the search of `merges_of_ranks`: trained vocabularies are in order.
    """
    last = -1
    for left, right in merges:
        number = vocabulary.ids[left + right]
        if number <= last or any(len(part) > 1 and vocabulary.ids[part] >= number for part in (left, right)):
            return False
        last = number
    return True


def _difference(vocabulary: Vocabulary, merges: list[Merge], by_rank: list[Merge]) -> str:
    """The first merge that ranks make in another way, or in another order."""
    listed, ranked = _by_token(merges), _by_token(by_rank)
    for token in vocabulary.ids:
        if listed.get(token) != ranked.get(token):
            ours, theirs = (_pair(made.get(token)) for made in (listed, ranked))
            return f"token {_named(token, vocabulary)} is merged from {ours}, and by ranks from {theirs}"
    place = next(place for place, (ours, theirs) in enumerate(zip(merges, by_rank, strict=True)) if ours != theirs)
    late, early = b"".join(by_rank[place]), b"".join(merges[place])
    return (
        f"token {_named(late, vocabulary)} has a lower id than {_named(early, vocabulary)}, which is merged before it"
    )


def _by_token(merges: Iterable[Merge]) -> dict[bytes, Merge]:
    return {left + right: (left, right) for left, right in merges}


def _pair(merge: Merge | None) -> str:
    return "nothing" if merge is None else f"{merge[0]!r} and {merge[1]!r}"


def _named(token: bytes, vocabulary: Vocabulary) -> str:
    return f"{token!r} (id {vocabulary.ids[token]})"


def _read_line(line: bytes, number: int) -> tuple[bytes, int]:
    try:
        encoded, rank = line.split()
        return b"" if encoded == b"=" else base64.b64decode(encoded, validate=True), int(rank)
    except (ValueError, binascii.Error) as error:
        msg = f"line {number}: {line[:80]!r} is no rank: expected a token in base64, a space and a whole number"
        raise DataError(msg) from error
