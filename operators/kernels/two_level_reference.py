"""Encode by two levels: the first merges within stage-1 pre-tokens, then the second ones over the tokens of a chunk.

It is faster than encoding a chunk whole, as words repeat and can be remembered, and it is not quite what a
`tokenizer.json` does: that applies the first merges to a whole chunk, so they may join what the stage-1 pattern cuts.
This is here to measure how often the two differ; plain Python, some 0.3 MB of text a second.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import pyarrow as pa

from operators.encode import Merge, apply_merges, apply_to_tokens
from operators.kernels.pretokenize import spans
from operators.pretokenizers import Cutting

Tokens = list[bytes]


def two_levels(
    texts: Sequence[str], merges: Sequence[Merge], num_first: int, first: Cutting, second: Cutting
) -> list[Tokens]:
    """The tokens of each text.

    Args:
        texts: documents.
        merges: all of them, in order.
        num_first: how many of them are the first stage's.
        first: how text is cut into pre-tokens; they are cut at the borders of chunks too.
        second: how text is cut into chunks.

    >>> from operators.pretokenizers import cutting
    >>> words, all_of_it = cutting("custom", pattern="[a-z]+"), cutting("custom", pattern="[^x]+")
    >>> two_levels(["ab!"], [(b"b", b"!"), (b"a", b"b"), (b"ab", b"!")], 2, words, all_of_it)
    [[b'ab!']]
    """
    one = {merge: place for place, merge in enumerate(merges[:num_first])}
    two = {merge: place for place, merge in enumerate(merges[num_first:])}

    @cache
    def within(piece: bytes) -> tuple[bytes, ...]:
        return tuple(apply_merges(piece, one))

    @cache
    def across(tokens: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return tuple(apply_to_tokens(tokens, two))

    array = pa.array(texts, pa.large_string())
    found = []
    for text, small, large in zip(texts, spans(array, first), spans(array, second), strict=True):
        tokens: Tokens = []
        for chunk in _pieces(text.encode(), small.as_py(), large.as_py()):
            tokens += across(tuple(token for piece in chunk for token in within(piece)))
        found.append(tokens)
    return found


def _pieces(data: bytes, small: list[int], large: list[int]) -> Iterator[list[bytes]]:
    """For each chunk its pre-tokens."""
    ends = iter(sorted({*small, *large}))
    start = 0
    for stop in large:
        chunk = []
        while start < stop:
            end = next(ends)
            chunk.append(data[start:end])
            start = end
        yield chunk
