"""The sentences of lines as the reference counts them, each distinct chunk cut by spaCy once.

Needs the optional extra `parity`. `operators/sentences.py` has the rule.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators import reference_words
from operators.sentences import num_token_sentences, token_turns

Ints = NDArray[np.int64]

_SEEDS: Final = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
"""Of the hash by which chunks are found again: it decides where they lie, never what comes out."""


def line_sentences(line: str) -> int:
    """Of one line, cut as a whole. RecipeError where spaCy is not installed."""
    return num_token_sentences(reference_words.spacy_tokens(line))


def token_sentences(
    data: NDArray[np.uint8], starts: Ints, ends: Ints, num_lines: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Of all documents: lines parted by line feeds, `num_lines` in [starts, ends) of each."""
    from operators.kernels.c4_sentences import count_turns
    from operators.kernels.words import IS_WHITE, find_chunks
    from operators.scans import kernel_table

    offsets = np.append(np.int64(0), ends)
    numbers, firsts, lows, highs, _ = find_chunks(data, offsets, kernel_table(), IS_WHITE, _SEEDS)
    chunks = [data[low:high].tobytes().decode() for low, high in zip(lows, highs, strict=True)]
    turns = np.array([token_turns(words) for words in reference_words.spacy_words(chunks)], np.int32).reshape(-1, 4)
    counts: NDArray[np.int32]
    counts, meets = count_turns(
        data, starts, ends, num_lines, numbers, firsts, turns, *reference_words.spacy_edges(chunks)
    )
    for row in np.flatnonzero(meets | _holds(data, offsets, reference_words.BROKEN)):
        text = data[starts[row] : ends[row]].tobytes().decode()
        counts[row] = sum(map(line_sentences, text.split("\n"))) if num_lines[row] else 0
    return counts


def _holds(data: NDArray[np.uint8], offsets: Ints, literal: str) -> NDArray[np.bool_]:
    """Which documents hold a literal."""
    texts = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    found: NDArray[np.bool_] = pc.match_substring(texts, literal).to_numpy(zero_copy_only=False)
    return found
