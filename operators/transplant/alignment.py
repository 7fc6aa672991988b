"""Old and new tokens' vectors in one space: the rotation that brings known pairs closest (orthogonal Procrustes).

Vectors of two languages are trained apart, so their axes have nothing to do with each other. With X the vectors of old
words and Y those of their translations, both at length 1, W = U V^T of the decomposition X^T Y = U S V^T is the
rotation for which |X W - Y| is least (Schoenemann 1966); WECHSEL aligns so. The order matters: mergekit's landmark
method takes the rotation of Y to X for that of X to Y, and what comes out has nothing to do with either.
"""

from __future__ import annotations

import numpy as np

from operators.base import DataError
from operators.transplant.auxiliary import Auxiliary, unit
from operators.transplant.imported import WordPairs
from operators.transplant.pieces import Cutter
from operators.transplant.rules import new_rows
from operators.transplant.similar import from_candidates
from operators.transplant.vocabularies import word_forms
from operators.transplant.weights import Floats, Weights


def rotation(old: Floats, new: Floats) -> Floats:
    """float32[k, k] that brings rows of `old` to those of `new`, by least squares.

    >>> quarter = rotation(np.array([[1, 0], [0, 1]], np.float32), np.array([[0, 1], [-1, 0]], np.float32))
    >>> quarter.tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    left, _, right = np.linalg.svd(old.astype(np.float64).T @ new.astype(np.float64))
    found: Floats = (left @ right).astype(np.float32) + np.float32(0)
    return found


def word_vectors(words: list[str], cutter: Cutter, auxiliary: Auxiliary) -> Floats:
    """The mean of each word's tokens' vectors, at length 1; zeros where none has one. Words stand after a space."""
    vectors = np.zeros((len(words), auxiliary.vectors.shape[1]), np.float32)
    known = auxiliary.unit()
    for place, pieces in enumerate(cutter.cut(word_forms(words))):
        if pieces:
            vectors[place] = known[pieces].mean(axis=0, dtype=np.float64)
    return unit(vectors)


def of_languages(
    base: Weights, pairs: WordPairs, old: tuple[Cutter, Auxiliary], new: tuple[Cutter, Auxiliary]
) -> Weights:
    """`base` with rows made of the old tokens whose vectors lie near once they are rotated (WECHSEL).

    Args:
        base: a whole W, whose copies stay.
        pairs: translations; each also counts in lower and title case.
        old: what cuts words into old tokens, and their vectors, trained on text of the old language.
        new: the same of the new ones.

    Raises DataError where fewer pairs than numbers in a vector have vectors on both sides.
    """
    cased = sorted({(case(first), case(second)) for first, second in pairs for case in (str, str.lower, str.title)})
    left = word_vectors([first for first, _ in cased], *old)
    right = word_vectors([second for _, second in cased], *new)
    both = (left != 0).any(axis=1) & (right != 0).any(axis=1)
    if int(both.sum()) < left.shape[1]:
        msg = f"{int(both.sum())} word pairs have vectors in both languages: expected at least {left.shape[1]}, so many"
        raise DataError(f"{msg} as numbers in a vector; give a larger dictionary or more text")
    turned = old[1].unit() @ rotation(left[both], right[both])
    rows = np.array([row for row in new_rows(base) if new[1].has[row]], np.int64)
    candidates = np.flatnonzero(old[1].frequent & old[1].has).astype(np.int32)
    return from_candidates(base, rows, new[1].vectors[rows], candidates, turned[candidates], "wechsel")
