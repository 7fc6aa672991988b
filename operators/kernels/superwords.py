"""SuperBPE by the counted route: count runs of tokens, and learn merges across words from them.

Stage 1 is byte-pair encoding within pre-tokens (Liu et al. 2025, arXiv:2503.13423). For stage 2 text is cut by a
coarser pattern into *chunks*, often a sentence or more; a chunk is encoded by the first merges, whole, as `tokenizers`
encodes it by the written file. Its tokens are broken at those that the rules keep out of any longer token (`eligible`),
and the runs of two and more are counted like words (as in arXiv:2604.05192, with another rule for what is eligible).
The second merges are learned over the counted runs, by `bpe.train_sequences`. Nothing reads the text again.

**What training counts is what the encoder meets.** The encoder applies the earliest merge in the list that two
neighbours are, at its first place.

1. All first merges come before all second ones, so a chunk first becomes what `count_runs` made of it.
2. No second merge makes the string of a token. For where a string stands between borders of symbols, no merge has
   crossed them, and its inside has gone through the merges so far exactly as the string alone would. A first token's
   own bytes come to that token (`bpe.py`: learning over bytes leaves none unreached), and a second token's by the step
   that learned it, by induction. From then on the string is that token wherever it stands between borders, and is
   never two symbols that could merge into it.
3. So a second merge makes a symbol that is in later merges only, and no earlier merge becomes possible again. The
   encoder therefore applies the second merges one by one in order, each everywhere from the left, as training did.
4. No merge holds a token that is not eligible, so what happens in a run does not depend on what is around it. Whether
   a token is eligible is decided by the token alone, so the encoder's chunks have the runs that were counted.

**Encoding many chunks.** A border between bytes p and q can only be crossed by a merge of a token that ends with p and
one that begins with q. Where no first merge has such parts, the border stays, and its sides do not know of each other.
Cut at all such borders a chunk falls into pieces of some five bytes, most of which were met before; each distinct one
is encoded once. No pattern is asked for these borders, so nothing is assumed about what stage 1 merged.

**Learning in less memory.** Every place of a pair of tokens that are longer holds the border of two first tokens, and
each of them its own; so no pair occurs more often than any pair of first tokens within it. If pairs below some count
are not merged, runs may be cut at all borders that are rarer, and what is left is counted again: a fifth of the places
is left where it was tried. `learn` guesses the count at which the last merge will be made, and takes a lower one where
merges run out before. The result is that of learning over the whole runs, whatever was guessed.

Price on one core, 26 MB of mixed text, transition at 48k: counting 27 MB of text a second, with 2 bytes of memory per
byte of text. The distinct runs take 0.6 bytes of ids per byte of text, and 24 bytes each: a run of any length has four
bytes per token, so there is no limit to its length. The slow reference is `superwords_reference.py`, the compiled half
`superword_counting.py`.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.kernels import superword_counting
from operators.kernels.bpe import Learned, Veto, train_sequences
from operators.kernels.encode import encode
from operators.kernels.pretokenize import piece_ends
from operators.pretokenizers import Cutting
from operators.text_buffers import joined_bytes
from operators.vocabulary import Vocabulary, merge_table

Ints = NDArray[Any]

_UNLIMITED: Final = 2**31 - 1


class Runs(NamedTuple):
    """Distinct runs, in no particular order."""

    ids: NDArray[np.int32]
    """The tokens of all runs, one after the other."""
    offsets: NDArray[np.int64]
    """(runs + 1): where each begins in `ids`, and the end."""
    counts: NDArray[np.int64]
    """(runs): how often each occurs."""
    digests: NDArray[np.uint64]
    """(runs): a hash of each run's ids, the same everywhere; two runs may share one."""


def eligible(tokens: Sequence[bytes], max_token_length: int = _UNLIMITED, veto: Veto = Veto()) -> NDArray[np.bool_]:  # noqa: B008
    """By id, whether the rules allow a longer token that holds this one; without rules all tokens are eligible.

    `max_chars` is not looked at: a token too many makes the table larger and changes no merge.

    >>> eligible([b"a", b"a: b", b" x y"], veto=Veto(1, (b": ",))).tolist()
    [True, False, False]
    """

    def is_eligible(token: bytes) -> bool:
        words = sum(1 for part in token.split(b" ") if part)
        fits = len(token) < max_token_length and (not veto.max_words or words <= veto.max_words)
        return fits and not any(part in token for part in veto.forbidden)

    return np.array([is_eligible(token) for token in tokens], bool)


def count_runs(
    texts: pa.LargeStringArray,
    weights: NDArray[np.int64],
    how: Cutting,
    vocabulary: Vocabulary,
    may_join: NDArray[np.bool_],
) -> Runs:
    """The runs of two and more eligible tokens in some documents, and how often each occurs.

    Args:
        texts: documents, none null. No run crosses from one into the next.
        weights: int64, how often each document counts; at 0 it is passed over.
        how: how text is cut into chunks.
        vocabulary: the first merges; its ids go from 0 without gaps, and its patterns are not looked at.
        may_join: by id, whether the token is eligible.

    >>> from operators.pretokenizers import cutting
    >>> from operators.vocabulary import from_merges
    >>> texts = pa.array(["to be, to be", "to"], pa.large_string())
    >>> first = from_merges([(b"t", b"o"), (b"b", b"e")], ())
    >>> runs = count_runs(texts, np.array([1, 1]), cutting("custom", pattern=", "), first, np.full(258, True))
    >>> [first.tokens[token] for token in runs.ids], runs.counts.tolist()
    ([b'to', b' ', b'be', b',', b' '], [2, 1])
    """
    if len(may_join) != len(vocabulary.ids) or list(vocabulary.ids.values()) != list(range(len(may_join))):
        msg = f"expected ids from 0 without gaps and a choice for each of {len(vocabulary.ids)}, not {len(may_join)}"
        raise ValueError(msg)
    weights = np.array(weights, np.int64)  # a copy: read-only arrays would be compiled for a second time
    if not (weights > 0).all():
        texts, weights = texts.filter(pa.array(weights > 0)), weights[weights > 0]
    data, offsets = joined_bytes(texts)
    ends = piece_ends(texts, how) if data.size else np.empty(0, np.int64)
    numbers, documents, firsts, lengths = superword_counting.split(data, offsets, ends, _crossed(vocabulary))
    lists = encode(_taken(data, firsts, lengths), merge_table(vocabulary))
    ids, id_ends = lists.values.to_numpy().copy(), lists.offsets.to_numpy().copy()
    return Runs(*superword_counting.count(numbers, documents, weights, ids, id_ends, may_join.copy()))


def learn(
    runs: Runs,
    tokens: Sequence[bytes],
    num_merges: int,
    min_frequency: int = 0,
    max_token_length: int = _UNLIMITED,
    veto: Veto = Veto(),  # noqa: B008
) -> Learned:
    """As `bpe.train_sequences` over the runs, in a part of its memory.

    Args:
        runs: of tokens that encoding left, as `count_runs` makes them: no two neighbours make the string of a token.
        tokens: the string of every id.
        num_merges: as many at most.
        min_frequency: a pair that occurs less often is not merged.
        max_token_length: longest new token in bytes, inclusive.
        veto: what may not be learned.
    """
    numbers, totals = superword_counting.borders(runs.ids, runs.offsets, runs.counts)
    lowest = max(1, min_frequency)
    least = max(lowest, _guess(totals, num_merges))
    while True:
        cut = _cut(runs, numbers, totals, least)
        learned = train_sequences(cut.ids, cut.offsets, cut.counts, tokens, num_merges, least, max_token_length, veto)
        if least == lowest or len(learned.merges) >= num_merges:
            return learned
        least = max(lowest, least // 4)


def _guess(totals: Ints, num_merges: int) -> int:
    """A count at which the last merge may be made: half that of the pair of first tokens with the merge's number."""
    if not 0 < num_merges <= len(totals):
        return 0
    return int(np.partition(totals, len(totals) - num_merges)[len(totals) - num_merges]) // 2


def _cut(runs: Runs, numbers: Ints, totals: Ints, least: int) -> Runs:
    """The runs cut at the borders that occur less than `least` times, and counted again."""
    if least <= 1:
        return runs
    ends = np.append(totals < least, True)[numbers]  # -1, the end of a run, finds the last
    singles = np.arange(int(runs.ids.max(initial=0)) + 2)
    pieces = np.where(ends, ~runs.ids, runs.ids)
    every = np.full(len(singles), True)
    return Runs(*superword_counting.count(pieces, runs.offsets, runs.counts, singles.astype(np.int32), singles, every))


def _crossed(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """By last byte << 8 | first byte: whether a merge has parts that meet so."""
    crossed = np.zeros(1 << 16, np.bool_)
    crossed[[left[-1] << 8 | right[0] for left, right in vocabulary.merges]] = True
    return crossed


def _taken(data: Ints, firsts: Ints, lengths: Ints) -> pa.LargeBinaryArray:
    """The pieces of the data that begin there, as an array."""
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(superword_counting.gather(data, firsts, offsets))]
    return pa.Array.from_buffers(pa.large_binary(), len(firsts), buffers)
