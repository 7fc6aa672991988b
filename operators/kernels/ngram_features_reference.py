"""Hashed n-grams, slowly: what `operators/kernels/ngram_features.py` computes, a text at a time.

The running Python says what is a word and what is lower case; the kernel has a table of Python 3.11's answers.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from operators.hashing import MASK
from operators.kernels.ngram_features import BASIS, JOIN, PRIME, Hash


def split_tokens(text: str) -> list[str]:
    """Words, and runs of what is neither word nor white space, in lower case.

    >>> split_tokens("Don't stop...")
    ['don', "'", 't', 'stop', '...']
    """
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def bucket_of(tokens: list[str], buckets: int, hashing: Hash) -> int:
    """The bucket of one n-gram.

    >>> bucket_of(["alice"], 10000, "sha256"), bucket_of(["alice", "went"], 10000, "sha256")
    (6720, 114)
    """
    if hashing == "sha256":
        return int(hashlib.sha256(" ".join(tokens).encode()).hexdigest(), 16) % buckets
    value = 0
    for place, token in enumerate(tokens):
        added = _mix(_fnv(token.encode()))
        value = _mix((value * JOIN + added) & MASK) if place else added
    return (value >> 32) * buckets >> 32


def buckets_of(text: str, ngrams: int, buckets: int, hashing: Hash) -> list[int]:
    """The bucket of each n-gram of a text: by where it ends, the shortest first."""
    tokens = split_tokens(text)
    return [
        bucket_of(tokens[end - length : end], buckets, hashing)
        for end in range(1, len(tokens) + 1)
        for length in range(1, min(ngrams, end) + 1)
    ]


def sketch(text: str, ngrams: int, place: list[int], weight: list[float], damped: list[float], dim: int) -> list[float]:
    """A document's vector, before it is rounded to float32: see `ngram_features.sketches`."""
    vector = [0.0] * dim
    for bucket, count in sorted(Counter(buckets_of(text, ngrams, len(place), "fast")).items()):
        vector[place[bucket]] += weight[bucket] * damped[min(count, len(damped)) - 1]
    return vector


def _fnv(content: bytes) -> int:
    value = BASIS
    for byte in content:
        value = (value ^ byte) * PRIME & MASK
    return value


def _mix(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31
