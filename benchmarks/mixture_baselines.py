"""The baselines of the paper on mixture inference (Hayase et al. 2024): TEE by tokens' lengths, TC by their strings.

A library of `mixture_inference.py`.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from benchmarks.mixture_samples import Sample
from operators.kernels.encode import encode
from operators.vocabulary import Vocabulary, merge_table

Floats = NDArray[np.float64]


def bytes_per_token(sample: Sample, vocabulary: Vocabulary, number: int) -> Floats:
    """In each category."""
    lists = encode(sample.words, merge_table(vocabulary))
    tokens = sample.by_category(np.diff(lists.offsets.to_numpy()).astype(np.int64), number)
    found: Floats = sample.by_category(sample.lengths, number) / tokens
    return found


def by_efficiency(bytes_per_token: Sequence[Floats], truths: Sequence[Floats]) -> list[Floats]:
    """TEE: shares from the bytes per token, by a line through the logarithms of all other trials.

    Args:
        bytes_per_token: of each trial, by category, as a share of those of a tokenizer of that category alone.
        truths: the shares of each trial.
    """
    found = []
    for left_out, own in enumerate(bytes_per_token):
        others = [place for place in range(len(truths)) if place != left_out]
        x = np.log(np.concatenate([bytes_per_token[place] for place in others]))
        y = np.log(np.concatenate([truths[place] for place in others]))
        slope, level = np.polyfit(x, y, 1)
        shares = np.exp(level + slope * np.log(own))
        found.append(shares / shares.sum())
    return found


def by_strings(sample: Sample, tokens: Sequence[bytes], sizes: NDArray[Any]) -> Floats:
    """TC: the share of the tokens of two bytes or more whose string has most occurrences in a category.

    Args:
        sample: the text that strings are counted in, overlapping ones too.
        tokens: of the tokenizer.
        sizes: bytes of each category; a string counts by occurrences per byte.
    """
    longer = sorted(token for token in tokens if len(token) > 1)
    steps, ends = _trie(longer)
    data, offsets = (np.frombuffer(sample.words.buffers()[k], kind) for k, kind in ((2, np.uint8), (1, np.int64)))
    frequency = np.zeros((len(longer), len(sizes)))
    weights = 1 / sizes
    _count_strings(data, offsets, sample.starts, sample.categories, sample.counts, weights, steps, ends, frequency)
    seen = frequency.max(1) > 0
    votes = np.bincount(frequency[seen].argmax(1), minlength=len(sizes))
    shares: Floats = votes / votes.sum()
    return shares


def _trie(tokens: Sequence[bytes]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Node by node and byte, 0 where there is none; the token that ends at each node, or -1."""
    room = 1 + sum(map(len, tokens))
    steps, ends = np.zeros((room, 256), np.int32), np.full(room, -1, np.int32)
    size = _fill_trie(*_joined(tokens), steps, ends)
    return steps[:size], ends[:size]


def _joined(tokens: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    array = pa.array(tokens, pa.large_binary())
    return np.frombuffer(array.buffers()[2], np.uint8), np.frombuffer(array.buffers()[1], np.int64)[: len(tokens) + 1]


@njit(cache=True, nogil=True)
def _fill_trie(data, offsets, steps, ends):
    size = 1
    for token in range(offsets.size - 1):
        node = 0
        for place in range(offsets[token], offsets[token + 1]):
            if steps[node, data[place]] == 0:
                steps[node, data[place]] = size
                size += 1
            node = steps[node, data[place]]
        ends[node] = token
    return size


@njit(cache=True, nogil=True)
def _count_strings(data, offsets, starts, categories, counts, weights, steps, ends, frequency):
    for word in range(starts.size - 1):
        for begin in range(offsets[word], offsets[word + 1]):
            node = 0
            for place in range(begin, offsets[word + 1]):
                node = steps[node, data[place]]
                if node == 0:
                    break
                if ends[node] >= 0:
                    for k in range(starts[word], starts[word + 1]):
                        frequency[ends[node], categories[k]] += weights[categories[k]] * counts[k]
