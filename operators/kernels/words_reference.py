"""What a scan of texts is, slowly: the words of each document, numbered in the order in which they first occur.

Readable and slow on purpose: `operators/kernels/words.py` equals it, which tests/operators/test_scans.py shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from operators.scans import Scan
from operators.word_classes import is_letter
from operators.words import PUNCTUATION_SET, split_words


def slow_scan(texts: Sequence[str], split: Callable[[str], list[str]] = split_words) -> Scan:
    """The scan of texts.

    >>> slow_scan(["b a.", "a"]).tokens.tolist()
    [0, 1, 2, 1]
    """
    documents = [split(text) for text in texts]
    words = list(dict.fromkeys(word for document in documents for word in document))
    numbers = {word: number for number, word in enumerate(words)}
    return Scan(
        token_starts=np.array([0, *accumulate(map(len, documents))], np.int64),
        tokens=np.array([numbers[word] for document in documents for word in document], np.int32),
        word_bytes=np.frombuffer("".join(words).encode(), np.uint8),
        word_starts=np.array([0, *accumulate(len(word.encode()) for word in words)], np.int64),
        word_chars=np.array([len(word) for word in words], np.int32),
        word_flags=np.array([_flags(word) for word in words], np.uint8),
        num_chars=np.array([len(text) for text in texts], np.int64),
    )


def _flags(word: str) -> int:
    return any(c not in PUNCTUATION_SET for c in word) | any(map(is_letter, word)) << 1
