"""Byte-level BPE merges from counted words: those of `tokenizers`' `BpeTrainer`, merge for merge, in 64-bit counts.

The rule: take the adjacent pair with the largest total count, at equal counts the one with the smaller left id, then
the smaller right id; merge it in every word from left to right; repeat. Counting is by places, so `aaaa` holds the
pair (a, a) three times. `tokenizers` adds up pairs in 32 bits and goes wrong beyond 2^31; this does not.

The result depends on the words and their counts as a multiset and not on their order: within a word the merges are
determined, and between words only sums of integers are taken.

One string has one id. A merge that makes the string of a token gives that token's id, is listed, and adds none to the
vocabulary, as in `tokenizers`. A pair that is listed and stands in the text again is merged at once, pairs of lower
rank first, as an encoder does, and is not listed again (`tokenizers` lists it twice, and its reader takes the later
rank). Initial merges are pairs that are listed from the start. Over single bytes, learning alone never comes to that.
Proof: where a string stands between symbol borders, no earlier merge crossed them, so its inside went through the
merges exactly as the string alone would; also for runs of one symbol, as a pairing from the left that is out of step
would cross a border. Once the string alone has become one token, it is that token wherever it stands, and never again
two symbols. It can happen with initial merges that do not reach one of their own strings, and in sequences.

The compiled half is `bpe_merging.py`, the slow reference `bpe_reference.py`.

Price on one core: 65,280 merges of 400,164 distinct words (4.2 MB, cl100k) take 0.9 s, and some 20 s to compile, once
per machine.
Memory at the peak, all in: 41 bytes per byte of distinct words there, 57 at 1 MB, where tables by id weigh more. 4
million symbols in sequences, with 2.6 million distinct pairs, take 80 bytes per symbol and 3.7 s for 20,000 merges, or
42 bytes and 3.0 s with a `min_frequency` of 30, as a pair below it holds no places. Words of more than 2 GB in all
take twice as much per place.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.byte_alphabet import byte_ids, bytes_in_id_order
from operators.kernels import bpe_merging
from operators.kernels.bpe_merging import SEPARATOR

Ints = NDArray[Any]

_UNLIMITED: Final = 2**31 - 1
_ALL_BYTES: Final = bytes(range(256))


class Learned(NamedTuple):
    """Merges in order, the initial ones first."""

    merges: NDArray[np.int32]
    """(merges, 2): left and right id. A merge makes the next id, or that of the token with the same string."""
    counts: NDArray[np.int64]
    """(merges,): how often the pair stood in the text when it was first merged, by places; 0 if it never was."""


class Veto(NamedTuple):
    """Pairs that are never merged, whatever their count, by the string that they make (as in SuperBPE's trainer)."""

    max_words: int = 0
    """Words, that is, non-empty parts between spaces (byte 0x20), that a token may hold; 0: no limit."""
    forbidden: tuple[bytes, ...] = ()
    """Substrings that no token may hold, as `b": "`."""
    max_chars: int = 0
    """Characters that a token may hold, by the bytes that begin one in UTF-8 (all but 0x80 to 0xBF); 0: no limit."""
    never: tuple[bytes, ...] = ()
    """Strings that no token may be, though it may hold them: those of special tokens."""


def train(
    words: pa.LargeBinaryArray,
    counts: Ints,
    num_tokens: int,
    min_frequency: int = 0,
    max_token_length: int = _UNLIMITED,
    alphabet: bytes = _ALL_BYTES,
    initial_merges: Ints | None = None,
    veto: Veto = Veto(),  # noqa: B008
) -> Learned:
    """Learn merges until there are `num_tokens` tokens (the 256 bytes included) or no pair is left.

    Args:
        words: distinct pre-tokens; a repeated word counts as the sum of its counts.
        counts: how often each word occurs, int64, at least 0.
        num_tokens: at least 256, and at least the tokens that the initial merges make.
        min_frequency: a pair that occurs less often is not merged; learning stops there.
        max_token_length: longest token in bytes, inclusive, at least 2. In `tokenizers` the same limit is one more.
        alphabet: the bytes that are merged; any other ends a word here. (`tokenizers` takes such bytes out of the
            word, so that strangers become neighbours.)
        initial_merges: int32 (m, 2), merges of a tokenizer to go on from; they keep their ids even where the text
            has no such pair. The other rules do not hold for them.
        veto: what may not be learned.

    Returns:
        The merges; ids of bytes are those of `byte_alphabet`. To stop at fewer tokens is to cut the list, so smaller
        vocabularies are prefixes. Going on from the first merges of a training gives that training.

    Raises:
        ValueError: an argument is out of bounds, or an initial merge is of ids not made yet or there twice.

    >>> train(pa.array([b"aab", b"ab"], pa.large_binary()), np.array([1, 5]), 258).merges.tolist()
    [[64, 65], [64, 256]]
    """
    _check_words(words, counts, num_tokens)
    data, offsets, kept = _present(words, np.asarray(counts, np.int64))
    ids = np.full(256, SEPARATOR, np.int32)
    merged = np.frombuffer(alphabet, np.uint8)
    ids[merged] = byte_ids()[merged]
    initial = np.asarray(np.empty((0, 2)) if initial_merges is None else initial_merges, np.int32).reshape(-1, 2)
    tokens = products(initial.tolist(), [bytes([byte]) for byte in bytes_in_id_order()])
    laid_out = bpe_merging.lay_out(data, offsets, kept, ids, _places(data.size + kept.size))
    # Each merge takes a symbol away, so there are never more new tokens than bytes.
    room = min(num_tokens - len(tokens), data.size)
    return _learn(laid_out, tokens, initial, room, min_frequency, max_token_length, veto)


def train_sequences(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    tokens: Sequence[bytes],
    num_merges: int,
    min_frequency: int = 0,
    max_token_length: int = _UNLIMITED,
    veto: Veto = Veto(),  # noqa: B008
) -> Learned:
    """Learn merges over counted sequences of tokens, as SuperBPE's second stage does.

    Args:
        ids: int32, the tokens of all sequences, one after the other.
        offsets: int64 (sequences + 1), where each sequence begins in `ids`, and the end.
        counts: int64 (sequences), how often each occurs, at least 0.
        tokens: the string of every id, 0 to `len(tokens) - 1`: distinct, none empty.
        num_merges: merges that make a new token, at most; new ids go on from `len(tokens)`. Merges that give an
            id again come on top.
        min_frequency: as in `train`; it saves memory to set it, as rarer pairs then hold no places.
        max_token_length: longest new token in bytes, inclusive.
        veto: what may not be learned.

    Raises:
        ValueError: an argument is out of bounds, or the arrays do not fit each other.

    >>> arrays = np.array([0, 1, 0, 1], np.int32), np.array([0, 2, 4]), np.array([3, 4])
    >>> train_sequences(*arrays, tokens=[b" of", b" the"], num_merges=9)
    Learned(merges=array([[0, 1]], dtype=int32), counts=array([7]))
    """
    _check_sequences(ids, offsets, counts, tokens, num_merges)
    same = np.arange(len(tokens), dtype=np.int32)
    places = _places(ids.size + counts.size)
    laid_out = bpe_merging.lay_out(ids, np.asarray(offsets, np.int64), np.asarray(counts, np.int64), same, places)
    none = np.empty((0, 2), np.int32)
    return _learn(laid_out, tokens, none, min(num_merges, ids.size), min_frequency, max_token_length, veto)


def products(merges: Iterable[Sequence[int]], tokens: Sequence[bytes]) -> list[bytes]:
    """The strings of all ids: the given tokens, and those that the merges make of them, each once.

    >>> products([(0, 1), (1, 2), (2, 2), (0, 3)], [b"a", b"b", b"bb"])
    [b'a', b'b', b'bb', b'ab', b'bbb', b'bbbb', b'aab']
    """
    strings, known = list(tokens), set(tokens)
    seen: set[tuple[int, int]] = set()
    for number, (left, right) in enumerate(merges):
        if not (0 <= left < len(strings) and 0 <= right < len(strings)) or (left, right) in seen:
            made = f"two of the {len(strings)} made by then, and no pair twice"
            msg = f"merge {number} is of ids {left} and {right}: expected {made}"
            raise ValueError(msg)
        seen.add((left, right))
        joined = strings[left] + strings[right]
        if joined not in known:
            known.add(joined)
            strings.append(joined)
    return strings


def most_frequent_bytes(words: pa.LargeBinaryArray, counts: Ints, limit: int) -> bytes:
    """The bytes that occur most often in the words, of equal ones those with the smaller ids; as many as `limit`.

    >>> most_frequent_bytes(pa.array([b"ab", b"c"], pa.large_binary()), np.array([1, 2]), 2)
    b'ca'
    """
    data, offsets, kept = _present(words, np.asarray(counts, np.int64), shortest=1)
    totals = bpe_merging.byte_totals(data, offsets, kept)
    order = sorted(range(256), key=lambda byte: (-int(totals[byte]), int(byte_ids()[byte])))
    return bytes(byte for byte in order[:limit] if totals[byte])


def _learn(
    laid_out: bpe_merging.Words,
    tokens: Sequence[bytes],
    initial: Ints,
    room: int,
    min_frequency: int,
    max_token_length: int,
    veto: Veto,
) -> Learned:
    if max_token_length < 2 or min(veto.max_words, veto.max_chars, room) < 0 or b"" in veto.forbidden:
        msg = (
            f"expected max_token_length >= 2, a veto with limits >= 0 and no empty substring, and room for "
            f"{len(tokens)} tokens, not {max_token_length}, {veto} and {len(tokens) + room}"
        )
        raise ValueError(msg)
    limits = (max(1, min_frequency), max_token_length, veto.max_words, veto.max_chars)
    rules = bpe_merging.Rules(*limits, *_joined(veto.forbidden), *_joined(veto.never))
    return Learned(*bpe_merging.learn(laid_out, *_joined(tokens), initial, room, rules))


def _joined(strings: Sequence[bytes]) -> tuple[Ints, Ints]:
    """All bytes (uint8), and where each string begins, and the end (int64)."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    return np.array(bytearray(b"".join(strings)), np.uint8), np.concatenate(([0], np.cumsum(lengths)))


def _places(size: int) -> Ints:
    """An array whose dtype can count the places of a text of this size."""
    return np.empty(0, np.int32 if size < 2**31 - 2 else np.int64)


def _check_words(words: pa.LargeBinaryArray, counts: Ints, num_tokens: int) -> None:
    if len(words) != len(counts) or words.null_count:
        found = f"{len(words)} words, {words.null_count} null, {len(counts)} counts"
        msg = f"expected as many counts as words and no null word: {found}"
        raise ValueError(msg)
    _check_counts(counts)
    if num_tokens < 256:
        msg = f"expected num_tokens >= 256, not {num_tokens}"
        raise ValueError(msg)


def _check_counts(counts: Ints) -> None:
    if len(counts) and int(np.min(counts)) < 0:
        msg = f"counts must be at least 0, the smallest is {int(np.min(counts))}"
        raise ValueError(msg)


def _check_sequences(ids: Ints, offsets: Ints, counts: Ints, tokens: Sequence[bytes], num_merges: int) -> None:
    _check_counts(counts)
    if len(offsets) != len(counts) + 1 or offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
        msg = f"offsets must rise from 0 to {len(ids)} ids over {len(counts)} counts: {len(offsets)} were given"
        raise ValueError(msg)
    if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < len(tokens)):
        msg = f"ids must be below {len(tokens)}, the tokens given: found {int(ids.min())} to {int(ids.max())}"
        raise ValueError(msg)
    if len(set(tokens)) != len(tokens) or b"" in tokens or num_merges < 0:
        msg = f"expected distinct tokens, none empty, and num_merges >= 0: {len(tokens)} tokens, {num_merges}"
        raise ValueError(msg)


def _present(words: pa.LargeBinaryArray, counts: Ints, shortest: int = 2) -> tuple[Ints, Ints, Ints]:
    """Bytes, offsets and counts of the words that count at all and are long enough to hold a pair."""
    words = words.cast(pa.large_binary())
    counted = (counts > 0) & (pc.binary_length(words).to_numpy(zero_copy_only=False) >= shortest)
    if not counted.all():
        words = words.filter(pa.array(counted))
    _, offset_buffer, data_buffer = words.buffers()
    if not len(words):
        return np.empty(0, np.uint8), np.zeros(1, np.int64), np.empty(0, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[words.offset : words.offset + len(words) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0], counts[counted]
