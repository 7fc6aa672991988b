"""Words of a tokenizer of characters, cut where its trainer counts no pair, and pairs that would be too long.

What is left of `piece_rules.py` once there are token numbers: of two neighbours that may not be one piece, and beside
a character that is not in the alphabet, a word ends; and a pair of more characters than a piece may have is no
competitor of any merge. Both hold for the counts of all pairs, from the first on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.piece_rules import ALONE, PieceRules, joined

if TYPE_CHECKING:
    from operators.kernels.replay import Changes, Words

Numbers = NDArray[np.int64]


def cut_words(words: Words, tokens: list[bytes], alphabet: frozenset[str], rules: PieceRules) -> Words:
    """The words in parts of allowed neighbours, each part once; single characters are left out.

    Args:
        words: in the numbers of `tokens`.
        tokens: by number; those with another character than the alphabet's join nothing.
        alphabet: the tokenizer's characters.
        rules: the tokenizer's.
    """
    from operators.kernels.count_tables import add_up
    from operators.kernels.replay import Words

    first, last = _classes(tokens, alphabet, rules)
    symbols = words.symbols
    word = np.repeat(np.arange(len(words.offsets) - 1), np.diff(words.offsets))
    linked = joined(last[symbols[:-1]], first[symbols[1:]]) & (word[:-1] == word[1:])
    before, after = np.append(False, linked), np.append(linked, False)
    begins, ends = np.flatnonzero(~before & after), np.flatnonzero(before & ~after) + 1
    parts = _slices(symbols, begins, ends)
    owner = word[begins]
    several = np.diff(words.starts)[owner]
    entry = np.repeat(words.starts[owner] - np.cumsum(several) + several, several) + np.arange(several.sum())
    part = np.repeat(np.arange(len(parts)), several)
    added = add_up(
        parts.take(pa.array(part)), words.counts[entry].astype(np.int64), words.categories[entry].astype(np.int32)
    )
    coded = added.words.dictionary_encode()
    number = coded.indices.to_numpy()
    order = np.argsort(number, kind="stable")
    texts = coded.dictionary.cast(pa.large_binary())
    starts = np.searchsorted(number[order], np.arange(len(texts) + 1))
    lengths = pc.binary_length(texts).to_numpy() // symbols.itemsize
    return Words(
        np.frombuffer(b"".join(texts.to_pylist()), symbols.dtype), np.append(0, np.cumsum(lengths)).astype(np.int64),
        starts, added.groups[order].astype(np.int16), added.counts[order],
    )  # fmt: skip


def without_long_pairs(changes: Changes, tokens: list[bytes], most: int) -> Changes:
    """The changes without pairs of more characters, but for those of merges; most 0: all stay."""
    from operators.kernels.replay import laid_out

    lengths = np.array([len(token.decode("utf-8", "replace")) for token in tokens])
    short = lengths[changes.pairs].sum(axis=1) <= (most or np.inf)
    short[changes.merged[changes.merged >= 0]] = True
    if short.all():
        return changes
    kept = short[changes.segment_pair]
    sizes = np.diff(changes.starts)
    entries = np.repeat(kept, sizes)
    return laid_out(
        changes.pairs,
        changes.merged,
        np.append(0, np.cumsum(kept))[changes.steps],
        changes.segment_pair[kept],
        np.append(0, np.cumsum(sizes[kept])),
        changes.category[entries],
        changes.change[entries],
    )


def _classes(tokens: list[bytes], alphabet: frozenset[str], rules: PieceRules) -> tuple[Numbers, Numbers]:
    """The classes of each token's first and last character."""
    classes = rules.classes(sorted(alphabet))
    ends = np.full((2, len(tokens)), ALONE, np.int64)
    for number, token in enumerate(tokens):
        text = token.decode("utf-8", "ignore")  # of a part of a character less than the token, and so never joined
        if text.encode() == token and alphabet.issuperset(text):
            ends[:, number] = classes[text[0]], classes[text[-1]]
    return ends[0], ends[1]


def _slices(symbols: NDArray[np.int32], begins: Numbers, ends: Numbers) -> pa.LargeBinaryArray:
    """Slices of the symbols as bytes."""
    lengths = ends - begins
    place = np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    offsets = np.append(0, np.cumsum(lengths)) * symbols.itemsize
    buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(np.ascontiguousarray(symbols[place]))]
    return pa.Array.from_buffers(pa.large_binary(), len(begins), buffers)
