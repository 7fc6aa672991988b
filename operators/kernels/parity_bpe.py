"""Parity-aware byte-level BPE from words counted by language: the merges of `tokenizers`' `ParityBpeTrainer`.

Foroutan et al. 2025 (arXiv:2508.04796). Every step, the language that is worst off chooses: its most frequent pair is
merged, in the text of all languages. Which one that is:

- With a development set, the one whose development text is the longest in tokens now. The set should say the same
  thing in every language. It is cut by the merges as they come and counts for nothing else.
- Without one, the one with the least (bytes per token of its training text) / (its desired ratio), in 64-bit floats.
  Scripts differ in the bytes that the same content takes, so equal ratios are not equal cost.
- With a window, a language that was chosen in more than `alpha / languages` of the last `window_size` steps is passed
  over for the next one, as long as any is left. Steps before the first window is full count as not chosen. A step in
  which the chosen language turns out to have no pair left counts as well.
- The first `global_merges` steps count pairs over all languages together (hybrid).

Languages that are equally well off choose in their order. Of pairs that are equally frequent there, the one with the
larger left string goes first, then the one with the larger right string, by the ids of their bytes. A language whose
best pair occurs less than `min_frequency` times in it has no pair left and never chooses again; when none has, or none
in all languages together while those still count together, training ends.

Exactly as `ParityBpeTrainer` of `tokenizers` 0.23.3 with byte-level words, with these exceptions:

- Pair counts are by places in both, and 64 bits wide; its `max_token_length` is one more, as in `bpe.py`.
- With a window, once languages have no pair left and all others were chosen too often, it goes on for ever or has its
  first language choose, which has nothing. Here the one that is worst off chooses. For the same reason `alpha` is at
  least 1 here: below that it can happen at any time, and there the one that is best off chooses.
- By ratio, a language without text never ends there (0 / 0). Here it has no pair.
- With neither ratios nor a development set, it takes the language with most tokens in training, which is the largest
  corpus. Here all ratios are 1.

No merge makes the string of another (proof in `bpe.py`). The result does not depend on the order of words.

Compiled half: `parity_merging.py`; slow reference: `parity_reference.py`.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.byte_alphabet import byte_ids
from operators.kernels import parity_merging
from operators.kernels.parity_merging import GLOBAL, NUM_BYTES

Ints = NDArray[Any]

_UNLIMITED: Final = 2**31 - 1
_MOST_LANGUAGES: Final = 2**15 - 2
_MOST_TOKENS: Final = 2**24

__all__ = ["GLOBAL", "CountedWords", "Learned", "Policy", "train"]


class CountedWords(NamedTuple):
    """Words counted by language. A word of several languages has a row for each; equal rows add up."""

    words: pa.LargeBinaryArray
    counts: Ints
    """int64, at least 0."""
    languages: Ints
    """int32: numbers from 0."""


class Policy(NamedTuple):
    """Which language chooses the next pair."""

    num_languages: int
    ratios: tuple[float, ...] = ()
    """Desired bytes per token by language, relative to each other: more than 0; none given: all 1. Only without a
    development set."""
    window_size: int = 0
    """Steps, 0: no window."""
    alpha: float = 2.0
    """At least 1."""
    global_merges: int = 0
    """Merges, at least 0."""


class Learned(NamedTuple):
    """Merges in order, and what became of each language."""

    merges: NDArray[np.int32]
    """(merges, 2): left and right id; merge k makes id 256 + k."""
    counts: NDArray[np.int64]
    """(merges,): how often the pair stood in the training text of all languages when it was merged, by places."""
    chosen: NDArray[np.int32]
    """(merges,): the number of the language that chose, or `GLOBAL`."""
    bytes: NDArray[np.int64]
    """(2, languages): the length of the training text and of the development set."""
    tokens: NDArray[np.int64]
    """(2, languages): the same after all merges."""


def train(
    training: CountedWords,
    num_tokens: int,
    policy: Policy,
    development: CountedWords | None = None,
    min_frequency: int = 0,
    max_token_length: int = _UNLIMITED,
) -> Learned:
    """Learn merges until there are `num_tokens` tokens (the 256 bytes included) or no language has a pair.

    Args:
        training: what pairs are counted in.
        num_tokens: 256 to 2^24; fewer give a prefix.
        policy: who chooses.
        development: what is measured, multi-parallel; without it the training text is.
        min_frequency: of a pair in the language that chooses; while languages count together, in all of them.
        max_token_length: longest token in bytes, inclusive, at least 2.

    Raises:
        ValueError: an argument is out of bounds, or the arrays do not fit each other.

    >>> both = CountedWords(pa.array([b"ab", b"cd"], pa.large_binary()), np.array([9, 5]), np.array([0, 1]))
    >>> train(both, 300, Policy(num_languages=2, ratios=(1.0, 2.0))).chosen.tolist()
    [1, 0]
    """
    _check(training, num_tokens, policy, development, max_token_length)
    none = CountedWords(pa.array([], pa.large_binary()), np.empty(0, np.int64), np.empty(0, np.int32))
    texts = (training, development or none)
    num_bytes = np.stack([_lengths(text, policy.num_languages) for text in texts])
    words = _laid_out(_present(texts[0]), _present(texts[1]), policy.num_languages)
    tokens = num_bytes.flatten()
    ratios = np.array(policy.ratios or (1.0,) * policy.num_languages) if development is None else None
    merges, counts, chosen = parity_merging.learn(
        words,
        parity_merging.Policy(
            tokens,
            num_bytes.flatten(),
            np.zeros(policy.num_languages) if ratios is None else ratios.astype(np.float64),
            policy.window_size,
            float(policy.alpha),
            policy.global_merges,
        ),
        # Each merge takes a symbol away, so there are never more new tokens than bytes.
        parity_merging.Limits(min(num_tokens - NUM_BYTES, words.symbol.size), max(1, min_frequency), max_token_length),
    )
    return Learned(merges, counts, chosen, num_bytes, tokens.reshape(2, -1))


def _laid_out(training: CountedWords, development: CountedWords, num_languages: int) -> parity_merging.Words:
    words = pa.concat_arrays([training.words, development.words])
    _, offset_buffer, data_buffer = words.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[words.offset : words.offset + len(words) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]] if len(words) else np.empty(0, np.uint8)
    counts = np.concatenate((training.counts, development.counts)).astype(np.int64)
    owners = np.concatenate((training.languages, development.languages + num_languages)).astype(np.int32)
    like = np.empty(0, np.int32 if data.size + counts.size < 2**31 - 2 else np.int64)
    laid_out: parity_merging.Words = parity_merging.lay_out(
        data, offsets - offsets[0], counts, owners, byte_ids().astype(np.uint8), like
    )
    return laid_out


def _present(text: CountedWords) -> CountedWords:
    """The words that count at all and are long enough to hold a pair, language by language."""
    words, counts = text.words.cast(pa.large_binary()), np.asarray(text.counts, np.int64)
    languages = np.asarray(text.languages, np.int32)
    counted = (counts > 0) & (pc.binary_length(words).to_numpy(zero_copy_only=False) > 1)
    order = np.flatnonzero(counted)
    order = order[np.argsort(languages[order], kind="stable")]
    return CountedWords(words.take(pa.array(order)), counts[order], languages[order])


def _lengths(text: CountedWords, num_languages: int) -> NDArray[np.int64]:
    """Bytes by language."""
    lengths = pc.binary_length(text.words).to_numpy(zero_copy_only=False).astype(np.int64)
    totals = np.zeros(num_languages, np.int64)
    np.add.at(totals, np.asarray(text.languages, np.int64), lengths * np.asarray(text.counts, np.int64))
    return totals


def _check(
    training: CountedWords, num_tokens: int, policy: Policy, development: CountedWords | None, max_token_length: int
) -> None:
    if not 1 <= policy.num_languages <= _MOST_LANGUAGES or policy.window_size < 0 or policy.global_merges < 0:
        msg = f"expected 1 to {_MOST_LANGUAGES} languages, window_size and global_merges at least 0, not {policy}"
        raise ValueError(msg)
    if not policy.alpha >= 1 or (policy.ratios and development is not None):
        msg = f"expected alpha >= 1 and either ratios or a development set, not {policy}"
        raise ValueError(msg)
    if policy.ratios and (len(policy.ratios) != policy.num_languages or not np.isfinite(policy.ratios).all()):
        msg = f"expected a finite ratio for each of {policy.num_languages} languages, not {policy.ratios}"
        raise ValueError(msg)
    if not min(policy.ratios, default=1.0) > 0 or not NUM_BYTES <= num_tokens <= _MOST_TOKENS or max_token_length < 2:
        msg = (
            f"expected ratios above 0, num_tokens from {NUM_BYTES} to {_MOST_TOKENS} and max_token_length >= 2, "
            f"not {policy.ratios}, {num_tokens} and {max_token_length}"
        )
        raise ValueError(msg)
    for text in (training, development):
        if text is not None:
            _check_words(text, policy.num_languages)


def _check_words(text: CountedWords, num_languages: int) -> None:
    sizes = (len(text.words), len(text.counts), len(text.languages))
    if len(set(sizes)) != 1 or text.words.null_count:
        msg = f"expected as many counts and languages as words and no null word: {sizes}, {text.words.null_count} null"
        raise ValueError(msg)
    if sizes[0] and (int(np.min(text.counts)) < 0 or not 0 <= int(np.min(text.languages)) <= num_languages - 1):
        msg = f"counts must be at least 0 and languages below {num_languages}"
        raise ValueError(msg)
    if sizes[0] and int(np.max(text.languages)) >= num_languages:
        msg = f"languages must be below {num_languages}, the largest is {int(np.max(text.languages))}"
        raise ValueError(msg)
